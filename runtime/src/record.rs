//! Recording (`--record`): every event the core is told and a digest of every answer go into files that a simulator can
//! replay (docs/testing.md, "A bug report is a file").
//!
//! Promise: serving comes first. Whoever holds the core writes entries into memory, under a lock that is only ever held
//! for a copy; a thread of its own puts them into files. If the disk cannot keep up, the recording has a gap; if it
//! fails, the recording ends, and the log and a metric say so. What the core was told before it found an invariant broken
//! is in the file.

mod desk;
mod shelf;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;
use std::thread::JoinHandle;

use comet_core::recording::{self, Head, Scribe, Texts};
use comet_core::{Action, Core, Event, Now, UnixMillis};

use crate::config::RecordSettings;
use crate::metrics::Metrics;
use desk::{Desk, Sheet};
use shelf::Shelf;

/// A segment is at least so many times as long as its checkpoint, as writing that makes the core pause.
const CHECKPOINT_SHARE: usize = 8;
/// Bytes that may wait for the disk before the recording gets a gap.
const BEHIND_BYTES_MAX: usize = 64 << 20;

/// Where whoever has the core writes.
#[derive(Debug)]
pub(crate) struct Recorder {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
    metrics: Arc<Metrics>,
    scribe: Scribe,
    redacted: bool,
    segment_bytes: usize,
    recording: UnixMillis,
    /// Segments so far.
    number: u64,
    /// The segment ends when it has no bytes left.
    left: usize,
    /// The digests of what the last event brought about, not yet written.
    answer: Option<Vec<u32>>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// A segment is open.
    Open,
    /// The disk was too slow: a new segment begins as soon as it has caught up.
    Gap,
}

impl Recorder {
    /// Begins a recording with the state of `core`. `None` if that cannot be: then the log says why.
    pub(crate) fn start(
        settings: &RecordSettings,
        core: &Core,
        now: Now,
        key: [u8; 32],
        metrics: Arc<Metrics>,
    ) -> Option<Self> {
        let desk = Arc::new(Desk::default());
        let shelf = Shelf::open(settings, key, metrics.clone())
            .inspect_err(|error| writer::report(error, &metrics))
            .ok()?;
        let thread = writer::spawn(shelf, desk.clone(), metrics.clone())
            .inspect_err(|error| writer::report(error, &metrics))
            .ok()?;
        desk::flush_when_panicking(&desk);
        metrics.recording.set(1);
        let mut recorder = Self {
            desk,
            thread: Some(thread),
            metrics,
            scribe: Scribe::default(),
            redacted: settings.redact,
            segment_bytes: settings.segment_bytes,
            recording: now.unix,
            number: 0,
            left: 0,
            answer: None,
            state: State::Open,
        };
        recorder.begin_segment(core, false);
        Some(recorder)
    }

    /// The core is about to be told this. False if the recording has ended.
    pub(crate) fn event(&mut self, now: Now, event: &Event, core: &Core) -> bool {
        if self.left == 0 {
            match self.state {
                State::Open => self.begin_segment(core, true),
                State::Gap if self.desk.is_empty() => {
                    self.state = State::Open;
                    self.begin_segment(core, false);
                }
                State::Gap => return !self.desk.lock().broken,
            }
        }
        let mut pile = self.desk.lock();
        if pile.broken {
            return false;
        }
        let before = pile.open.len();
        if let Some(answer) = &mut self.answer {
            recording::answer(answer, &mut pile.open);
            answer.clear();
        }
        self.scribe.event(now, event, &mut pile.open);
        self.left = self.left.saturating_sub(pile.open.len() - before);
        if pile.bytes() > BEHIND_BYTES_MAX {
            self.left = 0;
            self.state = State::Gap;
            // What this event brings about is not looked at.
            self.answer = None;
            self.metrics.recording_gaps.inc();
        }
        self.desk.call_if_full(pile);
        true
    }

    /// What the core answered.
    pub(crate) fn answered(&mut self, actions: &[Action]) {
        if self.state == State::Open {
            let texts = if self.redacted {
                Texts::Lengths
            } else {
                Texts::Whole
            };
            let answer = self.answer.get_or_insert_default();
            answer.extend(recording::digests(actions, texts));
        }
    }

    /// Closes the segment, if there is one, and begins the next.
    fn begin_segment(&mut self, core: &Core, follows: bool) {
        self.number += 1;
        let mut checkpoint = Vec::new();
        core.checkpoint(&mut checkpoint);
        self.left = self.segment_bytes.max(checkpoint.len() * CHECKPOINT_SHARE);
        self.scribe = Scribe::default();
        let head = Head::new(self.recording, self.number, follows, self.redacted);
        let answer = self.answer.take();
        self.desk
            .turn_over(answer.as_deref(), Sheet::Segment { head, checkpoint });
    }
}

impl Drop for Recorder {
    /// Everything recorded reaches its file.
    fn drop(&mut self) {
        self.desk.close(self.answer.take().as_deref());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so itself.
            let _ = thread.join();
        }
        self.metrics.recording.set(0);
    }
}
