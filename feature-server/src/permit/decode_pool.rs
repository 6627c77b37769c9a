//! Decoding of large messages on threads of its own, since other connections of the core would wait for it. Few jobs
//! run at a time, at a low priority, and each identity has a part of the queue.

use std::sync::Arc;

use grpc_transcoding::Error;
use grpc_transcoding::host::INLINE_BYTES;
use tokio::task::spawn_blocking;

use super::{Permit, Permits, Standing};
use crate::middleware::identity_share::{Usage, give_back};

/// The most jobs that run or wait. One identity has a quarter of them, so that it delays others by a few jobs only.
pub(crate) const JOBS: usize = 32;

/// The niceness of the jobs' threads. The threads of connections get nine tenths of a core that both need.
const NICENESS: i32 = 10;

/// Lowers the priority of the current thread: a thread of a core's runtime that runs jobs.
pub(crate) fn lower_priority() {
    // If the system does not allow it, jobs take more time from connections.
    let _ = rustix::process::nice(NICENESS);
}

/// Runs a job that decodes so many bytes for a call: at once up to [`INLINE_BYTES`], else on a thread of its own. Fails
/// with [`Error::Overloaded`] when there are too many jobs, in all or of its identity.
pub(crate) async fn run<T: Send + 'static>(
    permit: &Permit,
    bytes: usize,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    if bytes <= INLINE_BYTES {
        return Ok(job());
    }
    let identity = match &permit.held().standing {
        Standing::Authenticated { identity } => Arc::clone(identity),
        // Messages of public methods are small.
        _ => return Err(Error::Overloaded),
    };
    let permits = Arc::clone(&permit.0.permits);
    permits.jobs.take(1, &permits.used.jobs, &identity.jobs).map_err(|_| Error::Overloaded)?;
    let workers = Arc::clone(&permits.workers);
    let place = Job { permits, identity };
    let worker = workers.acquire_owned().await.expect("the semaphore is never closed");
    let done = spawn_blocking(move || {
        let done = job();
        // Both are held until the job is done, even if its call is gone by then.
        drop((worker, place));
        done
    });
    // The job ends early only by a panic, which the panic hook has logged, or because the server stops.
    done.await.map_err(|_| Error::Internal)
}

/// A place among the jobs of large work, until it is dropped.
struct Job {
    permits: Arc<Permits>,
    identity: Arc<Usage>,
}

impl Drop for Job {
    fn drop(&mut self) {
        give_back(&self.permits.used.jobs, 1);
        give_back(&self.identity.jobs, 1);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn only_large_jobs_leave_the_thread() {
        let (permit, _guard) = Permits::for_tests(1 << 20);
        for (bytes, stays) in [(0, true), (INLINE_BYTES, true), (INLINE_BYTES + 1, false)] {
            let ran_on = run(&permit, bytes, || thread::current().id()).await.unwrap();
            assert_eq!(ran_on == thread::current().id(), stays, "{bytes} bytes");
        }
    }

    #[tokio::test]
    async fn jobs_of_one_identity_leave_places_to_others() {
        let permits = Permits::with_message_bytes(1 << 20);
        let call = |identity: &Arc<_>| {
            let (permit, guard) = permits.permit([127, 0, 0, 1].into(), false, 1 << 20);
            permit.authenticate(Arc::clone(identity)).unwrap();
            (permit, guard)
        };
        let (mallory, ann) = (Arc::default(), Arc::default());
        let (end, ends) = mpsc::channel::<()>();
        let (permit, _guard) = call(&mallory);
        let running = tokio::spawn(async move { run(&permit, usize::MAX, move || ends.recv().is_err()).await });
        let waiting: Vec<_> = (1..JOBS / 4)
            .map(|_| {
                let (permit, guard) = call(&mallory);
                tokio::spawn(async move {
                    let _guard = guard;
                    run(&permit, usize::MAX, || true).await
                })
            })
            .collect();
        // The jobs take their places when their tasks first run.
        while permits.jobs() < JOBS / 4 {
            tokio::task::yield_now().await;
        }
        let (permit, _guard) = call(&mallory);
        assert!(matches!(run(&permit, usize::MAX, || ()).await, Err(Error::Overloaded)));
        let (permit, _guard) = call(&ann);
        let other = tokio::spawn(async move { run(&permit, usize::MAX, || "answered").await.unwrap() });
        drop(end);
        assert_eq!(other.await.unwrap(), "answered");
        for job in waiting.into_iter().chain([running]) {
            assert!(job.await.unwrap().unwrap());
        }
        assert_eq!(permits.jobs(), 0);
    }
}
