//! Is a text JSON (protocol.md 2.5.1, E2 to E4)? serde_json must say the same of every text.

use comet_core::wire::json::{is_valid, is_valid_within};
use serde::de::IgnoredAny;

/// `data` is a text.
pub fn json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // Reading into nothing looks at syntax alone, at any depth, as we do.
    let valid = serde_json::from_str::<IgnoredAny>(text).is_ok();
    assert_eq!(is_valid(text), valid, "{text:?}");
    assert_eq!(
        is_valid_within(text, text.len()),
        valid,
        "no text is deeper than long"
    );
    let openings = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    assert_eq!(
        is_valid_within(text, 0),
        valid && openings_outside(text) == 0,
        "{openings} openings"
    );
}

/// Brackets that are not inside of a string of a valid text.
fn openings_outside(text: &str) -> usize {
    let (mut inside, mut escaped, mut found) = (false, false, 0);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            b'[' | b'{' if !inside => found += 1,
            _ => {}
        }
    }
    found
}
