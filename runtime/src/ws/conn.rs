//! One browser connection as its shard sees it: the socket, the outbox, and how it is to end.
//!
//! Promise: frames leave in the order they were queued, whoever writes them; once the end is decided nothing more is
//! queued. No Close frame is ever written, in no case (protocol.md 2.4, Q9): clients reconnect by themselves only after
//! an unclean end, which `restart()` relies on, too (S24, S25, S67).

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use comet_core::{CloseCause, ConnId, Mono};

use super::reader::Input;
use crate::accept::Room;
use crate::memory::Use;
use crate::metrics::Metrics;
use crate::outbox::{Outbox, Overflow, SLICES_MAX};
#[cfg(madsim)]
use crate::rt;
use crate::rt::task;
use crate::socket::Socket;

/// A registered connection. Its task and its shard share it, on one thread. Beside the task's own bookkeeping and the
/// socket's, this is all there is of an idle connection.
pub(crate) struct Conn {
    pub(crate) id: ConnId,
    pub(crate) socket: Socket,
    /// When anything was last received, in the shard's lived time (Q12).
    heard: Cell<Mono>,
    out: RefCell<Out>,
    /// `None` between messages.
    input: Cell<Option<Box<Input>>>,
    /// Free again only after the socket is closed: fields are dropped in this order.
    _room: Option<Room>,
}

#[derive(Debug, Default)]
struct Out {
    outbox: Outbox,
    end: Option<End>,
    /// The socket refuses to be written to; reading goes on, as something may still be there (Q81).
    broken: bool,
    /// In the shard's list of connections to flush.
    marked: bool,
    /// Not read from, because the core is behind.
    held_up: bool,
    /// The connection's task, while it waits.
    task: Option<Waker>,
}

/// How the server ends a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// After what is queued.
    Flush(CloseCause),
    /// At once.
    Now(CloseCause),
}

impl End {
    pub(crate) fn cause(self) -> CloseCause {
        match self {
            Self::Flush(cause) | Self::Now(cause) => cause,
        }
    }
}

impl Conn {
    pub(crate) fn new(id: ConnId, socket: Socket, room: Option<Room>, now: Mono) -> Self {
        Self {
            id,
            socket,
            heard: Cell::new(now),
            out: RefCell::default(),
            input: Cell::default(),
            _room: room,
        }
    }

    /// What the last turn kept.
    pub(crate) fn take_input(&self, metrics: &Metrics) -> Input {
        let Some(input) = self.input.take() else {
            return Input::default();
        };
        metrics.memory.give_back(Use::Input, input.room());
        *input
    }

    /// Owns it until the next turn, if there is anything in it.
    pub(crate) fn keep_input(&self, input: Input, metrics: &Metrics) {
        if !input.is_empty() {
            metrics.memory.take(Use::Input, input.room());
            self.input.set(Some(Box::new(input)));
        }
    }

    /// What waits in either direction, bytes.
    pub(crate) fn waiting(&self) -> usize {
        let input = self.input.take();
        let bytes = input.as_ref().map_or(0, |input| input.room());
        self.input.set(input);
        bytes + self.out.borrow().outbox.bytes()
    }

    /// The connection is gone, and what it kept with it.
    pub(crate) fn discard(&self, metrics: &Metrics) {
        drop(self.take_input(metrics));
        let mut out = self.out.borrow_mut();
        out.counting(metrics, |out| {
            out.outbox.clear();
            out.broken = true;
        });
        metrics.memory.give_back(Use::Sockets, self.socket.room());
    }

    pub(crate) fn hear(&self, now: Mono) {
        self.heard.set(now);
    }

    pub(crate) fn heard(&self) -> Mono {
        self.heard.get()
    }

    /// Until this is taken back nothing can be heard, and so silence means nothing.
    pub(crate) fn hold_up(&self, held_up: bool) {
        self.out.borrow_mut().held_up = held_up;
    }

    pub(crate) fn is_held_up(&self) -> bool {
        self.out.borrow().held_up
    }

    pub(crate) fn end(&self) -> Option<End> {
        self.out.borrow().end
    }

    /// True once: the caller puts the connection on its list of those to flush.
    pub(crate) fn mark(&self) -> bool {
        !std::mem::replace(&mut self.out.borrow_mut().marked, true)
    }

    /// Somebody is going to write what there is for it.
    pub(crate) fn is_marked(&self) -> bool {
        self.out.borrow().marked
    }

    /// Queues a frame. A connection that lets more than `bytes_max` bytes wait is cut (Q13).
    pub(crate) fn push(&self, frame: Bytes, bytes_max: usize, metrics: &Metrics) {
        self.out
            .borrow_mut()
            .counting(metrics, |out| out.push(&self.socket, frame, bytes_max, metrics));
    }

    /// Writes what the kernel takes now; the rest is left to the connection's task.
    pub(crate) fn flush_now(&self, metrics: &Metrics) {
        let mut out = self.out.borrow_mut();
        out.marked = false;
        out.counting(metrics, |out| out.write_now(&self.socket, metrics));
        if !out.outbox.is_empty() {
            out.wake();
        }
    }

    /// Decides the end. The first decision holds.
    pub(crate) fn close(&self, end: End) {
        self.out.borrow_mut().end(end);
    }

    /// Writes what the kernel takes, and makes the task wake up when it takes more. `Ready`: nothing waits any more.
    pub(crate) fn poll_flush(&self, cx: &mut Context<'_>, metrics: &Metrics) -> Poll<()> {
        let mut out = self.out.borrow_mut();
        out.counting(metrics, |out| out.poll_flush(&self.socket, cx, metrics))
    }

    /// Remembers whom to wake.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        let task = &mut self.out.borrow_mut().task;
        if !task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            *task = Some(cx.waker().clone());
        }
    }
}

impl Out {
    /// Counts what the queue of frames takes more or less after a change.
    fn counting<T>(&mut self, metrics: &Metrics, change: impl FnOnce(&mut Self) -> T) -> T {
        let before = self.outbox.room();
        let result = change(self);
        metrics.memory.change(Use::Frames, before, self.outbox.room());
        result
    }

    fn push(&mut self, socket: &Socket, frame: Bytes, bytes_max: usize, metrics: &Metrics) {
        if self.end.is_some() || self.broken {
            return;
        }
        if self.outbox.len() >= SLICES_MAX {
            self.write_now(socket, metrics);
        }
        let Err(Overflow(frame)) = self.outbox.push(frame, bytes_max) else {
            return;
        };
        // The kernel may take some of it.
        self.write_now(socket, metrics);
        if !self.broken && self.outbox.push(frame, bytes_max).is_err() {
            #[cfg(madsim)]
            if rt::makes(rt::Mistake::LeavesFramesOut) {
                return;
            }
            self.outbox.clear();
            self.end(End::Now(CloseCause::SlowConsumer));
        }
    }

    fn write_now(&mut self, socket: &Socket, metrics: &Metrics) {
        match socket {
            Socket::Plain(_) => self.try_flush(socket, metrics),
            // The stream below wakes whoever wrote last, which has to be the connection's own task.
            Socket::Tls(_) => {
                if let Some(task) = self.task.clone() {
                    let flush = std::future::poll_fn(|cx| self.poll_flush(socket, cx, metrics));
                    // Without the bound on what a task does in one go: it is the shard's, which has one of its own.
                    let flush = std::pin::pin!(task::unconstrained(flush));
                    let _ = flush.poll(&mut Context::from_waker(&task));
                }
            }
        }
    }

    fn try_flush(&mut self, socket: &Socket, metrics: &Metrics) {
        while !self.outbox.is_empty() && !self.broken {
            let written = match self.outbox.only() {
                Some(frame) => socket.try_write(&[IoSlice::new(frame)]),
                None => {
                    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                    let count = self.outbox.fill(&mut slices);
                    socket.try_write(&slices[..count])
                }
            };
            if matches!(&written, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
                return;
            }
            self.written(written, metrics);
        }
    }

    fn poll_flush(&mut self, socket: &Socket, cx: &mut Context<'_>, metrics: &Metrics) -> Poll<()> {
        while !self.outbox.is_empty() {
            let written = {
                let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                let count = self.outbox.fill(&mut slices);
                ready!(socket.poll_write(cx, &slices[..count]))
            };
            self.written(written, metrics);
        }
        if ready!(socket.poll_flush(cx)).is_err() {
            self.broken = true;
        }
        Poll::Ready(())
    }

    fn written(&mut self, result: io::Result<usize>, metrics: &Metrics) {
        match result {
            Ok(0) | Err(_) => {
                self.broken = true;
                self.outbox.clear();
            }
            Ok(count) => {
                metrics.bytes.inc_by(count as u64);
                self.outbox.advance(count);
            }
        }
    }

    fn end(&mut self, end: End) {
        if self.end.is_none() {
            self.end = Some(end);
            self.wake();
        }
    }

    fn wake(&mut self) {
        if let Some(task) = &self.task {
            task.wake_by_ref();
        }
    }
}
