//! What a page is answered (protocol.md 2.6).

use comet_core::ConnId;

use super::channels::Publication;
use super::facts::get;
use super::{Failure, Model, Out, Reading, wrong};
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
        let readings = kept.into_iter().map(|message| {
            let seen = Seen::History {
                pipe: message.channel.clone(),
                event: message.event,
                view: crate::names::view(&message.body),
                user: u64::from(message.sender),
                marker: marker.clone(),
                time: message.time,
            };
            Reading {
                channel: message.channel,
                body: message.body,
                seen,
            }
        });
        let readings: Vec<_> = readings.collect();
        if let Some(conn) = self.conn_mut(id) {
            conn.readings.extend(readings);
        }
    }

    fn is_kept(&self, dev: u32, reading: &Reading) -> bool {
        self.told
            .history_of(dev, &reading.channel)
            .any(|kept| kept.body == reading.body)
    }

    /// A message of a history is sent: the next one that is still kept (protocol.md 2.6.3, S55, S56).
    pub(super) fn history_frame(&mut self, id: ConnId, seen: &Seen) -> Result<(), Failure> {
        let Some(conn) = self.alive(id) else {
            return wrong("history", format!("{seen:?} to {id:?}"));
        };
        let next = conn
            .readings
            .iter()
            .position(|reading| self.is_kept(conn.dev, reading));
        let Some(next) = next.filter(|at| conn.readings[*at].seen == *seen) else {
            return wrong(
                "history",
                format!("{seen:?} to {id:?}, where {:?} is due", conn.readings.first()),
            );
        };
        if let Some(conn) = self.conn_mut(id) {
            conn.readings.drain(..=next);
        }
        Ok(())
    }

    /// A window of history is over: true if this probe may be the one behind it.
    pub(super) fn reading_probe(&mut self, id: ConnId, probe: u128) -> bool {
        let Some(conn) = self.conn_mut(id) else {
            return false;
        };
        let waits = conn.reading_probe.is_none() && !conn.readings.is_empty();
        if waits {
            conn.reading_probe = Some(probe);
        }
        waits
    }

    /// Nobody waits for history that could be sent.
    pub(super) fn readings(&self) -> Result<(), Failure> {
        for conn in self.living().filter(|conn| conn.reading_probe.is_none()) {
            if let Some(reading) = conn
                .readings
                .iter()
                .find(|reading| self.is_kept(conn.dev, reading))
            {
                return wrong(
                    "missing frame",
                    format!("{reading:?} was not sent to {:?}", conn.id),
                );
            }
        }
        Ok(())
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
