//! String literals (protocol.md 7.4): whatever text a driver escapes, in whichever way, arrives as it was.

use comet_core::cometql::{Insert, Statement, parse};

use crate::limits;

/// `data` is a text, if it is UTF-8 and short enough; as bytes it is also tried inside of quotes.
pub fn literal(data: &[u8]) {
    for quote in [b'\'', b'"', b'`'] {
        let mut raw = b"INSERT INTO users_data (id, data) VALUES (1, ".to_vec();
        raw.push(quote);
        raw.extend_from_slice(data);
        raw.push(quote);
        raw.push(b')');
        // Unescaped bytes may be anything, also the end of the literal; it only has to be survived.
        let _ = parse(&raw, &limits());
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if text.len() > limits().body_bytes_max {
        return;
    }
    assert_eq!(
        stored(&backslashed(text, '\'')).as_deref(),
        Some(text),
        "mysql_real_escape_string in ''"
    );
    assert_eq!(
        stored(&backslashed(text, '"')).as_deref(),
        Some(text),
        "mysql_real_escape_string in \"\""
    );
}

/// What every MySQL client library does to a text before it puts it between quotes.
fn backslashed(text: &str, quote: char) -> String {
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\0' => out.push_str("\\0"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\u{1a}' => out.push_str("\\Z"),
            '\\' | '\'' | '"' => {
                out.push('\\');
                out.push(c);
            }
            other => out.push(other),
        }
    }
    out.push(quote);
    out
}

fn stored(literal: &str) -> Option<String> {
    let text = format!("INSERT INTO users_data (id, data) VALUES (1, {literal})");
    match parse(text.as_bytes(), &limits()) {
        Ok(Statement::Insert(Insert::UsersData(rows))) => Some(rows[0].data.as_str().to_owned()),
        Ok(_) | Err(_) => None,
    }
}
