//! The task of one browser connection: reads and decodes what comes, writes what waits, and ends the connection.
//!
//! Promise: everything received before the end of the stream becomes an event before `Closed` does (Q81), also after
//! the socket has refused a write. Whatever breaks the WebSocket protocol closes TCP, without a Close frame (Q9, Q10).
//! Must never know: what a command means.

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use comet_core::{CloseCause, Event, wire};

use super::conn::{Conn, End};
use super::decoder::{Broken, Decoder, Message};
use super::frame;
use crate::events::Stopped;
use crate::memory::SHED_MIN;
#[cfg(madsim)]
use crate::rt;
use crate::rt::{task, time};
use crate::shard::{Serving, Shard};

/// Bytes taken from one socket before the others have their turn.
const TURN_BYTES_MAX: usize = 64 * 1024;
/// Events handed to the core before the others have their turn. A message can be six bytes long, and the core's queue
/// is bounded in batches.
const TURN_EVENTS_MAX: usize = 32;
/// How long a closed connection may take to receive what was queued.
const FLUSH_MAX: Duration = Duration::from_secs(3);
/// How long the server waits for the browser to notice the end of the stream. Closing while the browser still sends
/// would make the kernel drop what it has not read yet.
const LINGER_MAX: Duration = Duration::from_secs(2);

/// What a connection owns of its browser's input between two turns, if anything.
#[derive(Default)]
pub(crate) struct Input {
    decoder: Decoder,
    /// To be decoded first: the turn ended before its input did.
    unread: BytesMut,
}

impl Input {
    /// A new one would do as well.
    pub(crate) fn is_empty(&self) -> bool {
        self.decoder.is_idle() && self.unread.is_empty()
    }

    /// What it takes as long as it is kept.
    pub(crate) fn room(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        size_of::<Self>() + self.decoder.room() + self.unread.capacity()
    }
}

/// Serves a connection that finished its handshake until it is gone. Written by hand, because there is one of it per
/// connection: it is three pointers wide, and whatever takes longer than a turn gets its room when it begins.
pub(crate) struct Reader {
    shard: Serving,
    conn: Rc<Conn>,
    /// To be waited for before the next turn. Boxed twice, because a pointer to a `dyn` is two pointers wide.
    pause: Option<Box<Pause>>,
}

/// `Break`: the connection is gone.
type Pause = Pin<Box<dyn Future<Output = ControlFlow<()>>>>;

/// What follows a turn.
enum Next {
    /// The next one, as soon as the socket or the shard says so.
    Sleep,
    /// The next one, after the others had theirs.
    Again,
    End(CloseCause),
}

impl Reader {
    /// `already_read` came in the same segment as the request.
    pub(crate) fn new(shard: &Rc<Shard>, conn: Rc<Conn>, opened: Event, already_read: &[u8]) -> Self {
        let input = Input {
            decoder: Decoder::default(),
            // Copied, or the room the request was read into would stay with the connection.
            unread: BytesMut::from(already_read),
        };
        conn.keep_input(input, &shard.shared.metrics);
        let mut reader = Self {
            shard: shard.serving(),
            conn,
            pause: None,
        };
        reader.pause(vec![opened], Next::Again);
        reader
    }

    fn pause(&mut self, events: Vec<Event>, next: Next) {
        let pause = pause(self.shard.clone(), self.conn.clone(), events, next);
        self.pause = Some(Box::new(Box::pin(pause)));
    }
}

impl Future for Reader {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                if ready!(Pin::new(pause).poll(cx)).is_break() {
                    return Poll::Ready(());
                }
                self.pause = None;
            }
            let mut events = Vec::new();
            let next = turn(&self.shard, &self.conn, &mut events, cx);
            let (left, next) = match (self.shard.shared.events.offer(events), next) {
                (Ok(None), Next::Sleep) => return Poll::Pending,
                (Ok(left), next) => (left.unwrap_or_default(), next),
                // What the core said before still comes, and then the end of everybody.
                (Err(Stopped), Next::Sleep) => return Poll::Pending,
                (Err(Stopped), next) => (Vec::new(), next),
            };
            self.pause(left, next);
        }
    }
}

/// Hands over what the core had no room for, and then does what follows the turn.
async fn pause(shard: Rc<Shard>, conn: Rc<Conn>, events: Vec<Event>, next: Next) -> ControlFlow<()> {
    let shared = &shard.shared;
    let busy = |cx: &mut Context<'_>| {
        let _ = conn.poll_flush(cx, &shared.metrics);
    };
    conn.hold_up(true);
    // The core may have stopped; the end of everybody follows.
    let _ = shared.events.send(events, busy).await;
    conn.hold_up(false);
    conn.hear(shard.lived());
    let cause = match next {
        Next::Sleep => return ControlFlow::Continue(()),
        Next::Again => {
            task::yield_now().await;
            return ControlFlow::Continue(());
        }
        Next::End(cause) => cause,
    };
    shard.forget(&conn, cause);
    let closed = vec![Event::Closed { conn: conn.id, cause }];
    // The core may have stopped before; then nobody counts any more.
    let _ = shared.events.send(closed, |_| {}).await;
    #[cfg(madsim)]
    if rt::makes(rt::Mistake::EndsWithoutFlush) {
        return ControlFlow::Break(());
    }
    if matches!(conn.end(), Some(End::Flush(_))) {
        finish(&shard, &conn).await;
    }
    conn.discard(&shared.metrics);
    ControlFlow::Break(())
}

/// Writes, reads, decodes.
fn turn(shard: &Shard, conn: &Conn, events: &mut Vec<Event>, cx: &mut Context<'_>) -> Next {
    let metrics = &shard.shared.metrics;
    conn.register(cx);
    let _ = conn.poll_flush(cx, metrics);
    if let Some(end) = conn.end() {
        return Next::End(end.cause());
    }
    let mut input = conn.take_input(metrics);
    match receive(shard, conn, &mut input, events, cx) {
        Ok(next) => {
            conn.keep_input(input, metrics);
            events.extend(metrics.memory.news());
            // Pongs were queued.
            let _ = conn.poll_flush(cx, metrics);
            next
        }
        Err(cause) => Next::End(cause),
    }
}

/// Reads and decodes until nothing is there or the turn is over.
fn receive(
    shard: &Shard,
    conn: &Conn,
    input: &mut Input,
    events: &mut Vec<Event>,
    cx: &mut Context<'_>,
) -> Result<Next, CloseCause> {
    let mut unread = &mut input.unread[..];
    decode(shard, conn, &mut input.decoder, &mut unread, events)?;
    let left = unread.len();
    input.unread.advance(input.unread.len() - left);
    let mut scratch = shard.scratch.borrow_mut();
    let mut taken = 0;
    while input.unread.is_empty() && taken < TURN_BYTES_MAX && events.len() < TURN_EVENTS_MAX {
        let count = match conn.socket.poll_read(cx, &mut scratch) {
            Poll::Pending => return Ok(Next::Sleep),
            Poll::Ready(Ok(0)) => return Err(CloseCause::Peer),
            Poll::Ready(Err(_)) => return Err(CloseCause::Io),
            Poll::Ready(Ok(count)) => count,
        };
        taken += count;
        conn.hear(shard.lived());
        let mut unread = &mut scratch[..count];
        decode(shard, conn, &mut input.decoder, &mut unread, events)?;
        input.unread = BytesMut::from(&*unread);
        // While there is no room, nobody begins what is long.
        if shard.shared.metrics.memory.is_full() && input.room() > SHED_MIN {
            shard.shared.metrics.turned_away("long_message");
            return Err(CloseCause::NoMemory);
        }
    }
    Ok(Next::Again)
}

/// Turns `bytes` into events until the turn has no room for more; what is left of them was not looked at. `Err`: the
/// connection is to be closed.
fn decode(
    shard: &Shard,
    conn: &Conn,
    decoder: &mut Decoder,
    bytes: &mut &mut [u8],
    events: &mut Vec<Event>,
) -> Result<(), CloseCause> {
    let shared = &shard.shared;
    while events.len() < TURN_EVENTS_MAX {
        match decoder.next(bytes, shared.ws.message_bytes_max) {
            Ok(None) => break,
            Ok(Some(Message::Text(text))) => {
                let command = wire::decode(&text, shared.core.body_bytes_max);
                if let Err(bad) = &command.request {
                    shared.metrics.bad_request(bad.reason);
                }
                events.push(Event::Request {
                    conn: conn.id,
                    command,
                });
            }
            Ok(Some(Message::Ping(payload))) => shard.queue(conn, frame::pong(&payload)),
            Ok(Some(Message::Pong(payload))) => {
                let probe = frame::probe_of_pong(&payload);
                let answered = |probe| Event::ProbeAnswered { conn: conn.id, probe };
                events.extend(probe.map(answered));
            }
            Ok(Some(Message::Close)) => return Err(CloseCause::Peer),
            Err(Broken) => return Err(CloseCause::Protocol),
        }
    }
    Ok(())
}

/// Lets the browser receive everything, then waits for it to hang up.
async fn finish(shard: &Shard, conn: &Conn) {
    let flush = std::future::poll_fn(|cx| conn.poll_flush(cx, &shard.shared.metrics));
    if time::timeout(FLUSH_MAX, flush).await.is_err() || conn.socket.shutdown_write().is_err() {
        return;
    }
    let hang_up = std::future::poll_fn(|cx| {
        let mut scratch = shard.scratch.borrow_mut();
        loop {
            match conn.socket.poll_read(cx, &mut scratch) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(_)) => {}
            }
        }
    });
    // Browsers that do not hang up are hung up on.
    let _ = time::timeout(LINGER_MAX, hang_up).await;
}
