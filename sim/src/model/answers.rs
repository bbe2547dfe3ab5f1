//! What a page is answered (protocol.md 2.6).

use comet_core::ConnId;

use super::channels::Publication;
use super::facts::get;
use super::{Model, Out};
use crate::browser::Command;
use crate::seen::{Extra, Seen};

impl Model {
    /// A page sent a command.
    pub(super) fn command(&mut self, id: ConnId, command: &Command, outs: &[Out]) {
        let Some(conn) = self.alive(id) else { return };
        let dev = conn.dev;
        match command {
            Command::Subscribe(names) => self.subscribe(id, names),
            Command::Send {
                channel,
                anonymous,
                event,
                body,
                n: _,
            } => {
                let message = Publication {
                    dev,
                    channel,
                    event,
                    body,
                    sender: None,
                    except: Some(id),
                };
                self.send(id, &message, *anonymous, outs);
            }
            Command::History { channel, marker } => self.history_asked(id, channel, marker),
            Command::Count { channel, marker } => {
                let seen = if channel.starts_with("web_") || channel.starts_with("track_") {
                    Seen::Count {
                        marker: marker.clone(),
                        users: self.subscribers(dev, channel).len() as u64,
                    }
                } else {
                    Seen::Error { extra: Extra::Number }
                };
                self.want(id, seen);
            }
            Command::Users { channel, marker } => {
                let seen = if channel.starts_with("track_") {
                    Seen::Users {
                        marker: marker.clone(),
                        users: self.members(dev, channel),
                    }
                } else {
                    Seen::Error { extra: Extra::User }
                };
                self.want(id, seen);
            }
            Command::Data { marker, user } => {
                let data = get(&self.told.data, dev, user).cloned().unwrap_or_default();
                self.want(
                    id,
                    Seen::Data {
                        marker: marker.clone(),
                        user: u64::from(*user),
                        data,
                    },
                );
            }
            Command::Status { user } => {
                let seconds = self.last_online(dev, *user);
                self.want(
                    id,
                    Seen::Last {
                        pipe: format!("user_status_{user}"),
                        seconds,
                    },
                );
            }
            Command::Statistics => {}
            Command::Nonsense(_) => self.want(id, Seen::Error { extra: Extra::Plain }),
        }
    }

    fn history_asked(&mut self, id: ConnId, channel: &str, marker: &str) {
        let Some(conn) = self.alive(id) else { return };
        let (dev, user, new) = (conn.dev, conn.user, conn.new);
        if channel.starts_with("private_") && user == 0 {
            self.want(id, Seen::Error { extra: Extra::Plain });
            return;
        }
        let marker = (!new && marker != "undefined").then(|| marker.to_owned());
        let kept: Vec<_> = self.told.history_of(dev, channel).cloned().collect();
        for message in kept {
            let seen = Seen::History {
                pipe: message.channel,
                event: message.event,
                view: crate::names::view(&message.body),
                user: u64::from(message.sender),
                marker: marker.clone(),
                time: message.time,
            };
            self.want(id, seen);
        }
    }

    /// User and uuid of everybody in a channel, sorted.
    pub(super) fn members(&self, dev: u32, channel: &str) -> Vec<(u64, String)> {
        let mut members: Vec<_> = self
            .subscribers(dev, channel)
            .into_iter()
            .filter_map(|id| self.conn(id))
            .map(|conn| (u64::from(conn.user), conn.uuid.clone()))
            .collect();
        members.sort();
        members
    }

    /// Seconds since last online; [`ANY_SECONDS`] where the wall clock went backwards.
    fn last_online(&self, dev: u32, user: u32) -> i64 {
        match get(&self.told.times, dev, &user) {
            None => -1,
            Some(0) => 0,
            Some(&since) if self.unix / 1000 <= since => ANY_SECONDS,
            Some(&since) => (self.unix / 1000 - since) as i64,
        }
    }
}

/// The specification leaves the number open.
pub(super) const ANY_SECONDS: i64 = -2;
