//! Is there an order that explains what back ends were answered? (Linearizability, after Wing and Gong, and Lowe.)
//!
//! The model is told in which order the core handled statements and believes it. This checker is not: it knows only
//! when each statement was sent and when it was answered, and looks for some order of all statements about one object,
//! a user's queue or a channel's history, in which every answer is right. The order must keep real time (what was
//! answered before another was sent comes first) and the order within a session (statements are pipelined). Objects
//! are looked at one by one, which is enough: a history is linearizable if each object's is.
//!
//! What nobody was told the outcome of (500, a session or server that died) may have happened or not. What the server
//! loses in a crash is what nobody was told to be safe: then the object is as it was after any of the changes since
//! the newest acknowledged one, and never in the middle of one: the rows of a statement survive together or not at all. Two
//! things change an object without a statement, and are not searched for but concluded from the next answer: a message
//! may leave a queue from the moment a page received it, or always, if queues expire; and what a page sent into a channel
//! may have been kept.
//!
//! The order in which the core handled the statements is tried first, so that a right run costs one pass. Beyond it
//! the search is bounded; what it cannot decide is counted.

mod object;
mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

pub use object::{Object, Op, Rules};
pub use record::Recorder;

use object::State;

/// Places looked at before the search gives up.
const NODES_MAX: u64 = 100_000;
/// Words of all states it may make before.
const WORDS_MAX: usize = 50_000_000;

/// A statement about one object, as its back end knows it.
#[derive(Clone, Debug)]
pub struct Call {
    /// What it does.
    pub op: Op,
    /// Whose it is, and its number there; session 0 has no order.
    pub session: (u64, u64),
    /// When it was sent.
    pub sent: u64,
    /// When it was answered; `u64::MAX` = never.
    pub answered: u64,
    /// Its answer says that it happened. Otherwise it may have.
    pub is_certain: bool,
    /// What is tried first, if it is not certain: that it happened.
    pub is_likely: bool,
}

impl Call {
    /// Its session sent it before the other.
    const fn comes_before(&self, other: &Self) -> bool {
        self.session.0 > 0 && self.session.0 == other.session.0 && self.session.1 < other.session.1
    }
}

/// What the search came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// There is an order.
    Explained,
    /// There is none: so many calls can be explained, and not one more.
    Unexplained(usize),
    /// The search gave up.
    Undecided,
}

/// Looks for an order of `calls`, which are listed in the order to be tried first.
pub fn explain(rules: &Rules, calls: &[Call]) -> Verdict {
    Search::new(rules, calls).run()
}

/// A place in the search: what is done, what the object is then, and what is tried next.
struct Node {
    /// The calls that are done or given up.
    done: Rc<BTreeSet<usize>>,
    /// All calls before this one are done; `done` has those behind it.
    first: usize,
    state: State,
    /// What may follow, the best last; `None` until somebody asks.
    next: Option<Vec<(usize, State)>>,
    /// Only the hint was tried.
    hinted: bool,
}

struct Search<'a> {
    rules: &'a Rules,
    calls: &'a [Call],
    /// The earliest answer among the certain calls from here on.
    earliest: Vec<u64>,
    /// Nothing behind a call should come before it in its session.
    in_order: Vec<bool>,
    last_crash: Option<usize>,
    dead: BTreeSet<(usize, Vec<usize>, State)>,
    nodes: u64,
    words: usize,
    deepest: usize,
}

impl<'a> Search<'a> {
    fn new(rules: &'a Rules, calls: &'a [Call]) -> Self {
        let mut earliest = vec![u64::MAX; calls.len() + 1];
        for (at, call) in calls.iter().enumerate().rev() {
            let own = if call.is_certain { call.answered } else { u64::MAX };
            earliest[at] = own.min(earliest[at + 1]);
        }
        let mut newest: BTreeMap<u64, u64> = BTreeMap::new();
        let mut in_order = vec![true; calls.len()];
        for (at, call) in calls
            .iter()
            .enumerate()
            .rev()
            .filter(|(_, call)| call.session.0 > 0)
        {
            let least = newest.entry(call.session.0).or_insert(u64::MAX);
            in_order[at] = *least > call.session.1;
            *least = call.session.1.min(*least);
        }
        Self {
            rules,
            calls,
            earliest,
            in_order,
            last_crash: calls.iter().rposition(|call| call.op == Op::Crash),
            dead: BTreeSet::new(),
            nodes: 0,
            words: 0,
            deepest: 0,
        }
    }

    fn run(&mut self) -> Verdict {
        let mut path = vec![Node {
            done: Rc::default(),
            first: 0,
            state: self.rules.begin(),
            next: None,
            hinted: false,
        }];
        while let Some(mut node) = path.pop() {
            self.deepest = self.deepest.max(node.first + node.done.len());
            if node.first == self.calls.len() {
                return Verdict::Explained;
            }
            if self.nodes > NODES_MAX || self.words > WORDS_MAX {
                return Verdict::Undecided;
            }
            match self.step(&mut node) {
                Some((call, state)) => {
                    self.words += state.words();
                    let next = self.after(&node, call, state);
                    path.push(node);
                    let is_dead = !self.dead.is_empty() && self.dead.contains(&key(&next));
                    path.extend((!is_dead).then_some(next));
                }
                None => {
                    self.nodes += 1;
                    self.dead.insert(key(&node));
                }
            }
        }
        Verdict::Unexplained(self.deepest)
    }

    /// The next thing to try at a place: what the core did, then everything else.
    fn step(&mut self, node: &mut Node) -> Option<(usize, State)> {
        if node.next.is_none() {
            if !node.hinted && node.done.is_empty() && self.may_be_next(node.first) {
                node.hinted = true;
                let call = &self.calls[node.first];
                if !call.is_certain && !call.is_likely {
                    return Some((node.first, node.state.clone()));
                }
                let mut states = self.rules.apply(&node.state, call);
                if states.len() == 1 {
                    return states.pop().map(|state| (node.first, state));
                }
            }
            let next = self.candidates(node);
            self.words += next.iter().map(|(_, state)| state.words()).sum::<usize>();
            node.next = Some(next);
        }
        node.next.as_mut()?.pop()
    }

    /// The first of the calls that are left, where nothing behind it is done, may be the next one.
    fn may_be_next(&self, at: usize) -> bool {
        self.in_order[at] && self.calls[at].sent <= self.earliest[at + 1]
    }

    /// Everything that may come next, the best last. Last of all the first call is given up, if it may not have
    /// happened. An uncertain call that would change nothing is not tried.
    fn candidates(&self, node: &Node) -> Vec<(usize, State)> {
        let left = || (node.first..self.calls.len()).filter(|at| !node.done.contains(at));
        let certain = left().filter(|at| self.calls[*at].is_certain);
        let earliest = certain
            .map(|at| self.calls[at].answered)
            .min()
            .unwrap_or(u64::MAX);
        let mut tries = Vec::new();
        for at in left().filter(|at| self.calls[*at].sent <= earliest) {
            let call = &self.calls[at];
            let before = |other: usize| {
                let other = &self.calls[other];
                other.is_certain && other.comes_before(call)
            };
            if !left().any(before) {
                let states = self.rules.apply(&node.state, call);
                tries.extend(states.into_iter().map(|state| (at, state)));
            }
        }
        tries.retain(|(at, state)| self.calls[*at].is_certain || *state != node.state);
        if !self.calls[node.first].is_certain {
            tries.push((node.first, node.state.clone()));
        }
        tries.reverse();
        tries
    }

    /// The place behind a call. What should have come before it and is uncertain did not happen.
    fn after(&self, node: &Node, call: usize, state: State) -> Node {
        let taken = &self.calls[call];
        let mut done = node.done.clone();
        let is_hint = call == node.first;
        if !is_hint || !done.is_empty() || !self.in_order[call] {
            let open = (node.first..self.calls.len()).filter(|at| !node.done.contains(at));
            let late = open.filter(|at| {
                let other = &self.calls[*at];
                *at == call || other.answered < taken.sent || other.comes_before(taken)
            });
            let late: Vec<usize> = late.collect();
            Rc::make_mut(&mut done).extend(late);
        }
        let mut first = if is_hint { node.first + 1 } else { node.first };
        while done.contains(&first) {
            first += 1;
        }
        if done.first().is_some_and(|oldest| *oldest < first) {
            let left = Rc::make_mut(&mut done).split_off(&first);
            done = Rc::new(left);
        }
        let may_crash = self
            .last_crash
            .is_some_and(|at| at >= first && !done.contains(&at));
        Node {
            done,
            first,
            state: if may_crash { state } else { state.safe() },
            next: None,
            hinted: false,
        }
    }
}

fn key(node: &Node) -> (usize, Vec<usize>, State) {
    (
        node.first,
        node.done.iter().copied().collect(),
        node.state.clone(),
    )
}

#[cfg(test)]
mod tests;
