//! Frames of version 5 (protocol-v5.md 2): bodies exactly, results, codes.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const ID: MessageId = MessageId(0x0189_0000_0000_7000_8000_0000_0000_0001);

/// The frame as the answer to command 17, without its time.
fn answer(body: FrameBody<'_>) -> String {
    let frame = written(body, Dialect::V5);
    let end = ",\"message_send_time\":1700000000}";
    frame
        .strip_suffix(end)
        .expect("every frame tells its time")
        .to_owned()
}

/// The frame to nobody in particular.
fn event(body: FrameBody<'_>) -> String {
    let content = Content {
        body,
        answers: None,
        time: TIME,
    };
    encode(&content, Dialect::V5).as_str().to_owned()
}

fn message(body: &str) -> FrameBody<'_> {
    FrameBody::Message {
        channel: "web_a",
        event: "e",
        body,
        sender: None,
        id: None,
    }
}

#[test]
fn bodies_are_exact() {
    for (body, data) in [
        (r#"{"t":"it's \\"}"#, r#"{"t":"it's \\"}"#),
        (" [1,\n2] ", " [1,\n2] "),
        ("it's \\ plain", r#""it\u0027s \\ plain""#),
        ("A::7;x", r#""A::7;x""#),
        ("1e999999", "1e999999"),
        (r#"1},"x":{"#, r#""1},\"x\":{""#),
        ("", "\"\""),
    ] {
        assert_eq!(
            event(message(body)),
            format!(r#"{{"pipe":"web_a","event":"e","data":{data},"message_send_time":1700000000}}"#)
        );
    }
}

#[test]
fn json_that_is_nested_too_deep_is_a_text() {
    for inside in ["", "1"] {
        let nested = |depth: usize| format!("{}{inside}{}", "[".repeat(depth), "]".repeat(depth));
        let shown = |depth: usize| event(message(&nested(depth)));
        assert!(shown(512).contains(&format!("\"data\":{},", nested(512))));
        assert!(shown(513).contains(&format!("\"data\":\"{}\",", nested(513))));
    }
}

#[test]
fn messages_have_ids() {
    let live = FrameBody::Message {
        channel: "web_a",
        event: "e",
        body: "x",
        sender: Some(Some(user(7))),
        id: Some(ID),
    };
    assert_eq!(
        event(live),
        r#"{"pipe":"web_a","event":"e","data":"x","user_id":7,"uuid":"01890000-0000-7000-8000-000000000001","message_send_time":1700000000}"#
    );
    let history = FrameBody::History {
        channel: "web_a",
        event: "e",
        body: "x",
        sender: None,
        marker: &marker("m"),
        id: ID,
    };
    assert_eq!(
        answer(history),
        r#"{"pipe":"web_a","event":"e","re":17,"data":"x","user_id":0,"uuid":"01890000-0000-7000-8000-000000000001","history":true,"fromQueue":true"#
    );
    let private = FrameBody::Private {
        event: "e",
        body: "{\"a\":1}",
        id: ID,
        from_queue: true,
    };
    assert_eq!(
        event(private),
        r#"{"pipe":"msg","event":"e","data":{"a":1},"uuid":"01890000-0000-7000-8000-000000000001","fromQueue":true,"message_send_time":1700000000}"#
    );
}

#[test]
fn results_say_which_command_they_answer() {
    let refused = [
        (BadReason::NotAuthorized, "private_x".into()),
        (BadReason::TooManySubscriptions, "".into()),
    ];
    for (body, frame) in [
        (
            FrameBody::Subscribed {
                channels: 3,
                refused: &refused,
            },
            r#"{"pipe":"_answer","event":"subscription","re":17,"data":{"channels":3,"refused":[{"name":"private_x","code":"not_authorized"},{"name":"","code":"too_many_subscriptions"}]}"#,
        ),
        (
            FrameBody::HistoryEnd { messages: 2 },
            r#"{"pipe":"_answer","event":"pipe_log","re":17,"data":{"messages":2}"#,
        ),
        (
            FrameBody::Done {
                command: "statistics",
            },
            r#"{"pipe":"_answer","event":"statistics","re":17,"data":{}"#,
        ),
        (
            FrameBody::Report {
                channel: "web_a",
                receivers: 2,
                body: "x",
                id: Some(ID),
                error: None,
                repeated: false,
            },
            r#"{"pipe":"_answer_to_web_a","event":"answer","re":17,"data":{"number_messages":2,"error":"","uuid":"01890000-0000-7000-8000-000000000001"}"#,
        ),
        (
            FrameBody::Report {
                channel: "web_a",
                receivers: 0,
                body: "x",
                id: None,
                error: Some(BadReason::StoreUnavailable),
                repeated: true,
            },
            r#"{"pipe":"_answer_to_web_a","event":"answer","re":17,"data":{"number_messages":0,"error":"the server cannot store messages at present","code":"store_unavailable","repeated":true}"#,
        ),
        (
            FrameBody::Error {
                reason: BadReason::BadUser,
                extra: ErrorExtra::UserData,
                detail: "",
            },
            r#"{"pipe":"sys","event":"error","re":17,"data":{"error":"invalid user id","code":"bad_user"}"#,
        ),
    ] {
        assert_eq!(answer(body), frame);
    }
}

#[test]
fn server_info_and_fatal_errors() {
    let info = FrameBody::ServerInfo {
        server: "s 1",
        authorized: true,
        key: "k",
    };
    assert_eq!(
        event(info),
        r#"{"pipe":"sys","event":"serverInfo","server":"s 1","authorized":true,"data":"k","protocol":5,"message_send_time":1700000000}"#
    );
    let fatal = FrameBody::Fatal {
        reason: RefusalReason::OriginRefused,
    };
    assert_eq!(
        event(fatal),
        r#"{"pipe":"sys","event":"error","error":423,"data":{"error":"this origin is not allowed","info":"connection closed","error_code":423,"code":"origin_refused"},"message_send_time":1700000000}"#
    );
}

fn body() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[\\[\\]{}:,\"'\\\\0-9eE.+ \n\ttruefalsn-]{0,40}",
        any::<i32>().prop_map(|n| format!(" {{\"a\":[{n},\"\\u2028'\"]}}\n")),
    ]
}

proptest! {
    /// One parse gives the value of a JSON body or the exact text, whatever the body is, and no body makes a key (E5, S46).
    #[test]
    fn any_body_arrives(body in body()) {
        let frame: Value = serde_json::from_str(&event(message(&body))).unwrap();
        let expected = serde_json::from_str(&body).unwrap_or_else(|_| Value::String(body.clone()));
        prop_assert_eq!(&frame["data"], &expected);
        prop_assert_eq!(frame.as_object().unwrap().len(), 4);
    }
}
