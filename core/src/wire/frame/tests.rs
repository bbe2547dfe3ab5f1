//! Every frame of protocol.md 2.5.2 as it stands on the wire, in both old dialects, which tell nothing of what version 5
//! has besides.

mod clients;
mod exact;

use super::*;

const TIME: UnixSeconds = UnixSeconds(1_700_000_000);

fn written(body: FrameBody<'_>, dialect: Dialect) -> String {
    let content = Content {
        body,
        answers: CommandNumber::parse("17"),
        time: TIME,
    };
    encode(&content, dialect).as_str().to_owned()
}

/// The frame in both dialects, without the `message_send_time` that ends them all.
fn both(body: FrameBody<'_>) -> [String; 2] {
    [Dialect::V4, Dialect::V3].map(|dialect| {
        let frame = written(body, dialect);
        let end = ",\"message_send_time\":1700000000}";
        frame
            .strip_suffix(end)
            .expect("every frame tells its time")
            .to_owned()
    })
}

fn user(id: u32) -> UserId {
    UserId::new(id).unwrap()
}

fn marker(text: &str) -> Marker {
    Marker::parse(text).unwrap()
}

#[test]
fn f1_server_info() {
    // Q17, S16, S17
    let frame = |authorized, key| {
        both(FrameBody::ServerInfo {
            server: "comet-server 1.0",
            authorized,
            key,
        })
    };
    assert_eq!(
        frame(true, "abc"),
        [
            r#"{"pipe":"sys","event":"serverInfo","server":"comet-server 1.0","authorized":true,"data":"abc""#,
            r#"{"pipe":"sys","event":"serverInfo","event_name":"serverInfo","server":"comet-server 1.0","authorized":"true","data":"abc""#,
        ]
    );
    assert_eq!(
        frame(false, ""),
        [
            r#"{"pipe":"sys","event":"serverInfo","server":"comet-server 1.0","authorized":false,"data":"""#,
            r#"{"pipe":"sys","event":"serverInfo","event_name":"serverInfo","server":"comet-server 1.0","authorized":"false","data":"""#,
        ]
    );
}

#[test]
fn f2_and_f3_channel_messages() {
    // S46, S51
    let frame = |body, sender| {
        both(FrameBody::Message {
            channel: "web_chat",
            event: "say",
            body,
            sender,
            id: Some(MessageId(1)),
        })
    };
    let [v4, v3] = frame(r#"{"text":"it's","name":"Ann"}"#, Some(Some(user(7))));
    assert_eq!(
        v4,
        r#"{"pipe":"web_chat","event":"say","data":"{\"text\":\"it\\u0027s\",\"name\":\"Ann\"}","user_id":7"#
    );
    assert_eq!(
        v3,
        r#"{"pipe":"web_chat","event":"say","event_name":"say","data":"{\"text\":\"it\\u0027s\",\"name\":\"Ann\"}","user_id":7"#
    );
    assert_eq!(
        frame("it's", None)[0],
        r#"{"pipe":"web_chat","event":"say","data":"it\u0027s""#
    );
    assert_eq!(
        frame("", Some(None))[0],
        r#"{"pipe":"web_chat","event":"say","data":"","user_id":0"#
    );
}

#[test]
fn bodies_are_carried_by_e2_e3_or_e4() {
    let data = |body| {
        let [v4, _] = both(FrameBody::Message {
            channel: "ab",
            event: "",
            body,
            sender: None,
            id: None,
        });
        v4.strip_prefix(r#"{"pipe":"ab","event":"","data":"#)
            .unwrap()
            .to_owned()
    };
    for (body, carried) in [
        ("5", r#""5""#),
        ("\"it's\"", r#""\"it\\u0027s\"""#),
        ("[1,\n 2]", r#""[1,\n 2]""#),
        (r#""\\'\n""#, r#""\"\\\\\\u0027\\n\"""#),
        ("A::5;x", r#""\"A::5;x\"""#),
        (" A::5;x", r#"" A::5;x""#),
        ("A:5;x", r#""A:5;x""#),
        (r"C:\dir's", r#""\"C:\\\\dir\\u0027s\"""#),
        ("A::\"\n\u{1}", r#""\"A::\\\"\\n\\u0001\"""#),
        (
            "line\nline\r\t\u{1}\u{2028}é😀",
            "\"line\\nline\\r\\t\\u0001\u{2028}é😀\"",
        ),
        ("say \"hi\"", r#""say \"hi\"""#),
    ] {
        assert_eq!(data(body), carried, "{body}");
    }
}

#[test]
fn f4_and_f5_private_messages() {
    // Q60, protocol.md 5.1
    let id = MessageId(0x0190_1234_5678_7abc_8def_0123_4567_89ab);
    let frame = |from_queue| {
        both(FrameBody::Private {
            event: "ev",
            body: "{\"n\":1}",
            id,
            from_queue,
        })
    };
    let [v4, v3] = frame(false);
    let uuid = r#""uuid":"01901234-5678-7abc-8def-0123456789ab""#;
    assert_eq!(
        v4,
        format!(r#"{{"pipe":"msg","event":"ev","data":"{{\"n\":1}}",{uuid}"#)
    );
    assert_eq!(
        v3,
        format!(r#"{{"pipe":"msg","event":"ev","event_name":"ev","data":"{{\"n\":1}}",{uuid}"#)
    );
    assert_eq!(frame(true)[0], format!("{v4},\"fromQueue\":true"));
}

#[test]
fn f6_history() {
    // Q57, S52, S56
    let frame = |text: &str, sender| {
        both(FrameBody::History {
            channel: "web_a",
            event: "e",
            body: "x",
            sender,
            marker: &marker(text),
            id: MessageId(1),
        })
    };
    let v4 = r#"{"pipe":"web_a","event":"e","data":"x","user_id":7,"history":true,"fromQueue":true"#;
    let v3 = r#"{"pipe":"web_a","event":"e","event_name":"e","data":"x","user_id":7,"history":true,"fromQueue":true"#;
    assert_eq!(
        frame("4712", Some(user(7))),
        [v4.to_owned(), format!("{v3},\"marker\":\"4712\"")]
    );
    assert_eq!(frame("undefined", Some(user(7))), [v4, v3]);
    assert_eq!(
        frame("", Some(user(7))),
        [v4.to_owned(), format!("{v3},\"marker\":\"\"")]
    );
    assert!(frame("m", None)[0].contains("\"user_id\":0,"));
}

#[test]
fn f7_user_status() {
    // S35, S36
    let frame = |online| {
        both(FrameBody::UserStatus {
            user: user(7),
            online,
        })
    };
    assert_eq!(
        frame(true),
        [
            r#"{"pipe":"user_status_7","event":"online","data":"online""#,
            r#"{"pipe":"user_status_7","event":"online","event_name":"online","data":"online""#,
        ]
    );
    assert_eq!(
        frame(false)[0],
        r#"{"pipe":"user_status_7","event":"offline","data":"offline""#
    );
}

#[test]
fn f8_track() {
    // S38, S39, S40
    let uuid = ClientUuid::parse("u-1");
    let frame = |joined, user| {
        both(FrameBody::Track {
            channel: "track_a",
            joined,
            user,
            uuid: &uuid,
        })
    };
    assert_eq!(
        frame(true, Some(user(7))),
        [
            r#"{"pipe":"track_a","event":"subscription","data":{"user_id":7,"uuid":"u-1"}"#,
            r#"{"pipe":"track_a","event":"subscription","event_name":"subscription","data":"{\"user_id\":7,\"uuid\":\"u-1\"}","user_id":7"#,
        ]
    );
    let gone = r#"{"pipe":"track_a","event":"unsubscription","data":{"user_id":0,"uuid":"u-1"}"#;
    assert_eq!(frame(false, None)[0], gone);
}

#[test]
fn f9_delivery_report() {
    // S31, S45
    let frames = both(FrameBody::Report {
        channel: "web_chat",
        receivers: 2,
        body: "{\"t\":\"it's\"}",
        id: Some(MessageId(1)),
        error: None,
        repeated: true,
    });
    assert_eq!(
        frames,
        [
            r#"{"pipe":"_answer_to_web_chat","event":"answer","data":{"number_messages":2,"message":"{\"t\":\"it\u0027s\"}","error":""}"#,
            r#"{"pipe":"_answer_to_web_chat","event":"answer","event_name":"answer","data":"{\"number_messages\":2,\"message\":\"{\\\"t\\\":\\\"it\\u0027s\\\"}\",\"error\":\"\"}""#,
        ]
    );
}

#[test]
fn f10_count() {
    // Q15, S57
    let frames = both(FrameBody::Count {
        marker: &marker("4711"),
        users: 3,
    });
    assert_eq!(
        frames,
        [
            r#"{"pipe":"_answer_pipe_count","event":"user_in_pipe","marker":"4711","data":{"user_in_pipe":3}"#,
            r#"{"pipe":"_answer_pipe_count","event":"user_in_pipe","event_name":"user_in_pipe","marker":"4711","data":"{\"user_in_pipe\":3}""#,
        ]
    );
}

#[test]
fn f11_track_users() {
    let visitors = [
        (Some(user(7)), ClientUuid::parse("u1")),
        (None, ClientUuid::default()),
    ];
    let frame = |users| {
        both(FrameBody::TrackUsers {
            channel: "track_a",
            marker: &marker("m"),
            users,
        })
    };
    assert_eq!(
        frame(&visitors),
        [
            r#"{"pipe":"_answer","event":"answer","marker":"m","data":[{"user_id":7,"uuid":"u1"},{"user_id":0,"uuid":""}],"_info":"""#,
            r#"{"pipe":"track_a","event":"answer","event_name":"answer","marker":"m","data":"[{\"user_id\":7,\"uuid\":\"u1\"},{\"user_id\":0,\"uuid\":\"\"}]","_info":"""#,
        ]
    );
    assert!(frame(&[])[0].contains(r#""data":[],"#));
}

#[test]
fn f12_user_data() {
    let frames = both(FrameBody::UserData {
        marker: &marker("m"),
        user: user(7),
        data: "it's \\ \"raw\"",
    });
    assert_eq!(
        frames,
        [
            r#"{"pipe":"_answer","event":"answer","marker":"m","data":{"user_id":7,"user_data":"it\u0027s \\ \"raw\""}"#,
            r#"{"pipe":"_answer","event":"answer","event_name":"answer","marker":"m","data":"{\"user_id\":7,\"user_data\":\"it\\u0027s \\\\ \\\"raw\\\"\"}""#,
        ]
    );
}

#[test]
fn f13_last_online() {
    // Q25
    let frame = |seconds| {
        both(FrameBody::LastOnline {
            user: user(7),
            seconds,
        })
    };
    assert_eq!(
        frame(-1),
        [
            r#"{"pipe":"_answer_user_status","event":"user_status_7","data":{"data":-1,"last_online_time":-1}"#,
            r#"{"pipe":"_answer_user_status","event":"user_status_7","event_name":"user_status_7","data":"{\"data\":-1,\"last_online_time\":-1}""#,
        ]
    );
    assert!(frame(0)[0].contains("\"last_online_time\":0"));
}

#[test]
fn f14_errors_and_their_reports() {
    // Q16, Q23: never a top-level `error`.
    let text = BadReason::BadChannel.text();
    for (extra, keys) in [
        (ErrorExtra::Plain, ""),
        (ErrorExtra::Code403, r#","code":"403""#),
        (ErrorExtra::NumberMessages, r#","number_messages":-1"#),
        (ErrorExtra::UserId, r#","user_id":-1"#),
        (ErrorExtra::UserData, r#","user_id":-1,"user_data":"""#),
    ] {
        let reason = BadReason::BadChannel;
        let detail = "it's";
        let [v4, v3] = both(FrameBody::Error {
            reason,
            extra,
            detail,
        });
        let data = format!(r#"{{"error":"{text}: it\u0027s"{keys}}}"#);
        assert_eq!(v4, format!(r#"{{"pipe":"sys","event":"error","data":{data}"#));
        let quoted = data.replace('\\', "\\\\").replace('"', "\\\"");
        assert_eq!(
            v3,
            format!(r#"{{"pipe":"sys","event":"error","event_name":"error","data":"{quoted}""#)
        );
        let [report, _] = both(FrameBody::ErrorReport {
            channel: "web_a",
            reason,
            extra,
        });
        let data = format!(r#"{{"error":"{text}"{keys}}}"#);
        assert_eq!(
            report,
            format!(r#"{{"pipe":"_answer_to_web_a","event":"error","data":{data}"#)
        );
    }
}

#[test]
fn f15_fatal_errors() {
    // Q16
    for (reason, number) in [
        (RefusalReason::NoCredentials, 401),
        (RefusalReason::NoDevId, 406),
        (RefusalReason::BadVersion, 418),
        (RefusalReason::OriginRefused, 423),
    ] {
        let [v4, v3] = both(FrameBody::Fatal { reason });
        let data = format!(
            r#"{{"error":"{}","info":"connection closed","error_code":{number}}}"#,
            reason.text()
        );
        assert_eq!(
            v4,
            format!(r#"{{"pipe":"sys","event":"error","error":{number},"data":{data}"#)
        );
        let quoted = data.replace('"', "\\\"");
        assert_eq!(
            v3,
            format!(
                r#"{{"pipe":"sys","event":"error","event_name":"error","error":{number},"data":"{quoted}""#
            )
        );
    }
}
