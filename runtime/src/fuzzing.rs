//! The doors through which `fuzz` reaches what this crate makes of bytes from strangers: frames of browsers, requests,
//! settings, rows of a store. Plain values in, plain values out; nothing here decides anything.
//!
//! Not an interface for anybody else: these parsers stay private, and this module changes with them.

pub use crate::http::fuzzing::{Bodies, Request, Understood, bodies, request};
pub use crate::store::fuzzing::{Cell, TABLES, load};

use comet_core::MessageId;

use crate::ws::decoder::{Broken, Decoder, Message};
use crate::ws::frame;

/// What a browser's bytes say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// A text, or a binary message that is one.
    Text(String),
    /// A Ping and its payload.
    Ping(Vec<u8>),
    /// A Pong and its payload.
    Pong(Vec<u8>),
    /// The end.
    Close,
    /// The protocol was broken; nothing after it counts.
    Refused,
}

/// Decodes a stream that arrives in these pieces. No message may be longer than `bytes_max`.
pub fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, bytes_max: usize) -> Vec<Seen> {
    let mut decoder = Decoder::default();
    let mut seen = Vec::new();
    for piece in pieces {
        let mut bytes = piece.to_vec();
        let mut rest = &mut bytes[..];
        loop {
            let next = match decoder.next(&mut rest, bytes_max) {
                Ok(None) => break,
                Ok(Some(Message::Text(text))) => Seen::Text(text.into_owned()),
                Ok(Some(Message::Ping(payload))) => Seen::Ping(payload.into_owned()),
                Ok(Some(Message::Pong(payload))) => Seen::Pong(payload.into_owned()),
                Ok(Some(Message::Close)) => Seen::Close,
                Err(Broken) => Seen::Refused,
            };
            let is_end = matches!(next, Seen::Close | Seen::Refused);
            seen.push(next);
            if is_end {
                return seen;
            }
        }
        assert!(rest.is_empty(), "who asks for more has taken everything");
    }
    seen
}

/// The server's frames: a text, the Ping that asks for a proof of delivery, a Pong.
pub fn encode(text: &[u8], probe: MessageId, pong: &[u8]) -> [Vec<u8>; 3] {
    [frame::text(text), frame::probe(probe), frame::pong(pong)].map(|frame| frame.to_vec())
}

/// The probe that a Pong with this payload answers.
pub fn probe_of_pong(payload: &[u8]) -> Option<MessageId> {
    frame::probe_of_pong(payload)
}
