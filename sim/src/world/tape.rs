//! The server records, as a real one does with `--record`: a segment for each of its lives.

use comet_core::recording::redact::Redactor;
use comet_core::recording::{Head, Scribe, answer, digests};
use comet_core::{Action, Core, Event, Now};

use super::World;
use crate::model::Failure;
use crate::planted::Planted;
use crate::step::Script;

/// Runs a script with a server that records; returns the bytes of its segments.
///
/// # Errors
/// The run fails.
pub fn run_recording(script: &Script, redact: bool) -> Result<Vec<Vec<u8>>, Failure> {
    let mut world = World::new(script.profile.clone(), Planted::none());
    world.tape = Some(Tape::new(redact));
    world.play(script)?;
    Ok(world.tape.map_or_else(Vec::new, Tape::finish))
}

/// The bytes of segments.
#[derive(Default)]
pub(super) struct Tape {
    segments: Vec<Vec<u8>>,
    entries: Vec<u8>,
    scribe: Scribe,
    head: Option<Head>,
    redactor: Option<Redactor>,
    events: u64,
}

/// Events after which a segment ends.
const EVENTS: u64 = 300;
/// Bytes of entries in a block.
const BLOCK_BYTES: usize = 1000;

impl Tape {
    pub(super) fn new(redact: bool) -> Self {
        Self {
            redactor: redact.then(|| Redactor::new([7; 32])),
            ..Self::default()
        }
    }

    /// A segment begins: the server has started, or it is time for the next one, which `follows` the one before.
    pub(super) fn begin(&mut self, core: &Core, now: Now, follows: bool) {
        self.end();
        let number = self.segments.len() as u64 + 1;
        let head = Head::new(now.unix, number, follows, self.redactor.is_some());
        let mut checkpoint = Vec::new();
        core.checkpoint(&mut checkpoint);
        if let Some(redactor) = &mut self.redactor {
            checkpoint = redactor.checkpoint(&checkpoint).expect("it was just written");
        }
        self.segments.push(head.bytes());
        self.head = Some(head);
        self.scribe = Scribe::default();
        self.block(&checkpoint);
    }

    pub(super) fn event(&mut self, core: &Core, now: Now, event: &Event) {
        self.events += 1;
        if self.events.is_multiple_of(EVENTS) {
            self.begin(core, now, true);
        }
        self.scribe.event(now, event, &mut self.entries);
    }

    pub(super) fn answer(&mut self, actions: &[Action]) {
        let Some(head) = &self.head else { return };
        let digests: Vec<u32> = digests(actions, head.texts()).collect();
        answer(&digests, &mut self.entries);
        if self.entries.len() > BLOCK_BYTES {
            self.close_block();
        }
    }

    fn end(&mut self) {
        if !self.entries.is_empty() {
            self.close_block();
        }
    }

    fn close_block(&mut self) {
        let mut entries = std::mem::take(&mut self.entries);
        if let Some(redactor) = &mut self.redactor {
            entries = redactor.entries(&entries).expect("they were just written");
        }
        self.block(&entries);
    }

    fn block(&mut self, bytes: &[u8]) {
        if let (Some(segment), Some(head)) = (self.segments.last_mut(), &self.head) {
            segment.extend_from_slice(&head.block(bytes));
            segment.extend_from_slice(bytes);
        }
    }

    /// Everything recorded.
    pub(super) fn finish(mut self) -> Vec<Vec<u8>> {
        self.end();
        self.segments
    }
}
