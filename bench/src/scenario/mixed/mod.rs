//! The acceptance load: pages that stay and pages that reload, anonymous and authorized, sending and receiving, while
//! CometQL sessions write channel messages, private messages and tables. Every message is accounted for: channel
//! messages to every page that was there (S26), private messages to every living device once and in order and to some
//! device always (S7–S12, protocol.md 5.1), and what was acknowledged is in the tables, after kill -9 too (Appendix B).

mod inbox;
mod ledger;
mod page;
mod plan;
mod sessions;
mod verdict;

use std::collections::HashMap;
use std::time::Duration;

use crate::args::MixedArgs;
use crate::clock;
use crate::failure::Failure;
use crate::latency::Latency;
use crate::net::{Event, Id, Net};
use crate::progress::Progress;
use crate::report::Round;
use crate::scenario::stage;
use crate::sequence::Tally;
use crate::server::Server;
use crate::sql::client::Client;
use ledger::Ledger;
use page::{Page, World};
use plan::{Dice, HISTORY, Plan};
use sessions::Sessions;

/// Everybody must be there within this time at the beginning and the end.
const GATHER_PATIENCE: Duration = Duration::from_secs(30);
/// When nothing came for this long, nothing more will.
const QUIET: Duration = Duration::from_secs(3);
/// Longer than `reload_grace` (60 s), after which a device that stays away no longer holds up a debt.
const PAID_WITHIN: Duration = Duration::from_secs(75);
/// Further faults of one run are only counted.
const FAULTS_SHOWN: usize = 20;

/// What the run does at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Everybody comes and stays.
    Gather,
    /// Writing, sending, reloading.
    Load,
    /// The server is dead; connections end.
    Killed,
}

struct Run {
    plan: Plan,
    ledger: Ledger,
    dice: Dice,
    pages: Vec<Page>,
    page_of: HashMap<Id, usize>,
    sessions: Option<Sessions>,
    latency: Latency,
    pace: u64,
    faults: Vec<String>,
    more_faults: u64,
}

pub(crate) fn round(server: &mut Server, args: &MixedArgs, seconds: u64) -> Result<Round, Failure> {
    let plan = Plan::new(args);
    let mut control = server.client()?;
    prepare(&mut control, &plan)?;
    let mut net = Net::new()?;
    let mut run = Run {
        ledger: Ledger::new(plan.channels.len(), plan.publishers(), plan.sessions, plan.users),
        dice: Dice::new(args.seed),
        pages: (0..plan.pages.len()).map(Page::new).collect(),
        page_of: HashMap::new(),
        sessions: None,
        latency: Latency::new(),
        pace: (1e9 / args.page_rate.max(0.001)) as u64,
        faults: Vec::new(),
        more_faults: 0,
        plan,
    };
    let mut round = Round::default();
    run.gather(&mut net, server)?;
    run.sessions = Some(Sessions::open(&mut net, server, run.plan.sessions, args.rate)?);
    let cpu = server.cpu_seconds();
    run.load(&mut net, server, seconds)?;
    let cpu = server
        .cpu_seconds()
        .zip(cpu)
        .map(|(after, before)| after - before);
    round.add_known(
        "server_cpu",
        cpu.map(|cpu| cpu * 100.0 / seconds.max(1) as f64),
        "% of one processor",
    );
    round.add_known(
        "server_rss",
        server.rss_bytes().map(|bytes| bytes / 1024.0),
        "KiB",
    );
    if args.kill {
        drop(control);
        run.kill(&mut net, server)?;
        round.add(
            "restart_seconds",
            server.restart()?,
            "s until the killed server answered again",
        );
        control = server.client()?;
    }
    run.gather(&mut net, server)?;
    run.wait_until_quiet(&mut net, server)?;
    let users: Vec<u32> = (1..=run.plan.users).collect();
    let left = run.wait_until_paid(&mut net, server, &mut control, &users)?;
    verdict::rows(&mut control, &run.plan, &mut run.ledger, &mut round)?;
    verdict::history(&mut control, &run.plan, &mut run.ledger, &mut round)?;
    round.add("left_in_queues", left as f64, "messages after all Pongs");
    if left > 0 {
        round.fault(format!(
            "{left} messages are still owed although every page has acknowledged"
        ));
    }
    run.report(args.kill, &mut round);
    Ok(round)
}

/// Keys of the users, empty queues, history on.
fn prepare(control: &mut Client, plan: &Plan) -> Result<(), Failure> {
    stage::register_users(control, 1..=plan.users)?;
    control
        .execute_all((1..=plan.users).map(|user| format!("DELETE FROM users_messages WHERE id = {user}")))?;
    for name in &plan.channels[..plan.sessions] {
        control.execute(&format!("DELETE FROM pipes_settings WHERE name = '{name}'"))?;
        control.execute(&format!(
            "INSERT INTO pipes_settings (name, length) VALUES ('{name}', {HISTORY})"
        ))?;
    }
    Ok(())
}

impl Run {
    /// One turn of everything.
    fn step(&mut self, net: &mut Net, server: &Server, phase: Phase) -> Result<(), Failure> {
        let now = clock::nanos();
        let Self {
            plan,
            ledger,
            dice,
            latency,
            pages,
            page_of,
            sessions,
            pace,
            ..
        } = self;
        let mut world = World {
            plan,
            ledger,
            dice,
            latency,
            restless: phase == Phase::Load,
            pace: *pace,
        };
        if phase != Phase::Killed {
            for page in pages.iter_mut() {
                if page.wants_to_come(now) || phase == Phase::Gather && page.is_away() {
                    let id = net.connect(server.ws, &plan.pages[page.number].identity)?;
                    page.opening(id);
                    page_of.insert(id, page.number);
                } else if let Some(left) = page.act(now, net, &mut world) {
                    page_of.remove(&left);
                }
            }
        }
        if let (Phase::Load, Some(sessions)) = (phase, sessions) {
            sessions.write(net, plan, ledger, dice);
        }
        let mut opened = Vec::new();
        net.turn(Duration::from_millis(5), |event| {
            self.handle(event, phase, &mut opened)
        })?;
        for id in opened {
            if let Some(page) = self.page_of.get(&id).and_then(|page| self.pages.get(*page)) {
                page.subscribe(&self.plan, net);
            }
        }
        Ok(())
    }

    fn handle(&mut self, event: Event<'_>, phase: Phase, opened: &mut Vec<Id>) {
        let Self {
            plan,
            ledger,
            dice,
            latency,
            pages,
            page_of,
            sessions,
            pace,
            ..
        } = self;
        let mut world = World {
            plan,
            ledger,
            dice,
            latency,
            restless: phase == Phase::Load,
            pace: *pace,
        };
        let outcome = match event {
            Event::Text(id, frame) => match page_of.get(&id) {
                Some(page) => pages[*page].receive(frame, opened, &mut world),
                None => Ok(()),
            },
            Event::Ping(id, payload) => {
                if let Some(page) = page_of.get(&id) {
                    pages[*page].pinged(payload);
                }
                Ok(())
            }
            Event::Reply(id, reply) => sessions
                .as_mut()
                .map_or(Ok(()), |sessions| sessions.answered(id, &reply, world.ledger)),
            Event::Gone(id, reason) => {
                let who = match page_of.remove(&id) {
                    Some(page) => {
                        // After a crash everybody comes back at once.
                        pages[page].gone(0, world.plan, world.ledger);
                        format!("page {page}")
                    }
                    None if sessions.as_ref().is_some_and(|sessions| sessions.owns(id)) => "a session".into(),
                    None => return,
                };
                if phase == Phase::Killed {
                    Ok(())
                } else {
                    Err(format!("{who} was closed: {reason}"))
                }
            }
        };
        if let Err(text) = outcome {
            self.fault(text);
        }
    }

    fn fault(&mut self, text: String) {
        if self.faults.len() < FAULTS_SHOWN {
            eprintln!("FAULT {text}");
            self.faults.push(text);
        } else {
            self.more_faults += 1;
        }
    }

    /// Until every page is there and subscribed.
    fn gather(&mut self, net: &mut Net, server: &Server) -> Result<(), Failure> {
        let deadline = clock::nanos() + clock::span(GATHER_PATIENCE);
        while !self.pages.iter().all(Page::is_here) {
            if clock::nanos() > deadline {
                let missing = self.pages.iter().filter(|page| !page.is_here()).count();
                return Err(Failure::told(format!("{missing} pages did not get ready")));
            }
            self.step(net, server, Phase::Gather)?;
        }
        Ok(())
    }

    fn load(&mut self, net: &mut Net, server: &Server, seconds: u64) -> Result<(), Failure> {
        let mut progress = Progress::new("mixed");
        let end = clock::nanos() + clock::span(Duration::from_secs(seconds));
        while clock::nanos() < end {
            self.step(net, server, Phase::Load)?;
            progress.tick(|| {
                let [channel, private] = self.ledger.totals();
                let deliveries: u64 = self.pages.iter().map(|page| page.deliveries).sum();
                let reloads: u64 = self.pages.iter().map(|page| page.reloads).sum();
                format!(
                    "{} channel and {} private messages, {deliveries} deliveries, {reloads} reloads, {} faults",
                    channel.sent,
                    private.sent,
                    self.faults.len() as u64 + self.more_faults
                )
            });
        }
        Ok(())
    }

    /// Kills the server while statements are under way, and reads what it still got out.
    fn kill(&mut self, net: &mut Net, server: &mut Server) -> Result<(), Failure> {
        server.kill()?;
        let deadline = clock::nanos() + clock::span(GATHER_PATIENCE);
        while !self.pages.iter().all(Page::is_away) {
            if clock::nanos() > deadline {
                return Err(Failure::told("connections to the killed server do not end"));
            }
            self.step(net, server, Phase::Killed)?;
        }
        // The sessions' last answers are read in the same turns; they count as acknowledged.
        self.step(net, server, Phase::Killed)?;
        for page in &mut self.pages {
            page.inbox.server_was_killed();
        }
        self.sessions = None;
        Ok(())
    }

    /// Until all statements and page messages are answered and nothing more comes.
    fn wait_until_quiet(&mut self, net: &mut Net, server: &Server) -> Result<(), Failure> {
        let mut progress = Progress::new("wait for the last messages");
        let deadline = clock::nanos() + clock::span(GATHER_PATIENCE);
        let mut last_real = clock::nanos();
        let mut deliveries = 0;
        loop {
            self.step(net, server, Phase::Gather)?;
            let now = clock::nanos();
            // The pages keep asking; only messages count as something still coming.
            let so_far: u64 = self.pages.iter().map(|page| page.deliveries).sum();
            if so_far > deliveries {
                deliveries = so_far;
                last_real = now;
            }
            let answered = self.sessions.as_ref().is_none_or(Sessions::is_idle)
                && self
                    .pages
                    .iter()
                    .all(|page| page.is_here() && page.unreported == 0);
            if answered && now > last_real + clock::span(QUIET) {
                return Ok(());
            }
            if now > deadline {
                self.fault("statements or page messages stay unanswered, or pages away".into());
                return Ok(());
            }
            progress.tick(|| format!("{deliveries} deliveries"));
        }
    }

    fn wait_until_paid(
        &mut self,
        net: &mut Net,
        server: &Server,
        control: &mut Client,
        users: &[u32],
    ) -> Result<u64, Failure> {
        let mut progress = Progress::new("wait for empty queues");
        let deadline = clock::nanos() + clock::span(PAID_WITHIN);
        loop {
            let left = stage::queued(control, users)?;
            if left == 0 || clock::nanos() > deadline {
                return Ok(left);
            }
            progress.tick(|| format!("{left} messages left"));
            let until = clock::nanos() + 200_000_000;
            while clock::nanos() < until {
                self.step(net, server, Phase::Gather)?;
            }
        }
    }

    fn report(mut self, killed: bool, round: &mut Round) {
        let mut tally = Tally {
            lost: self.ledger.unreached(),
            ..Tally::default()
        };
        if tally.lost > 0 {
            self.faults.push(format!(
                "{} acknowledged private messages reached no device",
                tally.lost
            ));
        }
        for page in &mut self.pages {
            // After a kill, messages that were never acknowledged may be missing: only what came is judged.
            let found = if killed {
                page.judged_so_far()
            } else {
                page.finish(&self.plan, &self.ledger)
            };
            if !found.is_clean() {
                let Tally {
                    lost,
                    duplicated,
                    disordered,
                } = found;
                let who = page.describe(&self.plan);
                self.faults.push(format!(
                    "{who}: {lost} lost, {duplicated} duplicated, {disordered} disordered"
                ));
            }
            tally += found;
        }
        let [channel, private] = self.ledger.totals();
        let sum = |count: fn(&Page) -> u64| self.pages.iter().map(count).sum::<u64>() as f64;
        round.add(
            "channel_messages",
            f64::from(channel.sent),
            "sent by sessions and pages",
        );
        round.add("private_messages", f64::from(private.sent), "sent");
        round.add(
            "acknowledged",
            f64::from(private.acknowledged),
            "private messages answered OK",
        );
        round.add(
            "deliveries",
            sum(|page| page.deliveries),
            "messages received by pages",
        );
        round.add("reloads", sum(|page| page.reloads), "");
        round.add(
            "redelivered",
            sum(|page| page.inbox.redelivered),
            "unpaid before a reload or crash, came again after it",
        );
        round.add("latency_p50", self.latency.micros_at(50.0), "µs sent to received");
        round.add("latency_p99", self.latency.micros_at(99.0), "µs");
        if let Some(sessions) = &self.sessions {
            round.add("answer_p50", sessions.latency.micros_at(50.0), "µs INSERT to OK");
            round.add("answer_p99", sessions.latency.micros_at(99.0), "µs");
        }
        round.tally("all messages", tally);
        round.faults.append(&mut self.faults);
        if self.more_faults > 0 {
            round.fault(format!("and {} more", self.more_faults));
        }
    }
}
