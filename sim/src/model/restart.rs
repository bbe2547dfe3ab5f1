//! A server starts: what the disk had is there, everything else is forgotten.

use comet_core::{Action, OpId, Record};

use super::console::Counts;
use super::facts::Facts;
use super::{Cause, Failure, Fate, Model, Out, Private, memory, wrong};

impl Model {
    /// The operator does away with strict limits before the next start.
    pub fn relax(&mut self) {
        self.profile.relax();
    }

    /// A new server started on what the disk had; `actions` are those of its start.
    pub fn restart(
        &mut self,
        now: u64,
        unix: u64,
        safe: &[Record],
        actions: &[Action],
    ) -> Result<(), Failure> {
        self.now = now;
        self.unix = unix;
        self.life += 1;
        if self.life > 1 {
            self.crashes.push(now);
        }
        self.written = Facts::default();
        for record in safe {
            self.written.apply(record);
        }
        let unfinished = self.unfinished();
        self.forget_everything_volatile();
        self.told = self.written.clone();
        self.lose_unsafe_messages();
        self.all_or_nothing(&unfinished)?;
        let broken = self
            .private
            .iter()
            .find(|message| message.fate == Fate::Lost && message.acknowledged);
        if let Some(message) = broken {
            return wrong("lost", format!("answered OK, gone after the crash: {message:?}"));
        }
        self.told.everybody_offline(unix / 1000);
        let outs = self.understand(&Cause::Tick, actions)?;
        for out in &outs {
            match out {
                Out::Record { op, record } => self.note_record(*op, record)?,
                Out::Room(room) => self.room_told(*room)?,
                Out::Frame { .. }
                | Out::Probe { .. }
                | Out::Close { .. }
                | Out::Reply { .. }
                | Out::CloseSession { .. }
                | Out::Ready(_) => return wrong("start", format!("{out:?} at the start")),
            }
        }
        Ok(())
    }

    /// The messages of each statement that nobody was told the outcome of, but for those that have left the queue.
    fn unfinished(&self) -> Vec<Vec<u64>> {
        let is_owed = |n: &u64| {
            let mut known = self.private.iter().filter(|message| message.n == *n);
            known.any(|message| message.fate == Fate::Owed)
        };
        let due = self.due.iter().map(|due| &due.messages);
        let untold = self.untold.iter().filter(|(op, _)| *op > self.persisted);
        let all = due.chain(untold.map(|(_, messages)| messages));
        all.map(|messages| messages.iter().copied().filter(is_owed).collect())
            .collect()
    }

    /// The rows of a statement survive together or not at all, also if they are for several users.
    fn all_or_nothing(&self, unfinished: &[Vec<u64>]) -> Result<(), Failure> {
        for rows in unfinished {
            let is_lost = |message: &&Private| message.fate == Fate::Lost;
            let known = self.private.iter().filter(|message| rows.contains(&message.n));
            let lost = known.filter(is_lost).count();
            if lost > 0 && lost < rows.len() {
                return wrong(
                    "torn",
                    format!("of the messages {rows:?} of a statement {lost} are lost"),
                );
            }
        }
        Ok(())
    }

    fn forget_everything_volatile(&mut self) {
        let pages: Vec<_> = self
            .conns
            .iter()
            .filter(|c| c.gone.is_none())
            .filter_map(|c| c.page)
            .collect();
        for page in pages {
            self.separated(page);
        }
        self.conns.clear();
        self.living.clear();
        for message in &mut self.private {
            message.holders.clear();
            message.somebody_has_it = false;
            message.done_by.clear();
        }
        self.sessions.clear();
        self.counts = Counts {
            started: self.now,
            ..Counts::default()
        };
        self.due.clear();
        self.wanted.clear();
        self.accepted.clear();
        self.turns.clear();
        self.friends.clear();
        self.last_op = OpId(0);
        self.persisted = OpId(0);
        self.untold.clear();
        self.history_ended.clear();
        self.failing = false;
        self.checked = None;
        self.ready = true;
        self.memory = memory::Memory::default();
        self.shutting_down = false;
    }
}

#[cfg(test)]
mod tests;
