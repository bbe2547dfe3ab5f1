//! Limits of numbered commands at n and n + 1 (docs/protocol-v5.md 1): channels, histories at once, commands per second,
//! numbers.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use comet_core::Config;
use comet_core::wire::{CommandNumber, Dialect};
use harness::{World, config};
use serde_json::{Value, json};

fn world(config: Config) -> World {
    let mut w = World::with(config);
    w.open_as(1, 0, None, "", "u", Dialect::V5);
    w.take();
    w
}

/// The one frame that a command is answered.
fn result(w: &mut World, text: &str) -> Value {
    w.text(1, text);
    let frames = w.frames(1);
    w.take();
    assert_eq!(frames.len(), 1, "{text:?} was answered {frames:?}");
    frames[0].clone()
}

#[test]
fn subscribe_adds_up_to_the_limit() {
    let mut w = world(Config {
        subscriptions_max: 3,
        ..config()
    });
    let data = |w: &mut World, text: &str| result(w, text)["data"].clone();
    assert_eq!(
        data(&mut w, "subscribe 1\nweb_a\nweb_b"),
        json!({"channels": 2, "refused": []})
    );
    assert_eq!(
        data(&mut w, "subscribe 2\nweb_c"),
        json!({"channels": 3, "refused": []}),
        "3 of 3"
    );
    assert_eq!(
        data(&mut w, "subscribe 3\nweb_a\nweb_c"),
        json!({"channels": 3, "refused": []}),
        "what is subscribed already is not too much"
    );
    let surplus = |names: &[&str]| {
        let one = |name| json!({"name": name, "code": "too_many_subscriptions"});
        names.iter().map(one).collect::<Vec<_>>()
    };
    assert_eq!(
        data(&mut w, "subscribe 4\nweb_d\nweb_e"),
        json!({"channels": 3, "refused": surplus(&["web_d", "web_e"])}),
        "4 and 5 of 3"
    );
    assert_eq!(
        data(&mut w, "unsubscribe 5\nweb_b\nnever_there"),
        json!({"channels": 2, "refused": []})
    );
    assert_eq!(
        data(&mut w, "subscribe 6\nweb_d\nweb_e"),
        json!({"channels": 3, "refused": surplus(&["web_e"])}),
        "the first name has room again"
    );
    w.publish("web_d", "1");
    w.publish("web_b", "2");
    w.publish("web_e", "3");
    let got: Vec<_> = w.frames(1).iter().map(|frame| frame["pipe"].clone()).collect();
    assert_eq!(got, ["web_d"]);
}

#[test]
fn the_first_32_refused_names_are_told_one_by_one() {
    let mut w = world(config());
    let private = |count: usize| (0..count).map(|n| format!("\nprivate_{n}")).collect::<String>();
    for count in [32, 33] {
        let answer = result(&mut w, &format!("subscription 1{}", private(count)));
        let refused = answer["data"]["refused"].as_array().unwrap();
        let surplus = usize::from(count > 32);
        assert_eq!(refused.len(), 32 + surplus);
        let unnamed = refused.iter().filter(|entry| entry["name"] == "").count();
        assert_eq!(unnamed, surplus);
        assert!(refused.iter().all(|entry| entry["code"] == "not_authorized"));
    }
}

/// A history is read in windows; until the first has arrived, 64 may wait and no more.
#[test]
fn a_page_waits_for_64_histories_and_each_has_its_result() {
    let mut w = world(Config {
        private_window_bytes: 1,
        ..config()
    });
    w.history("web_a", 3);
    for text in ["1", "2"] {
        w.publish("web_a", text);
    }
    w.take();
    for number in 1..=64 {
        w.text(1, &format!("pipe_log {number}\nweb_a\n"));
    }
    let first = w.frames(1);
    assert_eq!(
        (first.len(), &first[0]["re"]),
        (1, &json!(1)),
        "one window is on its way"
    );
    w.text(1, "pipe_log 65\nweb_a\n");
    let error = w.frames(1).pop().unwrap();
    assert_eq!((&error["event"], &error["re"]), (&json!("error"), &json!(65)));
    assert_eq!(error["data"]["code"], "too_many_commands");
    // An empty history waits for nothing.
    w.text(1, "pipe_log 66\nweb_empty\n");
    assert_eq!(w.frames(1).pop().unwrap()["data"]["code"], "too_many_commands");
    while w.probes(1).len() < 127 {
        w.pong(1);
    }
    w.pong(1);
    let frames = w.frames(1);
    for number in 1..=64 {
        let of: Vec<_> = frames.iter().filter(|frame| frame["re"] == number).collect();
        let data: Vec<_> = of.iter().map(|frame| frame["data"].clone()).collect();
        assert_eq!(data, [json!(1), json!(2), json!({"messages": 2})], "of {number}");
        assert!(of[..2].iter().all(|frame| frame["history"] == true));
    }
    w.take();
    let end = result(&mut w, "pipe_log 67\nweb_empty\n");
    assert_eq!((&end["re"], &end["data"]["messages"]), (&json!(67), &json!(0)));
}

#[test]
fn too_many_commands_have_their_results_too() {
    let mut w = world(Config {
        commands_per_second_max: 2,
        ..config()
    });
    assert_eq!(result(&mut w, "statistics 1")["event"], "statistics");
    assert_eq!(result(&mut w, "statistics 2")["event"], "statistics");
    let error = result(&mut w, "statistics 3");
    assert_eq!(
        (&error["re"], &error["data"]["code"]),
        (&json!(3), &json!("too_many_commands"))
    );
    w.sleep(999);
    assert_eq!(
        result(&mut w, "statistics 4")["data"]["code"],
        "too_many_commands"
    );
    w.sleep(1);
    assert_eq!(result(&mut w, "statistics 5")["event"], "statistics");
}

#[test]
fn numbers_go_from_1_to_the_largest_exact_integer() {
    let mut w = world(config());
    let largest = CommandNumber::MAX;
    for number in [1, largest] {
        assert_eq!(result(&mut w, &format!("statistics {number}"))["re"], number);
    }
    let leading = result(&mut w, "statistics 0000000000000017");
    assert_eq!(leading["re"], 17, "16 digits are taken");
    let beyond = (largest + 1).to_string();
    for number in [
        "0",
        "-1",
        "+1",
        "1.0",
        "1e3",
        "",
        " 1",
        "1 ",
        "x",
        &beyond,
        "00000000000000017",
    ] {
        let error = result(&mut w, &format!("statistics {number}"));
        assert_eq!(error["data"]["code"], "unknown_command", "{number:?}");
        assert!(error.get("re").is_none(), "{number:?}");
    }
}

#[test]
fn each_refusal_has_the_number_and_nothing_but_its_code() {
    let mut w = world(config());
    let too_long = format!("web_pipe2 1\nweb_a\ne\n*\n{}", "x".repeat((1 << 18) + 1));
    for (text, code) in [
        ("nonsense 1", "unknown_command"),
        ("web_pipe 1\nweb_a", "not_supported"),
        ("web_pipe2 1\nweb_a", "incomplete"),
        ("web_pipe2 1\nx\ne\n*\nm", "bad_channel"),
        ("web_pipe2 1\nweb_a\na b\n*\nm", "bad_event"),
        ("web_pipe2 1\ntrust_a\ne\n*\nm", "channel_refused"),
        ("web_pipe2 1\nwebauth_a\ne\n*\nm", "not_authorized"),
        (&too_long, "message_too_long"),
        ("pipe_log 1\nweb_a\na b", "bad_marker"),
        ("pipe_log 1\nprivate_a\n", "not_authorized"),
        ("pipe_count 1\nplain\n", "channel_refused"),
        ("track_pipe_users 1\nweb_a\n", "channel_refused"),
        ("user_data 1\n\n0", "bad_user"),
        ("user_status 1\n2147483648", "bad_user"),
        ("ack 1\nnonsense", "bad_message_id"),
    ] {
        let error = result(&mut w, text);
        assert_eq!(
            (&error["pipe"], &error["event"]),
            (&json!("sys"), &json!("error"))
        );
        assert_eq!((&error["re"], &error["data"]["code"]), (&json!(1), &json!(code)));
        assert_eq!(error["data"].as_object().unwrap().len(), 2, "{error}");
    }
}
