//! From the core's actions to the sockets of one shard: which connections have frames waiting, and when they are written.
//!
//! Promise: frames go to sockets without waking a task per receiver; whatever waits for one socket leaves in one call,
//! also if it came with several messages; a connection waits for at most one round over the others. While sockets are
//! being written new actions are taken up only as far as a fast receiver is not in danger of its limit (Q13); the rest
//! waits in the bounded queue, and so the core waits, and its senders. It executes what the core says and decides nothing.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use comet_core::ConnId;
use tokio::sync::mpsc;

use crate::execute::{Broadcast, ShardAction};
use crate::rt::task;
use crate::shard::Shard;
use crate::ws::conn::{Conn, End};

/// Sockets written to before the shard's other tasks have their turn: about a millisecond of system calls.
const WRITES_PER_TURN: usize = 256;
/// Frames queued before the shard's other tasks have their turn.
const FRAMES_PER_TURN: usize = 16_384;
/// Actions looked ahead at, to find messages with the same receivers, and …
const ACTIONS_AHEAD: usize = 1024;
/// … how many of them a message may overtake to join an earlier one.
const ACTIONS_OVERTAKEN: usize = 64;
/// Bytes of frames that may be queued behind a connection's first frame before it must have been written to.
const QUEUED_BYTES_MAX: usize = 64 * 1024;

/// The queue of one shard's actions and of its connections that have something to write.
pub(crate) struct Delivery {
    shard: Rc<Shard>,
    inbox: mpsc::Receiver<Vec<ShardAction>>,
    /// Taken from the inbox and not executed yet.
    actions: VecDeque<ShardAction>,
    /// Connections with frames to write, in the order of their first one.
    dirty: VecDeque<Dirty>,
    /// Bytes of all frames queued so far, each counted once however many receive it.
    queued: u64,
    /// How far `queued` may be beyond that of the first dirty connection.
    queued_max: u64,
}

struct Dirty {
    conn: Rc<Conn>,
    /// `Delivery::queued` before its first frame.
    since: u64,
}

impl Delivery {
    pub(crate) fn new(shard: Rc<Shard>, inbox: mpsc::Receiver<Vec<ShardAction>>) -> Self {
        let queued_max = QUEUED_BYTES_MAX.min(shard.shared.ws.send_buffer_bytes / 4) as u64;
        Self {
            shard,
            inbox,
            actions: VecDeque::new(),
            dirty: VecDeque::new(),
            queued: 0,
            queued_max,
        }
    }

    /// Serves until the core has stopped and everything it said is done.
    pub(crate) async fn run(mut self) {
        while self.wait().await {
            self.queue_frames();
            self.write();
            if !self.is_idle() {
                task::yield_now().await;
            }
        }
    }

    fn is_idle(&self) -> bool {
        self.actions.is_empty() && self.dirty.is_empty()
    }

    /// Waits for work if there is none. False: there will be none any more.
    async fn wait(&mut self) -> bool {
        if self.is_idle() {
            match self.inbox.recv().await {
                Some(batch) => self.take_up(batch),
                None => return false,
            }
        }
        true
    }

    /// Executes actions: frames are queued, everything else is done.
    fn queue_frames(&mut self) {
        let mut frames = 0;
        while frames < FRAMES_PER_TURN && self.has_room() {
            self.look_ahead();
            match self.actions.pop_front() {
                Some(action) => frames += self.execute(action),
                None => return,
            }
        }
    }

    /// No connection waits behind so much that it could reach its limit by no fault of its own.
    fn has_room(&self) -> bool {
        self.dirty
            .front()
            .is_none_or(|first| self.queued - first.since < self.queued_max)
    }

    fn look_ahead(&mut self) {
        while self.actions.len() < ACTIONS_AHEAD {
            match self.inbox.try_recv() {
                Ok(batch) => self.take_up(batch),
                Err(_) => return,
            }
        }
    }

    fn take_up(&mut self, batch: Vec<ShardAction>) {
        for action in batch {
            match action {
                ShardAction::SendMany(message) => self.join(message),
                other @ (ShardAction::SendOne { .. }
                | ShardAction::Close { .. }
                | ShardAction::Reply { .. }
                | ShardAction::CloseSession { .. }) => self.actions.push_back(other),
            }
        }
    }

    /// A message joins an earlier one to the same receivers, if nothing between concerns any of them: then it costs each
    /// of them no write of its own. Replies have an order of their own.
    fn join(&mut self, message: Broadcast) {
        for earlier in self.actions.iter_mut().rev().take(ACTIONS_OVERTAKEN) {
            match earlier {
                ShardAction::SendMany(first) if first.has_receivers_of(&message) => {
                    if (first.length() + message.frame.len()) as u64 > self.queued_max {
                        break;
                    }
                    first.more.push(message.frame);
                    return;
                }
                ShardAction::SendMany(first) if first.is_apart_from(&message) => {}
                ShardAction::Reply { .. } | ShardAction::CloseSession { .. } => {}
                ShardAction::SendMany(_) | ShardAction::SendOne { .. } | ShardAction::Close { .. } => break,
            }
        }
        self.actions.push_back(ShardAction::SendMany(message));
    }

    /// Says for how many queued frames the action counts in the turn.
    fn execute(&mut self, action: ShardAction) -> usize {
        match action {
            ShardAction::SendOne { conn, frame } => {
                #[cfg(madsim)]
                let conn = self.shard.misdirected(conn, &frame);
                return self.send(&[conn], None, &frame, 1);
            }
            ShardAction::SendMany(message) => {
                let (frames, count) = message.frames(&self.shard.shared.metrics.memory);
                return self.send(message.receivers(), message.except, &frames, count);
            }
            ShardAction::Close { conn, cause } => self.shard.close(conn, End::Flush(cause)),
            ShardAction::Reply { session, req, reply } => self.shard.reply(session, req, reply),
            ShardAction::CloseSession { session } => self.shard.close_session(session),
        }
        1
    }

    /// Queues a byte string that holds `count` frames; says for how many receivers, gone or not: looking for them takes
    /// its time, too.
    fn send(&mut self, receivers: &[ConnId], except: Option<ConnId>, frames: &Bytes, count: u64) -> usize {
        let since = self.queued;
        self.queued += frames.len() as u64;
        let (shard, dirty) = (&self.shard, &mut self.dirty);
        let mut receiving = 0_u64;
        shard.for_each(receivers, except, |conn| {
            receiving += 1;
            conn.push(
                frames.clone(),
                shard.shared.ws.send_buffer_bytes,
                &shard.shared.metrics,
            );
            if conn.mark() {
                dirty.push_back(Dirty {
                    conn: conn.clone(),
                    since,
                });
            }
        });
        shard.shared.metrics.frames.inc_by(receiving * count);
        receivers.len()
    }

    /// Writes to the connections that have waited longest.
    fn write(&mut self) {
        for _ in 0..WRITES_PER_TURN {
            match self.dirty.pop_front() {
                Some(Dirty { conn, .. }) => conn.flush_now(&self.shard.shared.metrics),
                None => return,
            }
        }
    }
}
