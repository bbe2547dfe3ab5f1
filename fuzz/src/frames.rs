//! Frames with any text in them (protocol.md 2.5, protocol-v5.md 2): an independent JSON reader, and what an unmodified
//! client makes of it, must give back exactly what was put in, and no text may become anything else than a text.

use std::sync::Arc;

use arbitrary::{Result, Unstructured};
use comet_core::wire::{
    BadReason, CommandNumber, Content, Dialect, ErrorExtra, FrameBody, RefusalReason, encode,
};
use comet_core::{ClientUuid, Marker, MessageId, UnixSeconds, UserId};
use serde_json::Value;

/// What texts are made of, besides any bytes: everything that old clients damage or believe.
const PIECES: [&str; 30] = [
    "'",
    "\\'",
    "\\",
    "\"",
    "A::7;",
    "\n",
    "\r\n",
    "\0",
    "\u{7f}",
    "\u{2028}",
    "é",
    "😀",
    "\\u0027",
    "{",
    "}",
    "{\"a\":'b'}",
    "[1,2",
    "]",
    "\"it's\"",
    "{\"k\":\"it's \\\" \\\\ \\u00e9\"}",
    "null",
    "1e5",
    " ",
    "1",
    "-",
    "\"",
    "\",\"jscode\":\"alert(1)\",\"x\":\"",
    "}{",
    "\t",
    "true",
];

/// Names of a frame; no body may add another one (E5).
const KEYS: [&str; 17] = [
    "pipe",
    "event",
    "event_name",
    "data",
    "user_id",
    "uuid",
    "history",
    "fromQueue",
    "marker",
    "message_send_time",
    "re",
    "server",
    "authorized",
    "protocol",
    "_info",
    "error",
    "error_code",
];

/// `data` is a list of choices: a frame.
pub fn frames(data: &[u8]) {
    let _ = frame(&mut Unstructured::new(data));
}

fn frame(choices: &mut Unstructured<'_>) -> Result<()> {
    let dialect = *choices.choose(&[Dialect::V3, Dialect::V4, Dialect::V5])?;
    let kind = choices.int_in_range(0..=11u8)?;
    let marker = Marker::parse(choices.choose(&["", "m", "undefined"])?).expect("a marker");
    let user = UserId::new(choices.int_in_range(0..=2)?);
    let refused: Vec<(BadReason, Arc<str>)> =
        vec![(BadReason::BadChannel, "x".into()); choices.int_in_range(0..=2)?];
    let uuid = ClientUuid::parse("u-1");
    let visitors = vec![(user, uuid.clone()); choices.int_in_range(0..=2)?];
    let answers = choices.ratio(1, 2)?.then(|| CommandNumber::parse("77")).flatten();
    let text = text(choices)?;
    let body = body(kind, &text, user, (&marker, &uuid), &visitors, &refused);
    let content = Content {
        body,
        answers,
        time: UnixSeconds(1_700_000_000),
    };
    let frame = encode(&content, dialect);
    let frame = frame.as_str();
    if dialect != Dialect::V5 {
        assert!(!frame.contains(['\n', '\r', '\'']), "E1, E6: {frame}");
    }
    // Numbers that do not fit and depth are no questions of syntax; this reader has limits of its own.
    let Ok(read) = serde_json::from_str::<Value>(frame) else {
        let is_body = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok()
            && serde_json::from_str::<Value>(&text).is_err();
        assert!(dialect == Dialect::V5 && is_body, "not JSON: {frame}");
        return Ok(());
    };
    let object = read.as_object().expect("a frame is an object");
    assert!(
        object.keys().all(|key| KEYS.contains(&key.as_str())),
        "E5: {frame}"
    );
    assert_eq!(
        object.contains_key("error"),
        matches!(body, FrameBody::Fatal { .. }),
        "Q16: {frame}"
    );
    assert_eq!(
        object.get("re").is_some(),
        answers.is_some() && dialect == Dialect::V5
    );
    match body {
        FrameBody::Message { .. } | FrameBody::Private { .. } | FrameBody::History { .. } => {
            body_arrives(&read["data"], &text, dialect);
        }
        FrameBody::UserData { .. } => inside(&read, "user_data", &text, dialect),
        FrameBody::Report { .. } if dialect != Dialect::V5 => inside(&read, "message", &text, dialect),
        FrameBody::ServerInfo { .. } => assert_eq!(read["data"], *text),
        FrameBody::Error { .. } => {
            let told = format!("{}: {text}", BadReason::BadChannel.text());
            let told = if text.is_empty() {
                BadReason::BadChannel.text().to_owned()
            } else {
                told
            };
            inside(&read, "error", &told, dialect);
        }
        FrameBody::UserStatus { .. }
        | FrameBody::Track { .. }
        | FrameBody::Report { .. }
        | FrameBody::Count { .. }
        | FrameBody::TrackUsers { .. }
        | FrameBody::LastOnline { .. }
        | FrameBody::ErrorReport { .. }
        | FrameBody::Fatal { .. }
        | FrameBody::Subscribed { .. }
        | FrameBody::HistoryEnd { .. }
        | FrameBody::Done { .. } => {}
    }
    Ok(())
}

fn body<'a>(
    kind: u8,
    text: &'a str,
    user: Option<UserId>,
    (marker, uuid): (&'a Marker, &'a ClientUuid),
    users: &'a [(Option<UserId>, ClientUuid)],
    refused: &'a [(BadReason, Arc<str>)],
) -> FrameBody<'a> {
    let (channel, event, id) = ("web_a", "e", MessageId(7));
    let known = user.or(UserId::new(9)).expect("nine is a user");
    match kind {
        0 => FrameBody::Message {
            channel,
            event,
            body: text,
            sender: Some(user),
            id: Some(id),
        },
        1 => FrameBody::Private {
            event,
            body: text,
            id,
            from_queue: user.is_some(),
        },
        2 => FrameBody::History {
            channel,
            event,
            body: text,
            sender: user,
            marker,
            id,
        },
        3 => FrameBody::Report {
            channel,
            receivers: 3,
            body: text,
            id: Some(id),
            error: None,
            repeated: user.is_some(),
        },
        4 => FrameBody::UserData {
            marker,
            user: known,
            data: text,
        },
        5 => FrameBody::Error {
            reason: BadReason::BadChannel,
            extra: ErrorExtra::UserData,
            detail: text,
        },
        6 => FrameBody::ServerInfo {
            server: "s",
            authorized: user.is_some(),
            key: text,
        },
        7 => FrameBody::TrackUsers {
            channel: "track_a",
            marker,
            users,
        },
        8 => FrameBody::Subscribed { channels: 2, refused },
        9 => FrameBody::Fatal {
            reason: RefusalReason::BadVersion,
        },
        10 => FrameBody::Track {
            channel: "track_a",
            joined: true,
            user,
            uuid,
        },
        _ => FrameBody::Message {
            channel,
            event,
            body: text,
            sender: None,
            id: None,
        },
    }
}

fn text(choices: &mut Unstructured<'_>) -> Result<String> {
    let mut text = String::new();
    while !choices.is_empty() && text.len() < 2000 {
        if choices.ratio(3, 4)? {
            text.push_str(choices.choose(&PIECES)?);
        } else {
            let length = choices.int_in_range(0..=30)?;
            text.push_str(&String::from_utf8_lossy(
                choices.bytes(choices.len().min(length))?,
            ));
        }
    }
    Ok(text)
}

/// What the application sees of a body (protocol.md 2.5.1): the JSON value if it is JSON, else the exact text.
fn body_arrives(data: &Value, body: &str, dialect: Dialect) {
    let value = serde_json::from_str::<Value>(body);
    if dialect == Dialect::V5 {
        match value {
            Ok(value) => assert_eq!(*data, value),
            Err(_) => assert_eq!(*data, *body),
        }
        return;
    }
    let data = data.as_str().expect("for old clients `data` is a string");
    assert!(
        !data.contains("\\'"),
        "E1 to E3: what clients do to it changes nothing: {data}"
    );
    match (serde_json::from_str::<Value>(data), value) {
        (Ok(seen), Ok(value)) => assert_eq!(seen, value, "JSON arrives as its value"),
        (Ok(seen), Err(_)) => assert_eq!(seen, *body, "E3: a literal of the text"),
        (Err(_), Ok(value)) => panic!("{value} arrives as a text: {data}"),
        (Err(_), Err(_)) if serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok() => {}
        (Err(_), Err(_)) => {
            assert!(!data.contains('\\') && !data.starts_with("A::"), "E3: {data}");
            assert_eq!(data, body, "E4");
        }
    }
}

/// A text inside of an object, which version 3 gets as its JSON text.
fn inside(frame: &Value, key: &str, text: &str, dialect: Dialect) {
    let data = &frame["data"];
    let object = match dialect {
        Dialect::V3 => {
            let json = data.as_str().expect("3.x gets objects as text");
            assert!(!json.contains("\\'"), "E2: {json}");
            serde_json::from_str(json).expect("JSON in a string")
        }
        Dialect::V4 | Dialect::V5 => data.clone(),
    };
    assert_eq!(object[key], *text, "{frame}");
}
