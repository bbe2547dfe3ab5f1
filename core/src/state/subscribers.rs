//! Who is subscribed to a channel, per frame dialect, as lists that messages to them share: publishing into a quiet
//! channel allocates the same for ten subscribers and for a million, and whoever comes or goes costs the copy of one
//! short piece of a list, even between two messages. The first messages after that cost an action for each piece, and
//! one of them a copy of everything. How long a piece may be is a setting (`recipients_piece_max`). A channel with one subscriber, the commonest kind, is two words.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::id::ConnId;
use crate::wire::Dialect;

/// A list of several pieces that has served so many messages unchanged is joined. From then on all messages share one
/// list, which is how the runtime sees that they have the same receivers; while subscribers come and go, the copy of
/// everything would cost more than that gains.
const UNCHANGED_MIN: u32 = 4;

/// The subscribers of one channel: at least one.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Subscribers {
    /// A single one.
    One(ConnId, Dialect),
    /// More than one.
    Many(Box<Groups>),
}

/// The subscribers by dialect.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Groups {
    v3: Group,
    v4: Group,
    v5: Group,
}

/// The subscribers of one dialect.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Group {
    /// All of them in pieces, each neither empty nor too long, ascending within and across them. Two neighbours have
    /// more than half a piece between them, so there are at most four times as many as are needed, and one.
    pieces: Vec<Arc<[ConnId]>>,
    len: usize,
    /// All of them in one list, if there are several pieces and they have not changed for a while.
    whole: Option<Arc<[ConnId]>>,
    /// Messages since the last change.
    unchanged: u32,
}

/// The subscribers of one dialect, ready to be sent to.
#[derive(Debug)]
pub(crate) enum Audience<'a> {
    /// A single one.
    One(ConnId),
    /// Lists, ascending within and across them.
    Lists(&'a [Arc<[ConnId]>]),
}

impl Audience<'_> {
    /// True if there is somebody else than `except`.
    pub(crate) fn is_somebody(&self, except: Option<ConnId>) -> bool {
        match self {
            Self::One(conn) => except != Some(*conn),
            Self::Lists([list]) => !matches!((&**list, except), ([only], Some(except)) if *only == except),
            Self::Lists(lists) => !lists.is_empty(),
        }
    }
}

impl Subscribers {
    /// A channel's first subscriber.
    pub(crate) const fn new(conn: ConnId, dialect: Dialect) -> Self {
        Self::One(conn, dialect)
    }

    /// Adds a connection; it was not subscribed. A piece of a list has at most `piece_max`.
    pub(crate) fn insert(&mut self, conn: ConnId, dialect: Dialect, piece_max: usize) {
        let groups = match self {
            Self::Many(groups) => groups,
            Self::One(first, its_dialect) => {
                let mut groups = Box::<Groups>::default();
                groups.of_mut(*its_dialect).insert(*first, piece_max);
                *self = Self::Many(groups);
                return self.insert(conn, dialect, piece_max);
            }
        };
        groups.of_mut(dialect).insert(conn, piece_max);
    }

    /// Removes a connection; it was subscribed. False if nobody is left: then the channel is to be forgotten.
    #[must_use]
    pub(crate) fn remove(&mut self, conn: ConnId, dialect: Dialect, piece_max: usize) -> bool {
        match self {
            Self::One(last, its_dialect) => {
                assert!(*last == conn && *its_dialect == dialect, "was not subscribed");
                return false;
            }
            Self::Many(groups) => groups.of_mut(dialect).remove(conn, piece_max),
        }
        if let Some((last, dialect)) = self.only() {
            *self = Self::One(last, dialect);
        }
        true
    }

    /// The subscriber who is alone.
    fn only(&self) -> Option<(ConnId, Dialect)> {
        let mut all = self.by_dialect();
        all.next().filter(|_| self.len() == 1)
    }

    /// Number of subscribed connections.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::One(..) => 1,
            Self::Many(groups) => groups.all().map(|(_, group)| group.len).sum(),
        }
    }

    /// True if the connection is subscribed.
    pub(crate) fn contains(&self, conn: ConnId) -> bool {
        match self {
            Self::One(only, _) => *only == conn,
            Self::Many(groups) => groups.all().any(|(_, group)| group.contains(conn)),
        }
    }

    /// Everybody, ascending within a dialect, the newest dialect first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ConnId> {
        self.by_dialect().map(|(conn, _)| conn)
    }

    fn by_dialect(&self) -> impl Iterator<Item = (ConnId, Dialect)> {
        let (one, groups) = match self {
            Self::One(conn, dialect) => (Some((*conn, *dialect)), None),
            Self::Many(groups) => (None, Some(groups)),
        };
        let many = groups.into_iter().flat_map(|groups| groups.all());
        let many = many.flat_map(|(dialect, group)| group.iter().map(move |conn| (conn, dialect)));
        one.into_iter().chain(many)
    }

    /// Whom to send a message to, the newest dialect first.
    pub(crate) fn audiences(&mut self) -> impl Iterator<Item = (Dialect, Audience<'_>)> {
        let (one, groups) = match self {
            Self::One(conn, dialect) => (Some((*dialect, Audience::One(*conn))), None),
            Self::Many(groups) => (None, Some(groups)),
        };
        let many = groups.into_iter().flat_map(|groups| groups.all_mut());
        let many = many.map(|(dialect, group)| (dialect, Audience::Lists(group.lists())));
        one.into_iter().chain(many)
    }

    /// Asserts that the lists are what they promise.
    pub(crate) fn check(&self, piece_max: usize) {
        if let Self::Many(groups) = self {
            assert!(self.len() > 1, "a list for a single subscriber");
            for (_, group) in groups.all() {
                group.check(piece_max);
            }
        }
    }
}

impl Groups {
    const fn of_mut(&mut self, dialect: Dialect) -> &mut Group {
        match dialect {
            Dialect::V3 => &mut self.v3,
            Dialect::V4 => &mut self.v4,
            Dialect::V5 => &mut self.v5,
        }
    }

    fn all(&self) -> impl Iterator<Item = (Dialect, &Group)> {
        let groups = [
            (Dialect::V5, &self.v5),
            (Dialect::V4, &self.v4),
            (Dialect::V3, &self.v3),
        ];
        groups.into_iter()
    }

    fn all_mut(&mut self) -> impl Iterator<Item = (Dialect, &mut Group)> {
        let groups = [
            (Dialect::V5, &mut self.v5),
            (Dialect::V4, &mut self.v4),
            (Dialect::V3, &mut self.v3),
        ];
        groups.into_iter()
    }
}

impl Group {
    fn iter(&self) -> impl Iterator<Item = ConnId> {
        self.pieces.iter().flat_map(|piece| piece.iter().copied())
    }

    /// The piece where the connection is, or would be.
    fn piece_of(&self, conn: ConnId) -> usize {
        let begins_later = |piece: &Arc<[ConnId]>| piece.first().is_some_and(|&first| first > conn);
        let behind = self.pieces.partition_point(|piece| !begins_later(piece));
        behind.saturating_sub(1)
    }

    fn contains(&self, conn: ConnId) -> bool {
        let piece = self.pieces.get(self.piece_of(conn));
        piece.is_some_and(|piece| piece.binary_search(&conn).is_ok())
    }

    /// The lists for one more message.
    fn lists(&mut self) -> &[Arc<[ConnId]>] {
        self.unchanged = self.unchanged.saturating_add(1);
        if self.whole.is_none() && self.pieces.len() > 1 && self.unchanged > UNCHANGED_MIN {
            let mut whole = Vec::with_capacity(self.len);
            for piece in &self.pieces {
                whole.extend_from_slice(piece);
            }
            self.whole = Some(whole.into());
        }
        match &self.whole {
            Some(whole) => core::slice::from_ref(whole),
            None => &self.pieces,
        }
    }

    fn changed(&mut self) {
        self.whole = None;
        self.unchanged = 0;
    }

    fn insert(&mut self, conn: ConnId, piece_max: usize) {
        self.changed();
        let at = self.piece_of(conn);
        self.len += 1;
        let Some(piece) = self.pieces.get(at) else {
            self.pieces.push(Arc::new([conn]));
            return;
        };
        let Err(place) = piece.binary_search(&conn) else {
            panic!("subscribed twice");
        };
        let (before, after) = piece.split_at(place);
        if piece.len() < piece_max {
            self.pieces[at] = joined(before, &[conn], after);
        } else if after.is_empty() {
            // Ids ascend, so this is where the next ones come: into a piece of their own, unless a short one follows.
            match self.pieces.get(at + 1) {
                Some(next) if next.len() < piece_max / 2 => self.pieces[at + 1] = joined(&[conn], next, &[]),
                Some(_) | None => self.pieces.insert(at + 1, Arc::new([conn])),
            }
        } else {
            let (first, second) = piece.split_at(piece.len() / 2);
            let (first, second) = (Arc::from(first), Arc::from(second));
            self.pieces.splice(at..=at, [first, second]);
            self.len -= 1;
            self.insert(conn, piece_max);
        }
    }

    fn remove(&mut self, conn: ConnId, piece_max: usize) {
        self.changed();
        let at = self.piece_of(conn);
        let piece = self.pieces.get(at).map_or(&[][..], |piece| piece);
        let Ok(place) = piece.binary_search(&conn) else {
            panic!("was not subscribed");
        };
        self.len -= 1;
        let (before, after) = (&piece[..place], &piece[place + 1..]);
        if piece.len() == 1 {
            self.pieces.remove(at);
        } else {
            self.pieces[at] = joined(before, after, &[]);
            self.join_with_next(at, piece_max);
        }
        self.join_with_next(at.saturating_sub(1), piece_max);
    }

    /// Makes one of two neighbours if they have become short.
    fn join_with_next(&mut self, at: usize, piece_max: usize) {
        if let Some([first, second]) = self.pieces.get(at..at + 2)
            && first.len() + second.len() <= piece_max / 2
        {
            self.pieces[at] = joined(first, second, &[]);
            self.pieces.remove(at + 1);
        }
    }

    fn check(&self, piece_max: usize) {
        assert!(
            self.iter().is_sorted_by(|a, b| a < b),
            "recipients out of order or doubled"
        );
        assert_eq!(self.iter().count(), self.len, "the number of recipients drifted");
        let fits = |piece: &Arc<[ConnId]>| (1..=piece_max).contains(&piece.len());
        assert!(self.pieces.iter().all(fits), "a piece too long or empty");
        let short = |pair: &[Arc<[ConnId]>]| pair[0].len() + pair[1].len() <= piece_max / 2;
        assert!(!self.pieces.windows(2).any(short), "more pieces than are needed");
        let whole = self.whole.iter().flat_map(|whole| whole.iter().copied());
        assert!(
            self.whole.is_none() || whole.eq(self.iter()),
            "stale recipient list"
        );
    }
}

fn joined(first: &[ConnId], second: &[ConnId], third: &[ConnId]) -> Arc<[ConnId]> {
    first.iter().chain(second).chain(third).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    const PIECE_MAX: usize = 1024;

    fn conns(numbers: impl IntoIterator<Item = u64>) -> BTreeSet<ConnId> {
        numbers.into_iter().map(ConnId).collect()
    }

    fn many(conns: &BTreeSet<ConnId>) -> Group {
        let mut group = Group::default();
        for &conn in conns {
            group.insert(conn, PIECE_MAX);
        }
        group
    }

    #[test]
    fn ascending_subscribers_of_two_shards_fill_their_pieces() {
        let both = (1..=3000).flat_map(|n| [ConnId::new(0, n), ConnId::new(1, n)]);
        let mut group = Group::default();
        for conn in both {
            group.insert(conn, PIECE_MAX);
        }
        group.check(PIECE_MAX);
        let lengths = group.pieces.iter().map(|piece| piece.len());
        assert!(lengths.clone().filter(|&len| len == PIECE_MAX).count() >= 4);
        assert_eq!(lengths.sum::<usize>(), 6000);
    }

    /// However they come, there are not many more pieces than the subscribers need.
    #[track_caller]
    fn takes_few_pieces(comers: impl IntoIterator<Item = u64>) {
        let mut group = Group::default();
        for conn in comers {
            group.insert(ConnId(conn), PIECE_MAX);
        }
        group.check(PIECE_MAX);
        let (pieces, len) = (group.pieces.len(), group.len);
        assert!(pieces <= 4 * len / PIECE_MAX + 1, "{pieces} pieces for {len}");
    }

    #[test]
    fn subscribers_in_descending_order_share_pieces() {
        takes_few_pieces((1..=3000).rev());
        takes_few_pieces((1..=1024).chain((1025..=3000).rev()));
    }

    #[test]
    fn subscribers_in_any_order_share_pieces() {
        takes_few_pieces((0..30_011).map(|n| n * 7919 % 30_011));
        // Between full pieces, from both sides.
        let full = (1..=10_240).map(|n| n * 4);
        let between = (1..=40_960).filter(|n| n % 4 > 0);
        takes_few_pieces(full.clone().chain(between.clone()));
        takes_few_pieces(full.chain(between.rev()));
    }

    #[test]
    fn a_list_in_pieces_is_the_set_of_who_came_and_did_not_go() {
        let mut expected = conns((1..=20_000).map(|n| n * 2));
        let mut group = many(&expected);
        // Comers between the others, and goers from everywhere until few are left.
        for n in 0..20_000u64 {
            let number = n * 7919 % 20_000;
            let comer = ConnId(number * 2 + 1);
            group.insert(comer, PIECE_MAX);
            expected.insert(comer);
            let goer = ConnId(number * 2 + if n % 16 == 0 { 1 } else { 2 });
            group.remove(goer, PIECE_MAX);
            expected.remove(&goer);
            if n % 500 == 0 {
                group.check(PIECE_MAX);
                assert!(group.iter().eq(expected.iter().copied()));
            }
        }
        while let Some(goer) = expected.pop_first() {
            assert!(group.contains(goer));
            group.remove(goer, PIECE_MAX);
            assert!(!group.contains(goer));
        }
        group.check(PIECE_MAX);
        assert!(group.pieces.is_empty(), "nobody occupies memory");
    }

    #[test]
    fn pieces_that_empty_become_one() {
        let everybody = conns(1..=10_000);
        let mut group = many(&everybody);
        for conn in everybody.into_iter().filter(|conn| conn.0 % 100 != 0) {
            group.remove(conn, PIECE_MAX);
        }
        group.check(PIECE_MAX);
        assert_eq!(group.len, 100);
        assert!(group.pieces.len() <= 2, "{} pieces", group.pieces.len());
    }

    #[test]
    fn messages_in_a_row_come_to_share_one_list() {
        let mut group = many(&conns(1..=5000));
        for _ in 0..UNCHANGED_MIN {
            assert!(group.lists().len() > 1);
        }
        let first = group.lists()[0].clone();
        assert_eq!(first.len(), 5000);
        assert!(Arc::ptr_eq(&first, &group.lists()[0]));
        group.remove(ConnId(77), PIECE_MAX);
        group.check(PIECE_MAX);
        assert!(
            group.lists().len() > 1,
            "a change is not paid with a copy of everything"
        );
        let mut few = many(&conns(1..=1000));
        let list = few.lists()[0].clone();
        assert_eq!(list.len(), 1000);
        assert!(Arc::ptr_eq(&list, &few.lists()[0]));
    }

    #[test]
    fn a_comer_is_in_the_list_that_was_shared() {
        let mut group = many(&conns((1..=3000).map(|n| n * 2)));
        for _ in 0..=UNCHANGED_MIN + 1 {
            group.lists();
        }
        assert_eq!(group.lists().len(), 1);
        group.insert(ConnId(77), PIECE_MAX);
        group.check(PIECE_MAX);
        let listed: usize = group.lists().iter().map(|piece| piece.len()).sum();
        assert_eq!(listed, 3001);
    }

    /// Two neighbours become one as soon as half a piece holds both, whichever of them has become shorter.
    #[test]
    fn short_neighbours_become_one_piece() {
        for shorter in [0, 1] {
            let mut group = many(&conns(1..=3072));
            assert_eq!(group.pieces.len(), 3);
            let (keep_a, keep_b) = (PIECE_MAX / 2 - 10, 10);
            let middle = (1025..=2048).skip(keep_a).map(ConnId);
            let last = (2049..=3072).skip(keep_b).map(ConnId);
            let goers: Vec<ConnId> = if shorter == 0 {
                last.chain(middle).collect()
            } else {
                middle.chain(last).collect()
            };
            for conn in goers {
                group.remove(conn, PIECE_MAX);
                group.check(PIECE_MAX);
            }
            assert_eq!(group.pieces.len(), 2);
        }
    }

    #[test]
    fn a_single_subscriber_needs_no_list() {
        let (a, b) = (ConnId(1), ConnId(2));
        let mut subscribers = Subscribers::new(a, Dialect::V4);
        subscribers.insert(b, Dialect::V5, PIECE_MAX);
        assert!(matches!(subscribers, Subscribers::Many(_)));
        assert!(subscribers.iter().eq([b, a]));
        assert!(subscribers.remove(a, Dialect::V4, PIECE_MAX));
        assert!(matches!(subscribers, Subscribers::One(only, Dialect::V5) if only == b));
        assert!(subscribers.contains(b) && !subscribers.contains(a));
        assert!(!subscribers.remove(b, Dialect::V5, PIECE_MAX), "nobody is left");
        assert_eq!(size_of::<Subscribers>(), 16);
    }
}
