//! `pipe_log`: what of a history must come, in which order, and when (protocol.md 2.6.3, docs/protocol-v5.md 1).

use comet_core::{ConnId, OpId};

use super::{Asked, Failure, Model, wrong};
use crate::browser::Version;
use crate::names::view;
use crate::seen::{Extra, Seen, Told};

/// Something that is on its way to a page that asked for a history.
#[derive(Clone, Debug)]
pub(super) enum Reading {
    /// A message, as long as it is kept.
    Message {
        channel: String,
        id: String,
        /// The record that keeps it, if it is known: the same message may have come back later.
        op: Option<OpId>,
        told: Told,
    },
    /// The result, behind so many messages.
    End { re: u64, sent: u64 },
}

impl Model {
    pub(super) fn history_asked(&mut self, asked: Asked, channel: &str, marker: &str) {
        let Some(conn) = self.alive(asked.conn) else {
            return;
        };
        let (dev, user, version) = (conn.dev, conn.user, conn.version);
        if channel.starts_with("private_") && user == 0 {
            return self.refuse(asked, Extra::Plain, "not_authorized");
        }
        let marker = (version == Version::V3 && marker != "undefined").then(|| marker.to_owned());
        let kept: Vec<_> = self.told.history_of(dev, channel).cloned().collect();
        if let Some(re) = asked.re.filter(|_| kept.is_empty()) {
            let re = Some(re);
            return self.want_answer(Asked { re, ..asked }, Seen::HistoryEnd { messages: 0 });
        }
        let messages = kept.into_iter().map(|message| {
            let seen = Seen::History {
                pipe: message.channel.clone(),
                event: message.event,
                view: view(&message.body),
                user: u64::from(message.sender),
                marker: marker.clone(),
                id: (version == Version::V5).then(|| message.id.clone()),
                time: message.time,
            };
            Reading::Message {
                channel: message.channel,
                id: message.id,
                op: message.op,
                told: Told { re: asked.re, seen },
            }
        });
        let end = asked.re.map(|re| Reading::End { re, sent: 0 });
        if let Some(conn) = self.conn_mut(asked.conn) {
            conn.readings.extend(messages.chain(end));
        }
    }

    /// True if it must be sent when its turn comes.
    fn is_due(&self, dev: u32, reading: &Reading) -> bool {
        match reading {
            Reading::Message { channel, id, op, .. } => {
                let mut kept = self.told.history_of(dev, channel);
                kept.any(|kept| (&kept.id, kept.op) == (id, *op))
            }
            Reading::End { .. } => true,
        }
    }

    /// The place of what must be sent next.
    fn next_reading(&self, id: ConnId) -> Option<usize> {
        let conn = self.alive(id)?;
        conn.readings
            .iter()
            .position(|reading| self.is_due(conn.dev, reading))
    }

    /// A message of a history is sent: the next one that is still kept (S55, S56).
    pub(super) fn history_frame(&mut self, id: ConnId, told: &Told) -> Result<(), Failure> {
        let next = self.next_reading(id);
        let Some(conn) = self.conn_mut(id) else {
            return Ok(());
        };
        let due = next.and_then(|at| conn.readings.get(at));
        let Some(Reading::Message { told: expected, .. }) = due.filter(|_| conn.gone.is_none()) else {
            return wrong("history", format!("{told:?} to {id:?}, where {due:?} is due"));
        };
        if expected != told {
            return wrong("history", format!("{told:?} to {id:?}, where {due:?} is due"));
        }
        let (dev, read) = (conn.dev, due.cloned());
        conn.readings.drain(..=next.unwrap_or(0));
        let end = conn.readings.iter_mut().find_map(|reading| match reading {
            Reading::End { sent, .. } => Some(sent),
            Reading::Message { .. } => None,
        });
        if let Some(sent) = end.filter(|_| told.re.is_some()) {
            *sent += 1;
        }
        if let Some(Reading::Message {
            channel, id: read, ..
        }) = read
        {
            self.was_read(read, (dev, &channel), id);
        }
        Ok(())
    }

    /// The result of a `pipe_log` is sent: true if it was the next thing due.
    pub(super) fn history_end(&mut self, id: ConnId, told: &Told) -> bool {
        let next = self.next_reading(id);
        let Some(conn) = self.conn_mut(id) else {
            return false;
        };
        let due = next.and_then(|at| conn.readings.get(at));
        let Some(Reading::End { re, sent }) = due else {
            return false;
        };
        let expected = Told {
            re: Some(*re),
            seen: Seen::HistoryEnd { messages: *sent },
        };
        if expected != *told {
            return false;
        }
        conn.readings.drain(..=next.unwrap_or(0));
        true
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
            let due = conn
                .readings
                .iter()
                .find(|reading| self.is_due(conn.dev, reading));
            if let Some(reading) = due {
                return wrong(
                    "missing frame",
                    format!("{reading:?} was not sent to {:?}", conn.id),
                );
            }
        }
        Ok(())
    }
}
