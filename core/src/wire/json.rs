//! The little JSON the wire needs: is a text valid JSON (RFC 8259 syntax, any depth), and writing strings.

/// True if `text` is one JSON value, blanks around it allowed.
pub fn is_valid(_text: &str) -> bool {
    false
}
