//! Pages of version 5 (docs/protocol-v5.md): they number their commands, send again what they know no outcome of, and
//! acknowledge a private message when its handler has run, which takes time, or never ends.

use comet_core::MessageId;

use super::{Coming, World};
use crate::browser::{Change, Command, Message, Version};
use crate::fault::Fault;
use crate::model::{Failure, wrong};
use crate::names;
use crate::network::Up;
use crate::profile::Knob;
use crate::seen::{Seen, Told};

/// More messages than this do not wait in one page.
const OUTBOX_MAX: usize = 20;
/// A page waits so long before it sends again what the server could not store, ms.
const RESEND_MS: u64 = 3_000;

impl World {
    pub(super) fn is_exact(&self, tab: usize) -> bool {
        self.browsers[self.tabs[tab].browser].version == Version::V5
    }

    /// The number of a command. Some go without, and an old page that tries one is not understood.
    pub(super) fn number(&mut self, tab: usize, command: &Command) -> Option<u64> {
        if !self.is_exact(tab) {
            let tries = *command == Command::Statistics && self.messages.is_multiple_of(2);
            return tries.then_some(7);
        }
        let number = self.next_number(tab);
        (!number.is_multiple_of(8) && command.takes_number()).then_some(number)
    }

    fn next_number(&mut self, tab: usize) -> u64 {
        let exact = &mut self.tabs[tab].exact;
        exact.numbers += 1;
        exact.numbers
    }

    /// How a step changes the channels of a page, which it remembers for the next connection.
    pub(super) fn change_wants(&mut self, tab: usize, serial: u64, names: &[String]) -> Change {
        let exact = self.is_exact(tab);
        let wants = &mut self.tabs[tab].wants;
        match serial % 3 {
            0 if exact => {
                let new = names.iter().filter(|name| !wants.contains(name));
                let new: Vec<_> = new.cloned().collect();
                wants.extend(new);
                Change::Add
            }
            1 if exact => {
                wants.retain(|name| !names.contains(name));
                Change::Remove
            }
            // Old pages do not have it and are told so.
            0 if serial.is_multiple_of(5) => Change::Add,
            _ => {
                *wants = names.to_vec();
                Change::Replace
            }
        }
    }

    /// A page sends a message; `kind` is that of its send key.
    pub(super) fn send_exactly(&mut self, tab: usize, mut message: Message, kind: u64) {
        let page = self.tabs[tab].page;
        message.key = match kind % 16 {
            0 | 1 => None,
            2 => Some("short".to_owned()),
            // The same as others, here or elsewhere: not the same message, unless all the rest is the same.
            3 | 4 => Some(format!("shared-key-{}", kind % 2)),
            _ => Some(format!("page{page}-number{}", message.n)),
        };
        self.tabs[tab].exact.latest = Some(message.clone());
        self.enqueue(tab, message);
    }

    /// A page sends its newest message once more, for no reason.
    pub(super) fn send_again(&mut self, tab: usize) {
        if let Some(message) = self.tabs[tab].exact.latest.clone()
            && message.send_key().is_some()
        {
            self.enqueue(tab, message);
        }
    }

    fn enqueue(&mut self, tab: usize, message: Message) {
        let outbox = &mut self.tabs[tab].exact.outbox;
        if outbox.len() < OUTBOX_MAX {
            outbox.push((message, None));
            self.flush_outbox(tab);
        }
    }

    /// Sends what is not on its way.
    pub(super) fn flush_outbox(&mut self, tab: usize) {
        let state = &mut self.tabs[tab];
        let (Some(index), exact) = (state.link.filter(|_| state.exact.ready), &mut state.exact) else {
            return;
        };
        let mut leaving = Vec::new();
        for (message, number) in exact.outbox.iter_mut().filter(|(_, number)| number.is_none()) {
            exact.numbers += 1;
            *number = Some(exact.numbers);
            leaving.push((*number, Command::Send(message.clone())));
        }
        for (number, command) in leaving {
            self.send_up(index, Up::Command(number, command));
        }
    }

    /// Something arrives at a page of version 5.
    pub(super) fn exact_page_got(&mut self, tab: usize, index: usize, told: &Told) -> Result<(), Failure> {
        match &told.seen {
            Seen::Info { authorized, .. } => {
                self.page_opened(tab, *authorized);
                Ok(())
            }
            Seen::Private { id, view, .. } => {
                if let Some(n) = names::number_in(view) {
                    self.private_came(tab, index, id, n);
                }
                Ok(())
            }
            Seen::Message { id, view, .. } | Seen::History { id, view, .. } => {
                self.page_reads(tab, id.as_deref(), view)
            }
            Seen::Outcome { failed, .. } => {
                self.outcome(tab, told.re, !failed);
                Ok(())
            }
            Seen::Refused { code } => {
                self.outcome(tab, told.re, code != "store_unavailable");
                Ok(())
            }
            Seen::Status { .. }
            | Seen::Track { .. }
            | Seen::Report { .. }
            | Seen::Count { .. }
            | Seen::Users { .. }
            | Seen::Data { .. }
            | Seen::Last { .. }
            | Seen::Error { .. }
            | Seen::ErrorReport { .. }
            | Seen::Fatal { .. }
            | Seen::Subscribed { .. }
            | Seen::HistoryEnd { .. }
            | Seen::Done { .. } => Ok(()),
        }
    }

    fn page_opened(&mut self, tab: usize, authorized: bool) {
        let state = &mut self.tabs[tab];
        state.greeted = true;
        state.authorized = authorized;
        state.exact.ready = true;
        let wants = state.wants.clone();
        if !wants.is_empty() {
            self.command(tab, Command::Subscribe(Change::Replace, wants));
        }
        self.flush_outbox(tab);
    }

    /// A send has a result; if it is not the last word, it is sent again.
    fn outcome(&mut self, tab: usize, re: Option<u64>, is_last: bool) {
        let page = self.tabs[tab].page;
        let outbox = &mut self.tabs[tab].exact.outbox;
        let Some(at) = outbox
            .iter()
            .position(|(_, number)| number.is_some() && *number == re)
        else {
            return;
        };
        if is_last || outbox[at].0.send_key().is_none() {
            outbox.remove(at);
        } else {
            outbox[at].1 = None;
            self.plan(self.after_ms(RESEND_MS), Coming::Resend { tab, page });
        }
    }

    /// A channel message, live or from the history: what has been here before is dropped by its id.
    fn page_reads(&mut self, tab: usize, id: Option<&str>, view: &str) -> Result<(), Failure> {
        let read = &mut self.tabs[tab].exact.read;
        if let Some(id) = id {
            if read.iter().any(|known| known == id) {
                return Ok(());
            }
            read.push(id.to_owned());
        }
        let page = self.tabs[tab].page;
        names::number_in(view).map_or(Ok(()), |n| self.model.page_read(page, n))
    }

    fn private_came(&mut self, tab: usize, index: usize, id: &str, n: u64) {
        let now = self.now;
        let state = &mut self.tabs[tab];
        state.exact.owed.push_back(id.to_owned());
        let runs = state.exact.running.iter().any(|(running, _)| running == id);
        if runs || !state.fresh(id, now, Version::V5) {
            self.acknowledge(tab);
            return;
        }
        state.exact.running.push((id.to_owned(), n));
        let page = state.page;
        let (longest, hangs) = (self.profile.get(Knob::Handler), self.profile.get(Knob::Hangs));
        let luck = self.links[index].luck();
        let (takes, hangs) = (luck.below(longest * 1000 + 1), luck.percent(hangs));
        // A Pong that nobody asked for, and an acknowledgement of nothing: they mean nothing.
        let stray = (luck.percent(5), luck.percent(3));
        if let Some(MessageId(payload)) = MessageId::parse(id).filter(|_| stray.0) {
            self.send_up(index, Up::Pong(payload));
        }
        if stray.1 {
            let invented = self.strange_id(tab, n);
            self.send_up(index, Up::Command(None, Command::Ack(invented)));
        }
        if !hangs || self.calm {
            let at = now + if self.calm { 0 } else { takes };
            let id = id.to_owned();
            self.plan(at, Coming::Handled { tab, page, id });
        } else {
            self.faults.add(Fault::HandlerHangs);
        }
    }

    /// The handler of a private message comes to its end, unless the page was closed before. Nothing runs while the
    /// computer sleeps.
    pub(super) fn handled(&mut self, tab: usize, page: usize, id: &str) -> Result<(), Failure> {
        let (now, state) = (self.now, &mut self.tabs[tab]);
        let at = state.exact.running.iter().position(|(running, _)| running == id);
        let Some(at) = at.filter(|_| state.page == page) else {
            return Ok(());
        };
        if state.asleep_until > now {
            let (at, id) = (state.asleep_until, id.to_owned());
            self.plan(at, Coming::Handled { tab, page, id });
            return Ok(());
        }
        let (_, n) = state.exact.running.remove(at);
        self.model.page_saw(page, n, self.awake())?;
        self.acknowledge(tab);
        Ok(())
    }

    /// Acknowledges what is handled, in the order in which it came.
    fn acknowledge(&mut self, tab: usize) {
        if let Some(id) = self.tabs[tab].exact.handled() {
            let number = self.next_number(tab);
            let number = number.is_multiple_of(3).then_some(number);
            let Some(index) = self.tabs[tab].link else { return };
            let before = self.tabs[tab].exact.acknowledged.replace(id.clone());
            // Acknowledged before, on the same connection: means nothing any more.
            if let Some(before) = before.filter(|_| self.links[index].luck().percent(20)) {
                self.send_up(index, Up::Command(None, Command::Ack(before)));
            }
            self.send_up(index, Up::Command(number, Command::Ack(id)));
        }
    }

    /// The id of an acknowledgement that must mean nothing: invented, malformed, or somebody else's.
    pub(super) fn strange_id(&self, tab: usize, kind: u64) -> String {
        let own = &self.browsers[self.tabs[tab].browser];
        let foreign = self.tabs.iter().find_map(|other| {
            let browser = &self.browsers[other.browser];
            let stranger = (browser.dev, browser.user) != (own.dev, own.user);
            other.memory.last().filter(|_| stranger)
        });
        match (kind % 3, foreign) {
            (0, _) => "01890000-0000-7000-8000-000000000001".to_owned(),
            (1, Some((id, _))) => id.clone(),
            _ => "nonsense".to_owned(),
        }
    }

    /// No handler hangs any more.
    pub(super) fn wake_handlers(&mut self) {
        for tab in 0..self.tabs.len() {
            let page = self.tabs[tab].page;
            for (id, _) in self.tabs[tab].exact.running.clone() {
                self.plan(self.now, Coming::Handled { tab, page, id });
            }
        }
    }

    /// Whatever an open page sent has its outcome.
    pub(super) fn nothing_unsent(&self) -> Result<(), Failure> {
        let open = self.tabs.iter().filter(|tab| tab.open && tab.exact.ready);
        match open.flat_map(|tab| &tab.exact.outbox).next() {
            Some(message) => wrong("stuck", format!("no outcome of {message:?}")),
            None => Ok(()),
        }
    }
}
