//! Every rule of protocol.md 1 and 2.6, each bound at n and n + 1.

use proptest::prelude::*;

use super::*;
use crate::wire::Subscribe;

const BODY_MAX: usize = 16;

fn channel(name: &str) -> ChannelName {
    ChannelName::from_browser(name).unwrap()
}

fn marker(text: &str) -> Marker {
    Marker::parse(text).unwrap()
}

/// The request alone: these tests are about words and arguments; numbers have their own below.
fn decode(text: &str, body_bytes_max: usize) -> Result<ClientRequest, BadRequest> {
    super::decode(text, body_bytes_max).request
}

fn refused(text: &str) -> BadRequest {
    match decode(text, BODY_MAX) {
        Ok(request) => panic!("{text:?} was taken as {request:?}"),
        Err(bad) => bad,
    }
}

fn bad(reason: BadReason, extra: ErrorExtra, report_to: Option<&str>) -> BadRequest {
    BadRequest {
        reason,
        extra,
        report_to: report_to.map(channel),
    }
}

fn subscribed(text: &str) -> Subscribe {
    match decode(text, BODY_MAX) {
        Ok(ClientRequest::Subscribe(subscribe)) => subscribe,
        other => panic!("{text:?} was taken as {other:?}"),
    }
}

fn names(text: &str) -> Vec<String> {
    let subscribe = subscribed(text);
    subscribe
        .names
        .iter()
        .map(|name| name.as_str().to_owned())
        .collect()
}

#[test]
fn the_command_word_must_match_exactly() {
    // Q18
    for text in [
        "",
        "\n",
        "subscriptions\nab",
        "subscriptio",
        " statistics",
        "STATISTICS",
        "web_pipe3\n",
        "pipe",
        "é",
        "\0",
    ] {
        let expected = bad(BadReason::UnknownCommand, ErrorExtra::Plain, None);
        assert_eq!(refused(text), expected, "{text:?}");
    }
}

#[test]
fn placeholders_are_not_supported() {
    // Q26
    for text in [
        "web_pipe\nweb_a\ne\n*\nYQ==",
        "CometQL_call\nm\njwt",
        "cgi_call",
        "web_pipe",
    ] {
        let expected = bad(BadReason::NotSupported, ErrorExtra::Plain, None);
        assert_eq!(refused(text), expected, "{text:?}");
    }
}

#[test]
fn statistics_takes_whatever_follows() {
    for text in [
        "statistics",
        "statistics\n",
        "statistics\n{\"a\":1}\n\n",
        "statistics\n\0'\"\\",
    ] {
        assert_eq!(decode(text, BODY_MAX), Ok(ClientRequest::Statistics));
    }
}

#[test]
fn names_are_separated_by_anything_else_and_merged() {
    // Q19, S66
    assert_eq!(names("subscription\nweb_b\nweb_a\nweb_b\n"), ["web_b", "web_a"]);
    assert_eq!(
        names("subscription\nweb_a.ev, \r\n#x-y;\u{e9}zz\0web_c"),
        ["web_a", "ev", "x-y", "zz", "web_c"]
    );
    assert_eq!(names("subscription"), [""; 0]);
    assert_eq!(names("subscription\n\n\n"), [""; 0]);
}

#[test]
fn msg_is_implicit() {
    // Q27
    let subscribe = subscribed("subscription\nmsg\nmsg.event\nmsgs\nMSG");
    assert_eq!(subscribe.names, ["event", "msgs", "MSG"].map(channel));
    assert!(subscribe.refused.is_empty());
}

#[test]
fn names_of_a_wrong_length_do_not_disturb_the_others() {
    // Q21, S27
    let (longest, too_long) = ("n".repeat(64), "n".repeat(65));
    let subscribe = subscribed(&format!("subscription\nx\nab\n{longest}\n{too_long}\nx\nlast"));
    assert_eq!(
        subscribe.names,
        [channel("ab"), channel(&longest), channel("last")]
    );
    assert_eq!(subscribe.refused, ["x".into(), longest.into()]);
    assert_eq!(subscribe.refused_more, 0);
}

#[test]
fn refused_names_are_kept_up_to_32() {
    let letters = ('A'..='Z').chain('a'..='z');
    let list = |count| {
        letters
            .clone()
            .take(count)
            .map(String::from)
            .collect::<Vec<_>>()
            .join(" ")
    };
    for (count, kept, more) in [(32, 32, 0), (33, 32, 1), (40, 32, 8)] {
        let subscribe = subscribed(&format!("subscription\n{}", list(count)));
        assert_eq!((subscribe.refused.len(), subscribe.refused_more), (kept, more));
    }
}

#[test]
fn the_number_of_names_is_bounded() {
    let list = |count: usize| (0..count).map(|n| format!("n{n}\n")).collect::<String>();
    for (count, more) in [(NAMES_MAX, 0), (NAMES_MAX + 1, 1), (NAMES_MAX + 1000, 1000)] {
        // The repeated first name is known, so it is not counted as dropped.
        let subscribe = subscribed(&format!("subscription\n{}n0", list(count)));
        assert_eq!((subscribe.names.len(), subscribe.refused_more), (NAMES_MAX, more));
    }
}

#[test]
fn a_message_is_taken_verbatim() {
    // S29, S42, Q10
    for body in ["", "{\"a\":1}", "line\nline\n\n", "\0'\"\\", "A::5;x"] {
        let request = decode(&format!("web_pipe2\nweb_chat\nsay\n*\n{body}"), BODY_MAX);
        let expected = SendRequest {
            channel: channel("web_chat"),
            anonymous: false,
            event: EventName::parse("say").unwrap(),
            body: Body::new(body),
            key: None,
        };
        assert_eq!(request, Ok(ClientRequest::Send(expected)));
    }
}

#[test]
fn the_flag_is_ignored_and_the_event_may_be_empty() {
    for text in [
        "web_pipe2\n@web_a\n\n\nx",
        "web_pipe2\n@web_a\n\nany flag at all\nx",
    ] {
        // S47
        let expected = SendRequest {
            channel: channel("web_a"),
            anonymous: true,
            event: EventName::parse("").unwrap(),
            body: Body::new("x"),
            key: None,
        };
        assert_eq!(decode(text, BODY_MAX), Ok(ClientRequest::Send(expected)));
    }
}

#[test]
fn only_web_channels_can_be_written() {
    // S43, Q23: refusals are reported to the channel.
    for name in ["web_", "web_a", "webauth_a", "webauth_"] {
        assert!(
            decode(&format!("web_pipe2\n{name}\ne\n*\nx"), BODY_MAX).is_ok(),
            "{name}"
        );
    }
    for name in [
        "chat",
        "web",
        "Web_a",
        "xweb_a",
        "track_a",
        "private_a",
        "trust_a",
        "msg",
        "sys",
        "_answer",
        "user_status_1",
        "bin_a",
        "webauth",
    ] {
        let expected = bad(BadReason::ChannelRefused, ErrorExtra::NumberMessages, Some(name));
        assert_eq!(refused(&format!("web_pipe2\n{name}\ne\n*\nx")), expected);
        assert_eq!(refused(&format!("web_pipe2\n@{name}\ne\n*\nx")), expected);
    }
    let expected = bad(
        BadReason::ChannelRefused,
        ErrorExtra::NumberMessages,
        Some("webauth_a"),
    );
    assert_eq!(refused("web_pipe2\n@webauth_a\ne\n*\nx"), expected);
}

#[test]
fn a_malformed_message_is_refused() {
    let plain = |reason| bad(reason, ErrorExtra::NumberMessages, None);
    let reported = |reason| bad(reason, ErrorExtra::NumberMessages, Some("web_a"));
    assert_eq!(refused("web_pipe2"), plain(BadReason::Incomplete));
    assert_eq!(refused("web_pipe2\n"), plain(BadReason::Incomplete));
    for name in [
        "",
        "x",
        "@",
        "@@web_a",
        "web_a ",
        "web_a.e",
        "web_\u{e9}",
        "web_a\r",
    ] {
        assert_eq!(
            refused(&format!("web_pipe2\n{name}\ne\n*\nx")),
            plain(BadReason::BadChannel),
            "{name}"
        );
    }
    for text in [
        "web_pipe2\nweb_a",
        "web_pipe2\nweb_a\ne",
        "web_pipe2\nweb_a\ne\n*",
        "web_pipe2\n@web_a\n",
    ] {
        assert_eq!(refused(text), reported(BadReason::Incomplete), "{text:?}");
    }
    for event in ["a b", "a.b", "\u{e9}", "a\r", &"e".repeat(65)] {
        assert_eq!(
            refused(&format!("web_pipe2\nweb_a\n{event}\n*\nx")),
            reported(BadReason::BadEvent)
        );
    }
}

#[test]
fn lengths_of_a_message_are_exact() {
    let send = |name: usize, event: usize, body: usize| {
        let name = format!("web_{}", "n".repeat(name - 4));
        let text = format!(
            "web_pipe2\n{name}\n{}\n*\n{}",
            "e".repeat(event),
            "b".repeat(body)
        );
        decode(&text, BODY_MAX).map_err(|bad| bad.reason)
    };
    assert!(send(64, 64, BODY_MAX).is_ok());
    assert_eq!(send(65, 64, BODY_MAX), Err(BadReason::BadChannel));
    assert_eq!(send(64, 65, BODY_MAX), Err(BadReason::BadEvent));
    assert_eq!(send(64, 64, BODY_MAX + 1), Err(BadReason::BodyTooLong));
}

#[test]
fn history_may_be_asked_of_any_channel() {
    for (name, text) in [
        ("web_a", "pipe_log\nweb_a\n4712\n"),
        ("plain", "pipe_log\nplain\n4712"),
    ] {
        let expected = ClientRequest::History {
            channel: channel(name),
            marker: marker("4712"),
        };
        assert_eq!(decode(text, BODY_MAX), Ok(expected));
    }
}

#[test]
fn a_missing_marker_is_an_empty_one() {
    for tail in ["", "\n", "\n\n"] {
        let expected = ClientRequest::History {
            channel: channel("ab"),
            marker: marker(""),
        };
        assert_eq!(decode(&format!("pipe_log\nab{tail}"), BODY_MAX), Ok(expected));
        let expected = ClientRequest::Count {
            channel: channel("web_a"),
            marker: marker(""),
        };
        assert_eq!(
            decode(&format!("pipe_count\nweb_a{tail}"), BODY_MAX),
            Ok(expected)
        );
    }
}

#[test]
fn count_is_for_web_and_track() {
    // Q24, S57, S58
    for name in ["web_a", "track_a"] {
        let expected = ClientRequest::Count {
            channel: channel(name),
            marker: marker("m"),
        };
        assert_eq!(
            decode(&format!("pipe_count\n{name}\nm\n"), BODY_MAX),
            Ok(expected)
        );
    }
    for name in ["chat_pipe", "webauth_a", "private_a", "trust_a", "msg", "sys"] {
        let expected = bad(BadReason::ChannelRefused, ErrorExtra::NumberMessages, None);
        assert_eq!(refused(&format!("pipe_count\n{name}\nm\n")), expected);
    }
}

#[test]
fn track_users_is_for_track() {
    let expected = ClientRequest::TrackUsers {
        channel: channel("track_a"),
        marker: marker("m"),
    };
    assert_eq!(decode("track_pipe_users\ntrack_a\nm", BODY_MAX), Ok(expected));
    for name in ["web_a", "chat", "track", "private_a"] {
        let expected = bad(BadReason::ChannelRefused, ErrorExtra::UserId, None);
        assert_eq!(refused(&format!("track_pipe_users\n{name}\nm")), expected);
    }
}

#[test]
fn requests_with_bad_names_or_markers_are_refused_in_their_own_way() {
    let too_long = "n".repeat(65);
    for (command, name, extra) in [
        ("pipe_log", "web_a", ErrorExtra::Plain),
        ("pipe_count", "web_a", ErrorExtra::NumberMessages),
        ("track_pipe_users", "track_a", ErrorExtra::UserId),
    ] {
        for text in [
            command.to_owned(),
            format!("{command}\n"),
            format!("{command}\n\n"),
        ] {
            assert_eq!(
                refused(&text),
                bad(BadReason::Incomplete, extra, None),
                "{text:?}"
            );
        }
        for name in ["x", "a b", "@web_a", &too_long, "\nweb_a"] {
            let text = format!("{command}\n{name}\nm\n");
            assert_eq!(
                refused(&text),
                bad(BadReason::BadChannel, extra, None),
                "{text:?}"
            );
        }
        for marker in ["a b", "m\nmore", &too_long, "m\r", "\u{e9}"] {
            let text = format!("{command}\n{name}\n{marker}\n");
            assert_eq!(refused(&text), bad(BadReason::BadMarker, extra, None), "{text:?}");
        }
        let longest = format!("{command}\n{name}\n{}", "m".repeat(64));
        assert!(decode(&longest, BODY_MAX).is_ok());
    }
}

#[test]
fn user_data_wants_marker_and_digits() {
    // S4
    for (id, user) in [
        ("1", 1),
        ("999999999", 999_999_999),
        ("2147483647", 2_147_483_647),
        ("007", 7),
    ] {
        for tail in ["", "\n"] {
            let expected = ClientRequest::UserData {
                marker: marker("m"),
                user: UserId::new(user).unwrap(),
            };
            assert_eq!(
                decode(&format!("user_data\nm\n{id}{tail}"), BODY_MAX),
                Ok(expected)
            );
        }
    }
    assert!(
        decode("user_data\n\n5", BODY_MAX).is_ok(),
        "an empty marker is one"
    );
    let refuse = |reason| bad(reason, ErrorExtra::UserData, None);
    for text in [
        "user_data",
        "user_data\n",
        "user_data\nm",
        "user_data\nm\n",
        "user_data\n\n",
    ] {
        assert_eq!(refused(text), refuse(BadReason::Incomplete), "{text:?}");
    }
    for id in [
        "0",
        "-1",
        "+1",
        " 1",
        "1 ",
        "1\r",
        "a",
        "1.0",
        "2147483648",
        "99999999999999999999",
        "\u{663}",
        "1\n2",
    ] {
        assert_eq!(
            refused(&format!("user_data\nm\n{id}")),
            refuse(BadReason::BadUser),
            "{id:?}"
        );
    }
    assert_eq!(refused("user_data\na b\n1"), refuse(BadReason::BadMarker));
}

#[test]
fn user_status_wants_digits() {
    let expected = ClientRequest::UserStatus {
        user: UserId::new(7).unwrap(),
    };
    for text in ["user_status\n7", "user_status\n7\n"] {
        assert_eq!(decode(text, BODY_MAX), Ok(expected.clone()));
    }
    for id in ["0", "x", "-7", "7\n7"] {
        let expected = bad(BadReason::BadUser, ErrorExtra::Plain, None);
        assert_eq!(refused(&format!("user_status\n{id}")), expected);
    }
    for text in ["user_status", "user_status\n"] {
        assert_eq!(refused(text), bad(BadReason::Incomplete, ErrorExtra::Plain, None));
    }
}

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("subscription"),
        Just("web_pipe2"),
        Just("pipe_log"),
        Just("pipe_count"),
        Just("track_pipe_users"),
        Just("user_data"),
        Just("user_status"),
        Just("\n"),
        Just("\n\n"),
        Just("web_a"),
        Just("track_a"),
        Just("@"),
        Just("5"),
        Just("*"),
        Just("\0"),
        Just("é"),
        Just("😀"),
        Just("-"),
        Just("'"),
        Just("n0123456789n0123456789n0123456789n"),
    ];
    prop_oneof![
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat()),
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_decoded_or_refused(text in hostile()) {
        match decode(&text, BODY_MAX) {
            Ok(ClientRequest::Subscribe(subscribe)) => {
                prop_assert!(subscribe.names.iter().all(|name| text.contains(name.as_str())));
                prop_assert!(subscribe.refused.iter().all(|name| name.len() <= 64));
            }
            Ok(ClientRequest::Send(send)) => {
                prop_assert!(text.ends_with(send.body.as_str()) && send.body.as_str().len() <= BODY_MAX);
            }
            Err(bad) => prop_assert!(bad.report_to.is_none() || text.starts_with("web_pipe2\n")),
            Ok(_) => {}
        }
    }
}
