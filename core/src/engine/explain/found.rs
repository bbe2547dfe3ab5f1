//! What of the journal concerns a statement.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;

use super::line::{Line, PRIVATE};
use super::readers::{self, Kept, Reader, Readers};
use crate::cometql::Keys;
use crate::id::{DevId, MessageId, OpId, Seq, UserId};
use crate::name::ChannelName;
use crate::state::{Address, Entry, Fact, Journal, Message, Subject, What};
use crate::time::{UnixMillis, UnixSeconds};

/// Of one message the first fact is told, and the newest so many.
pub(super) const FACTS_MAX: usize = 1_000;

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
    pub(super) fn new(keys: &'a Keys, dev: DevId, journal: &'a Journal) -> Self {
        match keys {
            Keys::Messages(ids) => Self::Messages(ids.iter().copied().collect()),
            Keys::Channels(names) => Self::Channels(names.iter().collect()),
            Keys::Users(users) => {
                let users: BTreeSet<u32> = users.iter().copied().collect();
                let subjects: Vec<_> = users.iter().map(|user| Subject::User(*user)).collect();
                let own = journal
                    .about(dev, &subjects)
                    .filter(|(_, entry)| entry.dev == dev);
                let by_them = own.filter_map(|(_, entry)| match &entry.fact {
                    Fact::Read { channel, by, .. } => users.contains(&number(by.user)).then_some(channel),
                    Fact::Message { .. } | Fact::Stored { .. } | Fact::NotStored { .. } => None,
                });
                let read = by_them.collect();
                Self::Users { users, read }
            }
            Keys::All | Keys::Tokens(_) => Self::Nothing,
        }
    }

    /// Where in the journal it may be; `None` = anywhere.
    fn subjects(&self) -> Option<Vec<Subject<'a>>> {
        match self {
            Self::Messages(ids) => Some(ids.iter().map(|id| Subject::Message(*id)).collect()),
            // Most of what happens in a channel is about nobody.
            Self::Users { users, .. } if users.contains(&0) => None,
            Self::Users { users, read } => {
                let users = users.iter().map(|user| Subject::User(*user));
                Some(
                    users
                        .chain(read.iter().map(|name| Subject::Channel(name)))
                        .collect(),
                )
            }
            Self::Channels(_) if self.means_private() => None,
            Self::Channels(names) => Some(names.iter().map(|name| Subject::Channel(name)).collect()),
            Self::Nothing => Some(Vec::new()),
        }
    }

    /// True if all private messages are asked for.
    fn means_private(&self) -> bool {
        matches!(self, Self::Channels(names) if names.iter().any(|name| name.as_str() == PRIVATE))
    }

    /// True if rows about everything sent there may match.
    fn means_all_of(&self, to: &Address) -> bool {
        match (self, to) {
            (Self::Users { users, .. }, Address::User(user)) => users.contains(&user.get()),
            (Self::Users { users, read }, Address::Channel(channel)) => {
                users.contains(&0) || read.contains(channel)
            }
            (Self::Channels(names), Address::Channel(channel)) => names.contains(channel),
            (Self::Channels(_), Address::User(_)) => self.means_private(),
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
    fn wants(&self, message: &Message, what: &What) -> bool {
        let is_author =
            |users: &BTreeSet<u32>| what.page().is_some_and(|page| users.contains(&number(page.user)));
        self.means(message.id, &message.to) || matches!(self, Self::Users { users, .. } if is_author(users))
    }

    /// True if a row may match.
    pub(super) fn shows(&self, line: &Line) -> bool {
        match self {
            Self::Users { users, .. } => users.contains(&number(line.user)),
            Self::Messages(_) | Self::Channels(_) | Self::Nothing => true,
        }
    }

    /// The users whose queues may hold what is asked for; `None` = all.
    pub(super) fn queues(&self, gathered: &Gathered<'_>) -> Option<BTreeSet<UserId>> {
        let asked = match self {
            Self::Messages(_) if self.is_anywhere(gathered) => return None,
            Self::Channels(_) if self.means_private() => return None,
            Self::Users { users, .. } => users.iter().filter_map(|user| UserId::new(*user)).collect(),
            Self::Messages(_) | Self::Channels(_) | Self::Nothing => BTreeSet::new(),
        };
        let known = gathered.addresses.iter().filter_map(|to| match to {
            Address::User(user) => Some(*user),
            Address::Channel(_) => None,
        });
        Some(known.chain(asked).collect())
    }

    /// The channels whose histories may hold what is asked for; `None` = all.
    pub(super) fn histories(&self, gathered: &Gathered<'_>) -> Option<BTreeSet<ChannelName>> {
        let asked = match self {
            Self::Messages(_) if self.is_anywhere(gathered) => return None,
            Self::Users { users, .. } if users.contains(&0) => return None,
            Self::Users { read: names, .. } | Self::Channels(names) => names.clone(),
            Self::Messages(_) | Self::Nothing => BTreeSet::new(),
        };
        let known = gathered.addresses.iter().filter_map(|to| match to {
            Address::User(_) => None,
            Address::Channel(name) => Some(name),
        });
        Some(known.chain(asked).cloned().collect())
    }

    /// True if a message that is asked for may be in any queue or history.
    fn is_anywhere(&self, gathered: &Gathered<'_>) -> bool {
        match self {
            Self::Messages(ids) => ids.iter().any(|id| !gathered.found.contains_key(id)),
            Self::Users { .. } | Self::Channels(_) | Self::Nothing => false,
        }
    }
}

/// Everything about one message, before it is told.
pub(super) struct Found<'a> {
    pub(super) to: Address,
    pub(super) seq: Seq,
    /// With their places in the journal.
    facts: Vec<(usize, UnixMillis, &'a What)>,
    /// It is in queue or history, since then.
    pub(super) kept: Option<UnixSeconds>,
}

impl Found<'_> {
    /// True if the journal knows how it was accepted.
    pub(super) fn begins(&self) -> bool {
        let mut whats = self.facts.iter().map(|(_, _, what)| what);
        whats.any(|what| matches!(what, What::Accepted { .. }))
    }

    /// Where in the journal it left the history; `usize::MAX` = it has not.
    fn left(&self) -> usize {
        let leaves = |what: &What| match what {
            What::Overwritten | What::Deleted { .. } | What::Shortened { .. } => true,
            What::Accepted { .. }
            | What::Repeated { .. }
            | What::Sent { .. }
            | What::Acknowledged { .. }
            | What::Unacknowledged { .. }
            | What::Paid
            | What::Expired => false,
        };
        let mut facts = self.facts.iter();
        facts
            .find(|(_, _, what)| leaves(what))
            .map_or(usize::MAX, |(place, _, _)| *place)
    }

    /// What happened to the message, in order.
    pub(super) fn tell(&self, journal: &Journal, readers: Option<&Readers<'_>>) -> Vec<Line> {
        let mut lines = Vec::new();
        let skipped = self.facts.len().saturating_sub(FACTS_MAX + 1);
        for (at, (place, time, what)) in self.facts.iter().enumerate() {
            if at == 0 || at > skipped {
                lines.push((*place, Line::of(*time, what, &self.to)));
                if let What::Accepted { op: Some(op), .. } = what {
                    tell_writing(journal, *place, *op, &mut lines);
                }
            } else if at == skipped {
                let detail = format!("what happened before is not told: {skipped} times something");
                lines.push((*place, Line::new(*time, "more", detail)));
            }
        }
        if let Some(readers) = readers {
            tell_readers(readers, &mut lines);
        }
        lines.sort_by_key(|(place, _)| *place);
        lines.into_iter().map(|(_, line)| line).collect()
    }
}

/// When a record that was made at `since` came to the disk, and the first time it did not.
fn tell_writing(journal: &Journal, since: usize, op: OpId, lines: &mut Vec<(usize, Line)>) {
    let mut failed = false;
    for (place, at, fact) in journal.commits_from(since) {
        match fact {
            Fact::Stored { upto } if *upto >= op => {
                lines.push((place, Line::new(at, "stored", "on disk")));
                return;
            }
            Fact::NotStored { upto } if *upto >= op && !failed => {
                let line = Line::new(at, "not stored", "writing failed, and is tried again");
                lines.push((place, line));
                failed = true;
            }
            Fact::Stored { .. } | Fact::NotStored { .. } | Fact::Message { .. } | Fact::Read { .. } => {}
        }
    }
}

/// The pages that were sent a message as history.
fn tell_readers(readers: &Readers<'_>, lines: &mut Vec<(usize, Line)>) {
    if let Some((last, count)) = readers.others {
        let detail = format!("as history, {count} times until then");
        lines.push((last.place, Line::new(last.at, "read", detail)));
    }
    for reader in readers.told.iter().rev() {
        let line = Line::new(reader.at, "read", "sent as history").about(reader.by);
        lines.push((reader.place, line));
    }
}

/// What of the journal concerns a statement.
#[derive(Default)]
pub(super) struct Gathered<'a> {
    pub(super) found: BTreeMap<MessageId, Found<'a>>,
    addresses: BTreeSet<Address>,
}

/// Who read the histories of channels.
type Reads<'a> = BTreeMap<&'a ChannelName, Vec<Reader<'a>>>;

impl<'a> Gathered<'a> {
    /// The facts about the messages of a tenant that are asked for.
    pub(super) fn new(asked: &Asked<'_>, dev: DevId, journal: &'a Journal) -> Self {
        let mut gathered = Self::default();
        for_each(journal, dev, asked.subjects(), |place, at, fact| {
            if let Fact::Message { message, what } = fact
                && asked.wants(message, what)
            {
                let found = gathered.entry(message.id, &message.to, message.seq);
                found.facts.push((place, at, what));
            }
        });
        gathered
    }

    /// A message is in queue or history. True if it is asked for.
    pub(super) fn is_kept(
        &mut self,
        asked: &Asked<'_>,
        to: &Address,
        (id, seq, time): (MessageId, Seq, UnixSeconds),
    ) -> bool {
        let is_asked = self.found.contains_key(&id) || asked.means(id, to);
        if is_asked {
            self.entry(id, to, seq).kept = Some(time);
        }
        is_asked
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

    /// Who read the channels of the messages found. If users are asked for, only they matter.
    pub(super) fn reads(&self, asked: &Asked<'_>, dev: DevId, journal: &'a Journal) -> Reads<'a> {
        let channels = self.addresses.iter().filter_map(|to| match to {
            Address::User(_) => None,
            Address::Channel(channel) => Some(channel),
        });
        let channels: BTreeSet<&ChannelName> = channels.collect();
        let users = match asked {
            Asked::Users { users, .. } => Some(users),
            Asked::Messages(_) | Asked::Channels(_) | Asked::Nothing => None,
        };
        let subjects = match users {
            Some(users) => users.iter().map(|user| Subject::User(*user)).collect(),
            None => channels.iter().map(|name| Subject::Readers(name)).collect(),
        };
        let mut reads = Reads::new();
        for_each(journal, dev, Some(subjects), |place, at, fact| {
            if let Fact::Read {
                channel,
                by,
                first,
                last,
            } = fact
                && channels.contains(channel)
                && users.is_none_or(|users| users.contains(&number(by.user)))
            {
                let seqs = *first..=*last;
                let reader = Reader { place, at, by, seqs };
                reads.entry(channel).or_default().push(reader);
            }
        });
        reads
    }

    /// What is told of the readers of each message.
    pub(super) fn readers<'r>(&self, reads: &'r Reads<'a>) -> BTreeMap<MessageId, Readers<'r>> {
        let mut of_channels: BTreeMap<&ChannelName, Vec<(Kept, MessageId)>> = BTreeMap::new();
        for (id, found) in &self.found {
            if let Address::Channel(channel) = &found.to
                && found.seq > Seq::START
            {
                let (seq, left) = (found.seq, found.left());
                let kept = Kept { seq, left };
                of_channels.entry(channel).or_default().push((kept, *id));
            }
        }
        let mut all = BTreeMap::new();
        let mut budget = readers::ROWS_MAX;
        for (channel, mut messages) in of_channels {
            messages.sort_by_key(|(kept, _)| kept.seq);
            let (kept, ids): (Vec<Kept>, Vec<MessageId>) = messages.into_iter().unzip();
            let reads = reads.get(channel).map_or(&[][..], Vec::as_slice);
            all.extend(
                ids.into_iter()
                    .zip(readers::readers_of(&kept, reads, &mut budget)),
            );
        }
        all
    }
}

/// The facts of a tenant that may be about one of the subjects, `None` = all, oldest first.
fn for_each<'a>(
    journal: &'a Journal,
    dev: DevId,
    subjects: Option<Vec<Subject<'_>>>,
    mut each: impl FnMut(usize, UnixMillis, &'a Fact),
) {
    let mut tell = |(place, entry): (usize, &'a Entry)| {
        if entry.dev == dev {
            each(place, entry.at, &entry.fact);
        }
    };
    match subjects {
        Some(subjects) => journal.about(dev, &subjects).for_each(&mut tell),
        None => journal.all().for_each(&mut tell),
    }
}

fn number(user: Option<UserId>) -> u32 {
    user.map_or(0, UserId::get)
}
