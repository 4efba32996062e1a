//! Threads for work that takes more than half a millisecond of CPU, apart from the async threads.
//!
//! The queue is bounded; who submits holds credit of the stage's edge, so it is never longer than that credit.
//! A panic inside a piece of work ends that piece only.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Stack of a pool thread: parsing is iterative, this leaves room for the libraries below it.
const STACK_BYTES: usize = 4 * 1024 * 1024;

type Work = Box<dyn FnOnce() + Send>;

/// A fixed number of threads. Dropping the pool lets them finish what is queued and end.
pub struct CpuPool {
    queue: SyncSender<Work>,
}

/// The work did not end with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CpuError {
    /// It panicked; the panic hook has logged it.
    #[error("the computation panicked")]
    Panicked,
    /// The queue is full: somebody submits without credit.
    #[error("the queue of CPU work is full")]
    Full,
    /// The threads have ended.
    #[error("the pool of CPU threads has ended")]
    Ended,
}

impl CpuPool {
    /// # Errors
    /// When the system gives no more threads.
    pub fn start(name: &str, n_threads: usize, max_queued: usize) -> std::io::Result<Self> {
        let (queue, source) = sync_channel::<Work>(max_queued.max(1));
        let source = Arc::new(Mutex::new(source));
        for number in 0..n_threads.max(1) {
            let source = Arc::clone(&source);
            std::thread::Builder::new().name(format!("{name}-{number}")).stack_size(STACK_BYTES).spawn(move || {
                while let Some(work) = next(&source) {
                    work();
                }
            })?;
        }
        Ok(Self { queue })
    }

    /// Runs `work` on one of the threads.
    ///
    /// # Errors
    /// When it panics, the queue is full, or the pool has ended.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, CpuError> {
        let (reply, answer) = oneshot::channel();
        let boxed: Work = Box::new(move || {
            let result = catch_unwind(AssertUnwindSafe(work));
            drop(reply.send(result));
        });
        self.queue.try_send(boxed).map_err(|error| match error {
            TrySendError::Full(_) => CpuError::Full,
            TrySendError::Disconnected(_) => CpuError::Ended,
        })?;
        match answer.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) => Err(CpuError::Panicked),
            Err(_) => Err(CpuError::Ended),
        }
    }
}

fn next(source: &Mutex<Receiver<Work>>) -> Option<Work> {
    source.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_one_piece_of_work_only() {
        let pool = CpuPool::start("test", 1, 4).expect("threads");
        assert_eq!(pool.run(|| panic!("boom")).await, Err::<(), _>(CpuError::Panicked));
        assert_eq!(pool.run(|| 7).await, Ok(7));
    }
}
