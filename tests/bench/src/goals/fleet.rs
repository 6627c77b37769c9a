//! Goals of a fleet: servers that share a PostgreSQL.

pub(super) mod propagation;
pub(super) mod reads;
pub(super) mod starts;
pub(super) mod writes;

use anyhow::{Context, Result};

use super::disk;
use crate::contestants::{Feature, Postgres};

/// The only server of a fleet, on a new database.
async fn one_server(postgres: &Postgres) -> Result<Feature> {
    Feature::start_fleet(&disk()?, postgres.database("features").await?, 1).await?.pop().context("a fleet of one")
}
