//! One line per second on standard error while a run lasts.

use crate::clock;

#[derive(Debug)]
pub(crate) struct Progress {
    what: String,
    begun: u64,
    next: u64,
}

impl Progress {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        let begun = clock::nanos();
        Self {
            what: what.into(),
            begun,
            next: begun + 1_000_000_000,
        }
    }

    /// Prints the line if a second has passed since the last one.
    pub(crate) fn tick(&mut self, line: impl FnOnce() -> String) {
        let now = clock::nanos();
        if now >= self.next {
            self.next = now + 1_000_000_000;
            eprintln!(
                "{:>5.0} s  {}: {}",
                clock::seconds(self.begun, now),
                self.what,
                line()
            );
        }
    }
}
