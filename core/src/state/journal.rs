//! What happened to messages lately, so that EXPLAIN DELIVERY can tell it (protocol.md 7.17): one list of facts in the order
//! in which they happened, bounded in bytes; of more the oldest are forgotten.
//!
//! A list of facts and not of messages, because the question is asked about a message that was accepted last week and
//! sent this morning. Nothing decides by it: the rules never look here, and a restart forgets it. A message to a channel
//! is one fact, to however many connections it goes.

use alloc::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::memory::Usage;
use crate::event::CloseCause;
use crate::id::{ConnId, DevId, MessageId, OpId, Seq, SessionId, UserId};
use crate::name::{ChannelName, ClientUuid};
use crate::time::UnixMillis;

/// A connection, remembered beyond its end.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Device {
    pub(crate) conn: ConnId,
    /// Proven; `None` = anonymous.
    pub(crate) user: Option<UserId>,
    /// What the browser calls itself; may be empty.
    pub(crate) uuid: ClientUuid,
}

/// Who sent a message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) enum Author {
    /// A CometQL session.
    Session(SessionId),
    /// A page. Its user is that of the message: none if it was sent with `@`.
    Page(Device),
}

/// Whom a message is for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) enum Address {
    User(UserId),
    Channel(ChannelName),
}

/// What a fact is about.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) id: MessageId,
    /// Its place in queue or history; `Seq::START` if it is in none.
    pub(crate) seq: Seq,
    pub(crate) to: Address,
}

/// What happened to a message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) enum What {
    /// It was accepted, at that moment for so many connections.
    Accepted {
        by: Author,
        /// The record that keeps it.
        op: Option<OpId>,
        connections: u64,
    },
    /// A page sent it again under its send key; it was not published again.
    Repeated { by: Device },
    /// It was sent to a device of its user.
    Sent { to: Device },
    /// This device has it.
    Acknowledged { by: Device },
    /// This device was sent it and its connection ended without an acknowledgement.
    Unacknowledged { by: Device, cause: CloseCause },
    /// It left the queue: everybody who was to have it has it.
    Paid,
    /// It left the queue: too old.
    Expired,
    /// It left the history: newer ones took its place.
    Overwritten,
    /// A statement deleted it.
    Deleted { by: SessionId },
    /// A statement shortened the history by it.
    Shortened { by: SessionId },
}

/// One entry of the journal.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) enum Fact {
    /// Something happened to a message.
    Message { message: Message, what: What },
    /// A page was sent messages of a history, from the first to the last place.
    Read {
        channel: ChannelName,
        by: Device,
        first: Seq,
        last: Seq,
    },
    /// The records up to this one are on disk.
    Stored { upto: OpId },
    /// The records up to this one could not be written for now.
    NotStored { upto: OpId },
}

/// A fact, when and where.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) at: UnixMillis,
    /// Of no meaning for what is true of all tenants.
    pub(crate) dev: DevId,
    pub(crate) fact: Fact,
}

impl Entry {
    /// Bytes it takes. A name is counted although it is mostly shared.
    fn weight(&self) -> usize {
        let name = match &self.fact {
            Fact::Message { message, .. } => match &message.to {
                Address::Channel(name) => name.as_str().len(),
                Address::User(_) => 0,
            },
            Fact::Read { channel, .. } => channel.as_str().len(),
            Fact::Stored { .. } | Fact::NotStored { .. } => 0,
        };
        size_of::<Self>() + name
    }
}

/// The facts, oldest first.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Journal {
    entries: VecDeque<Entry>,
    bytes: usize,
    bytes_max: usize,
    /// From when on everything is known: the start, or when the newest forgotten fact happened.
    since: UnixMillis,
    /// The newest record that keeps a message.
    newest: OpId,
}

impl Journal {
    /// An empty journal of at most so many bytes; 0 = nothing is ever written into it.
    pub(crate) const fn new(bytes_max: usize, started: UnixMillis) -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            bytes_max,
            since: started,
            newest: OpId(0),
        }
    }

    /// What it takes.
    pub(crate) fn usage(&self) -> Usage {
        Usage::new(self.entries.len(), self.bytes as u64)
    }

    /// True if anything is written into it.
    pub(crate) const fn is_on(&self) -> bool {
        self.bytes_max > 0
    }

    /// From when on everything is known.
    pub(crate) const fn since(&self) -> UnixMillis {
        self.since
    }

    /// Something happened to a message.
    pub(crate) fn note(&mut self, at: UnixMillis, dev: DevId, message: Message, what: What) {
        if let What::Accepted { op: Some(op), .. } = &what {
            self.newest = *op;
        }
        let fact = Fact::Message { message, what };
        self.push(Entry { at, dev, fact });
    }

    /// A page was sent a message of a history. Neighbours become one fact.
    pub(crate) fn note_read(
        &mut self,
        at: UnixMillis,
        dev: DevId,
        channel: &ChannelName,
        by: &Device,
        seq: Seq,
    ) {
        if let Some(entry) = self.entries.back_mut()
            && entry.at == at
            && let Fact::Read {
                channel: same,
                by: page,
                last,
                ..
            } = &mut entry.fact
            && page.conn == by.conn
            && same == channel
            && *last < seq
        {
            *last = seq;
            return;
        }
        let (channel, by) = (channel.clone(), by.clone());
        let (first, last) = (seq, seq);
        let fact = Fact::Read {
            channel,
            by,
            first,
            last,
        };
        self.push(Entry { at, dev, fact });
    }

    /// Records are on disk, those up to `before` were already. Nothing is noted if none of them keeps a message.
    pub(crate) fn note_stored(&mut self, at: UnixMillis, before: OpId, upto: OpId) {
        if self.newest > before && upto > before {
            self.note_of_store(at, Fact::Stored { upto });
        }
    }

    /// Records behind `told` could not be written for now; of those before it that was told already, or they are safe.
    pub(crate) fn note_not_stored(&mut self, at: UnixMillis, told: OpId, upto: OpId) {
        if self.newest > told {
            self.note_of_store(at, Fact::NotStored { upto });
        }
    }

    fn note_of_store(&mut self, at: UnixMillis, fact: Fact) {
        let dev = DevId::default();
        self.push(Entry { at, dev, fact });
    }

    fn push(&mut self, entry: Entry) {
        if !self.is_on() {
            return;
        }
        self.make_room(entry.weight());
        if self.bytes + entry.weight() > self.bytes_max {
            // Not even alone.
            self.since = entry.at;
            return;
        }
        self.bytes += entry.weight();
        self.entries.push_back(entry);
    }

    /// Forgets what must go for so many bytes more, and never takes more memory than it may fill.
    fn make_room(&mut self, bytes: usize) {
        while self.bytes + bytes > self.bytes_max {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= oldest.weight();
            self.since = oldest.at;
        }
        let (len, most) = (self.entries.len(), self.bytes_max / size_of::<Entry>());
        if len == self.entries.capacity() && len < most {
            self.entries.reserve_exact(len.max(64).min(most - len));
        }
    }

    /// All facts, oldest first.
    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Asserts the bounds.
    pub(crate) fn check(&self) {
        let bytes: usize = self.entries.iter().map(Entry::weight).sum();
        assert_eq!(self.bytes, bytes, "bytes of the journal drifted");
        assert!(self.bytes <= self.bytes_max, "the journal is too long");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: UnixMillis = UnixMillis(5);

    fn message(n: u64, to: Address) -> Message {
        Message {
            id: MessageId(n.into()),
            seq: Seq(n),
            to,
        }
    }

    fn channel(name: &str) -> ChannelName {
        ChannelName::from_browser(name).expect("a name")
    }

    fn page(conn: u64) -> Device {
        Device {
            conn: ConnId(conn),
            user: None,
            uuid: ClientUuid::default(),
        }
    }

    #[test]
    fn a_full_journal_forgets_the_oldest_and_stays_within_its_bytes() {
        const BYTES: usize = 10_000;
        let mut journal = Journal::new(BYTES, UnixMillis(1));
        assert_eq!(journal.since(), UnixMillis(1));
        for n in 1..=1000 {
            let to = match n % 3 {
                0 => Address::Channel(channel("web_a_rather_long_name")),
                _ => Address::User(UserId::new(7).expect("a user")),
            };
            journal.note(UnixMillis(n), DevId(0), message(n, to), What::Paid);
            journal.check();
            assert!(journal.entries.capacity() * size_of::<Entry>() <= BYTES);
        }
        let last = journal.entries().next_back().map(|entry| entry.at);
        assert_eq!(last, Some(UnixMillis(1000)));
        let first = journal.entries().next().map(|entry| entry.at);
        assert_eq!(
            first,
            Some(UnixMillis(journal.since().0 + 1)),
            "what was forgotten is said"
        );
        assert!(
            journal.bytes > BYTES - 2 * size_of::<Entry>(),
            "and not more than necessary"
        );
    }

    #[test]
    fn without_bytes_nothing_is_noted() {
        let mut journal = Journal::new(0, UnixMillis(1));
        let to = Address::User(UserId::new(7).expect("a user"));
        journal.note(AT, DevId(0), message(1, to), What::Paid);
        journal.note_read(AT, DevId(0), &channel("web_a"), &page(1), Seq(1));
        assert_eq!(journal.entries().count(), 0);
        assert_eq!(journal.entries.capacity(), 0);
    }

    #[test]
    fn a_fact_larger_than_the_journal_is_not_kept() {
        let mut journal = Journal::new(size_of::<Entry>(), UnixMillis(1));
        let to = Address::Channel(channel("web_a"));
        journal.note(AT, DevId(0), message(1, to), What::Paid);
        journal.check();
        assert_eq!((journal.entries().count(), journal.since()), (0, AT));
    }

    #[test]
    fn facts_that_fill_the_journal_to_its_last_byte_are_kept() {
        for count in 1..=2 {
            let started = UnixMillis(1);
            let mut journal = Journal::new(count * size_of::<Entry>(), started);
            for n in 1..=count as u64 {
                let to = Address::User(UserId::new(7).expect("a user"));
                journal.note(AT, DevId(0), message(n, to), What::Paid);
                journal.check();
            }
            assert_eq!((journal.entries().count(), journal.since()), (count, started));
        }
    }

    #[test]
    fn a_history_that_is_read_is_one_fact_for_each_page() {
        let mut journal = Journal::new(10_000, UnixMillis(1));
        for seq in 1..=99 {
            journal.note_read(AT, DevId(0), &channel("web_a"), &page(1), Seq(seq));
        }
        journal.note_read(AT, DevId(0), &channel("web_b"), &page(1), Seq(100));
        journal.note_read(AT, DevId(0), &channel("web_b"), &page(2), Seq(100));
        journal.note_read(AT, DevId(0), &channel("web_b"), &page(2), Seq(1));
        let ranges: Vec<_> = journal
            .entries()
            .filter_map(|entry| match entry.fact {
                Fact::Read { first, last, .. } => Some((first.0, last.0)),
                Fact::Message { .. } | Fact::Stored { .. } | Fact::NotStored { .. } => None,
            })
            .collect();
        assert_eq!(ranges, [(1, 99), (100, 100), (100, 100), (1, 1)]);
    }

    #[test]
    fn commits_are_noted_only_if_they_keep_a_message() {
        let mut journal = Journal::new(10_000, UnixMillis(1));
        journal.note_stored(AT, OpId(0), OpId(3));
        assert_eq!(journal.entries().count(), 0);
        let by = Author::Session(SessionId(1));
        let op = Some(OpId(4));
        let what = What::Accepted {
            by,
            op,
            connections: 0,
        };
        let to = Address::User(UserId::new(7).expect("a user"));
        journal.note(AT, DevId(0), message(1, to), what);
        journal.note_not_stored(AT, OpId(3), OpId(4));
        journal.note_stored(AT, OpId(3), OpId(3));
        journal.note_stored(AT, OpId(3), OpId(5));
        journal.note_stored(AT, OpId(4), OpId(9));
        journal.note_stored(AT, OpId(5), OpId(9));
        journal.note_not_stored(AT, OpId(4), OpId(9));
        let facts: Vec<_> = journal
            .entries()
            .skip(1)
            .map(|entry| entry.fact.clone())
            .collect();
        assert_eq!(
            facts,
            [Fact::NotStored { upto: OpId(4) }, Fact::Stored { upto: OpId(5) }]
        );
    }
}
