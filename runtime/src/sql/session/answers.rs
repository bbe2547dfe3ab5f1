//! What the core answered, in the order of the statements, as bytes of the MySQL protocol.

use comet_core::cometql::Prepared;
use comet_core::{ErrorCode, Reply, RequestId};

use super::super::login::error_packet;
use super::super::reply;
use super::{OUTPUT_MAX, Session, Slot};

impl Session {
    /// Takes what the core has answered. True if something can be written.
    pub(super) fn take_replies(&mut self) -> bool {
        for (req, reply) in self.mailbox.take() {
            self.place(req, reply);
        }
        self.answer()
    }

    /// Puts a reply where it belongs; the core may answer a later statement first.
    fn place(&mut self, req: RequestId, reply: Reply) {
        if let Err(error) = &reply.result {
            self.shard.shared.metrics.query_error(error.code);
        }
        let index = req
            .0
            .checked_sub(self.first)
            .and_then(|index| usize::try_from(index).ok());
        match index.and_then(|index| self.slots.get_mut(index)) {
            Some(slot @ Slot::Waiting) => {
                self.rows_bytes += reply::bytes(&reply);
                *slot = Slot::Replied(reply);
            }
            Some(Slot::Replied(_) | Slot::Ignored | Slot::Prepared(_) | Slot::Statistics | Slot::Refused)
            | None => {}
        }
    }

    /// Turns what is ready into output. True: something was.
    fn answer(&mut self) -> bool {
        let mut any = false;
        while !self.is_full() || self.broken {
            if let Some(streaming) = &mut self.streaming {
                any = true;
                if !streaming.continue_until(&mut self.mysql, OUTPUT_MAX) {
                    break;
                }
                self.streaming = None;
                self.rows_bytes = 0;
            } else if !self.answer_next() {
                break;
            } else {
                any = true;
            }
            self.drop_output_if_broken();
        }
        if self.slots.is_empty() && self.streaming.is_none() {
            self.barrier = false;
        }
        any
    }

    fn answer_next(&mut self) -> bool {
        match self.slots.front() {
            None | Some(Slot::Waiting) => return false,
            Some(Slot::Replied(_) | Slot::Ignored | Slot::Prepared(_) | Slot::Statistics | Slot::Refused) => {
            }
        }
        let Some(slot) = self.slots.pop_front() else {
            return false;
        };
        self.first += 1;
        match slot {
            Slot::Waiting | Slot::Ignored => {}
            Slot::Replied(reply) => self.streaming = reply::begin(&mut self.mysql, reply),
            Slot::Prepared(statement) => {
                let bytes = statement.as_ref().map_or(0, Prepared::memory);
                match reply::prepared(&mut self.mysql, statement) {
                    Some((id, prepared)) => {
                        self.prepared.insert(id, prepared);
                    }
                    None => self.not_prepared(bytes),
                }
            }
            Slot::Statistics => self.mysql.statistics(&self.statistics()),
            Slot::Refused => self.mysql.error(&error_packet(ErrorCode::AccessDenied.into())),
        }
        true
    }

    fn statistics(&self) -> String {
        let metrics = &self.shard.shared.metrics;
        let uptime = self.shard.shared.clock.mono().micros() / 1_000_000;
        let (sessions, browsers) = (metrics.sessions.get(), metrics.connections.get());
        format!(
            "Uptime: {uptime}  Sessions: {sessions}  Browsers: {browsers}  Events: {}",
            metrics.events.get()
        )
    }

    pub(super) fn drop_output_if_broken(&mut self) {
        if self.broken {
            self.out.clear();
            drop(self.mysql.take_output());
        }
    }
}
