//! What a literal means (protocol.md 7.4). The column decides which of the two rules holds.

use alloc::borrow::Cow;
use alloc::string::String;

use serde::de::IgnoredAny;

/// The ordinary decoding: doubled delimiter → one, backslash sequences as in MySQL. `inside` is the text between
/// two delimiters `quote`.
pub(super) fn decode(inside: &str, quote: u8) -> Cow<'_, str> {
    if next_special(inside, quote).is_none() {
        return Cow::Borrowed(inside);
    }
    let mut out = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(at) = next_special(rest, quote) {
        let (before, special) = rest.split_at(at);
        out.push_str(before);
        let mut chars = special.chars();
        let first = chars.next();
        let second = chars.next();
        if first == Some('\\') {
            push_escape(&mut out, second);
        } else {
            out.push(char::from(quote));
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn push_escape(out: &mut String, escaped: Option<char>) {
    match escaped {
        Some('0') => out.push('\0'),
        Some('b') => out.push('\u{8}'),
        Some('n') => out.push('\n'),
        Some('r') => out.push('\r'),
        Some('t') => out.push('\t'),
        Some('Z') => out.push('\u{1a}'),
        Some(pattern @ ('%' | '_')) => {
            out.push('\\');
            out.push(pattern);
        }
        Some(other) => out.push(other),
        None => {}
    }
}

/// The decoding of free text: a single-quoted literal that is JSON as it stands, but for `''` and `\'`, keeps its
/// backslashes (Q45); everything else is decoded as usual.
pub(super) fn decode_free(inside: &str, quote: u8) -> Cow<'_, str> {
    // Without a backslash both rules give the same text.
    if quote != b'\'' || !inside.contains('\\') {
        return decode(inside, quote);
    }
    let verbatim = decode_quotes_only(inside);
    if serde_json::from_str::<IgnoredAny>(&verbatim).is_ok() {
        Cow::Owned(verbatim)
    } else {
        decode(inside, quote)
    }
}

/// Turns only `''` and `\'` into `'`. Other backslash pairs are stepped over as pairs.
fn decode_quotes_only(inside: &str) -> String {
    let mut out = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(at) = next_special(rest, b'\'') {
        let (before, special) = rest.split_at(at);
        out.push_str(before);
        let mut chars = special.chars();
        let first = chars.next();
        let second = chars.next();
        if second != Some('\'') {
            out.extend(first);
        }
        out.extend(second);
        rest = chars.as_str();
    }
    out.push_str(rest);
    out
}

fn next_special(text: &str, quote: u8) -> Option<usize> {
    text.bytes().position(|byte| byte == quote || byte == b'\\')
}
