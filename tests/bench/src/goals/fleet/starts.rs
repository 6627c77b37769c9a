//! Goals of a start in a fleet with many users: it takes about as long as that of a server alone with the same content.

use anyhow::{Context, Result};

use super::super::scale::{WRITERS, start};
use super::super::{Plan, disk, told};
use crate::comparison::in_turn;
use crate::contestants::{Data, Postgres, Standby};
use crate::load::{Until, closed_loop};
use crate::table::{Goal, Row};

/// A start takes this many rounds of the other rows.
const SHARE: usize = 3;

/// The seconds to the first answer of two starts.
struct Starts {
    /// With nothing but the log.
    empty_s: f64,
    /// After a clean stop.
    clean_s: f64,
}

/// A server of a fleet, against one with a store of its own. Both have the same history.
pub(in super::super) async fn many_users(plan: &Plan) -> Result<Vec<Row>> {
    let users = plan.users;
    let what = format!("fleet start, embedded start, {users} users");
    if !plan.wants(&what) {
        return Ok(Vec::new());
    }
    let server = Data::new(&disk()?).await?.serve(&[]).await?;
    closed_loop(&server.process.address, &server.set_of_many(), WRITERS, Until::Turn(users)).await?;
    let mut embedded = Some(server.stop().await?);
    let postgres = Postgres::start(&disk()?, Standby::None).await?;
    let fleet = Data::of_fleet(&disk()?, postgres.database("features").await?).await?;
    let export = tempfile::NamedTempFile::new_in(disk()?)?;
    embedded.as_ref().context("it has just stopped")?.export(export.path()).await?;
    fleet.import(export.path()).await?;
    let ours = async || Ok(starts(fleet.sibling()?, users).await?.1);
    let theirs = async || {
        let data = embedded.take().context("an earlier round failed")?;
        data.remove_projection()?;
        let (data, starts) = starts(data, users).await?;
        embedded = Some(data);
        Ok(starts)
    };
    let pairs = in_turn(plan.rounds.div_ceil(SHARE), ours, theirs).await?;
    let row = |name: &str, most, of: fn(&Starts) -> f64| {
        let pairs: Vec<_> = pairs.iter().map(|(ours, theirs)| (of(ours), of(theirs))).collect();
        told(Row::ratio(format!("{what}: {name}"), "s", &pairs, Goal::at_most(most)))
    };
    Ok(vec![row("empty", 1.5, |starts| starts.empty_s), row("after a clean stop", 1.5, |starts| starts.clean_s)])
}

/// Starts a server without a projection, and once more after a clean stop.
async fn starts(data: Data, users: usize) -> Result<(Data, Starts)> {
    let (server, empty_s) = start(data, users).await?;
    let (server, clean_s) = start(server.stop().await?, users).await?;
    Ok((server.stop().await?, Starts { empty_s, clean_s }))
}
