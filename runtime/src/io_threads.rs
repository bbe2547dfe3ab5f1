//! The threads that serve sockets, from before anything else is opened to their end.
//!
//! Promise: all runtimes are made before the first thread parts with the common descriptor table, and end in that table
//! after their threads, so that whoever wakes one writes to the right eventfd from everywhere (`descriptors`).
//! A thread that cannot start stops all of them. Must never know: what is served.

use std::io;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread::{Builder, JoinHandle};

use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use crate::accept::{Accepted, Arrivals};
use crate::descriptors::{self, Letterbox, Post};
use crate::execute::ShardAction;
use crate::server::StartError;
use crate::shard::{self, Inbox, Shard};
use crate::shared::Shared;

/// What a thread needs to begin.
pub(crate) struct Work {
    pub(crate) index: u16,
    pub(crate) shared: Arc<Shared>,
    pub(crate) actions: tokio::sync::mpsc::Receiver<Vec<ShardAction>>,
    pub(crate) accepted: tokio::sync::mpsc::Receiver<Accepted>,
}

/// A shard's thread. Dropped: it is waited for; it ends when it has no work, or with its work.
#[derive(Debug)]
pub(crate) struct IoThread {
    begin: Option<mpsc::SyncSender<Work>>,
    thread: Option<JoinHandle<Reactor>>,
}

/// Threads that wait for their work.
pub(crate) struct IoThreads {
    /// One per shard.
    pub(crate) threads: Vec<IoThread>,
    /// Where their sockets are to be sent, if they have tables of their own.
    pub(crate) posts: Vec<Option<Post>>,
}

/// What a thread is born with. All of it is opened before any of them runs.
struct Equipment {
    reactor: Reactor,
    way: Option<(Post, Arc<Letterbox>)>,
}

impl Equipment {
    fn new(own_table: bool) -> io::Result<Self> {
        let way = own_table.then(descriptors::way).transpose()?;
        Ok(Self {
            reactor: Reactor::new()?,
            way: way.map(|(post, letterbox)| (post, Arc::new(letterbox))),
        })
    }
}

/// A runtime of one thread that may be dropped by anybody, also by a task, which must not block.
#[derive(Debug)]
pub(crate) struct Reactor(Option<Runtime>);

impl Reactor {
    fn new() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        self.0.as_ref().expect("taken only when it is dropped")
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl IoThreads {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system has no more threads or descriptors, or does not let a thread have a table of its own.
    pub(crate) fn start(count: usize, own_tables: bool) -> Result<Self, StartError> {
        let refused = |cause| StartError::System {
            what: "descriptors for the I/O threads",
            cause,
        };
        let equipment: Vec<_> = (0..count)
            .map(|_| Equipment::new(own_tables))
            .collect::<Result<_, _>>()
            .map_err(refused)?;
        let mut threads = Vec::with_capacity(count);
        let mut posts = Vec::with_capacity(count);
        for Equipment { reactor, way } in equipment {
            let (post, letterbox) = way.unzip();
            threads.push(IoThread::start(reactor, letterbox)?);
            posts.push(post);
        }
        Ok(Self { threads, posts })
    }
}

impl IoThread {
    /// Returns when the thread has its own table, if it is to have one.
    fn start(reactor: Reactor, letterbox: Option<Arc<Letterbox>>) -> Result<Self, StartError> {
        let (begin, work) = mpsc::sync_channel(1);
        let (report, reported) = mpsc::sync_channel(1);
        // The thread's share is gone when it reports: the descriptor in the common table is closed there.
        let common = letterbox.clone();
        let run = move || {
            let parted = part(letterbox);
            let (letterbox, said) = match parted {
                Ok(letterbox) => (letterbox, Ok(())),
                Err(error) => (None, Err(error)),
            };
            // Nobody listens only if the server does not start.
            let _ = report.send(said);
            if let Ok(work) = work.recv() {
                live(reactor.runtime(), work, letterbox);
            }
            reactor
        };
        let thread = Builder::new()
            .name("shard".to_owned())
            .spawn(run)
            .map_err(StartError::no_thread)?;
        let started = Self {
            begin: Some(begin),
            thread: Some(thread),
        };
        let said = reported
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the thread panicked")));
        drop(common);
        said.map_err(|cause| StartError::System {
            what: "a descriptor table for each I/O thread (ws.shard_descriptors)",
            cause,
        })?;
        Ok(started)
    }

    /// Lets the thread serve, until the core has stopped.
    pub(crate) fn begin(&mut self, work: Work) {
        if let Some(begin) = self.begin.take() {
            // A thread that is gone has panicked and said so.
            let _ = begin.send(work);
        }
    }

    /// Waits for its end, which comes with that of its work.
    #[allow(clippy::unused_async, reason = "waiting is a future in the simulated world")]
    pub(crate) async fn end(self) {
        drop(self);
    }
}

/// Leaves the common table; what comes back belongs to the new one.
fn part(letterbox: Option<Arc<Letterbox>>) -> io::Result<Option<Letterbox>> {
    let Some(letterbox) = letterbox else {
        return Ok(None);
    };
    descriptors::part()?;
    letterbox.moved_here().map(Some)
}

fn live(runtime: &Runtime, work: Work, letterbox: Option<Letterbox>) {
    let accepted = Arrivals {
        lane: work.accepted,
        letterbox,
    };
    let inbox = Inbox {
        actions: work.actions,
        accepted,
    };
    let shard = Rc::new(Shard::new(work.index, work.shared));
    // A task of the set is woken by its neighbours without a system call; the future of `block_on` is not.
    let serving = async { tokio::task::spawn_local(shard::serve(shard, inbox)).await };
    if let Err(panic) = LocalSet::new().block_on(runtime, serving) {
        std::panic::resume_unwind(panic.into_panic());
    }
}

impl Drop for IoThread {
    fn drop(&mut self) {
        drop(self.begin.take());
        // Its reactor comes back to the common table and ends here.
        drop(self.thread.take().map(JoinHandle::join));
    }
}
