//! Recordings of real servers (`comet-server --record`) played to the same core again, event by event, with the digest
//! of every action compared. The form of the bytes is `comet_core::recording`'s.

pub mod files;
pub mod law;
pub mod script;
pub mod shrink;

use std::fmt;

use comet_core::recording::{Entry, ReadError, Segment, Texts, digests};
use comet_core::{Action, Core, Event, Now};

/// What was replayed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Segments.
    pub segments: u64,
    /// Events in them.
    pub events: u64,
    /// Actions that were compared.
    pub actions: u64,
    /// Time that passed for the server within segments, milliseconds.
    pub simulated_ms: u64,
    /// Segments that end within a block: the server or the machine died.
    pub torn: u64,
    /// Events whose answer is not in the recording.
    pub unanswered: u64,
    /// Places where the recording has a gap, or begins anew.
    pub gaps: u64,
}

/// A replay that did something else than the server.
#[derive(Clone, PartialEq, Debug)]
pub enum Difference {
    /// An event was answered otherwise.
    Answer(Box<WrongAnswer>),
    /// The state after a segment is not the one the next begins with.
    State,
}

/// An event that was answered otherwise than by the server.
#[derive(Clone, PartialEq, Debug)]
pub struct WrongAnswer {
    /// Its place in the segment, from 1.
    pub number: usize,
    /// The time it came.
    pub now: Now,
    /// What happened.
    pub event: Event,
    /// Digests of what the server did.
    pub expected: Vec<u32>,
    /// What the replay did.
    pub actual: Vec<(u32, Action)>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer(wrong) => wrong.fmt(f),
            Self::State => {
                f.write_str("the state before the first event is not that after the segment before")
            }
        }
    }
}

impl fmt::Display for WrongAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "event {} at {:?}: {:?}",
            self.number, self.now.mono, self.event
        )?;
        writeln!(
            f,
            "  expected {} actions, got {}",
            self.expected.len(),
            self.actual.len()
        )?;
        for at in 0..self.expected.len().max(self.actual.len()) {
            let expected = self.expected.get(at).copied();
            let actual = self.actual.get(at);
            let same = actual.map(|(digest, _)| *digest) == expected;
            let mark = if same { "  =" } else { "  !" };
            let expected = expected.map_or_else(|| "nothing".to_owned(), |digest| format!("{digest:08x}"));
            match actual {
                Some((digest, action)) => writeln!(f, "{mark} {expected}, got {digest:08x} {action:?}")?,
                None => writeln!(f, "{mark} {expected}, got nothing")?,
            }
        }
        Ok(())
    }
}

/// Segments played one after the other.
#[derive(Debug, Default)]
pub struct Replay {
    /// What was replayed so far.
    pub totals: Totals,
    /// The state after the last segment, if the next one may begin with it.
    after: Option<Vec<u8>>,
}

impl Replay {
    /// Plays one segment. `watch` is told the number of each event before the core is.
    ///
    /// # Errors
    /// The segment cannot be read; nothing of it was played.
    pub fn segment(
        &mut self,
        segment: &Segment<'_>,
        watch: &mut dyn FnMut(usize, &Entry),
    ) -> Result<Option<Difference>, ReadError> {
        let mut core = segment.core()?;
        let before = self.after.take().filter(|_| segment.head.follows);
        if before.is_none() && self.totals.segments > 0 {
            self.totals.gaps += 1;
        }
        self.totals.segments += 1;
        self.totals.torn += u64::from(segment.torn);
        if before.is_some_and(|before| before != segment.checkpoint) {
            return Ok(Some(Difference::State));
        }
        let times = || segment.entries.iter().map(|entry| entry.now.mono);
        let span = times().next_back().zip(times().next());
        self.totals.simulated_ms += span.map_or(0, |(last, first)| last.micros_since(first) / 1000);
        for (number, entry) in (1..).zip(&segment.entries) {
            watch(number, entry);
            if let Some(wrong) = self.event(&mut core, number, entry, segment.head.texts()) {
                return Ok(Some(Difference::Answer(Box::new(wrong))));
            }
        }
        core.check();
        // What a redacted state is made of says less than the state, so that different ones may look the same.
        if !segment.torn && !segment.head.redacted {
            let mut after = Vec::new();
            core.checkpoint(&mut after);
            self.after = Some(after);
        }
        Ok(None)
    }

    fn event(&mut self, core: &mut Core, number: usize, entry: &Entry, texts: Texts) -> Option<WrongAnswer> {
        let mut actions = Vec::new();
        core.handle(entry.now, entry.event.clone(), &mut actions);
        self.totals.events += 1;
        let Some(expected) = &entry.answer else {
            self.totals.unanswered += 1;
            return None;
        };
        self.totals.actions += actions.len() as u64;
        let actual: Vec<u32> = digests(&actions, texts).collect();
        if actual == *expected {
            return None;
        }
        Some(WrongAnswer {
            number,
            now: entry.now,
            event: entry.event.clone(),
            expected: expected.clone(),
            actual: actual.into_iter().zip(actions).collect(),
        })
    }
}
