//! A connection that is made when it is needed, and given up after an error.

use std::collections::HashMap;
use std::future::poll_fn;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, Error, Row, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::hosts::Hosts;
use super::is_refusal;

/// A place for one connection.
pub(super) struct Link {
    hosts: Arc<Hosts>,
    session: Mutex<Option<Session>>,
    /// The generation of the host of the last call.
    generation: AtomicU64,
    /// Gets a permit whenever the log may have grown, if this connection listens.
    hints: Option<Arc<Hints>>,
}

/// Says that the log has grown.
#[derive(Default)]
struct Hints {
    news: Notify,
    /// The revision up to which it has, since the last hint was taken.
    revision: AtomicU64,
}

/// A connection with its prepared statements.
pub(super) struct Session {
    client: Client,
    /// The generation of its host.
    generation: u64,
    statements: HashMap<&'static str, Statement>,
    /// Whether a transaction is open.
    in_turn: bool,
    /// The last warning of the database.
    warning: Arc<Mutex<Option<String>>>,
}

/// Why a call has no outcome.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("{0}")]
    NotConnected(String),
    #[error("{}", describe(.0))]
    Failed(#[from] Error),
    #[error("the database warns: {0}")]
    Warned(String),
    #[error("no answer within {} ms", .0.as_millis())]
    TooLate(Duration),
    #[error("the database has what this server does not understand: {0}")]
    NotUnderstood(&'static str),
}

impl Lost {
    /// Whether the statement may have taken effect, or may yet.
    pub(super) fn may_have_succeeded(&self) -> bool {
        match self {
            Self::NotConnected(_) => false,
            Self::Failed(error) => !is_refusal(error),
            Self::TooLate(_) | Self::Warned(_) | Self::NotUnderstood(_) => true,
        }
    }

    /// Whether the user may not do this.
    pub(super) fn is_missing_right(&self) -> bool {
        matches!(self, Self::Failed(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE))
    }

    /// Whether the host has refused the statement and is well otherwise. One that takes no writes is not.
    pub(super) fn is_answer(&self) -> bool {
        matches!(self, Self::Failed(error)
            if is_refusal(error) && error.code() != Some(&SqlState::READ_ONLY_SQL_TRANSACTION))
    }
}

impl Link {
    pub(super) fn new(hosts: &Arc<Hosts>) -> Self {
        Self { hosts: Arc::clone(hosts), session: Mutex::new(None), generation: AtomicU64::new(0), hints: None }
    }

    /// A place for a connection that listens to hints.
    pub(super) fn listening(hosts: &Arc<Hosts>) -> Self {
        Self { hints: Some(Arc::default()), ..Self::new(hosts) }
    }

    /// Returns at a hint, with the revision that the log has, or after `patience`.
    pub(super) async fn hint(&self, patience: Duration) -> Option<u64> {
        let hints = self.hints.as_ref()?;
        timeout(patience, hints.news.notified()).await.ok()?;
        Some(hints.revision.swap(0, Ordering::Relaxed))
    }

    /// Leaves the host of the last call, unless all links have left it since.
    pub(super) fn leave_host(&self) {
        self.hosts.leave(self.generation.load(Ordering::Relaxed));
    }

    /// Makes a call, and if need be a connection for it, within one deadline. Another call of this link waits.
    pub(super) async fn call<T>(
        &self,
        deadline: Duration,
        query: impl AsyncFnOnce(&mut Session) -> Result<T, Lost>,
    ) -> Result<T, Lost> {
        let end = Instant::now() + deadline;
        let mut kept = timeout_at(end, self.session.lock()).await.map_err(|_| Lost::TooLate(deadline))?;
        if kept.is_some() {
            // The task of a connection that rests between calls sees now whether the database has closed it.
            yield_now().await;
            yield_now().await;
        }
        let mut session = match self.current(kept.take()) {
            Some(session) => session,
            None => {
                let open = async |config: &Config, tls: &MakeRustlsConnect| {
                    Session::open(config, tls.clone(), self.hints.clone()).await
                };
                let (session, generation) = self.hosts.connect(end, open).await?;
                Session { generation, ..session }
            }
        };
        self.generation.store(session.generation, Ordering::Relaxed);
        let outcome = timeout_at(end, query(&mut session)).await.unwrap_or(Err(Lost::TooLate(deadline)));
        let outcome = match outcome {
            Ok(answer) => session.unwarned().await.map(|()| answer),
            lost => lost,
        };
        // After an error nothing is known about the session. A new one costs milliseconds.
        match &outcome {
            Ok(_) => *kept = Some(session),
            Err(lost) if lost.is_answer() => {}
            Err(_) => self.hosts.leave(session.generation),
        }
        outcome
    }

    /// The session of the last call, if it still leads where those of the other links do. One in the middle of a turn
    /// is given up as well, which ends the turn.
    fn current(&self, kept: Option<Session>) -> Option<Session> {
        kept.filter(|session| !session.client.is_closed() && session.generation == self.hosts.generation())
    }
}

impl Session {
    async fn open(config: &Config, tls: MakeRustlsConnect, hints: Option<Arc<Hints>>) -> Result<Self, Lost> {
        let connected = config.connect(tls).await;
        let (client, mut connection) = connected.map_err(|error| Lost::NotConnected(describe(&error)))?;
        let listens = hints.is_some();
        let warning: Arc<Mutex<Option<String>>> = Arc::default();
        let of_task = Arc::clone(&warning);
        // It ends with the client and the last answer. Its error is that of the calls.
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                match (message, &hints) {
                    (AsyncMessage::Notification(hint), Some(hints)) => {
                        let revision = hint.payload().parse().unwrap_or(u64::MAX);
                        hints.revision.fetch_max(revision, Ordering::Relaxed);
                        hints.news.notify_one();
                    }
                    (AsyncMessage::Notice(notice), _) if notice.parsed_severity() == Some(Severity::Warning) => {
                        *of_task.lock().await = Some(notice.message().to_owned());
                    }
                    _ => {}
                }
            }
        });
        // An append compares anew after it has waited for another one, which is what `read committed` does.
        // A statement that this side has given up must not run on.
        let set = "SET default_transaction_isolation = 'read committed'; SET lock_timeout = '3s';
            SET statement_timeout = '5s'; SET idle_in_transaction_session_timeout = '1s'";
        client.batch_execute(set).await.map_err(|error| Lost::NotConnected(describe(&error)))?;
        if listens && let Err(error) = client.batch_execute("LISTEN feature_service").await {
            // A pool between server and database may have no LISTEN. The poll finds everything, a little later.
            tracing::warn!(
                error = describe(&error),
                "the database sends no hints, so changes are looked for every 250 ms"
            );
        }
        Ok(Self { client, generation: 0, statements: HashMap::new(), in_turn: false, warning })
    }

    /// Fails after a warning: PostgreSQL answers with success when an administrator ends the wait of a commit for its
    /// standby, and only warns. None of our statements gives another warning.
    async fn unwarned(&self) -> Result<(), Lost> {
        self.warning.lock().await.take().map_or(Ok(()), |warning| Err(Lost::Warned(warning)))
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) async fn query(
        &mut self,
        sql: &'static str,
        types: &[Type],
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Lost> {
        let statement = match self.statements.get(sql) {
            Some(statement) => statement,
            None => {
                let statement = self.client.prepare_typed(sql, types).await?;
                self.statements.entry(sql).or_insert(statement)
            }
        };
        Ok(self.client.query(statement, parameters).await?)
    }

    /// The only row of a query.
    pub(super) async fn query_one(
        &mut self,
        sql: &'static str,
        types: &[Type],
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Lost> {
        self.query(sql, types, parameters).await?.pop().ok_or(Lost::NotUnderstood("a table lacks its only row"))
    }

    /// Opens a transaction, if none is open.
    pub(super) async fn begin(&mut self) -> Result<(), Lost> {
        if !mem::replace(&mut self.in_turn, true) {
            self.client.batch_execute("BEGIN").await?;
        }
        Ok(())
    }

    /// Ends the transaction, if one is open.
    pub(super) async fn end_turn(&mut self, commit: bool) -> Result<(), Lost> {
        if mem::take(&mut self.in_turn) {
            self.client.batch_execute(if commit { "COMMIT" } else { "ROLLBACK" }).await?;
        }
        Ok(())
    }
}

/// What an error says, with what the database said.
pub(super) fn describe(error: &Error) -> String {
    match error.as_db_error() {
        Some(database) => format!("{} ({})", database.message(), database.code().code()),
        None => {
            std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
        }
    }
}
