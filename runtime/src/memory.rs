//! What the runtime takes of the memory budget (protocol.md 8.7): counted where it is taken and given back, told to the
//! core, which decides.
//!
//! Promise: figures are sums, never counted anew; a frame that waits for many is counted once; the core hears of every
//! change of a noticeable size before it decides about anything that was sent later. While there is no room, whoever lets
//! most wait goes first.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use comet_core::{Event, Outside, Room};

use crate::rt::time;
use crate::shard::Shard;

/// The heap that one browser's socket, task and bookkeeping take, as `idle_memory` measures.
pub(crate) const SOCKET_BYTES: usize = 512;
/// What TLS takes for one connection: its state, and buffers in both directions.
pub(crate) const TLS_BYTES: usize = 24 * 1024;
/// What reading one HTTP request takes: at most its header block, and the machinery.
pub(crate) const REQUEST_BYTES: usize = 12 * 1024;
/// What is kept with a frame: the owner, and who shares it.
const FRAME_EXTRA_BYTES: usize = 96;
/// The core hears of changes of this part of the limit, …
const TOLD_SHARE: u64 = 256;
/// … but of none below this.
const TOLD_MIN: u64 = 16 * 1024;
/// Without a limit the core only has to know about what it shows.
const TOLD_UNLIMITED: u64 = 1 << 20;
/// Time between looks at who lets most wait.
const SHED_PAUSE: Duration = Duration::from_millis(100);
/// Nobody goes for less.
pub(crate) const SHED_MIN: usize = 16 * 1024;

/// What the runtime uses memory for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Use {
    Frames,
    Input,
    Sockets,
    Sessions,
    Events,
    Records,
}

/// The figures of one server.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: u64,
    used: [AtomicU64; 6],
    /// What the core was told last.
    told: AtomicU64,
    /// How large a change it hears of.
    step: u64,
    /// What the core said last.
    room: AtomicU8,
    times_full: AtomicU64,
}

/// Memory that is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    memory: Arc<Memory>,
    what: Use,
    bytes: usize,
}

impl Taken {
    /// Somebody else gives it back.
    pub(crate) fn hand_over(mut self) {
        self.bytes = 0;
    }

    /// It is `bytes` now.
    pub(crate) fn resize(&mut self, bytes: usize) {
        self.memory.change(self.what, self.bytes, bytes);
        self.bytes = bytes;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.memory.give_back(self.what, self.bytes);
    }
}

/// A frame on its way.
struct Counted {
    frame: Bytes,
    _taken: Taken,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}

impl Memory {
    /// With `limit` bytes for everything; 0 = no limit.
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            used: Default::default(),
            told: AtomicU64::new(0),
            step: match limit {
                0 => TOLD_UNLIMITED,
                limit => (limit / TOLD_SHARE).max(TOLD_MIN),
            },
            room: AtomicU8::new(Room::Enough as u8),
            times_full: AtomicU64::new(0),
        }
    }

    /// Of everything; 0 = none.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    pub(crate) fn take(&self, what: Use, bytes: usize) {
        self.used[what as usize].fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn give_back(&self, what: Use, bytes: usize) {
        self.used[what as usize].fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    /// What took `before` takes `after` now.
    pub(crate) fn change(&self, what: Use, before: usize, after: usize) {
        if after > before {
            self.take(what, after - before);
        } else if before > after {
            self.give_back(what, before - after);
        }
    }

    /// Takes memory until the result is dropped.
    pub(crate) fn hold(self: &Arc<Self>, what: Use, bytes: usize) -> Taken {
        self.take(what, bytes);
        Taken {
            memory: self.clone(),
            what,
            bytes,
        }
    }

    /// The same frame, counted as long as anybody has it.
    pub(crate) fn count(self: &Arc<Self>, frame: Bytes) -> Bytes {
        let bytes = frame.len() + FRAME_EXTRA_BYTES;
        let _taken = self.hold(Use::Frames, bytes);
        Bytes::from_owner(Counted { frame, _taken })
    }

    pub(crate) fn outside(&self) -> Outside {
        let of = |what: Use| self.used[what as usize].load(Ordering::Relaxed);
        Outside {
            frames: of(Use::Frames),
            input: of(Use::Input),
            sockets: of(Use::Sockets),
            sessions: of(Use::Sessions),
            events: of(Use::Events),
            records: of(Use::Records),
        }
    }

    /// What the core has to be told, if much has changed since it was told last.
    pub(crate) fn news(&self) -> Option<Event> {
        let now = self.outside().bytes();
        let told = self.told.load(Ordering::Relaxed);
        (now.abs_diff(told) >= self.step).then(|| self.at_present())
    }

    fn at_present(&self) -> Event {
        let outside = self.outside();
        self.told.store(outside.bytes(), Ordering::Relaxed);
        Event::Memory(outside)
    }

    /// The event as the core is to have it: figures that have waited behind others are replaced by those of this moment,
    /// or the core would go on believing in the old ones.
    pub(crate) fn refresh(&self, event: Event) -> Event {
        if let Event::Memory(_) = event {
            self.at_present()
        } else {
            event
        }
    }

    /// The core has decided.
    pub(crate) fn set_room(&self, room: Room) {
        let before = self.room.swap(room as u8, Ordering::Relaxed);
        if room == Room::None && before != Room::None as u8 {
            self.times_full.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How often there was no room any more.
    pub(crate) fn times_full(&self) -> u64 {
        self.times_full.load(Ordering::Relaxed)
    }

    /// There is no room for anything new.
    pub(crate) fn is_full(&self) -> bool {
        self.room.load(Ordering::Relaxed) == Room::None as u8
    }
}

/// While there is no room, cuts those connections of the shard that let most wait or have most of a message incomplete.
/// What they are owed stays in their queues.
pub(crate) async fn shed(shard: Rc<Shard>) {
    let memory = shard.shared.metrics.memory.clone();
    loop {
        time::sleep(SHED_PAUSE).await;
        if memory.is_full() {
            shard.cut_largest(SHED_MIN);
        }
        // What was given back without an event that the core would see.
        if let Some(news) = memory.news() {
            let _ = shard.shared.events.send(vec![news], |_| {}).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_counted_once_until_nobody_has_it() {
        let memory = Arc::new(Memory::new(0));
        let frame = memory.count(Bytes::from_static(b"frame"));
        let others: Vec<Bytes> = (0..100).map(|_| frame.clone()).collect();
        assert_eq!(memory.outside().frames, 5 + FRAME_EXTRA_BYTES as u64);
        drop(frame);
        assert_eq!(&others[99][..], b"frame");
        assert_eq!(memory.outside().frames, 5 + FRAME_EXTRA_BYTES as u64);
        drop(others);
        assert_eq!(memory.outside(), Outside::default());
    }

    #[test]
    fn the_core_hears_of_what_it_would_notice() {
        let memory = Memory::new(64 << 20);
        memory.take(Use::Input, (64 << 20) / 256 - 1);
        assert_eq!(memory.news(), None);
        memory.take(Use::Sockets, 1);
        let Some(Event::Memory(outside)) = memory.news() else {
            panic!("a noticeable change")
        };
        assert_eq!((outside.bytes(), outside.sockets), ((64 << 20) / 256, 1));
        assert_eq!(memory.news(), None, "told once");
        memory.change(Use::Input, 64 << 20, 0);
        memory.take(Use::Input, 64 << 20);
        assert_eq!(memory.news(), None, "nothing has changed");
    }

    /// 8.7: what waited in the queue does not make the core believe that a server with room has none.
    #[test]
    fn an_old_figure_does_not_replace_a_newer_one() {
        let memory = Memory::new(64 << 20);
        memory.take(Use::Frames, 60 << 20);
        let old = memory.news().expect("a noticeable change");
        memory.give_back(Use::Frames, 60 << 20);
        let newer = memory.news().expect("a noticeable change");
        assert_eq!(memory.refresh(newer.clone()), newer);
        assert_eq!(memory.refresh(old), newer);
        assert_eq!(memory.refresh(Event::Tick), Event::Tick);
    }
}
