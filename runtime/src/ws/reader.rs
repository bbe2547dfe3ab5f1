//! The task of one browser connection: reads and decodes what comes, writes what waits, and ends the connection.
//!
//! Promise: everything received before the end of the stream becomes an event before `Closed` does (Q81), also after
//! the socket has refused a write. Whatever breaks the WebSocket protocol closes TCP, without a Close frame (Q9, Q10).
//! Must never know: what a command means.

#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use comet_core::{CloseCause, Event, wire};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::conn::{Conn, End};
use super::frame;
use crate::shard::Shard;

/// Kept per connection all the time, so it is small; longer messages get room while they last.
const READ_BUFFER_BYTES: usize = 128;
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

/// Decodes the frames of one browser.
pub(crate) fn decoder(message_bytes_max: usize, already_read: &[u8]) -> WebSocketContext {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(4096)
        .max_message_size(Some(message_bytes_max))
        .max_frame_size(Some(message_bytes_max));
    // Copied, or the room the request was read into would stay with the connection.
    WebSocketContext::from_partially_read(already_read.to_vec(), Role::Server, Some(config))
}

/// The receiving half of a connection.
struct Input {
    ws: WebSocketContext,
    /// Decoded in this turn.
    events: Vec<Event>,
    /// `Some`: the turn ended before its input did, and these bytes are to be decoded first, after what the decoder
    /// still holds.
    rest: Option<Bytes>,
}

/// Serves a connection that finished its handshake until it is gone.
pub(crate) async fn serve(shard: Rc<Shard>, conn: Rc<Conn>, ws: WebSocketContext, opened: Event) {
    let _serving = shard.serving();
    let mut input = Input {
        ws,
        events: vec![opened],
        // What came in the same segment as the request is in the decoder.
        rest: Some(Bytes::new()),
    };
    let mut end = None;
    loop {
        let busy = |cx: &mut Context<'_>| {
            let _ = conn.poll_flush(cx, &shard.shared.metrics);
        };
        if shard
            .shared
            .events
            .send(std::mem::take(&mut input.events), busy)
            .await
            .is_err()
        {
            end = Some(CloseCause::Shutdown);
        }
        if end.is_some() {
            break;
        }
        if input.rest.is_some() {
            tokio::task::yield_now().await;
        }
        end = std::future::poll_fn(|cx| turn(&shard, &conn, &mut input, cx)).await;
    }
    drop(input);
    let cause = end.unwrap_or(CloseCause::Io);
    shard.forget(&conn, cause);
    let closed = vec![Event::Closed { conn: conn.id, cause }];
    // The core may have stopped before; then nobody counts any more.
    let _ = shard.shared.events.send(closed, |_| {}).await;
    if matches!(conn.end(), Some(End::Flush(_))) {
        finish(&shard, &conn).await;
    }
}

/// Writes, reads, decodes. `Ready`: there are events, or more to decode, or the connection ends.
fn turn(shard: &Shard, conn: &Conn, input: &mut Input, cx: &mut Context<'_>) -> Poll<Option<CloseCause>> {
    conn.register(cx);
    let _ = conn.poll_flush(cx, &shard.shared.metrics);
    if let Some(end) = conn.end() {
        return Poll::Ready(Some(end.cause()));
    }
    if let Some(rest) = input.rest.take() {
        match decode(shard, conn, input, &rest) {
            Ok(unread) => input.rest = unread.map(|unread| rest.slice_ref(unread)),
            Err(cause) => return Poll::Ready(Some(cause)),
        }
    }
    let mut scratch = shard.scratch.borrow_mut();
    let mut taken = 0;
    while input.rest.is_none() {
        if taken >= TURN_BYTES_MAX {
            input.rest = Some(Bytes::new());
            break;
        }
        let count = match conn.socket.poll_read(cx, &mut scratch) {
            Poll::Pending => break,
            Poll::Ready(Ok(0)) => return Poll::Ready(Some(CloseCause::Peer)),
            Poll::Ready(Err(_)) => return Poll::Ready(Some(CloseCause::Io)),
            Poll::Ready(Ok(count)) => count,
        };
        taken += count;
        conn.hear(shard.shared.clock.mono());
        match decode(shard, conn, input, &scratch[..count]) {
            Ok(unread) => input.rest = unread.map(Bytes::copy_from_slice),
            Err(cause) => return Poll::Ready(Some(cause)),
        }
    }
    // Pongs were queued.
    let _ = conn.poll_flush(cx, &shard.shared.metrics);
    if input.events.is_empty() && input.rest.is_none() {
        Poll::Pending
    } else {
        Poll::Ready(None)
    }
}

/// Turns `bytes` into events. `Some`: the turn has no room for more, and these bytes are left. `Err`: the connection is to
/// be closed.
fn decode<'a>(
    shard: &Shard,
    conn: &Conn,
    input: &mut Input,
    bytes: &'a [u8],
) -> Result<Option<&'a [u8]>, CloseCause> {
    let mut feed = Feed { bytes, shard, conn };
    while input.events.len() < TURN_EVENTS_MAX {
        let text = match input.ws.read(&mut feed) {
            Ok(Message::Text(text)) => Bytes::from(text),
            Ok(Message::Binary(bytes)) => bytes,
            Ok(Message::Pong(payload)) => {
                let probe = frame::probe_of_pong(&payload);
                let answered = |probe| Event::ProbeAnswered { conn: conn.id, probe };
                input.events.extend(probe.map(answered));
                continue;
            }
            // Answered by the decoder.
            Ok(Message::Ping(_) | Message::Frame(_)) => continue,
            Ok(Message::Close(_)) => return Err(CloseCause::Peer),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(_) => return Err(CloseCause::Protocol),
        };
        let Ok(text) = std::str::from_utf8(&text) else {
            return Err(CloseCause::Protocol);
        };
        let command = wire::decode(text, shard.shared.core.body_bytes_max);
        if let Err(bad) = &command.request {
            shard.shared.metrics.bad_request(bad.reason);
        }
        input.events.push(Event::Request {
            conn: conn.id,
            command,
        });
    }
    let unread = feed.bytes.len();
    Ok(Some(&bytes[bytes.len() - unread..]))
}

/// Lets the browser receive everything, then waits for it to hang up.
async fn finish(shard: &Shard, conn: &Conn) {
    let flush = std::future::poll_fn(|cx| conn.poll_flush(cx, &shard.shared.metrics));
    if tokio::time::timeout(FLUSH_MAX, flush).await.is_err() || conn.socket.shutdown_write().is_err() {
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
    let _ = tokio::time::timeout(LINGER_MAX, hang_up).await;
}

/// The decoder's stream: reads from the bytes at hand, writes Pongs into the outbox.
struct Feed<'a> {
    bytes: &'a [u8],
    shard: &'a Shard,
    conn: &'a Conn,
}

impl Read for Feed<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.bytes.read(buf)
    }
}

impl Write for Feed<'_> {
    /// The decoder hands over one whole control frame at a time. Everything but a Pong is swallowed: a Close frame
    /// would keep browsers from connecting again (Q9).
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.first() == Some(&frame::FIN_PONG) {
            self.shard.queue(self.conn, Bytes::copy_from_slice(bytes));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
