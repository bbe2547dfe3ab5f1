//! Writing JSON strings so that the JavaScript clients cannot damage them (protocol.md 2.5.1).
//!
//! Both clients replace `\'` by `'` before they parse, so no apostrophe ever leaves this file as such (E1), nor a raw
//! line break (E6).

use alloc::string::String;

/// Appends `text` as a JSON string (E1, E6).
pub fn push_string(out: &mut String, text: &str) {
    out.push('"');
    push_escaped(out, text, Style::Text);
    out.push('"');
}

/// Appends a JSON string that contains the JSON text `json`, with its apostrophes as `\u0027` (E2).
///
/// `json` must be valid JSON: only then an apostrophe is always inside a string.
pub fn push_json_text(out: &mut String, json: &str) {
    out.push('"');
    push_escaped(out, json, Style::JsonText);
    out.push('"');
}

/// Appends a JSON string that contains the JSON string literal of `text` (E3).
pub fn push_literal(out: &mut String, text: &str) {
    out.push_str("\"\\\"");
    push_escaped(out, text, Style::Literal);
    out.push_str("\\\"\"");
}

/// How many layers of JSON are around the text, which decides how a special character is spelled.
#[derive(Clone, Copy)]
enum Style {
    /// A text in a string.
    Text,
    /// A JSON text in a string.
    JsonText,
    /// A text in a string in a string.
    Literal,
}

fn push_escaped(out: &mut String, text: &str, style: Style) {
    let mut rest = text;
    loop {
        let plain = plain_prefix(rest.as_bytes());
        // The special byte is ASCII, so both cuts fall between characters.
        let (run, special) = rest.split_at(plain);
        out.push_str(run);
        let Some(&byte) = special.as_bytes().first() else {
            return;
        };
        push_special(out, byte, style);
        rest = special.get(1..).unwrap_or_default();
    }
}

fn push_special(out: &mut String, byte: u8, style: Style) {
    match (byte, style) {
        (b'\'', Style::Text) => out.push_str("\\u0027"),
        (b'\'', Style::JsonText | Style::Literal) => out.push_str("\\\\u0027"),
        (b'"', Style::Text | Style::JsonText) => out.push_str("\\\""),
        (b'"', Style::Literal) => out.push_str("\\\\\\\""),
        (b'\\', Style::Text | Style::JsonText) => out.push_str("\\\\"),
        (b'\\', Style::Literal) => out.push_str("\\\\\\\\"),
        (control, Style::Text | Style::JsonText) => push_control(out, control),
        (control, Style::Literal) => {
            out.push('\\');
            push_control(out, control);
        }
    }
}

fn push_control(out: &mut String, byte: u8) {
    const HEX: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    match byte {
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        _ => {
            out.push_str("\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        }
    }
}

/// Length of the part before the first `"`, `\`, `'` or control character.
pub(super) fn plain_prefix(bytes: &[u8]) -> usize {
    let (words, tail) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let hits = special_bytes(u64::from_le_bytes(*word));
        if hits != 0 {
            return at * 8 + hits.trailing_zeros() as usize / 8;
        }
    }
    let in_tail = tail.iter().position(|&b| is_special(b));
    words.len() * 8 + in_tail.unwrap_or(tail.len())
}

const fn is_special(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | b'\'' | 0..0x20)
}

/// Marks the special bytes of eight at once in their top bits. Only the lowest mark is exact: subtracting can borrow
/// from the bytes above a hit, never from those below.
const fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = word ^ (ONES * b'"' as u64);
    let slash = word ^ (ONES * b'\\' as u64);
    let apostrophe = word ^ (ONES * b'\'' as u64);
    let zero_in = [quote, slash, apostrophe];
    let mut marks = control;
    let mut at = 0;
    while at < zero_in.len() {
        marks |= zero_in[at].wrapping_sub(ONES) & !zero_in[at];
        at += 1;
    }
    marks & TOPS
}
