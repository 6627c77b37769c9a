//! The attacker: many connections that all do the same at a given rate, for as long as the attack lasts.

use std::future::Future;
use std::io;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::request::{Prepared, Request};
use super::wire::{Pace, Target, Wire};

/// The steps on one connection. They end by themselves, or with an error when the server closes the connection; then
/// the attacker opens the next connection. An error of kind `Other` means that the server broke a promise.
pub type Steps = for<'a> fn(Wire, &'a mut Pace) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>>;

/// What every connection of an attack does.
#[derive(Debug, Clone, Copy)]
pub enum Session {
    /// Each connection makes these steps. The connections start one after the other, at the rate of the attack.
    Steps(Steps),
    /// Each connection repeats one call. All start at the same moment and then keep to the attack's rate.
    Calls(Request),
}

/// An attack.
#[derive(Debug, Clone, Copy)]
pub struct Attack {
    pub name: &'static str,
    /// The unit that the attack counts, in the plural.
    pub unit: &'static str,
    /// The number of units in a second, over all connections.
    pub per_second: u32,
    pub connections: u32,
    /// Settings of the server that differ from the default.
    pub settings: &'static [(&'static str, &'static str)],
    /// The minimum duration of the attack.
    pub least: Duration,
    /// If set, the attacker keeps its connections open after the attack, and the server must close them within this
    /// time.
    pub let_go_within: Option<Duration>,
    /// Whether the server speaks TLS.
    pub tls: bool,
    /// Whether the attack takes all slots that the attacker can have. The server must refuse further calls at once.
    pub overload: bool,
    /// The arguments of `token` for the attacker's token.
    pub caller: &'static str,
    /// Whether the attack is part of the short form.
    pub in_short: bool,
    pub session: Session,
}

impl Attack {
    /// An attack on a server with default settings. The attacker closes its connections at the end.
    pub const fn new(name: &'static str, rate: (u32, &'static str), connections: u32, steps: Steps) -> Self {
        Self::with(name, rate, connections, Session::Steps(steps))
    }

    /// An attack that repeats one call.
    pub const fn calls(name: &'static str, per_second: u32, connections: u32, request: Request) -> Self {
        Self::with(name, (per_second, "calls"), connections, Session::Calls(request))
    }

    const fn with(
        name: &'static str,
        (per_second, unit): (u32, &'static str),
        connections: u32,
        session: Session,
    ) -> Self {
        Self {
            name,
            unit,
            per_second,
            connections,
            settings: &[],
            least: Duration::ZERO,
            let_go_within: None,
            tls: false,
            overload: false,
            caller: "--role IAM_OWNER --instance demo --user mallory",
            in_short: true,
            session,
        }
    }
}

/// The maximum number of connections from one address.
const PER_ADDRESS: u32 = 500;

/// The time between the end of a connection and the start of the next one.
const PAUSE: Duration = Duration::from_millis(5);

/// The open connections of an attack.
pub struct Attacker {
    /// A runtime of its own, whose threads have the lowest priority, so that the attacker takes no processor time from
    /// the server.
    runtime: Option<Runtime>,
    connections: JoinSet<()>,
    over: Arc<AtomicBool>,
}

/// The sum of what all connections of an attack did.
#[derive(Debug, Default)]
pub struct Score {
    units: Arc<AtomicU64>,
    closed: AtomicU64,
    /// A promise that the server broke.
    pub finding: Mutex<Option<String>>,
}

impl Score {
    /// How many units the attack made.
    pub fn units(&self) -> u64 {
        self.units.load(Ordering::Relaxed)
    }

    /// How many connections the server closed.
    pub fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }
}

impl Attacker {
    /// Starts an attack and adds its results to `score`.
    pub fn start(attack: Attack, target: &Target, score: &Arc<Score>) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            // If this fails, the attacker only competes harder with the server.
            .on_thread_start(|| _ = rustix::process::nice(19))
            .build()?;
        let over = Arc::new(AtomicBool::new(false));
        let mut connections = JoinSet::new();
        let each = f64::from(attack.per_second) / f64::from(attack.connections);
        let session = match attack.session {
            Session::Steps(steps) => Ready::Steps(steps),
            Session::Calls(request) => Ready::Calls(Arc::new(request.prepare(&target.token))),
        };
        for number in 0..attack.connections {
            let (high, low) = (1 + number / PER_ADDRESS / 250, 1 + number / PER_ADDRESS % 250);
            let from = Ipv4Addr::new(127, high as u8, low as u8, 1);
            let (target, score, over) = (target.clone(), Arc::clone(score), Arc::clone(&over));
            let session = session.clone();
            connections.spawn_on(
                async move {
                    if let Ready::Steps(_) = session {
                        // Spreads the starts evenly instead of starting all connections at once. The pace begins
                        // afterwards, so that the connections do not fall into step.
                        sleep(Duration::from_secs_f64(f64::from(number) / f64::from(attack.per_second))).await;
                    }
                    let mut pace = Pace::new(each, Arc::clone(&score.units));
                    while !over.load(Ordering::Relaxed) {
                        connect(&session, &target, from, &mut pace, &score).await;
                        sleep(PAUSE).await;
                    }
                },
                runtime.handle(),
            );
        }
        Ok(Self { runtime: Some(runtime), connections, over })
    }

    /// Opens no more connections; the open ones go on.
    pub fn stop_connecting(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Closes the open connections.
    pub async fn let_go(&mut self) {
        self.stop_connecting();
        self.connections.shutdown().await;
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A session with everything prepared that needs no connection.
#[derive(Clone)]
enum Ready {
    Steps(Steps),
    Calls(Arc<Prepared>),
}

async fn connect(session: &Ready, target: &Target, from: Ipv4Addr, pace: &mut Pace, score: &Score) {
    let ended = match Wire::connect(target, from).await {
        Ok(wire) => match session {
            Ready::Steps(steps) => steps(wire, pace).await,
            Ready::Calls(request) => request.repeat(wire, pace).await,
        },
        Err(error) => Err(error),
    };
    match ended {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::Other => {
            *score.finding.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
        }
        Err(_) => drop(score.closed.fetch_add(1, Ordering::Relaxed)),
    }
}
