//! What back ends sent and were answered, and when, object by object, as they know it.

use std::collections::{BTreeMap, BTreeSet};

use comet_core::Answer;
use comet_core::cometql::{Cell, Rows};

use super::{Call, Object, Op, Rules, Verdict, explain};
use crate::backend::{Ask, Look, NewPrivate};
use crate::model::{Failure, wrong};
use crate::names::{CHANNELS, number_in, view};
use crate::profile::{Knob, Profile};

/// A statement that was sent.
#[derive(Debug)]
struct Sent {
    session: u64,
    dev: u32,
    ask: Ask,
    at: u64,
}

/// A call and its place in the order to be tried first.
#[derive(Debug)]
struct Placed {
    order: u64,
    call: Call,
}

/// All statements of a run.
#[derive(Debug, Default)]
pub struct Recorder {
    /// Grows with everything that is seen, so that no two things happen at once.
    clock: u64,
    /// Sent, and not arrived at the server or lost.
    sent: BTreeMap<u64, Sent>,
    /// Arrived and not answered, and when.
    open: BTreeMap<u64, (u64, Sent)>,
    calls: BTreeMap<Object, Vec<Placed>>,
    /// Since when a message may be gone from its queue.
    received: BTreeMap<u64, u64>,
    /// Messages the server began to store: what is tried first.
    stored: BTreeSet<u64>,
    crashes: Vec<u64>,
    body_max: usize,
    /// Queues the search gave up on, and histories.
    pub undecided: u64,
    /// Statements that were looked at.
    pub explained: u64,
}

impl Recorder {
    /// Of a run in this world.
    pub fn new(profile: &Profile) -> Self {
        Self {
            body_max: profile.get(Knob::BodyMax) as usize,
            ..Self::default()
        }
    }

    const fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// A back end sends a statement.
    pub fn sent(&mut self, req: u64, session: u64, dev: u32, ask: &Ask) {
        let at = self.tick();
        if is_about_objects(ask) {
            let ask = ask.clone();
            self.sent.insert(
                req,
                Sent {
                    session,
                    dev,
                    ask,
                    at,
                },
            );
        }
    }

    /// A statement arrives at the server. One that never does cannot have happened.
    pub fn arrived(&mut self, req: u64) {
        let at = self.tick();
        if let Some(sent) = self.sent.remove(&req) {
            self.open.insert(req, (at, sent));
        }
    }

    /// A statement is answered.
    pub fn answered(&mut self, req: u64, reply: &Result<Answer, u16>) {
        let at = self.tick();
        if let Some((order, sent)) = self.open.remove(&req) {
            self.note(req, order, sent, at, Some(reply));
        }
    }

    /// The server is gone. What it had and did not answer may have happened before.
    pub fn crashed(&mut self) {
        let at = self.tick();
        self.crashes.push(at);
        self.sent.clear();
        for (req, (order, sent)) in std::mem::take(&mut self.open) {
            self.note(req, order, sent, at, None);
        }
    }

    /// A private message reached a page, which may acknowledge it from now on.
    pub fn received(&mut self, n: u64) {
        let at = self.tick();
        self.received.entry(n).or_insert(at);
    }

    /// The server begins to store a message of a channel.
    pub fn stored(&mut self, n: u64) {
        self.stored.insert(n);
    }

    /// A page's message arrives at the server, which may keep it.
    pub fn page_sent(&mut self, dev: u32, channel: &str, n: u64) {
        let at = self.tick();
        let answered = self.tick();
        let call = Call {
            op: Op::Append(vec![n]),
            session: (0, 0),
            sent: at,
            answered,
            is_certain: false,
            is_likely: false,
        };
        let channel = channel.to_owned();
        self.place(Object::History { dev, channel }, at, call);
    }

    fn place(&mut self, object: Object, order: u64, call: Call) {
        self.calls.entry(object).or_default().push(Placed { order, call });
    }

    /// `reply`: `None` if nobody was told.
    fn note(&mut self, req: u64, order: u64, sent: Sent, answered: u64, reply: Option<&Result<Answer, u16>>) {
        let Sent {
            session,
            dev,
            ask,
            at,
        } = sent;
        let is_unknown = matches!(reply, None | Some(Err(500)));
        let ops = match reply {
            Some(Err(11)) => self.full(dev, &ask),
            Some(Err(_)) if !is_unknown => Vec::new(),
            Some(Ok(answer)) => ops(dev, &ask, Some(answer)),
            Some(Err(_)) | None => ops(dev, &ask, None),
        };
        for (object, op) in ops {
            let call = Call {
                op,
                session: (session, req),
                sent: at,
                answered,
                is_certain: !is_unknown,
                // What is refused at once was not begun.
                is_likely: answered > order + 1,
            };
            self.place(object, order, call);
        }
    }

    /// The queue that is full is known if all rows are for one user, and none of them is too long.
    fn full(&self, dev: u32, ask: &Ask) -> Vec<(Object, Op)> {
        let Ask::Private(rows) = ask else {
            return Vec::new();
        };
        let user = rows.first().map_or(0, |row| row.user);
        let is_plain = |row: &NewPrivate| row.user == user && row.body.len() <= self.body_max;
        if !rows.iter().all(is_plain) {
            return Vec::new();
        }
        vec![(Object::Queue { dev, user }, Op::Full(rows.len()))]
    }

    /// Everything that was answered can be explained.
    pub fn check(&mut self, profile: &Profile) -> Result<(), Failure> {
        for (order, sent) in std::mem::take(&mut self.open).into_values() {
            self.note(0, order, Sent { session: 0, ..sent }, u64::MAX, None);
        }
        let calls = std::mem::take(&mut self.calls);
        for (object, mut placed) in calls {
            let rules = self.rules(&object, &placed, profile);
            placed.extend(self.crashes.iter().map(|&at| Placed {
                order: at,
                call: Call {
                    op: Op::Crash,
                    session: (0, 0),
                    sent: at,
                    answered: at,
                    is_certain: true,
                    is_likely: true,
                },
            }));
            placed.sort_by_key(|placed| placed.order);
            let mut calls: Vec<Call> = placed.into_iter().map(|placed| placed.call).collect();
            for call in calls.iter_mut().filter(|call| call.session.0 == 0) {
                call.is_likely |=
                    matches!(&call.op, Op::Append(rows) if rows.iter().all(|n| self.stored.contains(n)));
            }
            match explain(&rules, &calls) {
                Verdict::Explained => self.explained += calls.len() as u64,
                Verdict::Undecided => self.undecided += 1,
                Verdict::Unexplained(upto) => {
                    let around = &calls[upto.saturating_sub(4)..calls.len().min(upto + 3)];
                    let text = format!("no order explains {object:?}, around call {upto}: {around:?}");
                    return wrong("linear", text);
                }
            }
        }
        Ok(())
    }

    fn rules(&self, object: &Object, placed: &[Placed], profile: &Profile) -> Rules {
        match object {
            Object::Queue { .. } => {
                let mut may_leave = BTreeMap::new();
                let expires = profile.get(Knob::QueueTtl) > 0;
                for call in placed.iter().map(|placed| &placed.call) {
                    if let Op::Append(rows) = &call.op {
                        let since = |n: &u64| match expires {
                            true => Some(call.sent),
                            false => self.received.get(n).copied(),
                        };
                        may_leave.extend(rows.iter().filter_map(|n| Some((*n, since(n)?))));
                    }
                }
                Rules {
                    queue_max: profile.get(Knob::QueueMax) as usize,
                    may_leave,
                    repeated: BTreeSet::new(),
                    keeps: None,
                }
            }
            Object::History { channel, .. } => {
                let mut seen = BTreeSet::new();
                let sent = placed.iter().filter(|placed| placed.call.session.0 == 0);
                let sent = sent.filter_map(|placed| match &placed.call.op {
                    Op::Append(rows) => rows.first().copied(),
                    Op::Full(_)
                    | Op::Read(_)
                    | Op::Clear(_)
                    | Op::Remove(_)
                    | Op::Keep(_)
                    | Op::Unset
                    | Op::Crash => None,
                });
                Rules {
                    repeated: sent.filter(|n| !seen.insert(*n)).collect(),
                    keeps: Some(if channel.starts_with("trust_") { 99 } else { 0 }),
                    ..Rules::default()
                }
            }
        }
    }
}

fn is_about_objects(ask: &Ask) -> bool {
    matches!(
        ask,
        Ask::Private(_)
            | Ask::Publish(_)
            | Ask::SetLength { .. }
            | Ask::DelLength { .. }
            | Ask::DelHistory { .. }
            | Ask::DelMessage { .. }
            | Ask::DelQueue { .. }
            | Ask::Look(Look::Queue { .. } | Look::History { .. })
    )
}

/// What a statement does to which object. A statement about several is one call for each.
fn ops(dev: u32, ask: &Ask, answer: Option<&Answer>) -> Vec<(Object, Op)> {
    let history = |channel: &String| Object::History {
        dev,
        channel: channel.clone(),
    };
    let affected = || match answer {
        Some(Answer::Done(done)) => Some(done.affected as usize),
        Some(Answer::Rows(_)) | None => None,
    };
    match (ask, answer) {
        (Ask::Private(rows), _) => {
            let queue = |user| Object::Queue { dev, user };
            appended(rows.iter().map(|row| (queue(row.user), row.n)))
        }
        (Ask::Publish(rows), _) => {
            let rows = rows.iter();
            appended(rows.filter_map(|row| Some((history(&row.channel), number_in(&view(&row.body))?))))
        }
        (Ask::SetLength { channel, length }, _) => vec![(history(channel), Op::Keep(*length as usize))],
        (Ask::DelLength { channel }, _) => vec![(history(channel), Op::Unset)],
        (Ask::DelHistory { channel }, _) => vec![(history(channel), Op::Clear(affected()))],
        (Ask::DelQueue { user }, _) => vec![(Object::Queue { dev, user: *user }, Op::Clear(affected()))],
        (Ask::DelMessage { n, .. }, _) => {
            // A number is unique, so it is removed from whichever history has it.
            let every = CHANNELS.iter().map(|name| (*name).to_owned());
            every.map(|channel| (history(&channel), Op::Remove(*n))).collect()
        }
        (Ask::Look(Look::Queue { user }), Some(Answer::Rows(rows))) => {
            let user = *user;
            vec![(Object::Queue { dev, user }, Op::Read(numbers(rows, 3)))]
        }
        (Ask::Look(Look::History { channel }), Some(Answer::Rows(rows))) => {
            vec![(history(channel), Op::Read(numbers(rows, 4)))]
        }
        _ => Vec::new(),
    }
}

fn appended(rows: impl Iterator<Item = (Object, u64)>) -> Vec<(Object, Op)> {
    let mut by_object: BTreeMap<Object, Vec<u64>> = BTreeMap::new();
    for (object, n) in rows {
        by_object.entry(object).or_default().push(n);
    }
    by_object
        .into_iter()
        .map(|(object, rows)| (object, Op::Append(rows)))
        .collect()
}

/// The numbers of the messages in a column.
fn numbers(rows: &Rows, column: usize) -> Vec<u64> {
    let text = |row: &Vec<Cell>| match row.get(column) {
        Some(Cell::Text(text)) => number_in(&view(text)),
        Some(Cell::Int(_)) | None => None,
    };
    rows.rows.iter().filter_map(text).collect()
}
