//! What pages saw in the end, against what they were promised (protocol.md 5.1): no accepted message is lost, and a
//! page that stays alive sees it exactly once. Whatever the promise leaves open has a reason here.

use super::{Claim, Conn, Failure, Fate, Model, Private, wrong};
use crate::browser::Version;
use crate::profile::Knob;

/// After this long without its connection a page may see a message again: its memory is three minutes (2.7).
const FORGETS_US: u64 = 120_000_000;

/// What a page lived through.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// It was closed or reloaded.
    over: bool,
    /// Without a living connection since.
    apart_since: Option<u64>,
    /// Times without a connection, as the server knew it: from, to.
    apart: Vec<(u64, u64)>,
    /// Another page of the same browser may take its claims, or it told no uuid.
    anonymous_claims: bool,
    /// When the page lost its right to private messages: not authorized, or one device too many.
    excused: Vec<u64>,
    /// When it connected, and whether it was authorized then.
    joins: Vec<(u64, bool)>,
    /// It is of version 5 and forgets no id.
    is_exact: bool,
    /// What its browser calls itself.
    uuid: String,
    /// Numbers of the channel messages its application read; version 5 only.
    read: Vec<u64>,
}

impl Page {
    /// At that time the page was not authorized, or had been one device too many and had not come back since.
    fn outside(&self, at: u64) -> bool {
        self.excused
            .iter()
            .rev()
            .find(|excused| **excused <= at)
            .is_some_and(|excused| {
                !self
                    .joins
                    .iter()
                    .any(|(joined, authorized)| *authorized && joined > excused && *joined <= at)
            })
    }
}

/// Why a page need not have seen a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reason {
    /// It expired or was deleted, or its INSERT was never answered OK.
    NotOwed,
    /// The page was closed or reloaded.
    PageOver,
    /// The server was restarted, and with it forgot who was to get what.
    Restart,
    /// The page came back later than `reload_grace`.
    TooLate,
    /// So many devices of the user vanished that the oldest claims ended early.
    Crowded,
    /// Another tab of the browser may have taken its place.
    SharedUuid,
    /// It was not authorized any more.
    NotAuthorized,
}

impl Model {
    fn page(&mut self, page: usize) -> &mut Page {
        while self.pages.len() <= page {
            self.pages.push(Page::default());
        }
        &mut self.pages[page]
    }

    pub(super) fn page_joined(&mut self, claim: &Claim, authorized: bool) {
        let now = self.now;
        let Some(id) = claim.page else { return };
        let others = self
            .conns
            .iter()
            .any(|conn| conn.page.is_some_and(|other| other != id) && conn.uuid == claim.uuid);
        let page = self.page(id);
        page.is_exact = claim.version == Version::V5;
        page.uuid.clone_from(&claim.uuid);
        page.anonymous_claims |= others || claim.uuid.is_empty();
        if let Some(from) = page.apart_since.take() {
            page.apart.push((from, now));
        }
        page.joins.push((now, authorized));
        if !authorized {
            page.excused.push(now);
        }
    }

    pub(super) fn excuse(&mut self, page: usize) {
        let now = self.now;
        self.page(page).excused.push(now);
    }

    pub(super) fn separated(&mut self, page: usize) {
        let now = self.now;
        self.page(page).apart_since.get_or_insert(now);
    }

    /// A page was closed or reloaded. (A message that reached it and was not handled has to come again, to another.)
    pub fn page_over(&mut self, page: usize) {
        self.page(page).over = true;
    }

    /// The machine was suspended: pages lived on meanwhile, and may have forgotten what they saw.
    pub fn slept(&mut self, now: u64) {
        self.crashes.push(now);
    }

    /// The application of a page got a private message.
    pub fn page_saw(&mut self, page: usize, n: u64, now: u64) -> Result<(), Failure> {
        let Some(at) = self.place(n) else {
            return wrong(
                "invented",
                format!("page {page} got message {n}, which was never accepted"),
            );
        };
        let before = self.private[at]
            .seen_by
            .iter()
            .find(|(seer, _)| *seer == page)
            .map(|(_, at)| *at);
        if let Some(first) = before
            && (self.page(page).is_exact || !self.page_forgot(page, first, now))
        {
            return wrong(
                "twice",
                format!("page {page} got message {n} at {first} and again at {now}"),
            );
        }
        if let Some(message) = self.private.get_mut(at) {
            message.seen_by.push((page, now));
        }
        Ok(())
    }

    /// The application of a page of version 5 read a channel message: once, however often it was sent, came live or
    /// with the history, before or after a restart of the server (docs/protocol-v5.md 2, 3).
    pub fn page_read(&mut self, page: usize, n: u64) -> Result<(), Failure> {
        let mut copies: Vec<_> = self.copies.iter().filter(|(copy, _)| *copy == n).collect();
        copies.sort();
        copies.dedup();
        let copies = copies.len();
        let read = &mut self.page(page).read;
        read.push(n);
        if read.iter().filter(|known| **known == n).count() > copies.max(1) {
            return wrong("read twice", format!("page {page} read message {n} again"));
        }
        Ok(())
    }

    fn page_forgot(&mut self, page: usize, first: u64, now: u64) -> bool {
        // The crash came before the payment was on disk, however long the disk had been failing.
        let crashed = self.crashes.iter().any(|at| *at >= first);
        let outside = self.page(page).excused.iter().any(|at| *at >= first);
        if crashed || outside || self.too_impatient() {
            return true;
        }
        let page = self.page(page);
        let current = page.apart_since.map(|from| (from, now));
        page.apart
            .iter()
            .copied()
            .chain(current)
            .any(|(from, to)| to > first && to - from >= FORGETS_US)
    }

    /// The network is slower than `ack_timeout` allows: every connection is dropped before its Pong arrives.
    fn too_impatient(&self) -> bool {
        let latency = self.profile.get(Knob::Latency);
        let jitter = if self.profile.get(Knob::Jitter) > 0 {
            10 * latency + 6_000
        } else {
            0
        };
        self.profile.get(Knob::AckTimeout) <= 2 * latency + jitter
    }

    /// How many devices of the user of a message vanished since it was accepted.
    fn vanished_since(&self, message: &Private) -> u64 {
        let of = |conn: &&Conn| {
            let since = conn.gone.is_some_and(|at| at >= message.at);
            since && conn.dev == message.dev && conn.user == message.user
        };
        self.conns.iter().filter(of).count() as u64
    }

    fn excuse_of(&self, page: &Page, n: usize) -> Option<Reason> {
        let message = &self.private[n];
        let grace = self.profile.get(Knob::Grace) * 1_000_000;
        let apart = || {
            page.apart
                .iter()
                .copied()
                .chain(page.apart_since.map(|from| (from, u64::MAX)))
        };
        if message.fate != Fate::Paid || !message.acknowledged {
            Some(Reason::NotOwed)
        } else if page.over {
            Some(Reason::PageOver)
        } else if self.crashes.iter().any(|at| *at >= message.at) {
            Some(Reason::Restart)
        } else if apart().any(|(from, to)| to > message.at && to - from >= grace) {
            Some(Reason::TooLate)
        } else if apart().any(|(_, to)| to > message.at)
            && self.vanished_since(message) > self.profile.get(Knob::Devices)
        {
            Some(Reason::Crowded)
        } else if page.anonymous_claims || (page.is_exact && message.done_by.contains(&page.uuid)) {
            Some(Reason::SharedUuid)
        } else if page.excused.iter().any(|at| *at >= message.at) || page.outside(message.at) {
            Some(Reason::NotAuthorized)
        } else {
            None
        }
    }

    /// After everything was healed: every Must arrived, every statement was answered, nothing is owed any more.
    pub fn finish(&self) -> Result<(), Failure> {
        if let Some(due) = self.due.first() {
            return wrong("unanswered", format!("{due:?}"));
        }
        if let Some(wanted) = self.wanted.first() {
            return wrong("missing frame", format!("{wanted:?}"));
        }
        for (n, message) in self.private.iter().enumerate() {
            if message.fate == Fate::Owed {
                return wrong(
                    "stuck",
                    format!("after all faults ended nobody acknowledged {message:?}"),
                );
            }
            let must = message.acknowledged && message.fate == Fate::Paid;
            if must && message.seen_by.is_empty() {
                return wrong("lost", format!("no page ever saw {message:?}"));
            }
            for &page in &message.owed_to {
                let seen = message.seen_by.iter().any(|(seer, _)| *seer == page);
                let Some(page_state) = self.pages.get(page) else {
                    continue;
                };
                if !seen && self.excuse_of(page_state, n).is_none() {
                    return wrong(
                        "lost",
                        format!("page {page} ({page_state:?}) never saw {message:?}"),
                    );
                }
            }
        }
        Ok(())
    }
}
