//! The reference model: what a comet-server must, may and must not do, as flat lists that are scanned. It is told
//! what really happened in the order in which the core handled it, concludes what must come out, and compares.
//! It shares no data structure with the core, so that it does not share its mistakes.

mod acks;
mod answers;
mod channels;
mod commands;
mod conns;
mod console;
mod delivery;
mod delivery_of;
pub mod facts;
mod histories;
mod limits;
mod memory;
mod oracle;
mod outputs;
mod pages;
mod private;
mod queries;
mod quota;
mod restart;
mod sends;
mod sessions;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use comet_core::{CloseCause, ConnId, OpId};

use crate::address::Network;
use crate::backend::Ask;
use crate::browser::{Command, Intrusion, Version};
use crate::profile::{Knob, Profile};
use crate::seen::Seen;
use acks::Awaited;
use commands::Pace;
use console::Counts;
use facts::Facts;
use histories::Reading;
use limits::Turns;
pub use outputs::Out;
use pages::Page;
use sends::{Accepted, Identity};
use sessions::Session;

/// Something the core did wrong.
#[derive(Clone, Debug)]
pub struct Failure {
    /// A short label; shrinking keeps it.
    pub kind: &'static str,
    /// What was seen and what was expected.
    pub text: String,
}

/// Shorthand for a failure.
pub fn wrong<T>(kind: &'static str, text: impl Into<String>) -> Result<T, Failure> {
    Err(Failure {
        kind,
        text: text.into(),
    })
}

/// What happened, as those who did it know it.
#[derive(Clone, Debug)]
pub enum Cause {
    /// A page opened a connection.
    Opened(Box<Claim>),
    /// An intruder opened a connection that must be refused.
    Intruder { conn: ConnId, kind: Intrusion },
    /// A page sent a command, in version 5 mostly with a number.
    Command {
        conn: ConnId,
        number: Option<u64>,
        command: Command,
    },
    /// A Pong arrived.
    Pong { conn: ConnId, probe: u128 },
    /// The server noticed the end of a connection.
    Closed { conn: ConnId },
    /// A session opened.
    SessionOpened {
        session: u64,
        dev: u32,
        is_health_check: bool,
    },
    /// A session sent a statement.
    Query { session: u64, req: u64, ask: Ask },
    /// A session ended.
    SessionClosed { session: u64 },
    /// Records are safe.
    Persisted { upto: OpId },
    /// Records could not be written.
    PersistFailed,
    /// The world around the core uses so many bytes of the memory budget.
    Memory { bytes: u64 },
    /// The server is told to stop.
    Shutdown,
    /// Time passed.
    Tick,
}

/// Who a new connection says it is.
#[derive(Clone, Debug)]
pub struct Claim {
    pub conn: ConnId,
    pub page: Option<usize>,
    pub dev: u32,
    /// 0 = anonymous.
    pub user: u32,
    pub key: String,
    pub uuid: String,
    pub version: Version,
    /// Where it comes from, if anybody knows.
    pub ip: Option<IpAddr>,
}

/// A connection as the model knows it.
#[derive(Debug)]
struct Conn {
    id: ConnId,
    page: Option<usize>,
    dev: u32,
    /// The proven user, 0 = anonymous.
    user: u32,
    uuid: String,
    version: Version,
    ip: Option<IpAddr>,
    opened: u64,
    channels: Vec<String>,
    /// Registered for private delivery; evicted ones are not.
    device: bool,
    /// When it ended, as the server knows it.
    gone: Option<u64>,
    /// Private messages sent to it, in order, and whether it acknowledged them.
    sent: Vec<Sent>,
    /// Private messages it is owed that wait for room in its window, in order.
    backlog: Vec<u64>,
    /// Private messages it might claim when it opened, and may therefore be sent.
    claims: Vec<u64>,
    /// History it asked for and has not got, in order.
    readings: Vec<Reading>,
    /// The probe behind a window of history.
    reading_probe: Option<u128>,
    /// The acknowledgement that is waited for.
    awaited: Option<Awaited>,
    /// Its commands of the present second.
    pace: Pace,
}

/// A private message sent to a connection.
#[derive(Clone, Copy, Debug)]
struct Sent {
    n: u64,
    acknowledged: bool,
    bytes: u64,
}

/// What became of an accepted private message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// Owed.
    Owed,
    /// Acknowledged as protocol.md 5.1 says.
    Paid,
    /// Older than `queue_ttl`.
    Expired,
    /// Deleted by a statement.
    Deleted,
    /// The crash came before it was safe.
    Lost,
}

/// A private message the core accepted.
#[derive(Debug)]
struct Private {
    n: u64,
    dev: u32,
    user: u32,
    event: String,
    body: String,
    view: String,
    time: u64,
    at: u64,
    id: Option<String>,
    seq: Option<u64>,
    fate: Fate,
    /// Connections of this life of the server that were sent it or are to be, as places in the list.
    holders: Vec<usize>,
    /// One of them acknowledged it.
    somebody_has_it: bool,
    /// Browsers for all of whose tabs a page of version 5 acknowledged it (docs/protocol-v5.md 4).
    done_by: Vec<String>,
    /// Its INSERT was answered OK.
    acknowledged: bool,
    /// Pages that were connected and registered when it was accepted.
    owed_to: Vec<usize>,
    /// Pages that saw it, and when.
    seen_by: Vec<(usize, u64)>,
}

/// An answer that is due for a statement.
#[derive(Debug)]
struct Due {
    session: u64,
    req: u64,
    expected: Expected,
    /// The record that has to be safe before an OK.
    op: Option<OpId>,
    /// The private messages it inserted.
    messages: Vec<u64>,
    /// A write may be answered 500.
    may_fail: bool,
}

/// What a statement must be answered.
#[derive(Clone, PartialEq, Debug)]
enum Expected {
    Done {
        affected: Option<u64>,
        insert: Option<u64>,
        delivered: Option<(u64, u64)>,
    },
    Rows(Vec<Vec<String>>),
    /// What is known of messages; as EXPLAIN DELIVERY words it, or as a table.
    Delivery {
        dev: u32,
        ids: Vec<String>,
        words: bool,
    },
    /// What is known of the messages of a channel; of `msg`, those of a user.
    DeliveryOf {
        dev: u32,
        channel: String,
        user: Option<u32>,
    },
    /// So many rows.
    Count(usize),
    /// Rows of a name and a value, among others.
    Named(Vec<(String, String)>),
    Error(u16),
}

/// A frame that must be sent.
#[derive(Clone, Debug)]
struct Wanted {
    conn: ConnId,
    /// Which command it answers.
    re: Option<u64>,
    seen: Seen,
    /// Not before this record is safe (delivery reports).
    after: Option<OpId>,
    /// As soon as this record is safe; `None` = at once.
    by: Option<OpId>,
    /// May be replaced by an error, because the disk fails.
    may_fail: bool,
}

/// Who is to be answered, and under which number.
#[derive(Clone, Copy, Debug)]
struct Asked {
    conn: ConnId,
    re: Option<u64>,
}

/// The model of one run.
#[derive(Debug)]
pub struct Model {
    profile: Profile,
    told: Facts,
    written: Facts,
    conns: Vec<Conn>,
    /// Places of the living ones, ascending.
    living: Vec<usize>,
    sessions: Vec<Session>,
    counts: Counts,
    private: Vec<Private>,
    /// Place of message n in the list.
    places: Vec<Option<usize>>,
    /// Tokens the site ever made: tenant, user, text, expiry.
    tokens: Vec<(u32, u32, String, u64)>,
    due: Vec<Due>,
    wanted: Vec<Wanted>,
    pages: Vec<Page>,
    /// Messages with a send key that may be sent again, oldest first.
    accepted: Vec<Accepted>,
    /// Turns of whoever took one.
    turns: Vec<Turns>,
    /// Who showed a right key where: network, tenant, user.
    friends: Vec<(Network, u32, u32)>,
    /// All messages that were ever sent with a send key.
    identities: Vec<Identity>,
    /// All ids of channel messages.
    ids: Vec<String>,
    /// Messages with a send key that were accepted, number and id: more than one if the sender was another user by then.
    copies: Vec<(u64, String)>,
    /// What the core appended to histories in this step.
    appended: VecDeque<(OpId, String)>,
    /// An id that should not be, found while concluding.
    trouble: Option<Failure>,
    last_op: OpId,
    persisted: OpId,
    /// The private messages of statements that were answered 500, and the record by which they are all safe.
    untold: Vec<(OpId, Vec<u64>)>,
    /// The newest record by which a tenant's channel stopped to keep messages.
    history_ended: BTreeMap<u32, OpId>,
    failing: bool,
    /// The newest record when the facts were compared last.
    checked: Option<OpId>,
    /// What the core last said about itself.
    ready: bool,
    /// What it last said about memory, and what it was told.
    memory: memory::Memory,
    life: u32,
    /// When the server ended, in whatever way.
    crashes: Vec<u64>,
    /// Monotonic and wall-clock time of the event being handled.
    now: u64,
    unix: u64,
    shutting_down: bool,
    /// Connections the core must close in this step, and why.
    kicks: Vec<(ConnId, CloseCause)>,
    /// Connections that end in this step.
    leaving: Vec<ConnId>,
    /// Connections the core closed in this step: nothing may follow.
    ended: Vec<ConnId>,
    /// The connection that is not let in in this step: it is told why, unless there is no memory for that.
    turned_away: Option<ConnId>,
    /// The queue a statement of this step deletes.
    emptied: Option<(u32, u32)>,
    /// What happened to messages, in order.
    happened: Vec<delivery::Happened>,
    /// What pages were sent as history, in order.
    reads: Vec<delivery::Happened>,
    /// Session and connection that act in this step; 0 = none.
    actor: (u64, u64),
    /// Monotonic time of the step before.
    previous: u64,
    /// Coverage: how often which kind of thing was compared.
    pub compared: u64,
}

impl Model {
    /// A model of a world in which nothing happened.
    pub fn new(profile: Profile) -> Self {
        let mut tokens = Vec::new();
        for dev in 0..profile.get(Knob::Devs) as u32 {
            for user in 1..=profile.get(Knob::Users) as u32 + 1 {
                for version in 0..crate::names::TRUE_TOKENS {
                    let text = crate::names::token(dev, user, version);
                    tokens.push((dev, user, text, crate::names::token_expires(version)));
                }
            }
        }
        Self {
            profile,
            told: Facts::default(),
            written: Facts::default(),
            conns: Vec::new(),
            living: Vec::new(),
            sessions: Vec::new(),
            counts: Counts::default(),
            private: Vec::new(),
            places: Vec::new(),
            tokens,
            due: Vec::new(),
            wanted: Vec::new(),
            pages: Vec::new(),
            accepted: Vec::new(),
            turns: Vec::new(),
            friends: Vec::new(),
            identities: Vec::new(),
            ids: Vec::new(),
            copies: Vec::new(),
            appended: VecDeque::new(),
            trouble: None,
            last_op: OpId(0),
            persisted: OpId(0),
            untold: Vec::new(),
            history_ended: BTreeMap::new(),
            failing: false,
            checked: None,
            ready: true,
            memory: memory::Memory::default(),
            life: 0,
            crashes: Vec::new(),
            now: 0,
            unix: 0,
            shutting_down: false,
            kicks: Vec::new(),
            leaving: Vec::new(),
            ended: Vec::new(),
            turned_away: None,
            emptied: None,
            happened: Vec::new(),
            reads: Vec::new(),
            actor: (0, 0),
            previous: 0,
            compared: 0,
        }
    }

    fn conn(&self, id: ConnId) -> Option<&Conn> {
        self.conns.iter().rev().find(|conn| conn.id == id)
    }

    fn conn_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.iter_mut().rev().find(|conn| conn.id == id)
    }

    fn alive(&self, id: ConnId) -> Option<&Conn> {
        self.conn(id).filter(|conn| conn.gone.is_none())
    }

    /// Wants a frame that nobody asked for at a living connection, now.
    fn want(&mut self, conn: ConnId, seen: Seen) {
        self.want_answer(Asked { conn, re: None }, seen);
    }

    /// Wants the answer to a command, now.
    fn want_answer(&mut self, asked: Asked, seen: Seen) {
        self.wanted.push(Wanted {
            conn: asked.conn,
            re: asked.re,
            seen,
            after: None,
            by: None,
            may_fail: false,
        });
    }

    /// All living connections, oldest first.
    fn living(&self) -> impl Iterator<Item = &Conn> {
        self.living.iter().map(|at| &self.conns[*at])
    }

    /// The devices of a user, oldest first.
    fn devices(&self, dev: u32, user: u32) -> Vec<ConnId> {
        let of = |conn: &&Conn| conn.device && conn.dev == dev && conn.user == user;
        self.living().filter(of).map(|conn| conn.id).collect()
    }

    /// The connections subscribed to a channel.
    fn subscribers(&self, dev: u32, channel: &str) -> Vec<ConnId> {
        let of = |conn: &&Conn| conn.dev == dev && conn.channels.iter().any(|name| name == channel);
        self.living().filter(of).map(|conn| conn.id).collect()
    }
}
