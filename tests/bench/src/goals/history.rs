//! Goals with a long history: a start reads only the events after the newest base, and making bases stops no writer.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use super::{P99, Plan, RATE, disk, told};
use crate::comparison::Side;
use crate::contestants::{Data, Feature};
use crate::load::Concurrency;
use crate::table::{Goal, Row};

/// The scopes that the events are spread over: users of one instance.
const SCOPES: u64 = 1_000;

/// The load of writers beside checkpoints.
const WRITERS: Concurrency = Concurrency { connections: 4, streams: 16 };

/// Starts with and without bases.
pub(super) async fn long(plan: &Plan) -> Result<Vec<Row>> {
    let what = format!("{} changes of {SCOPES} users", plan.changes);
    if !plan.wants(&what) {
        return Ok(Vec::new());
    }
    let folder = tempfile::tempdir_in(disk()?)?;
    let export = folder.path().join("export");
    write_export(&export, plan.changes)?;
    let data = Data::new(folder.path()).await?;
    data.import(&export).await?;
    std::fs::remove_file(&export)?;
    // An import makes no bases, so this start reads all events.
    let (server, without) = start(data).await?;
    server.has_all_bases().await?;
    let mut data = server.stop().await?;
    let mut pairs = Vec::new();
    for _ in 0..plan.rounds {
        let (server, seconds) = start(data).await?;
        pairs.push((seconds, without));
        data = server.stop().await?;
    }
    let seconds: Vec<_> = pairs.iter().map(|(with, _)| *with).collect();
    Ok(vec![
        told(Row::figure(format!("{what}: seconds to the first answer"), "s", &seconds, Goal::at_most(0.3))),
        told(Row::ratio(format!("{what}: the same without bases"), "s", &pairs, Goal::at_most(1.0))),
    ])
}

/// Writers of a server that makes a checkpoint of every 2 MiB and drops what is old, against writers of one that makes
/// hardly any.
pub(super) async fn beside_checkpoints(plan: &Plan) -> Result<Vec<Row>> {
    let what = "Sets with a checkpoint for every 2 MiB";
    if !plan.wants(what) {
        return Ok(Vec::new());
    }
    let short = ("FEATURE_SERVER__HISTORY__KEEP", "16 MiB");
    let (busy, usual) = (Feature::start(&disk()?, &[short]).await?, Feature::start(&disk()?, &[]).await?);
    let writers = WRITERS.connections * WRITERS.streams;
    let (ours, baseline) = (busy.sets(writers), usual.sets(writers));
    let ours = Side { process: &busy.process, call: &ours };
    let baseline = Side { process: &usual.process, call: &baseline };
    let goals = [(RATE, Goal::at_least(0.90)), (P99, Goal::at_most(1.25))];
    plan.compare(what, [ours, baseline], WRITERS, &goals).await
}

/// Starts a server. Returns the seconds until it has answered a call.
async fn start(data: Data) -> Result<(Feature, f64)> {
    let begun = Instant::now();
    let server = data.serve(&[]).await?;
    server.read_set("instances/demo/users/7/settings".to_owned(), "actions".to_owned()).await?;
    Ok((server, begun.elapsed().as_secs_f64()))
}

/// An export with so many events. The users change one feature in turns.
fn write_export(path: &Path, events: u64) -> Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let store = "00000000-0000-4000-8000-000000000001";
    let mut line = format!(r#"{{"format":"feature-server export","version":2,"store":"{store}","revision":{events}}}"#);
    line.push('\n');
    let mut checksum = 0;
    for revision in 1..=events {
        file.write_all(line.as_bytes())?;
        checksum = crc32c::crc32c_append(checksum, line.as_bytes());
        let (user, sequence) = (revision % SCOPES, (revision - 1) / SCOPES + 1);
        let old = if sequence == 1 { String::new() } else { format!(r#""old":{{"flag":{}}},"#, sequence % 2 == 0) };
        let change = format!(r#"{{"key":"actions",{old}"new":{{"flag":{}}}}}"#, sequence % 2 == 1);
        line = format!(
            r#"{{"revision":{revision},"scope":{{"instance":"demo","user":"{user}"}},"kind":"set","sequence":{sequence},"time":"2026-01-31T12:00:00Z","actor":"operator","request_id":"{revision}","changes":[{change}]}}"#
        );
        line.push('\n');
    }
    file.write_all(line.as_bytes())?;
    checksum = crc32c::crc32c_append(checksum, line.as_bytes());
    writeln!(file, r#"{{"events":{events},"crc32c":"{checksum:08x}"}}"#)?;
    Ok(file.flush()?)
}
