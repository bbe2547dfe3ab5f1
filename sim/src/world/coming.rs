//! Things to come, in the order of time and, at one instant, in the order in which they were planned.

use std::cmp::Ordering;

use comet_core::{CloseCause, OpId};

use crate::backend::Ask;

/// Something that will happen.
#[derive(Debug)]
pub(super) enum Coming {
    /// An upgrade request arrives.
    Handshake { link: usize },
    /// Something arrives at the server.
    Up { link: usize },
    /// Something arrives at a page.
    Down { link: usize },
    /// The server notices the end of a socket.
    Noticed { link: usize, cause: CloseCause },
    /// A page notices the end of its socket.
    Lost { link: usize },
    /// A page connects, unless a later attempt was planned.
    Connect { tab: usize, attempt: u64 },
    /// The handler of a private message comes to its end in a page of version 5.
    Handled { tab: usize, page: usize, id: String },
    /// A page of version 5 sends again what the server could not store.
    Resend { tab: usize, page: usize },
    /// A commit ends.
    Commit { life: u32 },
    /// The core is told, wrongly, that records are safe (planted bug).
    DiskLie { life: u32, upto: OpId },
    /// The disk tries again.
    DiskRetry { life: u32 },
    /// A statement arrives.
    Query(Query),
    /// A back end whose session was ended by the server logs in again.
    LogIn { life: u32, session: usize, ended: u64 },
    /// A session ends.
    SessionEnd { life: u32, session: u64 },
    /// A back end tries again.
    Retry { session: usize, ask: Ask },
    /// What is around the core takes another part of the memory limit.
    Memory { life: u32 },
    /// The server starts again.
    Restart,
}

/// A statement under way.
#[derive(Clone, Debug)]
pub(super) struct Query {
    pub life: u32,
    pub session: u64,
    pub req: u64,
    pub ask: Ask,
}

/// A place in the heap.
#[derive(Debug)]
pub(super) struct Entry {
    pub at: u64,
    pub serial: u64,
    pub coming: Coming,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.serial == other.serial
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The earliest is the greatest; among equals the one that was planned first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.serial).cmp(&(self.at, self.serial))
    }
}
