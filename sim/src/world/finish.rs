//! After the script: the faults stop, everything is healed, and every Must has to arrive.

use comet_core::{CloseCause, Durable, DurableTenant, DurableUser};

use super::{Coming, World};
use crate::backend::{Ask, Look};
use crate::browser::{Browser, Credentials, Version};
use crate::model::{Failure, wrong};
use crate::names;
use crate::network::ServerSide;
use crate::profile::Knob;

impl World {
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        self.heal()?;
        self.run_until(self.after_ms(8_000))?;
        self.restore_keys()?;
        self.run_until(self.after_ms(5_000))?;
        self.reunite();
        let patience_s = 2 * self.profile.get(Knob::Grace) + 60;
        self.run_until(self.after_ms(patience_s * 1000))?;
        for session in 0..self.sessions.len() {
            for user in 1..=self.profile.get(Knob::Users) as u32 {
                self.submit(session, Ask::Look(Look::Queue { user }))?;
            }
            for channel in 0..names::WRITABLE {
                let channel = names::channel(channel).to_owned();
                self.submit(session, Ask::Look(Look::History { channel }))?;
            }
        }
        self.run_until(self.after_ms(10_000))?;
        if let Some(core) = &self.core {
            core.check();
        }
        self.compare_durable()?;
        if let Some(core) = &self.core
            && !self.is_same(core.durable(), &self.disk.fold_all())
        {
            return wrong("durable", "the disk holds something else than the core");
        }
        self.model.check()?;
        self.model.check_facts()?;
        self.model.finish()?;
        self.nothing_unsent()?;
        self.leave_nothing()?;
        self.recorder.check(&self.profile)
    }

    /// Equal, but for `users_time` where it is not kept.
    pub(super) fn is_same(&self, core: &Durable, stored: &Durable) -> bool {
        if self.profile.get(Knob::SaveOnline) == 1 {
            return core == stored;
        }
        let rows = |durable: &Durable| -> Vec<String> {
            let mut rows = Vec::new();
            for (dev, tenant) in durable.tenants() {
                rows.push(format!("{dev:?} {:?} {:?}", tenant.channels, tenant.revoked));
                for (user, known) in &tenant.users {
                    if known.hash.is_some() || known.data.is_some() || !known.queue.is_empty() {
                        let (hash, data, queue) = (&known.hash, &known.data, &known.queue);
                        rows.push(format!("{dev:?} {user:?} {hash:?} {data:?} {queue:?}"));
                    }
                }
            }
            rows.retain(|row| !row.ends_with("{} {}"));
            rows
        };
        rows(core) == rows(stored)
    }

    /// Everybody leaves and takes everything along: then the server is as if nobody had ever been there.
    fn leave_nothing(&mut self) -> Result<(), Failure> {
        for tab in 0..self.tabs.len() {
            self.part(tab, super::pages::Parting::End);
            self.tabs[tab].open = false;
        }
        for session in 0..self.sessions.len() {
            self.session_end(self.life, self.sessions[session].id)?;
            self.open_session(session)?;
            for ask in self.everything_of(self.sessions[session].dev) {
                self.submit(session, ask)?;
            }
        }
        self.run_until(self.after_ms(2_000))?;
        self.model.check_facts()?;
        for session in 0..self.sessions.len() {
            let id = std::mem::take(&mut self.sessions[session].id);
            self.session_end(self.life, id)?;
        }
        let longest_ms = 1000
            * self
                .profile
                .get(Knob::Grace)
                .max(self.profile.get(Knob::SendMemoryMs) / 1000);
        self.run_until(self.after_ms(longest_ms + 5_000))?;
        let Some(core) = &self.core else { return Ok(()) };
        core.check();
        if let Some((what, count)) = core.held().iter().find(|(_, count)| *count > 0) {
            return wrong("left over", format!("nobody is there, but {count} {what} are"));
        }
        let kept = |tenant: &DurableTenant| {
            let user =
                |user: &DurableUser| user.hash.is_some() || user.data.is_some() || !user.queue.is_empty();
            let users = tenant.users.values().any(|known| user(known));
            users || !tenant.channels.is_empty() || !tenant.revoked.is_empty()
        };
        match core.durable().tenants().find(|(_, tenant)| kept(tenant)) {
            Some(left) => wrong("left over", format!("everything was deleted but {left:?}")),
            None => Ok(()),
        }
    }

    /// Statements that delete all that a tenant may have stored.
    fn everything_of(&self, dev: u32) -> Vec<Ask> {
        let mut asks = Vec::new();
        for user in 1..=self.profile.get(Knob::Users) as u32 + 1 {
            asks.extend([
                Ask::DelKey { user },
                Ask::DelData { user },
                Ask::DelQueue { user },
            ]);
            asks.extend((0..names::TOKENS).map(|version| Ask::Restore {
                token: names::token(dev, user, version),
            }));
        }
        for name in names::CHANNELS {
            let channel = name.to_owned();
            asks.extend([
                Ask::DelLength {
                    channel: channel.clone(),
                },
                Ask::DelHistory { channel },
            ]);
        }
        asks
    }

    /// No more faults; sockets that are dead are noticed as such by both sides.
    fn heal(&mut self) -> Result<(), Failure> {
        self.calm = true;
        self.crash = None;
        if self.profile.relax() {
            self.stop(0)?;
            self.model.relax();
            self.config = self.profile.config();
        }
        self.disk.fails_until = self.now;
        self.start_server()?;
        self.take_memory(self.life)?;
        for index in 0..self.links.len() {
            let now = self.now;
            let link = &mut self.links[index];
            link.calm();
            let (cut, held, stale) = (link.cut, link.held, link.life != self.life);
            let forgotten = !held && link.server == ServerSide::Open && link.tab.is_some();
            link.paused_until = link.paused_until.min(now);
            self.plan(now, Coming::Down { link: index });
            if cut || forgotten {
                self.server_learns(index, CloseCause::Silent, 0);
            }
            if held && (cut || stale) {
                self.plan(now, Coming::Lost { link: index });
            }
        }
        self.wake_handlers();
        for tab in 0..self.tabs.len() {
            self.tabs[tab].asleep_until = self.now;
            if self.tabs[tab].open && self.tabs[tab].link.is_none() {
                self.connect_in(tab, 1000);
            }
        }
        Ok(())
    }

    /// Every user gets his first key back.
    fn restore_keys(&mut self) -> Result<(), Failure> {
        for session in 0..self.sessions.len() {
            let dev = (session as u64 % self.profile.get(Knob::Devs)) as u32;
            self.session_end(self.life, self.sessions[session].id)?;
            self.sessions[session].dev = dev;
            self.open_session(session)?;
            for user in 1..=self.profile.get(Knob::Users) as u32 {
                self.submit(
                    session,
                    Ask::SetKey {
                        user,
                        hash: names::hash(dev, user, 0),
                    },
                )?;
            }
        }
        Ok(())
    }

    /// Every user has at least one page that is authorized; nobody who is connected is disturbed.
    fn reunite(&mut self) {
        for tab in 0..self.tabs.len() {
            let state = &mut self.tabs[tab];
            if state.open && !(state.authorized && state.link.is_some()) {
                state.credentials = Credentials::Hash(0);
                self.part(tab, super::pages::Parting::End);
                self.connect_in(tab, 100_000);
            }
        }
        let crowded = self.profile.get(Knob::Devices) < 16;
        for dev in 0..self.profile.get(Knob::Devs) as u32 {
            for user in 1..=self.profile.get(Knob::Users) as u32 {
                let has_tab = self.tabs.iter().any(|tab| {
                    let browser = &self.browsers[tab.browser];
                    tab.open && browser.dev == dev && browser.user == user
                });
                if !has_tab || crowded {
                    let uuid = format!("last-{dev}-{user}");
                    let version = if self.profile.get(Knob::V5) > 0 {
                        Version::V5
                    } else {
                        Version::V4
                    };
                    self.browsers.push(Browser {
                        dev,
                        user,
                        version,
                        uuid,
                        ip: None,
                    });
                    self.pages += 1;
                    let browser = self.browsers.len() - 1;
                    let tab = crate::browser::Tab::new(browser, self.pages, Credentials::Hash(0), Vec::new());
                    self.tabs.push(tab);
                    self.connect_in(self.tabs.len() - 1, 500_000);
                }
            }
        }
    }
}
