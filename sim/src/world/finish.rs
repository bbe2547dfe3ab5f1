//! After the script: the faults stop, everything is healed, and every Must has to arrive.

use comet_core::{CloseCause, Durable};

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

    /// No more faults; sockets that are dead are noticed as such by both sides.
    fn heal(&mut self) -> Result<(), Failure> {
        self.calm = true;
        self.crash = None;
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
