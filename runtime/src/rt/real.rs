//! The machine as it is.

mod entrance;

use std::future::Future;
use std::io;
use std::thread::JoinHandle;

pub(crate) use entrance::{Incoming, Listener, Stop, Stopper, adopt, end_of_stream, listen, stop_pair};
pub(crate) use tokio::net::{TcpListener, TcpStream};
pub(crate) use tokio::{task, time};

/// A thread that is to be waited for.
#[derive(Debug)]
pub(crate) struct Thread<T>(JoinHandle<T>);

impl<T> Thread<T> {
    /// Waits for its end. Blocks: for threads and callers that have nothing else to do meanwhile.
    ///
    /// # Errors
    /// Its panic.
    #[allow(clippy::unused_async, reason = "waiting is a future in the simulated world")]
    pub(crate) async fn join(self) -> std::thread::Result<T> {
        self.0.join()
    }
}

/// Starts a thread for one future, which may wait for queues and for time, and may block.
///
/// # Errors
/// The system has no more threads or memory.
pub(crate) fn thread<F: Future>(
    name: &'static str,
    start: impl FnOnce() -> F + Send + 'static,
) -> io::Result<Thread<F::Output>>
where
    F::Output: Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let run = move || runtime.block_on(start());
    Ok(Thread(
        std::thread::Builder::new().name(name.to_owned()).spawn(run)?,
    ))
}

/// Starts a thread for one future, which may use sockets, too, and have neighbours (`task::spawn_local`).
///
/// # Errors
/// The system has no more threads, memory or descriptors.
pub(crate) fn thread_with_sockets<F: Future>(
    name: &'static str,
    start: impl FnOnce() -> F + Send + 'static,
) -> io::Result<Thread<F::Output>>
where
    F::Output: Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let run = move || task::LocalSet::new().block_on(&runtime, start());
    Ok(Thread(
        std::thread::Builder::new().name(name.to_owned()).spawn(run)?,
    ))
}

/// Carries out what waits by blocking only, for callers that are no futures.
pub(crate) fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut cx) {
        std::task::Poll::Ready(done) => done,
        std::task::Poll::Pending => unreachable!("whatever waits here blocks"),
    }
}

/// What a disk does beside obeying: nothing.
///
/// # Errors
/// None; SQLite reports those of the real disk.
#[allow(clippy::unused_async, reason = "a simulated disk takes its time")]
pub(crate) async fn disk() -> rusqlite::Result<()> {
    Ok(())
}
