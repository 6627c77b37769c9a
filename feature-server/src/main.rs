//! The binary: reads the command line, loads the configuration, sets up logs, runs the command and reports the result.

#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};
use feature_auth::Timestamp;
use feature_auth::keys::{KeyFolder, OwnKey};
use feature_auth::mint::TokenRequest;
use feature_auth::roles::Roles;
use feature_server::cli::probe::probe;
use feature_server::cli::{self, Command, CommandLine, KeysCommand, TokenArgs, commands, fleet_commands};
use feature_server::config::settings::Settings;
use feature_server::server::system::room_for_connections;
use feature_server::server::{Ended, Server, open_keys};
use feature_server::{config, telemetry};
use rustix::fs::Mode;
use rustix::process::umask;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Building a projection takes a third less time than with the system's allocator (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // Files contain values, subjects and keys, so all new files, sled's included, are for this user only.
    umask(Mode::RWXG | Mode::RWXO);
    let line = match CommandLine::parse() {
        Ok(line) => line,
        Err(code) => return ExitCode::from(code),
    };
    let code = match run(line) {
        Ok(()) => cli::exit::OK,
        Err(error) => {
            telemetry::say(&format!("feature-server: {error:#}"));
            cli::exit::code(error.as_ref())
        }
    };
    telemetry::finish();
    ExitCode::from(code)
}

fn run(line: CommandLine) -> Result<()> {
    let configuration = config::load(&line.flags)?;
    let settings = configuration.settings();
    telemetry::init(&settings.log);
    match line.command {
        Command::Serve(_) => {
            for variable in configuration.ignored_variables() {
                tracing::warn!(variable, "the variable has a value that this server does not take, and is left out");
            }
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let ended = runtime.block_on(serve(settings));
            // Does not wait for a blocking thread that reads from a disk that hangs.
            runtime.shutdown_background();
            ended
        }
        Command::Token(TokenArgs { keys: Some(KeysCommand::Keygen), .. }) => generate_key(settings),
        Command::Token(TokenArgs { keys: Some(KeysCommand::Keys), .. }) => list_keys(settings),
        Command::Token(arguments) => mint(settings, arguments),
        Command::Config(_) => print(&configuration.to_toml()),
        Command::Probe { address } => {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            print(&format!("{}\n", runtime.block_on(probe(settings, address))?))
        }
        Command::Export { output } => {
            match &settings.store.url {
                Some(url) => fleet_commands::export(url, &settings.store, output.as_deref())?,
                None => commands::export(&settings.server.data, output.as_deref())?,
            }
            Ok(())
        }
        Command::Import { file } => print(&match &settings.store.url {
            Some(url) => fleet_commands::import(url, &settings.store, &file)?,
            None => commands::import(&settings.server.data, &file)?,
        }),
        Command::Revoke { entry } => print(&fleet_commands::revoke(&settings.store, &entry)?),
        Command::Verify { folder: Some(folder) } => verify(&folder),
        Command::Verify { folder: None } => {
            fleet_commands::refuse_database(&settings.store)?;
            verify(&settings.server.data)
        }
        Command::Backup { target, without_keys } => {
            fleet_commands::refuse_database(&settings.store)?;
            print(&commands::backup(&settings.server.data, &target, !without_keys)?)
        }
    }
}

/// How often a server that starts over tries to open again, and the pause between two attempts.
const RETRIES: u32 = 60;
const RETRY: Duration = Duration::from_secs(2);

async fn serve(settings: &Settings) -> Result<()> {
    let stopped = watch_signals((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?));
    tokio::spawn(answer_reloads(signal(SignalKind::hangup())?));
    let mut settings = settings.clone();
    settings.limits.connections = room_for_connections(settings.limits.connections);
    let settings = &settings;
    let mut retries = 0;
    loop {
        let server = match Server::open(settings).await {
            // What made the server start over may still be under way.
            Err(error) if retries > 0 && !*stopped.borrow() => {
                retries -= 1;
                tracing::warn!(%error, retries, "the server cannot start over yet");
                tokio::time::sleep(RETRY).await;
                continue;
            }
            opened => opened?,
        };
        let data = settings.server.data.display();
        print(&format!("data folder {data}\n"))?;
        print(&format!("to mint a token: feature-server token --data {data} --role IAM_OWNER --instance demo\n"))?;
        if let Some(address) = server.metrics_address() {
            print(&format!("metrics and probes on http://{address}\n"))?;
        }
        print(&format!("listening on {}\n", server.address()))?;
        let mut stopped = stopped.clone();
        // The sender lives as long as the process.
        let stop = async { drop(stopped.wait_for(|stopped| *stopped).await) };
        match server.run(settings, stop).await? {
            Ended::Stopped => return Ok(()),
            Ended::StartOver if *stopped.borrow() => return Ok(()),
            Ended::StartOver => retries = RETRIES,
        }
    }
}

/// Answers SIGHUP, the usual signal to reload files. This server reloads them all the time.
async fn answer_reloads(mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        tracing::info!(
            "SIGHUP: certificates, key files and the list of revoked tokens are read again within 10 seconds after a \
             change; a change of the configuration needs a restart"
        );
    }
}

/// Becomes `true` at the first signal. A second signal ends the process at once.
fn watch_signals((mut terminate, mut interrupt): (Signal, Signal)) -> watch::Receiver<bool> {
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(async move {
        for is_first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if is_first {
                stop.send_replace(true);
            }
        }
        tracing::warn!("a second signal: ending at once");
        telemetry::finish();
        std::process::exit(cli::exit::FAILURE.into());
    });
    stopped
}

fn mint(settings: &Settings, arguments: TokenArgs) -> Result<()> {
    let lifetime = arguments.ttl();
    let TokenArgs { roles, instance, organization, user, verbose, .. } = arguments;
    let keys = open_keys(settings)?;
    let asked = TokenRequest { roles, instance, organization, user, lifetime };
    let (key, roles) = (keys.signing()?, Roles::new(&settings.roles));
    let minted = feature_auth::mint::mint(&key, &settings.auth, &roles, &asked, Timestamp::now())?;
    for hint in minted.hints {
        telemetry::say(&format!("feature-server: {hint}"));
    }
    if verbose {
        let expires_at = UNIX_EPOCH + Duration::from_secs(minted.expires_at);
        let expires_at = humantime::format_rfc3339_seconds(expires_at);
        telemetry::say(&format!("feature-server: the token's id is {}, and it expires at {expires_at}", minted.id));
    }
    print(&format!("{}\n", minted.token))
}

fn generate_key(settings: &Settings) -> Result<()> {
    let OwnKey { id, path } = KeyFolder::add(&settings.server.data)?;
    print(&format!("new signing key {id} in {}\n", path.display()))
}

fn verify(folder: &Path) -> Result<()> {
    let verified = commands::verify(folder)?;
    print(&verified.summary)?;
    Ok(verified.outcome?)
}

/// Prints one key a line: its id, its use, its file.
fn list_keys(settings: &Settings) -> Result<()> {
    let keys = KeyFolder::list(&settings.server.data)?;
    let signing = keys.len().saturating_sub(1);
    let line = |(index, OwnKey { id, path }): (usize, &OwnKey)| {
        format!("{id}  {}  {}\n", if index == signing { "signs   " } else { "verifies" }, path.display())
    };
    print(&keys.iter().enumerate().map(line).collect::<String>())
}

/// Prints to standard output. A closed pipe is success: the reader, such as `head`, needs no more.
fn print(text: &str) -> Result<()> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome.context("cannot write to standard output"),
    }
}
