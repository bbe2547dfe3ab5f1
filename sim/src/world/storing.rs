//! How records come to the simulated disk: what one event made as a whole, and in commits that take their time.

use comet_core::Action;

use super::World;
use super::coming::Coming;
use crate::model::{Failure, wrong};
use crate::profile::Knob;

impl World {
    /// The store gets what one event made as a whole: the parts of a statement survive together or not at all
    /// (protocol.md Appendix B).
    pub(super) fn give_records(&mut self, actions: &[Action]) -> Result<(), Failure> {
        for action in actions {
            if let Action::Persist { op, record } = action {
                self.note_stored(record);
                self.shadow.apply(record);
                self.disk
                    .take(*op, record.clone())
                    .or_else(|text| wrong("records", text))?;
            }
        }
        self.begin_commit();
        Ok(())
    }

    /// Begins to write what waits, if nothing is being written.
    pub(super) fn begin_commit(&mut self) {
        if self.planted.lies_about_disk() {
            self.plan(
                self.now,
                Coming::DiskLie {
                    life: self.life,
                    upto: self.disk.newest,
                },
            );
        }
        if self.disk.begin() {
            let longest = if self.calm {
                1
            } else {
                self.profile.get(Knob::Commit)
            };
            let at = self.now + 100 + self.luck.below(longest * 1000);
            self.plan(at, Coming::Commit { life: self.life });
        }
    }
}
