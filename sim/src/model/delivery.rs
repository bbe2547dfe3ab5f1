//! What EXPLAIN DELIVERY and `messages_delivery` must answer (protocol.md 7.17): what happened to a message in this life of
//! the server, in order, as long as the window reaches back, and where it is now. Nothing of another tenant's.

use comet_core::cometql::{Cell, Rows};
use comet_core::{ConnId, Record};

use super::{Cause, Fate, Model};
use crate::profile::Knob;

/// Something that happened to a message.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Happened {
    id: String,
    dev: u32,
    /// Where it was sent; `msg` is the name of all queues.
    channel: String,
    what: &'static str,
    /// The session that did it, else 0.
    session: u64,
    /// The connection it is about, else 0.
    conn: u64,
    /// Wall-clock time, ms: not before, and not after.
    between: (u64, u64),
    life: u32,
}

impl Happened {
    /// True if it happened in this life of the server, to a message of this tenant.
    pub(super) fn is_of(&self, dev: u32, life: u32) -> bool {
        self.dev == dev && self.life == life
    }
}

/// What is known of a message.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Story {
    id: String,
    happened: Vec<Happened>,
    /// The pages that were sent it as history.
    reads: Vec<Happened>,
    /// The word for where it is, if it is anywhere.
    present: Option<&'static str>,
    /// So many of what happened last must be told.
    must: usize,
    /// So many of those who read it last must be told.
    must_read: usize,
}

/// More bytes of the window than a fact takes, together with what is remembered beside it and not concluded here.
const BYTES_OF_FACT: u64 = 512;

/// The name of all queues.
pub(super) const PRIVATE: &str = "msg";

/// Of the pages that read a message the newest so many are told one by one.
const READERS_MAX: usize = 100;

/// The words for what happened; others tell where a message is, or cannot be concluded from outside.
const HAPPENED: [&str; 8] = [
    "accepted",
    "sent",
    "acknowledged",
    "unacknowledged",
    "delivered",
    "expired",
    "deleted",
    "overwritten",
];

impl Model {
    /// Notes who acts in this step.
    pub(super) fn begin_deliveries(&mut self, cause: &Cause) {
        self.actor = match cause {
            Cause::Query { session, .. } => (*session, 0),
            Cause::Command { conn, .. } => (0, conn.0),
            Cause::Opened(_)
            | Cause::Intruder { .. }
            | Cause::Pong { .. }
            | Cause::Closed { .. }
            | Cause::SessionOpened { .. }
            | Cause::SessionClosed { .. }
            | Cause::Persisted { .. }
            | Cause::PersistFailed
            | Cause::Memory { .. }
            | Cause::Shutdown
            | Cause::Tick => (0, 0),
        };
    }

    /// The step is over: what happens next did not happen before.
    pub(super) fn end_deliveries(&mut self) {
        self.previous = self.now;
    }

    /// Something happened to a message of a channel.
    pub(super) fn happened(&mut self, id: String, at: (u32, &str), what: &'static str, by: (u64, u64)) {
        let happened = self.now_happened(id, at, what, by);
        self.happened.push(happened);
    }

    /// A message was sent to a page as history.
    pub(super) fn was_read(&mut self, id: String, at: (u32, &str), conn: ConnId) {
        let read = self.now_happened(id, at, "read", (0, conn.0));
        self.reads.push(read);
    }

    fn now_happened(
        &self,
        id: String,
        (dev, channel): (u32, &str),
        what: &'static str,
        (session, conn): (u64, u64),
    ) -> Happened {
        // A timer sees its own time, which may be that of any moment since the step before.
        let slack = 3 * (self.now - self.previous) / 1000 + 1;
        Happened {
            id,
            dev,
            channel: channel.to_owned(),
            what,
            session,
            conn,
            between: (self.unix.saturating_sub(slack), self.unix),
            life: self.life,
        }
    }

    /// Something happened to a private message that is owed, and to a connection.
    pub(super) fn private_happened(&mut self, n: u64, what: &'static str, conn: ConnId) {
        let Some(message) = self.place(n).map(|at| &self.private[at]) else {
            return;
        };
        if message.fate == Fate::Owed
            && let Some(id) = message.id.clone()
        {
            self.happened(id, (message.dev, PRIVATE), what, (0, conn.0));
        }
    }

    /// Something happened to messages, as a record tells; it is not applied yet.
    pub(super) fn record_happened(&mut self, record: &Record) {
        let actor = self.actor;
        match record {
            Record::MessageQueued { dev, message, .. } => {
                self.happened(message.id.to_string(), (dev.0, PRIVATE), "accepted", actor);
            }
            Record::HistoryAppended {
                dev,
                channel,
                message,
                keep_from,
            } => {
                self.history_happened(dev.0, channel.as_str(), "overwritten", (0, 0), |seq| {
                    seq < keep_from.0
                });
                let at = (dev.0, channel.as_str());
                self.happened(message.id.to_string(), at, "accepted", actor);
            }
            // Noted where it is known which message each number means.
            Record::MessagesRemoved { .. } => {}
            Record::HistoryLengthSet {
                dev,
                channel,
                keep_from,
                ..
            } => {
                self.history_happened(dev.0, channel.as_str(), "overwritten", actor, |seq| {
                    seq < keep_from.0
                });
            }
            Record::HistorySettingDeleted { dev, channel } => {
                self.history_happened(dev.0, channel.as_str(), "deleted", actor, |_| true);
            }
            Record::HistoryRemoved { dev, channel, seqs } => {
                let deleted = |seq| seqs.iter().any(|known| known.0 == seq);
                self.history_happened(dev.0, channel.as_str(), "deleted", actor, deleted);
            }
            Record::KeySet { .. }
            | Record::KeyDeleted { .. }
            | Record::DataSet { .. }
            | Record::DataDeleted { .. }
            | Record::UserOnline { .. }
            | Record::UserOffline { .. }
            | Record::EverybodyOffline { .. }
            | Record::TokenRevoked { .. }
            | Record::TokenRestored { .. } => {}
        }
    }

    fn history_happened(
        &mut self,
        dev: u32,
        channel: &str,
        what: &'static str,
        by: (u64, u64),
        which: impl Fn(u64) -> bool,
    ) {
        let kept = self.written.history_of(dev, channel);
        let ids: Vec<String> = kept
            .filter(|kept| which(kept.seq))
            .map(|kept| kept.id.clone())
            .collect();
        for id in ids {
            self.happened(id, (dev, channel), what, by);
        }
    }

    /// The id of some message, mostly a late one or one that was deleted lately, or of none.
    pub fn some_id(&self, number: u64) -> String {
        let back = (number / 4) as usize * (1 + (number % 4) as usize * 7);
        let is_deleted = |happened: &&Happened| happened.what == "deleted";
        let chosen = match number % 11 {
            0 => None,
            1..4 => self.happened.iter().rfind(is_deleted),
            _ => self.happened.iter().rev().nth(back),
        };
        chosen.map_or_else(
            || comet_core::MessageId(number.into()).to_string(),
            |happened| happened.id.clone(),
        )
    }

    /// What a tenant must be told of a message.
    pub(super) fn story(&self, dev: u32, id: &str) -> Story {
        let window = self.profile.get(Knob::DeliveryWindow);
        let own = |happened: &&Happened| happened.is_of(dev, self.life) && happened.id == id;
        let queued = |m: &super::Private| m.dev == dev && m.id.as_deref() == Some(id) && m.fate == Fate::Owed;
        let kept = |kept: &super::facts::Kept| kept.dev == dev && kept.id == id;
        let present = if self.private.iter().any(queued) {
            Some("waiting")
        } else if self.written.history.iter().any(kept) {
            Some("kept")
        } else {
            None
        };
        let of = |all: &[Happened]| match window {
            0 => Vec::new(),
            _ => all.iter().filter(own).cloned().collect(),
        };
        let certain = self.certain();
        let reads = of(&self.reads);
        let all_are_there = self.happened.len() + self.reads.len() <= certain;
        Story {
            id: id.to_owned(),
            happened: of(&self.happened),
            must_read: if all_are_there {
                reads.len().min(READERS_MAX)
            } else {
                0
            },
            reads,
            present,
            must: self.certain_facts().filter(own).count(),
        }
    }

    /// So many facts are certainly remembered. How much of a small window other things take, like the reading of histories,
    /// cannot be known.
    fn certain(&self) -> usize {
        let window = self.profile.get(Knob::DeliveryWindow);
        if window < Knob::DeliveryWindow.calm() {
            return 0;
        }
        (window / BYTES_OF_FACT) as usize
    }

    /// What happened last, and is certainly remembered.
    fn certain_facts(&self) -> impl Iterator<Item = &Happened> {
        self.happened.iter().rev().take(self.certain())
    }

    /// The messages of a channel about which a tenant must be told something.
    pub(super) fn remembered_of(&self, dev: u32, channel: &str) -> Vec<String> {
        let own = |happened: &&Happened| happened.is_of(dev, self.life) && happened.channel == channel;
        self.certain_facts()
            .filter(own)
            .map(|happened| happened.id.clone())
            .collect()
    }
}

/// A row that was answered.
struct Told {
    what: String,
    /// Session, connection and wall-clock time in ms; EXPLAIN DELIVERY says them in words.
    facts: Option<(u64, u64, u64)>,
}

/// True if the answer tells these stories. `words`: as EXPLAIN DELIVERY does.
pub(super) fn tells(stories: &[Story], words: bool, seen: &Rows) -> bool {
    let number = |cell: &Cell| match cell {
        Cell::Int(number) => u64::try_from(*number).unwrap_or(u64::MAX),
        Cell::Text(_) => u64::MAX,
    };
    let text = |cell: &Cell| match cell {
        Cell::Int(number) => number.to_string(),
        Cell::Text(text) => text.to_string(),
    };
    let told = |row: &[Cell]| match row {
        [_, what, ..] if words => Some((
            String::new(),
            Told {
                what: text(what),
                facts: None,
            },
        )),
        [id, time, ms, what, session, conn] => {
            let at = number(time).saturating_mul(1000).saturating_add(number(ms));
            let facts = Some((number(session), number(conn), at));
            Some((
                text(id),
                Told {
                    what: text(what),
                    facts,
                },
            ))
        }
        _ => None,
    };
    let Some(rows) = seen.rows.iter().map(|row| told(row)).collect::<Option<Vec<_>>>() else {
        return false;
    };
    let of = |id: &str| -> Vec<&Told> {
        let own = rows.iter().filter(|(other, _)| words || other == id);
        own.map(|(_, told)| told).collect()
    };
    rows.iter()
        .all(|(id, _)| words || stories.iter().any(|story| story.id == *id))
        && stories.iter().all(|story| is_told(story, &of(&story.id), words))
}

fn is_told(story: &Story, rows: &[&Told], words: bool) -> bool {
    let places = ["waiting", "kept"];
    let present = rows
        .iter()
        .rev()
        .map(|told| told.what.as_str())
        .find(|what| places.contains(what));
    if present != story.present {
        return false;
    }
    if story.happened.is_empty() && story.present.is_none() {
        return if words {
            rows.len() == 1 && rows[0].what == "unknown"
        } else {
            rows.is_empty()
        };
    }
    if !reads_are_told(story, rows) {
        return false;
    }
    let told: Vec<&&Told> = rows
        .iter()
        .filter(|told| HAPPENED.contains(&told.what.as_str()))
        .collect();
    let told: Vec<&Told> = told.into_iter().copied().collect();
    // The store knows when a message was accepted that is still there, and that is told where the beginning is forgotten.
    let is_stores = |told: &&Told| {
        let by_nobody = told
            .facts
            .is_none_or(|(session, conn, _)| (session, conn) == (0, 0));
        told.what == "accepted" && by_nobody
    };
    let begun = story
        .happened
        .first()
        .is_some_and(|first| first.what == "accepted");
    let complete = story.must == story.happened.len();
    let from_store = story.present.is_some() && told.first().is_some_and(is_stores);
    is_end_of(story, &told) || (from_store && !(begun && complete) && is_end_of(story, &told[1..]))
}

/// True if those who are told to have read it did, and nobody else later. A small window may have forgotten all of them.
fn reads_are_told(story: &Story, rows: &[&Told]) -> bool {
    // A row without a connection counts older ones.
    let is_one = |told: &&&Told| told.what == "read" && told.facts.is_none_or(|(_, conn, _)| conn != 0);
    let told: Vec<&&Told> = rows.iter().filter(is_one).collect();
    let Some(forgotten) = story.reads.len().checked_sub(told.len()) else {
        return false;
    };
    let is_enough = told.len() >= story.must_read;
    let reads = story.reads[forgotten..].iter();
    is_enough && reads.zip(told).all(|(read, told)| is_same(read, told))
}

/// True if this is what happened last, and enough of it.
fn is_end_of(story: &Story, told: &[&Told]) -> bool {
    let Some(forgotten) = story.happened.len().checked_sub(told.len()) else {
        return false;
    };
    let happened = &story.happened[forgotten..];
    told.len() >= story.must
        && happened
            .iter()
            .zip(told)
            .all(|(happened, told)| is_same(happened, told))
}

fn is_same(happened: &Happened, told: &Told) -> bool {
    let is_right = |(session, conn, at)| {
        let (from, to) = happened.between;
        (session, conn) == (happened.session, happened.conn) && (from..=to).contains(&at)
    };
    told.what == happened.what && told.facts.is_none_or(is_right)
}
