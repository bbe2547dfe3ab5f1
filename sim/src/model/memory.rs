//! The memory budget (docs/protocol.md 8.6): what is refused is refused because there is no room, and what there is room
//! for is not refused. The model counts on its own and roughly: at least so much is used, at most so much.

use comet_core::Room;

use super::{Failure, Model, wrong};

/// What is known of the budget.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// What the core said last.
    pub(super) room: Room,
    /// What the world around it said last.
    pub(super) outside: u64,
}

impl Model {
    /// The core says how much room there is.
    pub(super) fn room_told(&mut self, room: Room) -> Result<(), Failure> {
        if room == self.memory.room {
            return wrong("room", format!("{room:?} again"));
        }
        self.memory.room = room;
        Ok(())
    }
}
