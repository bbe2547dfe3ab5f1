//! What literals mean (protocol.md 7.4; Q44, Q45).

use comet_core::Config;
use comet_core::cometql::{Constant, Expr, Insert, Limits, Statement, parse};
use proptest::prelude::*;

fn parsed(text: &str) -> Statement {
    parse(text.as_bytes(), &Limits::of(&Config::default()))
        .unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

/// The literal in a free-text column.
fn free(literal: &str) -> String {
    let Statement::Insert(Insert::UsersData(rows)) = parsed(&format!(
        "INSERT INTO users_data (id, data) VALUES (1, {literal})"
    )) else {
        panic!("not an INSERT into users_data");
    };
    rows[0].data.as_str().into()
}

/// The literal where every text is allowed and none is free text: an alias.
fn ordinary(literal: &str) -> String {
    let Statement::Constants { columns, .. } = parsed(&format!("SELECT 1 AS {literal}")) else {
        panic!("not constants");
    };
    let Constant::Known { label, .. } = &columns[0] else {
        panic!("not a known constant");
    };
    (**label).into()
}

#[test]
fn ordinary_decoding() {
    for (literal, text) in [
        ("'abc'", "abc"),
        ("\"abc\"", "abc"),
        ("`abc`", "abc"),
        ("''", ""),
        ("'it''s'", "it's"),
        ("'it\\'s'", "it's"),
        ("\"it's\"", "it's"),
        ("\"a\"\"b\"", "a\"b"),
        ("`a``b`", "a`b"),
        ("'a\"\"b``c'", "a\"\"b``c"),
        (r"'\0\b\n\r\t\Z\\\'\' '", "\0\u{8}\n\r\t\u{1a}\\'' "),
        ("'\\\"'", "\""),
        (r"'\%\_'", r"\%\_"),
        (r"'\q\N\z\B'", "qNzB"),
        (r"'\ü\😀'", "ü😀"),
        (r"'a\\'", r"a\"),
        (r"'\\''\\'", r"\'\"),
        ("''''''", "''"),
    ] {
        assert_eq!(ordinary(literal), text, "{literal}");
    }
}

/// A value that ends in an escaped backslash does not swallow what follows (Q44).
#[test]
fn backslash_at_the_end() {
    let Statement::Insert(Insert::PipesMessages(rows)) =
        parsed(r"INSERT INTO pipes_messages (event, message, name) VALUES ('ev', 'C:\\', 'abc')")
    else {
        panic!("not an INSERT into pipes_messages");
    };
    assert_eq!(rows[0].body.as_str(), r"C:\");
    assert_eq!(rows[0].channel.as_str(), "abc");
}

#[test]
fn free_text_decoding() {
    for (literal, text) in [
        // Correct escaping.
        (r#"'{\"t\":\"\\u0444 it\'s\"}'"#, r#"{"t":"\u0444 it's"}"#),
        (r#""{\"t\":\"\\u0444 it's\"}""#, r#"{"t":"\u0444 it's"}"#),
        // json_encode without escaping.
        (r#"'{"t":"\u0444\n"}'"#, r#"{"t":"\u0444\n"}"#),
        (r#"'{"t":"it''s \/ \\ \" \t"}'"#, r#"{"t":"it's \/ \\ \" \t"}"#),
        (r#"'{"t":"it\'s \n"}'"#, r#"{"t":"it's \n"}"#),
        (r#"'"\u0444"'"#, r#""\u0444""#),
        (r#"' [ "\n" ] '"#, r#" [ "\n" ] "#),
        (r#"'"\\''"'"#, r#""\\'""#),
        // Not JSON: the ordinary rule.
        (r"'plain \n text'", "plain \n text"),
        (r#"'{"t":"\u0444\n"'"#, "{\"t\":\"u0444\n\""),
        (r#"'{"t":"\q"}'"#, r#"{"t":"q"}"#),
        (r"'\\'", r"\"),
        (r"'\%\_'", r"\%\_"),
        ("'it''s'", "it's"),
        ("''", ""),
        // Only single quotes have the first rule.
        (r#"`{"t":"\n"}`"#, "{\"t\":\"\n\"}"),
        // Numbers and bare words.
        ("0012", "0012"),
        ("-1.50", "-1.50"),
        ("word", "word"),
    ] {
        assert_eq!(free(literal), text, "{literal}");
    }
}

/// JSON of any depth is JSON.
#[test]
fn deep_json_is_kept() {
    let json = format!("{}\"\\n\"{}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(free(&format!("'{json}'")), json);
}

/// A condition on a free-text column decodes as an INSERT does.
#[test]
fn conditions_on_free_text() {
    let statement = parsed(r#"SELECT * FROM users_data WHERE id = 1 AND data = '{"t":"\n"}'"#);
    let Statement::Select(select) = statement else {
        panic!("not a SELECT");
    };
    let Some(Expr::And(parts)) = select.filter else {
        panic!("not an AND");
    };
    assert!(matches!(
        &parts[1],
        Expr::Compare { value: comet_core::cometql::Cell::Text(text), .. } if &**text == r#"{"t":"\n"}"#
    ));
}

/// Names and events are no free text: what looks like JSON is decoded as usual, in conditions and in patterns.
#[test]
fn conditions_on_other_texts() {
    for condition in [r#"event = '"\\n"'"#, r#"event LIKE '"\\n"'"#] {
        let text = format!("SELECT * FROM pipes_messages WHERE name = 'a' AND {condition}");
        let Statement::Select(select) = parsed(&text) else {
            panic!("not a SELECT");
        };
        let Some(Expr::And(parts)) = select.filter else {
            panic!("not an AND");
        };
        let (Expr::Compare {
            value: comet_core::cometql::Cell::Text(text),
            ..
        }
        | Expr::Like { pattern: text, .. }) = &parts[1]
        else {
            panic!("{:?}", parts[1]);
        };
        assert_eq!(&**text, r#""\n""#, "{condition}");
    }
}

/// What `mysqli_real_escape_string` and its relatives do.
fn escape(text: &str, quote: char) -> String {
    let mut literal = String::from(quote);
    for c in text.chars() {
        match c {
            '\0' => literal.push_str("\\0"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            '\u{1a}' => literal.push_str("\\Z"),
            '\\' | '\'' | '"' => literal.extend(['\\', c]),
            _ => literal.push(c),
        }
    }
    literal.push(quote);
    literal
}

/// PHP's `json_encode`: slashes escaped, everything but ASCII as `\uXXXX`.
fn json_encode(value: &serde_json::Value) -> String {
    let mut out = String::new();
    for c in value.to_string().chars() {
        if c == '/' {
            out.push_str("\\/");
        } else if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), r#"[{}\[\]:,"'`\\%_\n\r\x00\x1a\tua0-9 ü]{0,20}"#]
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        any_text().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            proptest::collection::vec((any_text(), inner), 0..4)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
}

proptest! {
    /// Population (a): correctly escaped text arrives as it was, in either kind of literal and column.
    #[test]
    fn escaped_text_survives(text in any_text()) {
        for quote in ['\'', '"'] {
            prop_assert_eq!(&free(&escape(&text, quote)), &text);
            prop_assert_eq!(&ordinary(&escape(&text, quote)), &text);
        }
    }

    /// Also what was JSON before it was escaped.
    #[test]
    fn escaped_json_survives(json in any_json()) {
        for text in [json.to_string(), json_encode(&json)] {
            prop_assert_eq!(&free(&escape(&text, '\'')), &text);
            prop_assert_eq!(&free(&escape(&text, '"')), &text);
        }
    }

    /// Population (b): `json_encode` output between single quotes, its apostrophes doubled at most.
    #[test]
    fn unescaped_json_survives(json in any_json()) {
        for text in [json.to_string(), json_encode(&json)] {
            prop_assert_eq!(&free(&format!("'{}'", text.replace('\'', "''"))), &text);
            prop_assert_eq!(&free(&format!("'{}'", text.replace('\'', "\\'"))), &text);
        }
    }

    /// Doubling alone is enough where there is no backslash.
    #[test]
    fn doubled_text_survives(text in "[^\\\\\0]{0,40}") {
        for quote in ['\'', '"', '`'] {
            let doubled = text.replace(quote, &format!("{quote}{quote}"));
            prop_assert_eq!(&ordinary(&format!("{quote}{doubled}{quote}")), &text);
            prop_assert_eq!(&free(&format!("{quote}{doubled}{quote}")), &text);
        }
    }
}
