//! Where in the journal a question has to look: of every 256 facts a filter of what they are about, and the places of
//! what is known of the disk.
//!
//! Nothing that is answered depends on it: a filter may only say that a fact is not there. It is made of the facts
//! alone and never stored. A filter is made when its block is full, so that noting a fact costs nothing.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::{Address, Author, Entry, Fact, Message, What};
use crate::id::{DevId, MessageId, UserId};
use crate::name::ChannelName;

/// Facts of one filter.
pub(crate) const BLOCK: u64 = 256;
/// Bits of one filter: of 256 facts that share nothing it lets through about one question in thirty that concerns none of them.
const BITS: u64 = 8192;
/// Places of what is known of the disk are counted in lots of so many.
const LOT: usize = 64;

/// What a fact may be about.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Subject<'a> {
    /// A message.
    Message(MessageId),
    /// Who a private message is for, who sent a message, or who read a history; 0 = anonymous.
    User(u32),
    /// Messages of a channel.
    Channel(&'a ChannelName),
    /// Pages that were sent its history.
    Readers(&'a ChannelName),
}

#[derive(Debug)]
struct Filter([u64; (BITS / 64) as usize]);

/// Both bits of a subject.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark(u64, u64);

impl Mark {
    pub(super) fn of(dev: DevId, subject: Subject<'_>) -> Self {
        let mut hash = u64::from(dev.0);
        let mut mix = |word: u64| {
            hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^= hash >> 29;
        };
        let name = |name: &ChannelName, mix: &mut dyn FnMut(u64)| {
            name.as_str().bytes().for_each(|byte| mix(u64::from(byte)));
        };
        match subject {
            Subject::Message(id) => {
                mix(1);
                mix((id.0 >> 64) as u64);
                mix(id.0 as u64);
            }
            Subject::User(user) => {
                mix(2);
                mix(u64::from(user));
            }
            Subject::Channel(channel) => {
                mix(3);
                name(channel, &mut mix);
            }
            Subject::Readers(channel) => {
                mix(4);
                name(channel, &mut mix);
            }
        }
        Self(hash % BITS, (hash >> 32) % BITS)
    }
}

impl Filter {
    fn of<'a>(entries: impl Iterator<Item = &'a Entry>) -> Box<Self> {
        let mut filter = Box::new(Self([0; (BITS / 64) as usize]));
        for entry in entries {
            subjects(&entry.fact, |subject| filter.add(Mark::of(entry.dev, subject)));
        }
        filter
    }

    fn add(&mut self, mark: Mark) {
        for bit in [mark.0, mark.1] {
            self.0[(bit / 64) as usize] |= 1 << (bit % 64);
        }
    }

    fn may_have(&self, mark: Mark) -> bool {
        [mark.0, mark.1]
            .iter()
            .all(|bit| self.0[(bit / 64) as usize] >> (bit % 64) & 1 == 1)
    }
}

/// Everything a fact is about.
fn subjects<'a>(fact: &'a Fact, mut tell: impl FnMut(Subject<'a>)) {
    match fact {
        Fact::Message {
            message: Message { id, to, .. },
            what,
        } => {
            tell(Subject::Message(*id));
            match to {
                Address::User(user) => tell(Subject::User(user.get())),
                Address::Channel(channel) => tell(Subject::Channel(channel)),
            }
            if let Some(page) = what.page() {
                tell(Subject::User(page.user.map_or(0, UserId::get)));
            }
        }
        Fact::Read { channel, by, .. } => {
            tell(Subject::Readers(channel));
            tell(Subject::User(by.user.map_or(0, UserId::get)));
        }
        Fact::Stored { .. } | Fact::NotStored { .. } => {}
    }
}

/// What is known of all facts; they are numbered from the first that ever was.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The number of the oldest fact.
    oldest: u64,
    /// Of the blocks of which all facts are there, oldest first.
    filters: VecDeque<Box<Filter>>,
    /// The numbers of facts about the disk.
    commits: VecDeque<u64>,
}

impl Index {
    /// Of these facts.
    pub(super) fn of(entries: &VecDeque<Entry>) -> Self {
        let mut index = Self::default();
        for len in 1..=entries.len() {
            index.added(entries, len);
        }
        index
    }

    /// What it takes. The places are in a list that may be half empty.
    pub(super) fn bytes(&self) -> usize {
        let places = self.commits.len() / LOT * LOT;
        self.filters.len() * size_of::<Filter>() + places * 2 * size_of::<u64>()
    }

    /// The last of the first `len` facts is new.
    pub(super) fn added(&mut self, entries: &VecDeque<Entry>, len: usize) {
        let end = self.oldest + len as u64;
        if let Some(Fact::Stored { .. } | Fact::NotStored { .. }) =
            entries.get(len - 1).map(|entry| &entry.fact)
        {
            self.commits.push_back(end - 1);
        }
        if end.is_multiple_of(BLOCK) && len as u64 >= BLOCK {
            self.filters
                .push_back(Filter::of(entries.range(len - BLOCK as usize..len)));
        }
    }

    /// The oldest fact was forgotten.
    pub(super) fn forgot(&mut self) {
        if self.commits.front() == Some(&self.oldest) {
            self.commits.pop_front();
        }
        if self.oldest.is_multiple_of(BLOCK) {
            self.filters.pop_front();
        }
        self.oldest += 1;
    }

    /// The places, among `len` facts, that may be about one of the subjects, oldest first.
    pub(super) fn places(&self, len: usize, marks: Vec<Mark>) -> impl Iterator<Item = usize> {
        let (oldest, end) = (self.oldest, self.oldest + len as u64);
        let blocks = oldest / BLOCK..end.div_ceil(BLOCK);
        blocks
            .filter(move |block| self.may_have(*block, &marks))
            .flat_map(move |block| (block * BLOCK).max(oldest)..((block + 1) * BLOCK).min(end))
            .map(move |number| (number - oldest) as usize)
    }

    fn may_have(&self, block: u64, marks: &[Mark]) -> bool {
        let filter = block
            .checked_sub(self.oldest.div_ceil(BLOCK))
            .and_then(|at| self.filters.get(at as usize));
        filter.is_none_or(|filter| marks.iter().any(|mark| filter.may_have(*mark)))
    }

    /// The places of what is known of the disk, from a place on, oldest first.
    pub(super) fn commits_from(&self, place: usize) -> impl DoubleEndedIterator<Item = usize> {
        let from = self.oldest + place as u64;
        let at = self.commits.partition_point(|number| *number < from);
        self.commits
            .range(at..)
            .map(|number| (number - self.oldest) as usize)
    }
}

impl What {
    /// The page that sent the message, at first or again.
    pub(crate) fn page(&self) -> Option<&super::Device> {
        match self {
            Self::Accepted {
                by: Author::Page(by), ..
            }
            | Self::Repeated { by } => Some(by),
            Self::Accepted { .. }
            | Self::Sent { .. }
            | Self::Acknowledged { .. }
            | Self::Unacknowledged { .. }
            | Self::Paid
            | Self::Expired
            | Self::Overwritten
            | Self::Deleted { .. }
            | Self::Shortened { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Device, Journal};
    use super::*;
    use crate::id::{ConnId, OpId, Seq};
    use crate::name::ClientUuid;
    use crate::time::UnixMillis;

    const DEV: DevId = DevId(0);

    /// A journal in which `facts` things happened to as many messages, to 100 users in turn, and is full with about 5,000.
    fn full(facts: u64) -> Journal {
        let mut journal = Journal::new(5_000 * (size_of::<Entry>() + 4), UnixMillis(1));
        for n in 1..=facts {
            let to = Address::User(user(n));
            let (id, seq) = (MessageId(n.into()), Seq(n));
            let message = Message { id, seq, to };
            journal.note(UnixMillis(n), DEV, message, What::Paid);
        }
        journal
    }

    fn user(n: u64) -> UserId {
        u32::try_from(1 + n / 50 % 100)
            .ok()
            .and_then(UserId::new)
            .expect("a user")
    }

    fn found(journal: &Journal, subject: Subject<'_>) -> Vec<u64> {
        let of = |(_, entry): (usize, &Entry)| {
            let mut is = false;
            subjects(&entry.fact, |other| is |= other == subject);
            is.then_some(entry.at.0)
        };
        journal.about(DEV, &[subject]).filter_map(of).collect()
    }

    #[test]
    fn nothing_is_passed_over_whatever_was_forgotten() {
        for facts in [1, 256, 257, 5_000, 5_001, 5_256, 9_999] {
            let journal = full(facts);
            journal.check();
            let oldest = journal.all().next().map_or(0, |(_, entry)| entry.at.0);
            assert!(
                oldest == 1 || (5_000..5_010).contains(&(facts + 1 - oldest)),
                "{oldest} to {facts}"
            );
            for n in [oldest, oldest + 1, oldest + 300, facts.saturating_sub(257), facts] {
                let wanted = (oldest..=facts).contains(&n).then_some(n);
                let id = MessageId(n.into());
                assert_eq!(
                    found(&journal, Subject::Message(id)),
                    Vec::from_iter(wanted),
                    "{n} of {facts}"
                );
                let his = (oldest..=facts).filter(|other| user(*other) == user(n));
                assert_eq!(found(&journal, Subject::User(user(n).get())), Vec::from_iter(his));
            }
        }
    }

    #[test]
    fn a_full_window_is_not_walked_through_for_one_message_or_user() {
        let journal = full(9_999);
        let looked_at = |subject| journal.about(DEV, &[subject]).count();
        assert!(journal.all().count() >= 5_000);
        for n in (5_300..=9_700).step_by(97) {
            // Its own block, those at both ends that have no filter, and one in thirty of the twenty by mistake.
            assert!(
                looked_at(Subject::Message(MessageId(n.into()))) <= 6 * BLOCK as usize,
                "{n}"
            );
            assert!(
                looked_at(Subject::User(user(n).get())) <= 8 * BLOCK as usize,
                "{n}"
            );
        }
        assert!(looked_at(Subject::Message(MessageId(77_777))) <= 4 * BLOCK as usize);
    }

    #[test]
    fn what_is_known_of_the_disk_is_found_and_said_once() {
        let mut journal = full(3_000);
        let by = Author::Page(Device {
            conn: ConnId(1),
            user: None,
            uuid: ClientUuid::default(),
        });
        let op = Some(OpId(7));
        let what = What::Accepted {
            by,
            op,
            connections: 0,
        };
        let (id, seq, to) = (MessageId(1), Seq(1), Address::User(user(1)));
        journal.note(UnixMillis(1), DEV, Message { id, seq, to }, what);
        for at in 1..=100 {
            journal.note_not_stored(UnixMillis(at), OpId(6), OpId(7));
        }
        journal.note_stored(UnixMillis(200), OpId(6), OpId(7));
        let known = |from| journal.commits_from(from).map(|(place, at, _)| (place, at.0));
        assert_eq!(Vec::from_iter(known(0)), [(3_001, 1), (3_002, 200)]);
        assert_eq!(Vec::from_iter(known(3_002)), [(3_002, 200)]);
        assert_eq!(known(3_003).count(), 0);
    }
}
