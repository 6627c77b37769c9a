//! The campaign's own connections to a PostgreSQL, over its socket in the file system, which no partition touches.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::types::FromSqlOwned;
use tokio_postgres::{Client, Config, NoTls};

/// The most time for something that takes a moment, before the campaign gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The time between two looks at a condition.
const LOOK: Duration = Duration::from_millis(5);

/// Connects to the PostgreSQL with its socket in this folder.
pub async fn connect(socket: &Path, port: u16, database: &str) -> Result<Client> {
    let mut config = Config::new();
    config.host_path(socket).port(port).user("postgres").dbname(database).application_name("campaign");
    let (client, connection) =
        timeout(PATIENCE, config.connect(NoTls)).await.context("connecting takes too long")??;
    // Its error is that of the calls.
    tokio::spawn(connection);
    Ok(client)
}

/// The only value of a query's only row.
pub async fn value<T: FromSqlOwned>(client: &Client, sql: &str) -> Result<T> {
    let row = timeout(PATIENCE, client.query_one(sql, &[])).await.with_context(|| format!("no answer to {sql}"))?;
    Ok(row.with_context(|| sql.to_owned())?.try_get(0)?)
}

/// Waits until a condition holds; `what` is missing if it does not.
pub async fn until(what: &str, most: Duration, mut condition: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let begin = Instant::now();
    while !condition().await? {
        if begin.elapsed() > most {
            bail!("not within {} s: {what}", most.as_secs());
        }
        sleep(LOOK).await;
    }
    Ok(())
}
