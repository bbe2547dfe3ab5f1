//! What `SHOW GLOBAL STATUS` counts (protocol.md 8.5, Q85): every counter changes exactly where the thing it counts
//! happens, and rates are those of the last interval. And sessions that grow too old (Q51).

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use std::collections::BTreeMap;

use comet_core::cometql::{Cell, Show, Statement};
use comet_core::wire::{ClientRequest, SendRequest};
use comet_core::{Action, Answer, Body, Config, DevId, Event, EventName, Login, SessionId};
use harness::{World, channel, config};

fn shown(w: &mut World, show: Show) -> BTreeMap<String, String> {
    let Some(Ok(Answer::Rows(rows))) = w.statement(Statement::Show(show)) else {
        panic!("not answered")
    };
    let text = |cell: &Cell| match cell {
        Cell::Text(text) => text.to_string(),
        Cell::Int(number) => number.to_string(),
    };
    rows.rows
        .iter()
        .map(|row| (text(&row[0]), text(&row[1])))
        .collect()
}

fn number(of: &BTreeMap<String, String>, name: &str) -> u64 {
    of[name].parse().unwrap()
}

/// How much the counters of two moments differ; only those that do.
fn grown(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<(String, u64)> {
    after
        .keys()
        .filter(|name| !matches!(name.as_str(), "flag" | "frontend_name" | "backend_name"))
        .map(|name| (name.clone(), number(after, name) - number(before, name)))
        .filter(|(_, grown)| *grown > 0)
        .collect()
}

/// What happens between two looks, beside the second look: one event and one message of the back end.
fn happens(w: &mut World, act: impl FnOnce(&mut World)) -> Vec<(String, u64)> {
    let before = shown(w, Show::GlobalStatus);
    act(w);
    let after = shown(w, Show::GlobalStatus);
    let grown = grown(&before, &after);
    let look = ["backend_messages", "network_events"];
    grown
        .into_iter()
        .map(|(name, n)| {
            let n = n - u64::from(look.contains(&name.as_str()));
            (name, n)
        })
        .filter(|(_, n)| *n > 0)
        .collect()
}

fn counters(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|&(name, n)| (name.to_owned(), n)).collect()
}

#[test]
fn q85_every_event_is_counted_where_it_happens() {
    let mut w = World::new();
    let open = happens(&mut w, |w| w.open(1, None, "", "a"));
    assert_eq!(
        open,
        counters(&[
            ("frontend_add_client", 1),
            ("frontend_messages", 1),
            ("frontend_online", 1),
            ("network_events", 1)
        ])
    );
    w.open(2, None, "", "b");
    w.subscribe(2, &["web_chat"]);
    let subscribed = happens(&mut w, |w| w.subscribe(1, &["web_chat"]));
    assert_eq!(
        subscribed,
        counters(&[("frontend_messages", 1), ("network_events", 1)]),
        "the command"
    );
    let published = happens(&mut w, |w| {
        w.publish("web_chat", "hi");
    });
    assert_eq!(
        published,
        counters(&[
            ("backend_messages", 1),
            ("frontend_messages", 2),
            ("network_events", 1)
        ])
    );
    let said = happens(&mut w, |w| {
        w.request(
            1,
            ClientRequest::Send(SendRequest {
                channel: channel("web_chat"),
                anonymous: false,
                event: EventName::parse("say").unwrap(),
                body: Body::new("hi"),
                key: None,
            }),
        );
    });
    assert_eq!(
        said,
        counters(&[("frontend_messages", 3), ("network_events", 1)]),
        "the command, one receiver, the report"
    );
    let before = shown(&mut w, Show::GlobalStatus);
    let closed = happens(&mut w, |w| {
        w.close(2);
        w.open(3, None, "", "c");
    });
    assert_eq!(number(&before, "frontend_online"), 2);
    assert_eq!(
        closed,
        counters(&[
            ("frontend_add_client", 1),
            ("frontend_delete_client", 1),
            ("frontend_messages", 1),
            ("network_events", 2)
        ])
    );
}

#[test]
fn private_messages_and_pongs_are_counted() {
    let mut w = World::new();
    w.key(5, "k5");
    w.open(1, Some(5), "k5", "a");
    w.take();
    let delivered = happens(&mut w, |w| {
        w.private(5, "one");
    });
    assert_eq!(
        delivered,
        counters(&[
            ("backend_messages", 1),
            ("frontend_messages", 1),
            ("network_events", 1)
        ])
    );
    let answered = happens(&mut w, |w| w.pong(1));
    assert_eq!(answered, counters(&[("network_events", 1)]));
    w.close(1);
    for text in ["two", "three"] {
        w.private(5, text);
    }
    let waiting = happens(&mut w, |w| w.open(2, Some(5), "k5", "b"));
    assert!(
        waiting.contains(&("frontend_messages".to_owned(), 3)),
        "the greeting and two from the queue: {waiting:?}"
    );
}

#[test]
fn sessions_are_counted_until_they_go_and_in_their_new_tenant() {
    let mut w = World::with(Config {
        dev_index_size: 3,
        ..config()
    });
    let login = |dev: u32| Event::SessionOpened {
        session: SessionId(7),
        login: Login::Tenant(DevId(dev)),
        database: "".into(),
    };
    let opened = happens(&mut w, |w| w.event(login(0)));
    assert_eq!(
        opened,
        counters(&[
            ("backend_add_client", 1),
            ("backend_online", 1),
            ("network_events", 1)
        ])
    );
    assert_eq!(number(&shown(&mut w, Show::SessionStatus), "server_online"), 2);
    let changed = happens(&mut w, |w| w.event(login(1)));
    assert_eq!(
        changed,
        counters(&[
            ("backend_add_client", 1),
            ("backend_delete_client", 1),
            ("network_events", 1)
        ])
    );
    assert_eq!(number(&shown(&mut w, Show::SessionStatus), "server_online"), 1);
    let before = number(&shown(&mut w, Show::GlobalStatus), "backend_online");
    w.event(Event::SessionClosed {
        session: SessionId(7),
    });
    let after = number(&shown(&mut w, Show::GlobalStatus), "backend_online");
    assert_eq!(before - after, 1);
}

#[test]
fn rates_are_those_of_the_last_interval() {
    let mut w = World::with(Config {
        ws_statistics_ms: 10_000,
        cometql_statistics_ms: 20_000,
        ..config()
    });
    for conn in 1..=40 {
        w.open(conn, None, "", "");
    }
    w.sleep(10_000);
    let first = shown(&mut w, Show::GlobalStatus);
    assert_eq!(
        (&*first["frontend_name"], &*first["backend_name"]),
        ("frontend", "backend")
    );
    assert_eq!(number(&first, "frontend_add_client_ps"), 4);
    assert_eq!(number(&first, "frontend_messages_ps"), 4);
    assert_eq!(number(&first, "frontend_delete_client_ps"), 0);
    assert_eq!(number(&first, "frontend_stat_interval"), 10);
    assert_eq!(number(&first, "backend_messages_ps"), 0, "not measured yet");
    for conn in 1..=20 {
        w.close(conn);
    }
    for _ in 0..99 {
        w.publish("nobody", "hears");
    }
    w.sleep(10_000);
    let second = shown(&mut w, Show::GlobalStatus);
    assert_eq!(number(&second, "frontend_add_client_ps"), 0);
    assert_eq!(number(&second, "frontend_delete_client_ps"), 2);
    assert_eq!(
        number(&second, "backend_messages_ps"),
        5,
        "99 and one look in 20 s"
    );
    assert_eq!(number(&second, "uptime"), 20);
    w.sleep(20_000);
    let third = shown(&mut w, Show::GlobalStatus);
    assert_eq!(number(&third, "frontend_delete_client_ps"), 0);
    assert_eq!(number(&third, "backend_messages_ps"), 0, "one look in 20 s");
}

fn closed_sessions(w: &mut World) -> Vec<u64> {
    let closed = |action: &Action| match action {
        Action::CloseSession { session } => Some(session.0),
        _ => None,
    };
    w.take().iter().filter_map(closed).collect()
}

#[test]
fn q51_old_sessions_are_closed_sweep_after_sweep() {
    let mut w = World::with(Config {
        cometql_uptime_max_ms: 60_000,
        cometql_uptime_sweep_ms: 10_000,
        ..config()
    });
    w.sleep(30_000);
    w.event(Event::SessionOpened {
        session: SessionId(2),
        login: Login::Tenant(DevId(0)),
        database: "".into(),
    });
    w.take();
    w.sleep(29_999);
    assert_eq!(closed_sessions(&mut w), [0; 0]);
    w.sleep(1);
    assert_eq!(closed_sessions(&mut w), [1], "at its age, not after it");
    w.sleep(29_999);
    assert_eq!(closed_sessions(&mut w), [0; 0], "once");
    w.sleep(1);
    assert_eq!(closed_sessions(&mut w), [2]);
}

#[test]
fn q51_connections_are_closed_at_their_age() {
    let mut w = World::with(Config {
        ws_uptime_max_ms: 60_000,
        ws_uptime_sweep_ms: 10_000,
        ..config()
    });
    w.open(1, None, "", "a");
    w.sleep(59_999);
    assert_eq!(w.was_closed(1), None);
    w.sleep(1);
    assert!(w.was_closed(1).is_some(), "at its age, not after it");
}
