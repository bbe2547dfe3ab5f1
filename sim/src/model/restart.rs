//! A server starts: what the disk had is there, everything else is forgotten.

use comet_core::{Action, OpId, Record};

use super::console::Counts;
use super::facts::Facts;
use super::{Cause, Failure, Fate, Model, Out, memory, wrong};

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
        self.forget_everything_volatile();
        self.told = self.written.clone();
        self.lose_unsafe_messages();
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
        self.history_ended.clear();
        self.failing = false;
        self.checked = None;
        self.ready = true;
        self.memory = memory::Memory::default();
        self.shutting_down = false;
    }
}
