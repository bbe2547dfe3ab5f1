//! Writing JSON piece by piece, where a tree of values would only cost memory.

/// Appends a JSON string.
pub(super) fn push_quoted(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            char if u32::from(char) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(char))),
            char => out.push(char),
        }
    }
    out.push('"');
}

/// A JSON string.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::new();
    push_quoted(&mut out, text);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Q2: a node name as it is, whatever it contains.
    #[test]
    fn texts_are_quoted() {
        assert_eq!(quoted("NoName"), "\"NoName\"");
        assert_eq!(quoted("a\"b\\c\nü"), "\"a\\\"b\\\\c\\u000aü\"");
    }

    #[test]
    fn every_text_comes_back() {
        let text: String = (0..0x2100).filter_map(char::from_u32).chain(['😀']).collect();
        assert_eq!(serde_json::from_str::<String>(&quoted(&text)).unwrap(), text);
    }
}
