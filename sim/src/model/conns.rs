//! Connections: who is let in, who is told, who leaves (protocol.md 2.3, 2.6.1, 3, 4).

use comet_core::{CloseCause, ConnId};

use super::commands::Pace;
use super::facts::{get, set};
use super::{Asked, Claim, Conn, Failure, Model, Out, wrong};
use crate::browser::{Change, Intrusion, Version};
use crate::profile::Knob;
use crate::seen::{Extra, Seen};

/// How a claim was proven.
enum Proof {
    Token,
    Hash,
    None,
}

/// What a page is told that is not let in, and why its connection ends.
type Refusal = (Option<&'static str>, CloseCause);

impl Model {
    fn prove(&self, claim: &Claim) -> Proof {
        if claim.user == 0 {
            return Proof::None;
        }
        let token = self
            .tokens
            .iter()
            .find(|(dev, _, text, _)| *dev == claim.dev && *text == claim.key);
        if let Some((_, user, text, expires)) = token
            && *user == claim.user
            && self.unix / 1000 <= *expires
            && !self.told.revoked.contains(&(claim.dev, text.clone()))
        {
            return Proof::Token;
        }
        match get(&self.told.keys, claim.dev, &claim.user) {
            Some(hash) if *hash == claim.key => Proof::Hash,
            Some(_) | None => Proof::None,
        }
    }

    /// A page opened a connection.
    pub(super) fn open(&mut self, claim: &Claim) {
        let (authorized, key) = match self.prove(claim) {
            Proof::Token => (true, String::new()),
            Proof::Hash => (true, claim.key.clone()),
            Proof::None => (false, String::new()),
        };
        if !self.shutting_down
            && let Some(refusal) = self.not_let_in(claim, authorized)
        {
            return self.turn_away(claim, refusal);
        }
        let user = if authorized { claim.user } else { 0 };
        let devices = self.devices(claim.dev, user);
        self.conns.push(Conn {
            id: claim.conn,
            page: claim.page,
            dev: claim.dev,
            user,
            uuid: claim.uuid.clone(),
            version: claim.version,
            ip: claim.ip,
            opened: self.now,
            channels: Vec::new(),
            device: authorized,
            gone: None,
            sent: Vec::new(),
            backlog: Vec::new(),
            claims: Vec::new(),
            readings: Vec::new(),
            reading_probe: None,
            awaited: None,
            pace: Pace::new(self.now),
        });
        self.counts.opened += 1;
        self.living.push(self.conns.len() - 1);
        self.want(claim.conn, Seen::Info { authorized, key });
        self.page_joined(claim, authorized);
        if !authorized {
            return;
        }
        if devices.is_empty() {
            set(&mut self.told.times, claim.dev, user, 0);
            self.presence(claim.dev, user, true);
        } else if devices.len() as u64 >= self.profile.get(Knob::Devices) {
            self.evict(devices.first().copied());
        }
        self.owe_queue(claim.conn);
    }

    /// Why a page is not let in: the first reason counts (protocol.md 2.3, 4.7, 8.6).
    fn not_let_in(&mut self, claim: &Claim, authorized: bool) -> Option<Refusal> {
        if self.is_full() {
            Some((None, CloseCause::NoMemory))
        } else if self.is_crowded(claim) {
            Some((Some("too_many_connections"), CloseCause::Throttled))
        } else if self.is_over_connections(claim.dev) {
            Some((Some("quota_exceeded"), CloseCause::Quota))
        } else if self.is_guessing(claim, authorized) {
            Some((Some("too_many_failures"), CloseCause::Throttled))
        } else if authorized && self.is_over_users(claim) {
            Some((Some("quota_exceeded"), CloseCause::Quota))
        } else {
            None
        }
    }

    /// A page is told why, unless there is no memory, and let go; what it is owed waits.
    fn turn_away(&mut self, claim: &Claim, (code, cause): Refusal) {
        self.known_but_gone(claim.conn, claim.version);
        if let Some(code) = code {
            let asked = Asked {
                conn: claim.conn,
                re: None,
            };
            self.refuse(asked, Extra::Plain, code);
        }
        self.turned_away = Some(claim.conn);
        self.kicks.push((claim.conn, cause));
        self.leaving.push(claim.conn);
    }

    fn evict(&mut self, oldest: Option<ConnId>) {
        let Some(conn) = oldest.and_then(|id| self.conn_mut(id)) else {
            return;
        };
        conn.device = false;
        if let Some(page) = conn.page {
            self.excuse(page);
        }
    }

    /// An intruder opened a connection with a malformed URL: F15 and the end.
    pub(super) fn intrude(&mut self, id: ConnId, kind: Intrusion) {
        self.known_but_gone(id, kind.version());
        let code = kind.code();
        self.want(id, Seen::Fatal { code });
        self.turned_away = Some(id);
        self.kicks.push((id, CloseCause::Refused));
        self.leaving.push(id);
    }

    /// A connection that ends where it begins.
    pub(super) fn known_but_gone(&mut self, id: ConnId, version: Version) {
        self.conns.push(Conn {
            id,
            page: None,
            dev: 0,
            user: 0,
            uuid: String::new(),
            version,
            ip: None,
            opened: self.now,
            channels: Vec::new(),
            device: false,
            gone: Some(self.now),
            sent: Vec::new(),
            backlog: Vec::new(),
            claims: Vec::new(),
            readings: Vec::new(),
            reading_probe: None,
            awaited: None,
            pace: Pace::new(self.now),
        });
    }

    fn presence(&mut self, dev: u32, user: u32, online: bool) {
        if self.profile.get(Knob::Presence) == 0 {
            return;
        }
        let pipe = format!("user_status_{user}");
        for conn in self.subscribers(dev, &pipe) {
            self.want(
                conn,
                Seen::Status {
                    pipe: pipe.clone(),
                    online,
                    time: self.unix / 1000,
                },
            );
        }
    }

    /// A connection is gone, whoever noticed.
    pub(super) fn leave(&mut self, id: ConnId) {
        let (now, time) = (self.now, self.unix / 1000);
        let Some(conn) = self.conn_mut(id) else { return };
        if conn.gone.is_some() {
            return;
        }
        conn.gone = Some(now);
        conn.awaited = None;
        let flying: Vec<u64> = conn
            .sent
            .iter()
            .filter(|sent| !sent.acknowledged)
            .map(|sent| sent.n)
            .collect();
        let channels = std::mem::take(&mut conn.channels);
        let (dev, user, device) = (conn.dev, conn.user, conn.device);
        let (uuid, page) = (conn.uuid.clone(), conn.page);
        for n in flying {
            self.private_happened(n, "unacknowledged", id);
        }
        let conns = &self.conns;
        self.living.retain(|at| conns[*at].gone.is_none());
        self.wanted.retain(|wanted| wanted.conn != id);
        self.forget_turns(id);
        self.leaving.push(id);
        if device && self.devices(dev, user).is_empty() {
            set(&mut self.told.times, dev, user, time);
            self.presence(dev, user, false);
        }
        for channel in channels.iter().filter(|name| name.starts_with("track_")) {
            self.announce(dev, channel, false, user, &uuid);
        }
        if let Some(page) = page {
            let others = self
                .conns
                .iter()
                .any(|conn| conn.gone.is_none() && conn.page == Some(page));
            if !others {
                self.separated(page);
            }
        }
    }

    fn announce(&mut self, dev: u32, channel: &str, joined: bool, user: u32, uuid: &str) {
        let time = self.unix / 1000;
        for conn in self.subscribers(dev, channel) {
            let seen = Seen::Track {
                pipe: channel.to_owned(),
                joined,
                user: u64::from(user),
                uuid: uuid.to_owned(),
                time,
            };
            self.want(conn, seen);
        }
    }

    /// A change of the set of channels (protocol.md 2.6.1, docs/protocol-v5.md 1).
    pub(super) fn subscribe(&mut self, asked: Asked, change: Change, lines: &[String]) {
        let names = names_in(lines);
        let Some(conn) = self.conn(asked.conn) else { return };
        let (old, user) = (conn.channels.clone(), conn.user);
        let (names, unwelcome) = self.welcome(change, &old, names);
        let room = self.subscriptions_left(conn.dev, old.len());
        let (new, mut refused) = match change {
            Change::Replace => self.accept_names(Vec::new(), user, room, names),
            Change::Add => self.accept_names(old.clone(), user, room, names),
            Change::Remove => {
                let left = old.iter().filter(|name| !names.contains(name));
                (left.cloned().collect(), Vec::new())
            }
        };
        refused.extend(unwelcome.into_iter().map(|name| (name, "server_full".to_owned())));
        if asked.re.is_none() {
            self.refuse_names(asked, &refused);
        }
        self.move_to(asked.conn, &old, &new);
        if asked.re.is_some() {
            refused.sort();
            let channels = new.len() as u64;
            self.want_answer(asked, Seen::Subscribed { channels, refused });
        }
    }

    /// The names there may be, and those there is no room for.
    fn welcome(&self, change: Change, old: &[String], names: Vec<String>) -> (Vec<String>, Vec<String>) {
        let full = self.is_full() && change != Change::Remove;
        let has_room = |name: &String| !full || old.contains(name) || !(2..=64).contains(&name.len());
        names.into_iter().partition(has_room)
    }

    /// One F14 for each name, but one for all that are too many.
    fn refuse_names(&mut self, asked: Asked, refused: &[(String, String)]) {
        let mut surplus = false;
        for (_, code) in refused {
            let is_surplus = code == "too_many_subscriptions";
            if !(is_surplus && surplus) {
                self.refuse(asked, Extra::Code, code);
            }
            surplus |= is_surplus;
        }
    }

    /// Adds names to a set; whatever is too much or not allowed is refused with a code.
    fn accept_names(
        &self,
        mut set: Vec<String>,
        user: u32,
        room: usize,
        names: Vec<String>,
    ) -> (Vec<String>, Vec<(String, String)>) {
        let max = room.min(self.profile.get(Knob::Subscriptions) as usize);
        let mut refused = Vec::new();
        let mut refuse = |name: &str, code: &str| {
            let refusal = (name.to_owned(), code.to_owned());
            if !refused.contains(&refusal) {
                refused.push(refusal);
            }
        };
        for name in names {
            if set.contains(&name) {
                continue;
            }
            if !(2..=64).contains(&name.len()) {
                refuse(name.get(..64).unwrap_or(&name), "bad_channel");
            } else if name.starts_with("private_") && user == 0 {
                refuse(&name, "not_authorized");
            } else if set.len() < max {
                set.push(name);
            } else {
                // The first names of the list make the set.
                refuse(&name, "too_many_subscriptions");
            }
        }
        (set, refused)
    }

    fn move_to(&mut self, id: ConnId, old: &[String], new: &[String]) {
        let Some(conn) = self.conn(id) else { return };
        let (dev, user, uuid) = (conn.dev, conn.user, conn.uuid.clone());
        for name in old.iter().filter(|name| !new.contains(name)) {
            if let Some(conn) = self.conn_mut(id) {
                conn.channels.retain(|channel| channel != name);
            }
            if name.starts_with("track_") {
                self.announce(dev, name, false, user, &uuid);
            }
        }
        for name in new.iter().filter(|name| !old.contains(name)) {
            if name.starts_with("track_") {
                self.announce(dev, name, true, user, &uuid);
            }
            if let Some(conn) = self.conn_mut(id) {
                conn.channels.push(name.clone());
            }
        }
    }

    /// All authorized connections of a user are dropped (protocol.md 4.3).
    pub(super) fn kick(&mut self, dev: u32, user: u32) {
        let of = |conn: &&Conn| conn.gone.is_none() && conn.dev == dev && conn.user == user;
        let all: Vec<_> = self.conns.iter().filter(of).map(|conn| conn.id).collect();
        for &conn in &all {
            self.kicks.push((conn, CloseCause::Kicked));
            self.leaving.push(conn);
        }
        for conn in all {
            self.leave(conn);
        }
    }

    /// Connections that a timer ended, before anything else of this step.
    pub(super) fn timer_closes(&mut self, outs: &[Out]) -> Result<(), Failure> {
        let (now, patience) = (self.now, self.profile.get(Knob::AckTimeout).max(1) * 1000);
        let uptime = self.profile.get(Knob::Uptime) * 1_000_000;
        let mut ended = Vec::new();
        for out in outs {
            let Out::Close { conn: id, cause } = out else {
                continue;
            };
            let Some(conn) = self.alive(*id) else { continue };
            let justified = match cause {
                CloseCause::AckTimeout => conn
                    .awaited
                    .is_some_and(|awaited| awaited.since + patience <= now),
                CloseCause::TooOld => uptime > 0 && conn.opened + uptime <= now,
                CloseCause::Peer
                | CloseCause::Io
                | CloseCause::Protocol
                | CloseCause::SlowConsumer
                | CloseCause::Silent
                | CloseCause::Refused
                | CloseCause::Kicked
                | CloseCause::Throttled
                | CloseCause::Quota
                | CloseCause::Shutdown
                | CloseCause::NoMemory => continue,
            };
            if !justified {
                return wrong("close", format!("{id:?} was closed for {cause:?} without reason"));
            }
            ended.push(*id);
        }
        self.leaving.extend(&ended);
        for conn in ended {
            self.leave(conn);
        }
        Ok(())
    }
}

/// The distinct names in the lines of a subscription.
pub(super) fn names_in(lines: &[String]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    for name in lines
        .iter()
        .flat_map(|line| line.split(|c| !is_name(c)))
        .filter(|name| !name.is_empty())
    {
        if !names.iter().any(|known| known == name) && name != "msg" {
            names.push(name.to_owned());
        }
    }
    names
}
