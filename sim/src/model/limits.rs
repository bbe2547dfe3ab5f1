//! Who is too fast (protocol.md 8.6, 4.7): buckets of turns, as whole turns and the microseconds towards the next one;
//! and the subscriptions of all pages of a tenant together.

use std::net::IpAddr;

use comet_core::ConnId;

use super::{Claim, Conn, Model};
use crate::address::Network;
use crate::backend::Ask;
use crate::browser::{Change, Command};
use crate::profile::{BURST_S, Knob};

/// What is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Command,
    Message,
    Subscription,
    Statement,
}

/// Whose turns they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Taker {
    Page(ConnId, Kind),
    User(u32, u32, Kind),
    Tenant(u32, Kind),
    /// Wrong keys: of a user at an address where he was never right, of an address, of a user, and of a user where he was
    /// right.
    Stranger(Network, u32, u32),
    Address(Network),
    Account(u32, u32),
    Friend(Network, u32, u32),
}

/// How many turns a full bucket has, and how long it takes for one to come back, microseconds.
#[derive(Clone, Copy, Debug)]
struct Rate {
    full: u64,
    interval: u64,
}

impl Rate {
    fn per_second(rate: u64) -> Option<Self> {
        (rate > 0).then(|| Self {
            full: rate * BURST_S,
            interval: 1_000_000 / rate,
        })
    }

    const fn per_minute(full: u64) -> Self {
        Self {
            full,
            interval: 60_000_000 / full,
        }
    }
}

/// The turns of one taker.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    taker: Taker,
    left: u64,
    /// Time since when no new turn came.
    since: u64,
}

/// A taker, how fast he may be, and what is asked of him.
type Cost = (Taker, Rate, u64);

impl Model {
    fn turns(&mut self, taker: &Taker, rate: Rate) -> &mut Turns {
        let now = self.now;
        let at = self.turns.iter().position(|turns| turns.taker == *taker);
        let at = at.unwrap_or_else(|| {
            self.turns.push(Turns {
                taker: taker.clone(),
                left: rate.full,
                since: now,
            });
            self.turns.len() - 1
        });
        let turns = &mut self.turns[at];
        while turns.left < rate.full && turns.since + rate.interval <= now {
            turns.left += 1;
            turns.since += rate.interval;
        }
        if turns.left == rate.full {
            turns.since = now;
        }
        turns
    }

    /// So many turns are left, or all there can be.
    fn has_turns(&mut self, (taker, rate, cost): &Cost) -> bool {
        self.turns(taker, *rate).left >= (*cost).min(rate.full)
    }

    fn take_turns(&mut self, (taker, rate, cost): &Cost) {
        let now = self.now;
        let turns = self.turns(taker, *rate);
        if turns.left < *cost {
            turns.since = now;
        }
        turns.left = turns.left.saturating_sub(*cost);
    }

    /// Takes what a command costs, of everybody's turns or of nobody's; true if somebody has too few. An acknowledgement
    /// costs nothing.
    pub(super) fn is_over_rate(&mut self, id: ConnId, command: &Command) -> bool {
        let is_ack = matches!(command, Command::Ack(uuid) if comet_core::MessageId::parse(uuid).is_some());
        if is_ack {
            return false;
        }
        let costs = self.costs(id, command);
        if !costs.iter().all(|cost| self.has_turns(cost)) {
            return true;
        }
        costs.iter().for_each(|cost| self.take_turns(cost));
        false
    }

    fn costs(&self, id: ConnId, command: &Command) -> Vec<Cost> {
        let Some(conn) = self.conn(id) else {
            return Vec::new();
        };
        let rate = |knob| Rate::per_second(self.profile.get(knob));
        let (dev, user) = (conn.dev, conn.user);
        let (messages, names) = (self.messages_in(command), self.new_names_in(conn, command));
        let costs = [
            (
                Taker::User(dev, user, Kind::Command),
                rate(Knob::UserCommands).filter(|_| user > 0),
                1,
            ),
            (Taker::Tenant(dev, Kind::Command), rate(Knob::TenantCommands), 1),
            (Taker::Page(id, Kind::Message), rate(Knob::PageMessages), messages),
            (
                Taker::Tenant(dev, Kind::Message),
                rate(Knob::TenantMessages),
                messages,
            ),
            (Taker::Page(id, Kind::Subscription), rate(Knob::PageNames), names),
        ];
        let asked = costs.into_iter().filter(|(_, _, cost)| *cost > 0);
        asked
            .filter_map(|(taker, rate, cost)| Some((taker, rate?, cost)))
            .collect()
    }

    /// 1 for a message that could be sent, whoever sends it.
    fn messages_in(&self, command: &Command) -> u64 {
        let Command::Send(message) = command else { return 0 };
        let open = message.channel.starts_with("web_");
        let takes = open || (message.channel.starts_with("webauth_") && !message.anonymous);
        let fits = message.body.len() as u64 <= self.profile.get(Knob::BodyMax);
        u64::from(takes && fits)
    }

    /// Channels a command asks for that the page does not have.
    fn new_names_in(&self, conn: &Conn, command: &Command) -> u64 {
        let Command::Subscribe(Change::Replace | Change::Add, lines) = command else {
            return 0;
        };
        let names = super::conns::names_in(lines).into_iter();
        let new = names.filter(|name| (2..=64).contains(&name.len()) && !conn.channels.contains(name));
        new.count() as u64
    }

    /// A connection is gone, and its numbers are never used again.
    pub(super) fn forget_turns(&mut self, id: ConnId) {
        let is_its = |taker: &Taker| matches!(taker, Taker::Page(conn, _) if *conn == id);
        self.turns.retain(|turns| !is_its(&turns.taker));
    }

    /// Takes the turn a statement costs; true if there is none. Those that only set up a session are free.
    pub(super) fn is_statement_too_fast(&mut self, dev: u32, ask: &Ask) -> bool {
        let Some(rate) = Rate::per_second(self.profile.get(Knob::Statements)).filter(|_| !ask.is_free())
        else {
            return false;
        };
        let cost = (Taker::Tenant(dev, Kind::Statement), rate, 1);
        if !self.has_turns(&cost) {
            return true;
        }
        self.take_turns(&cost);
        false
    }

    /// Too many wrong keys came from there: nobody looks at this one. Else it is counted, if it is wrong; one that was
    /// right until it expired or was revoked is none.
    pub(super) fn is_guessing(&mut self, claim: &Claim, is_right: bool) -> bool {
        let Some(ip) = claim.ip.filter(|ip| claim.user > 0 && self.is_counted(*ip)) else {
            return false;
        };
        let (costs, failed) = self.wrong_key(Network::of(ip), claim);
        let asked = costs.clone().into_iter().map(|(taker, rate, _)| (taker, rate, 1));
        if !asked.into_iter().all(|cost| self.has_turns(&cost)) {
            return true;
        }
        let had_token = |token: &(u32, u32, String, u64)| {
            (token.0, token.1, &token.2) == (claim.dev, claim.user, &claim.key)
        };
        if is_right {
            let friend = (Network::of(ip), claim.dev, claim.user);
            if !self.friends.contains(&friend) {
                self.friends.push(friend);
            }
        } else if !self.tokens.iter().any(had_token) {
            costs.iter().for_each(|cost| self.take_turns(cost));
            self.take_turns(&failed);
        }
        false
    }

    fn is_counted(&self, ip: IpAddr) -> bool {
        self.profile.get(Knob::KeyFailures) > 0 && !Network::of(ip).is_private()
    }

    /// What a wrong key costs before it is looked at, and afterwards.
    fn wrong_key(&mut self, network: Network, claim: &Claim) -> (Vec<Cost>, Cost) {
        let max = self.profile.get(Knob::KeyFailures);
        let (dev, user) = (claim.dev, claim.user);
        let account = (Taker::Account(dev, user), Rate::per_minute(200 * max), 1);
        if self.friends.contains(&(network, dev, user)) {
            let friend = Taker::Friend(network, dev, user);
            return (vec![(friend, Rate::per_minute(200 * max), 1)], account);
        }
        let cost = if self.has_turns(&account) { 1 } else { max };
        let mut costs = vec![
            (Taker::Stranger(network, dev, user), Rate::per_minute(max), cost),
            (Taker::Address(network), Rate::per_minute(10 * max), cost),
        ];
        costs.extend(
            network
                .site()
                .map(|site| (Taker::Address(site), Rate::per_minute(40 * max), cost)),
        );
        (costs, account)
    }

    /// The address has as many connections as it may have.
    pub(super) fn is_crowded(&self, claim: &Claim) -> bool {
        let max = self.profile.get(Knob::AddressMax);
        let Some(network) = claim.ip.map(Network::of).filter(|_| max > 0) else {
            return false;
        };
        let there = |conn: &&Conn| conn.ip.is_some_and(|ip| Network::of(ip) == network);
        !network.is_private() && self.living().filter(there).count() as u64 >= max
    }

    /// How many channels a page that has `own` may have at most, as far as its tenant is concerned.
    pub(super) fn subscriptions_left(&self, dev: u32, own: usize) -> usize {
        let max = self.profile.get(Knob::TenantSubscriptions) as usize;
        if max == 0 {
            return usize::MAX;
        }
        let open = |conn: &&Conn| conn.gone.is_none() && conn.dev == dev;
        let all: usize = self
            .conns
            .iter()
            .filter(open)
            .map(|conn| conn.channels.len())
            .sum();
        (max + own).saturating_sub(all)
    }
}
