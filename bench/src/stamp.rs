//! The mark inside each message body by which the receiver recognises it: who sent it, its number, and when.
//! A stamp is plain letters and digits, so that every encoding rule of protocol.md 2.5.1 leaves it as it is and it can
//! be found in a raw frame without parsing JSON. Bodies around the stamp differ (`body`), so that the rules are used.

use std::fmt::Write as _;

const MAGIC: &[u8] = b"#cb1 ";
/// Bytes of a written stamp.
pub(crate) const STAMP_LEN: usize = MAGIC.len() + 4 + 1 + 8 + 1 + 8 + 1 + 16 + 1;

/// Identity of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Sender: a CometQL session or a page.
    pub(crate) publisher: u16,
    /// Number within the stream of this publisher (a channel or a user), from 0 without gaps.
    pub(crate) sequence: u32,
    /// Free for the scenario: the user, the channel, or the slot of the publish in flight.
    pub(crate) slot: u32,
    /// When it was sent, `clock::nanos`.
    pub(crate) nanos: u64,
}

impl Stamp {
    pub(crate) fn write(self, out: &mut String) {
        let Self {
            publisher,
            sequence,
            slot,
            nanos,
        } = self;
        write!(
            out,
            "#cb1 {publisher:04x} {sequence:08x} {slot:08x} {nanos:016x} "
        )
        .expect("writing to a String cannot fail");
    }

    /// The stamp followed by filler, `length` bytes in all (never less than a stamp).
    pub(crate) fn padded(self, length: usize, out: &mut String) {
        let end = out.len() + length;
        self.write(out);
        while out.len() < end {
            out.push('x');
        }
    }

    /// Runs once per delivery, so it reads fixed places instead of looking for separators.
    fn read(text: &[u8]) -> Option<Self> {
        let text: &[u8; STAMP_LEN] = text.first_chunk()?;
        if !text.starts_with(MAGIC) || [text[9], text[18], text[27]] != *b"   " {
            return None;
        }
        Some(Self {
            publisher: u16::try_from(hex(&text[5..9])?).ok()?,
            sequence: u32::try_from(hex(&text[10..18])?).ok()?,
            slot: u32::try_from(hex(&text[19..27])?).ok()?,
            nanos: hex(&text[28..44])?,
        })
    }

    /// The first stamp anywhere in `text`.
    pub(crate) fn find(text: &[u8]) -> Option<Self> {
        let mut at = 0;
        loop {
            at += text[at..].iter().position(|byte| *byte == MAGIC[0])?;
            if let Some(stamp) = Self::read(&text[at..]) {
                return Some(stamp);
            }
            at += 1;
        }
    }
}

/// The value of each lower-case hex digit; anything else has a high bit set.
const NIBBLES: [u8; 256] = {
    let mut table = [0x80; 256];
    let digits = b"0123456789abcdef";
    let mut value = 0;
    while value < digits.len() {
        table[digits[value] as usize] = value as u8;
        value += 1;
    }
    table
};

/// At most 16 digits. Checks once at the end: a wrong digit is so rare that finding it late costs nothing.
fn hex(digits: &[u8]) -> Option<u64> {
    let (value, all) = digits.iter().fold((0_u64, 0_u8), |(value, all), digit| {
        let nibble = NIBBLES[usize::from(*digit)];
        (value << 4 | u64::from(nibble & 0x0F), all | nibble)
    });
    (all < 0x10).then_some(value)
}

/// Finds stamps at the place where the last one was: frames of one stream have them at the same offset.
#[derive(Debug, Default)]
pub(crate) struct Finder {
    hint: usize,
}

impl Finder {
    pub(crate) fn find(&mut self, frame: &[u8]) -> Option<Stamp> {
        if let Some(stamp) = frame.get(self.hint..).and_then(Stamp::read) {
            return Some(stamp);
        }
        let at = frame.windows(MAGIC.len()).position(|window| window == MAGIC)?;
        self.hint = at;
        Stamp::read(&frame[at..])
    }
}

/// A body for `stamp` that exercises the encoding rules: plain text, JSON with quotes and apostrophes, text with
/// apostrophes and emoji, text with backslashes. Which one follows from the number, so the receiver can rebuild it.
pub(crate) fn body(stamp: Stamp) -> String {
    let mut mark = String::with_capacity(STAMP_LEN + 48);
    stamp.write(&mut mark);
    match stamp.sequence % 4 {
        0 => mark + "plain words, nothing else",
        1 => format!(r#"{{"stamp":"{mark}","text":"it's \"quoted\" \\ \u0444 ☃","n":[1,2.50,null]}}"#),
        2 => mark + "it's 'text' with \"quotes\", two\nlines, Привет and 😀",
        _ => mark + r"C:\new\table \' \\ and a backslash at the end\",
    }
}

/// What a page makes of `data` (2.5.1 E2–E4): a JSON text keeps its text with apostrophes restored, a quoted JSON
/// string (E3) is unwrapped, anything else is the text itself.
pub(crate) fn decode_data(data: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(data) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(_) => data.replace(r"\u0027", "'"),
        Err(_) => data.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(sequence: u32) -> Stamp {
        Stamp {
            publisher: 513,
            sequence,
            slot: 77,
            nanos: 0x0123_4567_89ab_cdef,
        }
    }

    #[test]
    fn a_stamp_survives_its_text() {
        let mut text = String::from(r##"{"event":"#cb1 no","data":""##);
        sample(9).padded(100, &mut text);
        assert_eq!(Stamp::find(text.as_bytes()), Some(sample(9)));
        let mut finder = Finder::default();
        assert_eq!(finder.find(&text.as_bytes()[12..]), Some(sample(9)));
        assert_eq!(finder.find(&text.as_bytes()[12..]), Some(sample(9)));
        assert_eq!(
            finder.find(&text.as_bytes()[20..]),
            Some(sample(9)),
            "at another place than before"
        );
        assert_eq!(finder.find(b"short"), None);
    }

    #[test]
    fn a_damaged_stamp_is_no_stamp() {
        let mut text = String::new();
        sample(3).write(&mut text);
        assert_eq!(text.len(), STAMP_LEN);
        assert_eq!(Stamp::find(&text.as_bytes()[..STAMP_LEN - 1]), None);
        assert_eq!(Stamp::find(text.replace("00000003", "0000000G").as_bytes()), None);
    }

    /// S28, S29: what arrives is the body, whatever it is made of.
    #[test]
    fn every_body_comes_back_through_the_encoding_rules() {
        for sequence in 0..8 {
            let body = body(sample(sequence));
            let is_json = serde_json::from_str::<serde_json::Value>(&body).is_ok();
            let data = if is_json {
                body.replace('\'', r"\u0027")
            } else if body.contains('\\') {
                serde_json::to_string(&body).unwrap()
            } else {
                body.clone()
            };
            assert_eq!(decode_data(&data), body);
            assert_eq!(Stamp::find(body.as_bytes()), Some(sample(sequence)));
        }
    }
}
