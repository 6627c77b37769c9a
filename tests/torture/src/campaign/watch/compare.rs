//! The comparison of streams with reads while nothing is written.

use anyhow::{Context, Result, ensure};

use super::hub::{Hub, Phase, until};
use super::reads::Reader;
use super::record::{ChangesSeen, Kept, ValuesSeen};
use super::streams::Streams;

/// Waits until each stream has come to the newest revision of this life, and adds to its record what reads say.
///
/// * `readers`: one for each server; they take turns.
/// * `keeps_all`: no change is dropped.
pub async fn compare(
    hub: &Hub,
    streams: &Streams,
    readers: &[Reader],
    (life, newest): (usize, u64),
    keeps_all: bool,
) -> Result<()> {
    let mut readers = readers.iter().cycle();
    let mut next = || readers.next().context("there is a server");
    hub.set_phase(Phase::Quiet);
    let ended = until(|| streams.are_at(life, newest)).await;
    ended.with_context(|| {
        let behind = streams.behind(life, newest).join("\n");
        format!("these streams do not come to {newest} in life {life}:\n{behind}")
    })?;
    for followed in &streams.changes {
        let reader = next()?;
        let selection = followed.with(|record| record.selection.clone());
        let before = reader.oldest().await?;
        let changes = reader.changes(&selection).await?;
        let kept = Kept { oldest: (before, reader.oldest().await?), newest };
        ensure!(!keeps_all || kept.oldest == (1, 1), "all changes are kept, and {kept:?} are there");
        followed.with(|record| record.seen.push(ChangesSeen::Listed { kept, changes }));
    }
    for followed in &streams.values {
        let (names, features) = followed.with(|record| (record.names.clone(), record.features.clone()));
        let values = next()?.values(&names, &features).await?;
        followed.with(|record| record.seen.push(ValuesSeen::Read { newest, values }));
    }
    hub.set_phase(Phase::Chaos);
    Ok(())
}
