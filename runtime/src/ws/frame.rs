//! Server frames on the wire: header and payload in one shared byte string (protocol.md 2.5, Q11).
//!
//! Promise: server frames are unmasked and unfragmented, so one encoding serves every receiver.

use bytes::{BufMut, Bytes, BytesMut};
use comet_core::MessageId;

const FIN_TEXT: u8 = 0x81;
const FIN_PING: u8 = 0x89;
/// First byte of a Pong.
pub(crate) const FIN_PONG: u8 = 0x8A;
const HEADER_MAX: usize = 10;

/// The Ping of the keep-alive: without payload, so that its Pong is no answer to a probe (Q12).
pub(crate) const KEEP_ALIVE_PING: Bytes = Bytes::from_static(&[FIN_PING, 0]);

/// A text frame.
pub(crate) fn text(payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEADER_MAX + payload.len());
    put_header(&mut frame, FIN_TEXT, payload.len());
    frame.put_slice(payload);
    frame.freeze()
}

/// A Ping whose Pong proves that everything before it arrived (protocol.md 5.1).
pub(crate) fn probe(probe: MessageId) -> Bytes {
    let mut frame = BytesMut::with_capacity(2 + 16);
    put_header(&mut frame, FIN_PING, 16);
    frame.put_u128(probe.0);
    frame.freeze()
}

/// The answer to a Ping.
pub(crate) fn pong(payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEADER_MAX + payload.len());
    put_header(&mut frame, FIN_PONG, payload.len());
    frame.put_slice(payload);
    frame.freeze()
}

/// The probe that a Pong answers; `None`: a Pong to a keep-alive, or one nobody asked for.
pub(crate) fn probe_of_pong(payload: &[u8]) -> Option<MessageId> {
    let bytes: [u8; 16] = payload.try_into().ok()?;
    Some(MessageId(u128::from_be_bytes(bytes)))
}

/// RFC 6455 5.2: the shortest of the three length forms.
fn put_header(out: &mut BytesMut, first: u8, length: usize) {
    out.put_u8(first);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short < 126 => out.put_u8(short),
        (_, Ok(medium)) => {
            out.put_u8(126);
            out.put_u16(medium);
        }
        (_, Err(_)) => {
            out.put_u8(127);
            out.put_u64(length as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Q11: the lengths around each change of form.
    #[test]
    fn every_length_form() {
        let cases: [(usize, &[u8]); 7] = [
            (0, &[0x81, 0]),
            (124, &[0x81, 124]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 0xff, 0xff]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
            (70_000, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70]),
        ];
        for (length, header) in cases {
            let frame = text(&vec![b'x'; length]);
            assert_eq!(&frame[..header.len()], header, "length {length}");
            assert_eq!(frame.len(), header.len() + length);
            assert!(frame[header.len()..].iter().all(|&byte| byte == b'x'));
        }
    }

    #[test]
    fn a_probe_comes_back_as_itself() {
        let id = MessageId(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
        let frame = probe(id);
        assert_eq!(&frame[..4], &[0x89, 16, 0x01, 0x23]);
        assert_eq!(probe_of_pong(&frame[2..]), Some(id));
        assert_eq!(probe_of_pong(b""), None);
        assert_eq!(probe_of_pong(b"seventeen bytes.."), None);
    }
}
