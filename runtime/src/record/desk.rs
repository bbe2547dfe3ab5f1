//! What lies between whoever has the core and the thread that writes files.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use comet_core::recording::{self, Head};

/// The writer is called when so many bytes have come together: waking it costs more than what leaves the processor's cache
/// by then, …
const SHEET_BYTES: usize = 1 << 20;
/// Sheets that are kept to be written on again.
const SPARE_SHEETS: usize = 4;
/// … and looks by itself this often.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a panicking process waits for the disk.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Something to be written.
#[derive(Debug)]
pub(super) enum Sheet {
    /// A new file.
    Segment { head: Head, checkpoint: Vec<u8> },
    /// Entries of the segment before.
    Entries(Vec<u8>),
}

/// What waits.
#[derive(Debug, Default)]
pub(super) struct Pile {
    sheets: VecDeque<Sheet>,
    /// Entries that still come together.
    pub(super) open: Vec<u8>,
    /// Memory for the next ones, used before.
    spare: Vec<Vec<u8>>,
    /// Bytes of the entries in the sheets.
    waiting: usize,
    /// The writer has been called.
    called: bool,
    /// The writer is at work.
    writing: bool,
    /// Nothing more comes.
    closed: bool,
    /// The disk failed: nothing more is taken.
    pub(super) broken: bool,
}

impl Pile {
    /// Bytes of entries that wait. States do not count: a large one does not mean that the disk is slow.
    pub(super) fn bytes(&self) -> usize {
        self.open.len() + self.waiting
    }

    fn is_empty(&self) -> bool {
        self.open.is_empty() && self.sheets.is_empty() && !self.writing
    }

    fn close_sheet(&mut self) {
        if !self.open.is_empty() {
            self.waiting += self.open.len();
            let spare = self.spare.pop().unwrap_or_default();
            let entries = std::mem::replace(&mut self.open, spare);
            self.sheets.push_back(Sheet::Entries(entries));
        }
    }

    /// Takes memory back. What an exceptional event has made large goes.
    fn keep_spare(&mut self, spare: impl Iterator<Item = Vec<u8>>) {
        let room = SPARE_SHEETS.saturating_sub(self.spare.len());
        let usual = spare.filter(|sheet| sheet.capacity() <= 2 * SHEET_BYTES);
        self.spare.extend(usual.take(room));
    }
}

/// The pile, and the two ends that wait for it.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pile: Mutex<Pile>,
    filled: Condvar,
    emptied: Condvar,
}

impl Desk {
    pub(super) fn lock(&self) -> MutexGuard<'_, Pile> {
        self.pile.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Calls the writer if there is enough to do.
    pub(super) fn call_if_full(&self, mut pile: MutexGuard<'_, Pile>) {
        if pile.open.len() < SHEET_BYTES {
            return;
        }
        pile.close_sheet();
        if !pile.called {
            pile.called = true;
            drop(pile);
            self.filled.notify_one();
        }
    }

    /// The last entries of a segment, and what comes behind them.
    pub(super) fn turn_over(&self, answer: Option<&[u32]>, next: Sheet) {
        let mut pile = self.lock();
        if let Some(answer) = answer {
            recording::answer(answer, &mut pile.open);
        }
        pile.close_sheet();
        pile.sheets.push_back(next);
        pile.called = true;
        self.filled.notify_one();
    }

    /// The last entries of the recording.
    pub(super) fn close(&self, answer: Option<&[u32]>) {
        let mut pile = self.lock();
        if let Some(answer) = answer {
            recording::answer(answer, &mut pile.open);
        }
        pile.closed = true;
        self.filled.notify_one();
    }

    /// Everything there is to write, sooner or later; `None` when nothing comes any more. `spare` is memory of sheets
    /// that were written.
    pub(super) fn take(&self, spare: &mut Vec<Vec<u8>>) -> Option<VecDeque<Sheet>> {
        let mut pile = self.lock();
        pile.writing = false;
        if pile.is_empty() {
            self.emptied.notify_all();
        }
        pile.keep_spare(spare.drain(..));
        if !pile.called && !pile.closed {
            let waited = self.filled.wait_timeout(pile, LOOK_EVERY);
            pile = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        pile.called = false;
        pile.close_sheet();
        if pile.sheets.is_empty() && pile.closed {
            return None;
        }
        pile.writing = true;
        pile.waiting = 0;
        Some(std::mem::take(&mut pile.sheets))
    }

    /// Nothing can be written any more.
    pub(super) fn give_up(&self) {
        let mut pile = self.lock();
        *pile = Pile {
            broken: true,
            ..Pile::default()
        };
        self.emptied.notify_all();
    }

    /// Waits until everything is written, for a while.
    pub(super) fn flush(&self) {
        // Whoever panics may have the lock.
        let pile = match self.pile.try_lock() {
            Ok(pile) => pile,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                std::thread::sleep(LOOK_EVERY);
                let Ok(pile) = self.pile.try_lock() else { return };
                pile
            }
        };
        self.filled.notify_one();
        // Whether it was in time or not, the process ends.
        let _ = self
            .emptied
            .wait_timeout_while(pile, LAST_WORDS, |pile| !pile.is_empty());
    }
}

/// What the core was told before a panic is what somebody will want to replay.
pub(super) fn flush_when_panicking(desk: &Arc<Desk>) {
    let desk = Arc::downgrade(desk);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);
        if let Some(desk) = desk.upgrade() {
            desk.flush();
        }
    }));
}
