//! The one way into the core: a bounded queue of batches of events, and past it while the core has nothing to do.
//!
//! Promise: who sends into a full queue waits, and so reads no more from its own socket; nothing grows (design: back
//! pressure towards senders). The batches of one sender arrive in order.

use std::future::Future;
use std::sync::Arc;
use std::task::Context;

use comet_core::Event;
use comet_core::cometql::Statement;
use comet_core::wire::ClientRequest;
use tokio::sync::mpsc;

use crate::driver::Rest;
use crate::memory::{Memory, Use};

/// Batches that may wait for the core. Few in a simulated world, so that senders often have to wait.
const BATCHES_MAX: usize = if cfg!(madsim) { 4 } else { 1024 };
/// What the name of a channel takes, about.
const NAME_BYTES: usize = 64;

/// Makes the queue.
pub(crate) fn queue(memory: Arc<Memory>) -> (EventSender, mpsc::Receiver<Vec<Event>>) {
    let (sender, receiver) = mpsc::channel(BATCHES_MAX);
    let sender = EventSender {
        queue: sender,
        rest: Arc::default(),
        memory,
    };
    (sender, receiver)
}

/// The core has stopped; whoever is told so stops, too.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stopped;

/// The sending end.
#[derive(Clone, Debug)]
pub(crate) struct EventSender {
    queue: mpsc::Sender<Vec<Event>>,
    rest: Arc<Rest>,
    memory: Arc<Memory>,
}

impl EventSender {
    /// Where it counts what waits.
    pub(crate) fn memory(&self) -> Arc<Memory> {
        self.memory.clone()
    }

    /// Where the core is to be while it has nothing to do.
    pub(crate) fn rest(&self) -> Arc<Rest> {
        self.rest.clone()
    }

    /// Hands over a batch, waiting while the queue is full. Meanwhile `busy` is polled, so that a connection can go
    /// on writing to its own socket.
    pub(crate) async fn send(
        &self,
        events: Vec<Event>,
        mut busy: impl FnMut(&mut Context<'_>),
    ) -> Result<(), Stopped> {
        let Some(events) = self.offer(events)? else {
            return Ok(());
        };
        // Boxed: waiting is rare, and every idle connection would carry the room for it.
        let mut sending = Box::pin(self.send_when_there_is_room(events));
        std::future::poll_fn(|cx| {
            busy(cx);
            sending.as_mut().poll(cx)
        })
        .await
    }

    /// What waits is counted while it waits, and whoever takes it from the queue gives it back.
    async fn send_when_there_is_room(&self, events: Vec<Event>) -> Result<(), Stopped> {
        let taken = self.memory.hold(Use::Events, bytes(&events));
        let permit = self.queue.reserve().await.map_err(|_| Stopped)?;
        taken.hand_over();
        permit.send(events);
        Ok(())
    }

    /// Hands over a batch if the core or the queue takes it at once, and gives it back if not.
    pub(crate) fn offer(&self, events: Vec<Event>) -> Result<Option<Vec<Event>>, Stopped> {
        if events.is_empty() {
            return Ok(None);
        }
        let Some(events) = self.rest.handle(events) else {
            return Ok(None);
        };
        let bytes = bytes(&events);
        self.memory.take(Use::Events, bytes);
        let sent = self.queue.try_send(events);
        if sent.is_err() {
            self.memory.give_back(Use::Events, bytes);
        }
        match sent {
            Ok(()) => Ok(None),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Stopped),
            Err(mpsc::error::TrySendError::Full(events)) => Ok(Some(events)),
        }
    }

    /// Batches that wait at this moment.
    pub(crate) fn depth(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }
}

/// What a batch takes while it waits: its events, and the texts of those that have long ones.
pub(crate) fn bytes(events: &[Event]) -> usize {
    size_of_val(events) + events.iter().map(texts).sum::<usize>()
}

fn texts(event: &Event) -> usize {
    match event {
        Event::Request { command, .. } => match &command.request {
            Ok(ClientRequest::Send(message)) => message.body.as_str().len(),
            Ok(ClientRequest::Subscribe(names)) => names.names.len() * NAME_BYTES,
            Ok(_) | Err(_) => 0,
        },
        Event::Query {
            statement: Ok(Statement::Insert(insert)),
            ..
        } => insert.bytes(),
        Event::Opened { .. }
        | Event::ProbeAnswered { .. }
        | Event::Closed { .. }
        | Event::SessionOpened { .. }
        | Event::Query { .. }
        | Event::SessionClosed { .. }
        | Event::Persisted { .. }
        | Event::PersistFailed { .. }
        | Event::Memory(_)
        | Event::Shutdown
        | Event::Tick => 0,
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    /// Q13: a full queue makes its senders wait instead of growing.
    #[tokio::test]
    async fn a_full_queue_makes_senders_wait() {
        let (sender, mut receiver) = queue(Arc::new(Memory::new(0)));
        for _ in 0..BATCHES_MAX {
            sender.send(vec![Event::Tick], |_| {}).await.unwrap();
        }
        assert_eq!(sender.depth(), BATCHES_MAX);
        let one = bytes(&[Event::Tick]) as u64;
        let counted = || sender.memory().outside().events;
        let mut polled = false;
        {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let mut given_up = Box::pin(sender.send(vec![Event::Shutdown], |_| {}));
            assert_eq!(given_up.as_mut().poll(&mut cx), Poll::Pending);
            drop(given_up);
            assert_eq!(counted(), BATCHES_MAX as u64 * one);
            let mut late = pin!(sender.send(vec![Event::Shutdown], |_| polled = true));
            assert_eq!(late.as_mut().poll(&mut cx), Poll::Pending);
            assert_eq!(counted(), (BATCHES_MAX as u64 + 1) * one, "what waits is counted");
            assert_eq!(receiver.recv().await, Some(vec![Event::Tick]));
            late.await.unwrap();
            assert_eq!(counted(), (BATCHES_MAX as u64 + 1) * one, "until it is taken out");
        }
        assert!(polled);
    }

    #[tokio::test]
    async fn a_stopped_core_is_reported() {
        let (sender, receiver) = queue(Arc::new(Memory::new(0)));
        drop(receiver);
        assert_eq!(sender.send(vec![Event::Tick], |_| {}).await, Err(Stopped));
    }
}
