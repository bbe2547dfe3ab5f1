//! Frames of a browser (RFC 6455, the server's side of reading), without I/O: bytes in, messages out.
//!
//! Promise: it owns memory only while a frame or a message is incomplete, so an idle connection needs no decoder at all;
//! what it owns is at most twice what was received, and that never exceeds the limit on a message. What breaks the protocol is refused as soon
//! as it can be told (protocol.md 2.5, Q10).
//! Must never know: what a message means.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

/// Control frames carry at most this (RFC 6455, 5.5).
const CONTROL_BYTES_MAX: u64 = 125;
/// Two bytes, eight of a long length, four of the mask.
const HEADER_BYTES_MAX: usize = 14;
/// Bit of the first byte: the last frame of its message.
const FIN: u8 = 0x80;
/// Bit of the second byte: a mask follows the length.
const MASKED: u8 = 0x80;

/// Something complete that a browser sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Message<'a> {
    /// A text message, or a binary one that is text.
    Text(Cow<'a, str>),
    /// To be answered by a Pong with the same payload.
    Ping(Cow<'a, [u8]>),
    Pong(Cow<'a, [u8]>),
    /// Nothing that follows counts.
    Close,
}

/// The peer broke the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Broken;

/// What is known of a frame or a message that is not complete. After an error it must not be used any more.
#[derive(Default, Debug)]
pub(crate) struct Decoder {
    /// The beginning of a frame's header, its first `header_bytes` bytes.
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: usize,
    /// The frame whose payload comes next.
    frame: Option<Frame>,
    /// Payload of an incomplete control frame.
    control: Vec<u8>,
    /// Payload of an incomplete message.
    message: Vec<u8>,
    /// How much of `message` is known to be UTF-8.
    checked: usize,
    /// What the message began as of which a last frame is still to come.
    begun: Option<Opcode>,
}

/// The frame whose payload is being received.
#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: Opcode,
    is_last: bool,
    /// Turned so that it fits the next byte.
    mask: [u8; 4],
    /// Bytes to come.
    left: usize,
}

impl Decoder {
    /// Nothing is incomplete: a new decoder would do as well.
    pub(crate) fn is_idle(&self) -> bool {
        self.header_bytes == 0 && self.frame.is_none() && self.begun.is_none()
    }

    /// What it owns on the heap.
    pub(crate) fn room(&self) -> usize {
        self.message.capacity() + self.control.capacity()
    }

    /// The next message, taken off the front of `input`, which is unmasked in place. `None`: all of `input` was taken, and
    /// more is needed. No message may be longer than `bytes_max`.
    pub(crate) fn next<'a>(
        &mut self,
        input: &mut &'a mut [u8],
        bytes_max: usize,
    ) -> Result<Option<Message<'a>>, Broken> {
        loop {
            let frame = match self.frame.take() {
                Some(frame) => frame,
                None if self.take_header(input)? => self.open(bytes_max)?,
                None => return Ok(None),
            };
            let piece = take(input, frame.left);
            unmask(piece, frame.mask);
            if piece.len() < frame.left {
                self.keep(frame, piece);
                return Ok(None);
            }
            let message = if frame.opcode.is_control() {
                Some(control(frame.opcode, join(&mut self.control, piece))?)
            } else {
                self.data(&frame, piece)?
            };
            if message.is_some() {
                return Ok(message);
            }
        }
    }

    /// A part of a frame, but not its end.
    fn keep(&mut self, mut frame: Frame, piece: &[u8]) {
        let payload = if frame.opcode.is_control() {
            &mut self.control
        } else {
            &mut self.message
        };
        payload.extend_from_slice(piece);
        frame.mask.rotate_left(piece.len() % 4);
        frame.left -= piece.len();
        self.frame = Some(frame);
    }

    /// The end of a frame of a message.
    fn data<'a>(&mut self, frame: &Frame, piece: &'a [u8]) -> Result<Option<Message<'a>>, Broken> {
        if frame.is_last {
            self.begun = None;
            self.checked = 0;
            return text(join(&mut self.message, piece)).map(Some);
        }
        self.begun = Some(frame.opcode);
        self.message.extend_from_slice(piece);
        if frame.opcode == Opcode::Text {
            self.check_text()?;
        }
        Ok(None)
    }

    /// Gathers a header. True: it is complete.
    fn take_header(&mut self, input: &mut &mut [u8]) -> Result<bool, Broken> {
        loop {
            let length = match self.header_bytes {
                0 | 1 => 2,
                _ => header_length(self.header[1])?,
            };
            if self.header_bytes == length {
                return Ok(true);
            }
            let piece = take(input, length - self.header_bytes);
            if piece.is_empty() {
                return Ok(false);
            }
            self.header[self.header_bytes..][..piece.len()].copy_from_slice(piece);
            self.header_bytes += piece.len();
        }
    }

    /// Begins the frame whose header is complete.
    fn open(&mut self, bytes_max: usize) -> Result<Frame, Broken> {
        let header = &self.header[..std::mem::take(&mut self.header_bytes)];
        let (length, mask) = header[1..].split_last_chunk().ok_or(Broken)?;
        let length = match length {
            [short] => u64::from(short & !MASKED),
            [_, long @ ..] => long.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
            [] => return Err(Broken),
        };
        let is_last = header[0] & FIN != 0;
        // Any other bit is reserved.
        let opcode = Opcode::of(header[0] & !FIN).ok_or(Broken)?;
        let opcode = match (opcode, self.begun) {
            (Opcode::Ping | Opcode::Pong | Opcode::Close, _) if !is_last || length > CONTROL_BYTES_MAX => {
                return Err(Broken);
            }
            (Opcode::Continuation, Some(begun)) => begun,
            (Opcode::Continuation, None) | (Opcode::Text | Opcode::Binary, Some(_)) => return Err(Broken),
            (opcode, _) => opcode,
        };
        let left = usize::try_from(length).map_err(|_| Broken)?;
        let before = if opcode.is_control() {
            0
        } else {
            self.message.len()
        };
        if left > bytes_max.saturating_sub(before) {
            return Err(Broken);
        }
        Ok(Frame {
            opcode,
            is_last,
            mask: *mask,
            left,
        })
    }

    /// Looks whether what came since the last time can be text. A character may be cut at the end.
    fn check_text(&mut self) -> Result<(), Broken> {
        match std::str::from_utf8(&self.message[self.checked..]) {
            Ok(text) => self.checked += text.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(Broken),
        }
        Ok(())
    }
}

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn of(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    fn is_control(self) -> bool {
        match self {
            Self::Continuation | Self::Text | Self::Binary => false,
            Self::Close | Self::Ping | Self::Pong => true,
        }
    }
}

/// The length of a header by its second byte.
fn header_length(second: u8) -> Result<usize, Broken> {
    if second & MASKED == 0 {
        return Err(Broken);
    }
    Ok(match second & !MASKED {
        127 => HEADER_BYTES_MAX,
        126 => 8,
        _ => 6,
    })
}

/// The first `count` bytes, or all if there are fewer.
fn take<'a>(input: &mut &'a mut [u8], count: usize) -> &'a mut [u8] {
    let count = count.min(input.len());
    let (piece, rest) = std::mem::take(input).split_at_mut(count);
    *input = rest;
    piece
}

fn unmask(piece: &mut [u8], mask: [u8; 4]) {
    let key = u32::from_ne_bytes(mask);
    let (words, rest) = piece.as_chunks_mut::<4>();
    for word in words {
        *word = (u32::from_ne_bytes(*word) ^ key).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask) {
        *byte ^= key;
    }
}

/// What was kept and what follows. Most frames come in one piece, and are not copied.
fn join<'a>(kept: &mut Vec<u8>, piece: &'a [u8]) -> Cow<'a, [u8]> {
    if kept.is_empty() {
        return Cow::Borrowed(piece);
    }
    let mut whole = std::mem::take(kept);
    whole.extend_from_slice(piece);
    Cow::Owned(whole)
}

fn text(bytes: Cow<'_, [u8]>) -> Result<Message<'_>, Broken> {
    let text = match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| Broken),
        Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| Broken),
    };
    text.map(Message::Text)
}

/// A control frame with its whole payload.
fn control(opcode: Opcode, payload: Cow<'_, [u8]>) -> Result<Message<'_>, Broken> {
    match opcode {
        Opcode::Ping => Ok(Message::Ping(payload)),
        Opcode::Pong => Ok(Message::Pong(payload)),
        // A status of two bytes and a reason, or nothing (RFC 6455, 5.5.1).
        Opcode::Close => match payload.split_at_checked(2) {
            None if !payload.is_empty() => Err(Broken),
            Some((_, reason)) if std::str::from_utf8(reason).is_err() => Err(Broken),
            None | Some(_) => Ok(Message::Close),
        },
        Opcode::Continuation | Opcode::Text | Opcode::Binary => Err(Broken),
    }
}
