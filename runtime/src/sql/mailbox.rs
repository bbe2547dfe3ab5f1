//! Where the shard puts the replies for one session.

use std::cell::{Cell, RefCell};
use std::task::{Context, Waker};

use comet_core::{Reply, RequestId};

/// Shared by a session's task and its shard, on one thread. Bounded by the statements the session has in flight.
#[derive(Default)]
pub(crate) struct Mailbox {
    replies: RefCell<Vec<(RequestId, Reply)>>,
    closed: Cell<bool>,
    task: Cell<Option<Waker>>,
}

impl Mailbox {
    /// A reply of the core.
    pub(crate) fn put(&self, req: RequestId, reply: Reply) {
        self.replies.borrow_mut().push((req, reply));
        self.wake();
    }

    /// The session is to be closed.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.wake();
    }

    /// Wakes once; the task registers again when it waits again.
    fn wake(&self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }

    /// Remembers whom to wake. True: there is something to take already.
    pub(crate) fn poll(&self, cx: &Context<'_>) -> bool {
        self.task.set(Some(cx.waker().clone()));
        !self.replies.borrow().is_empty()
    }

    pub(crate) fn take(&self) -> Vec<(RequestId, Reply)> {
        self.replies.take()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }
}
