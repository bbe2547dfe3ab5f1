//! Pages and their sockets (protocol.md 2.7).

use comet_core::CloseCause;

use super::{Coming, World};
use crate::browser::{Change, Command};
use crate::fault::Fault;
use crate::model::Failure;
use crate::names;
use crate::network::{Down, Link, ServerSide, Up};
use crate::prng::Prng;
use crate::profile::Knob;
use crate::seen::Seen;

/// How a page lets go of its socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Parting {
    /// The stream ends orderly.
    End,
    /// Reset: what is under way may be lost.
    Reset,
    /// Nobody tells the server.
    Silent,
    /// The server learns of it after so many milliseconds.
    Late(u64),
}

impl World {
    /// A new socket; `key` decides its luck.
    pub(super) fn new_link(&mut self, tab: Option<usize>, page: usize, key: u64) -> usize {
        let number = self.links.len() as u64;
        let rng = Prng::keyed(self.profile.seed ^ 0x11_2233, number << 8 ^ key);
        let (latency, jitter) = (self.profile.get(Knob::Latency), self.profile.get(Knob::Jitter));
        let (latency, jitter) = if self.calm { (0, 0) } else { (latency, jitter) };
        self.links
            .push(Link::new(tab, page, self.life, rng, latency, jitter));
        self.links.len() - 1
    }

    /// Plans the next connection attempt of a tab.
    pub(super) fn connect_in(&mut self, tab: usize, us: u64) {
        let state = &mut self.tabs[tab];
        state.attempts += 1;
        let (attempt, at) = (state.attempts, (self.now + us).max(state.asleep_until));
        self.plan(at, Coming::Connect { tab, attempt });
    }

    /// A page connects.
    pub(super) fn connect(&mut self, tab: usize, attempt: u64) {
        let state = &self.tabs[tab];
        if !state.open || state.link.is_some() || state.attempts != attempt {
            return;
        }
        if self.core.is_none() {
            self.connect_in(tab, 1_000_000);
            return;
        }
        let page = state.page;
        let link = self.new_link(Some(tab), page, tab as u64);
        self.tabs[tab].link = Some(link);
        let at = self.now + self.links[link].delay();
        self.plan(at, Coming::Handshake { link });
    }

    /// A page notices that its socket is gone, and reconnects (2.4).
    pub(super) fn lost(&mut self, index: usize) {
        let link = &mut self.links[index];
        link.held = false;
        let sent_away = link.sent_away;
        let Some(tab) = link.tab else { return };
        if self.tabs[tab].link == Some(index) {
            self.tabs[tab].link = None;
            self.tabs[tab].exact.disconnected();
            let delay = if sent_away {
                10_000_000
            } else if self.tabs[tab].greeted {
                1_000_000
            } else {
                300_000
            };
            self.connect_in(tab, delay);
        }
    }

    /// A page lets go of its socket.
    pub(super) fn part(&mut self, tab: usize, how: Parting) {
        let Some(index) = self.tabs[tab].link.take() else {
            return;
        };
        self.tabs[tab].exact.disconnected();
        let (now, ping) = (self.now, self.profile.get(Knob::PingInterval));
        let link = &mut self.links[index];
        link.held = false;
        match how {
            Parting::End => {
                let due = link.send_up(now, Up::End);
                self.plan(due, Coming::Up { link: index });
            }
            Parting::Reset => {
                self.faults.add(Fault::SocketReset);
                if link.luck().percent(50) {
                    link.up.clear();
                }
                self.server_learns(index, CloseCause::Io, 0);
            }
            Parting::Silent => {
                self.faults.add(Fault::SocketSilent);
                link.cut = true;
                let silence = link.heard + ping * 2_500_000;
                self.server_learns(index, CloseCause::Silent, silence.saturating_sub(now));
            }
            Parting::Late(ms) => self.server_learns(index, CloseCause::Peer, ms * 1000),
        }
    }

    /// A socket dies silently; the page notices after `us`, if ever.
    pub(super) fn cut(&mut self, index: usize, us: Option<u64>) {
        let (now, ping) = (self.now, self.profile.get(Knob::PingInterval));
        let link = &mut self.links[index];
        if link.cut {
            return;
        }
        link.cut = true;
        let silence = link.heard + ping * 2_500_000;
        self.faults.add(Fault::SocketSilent);
        self.server_learns(index, CloseCause::Silent, silence.saturating_sub(now));
        if let Some(us) = us {
            self.plan(now + us, Coming::Lost { link: index });
        }
    }

    /// A page sends a command, if it has a socket.
    pub(super) fn command(&mut self, tab: usize, command: Command) {
        let Some(index) = self.tabs[tab].link else { return };
        let number = self.number(tab, &command);
        self.send_up(index, Up::Command(number, command));
    }

    pub(super) fn send_up(&mut self, index: usize, up: Up) {
        let now = self.now;
        let link = &mut self.links[index];
        if link.cut || link.server == ServerSide::Coming {
            return;
        }
        let due = link.send_up(now, up);
        self.plan(due, Coming::Up { link: index });
    }

    /// Something arrives at a page.
    pub(super) fn arrived_down(&mut self, index: usize) -> Result<(), Failure> {
        let now = self.now;
        let link = &mut self.links[index];
        if now < link.paused_until && link.held {
            let at = link.paused_until;
            self.plan(at, Coming::Down { link: index });
            return Ok(());
        }
        if !link.held {
            link.paused_until = 0;
        }
        let Some(down) = link.take_down(now) else {
            return Ok(());
        };
        if link.down.front().is_some_and(|(due, _)| *due <= now) {
            self.plan(now, Coming::Down { link: index });
        }
        let link = &self.links[index];
        let Some(tab) = link.tab else { return Ok(()) };
        if link.cut || !link.held || self.tabs[tab].page != link.page {
            return Ok(());
        }
        if let Down::Frame(told, _) = &down
            && let Seen::Private { view, .. } = &told.seen
            && let Some(n) = names::number_in(view)
        {
            self.recorder.received(n);
        }
        match down {
            Down::Frame(told, _) if self.is_exact(tab) => self.exact_page_got(tab, index, &told),
            Down::Frame(told, _) => self.page_got(tab, index, &told.seen),
            Down::Ping(payload) => {
                self.send_up(index, Up::Pong(payload));
                Ok(())
            }
            Down::End => {
                self.lost(index);
                Ok(())
            }
        }
    }

    fn page_got(&mut self, tab: usize, index: usize, seen: &Seen) -> Result<(), Failure> {
        let now = self.now;
        let version = self.browsers[self.tabs[tab].browser].version;
        let state = &mut self.tabs[tab];
        match seen {
            Seen::Info { authorized, .. } => {
                state.greeted = true;
                state.authorized = *authorized;
                if !state.wants.is_empty() {
                    let command = Command::Subscribe(Change::Replace, state.wants.clone());
                    self.send_up(index, Up::Command(None, command));
                }
            }
            Seen::Private { id, view, .. } => {
                let page = state.page;
                if state.fresh(id, now, version)
                    && let Some(n) = names::number_in(view)
                {
                    return self.model.page_saw(page, n, self.awake());
                }
            }
            Seen::Message { .. }
            | Seen::History { .. }
            | Seen::Status { .. }
            | Seen::Track { .. }
            | Seen::Report { .. }
            | Seen::Count { .. }
            | Seen::Users { .. }
            | Seen::Data { .. }
            | Seen::Last { .. }
            | Seen::Error { .. }
            | Seen::ErrorReport { .. }
            | Seen::Fatal { .. }
            | Seen::Outcome { .. }
            | Seen::Refused { .. }
            | Seen::Subscribed { .. }
            | Seen::HistoryEnd { .. }
            | Seen::Done { .. } => {}
        }
        Ok(())
    }
}
