//! The server against the vectors it shares with the client (`tests/wire/`, docs/protocol-v5.md 1, 2): what the client
//! writes is understood, and what it reads is written, to the letter.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails may panic"
)]

use std::fs;
use std::path::Path;
use std::sync::Arc;

use comet_core::wire::{
    self, BadReason, ClientRequest, CommandNumber, Content, Dialect, ErrorExtra, FrameBody, RefusalReason,
    SendRequest, SubscribeMode,
};
use comet_core::{Body, ChannelName, ClientUuid, DevId, EventName, Marker, MessageId, UnixSeconds, UserId};
use serde_json::Value;

/// Longest body, bytes: as in a server without a configuration file.
const BODY_MAX: usize = 262_144;

const REASONS: [BadReason; 18] = [
    BadReason::UnknownCommand,
    BadReason::NotSupported,
    BadReason::BadChannel,
    BadReason::ChannelRefused,
    BadReason::BadEvent,
    BadReason::BadMarker,
    BadReason::BadUser,
    BadReason::Incomplete,
    BadReason::BodyTooLong,
    BadReason::NotAuthorized,
    BadReason::TooManySubscriptions,
    BadReason::TooManyCommands,
    BadReason::StoreUnavailable,
    BadReason::BadMessageId,
    BadReason::TooManyFailures,
    BadReason::QuotaExceeded,
    BadReason::TooManyConnections,
    BadReason::ServerFull,
];

const REFUSALS: [RefusalReason; 4] = [
    RefusalReason::NoCredentials,
    RefusalReason::NoDevId,
    RefusalReason::BadVersion,
    RefusalReason::OriginRefused,
];

fn vectors(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("wire").join(file);
    let text = fs::read_to_string(path).expect("a readable file");
    let vectors: Vec<Value> = serde_json::from_str(&text).expect("an array");
    assert!(!vectors.is_empty(), "{file} has vectors");
    vectors
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key]
        .as_str()
        .unwrap_or_else(|| panic!("{key} in {object}"))
}

fn number(object: &Value, key: &str) -> u64 {
    object[key]
        .as_u64()
        .unwrap_or_else(|| panic!("{key} in {object}"))
}

fn flag(object: &Value, key: &str) -> bool {
    object
        .get(key)
        .is_some_and(|flag| flag.as_bool().expect("a flag"))
}

fn user_in(value: &Value) -> Option<UserId> {
    if let Some(digits) = value.as_str() {
        return UserId::parse(digits);
    }
    UserId::new(u32::try_from(value.as_u64()?).unwrap())
}

fn id(object: &Value) -> Option<MessageId> {
    let id = object.get("uuid")?.as_str().expect("a text");
    Some(MessageId::parse(id).unwrap_or_else(|| panic!("{id} is an id")))
}

fn command_number(object: &Value, key: &str) -> Option<CommandNumber> {
    object
        .get(key)
        .map(|n| CommandNumber::parse(&n.to_string()).unwrap())
}

fn channel(command: &Value) -> ChannelName {
    ChannelName::from_browser(text(command, "channel")).unwrap()
}

fn no_marker() -> Marker {
    Marker::parse("").unwrap()
}

/// What a command of the client asks for.
fn request(command: &Value) -> ClientRequest {
    let marker = no_marker();
    match text(command, "kind") {
        "send" => ClientRequest::Send(SendRequest {
            channel: channel(command),
            anonymous: flag(command, "anonymous"),
            event: EventName::parse(text(command, "event")).unwrap(),
            body: Body::new(text(command, "body")),
            key: Some(comet_core::SendKey::parse(text(command, "sendKey")).unwrap()),
        }),
        "history" => ClientRequest::History {
            channel: channel(command),
            marker,
        },
        "count" => ClientRequest::Count {
            channel: channel(command),
            marker,
        },
        "users" => ClientRequest::TrackUsers {
            channel: channel(command),
            marker,
        },
        "userData" => ClientRequest::UserData {
            marker,
            user: user_in(&command["user"]).unwrap(),
        },
        "status" => ClientRequest::UserStatus {
            user: user_in(&command["user"]).unwrap(),
        },
        "statistics" => ClientRequest::Statistics,
        "ack" => ClientRequest::Ack(id(command).unwrap()),
        "subscription" => names(command, SubscribeMode::Replace),
        "subscribe" => names(command, SubscribeMode::Add),
        "unsubscribe" => names(command, SubscribeMode::Remove),
        other => panic!("a command of an unknown kind: {other}"),
    }
}

fn names(command: &Value, mode: SubscribeMode) -> ClientRequest {
    let names = command["names"].as_array().expect("names");
    let names = names
        .iter()
        .map(|name| ChannelName::from_browser(name.as_str().unwrap()).unwrap());
    ClientRequest::Subscribe(wire::Subscribe {
        mode,
        names: names.collect(),
        ..wire::Subscribe::default()
    })
}

fn reason(code: &str) -> BadReason {
    *REASONS
        .iter()
        .find(|reason| reason.code() == code)
        .unwrap_or_else(|| panic!("no reason has the code {code}"))
}

/// The frame of some content in version 5.
fn written(content: &Value) -> String {
    let encode = |body| {
        let content = Content {
            body,
            answers: command_number(content, "re"),
            time: UnixSeconds(number(content, "time")),
        };
        wire::encode(&content, Dialect::V5).as_str().to_owned()
    };
    let marker = no_marker();
    match text(content, "kind") {
        "TrackUsers" => {
            let one = |user: &Value| (user_in(&user["user"]), ClientUuid::parse(text(user, "uuid")));
            let users: Vec<_> = content["users"].as_array().unwrap().iter().map(one).collect();
            encode(FrameBody::TrackUsers {
                channel: text(content, "channel"),
                marker: &marker,
                users: &users,
            })
        }
        "Subscribed" => {
            let one = |entry: &Value| (reason(text(entry, "code")), Arc::from(text(entry, "name")));
            let refused: Vec<_> = content["refused"].as_array().unwrap().iter().map(one).collect();
            encode(FrameBody::Subscribed {
                channels: usize::try_from(number(content, "channels")).unwrap(),
                refused: &refused,
            })
        }
        "Track" => encode(FrameBody::Track {
            channel: text(content, "channel"),
            joined: flag(content, "joined"),
            user: user_in(&content["user"]),
            uuid: &ClientUuid::parse(text(content, "uuid")),
        }),
        "Message" | "Private" | "History" | "Report" => encode(message(content, &marker)),
        "Count" | "UserData" | "LastOnline" | "UserStatus" => encode(answer(content, &marker)),
        _ => encode(plain(content)),
    }
}

/// Frames that carry what somebody wrote.
fn message<'a>(content: &'a Value, marker: &'a Marker) -> FrameBody<'a> {
    let body = text(content, "body");
    match text(content, "kind") {
        "Message" => FrameBody::Message {
            channel: text(content, "channel"),
            event: text(content, "event"),
            body,
            sender: content.get("sender").map(user_in),
            id: id(content),
        },
        "Private" => FrameBody::Private {
            event: text(content, "event"),
            body,
            id: id(content).unwrap(),
            from_queue: flag(content, "from_queue"),
        },
        "History" => FrameBody::History {
            channel: text(content, "channel"),
            event: text(content, "event"),
            body,
            sender: user_in(&content["sender"]),
            marker,
            id: id(content).unwrap(),
        },
        _ => FrameBody::Report {
            channel: text(content, "channel"),
            receivers: number(content, "receivers"),
            body,
            id: id(content),
            error: content
                .get("error")
                .map(|code| reason(code.as_str().expect("a code"))),
            repeated: flag(content, "repeated"),
        },
    }
}

/// Answers about channels and users.
fn answer<'a>(content: &'a Value, marker: &'a Marker) -> FrameBody<'a> {
    match text(content, "kind") {
        "Count" => FrameBody::Count {
            marker,
            users: number(content, "users"),
        },
        "UserData" => FrameBody::UserData {
            marker,
            user: user_in(&content["user"]).unwrap(),
            data: text(content, "data"),
        },
        "LastOnline" => FrameBody::LastOnline {
            user: user_in(&content["user"]).unwrap(),
            seconds: content["seconds"].as_i64().unwrap(),
        },
        _ => FrameBody::UserStatus {
            user: user_in(&content["user"]).unwrap(),
            online: flag(content, "online"),
        },
    }
}

/// What the server says of itself and of commands.
fn plain(content: &Value) -> FrameBody<'_> {
    match text(content, "kind") {
        "ServerInfo" => FrameBody::ServerInfo {
            server: text(content, "server"),
            authorized: flag(content, "authorized"),
            key: text(content, "key"),
        },
        "Error" => FrameBody::Error {
            reason: reason(text(content, "code")),
            extra: ErrorExtra::Plain,
            detail: text(content, "detail"),
        },
        "Fatal" => {
            let code = text(content, "code");
            let refusal = REFUSALS.iter().find(|refusal| refusal.code() == code);
            FrameBody::Fatal {
                reason: *refusal.unwrap(),
            }
        }
        "HistoryEnd" => FrameBody::HistoryEnd {
            messages: number(content, "messages"),
        },
        "Done" => FrameBody::Done {
            command: match text(content, "command") {
                "statistics" => "statistics",
                "ack" => "ack",
                other => panic!("{other} has something to tell"),
            },
        },
        other => panic!("content of an unknown kind: {other}"),
    }
}

#[test]
fn commands_of_the_client_are_understood() {
    for vector in vectors("commands.json") {
        let decoded = wire::decode(text(&vector, "text"), BODY_MAX);
        assert_eq!(decoded.number, command_number(&vector, "number"), "{vector}");
        assert_eq!(decoded.request, Ok(request(&vector["command"])), "{vector}");
    }
}

/// S28, S29, S46, S48, S63 in version 5.
#[test]
fn frames_are_written_as_the_client_reads_them() {
    for vector in vectors("frames.json") {
        assert_eq!(
            written(&vector["content"]),
            text(&vector, "frame"),
            "{}",
            text(&vector, "name")
        );
    }
}

/// The client must know every code; a new one needs a vector.
#[test]
fn every_code_has_a_vector() {
    let frames = vectors("frames.json");
    let has = |kind: &str, code: &str| {
        frames
            .iter()
            .any(|vector| vector["content"]["kind"] == kind && vector["content"]["code"] == code)
    };
    for reason in REASONS {
        assert!(has("Error", reason.code()), "no vector for {}", reason.code());
    }
    for refusal in REFUSALS {
        assert!(has("Fatal", refusal.code()), "no vector for {}", refusal.code());
    }
}

#[test]
fn addresses_of_the_client_are_understood() {
    for vector in vectors("urls.json") {
        let (_, rest) = text(&vector, "url").split_once("://").expect("a scheme");
        let (_, path) = rest.split_once('/').expect("a path");
        let target = format!("/{path}");
        assert!(wire::is_ws_route(&target), "{vector}");
        let hello = wire::hello(target.as_bytes(), None, &[], 10).expect("a good address");
        let expected = &vector["hello"];
        assert_eq!(hello.dialect, Dialect::V5);
        assert_eq!(hello.dev, DevId(u32::try_from(number(expected, "dev")).unwrap()));
        assert_eq!(hello.user, user_in(&expected["user"]), "{vector}");
        let key = hello.key.as_ref().map(|key| key.reveal());
        assert_eq!(key, expected["key"].as_str(), "{vector}");
        assert_eq!(hello.uuid.as_str(), text(expected, "uuid"));
    }
}
