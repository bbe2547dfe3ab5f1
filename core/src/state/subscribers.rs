//! Who is subscribed to a channel, per frame dialect, with the recipient list cached between changes: publishing
//! costs the same for one subscriber and for a million.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::id::ConnId;
use crate::wire::Dialect;

/// The subscribers of one channel.
#[derive(Debug, Default)]
pub(crate) struct Subscribers {
    v3: Group,
    v4: Group,
    v5: Group,
}

#[derive(Debug, Default)]
struct Group {
    members: BTreeSet<ConnId>,
    cached: Option<Arc<[ConnId]>>,
}

/// The subscribers of one dialect, ready to be sent to.
#[derive(Clone, Debug)]
pub(crate) struct Audience {
    /// How frames are written for them.
    pub(crate) dialect: Dialect,
    /// Who they are, ascending; never empty.
    pub(crate) list: Arc<[ConnId]>,
}

impl Group {
    fn list(&mut self) -> Arc<[ConnId]> {
        self.cached
            .get_or_insert_with(|| self.members.iter().copied().collect())
            .clone()
    }
}

impl Subscribers {
    fn group(&mut self, dialect: Dialect) -> &mut Group {
        match dialect {
            Dialect::V3 => &mut self.v3,
            Dialect::V4 => &mut self.v4,
            Dialect::V5 => &mut self.v5,
        }
    }

    /// Adds a connection; it was not subscribed.
    pub(crate) fn insert(&mut self, conn: ConnId, dialect: Dialect) {
        let group = self.group(dialect);
        assert!(group.members.insert(conn), "subscribed twice");
        group.cached = None;
    }

    /// Removes a connection; it was subscribed.
    pub(crate) fn remove(&mut self, conn: ConnId, dialect: Dialect) {
        let group = self.group(dialect);
        assert!(group.members.remove(&conn), "was not subscribed");
        group.cached = None;
    }

    /// Number of subscribed connections.
    pub(crate) fn len(&self) -> usize {
        self.groups().map(|group| group.members.len()).sum()
    }

    /// True if nobody is subscribed.
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True if the connection is subscribed.
    pub(crate) fn contains(&self, conn: ConnId) -> bool {
        self.groups().any(|group| group.members.contains(&conn))
    }

    /// Everybody, ascending within a dialect, the newest dialect first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = ConnId> {
        self.groups().flat_map(|group| group.members.iter().copied())
    }

    fn groups(&self) -> impl Iterator<Item = &Group> {
        [&self.v5, &self.v4, &self.v3].into_iter()
    }

    /// The lists to send to, one per dialect that has members.
    pub(crate) fn audiences(&mut self) -> Vec<Audience> {
        let mut audiences = Vec::with_capacity(3);
        for dialect in [Dialect::V5, Dialect::V4, Dialect::V3] {
            let group = self.group(dialect);
            if !group.members.is_empty() {
                audiences.push(Audience {
                    dialect,
                    list: group.list(),
                });
            }
        }
        audiences
    }

    /// Asserts that the caches are true.
    pub(crate) fn check(&self) {
        for group in self.groups() {
            if let Some(cached) = &group.cached {
                assert!(group.members.iter().eq(cached.iter()), "stale recipient list");
            }
        }
    }
}
