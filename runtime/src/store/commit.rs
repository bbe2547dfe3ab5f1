//! Group commit: one transaction covers every record that arrived while the previous one was being committed, so the
//! rate grows with the load.
//!
//! The core's thread hands records over and never waits. A failed attempt is reported once, its records are kept in
//! order and tried again with a growing pause until the disk takes them; nothing overtakes them.

mod group;
mod stats;
#[cfg(test)]
mod tests;

use std::time::Duration;

use comet_core::{OpId, Record};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

pub use group::Group;
pub use stats::{StatsHandle, StoreStats};

use super::{Store, StoreError, StoreEvent};
use crate::clock::Clock;
use crate::rt::{self, time};

/// Pause after the first failed attempt; each further one doubles it.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Attempts left for a failing disk once the server was told to stop.
const LAST_ATTEMPTS: u32 = 5;

/// What the core's thread holds: puts records into the queue of the commit thread.
#[derive(Debug)]
pub struct Writer {
    commands: UnboundedSender<Command>,
    thread: rt::Thread<Result<(), StoreError>>,
    stats: StatsHandle,
}

#[derive(Debug)]
enum Command {
    /// In one transaction: they may be the parts of one statement.
    Append(Vec<(OpId, Record)>),
    Stop,
}

impl Store {
    /// Starts the commit thread. `events` runs on that thread and must not block for long.
    ///
    /// Errors only when the system has no thread left.
    pub fn spawn(self, events: impl FnMut(StoreEvent) + Send + 'static) -> std::io::Result<Writer> {
        let (commands, receiver) = mpsc::unbounded_channel();
        let stats = self.group.stats();
        let committer = Committer {
            store: self,
            commands: receiver,
            events,
            stopping: false,
        };
        let thread = rt::thread("store", move || committer.run())?;
        Ok(Writer {
            commands,
            thread,
            stats,
        })
    }

    fn close(self) -> Result<(), StoreError> {
        let Self { group, _lock } = self;
        group.close()
    }
}

impl Writer {
    /// Queues a record. Returns at once; `Persisted` follows. Numbers must ascend.
    pub fn append(&self, op: OpId, record: Record) {
        self.append_all(vec![(op, record)]);
    }

    /// The same for records that survive a crash together or not at all: a statement is all or nothing (protocol.md 7.3).
    pub fn append_all(&self, records: Vec<(OpId, Record)>) {
        for (_, record) in &records {
            self.stats.queued(record);
        }
        self.commands
            .send(Command::Append(records))
            .expect("the commit thread lives until `stop`");
    }

    /// Counters for metrics, readable from any thread.
    pub fn stats(&self) -> StatsHandle {
        self.stats.clone()
    }

    /// Writes everything that was queued, folds the log into the main file and closes it. Blocks; with a failing
    /// disk it gives up after a few attempts and says how many records were lost.
    #[cfg(not(madsim))]
    pub fn stop(self) -> Result<(), StoreError> {
        rt::finish(self.close())
    }

    /// The same for the core's thread, which ends with it.
    pub(crate) async fn close(self) -> Result<(), StoreError> {
        // Fails only if the thread has ended already, and then joining tells why.
        let _ = self.commands.send(Command::Stop);
        let ended = self.thread.join().await;
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

struct Committer<F> {
    store: Store,
    commands: UnboundedReceiver<Command>,
    events: F,
    stopping: bool,
}

impl<F: FnMut(StoreEvent)> Committer<F> {
    async fn run(mut self) -> Result<(), StoreError> {
        while self.wait().await {
            self.commit().await?;
        }
        self.store.close()
    }

    /// Fills the batch, waiting for its first record. False when there is nothing left to do.
    async fn wait(&mut self) -> bool {
        if !self.stopping {
            // A dropped `Writer` means stop as well.
            let command = self.commands.recv().await.unwrap_or(Command::Stop);
            self.take(command);
        }
        self.fill();
        self.store.group.upto().is_some() || !self.stopping
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Append(records) => {
                for (op, record) in records {
                    self.store.group.take(op, record);
                }
            }
            Command::Stop => self.stopping = true,
        }
    }

    /// Adds what has arrived, as far as there is room.
    fn fill(&mut self) {
        while self.store.group.has_room() {
            match self.commands.try_recv() {
                Ok(command) => self.take(command),
                Err(_) => return,
            }
        }
    }

    /// Brings the batch to the disk, however often it takes.
    async fn commit(&mut self) -> Result<(), StoreError> {
        let mut pause = PAUSE_MIN;
        let mut last_attempts = LAST_ATTEMPTS;
        while let Some(upto) = self.store.group.upto() {
            let records = self.store.group.len();
            let Err(error) = self.attempt_on_disk().await else {
                if pause > PAUSE_MIN {
                    tracing::info!(records, "writing works again");
                }
                (self.events)(StoreEvent::Persisted { upto });
                return Ok(());
            };
            self.store.group.stats().failed();
            tracing::error!(%error, records, "writing failed; it is tried again");
            (self.events)(StoreEvent::PersistFailed { upto });
            if self.stopping {
                last_attempts -= 1;
                if last_attempts == 0 {
                    return Err(self.store.group.unwritten(&error));
                }
            }
            self.pause(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        Ok(())
    }

    async fn attempt_on_disk(&mut self) -> rusqlite::Result<()> {
        #[cfg(madsim)]
        if rt::makes(rt::Mistake::AcknowledgesBeforeCommit)
            && let Some(upto) = self.store.group.upto()
        {
            (self.events)(StoreEvent::Persisted { upto });
        }
        rt::disk().await?;
        self.store.group.attempt()?;
        // What is written is written, whatever the disk says afterwards.
        let _ = rt::disk().await;
        Ok(())
    }

    /// Lets time pass after a failure, still taking records, however many there are, so that the next failure is reported
    /// to them too, and the command to stop is found behind them. The core issues no more while the disk fails.
    async fn pause(&mut self, pause: Duration) {
        let clock = Clock::start();
        let was_stopping = self.stopping;
        loop {
            let left = pause.saturating_sub(Duration::from_micros(clock.mono().micros()));
            if left.is_zero() || self.stopping != was_stopping {
                return;
            }
            if self.stopping {
                time::sleep(left).await;
                continue;
            }
            match time::timeout(left, self.commands.recv()).await {
                Ok(Some(command)) => self.take(command),
                Ok(None) => self.stopping = true,
                Err(_) => {}
            }
        }
    }
}
