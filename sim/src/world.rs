//! The virtual world: one clock, one heap of things to come, the shipped core, and everything around it.
//!
//! The contract between core and runtime (`comet_core::Action`) is executed here in its worst form: late `Closed`,
//! `Closed` after `Close`, events of connections that are already forgotten, replies to dead sessions.

mod clocks;
mod coming;
mod exact;
mod finish;
mod memory;
mod pages;
mod restore;
mod server;
mod sessions;
mod steps;
mod storing;
mod tape;
mod witness;

use std::collections::BinaryHeap;
use std::fmt::Write as _;
use std::rc::Rc;

use comet_core::{Action, CheckedConfig, CloseCause, ConnId, Core, Durable, Event, Now, Recipients};

use coming::{Coming, Entry, Query};
pub use restore::run_restoring;
pub use tape::run_recording;

use crate::backend::Session;
use crate::browser::{Browser, Tab, Version};
use crate::disk::Disk;
use crate::fault::{Fault, Faults};
use crate::linear::Recorder;
use crate::model::{Cause, Failure, Model, Out, wrong};
use crate::network::{Down, Link, ServerSide};
use crate::planted::Planted;
use crate::prng::Prng;
use crate::profile::{Knob, Profile};
use crate::step::Script;

/// FNV-1a over everything written to it.
#[derive(Clone, Copy, Debug)]
pub struct Digest(pub u64);

impl std::fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        Ok(())
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    /// Events the core handled.
    pub handled: u64,
    /// Comparisons the model made.
    pub compared: u64,
    /// Queues and histories for which no order was found, nor that there is none.
    pub undecided: u64,
    /// FNV-1a over events and actions.
    pub digest: u64,
    /// Virtual time that passed, ms.
    pub simulated_ms: u64,
    /// What the core had to live with.
    pub faults: Faults,
    /// What went wrong, if anything.
    pub failure: Option<Failure>,
    /// Every event with its time, if asked for; a new server begins where `None` stands.
    pub trace: Vec<(Now, Option<Event>)>,
}

/// The world of one run.
pub struct World {
    profile: Profile,
    config: CheckedConfig,
    now: u64,
    serial: u64,
    heap: BinaryHeap<Entry>,
    boot: u64,
    skew_ms: i64,
    /// How long the machine was suspended in all.
    slept: u64,
    /// Until then nothing gets through to the server.
    deaf_until: u64,
    is_suspended: bool,
    core: Option<Core>,
    life: u32,
    disk: Disk,
    shadow: Durable,
    links: Vec<Link>,
    tabs: Vec<Tab>,
    browsers: Vec<Browser>,
    sessions: Vec<Session>,
    model: Model,
    recorder: Recorder,
    /// A statement that is to be overtaken (planted bug).
    held: Option<Query>,
    planted: Planted,
    digest: Digest,
    handled: u64,
    faults: Faults,
    spins: u32,
    actions: Vec<Action>,
    trace: Option<Vec<(Now, Option<Event>)>>,
    crash: Option<steps::CrashPlan>,
    calm: bool,
    pages: usize,
    session_ids: u64,
    requests: u64,
    messages: u64,
    retries: u32,
    luck: Prng,
    restores: restore::Restores,
    tape: Option<tape::Tape>,
}

/// When every run begins, virtual microseconds.
const BEGIN_US: u64 = 1_000_000;
/// A tick that changes nothing may repeat this often at one instant before the run counts as stuck.
const SPINS_MAX: u32 = 1000;
/// A run that handles more events than this is stuck.
const EVENTS_MAX: u64 = 3_000_000;

/// Runs a script to its end or its first failure.
pub fn run(script: &Script, planted: Planted, trace: bool) -> Outcome {
    play(World::new(script.profile.clone(), planted), script, trace)
}

fn play(mut world: World, script: &Script, trace: bool) -> Outcome {
    if trace {
        world.trace = Some(Vec::new());
    }
    let result = world.play(script);
    Outcome {
        handled: world.handled,
        compared: world.model.compared + world.recorder.explained,
        undecided: world.recorder.undecided,
        digest: world.digest.0,
        simulated_ms: (world.now - BEGIN_US) / 1000,
        faults: world.faults,
        failure: result.err(),
        trace: world.trace.unwrap_or_default(),
    }
}

/// The addressees of a frame.
pub fn recipients(to: &Recipients) -> Vec<ConnId> {
    match to {
        Recipients::One(conn) => vec![*conn],
        Recipients::Many { list, except } => list
            .iter()
            .copied()
            .filter(|conn| Some(*conn) != *except)
            .collect(),
    }
}

impl World {
    fn new(profile: Profile, planted: Planted) -> Self {
        let mut luck = Prng::keyed(profile.seed, 3);
        let mut chance = Prng::keyed(profile.seed, 4);
        let restores = restore::Restores::new(profile.seed);
        let mut browsers = Vec::new();
        for number in 0..profile.get(Knob::Browsers) {
            browsers.push(Browser {
                dev: luck.below(profile.get(Knob::Devs)) as u32,
                user: 1 + luck.below(profile.get(Knob::Users)) as u32,
                version: match (luck.percent(70), chance.percent(profile.get(Knob::V5))) {
                    (_, true) => Version::V5,
                    (true, false) => Version::V4,
                    (false, false) => Version::V3,
                },
                uuid: if luck.percent(15) {
                    String::new()
                } else {
                    format!("browser-{number}")
                },
                ip: crate::address::of_browser(number as usize),
            });
        }
        let sessions = (0..profile.get(Knob::Sessions).max(profile.get(Knob::Devs)))
            .map(|n| Session {
                id: 0,
                dev: (n % profile.get(Knob::Devs)) as u32,
                life: 0,
                unanswered: Vec::new(),
                last_arrival: 0,
            })
            .collect();
        Self {
            model: Model::new(profile.clone()),
            config: profile.config(),
            recorder: Recorder::new(&profile),
            profile,
            now: BEGIN_US,
            serial: 0,
            heap: BinaryHeap::new(),
            boot: 0,
            skew_ms: 0,
            slept: 0,
            deaf_until: 0,
            is_suspended: false,
            core: None,
            life: 0,
            disk: Disk::default(),
            shadow: Durable::default(),
            links: Vec::new(),
            tabs: Vec::new(),
            browsers,
            sessions,
            held: None,
            planted,
            digest: Digest(0xcbf2_9ce4_8422_2325),
            handled: 0,
            faults: Faults::default(),
            spins: 0,
            actions: Vec::new(),
            trace: None,
            crash: None,
            calm: false,
            pages: 0,
            session_ids: 0,
            requests: 0,
            messages: 0,
            retries: 0,
            luck,
            restores,
            tape: None,
        }
    }

    fn play(&mut self, script: &Script) -> Result<(), Failure> {
        self.start_server()?;
        let mut at = self.now;
        for step in &script.steps {
            at = at.max(self.now) + step.gap_ms * 1000;
            self.run_until(at)?;
            self.perform(step)?;
        }
        self.finish()
    }

    fn plan(&mut self, at: u64, coming: Coming) {
        self.serial += 1;
        self.heap.push(Entry {
            at: at.max(self.now),
            serial: self.serial,
            coming,
        });
    }

    fn after_ms(&self, ms: u64) -> u64 {
        self.now + ms * 1000
    }

    /// Lets time pass. The core is woken exactly when it asked for it: a wrong deadline shows.
    fn run_until(&mut self, end: u64) -> Result<(), Failure> {
        loop {
            let deadline = self.core.as_ref().and_then(Core::poll_timeout);
            let tick = deadline.map(|mono| (mono.micros() + self.boot).max(self.now));
            let tick = tick.filter(|_| !self.planted.sleeps() && !self.is_suspended);
            let next = self.heap.peek().map(|entry| entry.at);
            if let Some(at) = tick.filter(|at| *at <= end && next.is_none_or(|next| *at <= next)) {
                self.spins = if at == self.now { self.spins + 1 } else { 0 };
                if self.spins > SPINS_MAX {
                    return wrong(
                        "stuck",
                        format!("the core asks to be woken at {at} again and again"),
                    );
                }
                self.now = at;
                self.feed(Event::Tick, &Cause::Tick)?;
            } else if next.is_some_and(|next| next <= end) {
                if let Some(entry) = self.heap.pop().and_then(|entry| self.put_off(entry)) {
                    self.now = entry.at;
                    self.come(entry.coming)?;
                }
            } else {
                self.now = self.now.max(end);
                return Ok(());
            }
            if self.handled > EVENTS_MAX {
                return wrong("stuck", "the run does not end");
            }
        }
    }

    fn come(&mut self, coming: Coming) -> Result<(), Failure> {
        match coming {
            Coming::Handshake { link } => self.handshake(link),
            Coming::Up { link } => self.arrived_up(link),
            Coming::Down { link } => self.arrived_down(link),
            Coming::Noticed { link, cause } => self.noticed(link, cause),
            Coming::Lost { link } => {
                self.lost(link);
                Ok(())
            }
            Coming::Connect { tab, attempt } => {
                self.connect(tab, attempt);
                Ok(())
            }
            Coming::Handled { tab, page, id } => self.handled(tab, page, &id),
            Coming::Resend { tab, page } => {
                if self.tabs[tab].page == page {
                    self.flush_outbox(tab);
                }
                Ok(())
            }
            Coming::Commit { life } => self.committed(life),
            Coming::DiskLie { life, upto } if life == self.life => {
                self.feed(Event::Persisted { upto }, &Cause::Tick)
            }
            Coming::DiskLie { .. } => Ok(()),
            Coming::DiskRetry { life } => {
                if life == self.life {
                    self.begin_commit();
                }
                Ok(())
            }
            Coming::Query(query) => self.query_came(query),
            Coming::LogIn { life, session, ended } => self.log_in_again(life, session, ended),
            Coming::SessionEnd { life, session } => self.session_end(life, session),
            Coming::Retry { session, ask } => self.submit(session, ask),
            Coming::Memory { life } => self.take_memory(life),
            Coming::Restart => self.start_server(),
        }
    }

    /// The one way into the core: event, oracle, actions.
    fn feed(&mut self, event: Event, cause: &Cause) -> Result<(), Failure> {
        let now = self.clock();
        let Some(core) = &mut self.core else { return Ok(()) };
        self.handled += 1;
        let _ = write!(self.digest, "{now:?}{event:?}");
        if let Some(trace) = &mut self.trace {
            trace.push((now, Some(event.clone())));
        }
        if let Some(tape) = &mut self.tape {
            tape.event(core, now, &event);
        }
        let mut actions = std::mem::take(&mut self.actions);
        actions.clear();
        if !self.planted.swallows(&event) {
            core.handle(now, self.planted.bend(event), &mut actions);
        }
        if let Some(tape) = &mut self.tape {
            tape.answer(&actions);
        }
        self.planted.spoil(cause, &mut actions);
        let _ = write!(self.digest, "{actions:?}");
        let outs = self.model.step(self.awake(), self.unix(), cause, &actions)?;
        self.check()?;
        let result = self.execute(&actions, &outs);
        self.actions = actions;
        result?;
        self.restores.maybe(&mut self.core)
    }

    fn check(&mut self) -> Result<(), Failure> {
        if self.planted.is_active() {
            // Before the mistake reaches the disk, and with it the core's own assertions.
            return self.model.check();
        }
        if self.handled > 200 && !self.handled.is_multiple_of(64) {
            return Ok(());
        }
        if let Some(core) = &self.core {
            core.check();
        }
        self.model.check()
    }

    fn execute(&mut self, actions: &[Action], outs: &[Out]) -> Result<(), Failure> {
        let plan = self.crash.take_if(|_| !actions.is_empty());
        let survive = plan
            .as_ref()
            .map_or(actions.len(), |plan| plan.actions % (actions.len() + 1));
        for (action, out) in actions.iter().zip(outs).take(survive) {
            self.execute_one(action, out)?;
        }
        if let Some(plan) = plan {
            self.faults.add(Fault::Crash);
            self.end_server(&plan);
        }
        Ok(())
    }

    fn execute_one(&mut self, action: &Action, out: &Out) -> Result<(), Failure> {
        match (action, out) {
            (Action::Send { frame, .. }, Out::Frame { to, told, .. }) => {
                for conn in to {
                    self.send_down(*conn, Down::Frame(Rc::clone(told), frame.bytes().len()));
                }
            }
            (Action::Probe { conn, probe }, _) => self.send_down(*conn, Down::Ping(probe.0)),
            (Action::Close { conn, cause }, _) => self.close(*conn, *cause),
            (Action::Reply { session, req, .. }, Out::Reply { reply, .. }) => {
                self.replied(session.0, req.0, reply);
            }
            (Action::CloseSession { session }, _) => self.close_session(session.0),
            (Action::Persist { op, record }, _) => self.give_record(*op, record)?,
            (Action::Send { .. } | Action::Reply { .. } | Action::Ready(_) | Action::Room(_), _) => {}
        }
        Ok(())
    }

    fn send_down(&mut self, conn: ConnId, down: Down) {
        let Some(index) = self.link_of(conn) else { return };
        let buffer = self.profile.get(Knob::SendBuffer) as usize;
        let now = self.now;
        let link = &mut self.links[index];
        if link.server != ServerSide::Open {
            return;
        }
        // The kernel's own buffers take what a reader that reads will soon have read.
        let bytes = if let Down::Frame(_, bytes) = &down {
            *bytes
        } else {
            0
        };
        if link.outstanding + bytes > buffer && now < link.paused_until {
            link.server = ServerSide::Closing;
            self.faults.add(Fault::SlowConsumer);
            let lost = now + link.delay();
            self.plan(
                now + 200,
                Coming::Noticed {
                    link: index,
                    cause: CloseCause::SlowConsumer,
                },
            );
            self.plan(lost, Coming::Lost { link: index });
            return;
        }
        let due = link.send_down(now, down);
        self.plan(due, Coming::Down { link: index });
    }

    fn committed(&mut self, life: u32) -> Result<(), Failure> {
        if life != self.life {
            return Ok(());
        }
        match self.disk.end(self.now) {
            None => Ok(()),
            Some(crate::disk::Commit::Done(upto)) => {
                self.begin_commit();
                self.feed(Event::Persisted { upto }, &Cause::Persisted { upto })
            }
            Some(crate::disk::Commit::Failed(upto)) => {
                self.faults.add(Fault::CommitFailed);
                let again = self.now + self.luck.between(50_000, 2_000_000);
                self.plan(again, Coming::DiskRetry { life });
                self.feed(Event::PersistFailed { upto }, &Cause::PersistFailed)
            }
        }
    }

    fn compare_durable(&self) -> Result<(), Failure> {
        match &self.core {
            Some(core) if !self.is_same(core.durable(), &self.shadow) => {
                wrong("durable", "the durable state is not the fold of its records")
            }
            Some(_) | None => Ok(()),
        }
    }
}
