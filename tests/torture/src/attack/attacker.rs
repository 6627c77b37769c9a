//! The attacker: many connections that all do the same, at a rate that is told, for as long as the attack lasts.

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

/// What is done on one connection. It ends by itself, or with an error when the server closes the connection; then the
/// next connection is made. An error of the kind `Other` tells of a promise that the server has not kept.
pub type Steps = for<'a> fn(Wire, &'a mut Pace) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>>;

/// What all connections of an attack do.
#[derive(Debug, Clone, Copy)]
pub enum Session {
    /// Each makes these steps. They begin one after the other, at the rate of the attack.
    Steps(Steps),
    /// Each makes one call again and again. All begin at the same moment, and then keep to the attack's rate.
    Calls(Request),
}

/// An attack.
#[derive(Debug, Clone, Copy)]
pub struct Attack {
    pub name: &'static str,
    /// What is counted, in the plural.
    pub unit: &'static str,
    /// How many of these there are in a second, over all connections.
    pub per_second: u32,
    pub connections: u32,
    /// How the server is configured; everything else is as by default.
    pub settings: &'static [(&'static str, &'static str)],
    /// How long the attack lasts at least.
    pub least: Duration,
    /// The attacker keeps its connections open afterwards, and the server has closed them within this time.
    pub let_go_within: Option<Duration>,
    /// Whether the server speaks TLS.
    pub tls: bool,
    /// Whether it takes all the places that the attacker can have: calls beyond them are to be refused at once.
    pub overload: bool,
    /// The arguments of `token` that make the attacker's.
    pub caller: &'static str,
    /// Whether it is a part of the short form.
    pub in_short: bool,
    pub session: Session,
}

impl Attack {
    /// An attack on a server as it is by default, which ends with the attacker's connections.
    pub const fn new(name: &'static str, rate: (u32, &'static str), connections: u32, steps: Steps) -> Self {
        Self::with(name, rate, connections, Session::Steps(steps))
    }

    /// One of the same call again and again.
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

/// How many connections come from one address.
const PER_ADDRESS: u32 = 500;

/// The time between the end of a connection and the next one.
const PAUSE: Duration = Duration::from_millis(5);

/// Connections under way.
pub struct Attacker {
    /// Of its own, in threads that run when nobody else wants to: who attacks a server doesn't take its processors.
    runtime: Option<Runtime>,
    connections: JoinSet<()>,
    over: Arc<AtomicBool>,
}

/// What attackers got done.
#[derive(Debug, Default)]
pub struct Score {
    units: Arc<AtomicU64>,
    closed: AtomicU64,
    /// What was promised and not kept.
    pub finding: Mutex<Option<String>>,
}

impl Score {
    /// What was done, in the units of the attack.
    pub fn units(&self) -> u64 {
        self.units.load(Ordering::Relaxed)
    }

    /// Connections that the server closed.
    pub fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }
}

impl Attacker {
    /// Begins an attack, and adds what it gets done to `score`.
    pub fn start(attack: Attack, target: &Target, score: &Arc<Score>) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            // Where it is not allowed the attacker is only harder on the server.
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
            let mut pace = Pace::new(each, Arc::clone(&score.units));
            let session = session.clone();
            connections.spawn_on(
                async move {
                    if let Ready::Steps(_) = session {
                        // Not all at the same moment: the first comes at its turn.
                        sleep(Duration::from_secs_f64(f64::from(number) / f64::from(attack.per_second))).await;
                    }
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

    /// Makes no connection any more; those that are there go on.
    pub fn stop_connecting(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// Closes what is open.
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

/// A session of which everything is made that can be made before a connection.
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
