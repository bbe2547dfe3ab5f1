//! What the server's clocks show, and times in which it does not get to look at them.

use comet_core::{Mono, Now, UnixMillis};

use super::World;
use super::coming::{Coming, Entry};
use crate::fault::Fault;
use crate::model::Failure;
use crate::names::EPOCH_S;
use crate::profile::Knob;

impl World {
    /// Both clocks of the server.
    pub(super) fn clock(&self) -> Now {
        Now {
            mono: Mono::from_micros(self.now - self.boot),
            unix: UnixMillis(self.unix()),
        }
    }

    /// The wall clock: of a speed of its own, and set by hand now and then.
    pub(super) fn unix(&self) -> u64 {
        let passed_ms = self.now / 1000 * self.profile.get(Knob::Drift) / 1000;
        (EPOCH_S * 1000 + passed_ms).saturating_add_signed(self.skew_ms)
    }

    /// What the monotonic clock of a server would show that was never restarted: the model's time.
    pub(super) const fn awake(&self) -> u64 {
        self.now - self.slept
    }

    /// For so long nothing gets through to the server, then everything at once, in order. A process that stands still
    /// is late with its timers, which changes nothing but when their actions appear (`law`), so they come in time
    /// here. If the whole machine is suspended, its monotonic clock stands still, too.
    pub(super) fn stall(&mut self, ms: u64, is_suspended: bool) -> Result<(), Failure> {
        if self.core.is_none() {
            return Ok(());
        }
        let (begin, end) = (self.now, self.after_ms(ms));
        self.faults.add(if is_suspended {
            Fault::Suspend
        } else {
            Fault::Stall
        });
        self.deaf_until = end;
        self.is_suspended = is_suspended;
        // What comes at the end finds the server awake.
        self.run_until(end.saturating_sub(1).max(begin))?;
        self.now = end;
        self.deaf_until = 0;
        self.is_suspended = false;
        if is_suspended {
            self.boot += end - begin;
            self.slept += end - begin;
            self.model.slept(self.awake());
        }
        Ok(())
    }

    /// Puts off what comes to a server that does not listen.
    pub(super) fn put_off(&mut self, entry: Entry) -> Option<Entry> {
        if entry.at >= self.deaf_until || !entry.coming.is_for_server() {
            return Some(entry);
        }
        self.heap.push(Entry {
            at: self.deaf_until,
            ..entry
        });
        None
    }
}

impl Coming {
    /// It needs the server's attention.
    const fn is_for_server(&self) -> bool {
        match self {
            Self::Handshake { .. }
            | Self::Up { .. }
            | Self::Noticed { .. }
            | Self::Commit { .. }
            | Self::DiskLie { .. }
            | Self::DiskRetry { .. }
            | Self::Query(_)
            | Self::SessionEnd { .. }
            | Self::LogIn { .. }
            | Self::Memory { .. } => true,
            Self::Down { .. }
            | Self::Lost { .. }
            | Self::Connect { .. }
            | Self::Handled { .. }
            | Self::Resend { .. }
            | Self::Retry { .. }
            | Self::Restart => false,
        }
    }
}
