//! What a page is answered (protocol.md 2.6).

use comet_core::ConnId;

use super::facts::get;
use super::{Asked, Model, Out};
use crate::browser::{Change, Command, Version};
use crate::seen::{Extra, Seen};

impl Model {
    /// A page sent a command. To a numbered one there is exactly one result (docs/protocol-v5.md 1).
    pub(super) fn command(&mut self, id: ConnId, number: Option<u64>, command: &Command, outs: &[Out]) {
        let Some(conn) = self.alive(id) else { return };
        let (dev, exact) = (conn.dev, conn.version == Version::V5);
        let asked = Asked {
            conn: id,
            re: number.filter(|_| exact),
        };
        if self.is_too_fast(id, command) || self.is_over_rate(id, command) {
            return self.refuse(asked, Extra::Plain, "too_many_commands");
        }
        if !exact && (number.is_some() || is_new(command)) {
            return self.refuse(asked, Extra::Plain, "unknown_command");
        }
        match command {
            Command::Subscribe(change, names) => self.subscribe(asked, *change, names),
            Command::Send(message) => self.send(asked, message, outs),
            Command::History { channel, marker } => self.history_asked(asked, channel, marker),
            Command::Count { channel, marker } => {
                if !channel.starts_with("web_") && !channel.starts_with("track_") {
                    return self.refuse(asked, Extra::Number, "channel_refused");
                }
                let (marker, users) = (marker.clone(), self.subscribers(dev, channel).len() as u64);
                self.want_answer(asked, Seen::Count { marker, users });
            }
            Command::Users { channel, marker } => {
                if !channel.starts_with("track_") {
                    return self.refuse(asked, Extra::User, "channel_refused");
                }
                let (marker, users) = (marker.clone(), self.members(dev, channel));
                self.want_answer(asked, Seen::Users { marker, users });
            }
            Command::Data { marker, user } => {
                let data = get(&self.told.data, dev, user).cloned().unwrap_or_default();
                let seen = Seen::Data {
                    marker: marker.clone(),
                    user: u64::from(*user),
                    data,
                };
                self.want_answer(asked, seen);
            }
            Command::Status { user } => {
                let seconds = self.last_online(dev, *user);
                let pipe = format!("user_status_{user}");
                self.want_answer(asked, Seen::Last { pipe, seconds });
            }
            Command::Statistics => self.done(asked, "statistics"),
            Command::Ack(uuid) => {
                if comet_core::MessageId::parse(uuid).is_none() {
                    return self.refuse(asked, Extra::Plain, "bad_message_id");
                }
                self.acknowledge(id, uuid);
                self.done(asked, "ack");
            }
            Command::Nonsense(kind) => self.refuse(asked, Extra::Plain, Command::nonsense_code(*kind)),
        }
    }

    fn done(&mut self, asked: Asked, command: &str) {
        if asked.re.is_some() {
            let command = command.to_owned();
            self.want_answer(asked, Seen::Done { command });
        }
    }

    /// A command fails: the extra key is told to the older versions, the code to version 5.
    pub(super) fn refuse(&mut self, asked: Asked, extra: Extra, code: &str) {
        let exact = self
            .conn(asked.conn)
            .is_some_and(|conn| conn.version == Version::V5);
        let seen = if exact {
            let code = code.to_owned();
            Seen::Refused { code }
        } else {
            Seen::Error { extra }
        };
        self.want_answer(asked, seen);
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

/// True for what the versions before 5 do not know.
fn is_new(command: &Command) -> bool {
    matches!(
        command,
        Command::Subscribe(Change::Add | Change::Remove, _) | Command::Ack(_)
    )
}
