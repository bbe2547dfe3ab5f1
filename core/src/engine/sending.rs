//! What browsers send into channels (protocol.md 2.6.2), each message once (protocol-v5.md 3).

use alloc::vec::Vec;

use super::Core;
use super::channel::Publication;
use super::durability::{Report, Waiter};
use super::ids::Keyed;
use crate::action::Action;
use crate::id::{ConnId, DevId, MessageId, OpId, UserId};
use crate::name::{ChannelKind, ChannelName};
use crate::state::{Published, Timer};
use crate::wire::{BadReason, BadRequest, CommandNumber, Dialect, ErrorExtra, SendRequest};

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
        let (dev, user) = (state.dev, state.user);
        if let Err(reason) = self.may_send(dev, user, &request) {
            let bad = BadRequest {
                reason,
                extra: ErrorExtra::NumberMessages,
                report_to: Some(request.channel),
            };
            return self.reject(conn, number, bad, out);
        }
        let id = self.id_of(conn, &request);
        let known = id.and_then(|id| self.known_message(dev, &request.channel, id));
        let outcome = match known {
            Some(outcome) => outcome,
            None => self.accept_from_browser(conn, &request, id, out),
        };
        let report = Report {
            conn,
            number,
            channel: request.channel,
            receivers: outcome.receivers,
            id: outcome.id,
            body: request.body,
            repeated: known.is_some(),
        };
        self.report_when_safe(outcome.op, report, out);
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
        self.accepted.get(id).or_else(in_history)
    }

    fn accept_from_browser(
        &mut self,
        conn: ConnId,
        request: &SendRequest,
        id: Option<MessageId>,
        out: &mut Vec<Action>,
    ) -> Published {
        let (dev, user) = self
            .conns
            .get(conn)
            .map_or((DevId(0), None), |state| (state.dev, state.user));
        let message = Publication {
            dev,
            channel: &request.channel,
            event: &request.event,
            body: &request.body,
            sender: Some(user.filter(|_| !request.anonymous)),
            from: Some(conn),
            id,
        };
        let outcome = self.publish(&message, out);
        if let Some(id) = id {
            self.remember_accepted(id, outcome);
        }
        outcome
    }

    /// Live delivery does not wait for the disk, the report does.
    fn report_when_safe(&mut self, op: Option<OpId>, report: Report, out: &mut Vec<Action>) {
        match op.filter(|&op| !self.durability.is_safe(op)) {
            Some(op) => self.durability.wait_for_all(op, Waiter::Report(report)),
            None => self.report(&report, None, out),
        }
    }

    fn remember_accepted(&mut self, id: MessageId, outcome: Published) {
        let until = self.now.mono.plus_ms(self.config.send_memory_ms);
        let sleeping = self.accepted.next().is_none();
        self.accepted
            .remember(id, outcome, until, self.config.send_memory_max);
        if let Some(until) = self.accepted.next().filter(|_| sleeping) {
            self.timers.arm(until, Timer::SendMemory);
        }
    }

    /// The oldest accepted message is two minutes old.
    pub(super) fn forget_accepted(&mut self) {
        self.accepted.forget_until(self.now.mono);
        if let Some(next) = self.accepted.next() {
            self.timers.arm(next, Timer::SendMemory);
        }
    }

    fn may_send(&self, dev: DevId, user: Option<UserId>, request: &SendRequest) -> Result<(), BadReason> {
        match request.channel.kind() {
            ChannelKind::Web => {}
            ChannelKind::WebAuth if request.anonymous => return Err(BadReason::ChannelRefused),
            ChannelKind::WebAuth if user.is_none() => return Err(BadReason::NotAuthorized),
            ChannelKind::WebAuth => {}
            ChannelKind::Plain
            | ChannelKind::Track
            | ChannelKind::Private
            | ChannelKind::Trust
            | ChannelKind::Msg
            | ChannelKind::Answer => return Err(BadReason::ChannelRefused),
        }
        if !self.durability.is_healthy() && self.history_length(dev, &request.channel) > 0 {
            return Err(BadReason::StoreUnavailable);
        }
        Ok(())
    }
}
