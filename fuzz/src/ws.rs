//! Frames of a browser (protocol.md 2.5, Q10, Q11): right, nearly right and wrong ones, cut anywhere. Our decoder and
//! tungstenite must say the same, and tungstenite must read what we send.

use std::io::{self, Read, Write};

use arbitrary::{Result, Unstructured};
use comet_core::MessageId;
use comet_server::fuzzing::{Seen, decode, encode, probe_of_pong};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{self, Error};

/// Small enough for short inputs to reach it, and larger than what a length of one byte can say.
const BYTES_MAX: usize = 300;

/// First bytes of frames: every opcode with and without the bit of the last frame, and some that are reserved.
const FIRST: [u8; 16] = [
    0x81, 0x81, 0x01, 0x80, 0x00, 0x82, 0x02, 0x88, 0x89, 0x8A, 0x08, 0x09, 0xC1, 0x83, 0x8B, 0x91,
];

/// `data` is a list of choices: frames, and where the stream is cut.
pub fn ws(data: &[u8]) {
    let mut choices = Unstructured::new(data);
    let cuts: [u8; 4] = choices.arbitrary().unwrap_or_default();
    let mut stream = Vec::new();
    while !choices.is_empty() && stream.len() < 8 * BYTES_MAX {
        if frame(&mut choices, &mut stream).is_err() {
            break;
        }
    }
    let whole = decode([&stream[..]], BYTES_MAX);
    let mut longer = stream.clone();
    if whole.last() == Some(&Seen::Refused) {
        // We refuse at the header; tungstenite waits for the payload.
        longer.extend([0; BYTES_MAX + 14]);
    }
    assert_eq!(whole, theirs(&longer, Role::Server), "against tungstenite");
    assert_eq!(
        whole,
        decode(pieces(&stream, cuts), BYTES_MAX),
        "however the bytes are cut"
    );
    sent(&stream);
}

/// Appends a frame, or bytes that are none.
fn frame(choices: &mut Unstructured<'_>, stream: &mut Vec<u8>) -> Result<()> {
    if choices.ratio(1, 16)? {
        let length = choices.int_in_range(0..=20)?;
        stream.extend(choices.bytes(choices.len().min(length))?);
        return Ok(());
    }
    stream.push(match choices.ratio(15, 16)? {
        true => *choices.choose(&FIRST)?,
        false => choices.arbitrary()?,
    });
    let length = match choices.int_in_range(0..=7u8)? {
        0 => *choices.choose(&[125, 126, 127, 299, 300, 301, 0])?,
        _ => choices.int_in_range(0..=130)?,
    };
    let masked = if choices.ratio(31, 32)? { 0x80 } else { 0 };
    match (choices.int_in_range(0..=9u8)?, u8::try_from(length)) {
        (0, _) => {
            stream.push(masked | 127);
            stream.extend((length as u64).to_be_bytes());
        }
        (1, _) | (_, Err(_)) | (_, Ok(126..)) => {
            stream.push(masked | 126);
            stream.extend((length as u16).to_be_bytes());
        }
        (_, Ok(short)) => stream.push(masked | short),
    }
    let mask: [u8; 4] = choices.arbitrary()?;
    if masked > 0 {
        stream.extend(mask);
    }
    let known = choices.bytes(choices.len().min(length))?;
    let payload = known.iter().copied().chain(std::iter::repeat(b'x')).take(length);
    stream.extend(
        payload
            .zip(mask.into_iter().cycle())
            .map(|(byte, key)| if masked > 0 { byte ^ key } else { byte }),
    );
    Ok(())
}

/// The stream in pieces of these lengths, over and over.
fn pieces(stream: &[u8], cuts: [u8; 4]) -> Vec<&[u8]> {
    let mut rest = stream;
    let mut pieces = Vec::new();
    for cut in cuts.into_iter().cycle() {
        let (piece, behind) = rest.split_at(rest.len().min(usize::from(cut).max(1)));
        pieces.push(piece);
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    pieces
}

/// What we send is read as it was meant.
fn sent(payload: &[u8]) {
    let text = String::from_utf8_lossy(payload);
    let text = &text.as_bytes()[..text.floor_char_boundary(BYTES_MAX)];
    let pong = &payload[..payload.len().min(125)];
    let probe = MessageId(payload.iter().fold(7, |id, byte| (id << 5) ^ u128::from(*byte)));
    let stream = encode(text, probe, pong).concat();
    let [Seen::Text(read), Seen::Ping(ping), Seen::Pong(answer)] = &theirs(&stream, Role::Client)[..] else {
        panic!("a text, a Ping and a Pong");
    };
    assert_eq!(read.as_bytes(), text);
    assert_eq!(probe_of_pong(ping), Some(probe), "its Pong proves delivery");
    assert_eq!(answer, pong);
}

struct Feed<'a>(&'a [u8]);

impl Read for Feed<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.0.read(buf)
    }
}

impl Write for Feed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite says of a stream.
fn theirs(stream: &[u8], role: Role) -> Vec<Seen> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(BYTES_MAX))
        .max_frame_size(Some(BYTES_MAX))
        .read_buffer_size(4096)
        .write_buffer_size(0);
    let mut context = WebSocketContext::new(role, Some(config));
    let mut feed = Feed(stream);
    let mut seen = Vec::new();
    loop {
        let next = match context.read(&mut feed) {
            Ok(tungstenite::Message::Text(text)) => Seen::Text(text.as_str().to_owned()),
            // To us a binary message is a text, if it is one.
            Ok(tungstenite::Message::Binary(bytes)) => {
                String::from_utf8(bytes.into()).map_or(Seen::Refused, Seen::Text)
            }
            Ok(tungstenite::Message::Ping(payload)) => Seen::Ping(payload.into()),
            Ok(tungstenite::Message::Pong(payload)) => Seen::Pong(payload.into()),
            Ok(tungstenite::Message::Close(_)) => Seen::Close,
            Ok(tungstenite::Message::Frame(_)) => continue,
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return seen,
            Err(_) => Seen::Refused,
        };
        let is_end = matches!(next, Seen::Close | Seen::Refused);
        seen.push(next);
        if is_end {
            return seen;
        }
    }
}
