//! Tasks that stand for the threads that serve sockets.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::Thread;
use crate::accept::{Accepted, Arrivals};
use crate::descriptors::Post;
use crate::execute::ShardAction;
use crate::rt;
use crate::server::StartError;
use crate::shard::{self, Inbox, Shard};
use crate::shared::Shared;

/// What a thread needs to begin.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) index: u16,
    pub(crate) shared: Arc<Shared>,
    pub(crate) actions: mpsc::Receiver<Vec<ShardAction>>,
    pub(crate) accepted: mpsc::Receiver<Accepted>,
}

/// A shard's thread.
#[derive(Debug)]
pub(crate) struct IoThread {
    begin: Option<oneshot::Sender<Work>>,
    thread: Thread<()>,
}

/// Threads that wait for their work.
pub(crate) struct IoThreads {
    pub(crate) threads: Vec<IoThread>,
    pub(crate) posts: Vec<Option<Post>>,
}

impl IoThreads {
    pub(crate) fn start(count: usize, _own_tables: bool) -> Result<Self, StartError> {
        let start = |_| {
            let (begin, work) = oneshot::channel();
            let thread = rt::thread("shard", || live(work)).map_err(StartError::no_thread)?;
            Ok(IoThread {
                begin: Some(begin),
                thread,
            })
        };
        Ok(Self {
            threads: (0..count).map(start).collect::<Result<_, StartError>>()?,
            posts: (0..count).map(|_| None).collect(),
        })
    }
}

impl IoThread {
    pub(crate) fn begin(&mut self, work: Work) {
        if let Some(begin) = self.begin.take() {
            let _ = begin.send(work);
        }
    }

    pub(crate) async fn end(self) {
        drop(self.begin);
        let _ = self.thread.join().await;
    }
}

async fn live(work: oneshot::Receiver<Work>) {
    let Ok(work) = work.await else { return };
    let accepted = Arrivals {
        lane: work.accepted,
        letterbox: None,
    };
    let inbox = Inbox {
        actions: work.actions,
        accepted,
    };
    shard::serve(Rc::new(Shard::new(work.index, work.shared)), inbox).await;
}
