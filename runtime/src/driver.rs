//! What drives the core: events in, actions out, timers between.
//!
//! Promise: nobody waits for a lock to reach the core; bounded batches; time never goes backwards; the store's answers
//! come first, so that a full queue of events cannot keep an acknowledgement waiting. If the core finds one of its
//! invariants broken it panics, and the whole process stops: nothing is served on a state that cannot be trusted.
//!
//! The core has a thread of its own. While that thread has nothing to do, the core is at `rest`, where a shard that has
//! one more event may give it its turn itself.

mod rest;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use comet_core::{Action, Core, Event, Mono, Now, OpId, Record, Refused};
use tokio::sync::mpsc;

use crate::clock::{Clock, LivedTime};
use crate::events;
use crate::execute::Executor;
use crate::memory::Use;
use crate::metrics::Metrics;
use crate::record::Recorder;
use crate::store::{StoreError, StoreEvent, Writer};

/// Batches of events taken in one turn. Few in a simulated world, so that there are many turns.
const TURN_BATCHES_MAX: usize = if cfg!(madsim) { 2 } else { 64 };
/// Records that may wait for a working disk before events have to wait, too, …
const RECORDS_WAITING_MAX: u64 = 65_536;
/// … and the bytes they may take.
const RECORD_BYTES_WAITING_MAX: usize = 256 << 20;

/// Time between two settings of the gauges of memory, microseconds.
const GAUGE_PAUSE_US: u64 = 100_000;

/// The core and everything its thread needs.
pub(crate) struct Driver {
    pub(crate) core: Core,
    pub(crate) clock: Clock,
    pub(crate) events: mpsc::Receiver<Vec<Event>>,
    pub(crate) store_events: mpsc::UnboundedReceiver<StoreEvent>,
    pub(crate) writer: Writer,
    pub(crate) executor: Executor,
    pub(crate) metrics: Arc<Metrics>,
    /// Reused between events.
    pub(crate) actions: Vec<Action>,
    pub(crate) progress: Progress,
    /// Bytes of records that are counted.
    pub(crate) records_told: usize,
    pub(crate) time: LivedTime,
    pub(crate) recorder: Option<Box<Recorder>>,
}

pub(crate) use rest::Rest;

/// How far the records are, and whether the end is near.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    last: Mono,
    /// When the gauges of memory were set last.
    gauged: Mono,
    issued: OpId,
    persisted: OpId,
    /// The newest record of each batch that waits, and the bytes of the batch.
    waiting: VecDeque<(OpId, usize)>,
    waiting_bytes: usize,
    store_fails: bool,
    stopping: bool,
    /// As the metrics have it.
    refused: Refused,
}

impl Progress {
    fn issue(&mut self, records: &[(OpId, Record)]) {
        let Some((newest, _)) = records.last() else { return };
        let bytes = records.iter().map(|(_, record)| record.weight()).sum();
        self.issued = *newest;
        self.waiting.push_back((*newest, bytes));
        self.waiting_bytes += bytes;
    }

    fn persist(&mut self, upto: OpId) {
        self.persisted = upto;
        while let Some(&(newest, bytes)) = self.waiting.front()
            && newest <= upto
        {
            self.waiting.pop_front();
            self.waiting_bytes -= bytes;
        }
    }

    /// Events have to wait until the disk has caught up. Not while it fails: then they are answered 500.
    fn disk_is_behind(&self) -> bool {
        let records = self.issued.0 - self.persisted.0;
        !self.store_fails && (records > RECORDS_WAITING_MAX || self.waiting_bytes > RECORD_BYTES_WAITING_MAX)
    }

    /// The store makes its last attempts on a failing disk when it is closed.
    fn may_end(&self) -> bool {
        self.stopping && (self.store_fails || self.persisted >= self.issued)
    }
}

enum Wake {
    Store(StoreEvent),
    Events(Vec<Vec<Event>>),
    Time,
    Stop,
}

/// Held while the core works: a panicking core takes the process with it, in builds that unwind, too.
struct AbortOnPanic;

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("the core found an invariant broken; the process stops at once");
            // In a simulated world a panic ends the world, and its seed is told.
            #[cfg(not(madsim))]
            std::process::abort();
        }
    }
}

impl Driver {
    /// Runs until the core was told to stop and every record is on disk. Returns what closing the store said.
    pub(crate) async fn run(self, rest: Arc<Rest>) -> Result<(), StoreError> {
        let _abort = AbortOnPanic;
        let driver = Box::new(self).serve(&rest).await;
        drop(driver.recorder);
        driver.writer.close().await
    }

    async fn serve(mut self: Box<Self>, rest: &Rest) -> Box<Self> {
        self.execute();
        loop {
            self.give_records();
            self.executor.hand_over().await;
            if self.progress.may_end() {
                return self;
            }
            let (driver, wake) = rest.until_woken(self).await;
            self = driver;
            match wake {
                Wake::Store(event) => self.store_event(event),
                Wake::Events(batches) => self.turn(batches).await,
                Wake::Time => self.handle(Event::Tick, self.now()),
                Wake::Stop => self.progress.stopping = true,
            }
        }
    }

    /// What there is to do for the core's thread, but for deadlines.
    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<Wake> {
        if let Poll::Ready(Some(event)) = self.store_events.poll_recv(cx) {
            return Poll::Ready(Wake::Store(event));
        }
        // While events have to wait for the disk, Pongs do, too. At the end nothing new is begun: back ends that go on
        // sending to a slow disk would keep the server from ending for ever.
        if self.progress.disk_is_behind() || self.progress.stopping {
            return Poll::Pending;
        }
        let mut batches = Vec::new();
        match self.events.poll_recv_many(cx, &mut batches, TURN_BATCHES_MAX) {
            Poll::Ready(0) => Poll::Ready(Wake::Stop),
            Poll::Ready(_) => Poll::Ready(Wake::Events(batches)),
            Poll::Pending => Poll::Pending,
        }
    }

    /// When the core has something to do by itself, on its own clock. No deadline is over while Pongs have to wait, and
    /// none begins anything at the end.
    fn deadline(&self) -> Option<Mono> {
        self.core
            .poll_timeout()
            .filter(|_| !self.progress.disk_is_behind() && !self.progress.stopping)
    }

    /// No event waits, and no shard is far behind.
    fn is_idle(&self) -> bool {
        self.events.is_empty()
            && !self.progress.stopping
            && !self.progress.disk_is_behind()
            && self.executor.has_room()
    }

    /// The core's turn on the thread that brings the events. Needs `is_idle`.
    fn turn_at_rest(&mut self, events: Vec<Event>) {
        let now = self.now();
        self.weigh(now);
        self.metrics.events.inc_by(events.len() as u64);
        self.metrics.batch.observe(events.len() as f64);
        for event in events {
            self.handle(event, now);
        }
        self.give_records();
        self.executor.hand_over_now();
    }

    /// Before anything else is decided: what the runtime takes of the memory budget, if that has changed much.
    fn weigh(&mut self, now: Now) {
        if let Some(news) = self.metrics.memory.news() {
            self.handle(news, now);
        }
        if now.mono.micros_since(self.progress.gauged) >= GAUGE_PAUSE_US {
            self.progress.gauged = now.mono;
            self.metrics.core_memory(&self.core.memory());
        }
    }

    fn now(&self) -> Now {
        let now = self.clock.now();
        Now {
            mono: self.time.at(now.mono),
            unix: now.unix,
        }
    }

    /// One reading of the clock serves the events of a turn: they arrived together.
    async fn turn(&mut self, batches: Vec<Vec<Event>>) {
        let now = self.now();
        self.weigh(now);
        let mut count = 0;
        for batch in batches {
            self.metrics.memory.give_back(Use::Events, events::bytes(&batch));
            for event in batch {
                count += 1;
                self.handle(event, now);
                if self.executor.is_full() {
                    self.give_records();
                    self.executor.hand_over().await;
                }
            }
        }
        self.metrics.events.inc_by(count);
        self.metrics.batch.observe(count as f64);
    }

    fn store_event(&mut self, event: StoreEvent) {
        let event = match event {
            StoreEvent::Persisted { upto } => {
                self.progress.persist(upto);
                self.progress.store_fails = false;
                Event::Persisted { upto }
            }
            StoreEvent::PersistFailed { upto } => {
                self.metrics.store_failures.inc();
                self.progress.store_fails = true;
                Event::PersistFailed { upto }
            }
        };
        self.handle(event, self.now());
    }

    fn handle(&mut self, event: Event, now: Now) {
        let event = self.metrics.memory.refresh(event);
        if event == Event::Shutdown {
            self.progress.stopping = true;
        }
        self.progress.last = self.progress.last.max(now.mono);
        let now = Now {
            mono: self.progress.last,
            unix: now.unix,
        };
        self.recorder
            .take_if(|recorder| !recorder.event(now, &event, &self.core));
        self.core.handle(now, event, &mut self.actions);
        if let Some(recorder) = &mut self.recorder {
            recorder.answered(&self.actions);
        }
        self.execute();
    }

    fn execute(&mut self) {
        for action in self.actions.drain(..) {
            self.executor.execute(action);
        }
    }

    fn give_records(&mut self) {
        let refused = self.core.refused();
        if refused != self.progress.refused {
            self.metrics.limits_refused(self.progress.refused, refused);
            self.progress.refused = refused;
        }
        let records = self.executor.take_records();
        self.progress.issue(&records);
        self.metrics.records.inc_by(records.len() as u64);
        if !records.is_empty() {
            self.writer.append_all(records);
        }
        let memory = &self.metrics.memory;
        memory.change(Use::Records, self.records_told, self.progress.waiting_bytes);
        self.records_told = self.progress.waiting_bytes;
        let waiting = self.progress.issued.0 - self.progress.persisted.0;
        self.metrics
            .records_waiting
            .set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }
}
