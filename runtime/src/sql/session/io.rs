//! The socket of a session: writing what there is, reading when there is room, and the last words.

use std::io::IoSlice;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Buf;

use super::super::login::PIPELINE_MAX;
use super::Session;
use crate::rt::time::timeout;

/// How long the client may take to receive the last bytes, and then to hang up.
const LAST_WORDS_MAX: Duration = Duration::from_secs(3);

impl Session {
    /// Writes what the kernel takes at once.
    pub(super) fn write_now(&mut self) {
        while self.refill() {
            match self.socket.try_write(&[IoSlice::new(&self.out)]) {
                Ok(count) if count > 0 => self.out.advance(count),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                Ok(_) | Err(_) => self.break_off(),
            }
        }
    }

    /// True: `out` has something.
    fn refill(&mut self) -> bool {
        if self.out.is_empty() {
            self.out = self.mysql.take_output();
        }
        !self.out.is_empty()
    }

    pub(super) fn break_off(&mut self) {
        self.broken = true;
        self.drop_output_if_broken();
    }

    // Waiting.

    /// Ready as soon as something happened that a step can go on with.
    pub(super) fn poll_io(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let replies = self.mailbox.poll(cx) || self.mailbox.is_closed();
        let written = self.poll_write(cx);
        let read = self.poll_read(cx);
        if replies || written || read {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        while self.refill() {
            match self.socket.poll_write(cx, &[IoSlice::new(&self.out)]) {
                Poll::Pending => return progress,
                Poll::Ready(Ok(count)) if count > 0 => self.out.advance(count),
                Poll::Ready(Ok(_) | Err(_)) => self.break_off(),
            }
            progress = true;
        }
        if let Poll::Ready(Err(_)) = self.socket.poll_flush(cx) {
            self.broken = true;
        }
        progress
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> bool {
        let paused = self.eof || self.barrier || self.is_full() || self.slots.len() >= PIPELINE_MAX;
        if paused || !self.mysql.wants_bytes() {
            return false;
        }
        let mut scratch = self.shard.scratch.borrow_mut();
        match self.socket.poll_read(cx, &mut scratch) {
            Poll::Pending => return false,
            Poll::Ready(Ok(count)) if count > 0 => self.mysql.receive(&scratch[..count]),
            // The end, or an error after which nothing comes.
            Poll::Ready(Ok(_) | Err(_)) => self.eof = true,
        }
        true
    }

    /// Lets the client receive what is left, then ends the stream.
    pub(super) async fn last_words(&mut self) {
        let write = std::future::poll_fn(|cx| {
            self.poll_write(cx);
            if self.has_output() {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        });
        if timeout(LAST_WORDS_MAX, write).await.is_ok() && self.socket.shutdown_write().is_ok() {
            self.hang_up().await;
        }
    }

    /// Closing with bytes unread would make the kernel drop what the client has not read yet.
    async fn hang_up(&mut self) {
        let end = std::future::poll_fn(|cx| {
            let mut scratch = self.shard.scratch.borrow_mut();
            loop {
                match self.socket.poll_read(cx, &mut scratch) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(_)) => {}
                }
            }
        });
        let _ = timeout(LAST_WORDS_MAX, end).await;
    }
}
