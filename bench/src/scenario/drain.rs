//! A crowd of users who were away comes for what is queued: each gets all of his, once and in order (S10, Q31), a few
//! thousand at once, and leaves when he has acknowledged it. How fast that goes is told beside a fan-out of the same run.

use std::collections::HashMap;
use std::time::Duration;

use super::offline::{self, Debt};
use super::{fanout, stage};
use crate::args::scale::DrainArgs;
use crate::args::{FanoutShape, OfflineArgs};
use crate::clock;
use crate::failure::Failure;
use crate::net::{Event, Id, Net, Sources};
use crate::progress::Progress;
use crate::report::Round;
use crate::sequence::{Tally, Track};
use crate::server::Server;

/// Nothing arriving for this long while something is owed means that it was lost.
const STALL: Duration = Duration::from_secs(10);
/// Pongs that are on their way already.
const PAID_WITHIN: Duration = Duration::from_secs(15);
/// How long the fan-out to compare with is measured.
const FANOUT_SECONDS: u64 = 3;

/// A user who is here for his messages.
struct Visitor {
    user: usize,
    open: bool,
}

struct Drain<'a> {
    debts: &'a [Debt],
    tracks: Vec<Track>,
    received: Vec<u32>,
    visitors: HashMap<Id, Visitor>,
    /// Have everything and have acknowledged it.
    done: Vec<Id>,
    deliveries: u64,
    last: u64,
    faults: Vec<String>,
}

pub(crate) fn round(server: &mut Server, args: &DrainArgs) -> Result<Round, Failure> {
    let shape = FanoutShape {
        channels: 1,
        subscribers: args.subscribers,
        body: 128,
        publishers: 1,
        in_flight: 1,
        rate: None,
    };
    let fanout = fanout::round(server, &shape, FANOUT_SECONDS)?;
    let mut round = Round::default();
    round.faults.extend(fanout.faults.iter().cloned());
    round.add_known("fanout_per_s", fanout.value("deliveries_per_s"), "deliveries/s");

    let users: Vec<u32> = (1..).take(args.users).collect();
    let mut control = server.client()?;
    stage::register_users(&mut control, users.iter().copied())?;
    stage::forget_queues(&mut control, &users)?;
    let load = OfflineArgs {
        users: args.users,
        messages: args.messages,
        sessions: args.sessions,
        depth: args.depth,
        restart: false,
    };
    let debts = offline::insert(server, &load, &mut round)?;
    round.add_known(
        "rss_full",
        server.rss_bytes().map(|bytes| bytes / 1024.0),
        "KiB with full queues",
    );
    let rate = Drain::new(&debts).collect(server, args.window, &mut round)?;
    if let Some(fanout) = fanout.value("deliveries_per_s") {
        round.add("rate_ratio", rate / fanout, "drain : fan-out");
    }
    let mut net = Net::new()?;
    let left = stage::wait_until_paid(&mut net, &mut control, &users, PAID_WITHIN, |_, _| {})?;
    round.add("left_in_queues", left as f64, "messages after all have left");
    if left > 0 {
        round.fault(format!(
            "{left} messages are still owed although everybody has acknowledged"
        ));
    }
    Ok(round)
}

impl<'a> Drain<'a> {
    fn new(debts: &'a [Debt]) -> Self {
        Self {
            debts,
            tracks: debts.iter().map(|_| Track::from_zero()).collect(),
            received: vec![0; debts.len()],
            visitors: HashMap::new(),
            done: Vec::new(),
            deliveries: 0,
            last: clock::nanos(),
            faults: Vec::new(),
        }
    }

    /// Lets everybody come, `window` at once; the rate of deliveries.
    fn collect(mut self, server: &Server, window: usize, round: &mut Round) -> Result<f64, Failure> {
        let mut net = Net::with_sources(Sources::Own(0))?;
        let mut progress = Progress::new("drain");
        let mut came = 0;
        let begun = clock::nanos();
        let cpu_begun = server.cpu_seconds();
        self.last = begun;
        while came < self.debts.len() || !self.visitors.is_empty() {
            while came < self.debts.len() && self.visitors.len() < window {
                let id = net.connect(server.ws, &stage::identity(came, true))?;
                self.visitors.insert(
                    id,
                    Visitor {
                        user: came,
                        open: false,
                    },
                );
                came += 1;
            }
            net.turn(Duration::from_millis(20), |event| self.handle(event))?;
            for id in std::mem::take(&mut self.done) {
                self.visitors.remove(&id);
                net.leave(id);
            }
            progress.tick(|| format!("{came} came, {} messages", self.deliveries));
            if clock::nanos() > self.last + clock::span(STALL) {
                let waiting = self.visitors.len();
                self.faults
                    .push(format!("{waiting} users wait and nothing comes any more"));
                break;
            }
        }
        let lasted = clock::seconds(begun, self.last);
        let rate = self.deliveries as f64 / lasted;
        round.add("drained", self.deliveries as f64, "messages");
        round.add("drained_per_s", rate, "messages/s, connecting included");
        round.add("users_per_s", self.debts.len() as f64 / lasted, "users/s");
        if let Some((before, after)) = cpu_begun.zip(server.cpu_seconds()) {
            let cpu = (after - before) / self.deliveries.max(1) as f64;
            round.add(
                "cpu_per_delivery",
                cpu * 1e6,
                "server CPU µs, connecting included",
            );
        }
        let mut tally = Tally::default();
        for (track, debt) in self.tracks.iter().zip(self.debts) {
            tally += track.verdict(debt.acknowledged);
        }
        round.tally("queued messages", tally);
        round.faults.append(&mut self.faults);
        Ok(rate)
    }

    fn handle(&mut self, event: Event<'_>) {
        let wrong = match event {
            Event::Text(id, frame) => self.text(id, frame).err(),
            // The Pong is on its way. It covers all that came before the Ping.
            Event::Ping(id, payload) if !payload.is_empty() => {
                if let Some(Visitor { user, .. }) = self.visitors.get(&id)
                    && self.received[*user] >= self.debts[*user].acknowledged
                {
                    self.done.push(id);
                }
                None
            }
            Event::Ping(..) | Event::Reply(..) => None,
            Event::Gone(id, reason) => self
                .visitors
                .remove(&id)
                .map(|visitor| format!("user {} was dropped: {reason}", visitor.user + 1)),
        };
        if self.faults.len() < 10 {
            self.faults.extend(wrong);
        }
    }

    fn text(&mut self, id: Id, frame: &[u8]) -> Result<(), String> {
        let Some(visitor) = self.visitors.get_mut(&id) else {
            return Ok(());
        };
        self.last = clock::nanos();
        let user = visitor.user;
        if !visitor.open {
            visitor.open = true;
            if self.debts[user].acknowledged == 0 {
                self.done.push(id);
            }
            return stage::check_server_info(frame, true);
        }
        let sequence = offline::queued_message(user, frame)?;
        self.tracks[user].arrive(sequence);
        self.received[user] += 1;
        self.deliveries += 1;
        Ok(())
    }
}
