//! Packets: a payload with a 4-byte head (3 bytes length, 1 byte sequence id), long payloads cut into parts of 16 MiB - 1.
//!
//! Promise: bytes may arrive split anywhere; at most the allowed payload is ever kept, the rest of a longer one is
//! dropped as it comes; a sequence id that does not follow is an error.
//! Must never know: what is inside a payload.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::error::ProtocolError;

/// The longest part of a payload; a part of exactly this length is followed by another one, if need be an empty one.
pub(crate) const PART_MAX: usize = 0xFF_FFFF;
const HEAD_LEN: usize = 4;
/// How much of an oversized payload is kept, so that the command in it can still be told apart.
const KEPT_LEN: usize = 5;
/// A read buffer larger than this is given back as soon as it is empty.
const IDLE_BUFFER_MAX: usize = 64 * 1024;

/// One payload together with the sequence id of its last part.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Whole {
        payload: Bytes,
        sequence: u8,
    },
    /// The payload was longer than allowed; only its first bytes are left.
    TooLarge {
        kept: Bytes,
        sequence: u8,
    },
}

/// What is known of a payload of which at least one part was begun.
#[derive(Debug)]
struct Begun {
    next_sequence: u8,
    length: usize,
    /// Set once the payload is known to be too large.
    kept: Option<Bytes>,
    last_part: bool,
}

/// Cuts the incoming bytes into payloads.
#[derive(Debug, Default)]
pub(crate) struct Framer {
    buffer: BytesMut,
    /// The finished parts of a payload that has further ones.
    joined: BytesMut,
    begun: Option<Begun>,
    /// Bytes of a part that is being dropped.
    skip: usize,
}

impl Framer {
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    pub(crate) fn buffered(&self) -> usize {
        self.buffer.len() + self.joined.len()
    }

    /// Everything received and not yet taken, for the layer that reads the socket from now on (TLS).
    pub(crate) fn take_rest(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }

    /// The next payload of at most `max` bytes, whose first part must carry the sequence id `first`.
    pub(crate) fn next(&mut self, first: u8, max: usize) -> Result<Option<Frame>, ProtocolError> {
        debug_assert!(max >= KEPT_LEN);
        loop {
            if let Some(frame) = self.finish_skipped() {
                return Ok(Some(frame));
            }
            if self.skip > 0 || self.buffer.len() < HEAD_LEN {
                self.give_back();
                return Ok(None);
            }
            let length = (&self.buffer[..3]).get_uint_le(3) as usize;
            let sequence = self.buffer[3];
            let begun = self.begun.as_ref();
            if sequence != begun.map_or(first, |begun| begun.next_sequence) {
                return Err(ProtocolError::OutOfOrder);
            }
            let total = begun.map_or(0, |begun| begun.length).saturating_add(length);
            let progress = if total > max {
                self.begin_skip(length)
            } else {
                self.take_part(length)
            };
            match progress {
                Progress::Wait => return Ok(None),
                Progress::More => {}
                Progress::Done(frame) => return Ok(Some(frame)),
            }
        }
    }

    /// Drops what is to be dropped; answers with the frame once its last part is gone.
    fn finish_skipped(&mut self) -> Option<Frame> {
        let dropped = self.skip.min(self.buffer.len());
        self.buffer.advance(dropped);
        self.skip -= dropped;
        let done = self.skip == 0
            && self
                .begun
                .as_ref()
                .is_some_and(|begun| begun.last_part && begun.kept.is_some());
        if !done {
            return None;
        }
        let begun = self.begun.take()?;
        Some(Frame::TooLarge {
            kept: begun.kept?,
            sequence: begun.next_sequence.wrapping_sub(1),
        })
    }

    fn begin_skip(&mut self, length: usize) -> Progress {
        let sequence = self.buffer[3];
        let known = self.begun.take();
        let before = known.as_ref().map_or(0, |begun| begun.length);
        let kept = match known.and_then(|begun| begun.kept) {
            Some(kept) => kept,
            None if self.joined.len() >= KEPT_LEN => Bytes::copy_from_slice(&self.joined[..KEPT_LEN]),
            None if self.buffer.len() < HEAD_LEN + KEPT_LEN => return Progress::Wait,
            None => Bytes::copy_from_slice(&self.buffer[HEAD_LEN..HEAD_LEN + KEPT_LEN]),
        };
        self.joined = BytesMut::new();
        self.buffer.advance(HEAD_LEN);
        self.skip = length;
        self.begun = Some(Begun {
            next_sequence: sequence.wrapping_add(1),
            length: before.saturating_add(length),
            kept: Some(kept),
            last_part: length < PART_MAX,
        });
        Progress::More
    }

    fn take_part(&mut self, length: usize) -> Progress {
        if self.buffer.len() < HEAD_LEN + length {
            return Progress::Wait;
        }
        let sequence = self.buffer[3];
        self.buffer.advance(HEAD_LEN);
        let part = self.buffer.split_to(length);
        if length < PART_MAX {
            let payload = match self.begun.take() {
                None => part.freeze(),
                Some(_) => {
                    self.joined.extend_from_slice(&part);
                    std::mem::take(&mut self.joined).freeze()
                }
            };
            return Progress::Done(Frame::Whole { payload, sequence });
        }
        self.joined.extend_from_slice(&part);
        self.begun = Some(Begun {
            next_sequence: sequence.wrapping_add(1),
            length: self.joined.len(),
            kept: None,
            last_part: false,
        });
        Progress::More
    }

    fn give_back(&mut self) {
        if self.buffer.is_empty() && self.buffer.capacity() > IDLE_BUFFER_MAX {
            self.buffer = BytesMut::new();
        }
    }
}

enum Progress {
    Wait,
    More,
    Done(Frame),
}

/// Appends the payload that `write` produces as one packet, or as several if it is too long for one, and moves
/// `sequence` on.
pub(crate) fn put_packet(out: &mut BytesMut, sequence: &mut u8, write: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32_le(0);
    write(out);
    let length = out.len() - start - HEAD_LEN;
    if length < PART_MAX {
        out[start..start + 3].copy_from_slice(&(length as u32).to_le_bytes()[..3]);
        out[start + 3] = *sequence;
        *sequence = sequence.wrapping_add(1);
        return;
    }
    let payload = out.split_off(start).split_off(HEAD_LEN);
    let mut rest = &payload[..];
    loop {
        let part = rest.len().min(PART_MAX);
        out.put_uint_le(part as u64, 3);
        out.put_u8(*sequence);
        out.put_slice(&rest[..part]);
        *sequence = sequence.wrapping_add(1);
        rest = &rest[part..];
        if part < PART_MAX {
            return;
        }
    }
}
