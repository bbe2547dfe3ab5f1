//! What the statements do to a queue or a history, written down once more, and as simply as possible.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::Call;

/// What is looked at by itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Object {
    /// `users_messages` of a user.
    Queue { dev: u32, user: u32 },
    /// `pipes_messages` of a channel.
    History { dev: u32, channel: String },
}

/// What a statement does to one object. Messages are their numbers, which are unique.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// INSERT of these rows.
    Append(Vec<u64>),
    /// INSERT of so many rows, refused because the queue is full.
    Full(usize),
    /// SELECT, answered with these rows.
    Read(Vec<u64>),
    /// DELETE of everything, answered with so many rows; `None` = nobody was told.
    Clear(Option<usize>),
    /// DELETE of one message.
    Remove(u64),
    /// A new length of the history.
    Keep(usize),
    /// DELETE of the setting, and with it of the history.
    Unset,
    /// The server died, or was stopped.
    Crash,
}

/// What is known of an object beside its calls.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Longest queue, 0 = any.
    pub queue_max: usize,
    /// Since when a message may leave the queue by itself.
    pub may_leave: BTreeMap<u64, u64>,
    /// Messages that pages sent again as somebody else: each of the copies may be kept, under an id of its own.
    pub repeated: BTreeSet<u64>,
    /// What a history keeps if nothing is set; `None` for queues, which keep everything.
    pub keeps: Option<usize>,
}

/// Most messages a history keeps.
const KEEP_MAX: usize = 99;

/// What an object holds: its messages, and the length that was set for it.
type Contents = (Vec<u64>, Option<usize>);

/// An object as it is, and as it may be found after a crash. A search holds very many, and what pages send is never
/// acknowledged, so that hundreds of earlier contents may be one history's: they are shared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct State {
    now: Rc<Contents>,
    /// What a crash may bring back: the contents since the newest acknowledged change.
    unsafe_since: Option<Rc<Earlier>>,
}

/// Contents that were replaced, and those before them.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Earlier {
    contents: Rc<Contents>,
    before: Option<Rc<Self>>,
}

impl State {
    /// What it takes by itself, in words.
    pub(super) fn words(&self) -> usize {
        8 + self.now.0.len()
    }

    /// The same object if no crash can come any more.
    pub(super) fn safe(self) -> Self {
        Self {
            now: self.now,
            unsafe_since: None,
        }
    }

    /// What a crash may bring back, the newest first.
    fn earlier(&self) -> impl Iterator<Item = &Rc<Contents>> {
        let newest = self.unsafe_since.as_deref();
        std::iter::successors(newest, |earlier| earlier.before.as_deref()).map(|earlier| &earlier.contents)
    }
}

impl Rules {
    pub(super) fn begin(&self) -> State {
        State::default()
    }

    /// What a call makes of an object; nothing if its answer would be wrong, several if it may be this or that.
    pub(super) fn apply(&self, state: &State, call: &Call) -> Vec<State> {
        if call.op == Op::Crash {
            return crashed(state);
        }
        let changes: Vec<Contents> = if let Op::Remove(n) = &call.op
            && self.repeated.contains(n)
        {
            removals(&state.now, *n)
        } else {
            self.changed(&state.now, call).into_iter().collect()
        };
        let changes = changes.into_iter();
        changes.map(|contents| after(state, call, contents)).collect()
    }

    fn changed(&self, contents: &Contents, call: &Call) -> Option<Contents> {
        let (had, setting) = (&contents.0, contents.1);
        let leavers = || {
            had.iter()
                .filter(|n| self.may_have_left(**n, call.answered))
                .count()
        };
        match &call.op {
            Op::Append(rows) => {
                let surplus = (had.len() + rows.len()).saturating_sub(self.queue_max);
                if self.queue_max > 0 && call.is_certain && surplus > leavers() {
                    return None;
                }
                let all: Vec<u64> = had.iter().chain(rows).copied().collect();
                Some((self.trimmed(all, setting), setting))
            }
            Op::Full(rows) => (had.len() + rows > self.queue_max).then(|| (had.clone(), setting)),
            Op::Read(rows) => self
                .explains(had, rows, call.answered)
                .then(|| (rows.clone(), setting)),
            Op::Clear(told) => {
                let fits = told.is_none_or(|rows| rows <= had.len() && had.len() - rows <= leavers());
                fits.then(|| (Vec::new(), setting))
            }
            Op::Remove(n) => Some((had.iter().copied().filter(|m| m != n).collect(), setting)),
            Op::Keep(length) => {
                let setting = Some((*length).min(KEEP_MAX));
                Some((self.trimmed(had.clone(), setting), setting))
            }
            Op::Unset if setting.is_some() => Some((Vec::new(), None)),
            Op::Unset => Some((had.clone(), None)),
            Op::Crash => None,
        }
    }

    /// The rows are what is there, in order, but for messages that may have left.
    fn explains(&self, had: &[u64], rows: &[u64], by: u64) -> bool {
        let mut rows = rows.iter().peekable();
        for n in had {
            if rows.peek() == Some(&n) {
                rows.next();
            } else if !self.may_have_left(*n, by) {
                return false;
            }
        }
        rows.next().is_none()
    }

    fn may_have_left(&self, n: u64, by: u64) -> bool {
        self.may_leave.get(&n).is_some_and(|since| *since <= by)
    }

    fn trimmed(&self, mut messages: Vec<u64>, setting: Option<usize>) -> Vec<u64> {
        if let Some(usual) = self.keeps {
            let length = setting.unwrap_or(0).max(usual);
            let surplus = messages.len().saturating_sub(length);
            messages.drain(..surplus);
        }
        messages
    }
}

/// A message of several copies is removed: any one of them, or one that is gone already.
fn removals(contents: &Contents, n: u64) -> Vec<Contents> {
    let (had, setting) = contents;
    let copies = (0..had.len()).filter(|at| had[*at] == n);
    let without = copies.map(|copy| {
        let left = had.iter().enumerate().filter(|(at, _)| *at != copy);
        left.map(|(_, n)| *n).collect()
    });
    let all = without.chain([had.clone()]);
    all.map(|messages| (messages, *setting)).collect()
}

/// The object behind a call that made this of it.
fn after(state: &State, call: &Call, contents: Contents) -> State {
    let writes = !matches!(call.op, Op::Read(_) | Op::Full(_));
    let unsafe_since = if writes && call.is_certain {
        None
    } else if contents == *state.now {
        state.unsafe_since.clone()
    } else {
        Some(Rc::new(Earlier {
            contents: state.now.clone(),
            before: state.unsafe_since.clone(),
        }))
    };
    let now = Rc::new(contents);
    State { now, unsafe_since }
}

/// After a crash: what is there now, or before any of the changes that nobody was told to be safe.
fn crashed(state: &State) -> Vec<State> {
    let mut found = vec![&state.now];
    for earlier in state.earlier() {
        if !found.contains(&earlier) {
            found.push(earlier);
        }
    }
    let states = found.into_iter().map(|contents| State {
        now: contents.clone(),
        unsafe_since: None,
    });
    states.collect()
}
