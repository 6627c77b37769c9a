//! The contestants: the feature server, tonic alone, etcd and PostgreSQL, each with its calls.

mod bare;
mod etcd;
mod feature;
mod frame;
mod postgres;
mod writers;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use tokio::net::TcpListener;

pub use bare::bare;
pub use etcd::Etcd;
pub use feature::{BATCH, Data, Feature, shows};
pub use frame::{framed, message};
pub use postgres::{Postgres, Standby};

/// The path of a program of this repository that was built together with this one.
///
/// `profile`: the folder of its build profile.
pub fn built(profile: &str, name: &str) -> Result<PathBuf> {
    let folder = std::env::current_exe()?;
    let target = folder.parent().and_then(|folder| folder.parent()).expect("a program is built into TARGET/PROFILE");
    let path = target.join(profile).join(name);
    ensure!(path.is_file(), "there is no {}: `cargo xtask bench` builds it", path.display());
    Ok(path)
}

/// An address whose port was free a moment ago.
async fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.to_string())
}
