//! Publishing costs the core the same for ten subscribers and for ten thousand: counted, not timed.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

mod harness;

use comet_core::cometql::{Insert, NewMessage, Statement};
use comet_core::wire::{ClientRequest, Command, Dialect, Hello, Subscribe};
use comet_core::{
    Action, Body, ClientUuid, ConnId, Core, DevId, Event, EventName, Mono, Now, Recipients, RequestId,
    SessionId, UnixMillis,
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
        core.handle(
            LATER,
            Event::Opened {
                conn,
                hello: Ok(hello),
                client: Arc::default(),
            },
            &mut actions,
        );
        let names = vec![channel("web_news")];
        let request = ClientRequest::Subscribe(Subscribe {
            names,
            ..Subscribe::default()
        });
        core.handle(
            LATER,
            Event::Request {
                conn,
                command: Command {
                    number: None,
                    request: Ok(request),
                },
            },
            &mut actions,
        );
        actions.clear();
    }
    // The first message builds the recipient list, which the others share.
    core.handle(LATER, publication(1), &mut actions);
    core
}

/// Blocks allocated while one message goes to all subscribers.
fn blocks_per_publish(core: &mut Core, subscribers: u64) -> u64 {
    let mut actions: Vec<Action> = Vec::with_capacity(16);
    let event = publication(2);
    let counted = allocation_counter::measure(|| core.handle(LATER, event, &mut actions));
    let receivers = actions.iter().map(|action| match action {
        Action::Send {
            to: Recipients::Many { list, .. },
            ..
        } => list.len() as u64,
        _ => 0,
    });
    assert_eq!(receivers.sum::<u64>(), subscribers);
    counted.count_total
}

#[test]
fn allocations_of_a_publish_do_not_depend_on_the_number_of_subscribers() {
    let few = blocks_per_publish(&mut crowded(10), 10);
    let many = blocks_per_publish(&mut crowded(10_000), 10_000);
    assert_eq!(few, many);
    assert!(few <= 6, "{few} allocations for one publish");
}
