//! The O(n) walk over every invariant. The simulator and the fuzzers call it after each step.

use alloc::collections::BTreeMap;

use super::Core;
use crate::id::{ConnId, DevId};
use crate::state::{LastSeen, LiveTenant, LiveUser, Timer};

impl Core {
    /// Walks over everything and asserts every invariant. O(n).
    pub fn check(&self) {
        self.durable.check();
        self.durability.check();
        self.accepted.check(self.config.send_memory_max);
        self.clients.check();
        self.journal.check();
        let counted = self
            .conns
            .iter()
            .filter(|(_, conn)| self.counted(conn.client.ip).is_some());
        assert_eq!(
            self.addresses.total(),
            counted.count() as u64,
            "the count by address drifted"
        );
        self.check_conns();
        self.check_memory();
        for (dev, tenant) in self.tenants.iter() {
            self.check_tenant(dev, tenant);
        }
        assert_eq!(
            self.statistics.ws.online(),
            self.conns.len() as u64,
            "the connection counter drifted (Q85)"
        );
        assert_eq!(
            self.statistics.sql.online(),
            self.sessions.len() as u64,
            "the session counter drifted (Q85)"
        );
    }

    fn check_conns(&self) {
        let mut per_dev: BTreeMap<DevId, u64> = BTreeMap::new();
        for (id, conn) in self.conns.iter() {
            *per_dev.entry(conn.dev).or_default() += 1;
            assert!(
                conn.channels.len() <= self.config.subscriptions_max,
                "too many subscriptions"
            );
            for channel in &conn.channels {
                let subscribers = self.tenants.channel(conn.dev, channel);
                assert!(
                    subscribers.is_some_and(|s| s.contains(id)),
                    "a subscription only one side knows"
                );
            }
            conn.check();
            let pending = conn.pending();
            match pending.probe {
                Some(probe) => {
                    assert!(
                        self.timers.is_armed(probe.deadline, Timer::Probe(id)),
                        "a probe without a deadline"
                    );
                    assert!(
                        pending
                            .in_flight
                            .newest()
                            .is_some_and(|newest| probe.upto <= newest.seq),
                        "a probe for nothing"
                    );
                }
                None => assert!(
                    pending.owed().next().is_none(),
                    "private messages without a probe"
                ),
            }
            assert!(
                conn.user.is_some() || pending.owed().next().is_none(),
                "a private message to nobody"
            );
        }
        self.check_counters(&per_dev);
    }

    fn check_counters(&self, per_dev: &BTreeMap<DevId, u64>) {
        for (dev, tenant) in self.tenants.iter() {
            let open = per_dev.get(&dev).copied().unwrap_or_default();
            assert_eq!(
                tenant.connections, open,
                "the connection counter of a tenant drifted (Q85)"
            );
            let subscribed = tenant.channels.values().map(|channel| channel.len() as u64);
            assert_eq!(
                tenant.subscriptions,
                subscribed.sum::<u64>(),
                "the count of subscriptions drifted"
            );
            let online = tenant
                .users
                .values()
                .filter(|live| !live.connections.devices().is_empty());
            assert_eq!(
                tenant.users_online,
                online.count() as u64,
                "the count of users online drifted"
            );
            let sessions = self
                .sessions
                .values()
                .filter(|session| session.dev == dev && session.is_admitted)
                .count() as u64;
            assert_eq!(
                tenant.sessions, sessions,
                "the session counter of a tenant drifted (Q85)"
            );
        }
    }

    fn check_tenant(&self, dev: DevId, tenant: &LiveTenant) {
        for (name, subscribers) in &tenant.channels {
            assert!(subscribers.len() > 0, "an empty channel occupies memory (Q82)");
            subscribers.check(self.config.recipients_piece_max);
            for id in subscribers.iter() {
                let conn = self.conns.get(id);
                assert!(
                    conn.is_some_and(|c| c.dev == dev && c.channels.contains(name)),
                    "a stale subscriber"
                );
            }
        }
        for (&user, live) in &tenant.users {
            let devices = live.connections.devices();
            assert!(
                devices.len() <= self.config.devices_per_user_max,
                "too many devices"
            );
            for id in live.connections.all() {
                let conn = self.conns.get(id);
                assert!(
                    conn.is_some_and(|c| c.dev == dev && c.user == Some(user)),
                    "a stale connection"
                );
            }
            let stored = self.durable.user(dev, user);
            if !devices.is_empty() && !self.stopping {
                let seen = stored.and_then(|stored| stored.last_seen);
                assert_eq!(seen, Some(LastSeen::Online), "a device, but not online");
            }
            self.check_debts(live, |seq| {
                stored.is_some_and(|stored| stored.queued(seq).is_some())
            });
            if let Some(deadline) = live.owed().ttl_deadline {
                assert!(
                    self.timers.is_armed(deadline, Timer::QueueTtl(dev, user)),
                    "an expiry without a timer"
                );
            }
            let owed = stored.is_some_and(|stored| !stored.queue.is_empty());
            assert_eq!(
                live.owed().ttl_deadline.is_some(),
                owed && self.config.queue_ttl_ms > 0,
                "expiry of a queue"
            );
            for (gone, until) in live.owed().debts.claims() {
                assert!(
                    self.timers.is_armed(until, Timer::Grace(dev, user, gone)),
                    "a claim without an end"
                );
            }
        }
    }

    fn check_debts(&self, live: &LiveUser, queued: impl Fn(crate::id::Seq) -> bool) {
        let waits_for = |id: ConnId, seq| {
            self.conns
                .get(id)
                .is_some_and(|conn| conn.pending().owed().any(|owed| owed == seq))
        };
        live.owed().debts.check(waits_for, queued);
    }
}
