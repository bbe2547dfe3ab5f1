//! Devices, online and offline (protocol.md 4.5, 4.6).

use alloc::format;
use alloc::vec::Vec;

use super::Core;
use crate::action::Action;
use crate::id::{ConnId, DevId, UserId};
use crate::name::ChannelName;
use crate::record::Record;
use crate::state::LastSeen;
use crate::wire::FrameBody;

impl Core {
    /// An authorized connection becomes a device of its user. The newest `devices_per_user_max` win (S8, Q29).
    pub(super) fn register_device(&mut self, id: ConnId, dev: DevId, user: UserId, out: &mut Vec<Action>) {
        let max = self.config.devices_per_user_max;
        let came_online = self.tenants.edit_user(dev, user, |live| {
            let first = live.connections.devices().is_empty();
            live.connections.register(id, max);
            first
        });
        if came_online {
            self.tenants.entry(dev).users_online += 1;
            self.commit_presence((dev, user), Record::UserOnline { dev, user }, out);
            if self.config.send_online_events {
                self.announce_status(dev, user, true, out);
            }
        }
    }

    /// An authorized connection is gone. Offline is whoever has no device left (S36).
    pub(super) fn unregister_device(&mut self, id: ConnId, dev: DevId, user: UserId, out: &mut Vec<Action>) {
        let went_offline = self.tenants.edit_user(dev, user, |live| {
            let had_device = !live.connections.devices().is_empty();
            live.connections.unregister(id);
            had_device && live.connections.devices().is_empty()
        });
        if went_offline {
            self.tenants.entry(dev).users_online -= 1;
        }
        if went_offline && !self.stopping {
            let time = self.now.unix.seconds();
            self.commit_presence((dev, user), Record::UserOffline { dev, user, time }, out);
            if self.config.send_offline_events {
                self.announce_status(dev, user, false, out);
            }
        }
    }

    /// Start and stop of the server: nobody is online (Q30).
    pub(super) fn everybody_offline(&mut self, out: &mut Vec<Action>) {
        if self.durable.anybody_online() {
            let time = self.now.unix.seconds();
            let record = Record::EverybodyOffline { time };
            if self.config.save_last_online {
                self.save_presence(out);
                self.commit(record, out);
            } else {
                self.durable.apply(&record);
            }
        }
    }

    /// Changes `users_time`. With `save_users_last_online_time` off, times are known until the restart only, and make
    /// no record. While writes fail, users come and go all the same: then only who did is remembered, and his state is
    /// written when the store is back, so that a long failure costs memory per user and not per visit.
    fn commit_presence(&mut self, user: (DevId, UserId), record: Record, out: &mut Vec<Action>) {
        if !self.config.save_last_online {
            self.durable.apply(&record);
        } else if self.durability.is_healthy() {
            self.commit(record, out);
        } else {
            self.durable.apply(&record);
            self.unsaved_presence.insert(user);
        }
    }

    /// The store is back: writes the present state of whoever came or went meanwhile.
    pub(super) fn save_presence(&mut self, out: &mut Vec<Action>) {
        for (dev, user) in core::mem::take(&mut self.unsaved_presence) {
            let record = match self.durable.user(dev, user).and_then(|stored| stored.last_seen) {
                Some(LastSeen::Online) => Record::UserOnline { dev, user },
                Some(LastSeen::Offline(time)) => Record::UserOffline { dev, user, time },
                None => continue,
            };
            self.commit(record, out);
        }
    }

    /// F7 to whoever subscribed to `user_status_<id>` (S35 – S37).
    fn announce_status(&mut self, dev: DevId, user: UserId, online: bool, out: &mut Vec<Action>) {
        let Ok(channel) = ChannelName::from_browser(&format!("user_status_{}", user.get())) else {
            return;
        };
        self.broadcast(dev, &channel, FrameBody::UserStatus { user, online }, None, out);
    }
}
