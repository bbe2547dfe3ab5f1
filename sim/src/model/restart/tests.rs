//! What the model says of statements that were answered 500: their rows are there afterwards or none of them is
//! (protocol.md Appendix B), and nobody is told of them once more. The core under it is the one that ships.

use comet_core::cometql::{self, Limits};
use comet_core::{
    Action, Answer, Body, Core, DevId, Done, Durable, ErrorCode, Event, Login, Mono, Now, OpId, QueryError,
    Record, Reply, RequestId, SessionId, UnixMillis,
};

use super::*;
use crate::backend::{Ask, NewPrivate};
use crate::names::{EPOCH_S, body};
use crate::profile::Profile;

const SECOND: u64 = 1_000_000;

/// A server, its judge, and a back end that is logged in.
struct Trial {
    model: Model,
    core: Core,
    limits: Limits,
    records: Vec<Record>,
}

fn now() -> Now {
    Now {
        mono: Mono::from_micros(SECOND),
        unix: UnixMillis(EPOCH_S * 1000),
    }
}

impl Trial {
    fn new() -> Self {
        let profile = Profile::calm(1);
        let config = profile.config();
        let limits = Limits::of(&config);
        let mut model = Model::new(profile);
        let mut actions = Vec::new();
        let core = Core::start(config, Durable::default(), 1, now(), &mut actions);
        assert_eq!(actions, [], "nothing has to be stored");
        model.restart(SECOND, EPOCH_S * 1000, &[], &actions).unwrap();
        let mut trial = Self {
            model,
            core,
            limits,
            records: Vec::new(),
        };
        let event = Event::SessionOpened {
            session: SessionId(1),
            login: Login::Tenant(DevId(0)),
            database: "".into(),
        };
        let opened = Cause::SessionOpened {
            session: 1,
            dev: 0,
            is_health_check: false,
        };
        trial.feed(event, &opened);
        trial
    }

    /// What the core does is right.
    fn feed(&mut self, event: Event, cause: &Cause) -> Vec<Action> {
        let mut actions = Vec::new();
        self.core.handle(now(), event, &mut actions);
        self.see(cause, &actions).unwrap();
        for action in &actions {
            if let Action::Persist { record, .. } = action {
                self.records.push(record.clone());
            }
        }
        actions
    }

    fn see(&mut self, cause: &Cause, actions: &[Action]) -> Result<(), Failure> {
        let seen = self.model.step(SECOND, EPOCH_S * 1000, cause, actions);
        seen.map(drop)
    }

    /// One message for each of two users, in one statement.
    fn insert(&mut self, req: u64) -> Vec<Action> {
        let row = |n: u64| NewPrivate {
            n,
            user: n as u32,
            event: "e".to_owned(),
            body: body(n, n),
        };
        let ask = Ask::Private(vec![row(2 * req - 1), row(2 * req)]);
        let event = Event::Query {
            session: SessionId(1),
            req: RequestId(req),
            statement: cometql::parse(ask.text(req).as_bytes(), &self.limits),
        };
        let session = 1;
        self.feed(event, &Cause::Query { session, req, ask })
    }

    /// The disk refuses everything so far.
    fn fail(&mut self) -> Vec<Action> {
        let upto = OpId(self.records.len() as u64);
        self.feed(Event::PersistFailed { upto }, &Cause::PersistFailed)
    }

    /// The server dies and finds these rows again.
    fn crash(mut self, found: &[usize]) -> Result<(), &'static str> {
        let safe: Vec<Record> = found.iter().map(|at| self.records[*at].clone()).collect();
        let mut durable = Durable::default();
        safe.iter().for_each(|record| durable.apply(record));
        let mut actions = Vec::new();
        drop(Core::start(
            self.model.profile.config(),
            durable,
            2,
            now(),
            &mut actions,
        ));
        let restarted = self.model.restart(SECOND, EPOCH_S * 1000, &safe, &actions);
        restarted.map_err(|failure| failure.kind)
    }
}

fn replies(actions: &[Action]) -> Vec<&Action> {
    let is_reply = |action: &&Action| matches!(action, Action::Reply { .. });
    actions.iter().filter(is_reply).collect()
}

fn answer(req: u64, result: Result<Answer, QueryError>) -> Action {
    let (session, req, in_transaction) = (SessionId(1), RequestId(req), false);
    let reply = Reply {
        result,
        in_transaction,
    };
    Action::Reply { session, req, reply }
}

/// What may be found after a crash, of a statement with two rows.
const FOUND: [(&[usize], Result<(), &str>); 4] = [
    (&[], Ok(())),
    (&[0, 1], Ok(())),
    (&[0], Err("torn")),
    (&[1], Err("torn")),
];

#[test]
fn what_was_answered_500_survives_whole_or_not_at_all() {
    for (found, expected) in FOUND {
        let mut trial = Trial::new();
        assert!(replies(&trial.insert(1)).is_empty(), "it waits for the disk");
        assert_eq!(replies(&trial.fail()).len(), 1);
        assert_eq!(trial.crash(found), expected, "{found:?}");
    }
}

#[test]
fn what_was_not_answered_survives_whole_or_not_at_all() {
    for (found, expected) in FOUND {
        let mut trial = Trial::new();
        trial.insert(1);
        assert_eq!(trial.crash(found), expected, "{found:?}");
    }
}

/// A statement is a whole, not all that were answered 500: a crash may come between two of them.
#[test]
fn of_two_statements_one_may_survive() {
    for (found, expected) in [
        (&[0, 1][..], Ok(())),
        (&[0, 1, 2, 3], Ok(())),
        (&[0, 1, 2], Err("torn")),
    ] {
        let mut trial = Trial::new();
        trial.insert(1);
        trial.insert(2);
        assert_eq!(replies(&trial.fail()).len(), 2);
        assert_eq!(trial.crash(found), expected, "{found:?}");
    }
}

/// The outcome stays untold, also if it becomes a good one.
#[test]
fn nobody_is_told_of_it_once_more() {
    let mut trial = Trial::new();
    trial.insert(1);
    trial.fail();
    let upto = OpId(trial.records.len() as u64);
    let stored = trial.feed(Event::Persisted { upto }, &Cause::Persisted { upto });
    assert!(replies(&stored).is_empty());
    let again = answer(1, Ok(Answer::Done(Done::default())));
    let failure = trial.see(&Cause::Tick, &[again]).expect_err("answered twice");
    assert_eq!(failure.kind, "reply");
}

/// Error 500 is for a disk that refuses, and for nothing else.
#[test]
fn without_trouble_nothing_is_answered_500() {
    let mut trial = Trial::new();
    trial.insert(1);
    let refused = answer(1, Err(QueryError::new(ErrorCode::Internal, "")));
    let failure = trial.see(&Cause::Tick, &[refused]).expect_err("no disk refuses");
    assert_eq!(failure.kind, "answer");
}

/// What is refused at once, because the disk refuses, is not stored behind that.
#[test]
fn a_statement_that_is_refused_at_once_leaves_nothing() {
    let mut trial = Trial::new();
    trial.insert(1);
    trial.fail();
    assert_eq!(replies(&trial.insert(2)).len(), 1);
    assert_eq!(trial.records.len(), 2);
    let row = trial.records[0].clone();
    let Record::MessageQueued {
        dev,
        user,
        mut message,
    } = row
    else {
        panic!("{row:?}")
    };
    message.body = Body::new(&body(3, 3));
    let stored = Action::Persist {
        op: OpId(trial.records.len() as u64 + 1),
        record: Record::MessageQueued { dev, user, message },
    };
    let failure = trial
        .see(&Cause::Tick, &[stored])
        .expect_err("stored all the same");
    assert_eq!(failure.kind, "records");
}
