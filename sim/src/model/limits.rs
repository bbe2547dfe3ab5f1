//! What a tenant may use (protocol.md 8.6): its turns, as whole tokens and the microseconds towards the next one, and the
//! subscriptions of all its pages together.

use super::{Conn, Model};
use crate::browser::Command;
use crate::profile::{BURST_S, Knob};

/// The tokens of one tenant.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tokens {
    dev: u32,
    left: u64,
    /// Time since when no new token came.
    since: u64,
}

impl Model {
    /// Takes a turn of the tenant; true if there is none. An acknowledgement takes none.
    pub(super) fn is_tenant_too_fast(&mut self, dev: u32, command: &Command) -> bool {
        let (rate, now) = (self.profile.get(Knob::TenantCommands), self.now);
        let is_ack = matches!(command, Command::Ack(uuid) if comet_core::MessageId::parse(uuid).is_some());
        if rate == 0 || is_ack {
            return false;
        }
        let full = Tokens {
            dev,
            left: rate * BURST_S,
            since: now,
        };
        if !self.turns.iter().any(|tokens| tokens.dev == dev) {
            self.turns.push(full);
        }
        let Some(tokens) = self.turns.iter_mut().find(|tokens| tokens.dev == dev) else {
            return false;
        };
        let interval = 1_000_000 / rate;
        while tokens.left < full.left && tokens.since + interval <= now {
            tokens.left += 1;
            tokens.since += interval;
        }
        if tokens.left == full.left {
            tokens.since = now;
        }
        if tokens.left == 0 {
            return true;
        }
        tokens.left -= 1;
        false
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
