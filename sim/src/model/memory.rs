//! The memory budget (docs/protocol.md 8.7): what is refused is refused because there is no room, and what there is room
//! for is not refused. The model counts on its own: what is stored exactly, by the table of docs/operations.md, the rest
//! roughly: at least so much, at most so much.

use comet_core::Room;

use super::facts::Facts;
use super::{Failure, Model, wrong};
use crate::backend::Ask;
use crate::profile::Knob;

/// What is known of the budget.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// What the core said last.
    pub(super) room: Room,
    /// What the world around it said last.
    pub(super) outside: u64,
}

/// Messages above this are not published while the server is full, even if nobody keeps them.
const SHORT: usize = 1024;

impl Memory {
    /// As SHOW GLOBAL MEMORY calls it.
    pub(super) const fn state(&self) -> &'static str {
        match self.room {
            Room::Enough => "normal",
            Room::ToCome => "nothing_is_stored",
            Room::None => "full",
        }
    }
}

fn block(bytes: usize) -> u64 {
    ((bytes + 8).next_multiple_of(16) as u64).max(32)
}

fn text(text: &str) -> u64 {
    block(16 + text.len())
}

/// A ring with `len` messages.
fn ring(len: usize, slot: usize) -> u64 {
    match len {
        0 => 0,
        len => block(len.next_power_of_two().max(4) * slot),
    }
}

impl Facts {
    /// Bytes of everything that survives a restart.
    fn bytes(&self) -> u64 {
        let mut users: Vec<(u32, u32)> = self.keys.iter().map(|row| (row.0, row.1)).collect();
        users.extend(self.data.iter().map(|row| (row.0, row.1)));
        users.extend(self.times.iter().map(|row| (row.0, row.1)));
        users.extend(self.queue.iter().map(|message| (message.dev, message.user)));
        users.sort_unstable();
        users.dedup();
        let data: u64 = self.data.iter().map(|row| text(&row.2)).sum();
        let queued: u64 = self.queue.iter().map(|m| text(&m.event) + text(&m.body)).sum();
        let rings = users.iter().map(|&(dev, user)| {
            let of = self.queue.iter().filter(|m| (m.dev, m.user) == (dev, user));
            ring(of.count(), 64)
        });
        let rings: u64 = rings.sum();
        let mut channels: Vec<(u32, &String)> = self.lengths.iter().map(|row| (row.0, &row.1)).collect();
        channels.extend(self.history.iter().map(|kept| (kept.dev, &kept.channel)));
        channels.sort_unstable();
        channels.dedup();
        let histories = channels.iter().map(|(dev, name)| {
            let of = self
                .history
                .iter()
                .filter(|kept| kept.dev == *dev && kept.channel == **name);
            112 + text(name) + ring(of.count(), 80)
        });
        let histories: u64 = histories.sum();
        let kept: u64 = self.history.iter().map(|k| text(&k.event) + text(&k.body)).sum();
        144 * users.len() as u64 + data + queued + rings + histories + kept + self.bytes_of_tokens()
    }

    /// Bytes of what is revoked.
    fn bytes_of_tokens(&self) -> u64 {
        self.revoked.iter().map(|row| 56 + text(&row.1)).sum()
    }
}

impl Model {
    pub(super) fn is_full(&self) -> bool {
        self.memory.room == Room::None
    }

    pub(super) fn stores_nothing(&self) -> bool {
        self.memory.room != Room::Enough
    }

    /// True if the statement is refused for want of room.
    pub(super) fn no_room_for(&self, dev: u32, ask: &Ask) -> bool {
        match ask {
            Ask::Private(_) | Ask::SetKey { .. } | Ask::SetData { .. } | Ask::SetLength { .. } => {
                self.stores_nothing()
            }
            // A thief must not keep a token by filling the memory with it.
            Ask::Revoke { .. } => {
                self.stores_nothing() && self.told.bytes_of_tokens() >= self.profile.memory_limit() / 8
            }
            Ask::Publish(rows) => {
                let kept = rows.iter().any(|row| self.told.length(dev, &row.channel) > 0);
                let long = rows.iter().any(|row| row.body.len() > SHORT);
                (kept && self.stores_nothing()) || (long && self.is_full())
            }
            Ask::DelKey { .. }
            | Ask::DelData { .. }
            | Ask::DelLength { .. }
            | Ask::DelHistory { .. }
            | Ask::DelQueue { .. }
            | Ask::Restore { .. }
            | Ask::Look(_)
            | Ask::Console(_)
            | Ask::Use { .. }
            | Ask::DelMessage { .. }
            | Ask::Delivery { .. }
            | Ask::DeliveryOf { .. }
            | Ask::Begin
            | Ask::End
            | Ask::Wrong { .. } => false,
        }
    }

    /// The core says how much room there is.
    pub(super) fn room_told(&mut self, room: Room) -> Result<(), Failure> {
        if room == self.memory.room {
            return wrong("room", format!("{room:?} again"));
        }
        self.memory.room = room;
        Ok(())
    }

    /// What the core said about room fits what there is.
    pub(super) fn check_room(&self) -> Result<(), Failure> {
        let limit = self.profile.memory_limit();
        if limit == 0 || self.shutting_down {
            return Ok(());
        }
        let stored = self.written.bytes();
        // Who came while the disk failed is written later.
        let stored_max = stored + 144 * self.profile.get(Knob::Users) * self.profile.get(Knob::Devs);
        let (living, living_max) = self.living_bytes();
        let (kept, room) = (limit / 8, self.memory.room);
        let below = |bytes: u64, bound: u64| bytes * 100 < bound * 95;
        let of_limits = 150 * (self.turns.len() + self.friends.len()) as u64 + 50 * self.living.len() as u64;
        let remembered = self.profile.get(Knob::DeliveryWindow) + of_limits;
        let roomy = below(stored_max + living_max + remembered, limit);
        let fault = if stored + living >= limit && living >= kept && room != Room::None {
            Some("is full")
        } else if (roomy || below(living_max, kept)) && room == Room::None {
            Some("is not full")
        } else if roomy && below(stored_max, limit - kept) && room != Room::Enough {
            Some("has room to store")
        } else {
            None
        };
        let told = |what: &str| {
            format!(
                "{room:?}, but it {what}: stored {stored} to {stored_max}, living {living} to {living_max}"
            )
        };
        fault.map_or(Ok(()), |what| wrong("room", told(what)))
    }

    /// At least and at most what does not survive a restart takes.
    fn living_bytes(&self) -> (u64, u64) {
        let conns = self.living.len() as u64;
        let at_least = self.memory.outside + 184 * conns;
        let of_conns: u64 = self
            .living()
            .map(|conn| {
                let flying = conn.sent.iter().filter(|sent| !sent.acknowledged).count() + conn.backlog.len();
                1_500
                    + 600 * conn.channels.len() as u64
                    + 1_000 * flying as u64
                    + 400 * conn.readings.len() as u64
            })
            .sum();
        let owed = self.written.queue.len() as u64;
        let waiting = (self.due.len() + self.wanted.len()) as u64;
        let at_most = self.memory.outside
            + 10_000
            + of_conns
            + 2_500 * owed
            + 250 * self.accepted.len() as u64
            + 5_000 * waiting
            + 300 * self.sessions.len() as u64;
        (at_least, at_most)
    }
}
