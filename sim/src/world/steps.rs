//! What each verb of a script does.

use comet_core::Event;

use super::pages::Parting;
use super::{Coming, World};
use crate::backend::{Ask, Look, NewMessage, NewPrivate};
use crate::browser::{Command, Credentials, Exact, Message, Tab};
use crate::console::Console;
use crate::fault::Fault;
use crate::model::{Cause, Failure};
use crate::names;
use crate::profile::Knob;
use crate::step::{Step, Verb};

/// How the server is to die.
#[derive(Clone, Copy, Debug)]
pub(super) struct CrashPlan {
    /// After so many of the next actions, modulo their number.
    pub actions: usize,
    /// Back after so long.
    pub down_ms: u64,
    /// The commit under way reached the disk.
    pub commit_finished: bool,
}

impl World {
    /// The index of the `a`-th open tab.
    fn tab(&self, a: u64) -> Option<usize> {
        let open: Vec<_> = (0..self.tabs.len()).filter(|tab| self.tabs[*tab].open).collect();
        if open.is_empty() {
            None
        } else {
            open.get(a as usize % open.len()).copied()
        }
    }

    pub(super) fn perform(&mut self, step: &Step) -> Result<(), Failure> {
        let Step { a, b, c, .. } = *step;
        match step.verb {
            Verb::Open => self.open_tab(a, b),
            Verb::Shut
            | Verb::Reload
            | Verb::Cut
            | Verb::Reset
            | Verb::Pause
            | Verb::Sleep
            | Verb::Rekey
            | Verb::Sub
            | Verb::Send
            | Verb::Again
            | Verb::Ask => {
                if let Some(tab) = self.tab(a) {
                    self.perform_tab(step, tab);
                }
            }
            Verb::Storm => self.storm(a, b),
            Verb::Intruder if self.core.is_some() => return self.intrude(a),
            Verb::Intruder => {}
            Verb::Die => return self.die(a, b),
            Verb::DiskFail => self.disk.fails_until = self.after_ms(a),
            Verb::Crash if self.core.is_some() => {
                self.crash = Some(CrashPlan {
                    actions: a as usize,
                    down_ms: b,
                    commit_finished: c % 2 == 1,
                });
            }
            Verb::Crash => {}
            Verb::Stop => return self.stop(a),
            Verb::Jump => {
                self.faults.add(Fault::ClockJump);
                let ms = a as i64;
                self.skew_ms += if b % 2 == 0 { ms } else { -ms };
            }
            Verb::Ticks => {
                for _ in 0..a {
                    self.feed(Event::Tick, &Cause::Tick)?;
                }
            }
            Verb::Private | Verb::Publish => return self.insert(step),
            Verb::SetKey
            | Verb::DelKey
            | Verb::Revoke
            | Verb::Restore
            | Verb::SetLength
            | Verb::DelLength
            | Verb::DelHistory
            | Verb::DelQueue
            | Verb::SetData
            | Verb::DelData
            | Verb::Select
            | Verb::Console
            | Verb::Use
            | Verb::DelMessage
            | Verb::Wrong
            | Verb::Transaction => return self.state(step),
            Verb::Health => return self.check_health(),
            Verb::Stall => return self.stall(a, b == 1),
        }
        Ok(())
    }

    /// A back end sends a statement.
    fn state(&mut self, step: &Step) -> Result<(), Failure> {
        let session = (step.a % self.sessions.len() as u64) as usize;
        let dev = self.sessions[session].dev;
        let ask = self.statement(step, dev);
        if let Ask::Use { dev: to } = ask
            && self.profile.get(Knob::QuotaSessions) > 0
        {
            // It may be refused, and whoever pipelined more would not know where he is.
            return self.visit(dev, to);
        }
        self.submit(session, ask)
    }

    pub(super) fn open_tab(&mut self, browser: u64, mask: u64) {
        if self.browsers.is_empty()
            || self.tabs.iter().filter(|tab| tab.open).count() as u64 >= self.profile.get(Knob::Tabs)
        {
            return;
        }
        let browser = (browser % self.browsers.len() as u64) as usize;
        let credentials = match browser % 6 {
            3 => Credentials::Token(0),
            4 if !self.calm => Credentials::Nobody,
            5 if !self.calm => Credentials::Wrong,
            _ => Credentials::Hash(0),
        };
        self.pages += 1;
        self.tabs
            .push(Tab::new(browser, self.pages, credentials, wants(mask)));
        self.connect_in(self.tabs.len() - 1, 1000);
    }

    /// All sockets die at once.
    fn storm(&mut self, how: u64, notice_ms: u64) {
        for tab in 0..self.tabs.len() {
            let Some(link) = self.tabs[tab].link else { continue };
            if how.is_multiple_of(2) {
                self.part(tab, Parting::Reset);
                self.connect_in(tab, 1_000_000);
            } else {
                self.cut(link, Some(notice_ms * 1000));
            }
        }
    }

    fn parting(how: u64, late_ms: u64) -> Parting {
        match how % 4 {
            0 => Parting::End,
            1 => Parting::Reset,
            2 => Parting::Silent,
            _ => Parting::Late(late_ms),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "`perform` names every verb and calls this for a group"
    )]
    fn perform_tab(&mut self, step: &Step, tab: usize) {
        let Step { b, c, .. } = *step;
        match step.verb {
            Verb::Shut => {
                self.faults.add(Fault::PageGone);
                self.part(tab, Self::parting(b % 3, 0));
                self.tabs[tab].open = false;
                self.tabs[tab].exact = Exact::default();
                self.model.page_over(self.tabs[tab].page);
            }
            Verb::Reload => {
                self.faults.add(Fault::PageGone);
                self.part(tab, Self::parting(c, b + 500));
                self.pages += 1;
                self.model.page_over(self.tabs[tab].page);
                let state = &mut self.tabs[tab];
                state.page = self.pages;
                state.memory.clear();
                state.exact = Exact::default();
                state.greeted = false;
                self.connect_in(tab, b * 1000);
            }
            Verb::Cut => {
                if let Some(link) = self.tabs[tab].link {
                    self.cut(link, (b > 0).then_some(b * 1000));
                }
            }
            Verb::Reset => {
                self.part(tab, Parting::Reset);
                self.connect_in(tab, 1_000_000);
            }
            Verb::Pause => {
                if let Some(link) = self.tabs[tab].link {
                    self.links[link].paused_until = self.after_ms(b);
                    self.faults.add(Fault::SlowReader);
                }
            }
            Verb::Sleep => {
                self.tabs[tab].asleep_until = self.after_ms(b);
                if let Some(link) = self.tabs[tab].link {
                    self.cut(link, Some(b * 1000));
                }
            }
            Verb::Rekey => {
                self.tabs[tab].credentials = Credentials::of(b, c);
                self.part(tab, Parting::End);
                self.connect_in(tab, 1_000_000);
            }
            Verb::Sub => {
                let mut names = wants(b);
                let change = self.change_wants(tab, step.serial, &names);
                names.extend(malformed(c).iter().map(|name| (*name).to_owned()));
                names.extend((c == 2).then(|| "x".repeat(65)));
                self.command(tab, Command::Subscribe(change, names));
            }
            Verb::Send => self.page_sends(step, tab),
            Verb::Again => self.send_again(tab),
            _ => self.page_asks(step, tab),
        }
    }

    fn page_sends(&mut self, step: &Step, tab: usize) {
        let Step { b, c, .. } = *step;
        self.messages += 1;
        let n = self.messages;
        let message = Message {
            n,
            channel: names::channel(b).to_owned(),
            anonymous: (c >> 5) % 5 == 0,
            event: names::event(c >> 3).to_owned(),
            body: names::body(c, n),
            key: None,
        };
        if self.is_exact(tab) {
            self.send_exactly(tab, message, c >> 8);
        } else {
            self.command(tab, Command::Send(message));
        }
    }

    fn page_asks(&mut self, step: &Step, tab: usize) {
        let Step { b, c, .. } = *step;
        let marker = if step.serial.is_multiple_of(5) {
            "undefined".to_owned()
        } else {
            format!("m{}", step.serial)
        };
        let channel = names::channel(c).to_owned();
        let user = 1 + (c % 5) as u32;
        let command = match b % 11 {
            0 | 1 => Command::History { channel, marker },
            2 => Command::Count { channel, marker },
            3 => Command::Users { channel, marker },
            4 => Command::Data { marker, user },
            5 => Command::Status { user },
            6 => Command::Statistics,
            7 => Command::Nonsense(c),
            8 => Command::History {
                channel: "trust_a".to_owned(),
                marker,
            },
            10 => Command::Ack(self.strange_id(tab, c)),
            _ => Command::Users {
                channel: "track_a".to_owned(),
                marker,
            },
        };
        self.command(tab, command);
    }

    /// A session dies with its statements in flight and comes back as another tenant.
    fn die(&mut self, a: u64, b: u64) -> Result<(), Failure> {
        let index = (a % self.sessions.len() as u64) as usize;
        if self.core.is_none() {
            return Ok(());
        }
        let session = &mut self.sessions[index];
        let (id, at) = (session.id, session.last_arrival);
        self.faults.add(Fault::SessionDied);
        let lost = std::mem::take(&mut session.unanswered);
        session.dev = (b % self.profile.get(Knob::Devs)) as u32;
        self.plan(
            at,
            Coming::SessionEnd {
                life: self.life,
                session: id,
            },
        );
        self.open_session(index)?;
        for (_, ask) in lost {
            self.try_again(index, ask);
        }
        Ok(())
    }

    /// An orderly stop: the last records are written, then the process ends.
    pub(super) fn stop(&mut self, down_ms: u64) -> Result<(), Failure> {
        if self.core.is_none() {
            return Ok(());
        }
        self.crash = None;
        self.faults.add(Fault::Restart);
        self.disk.fails_until = 0;
        self.feed(Event::Shutdown, &Cause::Shutdown)?;
        // Whoever comes now is sent away, with whatever URL.
        self.intrude(self.now)?;
        self.disk.committing = None;
        if self.disk.begin()
            && let Some(crate::disk::Commit::Done(upto)) = self.disk.end(self.now)
        {
            self.feed(Event::Persisted { upto }, &Cause::Persisted { upto })?;
        }
        self.end_server(&CrashPlan {
            actions: 0,
            down_ms,
            commit_finished: true,
        });
        Ok(())
    }

    fn insert(&mut self, step: &Step) -> Result<(), Failure> {
        let Step { a, b, c, .. } = *step;
        let session = (a % self.sessions.len() as u64) as usize;
        let rows = 1 + if (c >> 4).is_multiple_of(4) {
            (c >> 6) % 4
        } else {
            0
        };
        let pipelined = 1 + if (c >> 9).is_multiple_of(4) { 3 } else { 0 };
        for statement in 0..pipelined {
            let mut private = Vec::new();
            let mut public = Vec::new();
            for row in 0..rows {
                self.messages += 1;
                let n = self.messages;
                let body = names::body(c + row, n);
                let event = names::event(c >> 3).to_owned();
                let user = 1 + ((b + row * (statement + 1)) % self.profile.get(Knob::Users)) as u32;
                let channel = names::channel((b + row / 2) % names::WRITABLE).to_owned();
                private.push(NewPrivate {
                    n,
                    user,
                    event: event.clone(),
                    body: body.clone(),
                });
                public.push(NewMessage { channel, event, body });
            }
            let ask = if step.verb == Verb::Private {
                Ask::Private(private)
            } else {
                Ask::Publish(public)
            };
            self.submit(session, ask)?;
        }
        Ok(())
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "`perform` names every verb and calls this for a group"
    )]
    fn statement(&mut self, step: &Step, dev: u32) -> Ask {
        let Step { b, c, .. } = *step;
        let user = 1 + (b % self.profile.get(Knob::Users)) as u32;
        let channel = names::channel(b % names::WRITABLE).to_owned();
        match step.verb {
            Verb::SetKey => Ask::SetKey {
                user,
                hash: names::hash(dev, user, c),
            },
            Verb::DelKey => Ask::DelKey { user },
            Verb::Revoke => Ask::Revoke {
                token: names::token(dev, user, c),
            },
            Verb::Restore => Ask::Restore {
                token: names::token(dev, user, c),
            },
            Verb::SetLength => Ask::SetLength { channel, length: c },
            Verb::DelLength => Ask::DelLength { channel },
            Verb::DelHistory => Ask::DelHistory { channel },
            Verb::DelQueue => Ask::DelQueue { user },
            Verb::SetData => Ask::SetData {
                user,
                data: names::body(step.serial, step.serial),
            },
            Verb::DelData => Ask::DelData { user },
            Verb::Select => match b % 12 {
                11 => delivery_of(c),
                8..11 => self.delivery(b, c),
                what => Ask::Look(look(what, c)),
            },
            Verb::Console => Ask::Console(Console::of(b, c)),
            Verb::Use => Ask::Use {
                dev: (b % self.profile.get(Knob::Devs)) as u32,
            },
            Verb::DelMessage => self.kept_message(dev, b),
            Verb::Transaction => {
                if b % 2 == 0 {
                    Ask::Begin
                } else {
                    Ask::End
                }
            }
            _ => Ask::wrong(b),
        }
    }
}

impl World {
    /// What became of a late message, of an older one, or of none.
    fn delivery(&self, what: u64, about: u64) -> Ask {
        let id = self.model.some_id(about);
        let words = what % 12 == 8;
        let mut ids = vec![id];
        if !words {
            let other = self.model.some_id(about + 5);
            ids.extend((!ids.contains(&other)).then_some(other));
        }
        Ask::Delivery { ids, words }
    }
}

/// What became of the messages of a channel, of all private ones, or of those of a user.
fn delivery_of(about: u64) -> Ask {
    let user = 1 + (about % 4) as u32;
    let (channel, user) = match about % 3 {
        0 => (names::channel(about / 3), None),
        1 => ("msg", None),
        _ => ("msg", Some(user)),
    };
    let channel = channel.to_owned();
    Ask::DeliveryOf { channel, user }
}

fn look(what: u64, about: u64) -> Look {
    let user = 1 + (about % 4) as u32;
    let channel = names::channel(about).to_owned();
    match what % 8 {
        0 => Look::Queue { user },
        1 => Look::History { channel },
        2 => Look::Times {
            users: vec![user, 999_999_999],
        },
        3 => Look::Counts {
            channels: vec![channel, "nobody_here".to_owned()],
        },
        4 => Look::Members { channel },
        5 => Look::Key { user },
        6 => Look::Data { user },
        _ => Look::Length { channel },
    }
}

/// The channels of a bit mask.
fn wants(mask: u64) -> Vec<String> {
    let chosen = (0..names::CHANNELS.len()).filter(|bit| mask >> bit & 1 == 1);
    chosen.map(|bit| names::CHANNELS[bit].to_owned()).collect()
}

/// Names a subscription may contain that are no channel names.
fn malformed(kind: u64) -> &'static [&'static str] {
    match kind {
        1 => &["x"],
        3 => &["msg", "web_a"],
        4 => &["web_a.ev1", "web_a", "web_b web_b"],
        _ => &[],
    }
}
