//! What publishing costs the core, counted, not timed: into a quiet channel the same for ten subscribers and for a
//! hundred thousand, and what a subscriber who comes or goes adds to that.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use comet_core::cometql::{Insert, NewMessage, NewSetting, Statement};
use comet_core::wire::{ClientRequest, Command, Dialect, Hello, Subscribe};
use comet_core::{
    Action, Body, ClientUuid, ConnId, Core, DevId, Event, EventName, HistoryLength, Mono, Now, Recipients,
    RequestId, SessionId, UnixMillis,
};
use harness::{World, channel};
use std::sync::Arc;

const LATER: Now = Now {
    mono: Mono::from_micros(1_000_000),
    unix: UnixMillis(1_700_000_001_000),
};

fn publication(req: u64) -> Event {
    let row = NewMessage {
        channel: channel("web_news"),
        event: EventName::parse("say").unwrap(),
        body: Body::new("{\"text\":\"the same for everybody\"}"),
    };
    let statement = Ok(Statement::Insert(Insert::PipesMessages(vec![row])));
    Event::Query {
        session: SessionId(1),
        req: RequestId(req),
        statement,
    }
}

fn subscription(conn: ConnId, name: &str) -> Event {
    let request = ClientRequest::Subscribe(Subscribe {
        names: vec![channel(name)],
        ..Subscribe::default()
    });
    Event::Request {
        conn,
        command: Command {
            number: None,
            request: Ok(request),
        },
    }
}

/// A core with this many subscribers of one channel. Without the harness's checks, which walk over everything.
fn crowded(subscribers: u64) -> Core {
    let mut core = World::new().core;
    let mut actions = Vec::new();
    for conn in (1..=subscribers).map(ConnId) {
        let hello = Hello {
            dev: DevId(0),
            user: None,
            key: None,
            dialect: Dialect::V4,
            uuid: ClientUuid::parse("u"),
        };
        let opened = Event::Opened {
            conn,
            hello: Ok(hello),
            client: Arc::default(),
        };
        core.handle(LATER, opened, &mut actions);
        core.handle(LATER, subscription(conn, "web_news"), &mut actions);
        actions.clear();
    }
    // The first messages join the recipient list, which the others share.
    for req in 1..10 {
        core.handle(LATER, publication(req), &mut actions);
    }
    core
}

fn receivers(actions: &[Action]) -> u64 {
    let receivers = actions.iter().map(|action| match action {
        Action::Send {
            to: Recipients::Many { list, .. },
            ..
        } => list.len() as u64,
        _ => 0,
    });
    receivers.sum()
}

/// Blocks allocated while one message goes to all subscribers.
fn blocks_per_publish(subscribers: u64) -> u64 {
    let mut core = crowded(subscribers);
    let mut actions: Vec<Action> = Vec::with_capacity(16);
    let event = publication(100);
    let counted = allocation_counter::measure(|| core.handle(LATER, event, &mut actions));
    assert_eq!(receivers(&actions), subscribers);
    counted.count_total
}

#[test]
fn allocations_of_a_publish_do_not_depend_on_the_number_of_subscribers() {
    let blocks = [10, 10_000, 100_000].map(blocks_per_publish);
    println!("{blocks:?} allocations per publish to 10, 10,000 and 100,000 subscribers");
    assert!(blocks.iter().all(|&n| n == blocks[0]), "{blocks:?}");
    assert!(blocks[0] <= 2, "{} allocations for one publish", blocks[0]);
}

/// A channel with history, whose messages EXPLAIN DELIVERY can explain: that, too, costs the same for everybody.
#[test]
fn what_is_remembered_of_a_message_does_not_depend_on_the_number_of_subscribers() {
    let blocks = [10, 10_000].map(|subscribers| {
        let mut core = crowded(subscribers);
        let mut actions: Vec<Action> = Vec::with_capacity(16);
        let setting = NewSetting {
            channel: channel("web_news"),
            length: HistoryLength::clamped(3),
        };
        let statement = Ok(Statement::Insert(Insert::PipesSettings(vec![setting])));
        let (session, req) = (SessionId(1), RequestId(50));
        let event = Event::Query {
            session,
            req,
            statement,
        };
        core.handle(LATER, event, &mut actions);
        for req in 100..120 {
            core.handle(LATER, publication(req), &mut actions);
            actions.clear();
        }
        let event = publication(200);
        let counted = allocation_counter::measure(|| core.handle(LATER, event, &mut actions));
        assert_eq!(receivers(&actions), subscribers);
        (counted.count_total, counted.bytes_total)
    });
    println!("{blocks:?} allocations and bytes per publish with history to 10 and 10,000 subscribers");
    assert_eq!(blocks[0], blocks[1]);
}

/// After a change the channel is in pieces of 1,024 subscribers at most: each is an action, for which the list of
/// actions has to grow, and nothing else is allocated. The fifth message in a row joins them: the copy of everything,
/// once, and then a message costs what it did before.
#[test]
fn after_a_change_a_publish_allocates_actions_for_pieces_and_one_copy_of_the_list() {
    const SUBSCRIBERS: u64 = 100_000;
    const LIST: u64 = SUBSCRIBERS * size_of::<ConnId>() as u64;
    let mut core = crowded(SUBSCRIBERS);
    let mut actions = Vec::new();
    core.handle(LATER, subscription(ConnId(977), "web_olds"), &mut actions);
    core.handle(LATER, subscription(ConnId(977), "web_news"), &mut actions);
    let mut counts = Vec::new();
    for req in 1..=6 {
        let (mut actions, event) = (Vec::new(), publication(req));
        let counted = allocation_counter::measure(|| core.handle(LATER, event, &mut actions));
        assert_eq!(receivers(&actions), SUBSCRIBERS);
        counts.push((actions.len() as u64, counted.count_total, counted.bytes_total));
    }
    println!("(actions, allocations, bytes) of the publishes after a change: {counts:?}");
    let quiet = counts[5];
    assert_eq!(quiet.0, 2, "one list, one reply");
    for &(actions, blocks, bytes) in &counts[..4] {
        assert!((SUBSCRIBERS / 1024..=4 * SUBSCRIBERS / 1024 + 2).contains(&actions));
        assert!(
            blocks <= quiet.1 + u64::from(actions.ilog2()),
            "{blocks} allocations"
        );
        assert!(bytes < LIST / 10, "{bytes} bytes");
    }
    let (actions, blocks, bytes) = counts[4];
    assert_eq!(
        (actions, blocks),
        (2, quiet.1 + 2),
        "the copy, and where it is gathered"
    );
    assert!(bytes <= 2 * LIST + 1024, "{bytes} bytes");
}

/// Somebody goes, somebody comes, a message is sent, again and again: nothing of it costs a list of everybody.
#[test]
fn a_large_channel_that_changes_between_messages_is_not_copied() {
    const SUBSCRIBERS: u64 = 100_000;
    const ROUNDS: u64 = 100;
    let mut core = crowded(SUBSCRIBERS);
    let mut actions: Vec<Action> = Vec::with_capacity(1024);
    let mut bytes = 0;
    for round in 1..=ROUNDS {
        let conn = ConnId(round * 977);
        let events = [
            subscription(conn, "web_olds"),
            subscription(conn, "web_news"),
            publication(round),
        ];
        for event in events {
            let counted = allocation_counter::measure(|| core.handle(LATER, event, &mut actions));
            bytes += counted.bytes_total;
        }
        assert_eq!(receivers(&actions), SUBSCRIBERS);
        actions.clear();
    }
    let list = SUBSCRIBERS * size_of::<ConnId>() as u64;
    println!(
        "{} bytes allocated per round; the list has {list}",
        bytes / ROUNDS
    );
    assert!(bytes / ROUNDS < list / 20, "{} bytes per round", bytes / ROUNDS);
}
