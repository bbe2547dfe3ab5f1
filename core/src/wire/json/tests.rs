//! RFC 8259 to the letter, with `serde_json` as oracle, and the writer read back by it.

use proptest::prelude::*;

use super::*;

fn oracle(text: &str) -> bool {
    // `IgnoredAny` checks syntax only, iteratively, like ours.
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

#[test]
fn accepts_every_form_of_rfc_8259() {
    for text in [
        "0",
        "-0",
        "1.5",
        "1e5",
        "1E+5",
        "-1.25e-10",
        "1e999999",
        "0e0",
        "123456789012345678901234567890",
        "true",
        "false",
        "null",
        "\"\"",
        "\"a\"",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        " \t\r\n1 \t\r\n",
        "[1,2,3]",
        "[[],{}]",
        "{\"a\":1}",
        "{\"a\":{\"b\":[1,{\"c\":null}]},\"d\":\"e\"}",
        "{\"a\":1,\"a\":2}",
        r#""\"\\\/\b\f\n\r\t\u00e9\uD800""#,
        "\"it's\"",
        "\"\u{2028}\u{7f}😀\"",
        "{ \"a\" : [ 1 , 2 ] }",
    ] {
        assert!(is_valid(text), "{text}");
    }
}

#[test]
fn refuses_everything_else() {
    for text in [
        "",
        " ",
        "-",
        "+1",
        "01",
        "-01",
        "1.",
        ".5",
        "1.e5",
        "1e",
        "1e+",
        "0x10",
        "1 2",
        "tru",
        "truee",
        "True",
        "nul",
        "NaN",
        "Infinity",
        "\"",
        "\"a",
        "'a'",
        "\"\\\"",
        "\"\\x\"",
        "\"\\'\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\u",
        "\"a\nb\"",
        "\"\u{0}\"",
        "\"\u{1f}\"",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[}",
        "{",
        "}",
        "{]",
        "{1:2}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1 \"b\":2}",
        "{,}",
        "{\"a\" 1}",
        "[1]]",
        "{}{}",
        "\u{feff}1",
        "1\u{a0}",
        "// x\n1",
        "A::5;1",
        "\u{c}1",
    ] {
        assert!(!is_valid(text), "{text:?}");
    }
}

#[test]
fn depth_is_not_limited_and_takes_no_stack() {
    for depth in [1, 63, 64, 65, 127, 128, 129, 512, 524_288] {
        let arrays = "[".repeat(depth) + &"]".repeat(depth);
        assert!(is_valid(&arrays), "{depth} arrays");
        assert!(!is_valid(&arrays[1..]), "one closed too often at {depth}");
        assert!(!is_valid(&arrays[..arrays.len() - 1]), "one open at {depth}");
        let mixed = "[{\"a\":".repeat(depth) + "0" + &"}]".repeat(depth);
        assert!(is_valid(&mixed), "{depth} mixed");
        let crossed = "[{\"a\":".repeat(depth) + "0" + &"]}".repeat(depth);
        assert!(!is_valid(&crossed), "{depth} crossed");
    }
}

#[test]
fn a_million_open_brackets_take_one_bit_each() {
    let mut nesting = Nesting::default();
    for level in 0..1 << 20 {
        nesting.push(if level % 3 == 0 {
            Container::Object
        } else {
            Container::Array
        });
    }
    assert!(nesting.older.capacity() * 8 <= 256 * 1024);
    for level in (0..1 << 20).rev() {
        let expected = if level % 3 == 0 {
            Container::Object
        } else {
            Container::Array
        };
        assert_eq!(nesting.top(), Some(expected));
        nesting.pop();
    }
    assert_eq!(nesting.top(), None);
    assert!(!is_valid(&"[".repeat(1 << 20)));
}

#[test]
fn strings_escape_what_would_be_damaged() {
    let mut out = String::new();
    push_string(&mut out, "a\"b\\c'd\ne\r\t\u{0}\u{1f}\u{7f}é😀\u{2028}");
    assert_eq!(
        out,
        "\"a\\\"b\\\\c\\u0027d\\ne\\r\\t\\u0000\\u001f\u{7f}é😀\u{2028}\""
    );
}

#[test]
fn a_special_byte_is_found_at_every_place() {
    for length in 0..40 {
        for at in 0..length {
            for special in (0..0x20).chain([b'"', b'\\', b'\'']) {
                for filler in [
                    b'a', b' ', b'!', b'#', b'&', b'(', b'[', b']', 0x7f, 0x80, 0xa2, 0xff,
                ] {
                    let mut bytes = vec![filler; length];
                    assert_eq!(write::plain_prefix(&bytes), length);
                    bytes[at] = special;
                    assert_eq!(write::plain_prefix(&bytes), at);
                    if at + 1 < length {
                        bytes[at + 1] = b'"';
                        assert_eq!(write::plain_prefix(&bytes), at);
                    }
                }
            }
        }
    }
}

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just(","),
        Just(":"),
        Just("\""),
        Just("\\"),
        Just("\\u"),
        Just("00e9"),
        Just("\"a\""),
        Just("\"a\":"),
        Just("1"),
        Just("-"),
        Just("0"),
        Just("."),
        Just("e"),
        Just("+"),
        Just("true"),
        Just("null"),
        Just("fals"),
        Just(" "),
        Just("\n"),
        Just("\t"),
        Just("'"),
        Just("é"),
        Just("\u{0}"),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Valid JSON with one character taken out, put in or left alone.
fn nearly_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<f64>()
            .prop_filter("JSON has no infinity", |n| n.is_finite())
            .prop_map(|n| format!("{n:e}")),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    let tree = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec(inner, 0..4).prop_map(|items| {
                let members: Vec<_> = items.iter().map(|item| format!("\"k\" :{item}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    });
    (tree, any::<prop::sample::Index>(), 0..3u8, any::<char>()).prop_map(|(text, at, change, new)| {
        let mut chars: Vec<char> = text.chars().collect();
        let at = at.index(chars.len());
        match change {
            0 => {}
            1 => drop(chars.remove(at)),
            _ => chars.insert(at, new),
        }
        chars.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn agrees_with_serde_json(text in prop_oneof![hostile(), nearly_json(), any::<String>()]) {
        prop_assert_eq!(is_valid(&text), oracle(&text), "{:?}", text);
    }

    #[test]
    fn written_strings_read_back(text in prop_oneof![hostile(), any::<String>()]) {
        let mut plain = String::new();
        push_string(&mut plain, &text);
        prop_assert!(!plain.contains(['\'', '\n', '\r']));
        prop_assert_eq!(&serde_json::from_str::<String>(&plain).unwrap(), &text);

        let mut literal = String::new();
        push_literal(&mut literal, &text);
        let inner: String = serde_json::from_str(&literal).unwrap();
        prop_assert!(!literal.contains(['\'', '\n', '\r']) && !inner.contains('\''));
        prop_assert_eq!(&serde_json::from_str::<String>(&inner).unwrap(), &text);

        let mut json = String::new();
        push_json_text(&mut json, &text);
        prop_assert!(!json.contains(['\'', '\n', '\r']));
        let inner: String = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(inner, text.replace('\'', "\\u0027"));
    }
}

/// An empty container is one as well, of either kind.
#[test]
fn every_container_counts_for_the_depth() {
    for (text, depth) in [
        ("1", 0),
        ("{}", 1),
        ("[]", 1),
        (r#"{"a":{}}"#, 2),
        (r#"[[],{"a":1}]"#, 2),
        (r#"{"a":[{"b":{}}],"c":{}}"#, 4),
    ] {
        assert!(is_valid_within(text, depth), "{text}");
        assert!(depth == 0 || !is_valid_within(text, depth - 1), "{text}");
    }
}

/// Every bracket is closed by its own kind, also where the nesting crosses a word of bits and comes back.
#[test]
fn brackets_match_at_every_depth() {
    let open = |level: usize| if level.is_multiple_of(3) { "{\"a\":" } else { "[" };
    let close = |level: usize| if level.is_multiple_of(3) { "}" } else { "]" };
    for depth in [1, 63, 64, 65, 127, 128, 129, 200] {
        let opened: String = (0..depth).map(open).collect();
        let closed: String = (0..depth).rev().map(close).collect();
        let right = format!("{opened}1{closed}");
        assert!(is_valid(&right), "{depth}");
        // Twice beside each other: nothing is left of the first.
        assert!(is_valid(&format!("[{right},{right}]")), "{depth}");
        for level in 0..depth {
            let other = if close(level) == "}" { "]" } else { "}" };
            let mut wrong = closed.clone();
            let at = depth - 1 - level;
            wrong.replace_range(at..=at, other);
            assert!(!is_valid(&format!("{opened}1{wrong}")), "{depth}, {level}");
        }
    }
}
