//! Prepared data folders, each in a state in which a server can leave it, with the contents that a read must return.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::counter_client::{Client, Found, Scope};
use crate::disk::folder;
use crate::disk::segment;
use crate::finding::Finding;
use crate::server::{Binary, PATIENCE, Server};

/// The scopes that the campaigns write and read.
pub const SCOPES: [Scope; 12] = [
    Scope::System,
    Scope::Instance,
    Scope::Organization(1),
    Scope::Organization(2),
    Scope::Organization(3),
    Scope::Organization(4),
    Scope::Organization(5),
    Scope::User(1),
    Scope::User(2),
    Scope::User(3),
    Scope::User(4),
    Scope::User(5),
];

/// Never written, so that no form has settings of this scope.
pub const UNTOUCHED: Scope = Scope::Organization(99);

/// The contents of a folder: the settings of every scope.
pub type Contents = BTreeMap<Scope, Option<Found>>;

/// A folder in a state in which a server has left it.
pub struct Form {
    /// The name of the state.
    pub name: &'static str,
    /// The path.
    pub folder: PathBuf,
    /// An earlier state of the same folder.
    pub older: PathBuf,
    /// The contents that a read must return.
    pub contents: Contents,
    /// The events in its export, each as a hash.
    pub events: Vec<u64>,
    /// The length of the acknowledged part of the last segment, in bytes.
    pub acknowledged: u64,
}

/// One folder in several states, and the folder of another store.
pub struct Prepared {
    /// After a clean stop.
    pub stopped: Form,
    /// Killed after its last write was acknowledged.
    pub killed: Form,
    /// Killed during a write to the journal.
    pub torn: Form,
    /// The folder of another store.
    pub foreign: PathBuf,
    guard: TempDir,
}

/// Reads the settings of every scope.
pub async fn read(server: &Server) -> Result<Contents> {
    let mut client = Client::of(server).await?;
    let mut contents = Contents::new();
    for scope in SCOPES.into_iter().chain([UNTOUCHED]) {
        contents.insert(scope, client.get(scope).await?);
    }
    Ok(contents)
}

/// Reads the settings of every scope and compares them with `expected`.
///
/// # Errors
/// The scopes that differ, or a scope that cannot be read.
pub async fn compare(server: &Server, expected: &Contents) -> Result<(), Finding> {
    let found = read(server).await?;
    let different = |scope: &Scope| (found[scope] != expected[scope]).then(|| (*scope, &found[scope]));
    let different: Vec<_> = expected.keys().filter_map(different).collect();
    if different.is_empty() { Ok(()) } else { Err(Finding::Lost(format!("these are not as they were: {different:?}"))) }
}

/// The segments of the journal in a data folder, in order.
pub fn segments(folder: &Path) -> Result<Vec<PathBuf>> {
    ending(folder, "log")
}

/// The bases of the journal in a data folder, in order.
pub fn bases(folder: &Path) -> Result<Vec<PathBuf>> {
    ending(folder, "base")
}

fn ending(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let files = folder::files(folder)?;
    Ok(files.into_iter().filter(|file| file.extension().is_some_and(|found| found == ending)).collect())
}

impl Prepared {
    /// Makes every form except the large one, by running a server.
    pub async fn new(binary: &Binary, rng: &mut Rng) -> Result<Self> {
        let guard = tempfile::tempdir()?;
        let place = |name: &str| guard.path().join(name);
        let (live, older, foreign) = (place("live"), place("older"), place("foreign"));

        binary.write(&foreign, rng, 40).await?.stop().await?;
        binary.write(&live, rng, 60).await?.kill().await?;
        folder::copy(&live, &older)?;

        let server = binary.write(&live, rng, 150).await?;
        let contents = read(&server).await?;
        server.stop().await?;
        let stopped = Form::of(binary, "stopped", &live, place("stopped"), &older, contents).await?;

        let server = binary.write(&live, rng, 60).await?;
        let contents = read(&server).await?;
        server.kill().await?;
        let killed = Form::of(binary, "killed", &live, place("killed"), &older, contents).await?;

        binary.write(&live, rng, 1).await?.kill().await?;
        let torn = Form::of(binary, "torn", &killed.folder, place("torn"), &older, killed.contents.clone()).await?;
        torn.tear(&live, rng)?;

        Ok(Self { stopped, killed, torn, foreign, guard })
    }

    /// A folder with several segments. Takes long.
    pub async fn large(&self, binary: &Binary, rng: &mut Rng) -> Result<Form> {
        let place = |name: &str| self.guard.path().join(name);
        let (live, older) = (place("large-live"), place("large-older"));
        fill(binary, &live).await?;
        folder::copy(&live, &older)?;
        let server = binary.write(&live, rng, 20).await?;
        let contents = read(&server).await?;
        let has_bases = async {
            while bases(&live)?.len() < 2 {
                sleep(Duration::from_millis(10)).await;
            }
            anyhow::Ok(())
        };
        timeout(PATIENCE, has_bases).await.context("the server makes no bases")??;
        server.stop().await?;
        Form::of(binary, "of several segments", &live, place("large"), &older, contents).await
    }
}

impl Form {
    async fn of(
        binary: &Binary,
        name: &'static str,
        from: &Path,
        folder: PathBuf,
        older: &Path,
        contents: Contents,
    ) -> Result<Self> {
        folder::copy(from, &folder)?;
        let last = segments(&folder)?.pop().context("a data folder has a segment")?;
        let acknowledged = segment::end(&fs::read(folder.join(last))?) as u64;
        let events = binary.events(&folder).await?;
        Ok(Self { name, folder, older: older.to_owned(), contents, events, acknowledged })
    }

    /// Puts a torn write at the end of the journal, as after a crash: a part of the bytes that `later` has there, then
    /// nothing or zeros.
    fn tear(&self, later: &Path, rng: &mut Rng) -> Result<()> {
        let last = segments(&self.folder)?.pop().context("a data folder has a segment")?;
        let mut bytes = fs::read(later.join(&last))?;
        let whole = segment::end(&bytes) as u64;
        ensure!(whole > self.acknowledged + 1, "the last write has left nothing in the journal");
        let torn = rng.u64(self.acknowledged + 1..whole) as usize;
        if rng.bool() {
            bytes.truncate(torn);
        }
        bytes[torn..].fill(0);
        fs::write(self.folder.join(last), bytes)?;
        Ok(())
    }
}

impl Binary {
    /// Starts a server on a folder and writes randomly. The server acknowledges all writes.
    async fn write(&self, folder: &Path, rng: &mut Rng, writes: u64) -> Result<Server> {
        let server = self.serve(folder).await?;
        let mut client = Client::of(&server).await?;
        for _ in 0..writes {
            client.text_bytes = rng.usize(40..2000);
            client.set(SCOPES[rng.usize(..SCOPES.len())], rng.u64(1..u64::MAX)).await?;
        }
        Ok(server)
    }
}

/// Writes large values from many clients until a third segment begins.
async fn fill(binary: &Binary, folder: &Path) -> Result<()> {
    let server = binary.serve(folder).await?;
    let mut client = Client::of(&server).await?;
    client.text_bytes = 2000;
    let writers: Vec<_> = (0..64_u32)
        .map(|writer| {
            let (mut client, folder) = (client.clone(), folder.to_owned());
            tokio::spawn(async move {
                let mut number = 0;
                while segments(&folder)?.len() < 3 {
                    for _ in 0..20 {
                        number += 1;
                        client.set(Scope::User(1000 + writer), number).await?;
                    }
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for writer in writers {
        writer.await??;
    }
    server.kill().await.map(drop)
}
