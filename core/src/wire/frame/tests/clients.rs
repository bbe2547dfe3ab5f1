//! What the two JavaScript clients do to a frame before an application sees it (protocol.md 2.5.1), and that no text
//! is harmed by it: S28, S29, S46, rules E1 to E6.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// What an application is handed.
#[derive(PartialEq, Debug)]
enum Seen {
    /// A string that is no JSON.
    Text(String),
    /// A parsed value. Kept as text, because JavaScript's numbers and depths are not those of `serde_json`.
    Json(String),
    /// `data` was no string, so the client did not look into it.
    Value(Value),
}

struct Received {
    frame: Value,
    seen: Seen,
    /// The sender id that the *body* pretended, which must never happen.
    forged: Option<String>,
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn receive(raw: &str) -> Received {
    let raw = raw.replace("\\'", "'");
    let frame: Value = serde_json::from_str(&raw).expect("the client can parse the frame");
    let Value::String(data) = &frame["data"] else {
        let seen = Seen::Value(frame["data"].clone());
        return Received {
            frame,
            seen,
            forged: None,
        };
    };
    let (forged, data) = sender_prefix(data);
    let seen = parse_data(data.replace("\\'", "'"));
    Received { frame, seen, forged }
}

/// `A::<id>;` at the start of `data` is taken as the sender's id.
fn sender_prefix(data: &str) -> (Option<String>, &str) {
    let prefix = data.strip_prefix("A::").and_then(|rest| rest.split_once(';'));
    prefix.map_or((None, data), |(id, rest)| (Some(id.to_owned()), rest))
}

fn parse_data(data: String) -> Seen {
    let mut text = data;
    for _attempt in 0..3 {
        if is_json(&text) {
            return Seen::Json(text);
        }
        text = text.replace('\\', "");
    }
    Seen::Text(text)
}

/// The same JSON value, whatever its spelling.
fn same_json(left: &str, right: &str) -> bool {
    // A lone surrogate or a number out of range has no `Value`; then only the apostrophes may be spelled differently.
    match (
        serde_json::from_str::<Value>(left),
        serde_json::from_str::<Value>(right),
    ) {
        (Ok(left), Ok(right)) => left == right,
        _ => left == right.replace('\'', "\\u0027"),
    }
}

/// True if the application sees exactly what was sent.
fn sees(seen: &Seen, sent: &str) -> bool {
    match seen {
        Seen::Json(text) if is_json(sent) => same_json(text, sent),
        Seen::Json(text) => serde_json::from_str::<String>(text).is_ok_and(|text| text == sent),
        Seen::Text(text) => !is_json(sent) && text == sent,
        Seen::Value(_) => false,
    }
}

fn hostile_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => prop::sample::select(vec![
            "'", "\\'", "\\\\'", "\"", "\\\"", "\\", "\\\\", "\\u0027", "\\u005c", "\\n", "\n", "\r", "\t", "\0",
            "\u{1}", "\u{1f}", "\u{7f}", "A::5;", "A::", ";", "{", "}", "[", "]", ":", ",", " ", "1", "-", "e9",
            "null", "true", "a", "é", "Я", "😀", "\u{2028}", "\u{2029}", "\u{feff}", "\\ud800", "jscode", "//", "/*",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

/// JSON with every kind of escape, in any spelling.
fn json_text() -> impl Strategy<Value = String> {
    let string = hostile_text().prop_map(|text| {
        let spelled = serde_json::to_string(&text).unwrap();
        // Some slashes and letters in their escaped spelling.
        spelled.replace('/', "\\/").replace("a", "\\u0061")
    });
    let lone = Just("\"\\ud800'\\/\\b\\f\"".to_owned());
    let leaf = prop_oneof![
        4 => string,
        1 => lone,
        1 => any::<i64>().prop_map(|n| n.to_string()),
        1 => Just("1e999".to_owned()),
        1 => Just("null".to_owned()),
    ];
    leaf.prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[ {}\n]", items.join("\t,"))),
            prop::collection::vec((hostile_text(), inner), 0..4).prop_map(|members| {
                let members: Vec<_> = members
                    .iter()
                    .map(|(key, value)| format!("{}: {value}", serde_json::to_string(key).unwrap()))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

fn nested() -> impl Strategy<Value = String> {
    (
        1..600usize,
        prop::sample::select(vec!["[", "{\"'\":"]),
        any::<bool>(),
    )
        .prop_map(|(depth, open, whole)| {
            let close = if open == "[" { "]" } else { "}" };
            let closed = if whole { depth } else { depth - 1 };
            format!("{}\"it's\"{}", open.repeat(depth), close.repeat(closed))
        })
}

fn body() -> impl Strategy<Value = String> {
    let impostor = hostile_text().prop_map(|text| format!("A::5;{text}"));
    let quoted_twice = json_text().prop_map(|json| serde_json::to_string(&json).unwrap());
    prop_oneof![4 => hostile_text(), 4 => json_text(), 1 => impostor, 1 => quoted_twice, 1 => nested()]
}

fn check_line(raw: &str) -> Result<(), TestCaseError> {
    // E1, E6
    prop_assert!(!raw.contains(['\'', '\n', '\r']), "{}", raw);
    Ok(())
}

/// E5: nothing but the keys the server set.
fn check_keys(received: &Received, allowed: &[&str]) -> Result<(), TestCaseError> {
    let Value::Object(keys) = &received.frame else {
        return Err(TestCaseError::fail("a frame is an object"));
    };
    prop_assert!(
        keys.keys().all(|key| allowed.contains(&key.as_str())),
        "{:?}",
        keys
    );
    prop_assert_eq!(&received.forged, &None);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn any_body_arrives_unharmed(body in body(), v4 in any::<bool>()) {
        let dialect = if v4 { Dialect::V4 } else { Dialect::V3 };
        let id = MessageId(7);
        let undefined = marker("undefined");
        let frames = [
            FrameBody::Message { channel: "web_a", event: "e", body: &body, sender: Some(Some(user(9))), id: None },
            FrameBody::Private { event: "", body: &body, id, from_queue: true },
            FrameBody::History { channel: "web_a", event: "e", body: &body, sender: None, marker: &undefined, id: MessageId(1) },
        ];
        for frame in frames {
            let raw = written(frame, dialect);
            check_line(&raw)?;
            let received = receive(&raw);
            prop_assert!(sees(&received.seen, &body), "{:?} for {:?} in {}", received.seen, body, raw);
            let keys = ["pipe", "event", "event_name", "data", "user_id", "uuid", "fromQueue", "history", "message_send_time"];
            check_keys(&received, &keys)?;
        }
    }

    #[test]
    fn texts_inside_objects_arrive_unharmed(text in body()) {
        let m = marker("m");
        let report = FrameBody::Report { channel: "web_a", receivers: 1, body: &text, id: None, error: None, repeated: false };
        let user_data = FrameBody::UserData { marker: &m, user: user(9), data: &text };
        for (frame, key) in [(report, "message"), (user_data, "user_data")] {
            for dialect in [Dialect::V3, Dialect::V4] {
                let raw = written(frame, dialect);
                check_line(&raw)?;
                let received = receive(&raw);
                let data = match (&received.seen, dialect) {
                    (Seen::Json(json), Dialect::V3) => serde_json::from_str(json).unwrap(),
                    (Seen::Value(value), Dialect::V4) => value.clone(),
                    (other, _) => return Err(TestCaseError::fail(format!("{other:?}"))),
                };
                prop_assert_eq!(data[key].as_str(), Some(text.as_str()));
                check_keys(&received, &["pipe", "event", "event_name", "marker", "data", "message_send_time"])?;
            }
        }
    }

    #[test]
    fn server_texts_arrive_unharmed(detail in hostile_text(), key in hostile_text()) {
        for dialect in [Dialect::V3, Dialect::V4] {
            let error = FrameBody::Error { reason: BadReason::BadChannel, extra: ErrorExtra::Code403, detail: &detail };
            let info = FrameBody::ServerInfo { server: &detail, authorized: true, key: &key };
            for frame in [error, info] {
                let raw = written(frame, dialect);
                check_line(&raw)?;
                prop_assert!(serde_json::from_str::<Value>(&raw).is_ok());
            }
        }
    }
}
