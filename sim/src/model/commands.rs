//! Limits on what pages may send: commands per second (Q63) and the length of a message (protocol.md 2.6.2).

use comet_core::ConnId;

use super::{Asked, Model};
use crate::browser::{Command, Message};
use crate::profile::Knob;
use crate::seen::{Extra, Seen};

/// The commands of a connection in its present second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    began: u64,
    commands: u64,
}

impl Pace {
    /// A connection opens.
    pub(super) const fn new(now: u64) -> Self {
        Self {
            began: now,
            commands: 0,
        }
    }
}

impl Model {
    /// Counts a command; true if it is one too many. An acknowledgement stands in the place of a Pong and is not
    /// counted.
    pub(super) fn is_too_fast(&mut self, id: ConnId, command: &Command) -> bool {
        let (max, now) = (self.profile.get(Knob::Commands), self.now);
        let is_ack = matches!(command, Command::Ack(uuid) if comet_core::MessageId::parse(uuid).is_some());
        if max == 0 || is_ack {
            return false;
        }
        let Some(conn) = self.conn_mut(id) else {
            return false;
        };
        if now >= conn.pace.began + 1_000_000 {
            conn.pace = Pace::new(now);
        }
        conn.pace.commands += 1;
        conn.pace.commands > max
    }

    /// A message that is too long is refused before anybody asks whether it is known.
    pub(super) fn refuse_long(&mut self, asked: Asked, message: &Message, is_exact: bool) -> bool {
        let (channel, max) = (&message.channel, self.profile.get(Knob::BodyMax));
        let takes = channel.starts_with("web_") || (channel.starts_with("webauth_") && !message.anonymous);
        if !takes || message.body.len() as u64 <= max {
            return false;
        }
        self.refuse(asked, Extra::Number, "message_too_long");
        if !is_exact {
            let pipe = channel.clone();
            self.want(asked.conn, Seen::ErrorReport { pipe });
        }
        true
    }
}
