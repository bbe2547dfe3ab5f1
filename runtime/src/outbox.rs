//! What waits to be written to one browser: a bounded queue of shared frames.
//!
//! Promise: frames leave in the order they came, cut anywhere but never lost or doubled; an idle outbox owns no heap
//! memory; the bytes that wait behind the oldest frame never exceed the limit the caller states (protocol.md 2.5, Q13).
//! Must never know: sockets, users.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

use crate::ws::frame::FIN_PONG;

/// Most slices handed to the kernel in one call.
pub(crate) const SLICES_MAX: usize = 64;

/// Frames that wait, oldest first. The first one may already be partly written.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    frames: Frames,
    bytes: usize,
}

/// One frame is by far the most common case, and needs no queue.
#[derive(Debug, Default)]
enum Frames {
    #[default]
    None,
    One(Bytes),
    Many(VecDeque<Bytes>),
}

impl Frames {
    fn one(self) -> Option<Bytes> {
        match self {
            Self::One(frame) => Some(frame),
            Self::None | Self::Many(_) => None,
        }
    }
}

/// The frame, which did not fit; the outbox is as before.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overflow(pub(crate) Bytes);

impl Outbox {
    /// Appends a frame, unless more than `bytes_max` bytes would wait behind the oldest one. That one may be of any size:
    /// whoever reads can have it, and nobody would ever get it otherwise.
    pub(crate) fn push(&mut self, frame: Bytes, bytes_max: usize) -> Result<(), Overflow> {
        if self.is_empty() {
            self.bytes = frame.len();
            self.frames = Frames::One(frame);
            return Ok(());
        }
        let replaced = self.pong_to_replace(&frame).map_or(0, |pong| pong.len());
        let waiting = self.bytes - self.oldest() - replaced;
        if waiting + frame.len() > bytes_max {
            return Err(Overflow(frame));
        }
        self.bytes = self.bytes - replaced + frame.len();
        if let Some(pong) = self.pong_to_replace(&frame) {
            *pong = frame;
            return Ok(());
        }
        match &mut self.frames {
            Frames::Many(frames) => frames.push_back(frame),
            Frames::None | Frames::One(_) => {
                let first = std::mem::take(&mut self.frames).one();
                self.frames = Frames::Many(first.into_iter().chain([frame]).collect());
            }
        }
        Ok(())
    }

    /// Only the newest of several Pings needs an answer (RFC 6455, 5.5.3); many Pongs, small as they are, would take much
    /// more memory than their bytes. The oldest frame may be partly written, so it stays.
    fn pong_to_replace(&mut self, frame: &Bytes) -> Option<&mut Bytes> {
        let is_pong = |frame: &Bytes| frame.first() == Some(&FIN_PONG);
        match &mut self.frames {
            Frames::Many(frames) if frames.len() > 1 && is_pong(frame) => {
                frames.back_mut().filter(|last| is_pong(last))
            }
            Frames::None | Frames::One(_) | Frames::Many(_) => None,
        }
    }

    /// Bytes of the oldest frame that still wait.
    fn oldest(&self) -> usize {
        match &self.frames {
            Frames::None => 0,
            Frames::One(frame) => frame.len(),
            Frames::Many(frames) => frames.front().map_or(0, Bytes::len),
        }
    }

    /// Nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// What the queue of several frames takes, without the frames.
    pub(crate) fn room(&self) -> usize {
        match &self.frames {
            Frames::None | Frames::One(_) => 0,
            Frames::Many(frames) => frames.capacity() * size_of::<Bytes>(),
        }
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Number of frames that wait.
    pub(crate) fn len(&self) -> usize {
        match &self.frames {
            Frames::None => 0,
            Frames::One(_) => 1,
            Frames::Many(frames) => frames.len(),
        }
    }

    /// The frame that waits, if it is one alone.
    pub(crate) fn only(&self) -> Option<&Bytes> {
        match &self.frames {
            Frames::One(frame) => Some(frame),
            Frames::None | Frames::Many(_) => None,
        }
    }

    /// Points `slices` at the oldest frames; says how many.
    pub(crate) fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES_MAX]) -> usize {
        match &self.frames {
            Frames::None => 0,
            Frames::One(frame) => {
                slices[0] = IoSlice::new(frame);
                1
            }
            Frames::Many(frames) => {
                let mut count = 0;
                for (slice, frame) in slices.iter_mut().zip(frames) {
                    *slice = IoSlice::new(frame);
                    count += 1;
                }
                count
            }
        }
    }

    /// Forgets the oldest `written` bytes.
    ///
    /// # Panics
    /// If fewer bytes wait.
    pub(crate) fn advance(&mut self, written: usize) {
        assert!(written <= self.bytes, "more was written than waited");
        self.bytes -= written;
        if self.bytes == 0 {
            self.frames = Frames::None;
            return;
        }
        match &mut self.frames {
            Frames::None => {}
            Frames::One(frame) => frame.advance(written),
            Frames::Many(frames) => advance_queue(frames, written),
        }
    }

    /// Forgets everything; says how many bytes waited.
    pub(crate) fn clear(&mut self) -> usize {
        self.frames = Frames::None;
        std::mem::take(&mut self.bytes)
    }
}

fn advance_queue(frames: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(first) = frames.front_mut() {
        if written < first.len() {
            first.advance(written);
            return;
        }
        written -= first.len();
        frames.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(outbox: &Outbox) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let count = outbox.fill(&mut slices);
        slices[..count]
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect()
    }

    fn overflow(frame: &'static [u8]) -> Result<(), Overflow> {
        Err(Overflow(Bytes::from_static(frame)))
    }

    #[test]
    fn the_limit_holds_at_n_and_n_plus_1_behind_the_oldest_frame() {
        let mut outbox = Outbox::default();
        assert_eq!(
            outbox.push(Bytes::from_static(b"a frame larger than the limit"), 10),
            Ok(())
        );
        assert_eq!(
            outbox.push(Bytes::from_static(b"12345678901"), 10),
            overflow(b"12345678901")
        );
        assert_eq!(outbox.push(Bytes::from_static(b"12345"), 10), Ok(()));
        assert_eq!(
            outbox.push(Bytes::from_static(b"123456"), 10),
            overflow(b"123456")
        );
        assert_eq!(outbox.push(Bytes::from_static(b"12345"), 10), Ok(()));
        assert_eq!(outbox.push(Bytes::from_static(b"1"), 10), overflow(b"1"));
        assert_eq!(outbox.len(), 3);
    }

    #[test]
    fn pongs_that_wait_behind_others_are_one() {
        let mut outbox = Outbox::default();
        for frame in [&b"\x8a1"[..], b"\x8a2", b"\x8a3", b"\x81x", b"\x8a4", b"\x8a56"] {
            outbox.push(Bytes::copy_from_slice(frame), 100).unwrap();
        }
        assert_eq!(text(&outbox), b"\x8a1\x8a3\x81x\x8a56");
        assert_eq!(outbox.clear(), 9);
    }

    #[test]
    fn cuts_anywhere_lose_and_double_nothing() {
        let frames: [&'static [u8]; 4] = [b"a", b"bcd", b"efghij", b"k"];
        for step in 1..=11 {
            let mut outbox = Outbox::default();
            for frame in frames {
                outbox.push(Bytes::from_static(frame), 100).unwrap();
            }
            let mut seen = Vec::new();
            while !outbox.is_empty() {
                let waiting = text(&outbox);
                let take = step.min(waiting.len());
                seen.extend_from_slice(&waiting[..take]);
                outbox.advance(take);
            }
            assert_eq!(seen, b"abcdefghijk", "in steps of {step}");
            assert_eq!(outbox.len(), 0);
        }
    }

    #[test]
    fn no_more_slices_than_one_call_takes() {
        let mut outbox = Outbox::default();
        for _ in 0..=SLICES_MAX {
            outbox.push(Bytes::from_static(b"x"), 1000).unwrap();
        }
        assert_eq!(text(&outbox).len(), SLICES_MAX);
        outbox.advance(SLICES_MAX);
        assert_eq!(text(&outbox), b"x");
    }
}
