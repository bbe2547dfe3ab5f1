//! Private messages that nobody came for in time: `queue_ttl` (Q71, off by default).
//!
//! Age goes by the wall clock, since it has to survive a restart. `users_messages` keeps whole seconds, so a message
//! expires up to a second late, never early.

use alloc::vec::Vec;

use super::Core;
use super::private::Leaving;
use crate::action::Action;
use crate::id::{DevId, Seq, UserId};
use crate::record::QueuedMessage;
use crate::state::Timer;
use crate::time::UnixSeconds;

impl Core {
    /// Keeps one timer per user with a queue, if queues expire (Q71). It looks at the oldest message; if that has
    /// left meanwhile, the timer comes early and is armed again.
    pub(super) fn watch_ttl(&mut self, dev: DevId, user: UserId) {
        let ttl = self.config.queue_ttl_ms;
        if ttl == 0 {
            return;
        }
        let armed = self
            .tenants
            .user(dev, user)
            .and_then(|live| live.owed().ttl_deadline);
        let queue_is_empty = self
            .durable
            .user(dev, user)
            .is_none_or(|stored| stored.queue.is_empty());
        if armed.is_some() != queue_is_empty {
            return;
        }
        let oldest = self
            .durable
            .user(dev, user)
            .and_then(|stored| stored.queue.iter().map(|message| message.time).min());
        let wanted = match (oldest, armed) {
            (None, Some(deadline)) => {
                self.timers.disarm(deadline, Timer::QueueTtl(dev, user));
                None
            }
            (Some(accepted), None) => {
                // At least a millisecond, so that a wall clock that stands still cannot make this spin.
                let wait = expiry_ms(accepted, ttl).saturating_sub(self.now.unix.0).max(1);
                let deadline = self.now.mono.plus_ms(wait);
                self.timers.arm(deadline, Timer::QueueTtl(dev, user));
                Some(deadline)
            }
            (None, None) | (Some(_), Some(_)) => return,
        };
        self.tenants
            .edit_user(dev, user, |live| live.owed_mut().ttl_deadline = wanted);
    }

    /// Messages older than `queue_ttl` leave the queue (Q71).
    pub(super) fn expire_queue(&mut self, dev: DevId, user: UserId, out: &mut Vec<Action>) {
        self.tenants
            .edit_user(dev, user, |live| live.owed_mut().ttl_deadline = None);
        let (now, ttl) = (self.now.unix.0, self.config.queue_ttl_ms);
        let Some(stored) = self.durable.user(dev, user) else {
            return;
        };
        let expired = |message: &&QueuedMessage| expiry_ms(message.time, ttl) <= now;
        let seqs: Vec<Seq> = stored
            .queue
            .iter()
            .filter(expired)
            .map(|message| message.seq)
            .collect();
        self.remove_private(dev, user, seqs, Leaving::Expired, out);
        self.watch_ttl(dev, user);
    }

    /// After a restart: the stored queues expire as if nothing had happened.
    pub(super) fn watch_stored_ttls(&mut self) {
        let tenants = self.durable.tenants();
        let users: Vec<(DevId, UserId)> = tenants
            .flat_map(|(dev, tenant)| tenant.users.keys().map(move |&user| (dev, user)))
            .collect();
        for (dev, user) in users {
            self.watch_ttl(dev, user);
        }
    }
}

fn expiry_ms(accepted: UnixSeconds, ttl_ms: u64) -> u64 {
    accepted
        .0
        .saturating_add(1)
        .saturating_mul(1000)
        .saturating_add(ttl_ms)
}
