//! What of the journal concerns a statement.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::line::{Line, PRIVATE};
use crate::cometql::Keys;
use crate::id::{MessageId, OpId, Seq, UserId};
use crate::name::ChannelName;
use crate::state::{Address, Author, Device, Entry, Fact, Message, What};
use crate::time::{UnixMillis, UnixSeconds};

/// Pages that read a message as history are told one by one, the newest so many of them.
const READERS_MAX: usize = 100;

/// What a statement asks for: the values of one column.
pub(super) enum Asked<'a> {
    Messages(BTreeSet<MessageId>),
    Users {
        users: BTreeSet<u32>,
        /// Channels whose history one of them read.
        read: BTreeSet<&'a ChannelName>,
    },
    Channels(BTreeSet<&'a ChannelName>),
    Nothing,
}

impl<'a> Asked<'a> {
    /// `entries` are those of the tenant.
    pub(super) fn new(keys: &'a Keys, entries: impl Iterator<Item = &'a Entry>) -> Self {
        match keys {
            Keys::Messages(ids) => Self::Messages(ids.iter().copied().collect()),
            Keys::Channels(names) => Self::Channels(names.iter().collect()),
            Keys::Users(users) => {
                let users: BTreeSet<u32> = users.iter().copied().collect();
                let by_them = |entry: &'a Entry| match &entry.fact {
                    Fact::Read { channel, by, .. } => users.contains(&number(by.user)).then_some(channel),
                    Fact::Message { .. } | Fact::Stored { .. } | Fact::NotStored { .. } => None,
                };
                let read = entries.filter_map(by_them).collect();
                Self::Users { users, read }
            }
            Keys::All | Keys::Tokens(_) => Self::Nothing,
        }
    }

    /// True if rows about everything sent there may match.
    pub(super) fn means_all_of(&self, to: &Address) -> bool {
        match (self, to) {
            (Self::Users { users, .. }, Address::User(user)) => users.contains(&user.get()),
            // Most of what happens in a channel is about nobody.
            (Self::Users { users, read }, Address::Channel(channel)) => {
                users.contains(&0) || read.contains(channel)
            }
            (Self::Channels(names), Address::Channel(channel)) => names.contains(channel),
            (Self::Channels(names), Address::User(_)) => names.iter().any(|name| name.as_str() == PRIVATE),
            (Self::Messages(_) | Self::Nothing, _) => false,
        }
    }

    /// True if rows about this message may match.
    fn means(&self, id: MessageId, to: &Address) -> bool {
        match self {
            Self::Messages(ids) => ids.contains(&id),
            Self::Users { .. } | Self::Channels(_) | Self::Nothing => self.means_all_of(to),
        }
    }

    /// The same, if this is what happened to it.
    pub(super) fn wants(&self, message: &Message, what: &What) -> bool {
        let is_author = |users: &BTreeSet<u32>| match what {
            What::Accepted {
                by: Author::Page(by), ..
            }
            | What::Repeated { by } => users.contains(&number(by.user)),
            What::Accepted { .. }
            | What::Sent { .. }
            | What::Acknowledged { .. }
            | What::Unacknowledged { .. }
            | What::Paid
            | What::Expired
            | What::Overwritten
            | What::Deleted { .. }
            | What::Shortened { .. } => false,
        };
        self.means(message.id, &message.to) || matches!(self, Self::Users { users, .. } if is_author(users))
    }

    /// True if a message that is asked for may be in any queue or history.
    pub(super) fn is_anywhere(&self, gathered: &Gathered<'_>) -> bool {
        match self {
            Self::Messages(ids) => ids.iter().any(|id| !gathered.found.contains_key(id)),
            Self::Users { .. } | Self::Channels(_) | Self::Nothing => false,
        }
    }
}

/// Something that happened to a message.
struct Happened<'a> {
    /// Its place in the journal.
    place: usize,
    at: UnixMillis,
    /// The place of the message in queue or history by then; `Seq::START` if it was in none.
    seq: Seq,
    what: &'a What,
}

/// Everything about one message, before it is told.
pub(super) struct Found<'a> {
    pub(super) to: Address,
    /// The newest: a page may have sent it again after it left its history.
    pub(super) seq: Seq,
    facts: Vec<Happened<'a>>,
    /// It is in queue or history, since then.
    pub(super) kept: Option<UnixSeconds>,
}

impl Found<'_> {
    /// True if the journal knows how it was accepted, for the first time if it was more than once.
    pub(super) fn begins(&self) -> bool {
        self.facts.first().is_some_and(Happened::is_acceptance)
    }

    /// True if the journal knows that it was accepted, perhaps again.
    pub(super) fn was_accepted(&self) -> bool {
        self.facts.iter().any(Happened::is_acceptance)
    }

    /// Its places in the history, and where in the journal it left each: who read later did not get it. `usize::MAX` = it
    /// has not left.
    fn stays(&self) -> BTreeMap<Seq, usize> {
        let mut stays = BTreeMap::from([(self.seq, usize::MAX)]);
        for fact in &self.facts {
            let left = if fact.leaves() { fact.place } else { usize::MAX };
            stays.insert(fact.seq, left);
        }
        stays
    }
}

impl Happened<'_> {
    const fn is_acceptance(&self) -> bool {
        matches!(self.what, What::Accepted { .. })
    }

    /// True if it is in the history no more.
    const fn leaves(&self) -> bool {
        match self.what {
            What::Overwritten | What::Deleted { .. } | What::Shortened { .. } => true,
            What::Accepted { .. }
            | What::Repeated { .. }
            | What::Sent { .. }
            | What::Acknowledged { .. }
            | What::Unacknowledged { .. }
            | What::Paid
            | What::Expired => false,
        }
    }
}

/// A page that was sent a part of a history.
struct Reader<'a> {
    place: usize,
    at: UnixMillis,
    by: &'a Device,
    seqs: RangeInclusive<Seq>,
}

/// An attempt to write records.
struct Commit {
    place: usize,
    at: UnixMillis,
    upto: OpId,
    worked: bool,
}

/// What of the journal concerns a statement.
#[derive(Default)]
pub(super) struct Gathered<'a> {
    pub(super) found: BTreeMap<MessageId, Found<'a>>,
    addresses: BTreeSet<Address>,
    readers: BTreeMap<&'a ChannelName, Vec<Reader<'a>>>,
    commits: Vec<Commit>,
}

impl<'a> Gathered<'a> {
    /// The disk was written to.
    pub(super) fn wrote(&mut self, place: usize, at: UnixMillis, upto: OpId, worked: bool) {
        self.commits.push(Commit {
            place,
            at,
            upto,
            worked,
        });
    }

    /// A history was read.
    pub(super) fn was_read(
        &mut self,
        channel: &'a ChannelName,
        place: usize,
        at: UnixMillis,
        by: &'a Device,
        seqs: RangeInclusive<Seq>,
    ) {
        let reader = Reader { place, at, by, seqs };
        self.readers.entry(channel).or_default().push(reader);
    }

    /// Something happened to a message.
    pub(super) fn happened(&mut self, place: usize, at: UnixMillis, message: &Message, what: &'a What) {
        let found = self.entry(message.id, &message.to, message.seq);
        let seq = message.seq;
        found.facts.push(Happened { place, at, seq, what });
    }

    /// A message is in queue or history.
    pub(super) fn is_kept(
        &mut self,
        asked: &Asked<'_>,
        to: &Address,
        (id, seq, time): (MessageId, Seq, UnixSeconds),
    ) {
        if self.found.contains_key(&id) || asked.means(id, to) {
            self.entry(id, to, seq).kept = Some(time);
        }
    }

    fn entry(&mut self, id: MessageId, to: &Address, seq: Seq) -> &mut Found<'a> {
        let found = self.found.entry(id).or_insert_with(|| {
            self.addresses.insert(to.clone());
            Found {
                to: to.clone(),
                seq,
                facts: Vec::new(),
                kept: None,
            }
        });
        // Not every fact knows it.
        found.seq = found.seq.max(seq);
        found
    }

    /// Who was sent a part of this history, in order.
    fn readers_of(&self, channel: &ChannelName) -> &[Reader<'a>] {
        self.readers.get(channel).map_or(&[], Vec::as_slice)
    }

    /// How many readings have to be compared to tell what happened to a message.
    pub(super) fn comparisons(&self, found: &Found<'_>) -> usize {
        match &found.to {
            Address::User(_) => 0,
            Address::Channel(channel) => self.readers_of(channel).len(),
        }
    }

    /// True if one of the messages was sent there.
    pub(super) fn mentions(&self, to: &Address) -> bool {
        self.addresses.contains(to)
    }

    /// What happened to a message, in order.
    pub(super) fn tell(&self, found: &Found<'_>) -> Vec<Line> {
        let mut lines = Vec::new();
        for Happened { place, at, what, .. } in &found.facts {
            lines.push((*place, Line::of(*at, what, &found.to)));
            if let What::Accepted { op: Some(op), .. } = what {
                self.tell_writing(*place, *op, &mut lines);
            }
        }
        if let Address::Channel(channel) = &found.to {
            self.tell_readers(channel, found, &mut lines);
        }
        lines.sort_by_key(|(place, _)| *place);
        lines.into_iter().map(|(_, line)| line).collect()
    }

    /// When a record that was made at `since` came to the disk, and the first time it did not.
    fn tell_writing(&self, since: usize, op: OpId, lines: &mut Vec<(usize, Line)>) {
        let later = self.commits.partition_point(|commit| commit.place < since);
        let mut of = self.commits[later..].iter().filter(|commit| commit.upto >= op);
        let Some(first) = of.next() else { return };
        if first.worked {
            lines.push((first.place, Line::new(first.at, "stored", "on disk")));
            return;
        }
        let failed = Line::new(first.at, "not stored", "writing failed, and is tried again");
        lines.push((first.place, failed));
        if let Some(commit) = of.find(|commit| commit.worked) {
            lines.push((commit.place, Line::new(commit.at, "stored", "on disk")));
        }
    }

    /// The pages that were sent a message as history.
    fn tell_readers(&self, channel: &ChannelName, found: &Found<'_>, lines: &mut Vec<(usize, Line)>) {
        let stays = found.stays();
        let was_sent = |reader: &&Reader<'_>| {
            // A stay ends before the next one begins, so the last one in reach lasts longest.
            let last = stays.range(..=reader.seqs.end()).next_back();
            last.is_some_and(|(seq, left)| seq >= reader.seqs.start() && reader.place < *left)
        };
        let of: Vec<&Reader<'_>> = self.readers_of(channel).iter().filter(was_sent).collect();
        let (older, newest) = of.split_at(of.len().saturating_sub(READERS_MAX));
        if let Some(last) = older.last() {
            let line = Line::new(
                last.at,
                "read",
                format!("as history, {} times until then", older.len()),
            );
            lines.push((last.place, line));
        }
        for reader in newest {
            let line = Line::new(reader.at, "read", "sent as history").about(reader.by);
            lines.push((reader.place, line));
        }
    }
}

fn number(user: Option<UserId>) -> u32 {
    user.map_or(0, UserId::get)
}
