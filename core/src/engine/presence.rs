//! Devices, online and offline (protocol.md 4.5, 4.6).

use alloc::format;
use alloc::vec::Vec;

use super::Core;
use crate::action::Action;
use crate::id::{ConnId, DevId, UserId};
use crate::name::ChannelName;
use crate::record::Record;
use crate::wire::FrameBody;

impl Core {
    /// An authorized connection becomes a device of its user. The newest `devices_per_user_max` win (S8, Q29).
    pub(super) fn register_device(&mut self, id: ConnId, dev: DevId, user: UserId, out: &mut Vec<Action>) {
        let max = self.config.devices_per_user_max;
        let came_online = self.tenants.edit_user(dev, user, |live| {
            let first = live.devices.is_empty();
            live.connections.push(id);
            live.devices.push(id);
            if live.devices.len() > max {
                live.devices.remove(0);
            }
            assert!(live.devices.len() <= max, "too many devices");
            first
        });
        if came_online {
            self.commit_presence(Record::UserOnline { dev, user }, out);
            if self.config.send_online_events {
                self.announce_status(dev, user, true, out);
            }
        }
    }

    /// An authorized connection is gone. Offline is whoever has no device left (S36).
    pub(super) fn unregister_device(&mut self, id: ConnId, dev: DevId, user: UserId, out: &mut Vec<Action>) {
        let went_offline = self.tenants.edit_user(dev, user, |live| {
            live.connections.retain(|&other| other != id);
            let before = live.devices.len();
            live.devices.retain(|&other| other != id);
            before > 0 && live.devices.is_empty()
        });
        if went_offline && !self.stopping {
            let time = self.now.unix.seconds();
            self.commit_presence(Record::UserOffline { dev, user, time }, out);
            if self.config.send_offline_events {
                self.announce_status(dev, user, false, out);
            }
        }
    }

    /// Start and stop of the server: nobody is online (Q30).
    pub(super) fn everybody_offline(&mut self, out: &mut Vec<Action>) {
        if self.durable.anybody_online() {
            let time = self.now.unix.seconds();
            self.commit_presence(Record::EverybodyOffline { time }, out);
        }
    }

    /// With `save_users_last_online_time` off, times are known until the restart only.
    fn commit_presence(&mut self, record: Record, out: &mut Vec<Action>) {
        if self.config.save_last_online {
            self.commit(record, out);
        } else {
            self.durable.apply(&record);
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
