//! Where the core is while its thread waits, and where a shard may borrow it.
//!
//! A statement on its own would otherwise cost two changes of threads, there and back, which take several times as long
//! as deciding about it. Promise: a borrower never waits, has only what is short, and comes while no events wait, so that
//! the batches of one sender stay in order, and while no shard is far behind. Everything else goes the way through the
//! queue.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use comet_core::cometql::{Insert, Statement};
use comet_core::{Event, Mono};

use super::{AbortOnPanic, Driver, Wake};
use crate::rt::time::{self, Sleep};

/// More events than this are worth a change of threads: meanwhile the shard decodes the next ones.
const BORROWED_EVENTS_MAX: usize = 4;
/// Rows of a statement that are done with in microseconds.
const SHORT_ROWS_MAX: usize = 16;

/// The place; empty while the core's thread works.
#[derive(Default)]
pub(crate) struct Rest(Mutex<Option<Resting>>);

struct Resting {
    driver: Box<Driver>,
    /// When the core came here, or was last borrowed.
    since: Mono,
    /// The deadline the core's thread knows of.
    alarm: Option<Mono>,
    /// The core's thread.
    sleeper: Option<Waker>,
}

impl std::fmt::Debug for Rest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rest").finish_non_exhaustive()
    }
}

impl Rest {
    /// Gives the events to the core here and now, or gives them back.
    pub(crate) fn handle(&self, events: Vec<Event>) -> Option<Vec<Event>> {
        if events.len() > BORROWED_EVENTS_MAX || !events.iter().all(is_short) {
            return Some(events);
        }
        let Ok(mut place) = self.0.try_lock() else {
            return Some(events);
        };
        match place.as_mut().filter(|resting| resting.may_be_borrowed()) {
            Some(resting) => {
                resting.borrow(events);
                None
            }
            None => Some(events),
        }
    }

    /// Puts the core here until there is something to do for its own thread.
    pub(super) async fn until_woken(&self, driver: Box<Driver>) -> (Box<Driver>, Wake) {
        let mut resting = Resting {
            driver,
            since: Mono::default(),
            alarm: None,
            sleeper: None,
        };
        resting.begin();
        self.place(Some(resting));
        let mut sleep = std::pin::pin!(time::sleep(Duration::ZERO));
        std::future::poll_fn(|cx| self.poll(cx, sleep.as_mut())).await
    }

    fn place(&self, resting: Option<Resting>) -> Option<Resting> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *place, resting)
    }

    fn poll(&self, cx: &mut Context<'_>, sleep: Pin<&mut Sleep>) -> Poll<(Box<Driver>, Wake)> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(resting) = place.as_mut() else {
            return Poll::Pending;
        };
        let wake = match resting.driver.poll_wake(cx) {
            Poll::Pending => std::task::ready!(resting.poll_alarm(cx, sleep)),
            Poll::Ready(wake) => wake,
        };
        resting.end();
        match place.take() {
            Some(resting) => Poll::Ready((resting.driver, wake)),
            None => Poll::Pending,
        }
    }
}

impl Resting {
    /// Deadlines that are over are the business of the core's thread: there may be many.
    fn may_be_borrowed(&self) -> bool {
        let driver = &self.driver;
        let now = driver.time.at(driver.clock.mono());
        driver.is_idle() && driver.deadline().is_none_or(|deadline| deadline > now)
    }

    fn begin(&mut self) {
        self.since = self.driver.clock.mono();
        self.driver.time.pause(self.since);
    }

    fn end(&mut self) {
        let expected = if self.driver.progress.disk_is_behind() {
            Some(self.driver.time.at(self.since))
        } else {
            self.driver.deadline()
        };
        self.driver.time.resume(self.driver.clock.mono(), expected);
    }

    fn borrow(&mut self, events: Vec<Event>) {
        let _abort = AbortOnPanic;
        self.end();
        self.driver.turn_at_rest(events);
        self.begin();
        let deadline = self.driver.deadline();
        if deadline.is_some() && self.alarm.is_none_or(|alarm| deadline < Some(alarm)) {
            self.alarm = deadline;
            if let Some(sleeper) = self.sleeper.take() {
                sleeper.wake();
            }
        }
    }

    /// Ready when the core's next deadline is here.
    fn poll_alarm(&mut self, cx: &mut Context<'_>, mut sleep: Pin<&mut Sleep>) -> Poll<Wake> {
        self.sleeper = Some(cx.waker().clone());
        self.alarm = self.driver.deadline();
        let Some(deadline) = self.alarm else {
            return Poll::Pending;
        };
        let now = self.driver.time.at(self.driver.clock.mono());
        let wait = Duration::from_micros(deadline.micros_since(now));
        sleep.set(time::sleep(wait));
        sleep.poll(cx).map(|()| Wake::Time)
    }
}

/// What somebody waits for, and the core is done with in microseconds: the shard's sockets wait that long.
fn is_short(event: &Event) -> bool {
    match event {
        Event::Query { statement, .. } => match statement {
            Ok(Statement::Select(_) | Statement::Delete(_) | Statement::Explain { .. }) => false,
            // One token may end very many connections.
            Ok(Statement::Insert(Insert::RevokedTokens(_))) => false,
            Ok(Statement::Insert(insert)) => insert.rows() <= SHORT_ROWS_MAX,
            Ok(
                Statement::Nothing
                | Statement::Begin
                | Statement::End
                | Statement::Use { .. }
                | Statement::Constants { .. }
                | Statement::Show(_)
                | Statement::ShowHost { .. }
                | Statement::EmptySet { .. },
            )
            | Err(_) => true,
        },
        Event::Request { .. } => true,
        Event::Opened { .. }
        | Event::ProbeAnswered { .. }
        | Event::Closed { .. }
        | Event::SessionOpened { .. }
        | Event::SessionClosed { .. }
        | Event::Persisted { .. }
        | Event::PersistFailed { .. }
        | Event::Memory(_)
        | Event::Shutdown
        | Event::Tick => false,
    }
}
