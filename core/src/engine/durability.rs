//! Write first, then acknowledge: who waits for which record (design: an acknowledgement waits for `Persisted`, live
//! delivery does not).
//!
//! When writing fails, the statements of the failed attempt are answered 500 and nothing new is accepted until the
//! store has caught up; it keeps the failed records in order and tries again, so what is in memory and what reaches
//! the disk never diverge.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::Core;
use crate::action::{Action, Answer, Reply};
use crate::error::{ErrorCode, QueryError};
use crate::id::{ConnId, DevId, MessageId, OpId, RequestId, SessionId};
use crate::name::{Body, ChannelName};
use crate::record::Record;
use crate::recording::redact::Redactor;
use crate::state::{Category, Usage, cost, shrink, text};
use crate::wire::{BadReason, CommandNumber, FrameBody};

/// The numbering of records and the list of those who wait.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Durability {
    last: OpId,
    persisted: OpId,
    /// The newest record of a failed attempt that is not on disk yet.
    failed: Option<OpId>,
    waiting: VecDeque<Waiting>,
}

/// Who waits for which record.
#[derive(Debug, Serialize, Deserialize)]
struct Waiting {
    op: OpId,
    /// Whose memory it takes.
    dev: DevId,
    waiter: Waiter,
}

/// Somebody who is told when a record is safe.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Waiter {
    /// A statement.
    Reply {
        session: SessionId,
        req: RequestId,
        answer: Answer,
        in_transaction: bool,
    },
    /// A delivery report, for good and for bad.
    Report(Report),
}

impl Waiter {
    /// What it takes while it waits.
    fn usage(&self) -> Usage {
        let texts = match self {
            Self::Reply { .. } => 0,
            Self::Report(report) => {
                let body = report.body.as_ref().map_or(0, |body| text(body.as_str().len()));
                text(report.channel.as_str().len()) + body
            }
        };
        Usage::new(1, cost::WAITING + texts)
    }
}

/// What F9 tells.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) conn: ConnId,
    pub(crate) number: Option<CommandNumber>,
    pub(crate) channel: ChannelName,
    pub(crate) receivers: u64,
    /// Kept for those who are told it: a page of version 5 may send again and again, while the disk stalls, what nobody
    /// may refuse.
    pub(crate) body: Option<Body>,
    pub(crate) id: Option<MessageId>,
    /// The message had been accepted before (protocol-v5.md 3).
    pub(crate) repeated: bool,
}

impl Durability {
    /// Numbers a record and asks for it to be written.
    pub(crate) fn persist(&mut self, record: Record, out: &mut Vec<Action>) -> OpId {
        self.last = OpId(self.last.0 + 1);
        out.push(Action::Persist {
            op: self.last,
            record,
        });
        self.last
    }

    /// Tells the waiter when the record is safe.
    fn wait(&mut self, op: OpId, dev: DevId, waiter: Waiter) {
        assert!(
            op <= self.last && op > self.persisted,
            "waits for a record that was never written"
        );
        assert!(
            self.waiting.back().is_none_or(|last| last.op <= op),
            "waiters out of order"
        );
        self.waiting.push_back(Waiting { op, dev, waiter });
    }

    /// Replaces the texts of those who wait.
    pub(crate) fn replace_texts(&mut self, with: &Redactor) {
        for Waiting { waiter, .. } in &mut self.waiting {
            match waiter {
                Waiter::Report(report) => {
                    if let Some(body) = &mut report.body {
                        with.body(body);
                    }
                }
                // A statement that waits for the disk brings no rows.
                Waiter::Reply { .. } => {}
            }
        }
    }

    /// The newest record.
    pub(crate) const fn newest(&self) -> OpId {
        self.last
    }

    /// How many wait for a record.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// True if the record is on disk.
    pub(crate) fn is_safe(&self, op: OpId) -> bool {
        op <= self.persisted
    }

    /// True while writes work.
    pub(crate) const fn is_healthy(&self) -> bool {
        self.failed.is_none()
    }

    fn take_waiting(&mut self, upto: OpId) -> Vec<Waiting> {
        let count = self.waiting.partition_point(|waiting| waiting.op <= upto);
        let taken = self.waiting.drain(..count).collect();
        shrink(&mut self.waiting);
        taken
    }

    /// What each waiter of a tenant takes.
    pub(super) fn usages(&self, dev: DevId) -> impl Iterator<Item = Usage> {
        let waiting = self.waiting.iter().filter(move |waiting| waiting.dev == dev);
        waiting.map(|waiting| waiting.waiter.usage())
    }

    /// Asserts the invariants.
    pub(crate) fn check(&self) {
        assert!(self.persisted <= self.last, "more was written than made");
        assert!(
            self.waiting.iter().is_sorted_by_key(|waiting| waiting.op),
            "waiters out of order"
        );
        assert!(
            self.waiting.front().is_none_or(|first| first.op > self.persisted),
            "an acknowledgement is overdue"
        );
        assert!(
            self.failed.is_none_or(|failed| failed > self.persisted),
            "failed and written"
        );
    }
}

impl Core {
    /// Tells the waiter of a tenant when the record is safe.
    pub(super) fn wait_for(&mut self, op: OpId, dev: DevId, waiter: Waiter) {
        self.tenants
            .charge(dev, Category::Waiting, Usage::NONE, waiter.usage());
        self.durability.wait(op, dev, waiter);
    }

    fn take_waiting(&mut self, upto: OpId) -> Vec<Waiter> {
        let taken = self.durability.take_waiting(upto);
        for Waiting { dev, waiter, .. } in &taken {
            self.tenants
                .charge(*dev, Category::Waiting, waiter.usage(), Usage::NONE);
        }
        taken.into_iter().map(|waiting| waiting.waiter).collect()
    }

    /// Everything up to `upto` is on disk: acknowledge it.
    pub(super) fn persisted(&mut self, upto: OpId, out: &mut Vec<Action>) {
        assert!(
            upto <= self.durability.last,
            "the store wrote what was never made"
        );
        let before = self.durability.persisted;
        self.journal.note_stored(self.now.unix, before, upto);
        self.durability.persisted = before.max(upto);
        for waiter in self.take_waiting(upto) {
            match waiter {
                Waiter::Reply {
                    session,
                    req,
                    answer,
                    in_transaction,
                } => {
                    out.push(Action::Reply {
                        session,
                        req,
                        reply: Reply {
                            result: Ok(answer),
                            in_transaction,
                        },
                    });
                }
                Waiter::Report(report) => self.report(&report, None, out),
            }
        }
        if self.durability.failed.is_some_and(|failed| failed <= upto) {
            self.durability.failed = None;
            self.save_presence(out);
            out.push(Action::Ready(true));
        }
    }

    /// The attempt to write the records up to `upto` failed: whoever waits for them is told so.
    pub(super) fn persist_failed(&mut self, upto: OpId, out: &mut Vec<Action>) {
        assert!(
            upto <= self.durability.last,
            "the store failed at what was never made"
        );
        if upto <= self.durability.persisted {
            return;
        }
        if self.durability.is_healthy() {
            out.push(Action::Ready(false));
        }
        // Told once of each message: a disk that refuses for a day must not fill the journal.
        let told = self.durability.failed.unwrap_or(self.durability.persisted);
        self.journal.note_not_stored(self.now.unix, told, upto);
        self.durability.failed = self.durability.failed.max(Some(upto));
        for waiter in self.take_waiting(upto) {
            match waiter {
                Waiter::Reply {
                    session,
                    req,
                    answer: _,
                    in_transaction,
                } => {
                    let result = Err(STORE_FAILED);
                    out.push(Action::Reply {
                        session,
                        req,
                        reply: Reply {
                            result,
                            in_transaction,
                        },
                    });
                }
                Waiter::Report(report) => self.report(&report, Some(BadReason::StoreUnavailable), out),
            }
        }
    }

    /// F9, as the result of a numbered command.
    pub(super) fn report(&mut self, report: &Report, error: Option<BadReason>, out: &mut Vec<Action>) {
        let body = FrameBody::Report {
            channel: report.channel.as_str(),
            receivers: report.receivers,
            body: report.body.as_ref().map_or("", Body::as_str),
            id: report.id,
            error,
            repeated: report.repeated,
        };
        self.answer(report.conn, report.number, body, out);
    }
}

/// What a statement is told when the store does not take it.
pub(super) const STORE_FAILED: QueryError =
    QueryError::new(ErrorCode::Internal, "the server cannot store changes at present");
