//! What browsers send into channels (protocol.md 2.6.2), each message once (protocol-v5.md 3).

use alloc::vec::Vec;

use super::Core;
use super::channel::Publication;
use super::durability::{Report, Waiter};
use super::ids::Keyed;
use crate::action::Action;
use crate::id::{ConnId, DevId, MessageId, OpId, UserId};
use crate::name::{ChannelKind, ChannelName};
use crate::state::{Accepted, Author, Category, Published, Timer, Usage};
use crate::wire::{BadReason, BadRequest, CommandNumber, Dialect, ErrorExtra, SendRequest};

/// Messages forgotten in one turn, so that nobody waits for it.
const FORGOTTEN_AT_ONCE: usize = 1024;
/// Time between two turns, milliseconds.
const FORGETTING_PAUSE_MS: u64 = 10;

/// Who sends.
struct Sender {
    conn: ConnId,
    dev: DevId,
    /// Proven.
    user: Option<UserId>,
}

impl Core {
    /// `web_pipe2` (S42, S43, S46): history, then F3 to the others, then F9 to the sender. A message that was accepted
    /// before is only reported.
    pub(super) fn send_from_browser(
        &mut self,
        conn: ConnId,
        number: Option<CommandNumber>,
        request: SendRequest,
        out: &mut Vec<Action>,
    ) {
        let Some(state) = self.conns.get(conn) else { return };
        let sender = Sender {
            conn,
            dev: state.dev,
            user: state.user,
        };
        let is_v5 = state.dialect == Dialect::V5;
        let id = self.id_of(conn, &request);
        let known = id.and_then(|id| self.known_message(sender.dev, &request.channel, id));
        let accepted = match known {
            Some(published) => {
                let by = self.page_of(conn, sender.user.filter(|_| !request.anonymous));
                self.note_repeated(sender.dev, &request.channel, id, by);
                Ok(published)
            }
            None => self
                .may_send(&sender, &request)
                .map(|()| self.accept_from_browser(&sender, &request, id, out)),
        };
        let outcome = match accepted {
            Ok(published) => published,
            Err(reason) => {
                self.count_refused(usize::from(reason == BadReason::ServerFull));
                self.statistics.refused.quota += u64::from(reason == BadReason::QuotaExceeded);
                let bad = BadRequest {
                    reason,
                    extra: ErrorExtra::NumberMessages,
                    report_to: Some(request.channel),
                };
                return self.reject(conn, number, bad, out);
            }
        };
        let report = Report {
            conn,
            number,
            channel: request.channel,
            receivers: outcome.receivers,
            id: outcome.id,
            body: Some(request.body).filter(|_| !is_v5),
            repeated: known.is_some(),
        };
        self.report_when_safe(sender.dev, outcome.op, report, out);
    }

    /// The id a send key makes. Only V5 has send keys.
    fn id_of(&self, conn: ConnId, request: &SendRequest) -> Option<MessageId> {
        let state = self.conns.get(conn)?;
        let key = request.key.as_ref().filter(|_| state.dialect == Dialect::V5)?;
        let keyed = Keyed {
            dev: state.dev,
            user: state.user,
            uuid: &state.uuid,
            channel: &request.channel,
            key,
        };
        Some(keyed.id())
    }

    /// What became of a message that was accepted before, as far as somebody remembers.
    fn known_message(&self, dev: DevId, channel: &ChannelName, id: MessageId) -> Option<Published> {
        let in_history = || {
            let stored = self.durable.channel(dev, channel)?;
            // Which record it was is forgotten; the newest is not older.
            let outcome = Published {
                receivers: 0,
                op: Some(self.durability.newest()),
                id: Some(id),
            };
            stored
                .history
                .iter()
                .any(|message| message.id == id)
                .then_some(outcome)
        };
        self.accepted.get(id, self.now.mono).or_else(in_history)
    }

    fn accept_from_browser(
        &mut self,
        from: &Sender,
        request: &SendRequest,
        id: Option<MessageId>,
        out: &mut Vec<Action>,
    ) -> Published {
        let author = Author::Page(self.page_of(from.conn, from.user.filter(|_| !request.anonymous)));
        let message = Publication {
            dev: from.dev,
            channel: &request.channel,
            event: &request.event,
            body: &request.body,
            sender: Some(from.user.filter(|_| !request.anonymous)),
            from: Some(from.conn),
            author,
            id,
        };
        let mut outcome = self.publish(&message, out);
        outcome.op = outcome.op.or_else(|| self.unsafe_end_of_history(from.dev));
        if let Some(id) = id {
            self.remember_accepted(from.dev, id, outcome);
        }
        outcome
    }

    /// Live delivery does not wait for the disk, the report does.
    fn report_when_safe(&mut self, dev: DevId, op: Option<OpId>, report: Report, out: &mut Vec<Action>) {
        match op.filter(|&op| !self.durability.is_safe(op)) {
            // What was made since is waited for, too: in the middle of a long line there is no place at a bounded price.
            Some(_) => self.wait_for(self.durability.newest(), dev, Waiter::Report(report)),
            None => self.report(&report, None, out),
        }
    }

    fn remember_accepted(&mut self, dev: DevId, id: MessageId, outcome: Published) {
        let until = self.now.mono.plus_ms(self.config.send_memory_ms);
        let sleeping = self.accepted.next().is_none();
        let max = self.config.send_memory_max;
        self.tenants
            .charge(dev, Category::Sends, Usage::NONE, Accepted::EACH);
        if let Some(forgotten) = self.accepted.remember(dev, id, outcome, until, max) {
            self.give_back_send(forgotten);
        }
        if let Some(until) = self.accepted.next().filter(|_| sleeping) {
            self.timers.arm(until, Timer::SendMemory);
        }
    }

    /// The oldest accepted message is two minutes old. Not too many are forgotten at once.
    pub(super) fn forget_accepted(&mut self) {
        for forgotten in self.accepted.forget_until(self.now.mono, FORGOTTEN_AT_ONCE) {
            self.give_back_send(forgotten);
        }
        if let Some(next) = self.accepted.next() {
            let soon = self.now.mono.plus_ms(FORGETTING_PAUSE_MS);
            self.timers.arm(next.max(soon), Timer::SendMemory);
        }
    }

    fn may_send(&self, from: &Sender, request: &SendRequest) -> Result<(), BadReason> {
        match request.channel.kind() {
            ChannelKind::Web => {}
            ChannelKind::WebAuth if request.anonymous => return Err(BadReason::ChannelRefused),
            ChannelKind::WebAuth if from.user.is_none() => return Err(BadReason::NotAuthorized),
            ChannelKind::WebAuth => {}
            ChannelKind::Plain
            | ChannelKind::Track
            | ChannelKind::Private
            | ChannelKind::Trust
            | ChannelKind::Msg
            | ChannelKind::Answer => return Err(BadReason::ChannelRefused),
        }
        let is_kept = self.history_length(from.dev, &request.channel) > 0;
        if self.is_full() || (is_kept && self.may_not_store()) {
            return Err(BadReason::ServerFull);
        }
        let waits = is_kept || self.unsafe_end_of_history(from.dev).is_some();
        if waits && !self.durability.is_healthy() {
            return Err(BadReason::StoreUnavailable);
        }
        if !self.has_room_in_history(from.dev, &request.channel, &request.body) {
            return Err(BadReason::QuotaExceeded);
        }
        Ok(())
    }
}
