//! Streams of changes and of values on the servers of a fleet, through all faults: each continues on any server.
//!
//! The clients and the checkers are those of the campaign [`watch`](crate::campaign::watch).

use std::sync::Arc;

use anyhow::{Context, Result};
use fastrand::Rng;
use feature_api::feature::v1::Level;
use prost::Message;
use tokio::sync::watch::Sender;
use tonic::transport::Endpoint;

use super::clients::{Scopes, Target};
use super::counts::Counts;
use super::database::table::{Event, Log};
use crate::campaign::watch::check::{Kind, Problem, check_changes, check_values};
use crate::campaign::watch::compare::compare;
use crate::campaign::watch::hub::{Hub, Phase, Place};
use crate::campaign::watch::reads::Reader;
use crate::campaign::watch::record::{ChangesSeen, Era, Selection, Start, settings_name};
use crate::campaign::watch::streams::{Pace, Streams};

/// All servers count as one life: what one of them has shown, no other one takes back.
const LIFE: usize = 1;

/// The streams of a fleet.
pub struct FleetStreams {
    hub: Arc<Hub>,
    place: Sender<Option<Place>>,
    streams: Streams,
    target: Target,
}

impl FleetStreams {
    /// Starts the streams, from the first change of the store on.
    pub fn start(target: &Target, scopes: &Scopes, rng: &mut Rng) -> Self {
        // The clients of the fleet write as fast as they like.
        let hub = Hub::new(&target.token, u64::MAX / 2);
        let place = Place { addresses: target.addresses.clone(), life: LIFE, era: 0 };
        let place = Sender::new(Some(place));
        let mut streams = Streams::of_fleet();
        let within = |parent: &str| Selection { parent: parent.to_owned(), ..Selection::default() };
        let of_users = Selection { level: Some(Level::User), ..Selection::default() };
        let all = Selection::default;
        let changes = [
            (Pace::Fast, all()),
            (Pace::Cut, all()),
            (Pace::Slow, within("instances/instance-0")),
            (Pace::Cut, of_users),
        ];
        for (number, (pace, selection)) in changes.into_iter().enumerate() {
            streams.follow_changes(&hub, place.subscribe(), (pace, rng.fork()), selection, number == 0);
        }
        let names: Vec<_> = scopes.all().map(settings_name).collect();
        for pace in [Pace::Fast, Pace::Cut, Pace::Slow] {
            streams.follow_values(&hub, place.subscribe(), (pace, rng.fork()), names.clone(), &[]);
        }
        Self { hub, place, streams, target: target.clone() }
    }

    /// Ends the streams after the clients, once all servers show the end of the log, and counts what is wrong.
    pub async fn end(mut self, log: &Log, counts: &mut Counts) -> Result<()> {
        let reader = |address: &String| {
            let channel = Endpoint::from_shared(format!("http://{address}"))?.connect_lazy();
            anyhow::Ok(Reader::new(channel, &self.target.token))
        };
        let readers = self.target.addresses.iter().map(reader).collect::<Result<Vec<_>>>()?;
        compare(&self.hub, &self.streams, &readers, (LIFE, log.end), true).await.context("streams")?;
        self.hub.set_phase(Phase::Over);
        drop(self.place);
        self.streams.ended().await?;
        let eras = self.hub.take_eras();
        let mut problems = of_log(&eras[0], log)?;
        for followed in &self.streams.changes {
            problems.extend(followed.with(|record| {
                let began = |seen: &&ChangesSeen| matches!(seen, ChangesSeen::Began { start: Start::Token(_), .. });
                counts.note("streams resumed", record.seen.iter().filter(began).count() as u64);
                check_changes(&eras, record, true)
            }));
        }
        for followed in &self.streams.values {
            problems.extend(followed.with(|record| check_values(&eras, record, true)));
        }
        counts.note("events on streams", log.entries.len() as u64);
        let (ahead, broken): (Vec<_>, Vec<_>) = problems.into_iter().partition(|problem| problem.kind == Kind::Ahead);
        counts.note("states ahead of their revision", ahead.len() as u64);
        broken.into_iter().for_each(|problem| counts.broken("streams", problem.to_string()));
        Ok(())
    }
}

/// The changes that streams have shown are those of the log.
fn of_log(era: &Era, log: &Log) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for entry in &log.entries {
        let request = Event::decode(&entry.body[..])?.request_id;
        if era.events.get(&entry.revision).map(|event| &event.request) != Some(&request) {
            problems.push(Kind::Gap.problem(format!("{} of request {request} was not shown", entry.revision)));
        }
    }
    if era.events.len() != log.entries.len() {
        let lengths = (era.events.len(), log.entries.len());
        problems.push(Kind::Unasked.problem(format!("the streams have shown, and the log has {lengths:?} changes")));
    }
    Ok(problems)
}
