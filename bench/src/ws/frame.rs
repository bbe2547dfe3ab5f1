//! WebSocket frames (RFC 6455 section 5) in both directions, as bytes in and bytes out. Knows no socket.

use std::ops::Range;

/// The opcodes that occur between a browser and the server (protocol.md 2.5); continuation is not among them because
/// the server never fragments and neither do we.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn parse(code: u8) -> Option<Self> {
        match code {
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xA => Some(Self::Pong),
            _ => None,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }
}

/// Whose frames are read: a browser masks, a server does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Server,
    Browser,
}

/// One complete frame inside a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: Opcode,
    pub(crate) mask: Option<[u8; 4]>,
    /// Where the payload lies, still masked if there is a mask. Its end is the end of the frame.
    pub(crate) payload: Range<usize>,
}

/// Reads the first frame of `bytes`; `None` while it is incomplete. The error is what the peer did wrong.
pub(crate) fn parse(bytes: &[u8], from: From) -> Result<Option<Frame>, &'static str> {
    let [first, second, rest @ ..] = bytes else {
        return Ok(None);
    };
    if first & 0xF0 != 0x80 {
        return Err("fragmented frame or reserved bits");
    }
    let opcode = Opcode::parse(first & 0x0F).ok_or("unknown opcode")?;
    let masked = second & 0x80 != 0;
    if masked != (from == From::Browser) {
        return Err("frame masked on the wrong side");
    }
    let (length, mut header) = match second & 0x7F {
        126 => {
            let Some(length) = rest.first_chunk() else {
                return Ok(None);
            };
            (u64::from(u16::from_be_bytes(*length)), 4)
        }
        127 => {
            let Some(length) = rest.first_chunk() else {
                return Ok(None);
            };
            (u64::from_be_bytes(*length), 10)
        }
        short => (u64::from(short), 2),
    };
    let mut mask = None;
    if masked {
        mask = bytes.get(header..).and_then(|after| after.first_chunk().copied());
        header += 4;
    }
    let length = usize::try_from(length).map_err(|_| "frame too long")?;
    let end = header.checked_add(length).ok_or("frame too long")?;
    if bytes.len() < end {
        return Ok(None);
    }
    Ok(Some(Frame {
        opcode,
        mask,
        payload: header..end,
    }))
}

/// Appends a frame as a server sends it: unmasked.
pub(crate) fn put_server_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    put_header(out, opcode, payload.len(), 0);
    out.extend_from_slice(payload);
}

/// Appends a frame as a browser sends it: masked with `mask`.
pub(crate) fn put_browser_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8], mask: [u8; 4]) {
    put_header(out, opcode, payload.len(), 0x80);
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend_from_slice(payload);
    apply_mask(&mut out[start..], mask);
}

pub(crate) fn apply_mask(bytes: &mut [u8], mask: [u8; 4]) {
    for (byte, key) in bytes.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

fn put_header(out: &mut Vec<u8>, opcode: Opcode, length: usize, mask_bit: u8) {
    out.push(0x80 | opcode.code());
    if length < 126 {
        out.push(mask_bit | u8::try_from(length).expect("just compared"));
    } else if let Ok(length) = u16::try_from(length) {
        out.push(mask_bit | 126);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(mask_bit | 127);
        out.extend_from_slice(&(length as u64).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_length_forms_round_trip_and_wait_for_their_last_byte() {
        for length in [0, 1, 123, 124, 125, 126, 127, 65535, 65536, 70000] {
            let payload: Vec<u8> = (0..length).map(|n: u32| n as u8).collect();
            let mut server = Vec::new();
            put_server_frame(&mut server, Opcode::Text, &payload);
            let frame = parse(&server, From::Server).unwrap().unwrap();
            assert_eq!(
                (frame.opcode, &server[frame.payload.clone()]),
                (Opcode::Text, &payload[..])
            );
            assert_eq!(frame.payload.end, server.len());
            assert_eq!(parse(&server[..server.len() - 1], From::Server), Ok(None));

            let mut browser = Vec::new();
            put_browser_frame(&mut browser, Opcode::Pong, &payload, [1, 2, 3, 250]);
            for cut in 0..browser.len().min(16) {
                assert_eq!(parse(&browser[..cut], From::Browser), Ok(None));
            }
            let frame = parse(&browser, From::Browser).unwrap().unwrap();
            apply_mask(&mut browser[frame.payload.clone()], frame.mask.unwrap());
            assert_eq!(&browser[frame.payload], &payload[..]);
        }
    }

    #[test]
    fn what_a_peer_must_not_send_is_named() {
        assert!(parse(&[0x01, 0x00], From::Server).is_err(), "fragment");
        assert!(parse(&[0xC1, 0x00], From::Server).is_err(), "reserved bit");
        assert!(parse(&[0x83, 0x00], From::Server).is_err(), "unknown opcode");
        assert!(parse(&[0x81, 0x80], From::Server).is_err(), "masked by a server");
        assert!(
            parse(&[0x81, 0x00], From::Browser).is_err(),
            "not masked by a browser"
        );
        let huge = [0x81, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF];
        assert!(parse(&huge, From::Server).is_err(), "length beyond memory");
    }
}
