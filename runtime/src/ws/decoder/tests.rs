//! Against tungstenite, byte for byte, on streams that are right, nearly right and wrong, cut anywhere.

use std::io::{self, Read, Write};

use proptest::collection::vec;
use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{self, Error};

use super::*;

/// Small enough for random lengths to reach it, and larger than what a length of one byte can say.
const BYTES_MAX: usize = 300;

/// What came out of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Seen {
    Text(String),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close,
    Refused,
}

/// What our decoder says of a stream that arrives in these pieces, and whether it is idle in the end.
fn ours<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Seen>, bool) {
    let mut decoder = Decoder::default();
    let mut seen = Vec::new();
    for piece in pieces {
        let mut bytes = piece.to_vec();
        let mut bytes = &mut bytes[..];
        loop {
            let next = match decoder.next(&mut bytes, BYTES_MAX) {
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
                return (seen, false);
            }
        }
        assert!(bytes.is_empty(), "who asks for more has taken everything");
    }
    (seen, decoder.is_idle())
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

/// What tungstenite says of it.
fn theirs(stream: &[u8]) -> Vec<Seen> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(BYTES_MAX))
        .max_frame_size(Some(BYTES_MAX));
    let mut ws = WebSocketContext::new(Role::Server, Some(config));
    let mut feed = Feed(stream);
    let mut seen = Vec::new();
    loop {
        let next = match ws.read(&mut feed) {
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

/// A frame as bytes. `form`: 0 for the shortest form of the length, else a longer one, which is allowed, too.
fn frame(first: u8, mask: Option<[u8; 4]>, form: u8, payload: &[u8]) -> Vec<u8> {
    let masked = if mask.is_some() { MASKED } else { 0 };
    let mut bytes = vec![first];
    match (form, payload.len()) {
        (0, 0..126) => bytes.push(masked | payload.len() as u8),
        (0 | 1, _) => {
            bytes.push(masked | 126);
            bytes.extend((payload.len() as u16).to_be_bytes());
        }
        (_, _) => {
            bytes.push(masked | 127);
            bytes.extend((payload.len() as u64).to_be_bytes());
        }
    }
    let key = mask.unwrap_or_default();
    bytes.extend(mask.iter().flatten());
    bytes.extend(
        payload
            .iter()
            .zip(key.iter().cycle())
            .map(|(byte, key)| byte ^ key),
    );
    bytes
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => "[a-zäß€😀]{0,12}".prop_map(String::into_bytes),
        2 => vec(any::<u8>(), 0..8),
        // A character cut in its middle.
        2 => (0_usize..5).prop_map(|cut| "€😀".as_bytes()[cut..].to_vec()),
        1 => (0_usize..5).prop_map(|cut| "€😀".as_bytes()[..cut].to_vec()),
        1 => (120_usize..140).prop_map(|length| vec![b'x'; length]),
        1 => (BYTES_MAX - 2..BYTES_MAX + 3).prop_map(|length| vec![b'y'; length]),
    ]
}

/// First bytes: messages in one frame and in several, control frames, and now and then something wrong.
fn first() -> impl Strategy<Value = u8> {
    prop_oneof![
        8 => Just(0x81),
        3 => Just(0x82),
        4 => Just(0x01),
        1 => Just(0x02),
        5 => Just(0x00),
        6 => Just(0x80),
        3 => Just(0x89),
        3 => Just(0x8A),
        1 => Just(0x88),
        1 => any::<u8>(),
    ]
}

fn frames() -> impl Strategy<Value = Vec<u8>> {
    let mask = prop_oneof![40 => any::<[u8; 4]>().prop_map(Some), 1 => Just(None)];
    let form = prop_oneof![8 => Just(0_u8), 1 => Just(1_u8), 1 => Just(2_u8)];
    let one = (first(), mask, form, payload());
    vec(
        one.prop_map(|(first, mask, form, payload)| frame(first, mask, form, &payload)),
        0..12,
    )
    .prop_map(|frames| frames.concat())
}

/// A stream, perhaps with one byte changed, perhaps cut short.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let change = prop_oneof![3 => Just(None), 1 => any::<(prop::sample::Index, u8)>().prop_map(Some)];
    let end = prop_oneof![2 => Just(None), 1 => any::<prop::sample::Index>().prop_map(Some)];
    let noise = vec(any::<u8>(), 0..60);
    let base = prop_oneof![12 => frames(), 1 => noise];
    (base, change, end).prop_map(|(mut stream, change, end)| {
        if stream.is_empty() {
            return stream;
        }
        if let Some((index, byte)) = change {
            *index.get_mut(&mut stream) = byte;
        }
        if let Some(end) = end {
            stream.truncate(end.index(stream.len()));
        }
        stream
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Q10: the same messages, the same refusals, however the bytes arrive.
    #[test]
    fn we_and_tungstenite_agree(stream in streams(), cuts in vec(any::<prop::sample::Index>(), 0..6)) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]);
        let (seen, is_idle) = ours(pieces);
        if seen.last() == Some(&Seen::Refused) {
            // We refuse at the header; tungstenite waits for the payload.
            let longer = [&stream[..], &[0; BYTES_MAX + HEADER_BYTES_MAX]].concat();
            prop_assert_eq!(seen, theirs(&longer));
        } else {
            prop_assert_eq!(&seen, &theirs(&stream));
        }
        if is_idle {
            // Whoever is at the end of a message needs no decoder: a new one goes on as well.
            let next = frame(0x81, Some([1, 2, 3, 4]), 0, b"next");
            let (after, _) = ours([&stream[..], &next[..]]);
            prop_assert_eq!(after.last(), Some(&Seen::Text("next".to_owned())));
        }
    }

    /// A byte at a time is the worst cut.
    #[test]
    fn a_byte_at_a_time(stream in streams()) {
        prop_assert_eq!(ours(stream.chunks(1)).0, ours([&stream[..]]).0);
    }
}

const MASK: Option<[u8; 4]> = Some([0x37, 0xfa, 0x21, 0x3d]);

/// RFC 6455, 5.7.
#[test]
fn the_example_of_rfc_6455() {
    let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(ours([&hello[..]]), (vec![Seen::Text("Hello".to_owned())], true));
}

/// Q10: at the limit and one beyond, in one frame and in two.
#[test]
fn the_limit_on_a_message() {
    for (length, is_good) in [(BYTES_MAX, true), (BYTES_MAX + 1, false)] {
        let text = vec![b'x'; length];
        let whole = frame(0x81, MASK, 0, &text);
        let (begin, end) = text.split_at(100);
        let parts = [frame(0x01, MASK, 0, begin), frame(0x80, MASK, 0, end)].concat();
        for stream in [whole, parts] {
            let (seen, _) = ours([&stream[..]]);
            assert_eq!(seen[0] != Seen::Refused, is_good, "{length} bytes: {seen:?}");
        }
    }
}

/// Nothing has to arrive after the byte that is wrong.
#[test]
fn what_is_wrong_is_refused_at_its_header() {
    for (what, bytes) in [
        ("no mask", &[0x81, 0x05][..]),
        ("a reserved bit", &[0xC1, 0x85, 0, 0, 0, 0]),
        ("an unknown opcode", &[0x83, 0x85, 0, 0, 0, 0]),
        ("a long Ping", &[0x89, 0xFE, 0, 126, 0, 0, 0, 0]),
        ("a Ping in parts", &[0x09, 0x80, 0, 0, 0, 0]),
        ("the end of nothing", &[0x80, 0x85, 0, 0, 0, 0]),
        (
            "more bytes than there are",
            &[0x82, 0xFF, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0],
        ),
    ] {
        assert_eq!(ours([bytes]).0, [Seen::Refused], "{what}");
    }
}

/// A header alone does not make us provide the room it speaks of.
#[test]
fn memory_follows_what_arrived() {
    const ANNOUNCED: usize = 1 << 20;
    let mut decoder = Decoder::default();
    let mut bytes = frame(0x81, MASK, 2, &vec![b'x'; ANNOUNCED]);
    let mut begin = &mut bytes[..1000];
    assert_eq!(decoder.next(&mut begin, ANNOUNCED), Ok(None));
    assert!(decoder.message.capacity() < 2000);
}
