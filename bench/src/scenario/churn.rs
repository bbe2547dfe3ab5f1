//! Visitors come, subscribe, ask and leave, in minutes as many as in a day elsewhere. When all have left, the server's
//! memory is where it was when the first of them had left.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::stage;
use crate::args::scale::ChurnArgs;
use crate::clock;
use crate::failure::Failure;
use crate::net::{Event, Id, Net, Sources};
use crate::progress::Progress;
use crate::report::Round;
use crate::server::Server;
use crate::ws::handshake::Identity;

/// Nothing happening for this long means that something hangs.
const STALL: Duration = Duration::from_secs(20);
/// What the server forgets a moment after somebody has left.
const SETTLE: Duration = Duration::from_secs(3);
/// Different users; every visit is a browser never seen before.
const USERS: u32 = 20_000;
/// Every how-many-th visitor asks something and waits for the answer.
const ASKS: usize = 50;
const SHARED: &str = "bench_churn";

struct Visitor {
    open: bool,
    /// Has asked and waits for the answer.
    asked: bool,
    number: usize,
}

struct Churn<'a> {
    args: &'a ChurnArgs,
    net: Net,
    visitors: HashMap<Id, Visitor>,
    /// Those who are open, who came first at the front.
    present: VecDeque<Id>,
    /// Got their F1 and have not subscribed yet.
    arrived: Vec<Id>,
    started: usize,
    opening: usize,
    answers: u64,
    last_progress: u64,
    /// Most resident memory seen while running.
    peak: f64,
    faults: Vec<String>,
}

pub(crate) fn round(server: &Server, args: &ChurnArgs) -> Result<Round, Failure> {
    let mut round = Round::default();
    let mut control = server.client()?;
    stage::register_users(&mut control, 1..=USERS)?;
    let mut churn = Churn {
        args,
        net: Net::with_sources(Sources::Own(0))?,
        visitors: HashMap::new(),
        present: VecDeque::new(),
        arrived: Vec::new(),
        started: 0,
        opening: 0,
        answers: 0,
        last_progress: clock::nanos(),
        peak: 0.0,
        faults: Vec::new(),
    };
    round.add_known("rss_before", kib(server), "KiB");
    churn.run(server, args.warm_up)?;
    churn.everybody_leaves()?;
    let warm = kib(server);
    round.add_known("rss_warm", warm, "KiB when the first of them had left");
    let begun = clock::nanos();
    churn.run(server, args.warm_up + args.cycles)?;
    let lasted = clock::seconds(begun, clock::nanos());
    churn.everybody_leaves()?;
    let end = kib(server);
    round.add_known("rss_end", end, "KiB when all had left");
    round.add("rss_peak", churn.peak, "KiB");
    round.add("cycles", args.cycles as f64, "opened, subscribed, closed");
    round.add("cycles_per_s", args.cycles as f64 / lasted, "1/s");
    round.add("answers", churn.answers as f64, "to questions of visitors");
    if let Some((warm, end)) = warm.zip(end) {
        round.add(
            "rss_per_visit",
            (end - warm) * 1024.0 / args.cycles as f64,
            "bytes more in the end, per visit",
        );
        let ratio = end / warm;
        round.add("rss_ratio", ratio, "at the end : when the first of them had left");
        let allowed = 1.0 + f64::from(args.tolerance) / 100.0;
        if ratio > allowed {
            round.fault(format!(
                "memory grew to {ratio:.2} of what it was, more than {allowed:.2}"
            ));
        }
    }
    let left = stage::subscribers(&mut control, &[SHARED])?;
    if left > 0 {
        round.fault(format!(
            "{left} visitors are still subscribed although all have left"
        ));
    }
    round.faults.append(&mut churn.faults);
    Ok(round)
}

fn kib(server: &Server) -> Option<f64> {
    server.rss_bytes().map(|bytes| bytes / 1024.0)
}

impl Churn<'_> {
    /// Goes on until so many have come; then those who are there stay.
    fn run(&mut self, server: &Server, until: usize) -> Result<(), Failure> {
        let mut progress = Progress::new("churn");
        while self.started < until || self.opening > 0 {
            while self.started < until && self.opening < self.args.opening {
                let id = self.net.connect(server.ws, &identity(self.started))?;
                let visitor = Visitor {
                    open: false,
                    asked: false,
                    number: self.started,
                };
                self.visitors.insert(id, visitor);
                self.started += 1;
                self.opening += 1;
            }
            self.turn()?;
            self.welcome();
            // Once each at most: who waits for an answer has to stay for another turn.
            for _ in self.args.level..self.present.len() {
                self.first_leaves();
            }
            progress.tick(|| {
                self.peak = self.peak.max(kib(server).unwrap_or(0.0));
                format!(
                    "{} of {until} came, {} are here",
                    self.started,
                    self.present.len()
                )
            });
            if clock::nanos() > self.last_progress + clock::span(STALL) {
                return Err(Failure::told(format!("{} handshakes hang", self.opening)));
            }
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<(), Failure> {
        let (visitors, arrived, faults) = (&mut self.visitors, &mut self.arrived, &mut self.faults);
        let (opening, answers, last) = (&mut self.opening, &mut self.answers, &mut self.last_progress);
        self.net.turn(Duration::from_millis(20), |event| match event {
            Event::Text(id, frame) => {
                let Some(visitor) = visitors.get_mut(&id) else {
                    return;
                };
                *last = clock::nanos();
                if !visitor.open {
                    visitor.open = true;
                    *opening -= 1;
                    arrived.push(id);
                    faults.extend(stage::check_server_info(frame, true).err());
                } else if frame.windows(7).any(|window| window == b"\"alive\"") {
                    visitor.asked = false;
                    *answers += 1;
                } else {
                    faults.push(format!("unexpected frame {}", String::from_utf8_lossy(frame)));
                }
            }
            Event::Gone(id, reason) => {
                if visitors.remove(&id).is_some_and(|visitor| !visitor.open) {
                    *opening -= 1;
                }
                faults.push(format!("a connection ended: {reason}"));
            }
            Event::Ping(..) | Event::Reply(..) => {}
        })
    }

    /// Those who got their F1 subscribe, and some ask.
    fn welcome(&mut self) {
        for id in std::mem::take(&mut self.arrived) {
            let Some(visitor) = self.visitors.get_mut(&id) else {
                continue;
            };
            let number = visitor.number;
            self.net
                .send(id, &format!("subscription\n{SHARED}\nbench_churn_{number}"));
            if number.is_multiple_of(ASKS) {
                visitor.asked = true;
                self.net.send(id, "user_data\nalive\n1");
            }
            self.present.push_back(id);
        }
    }

    /// Two of three close as browsers do, the third vanishes. Who waits for an answer stays for another round.
    fn first_leaves(&mut self) {
        let Some(id) = self.present.pop_front() else {
            return;
        };
        match self.visitors.get(&id) {
            Some(visitor) if visitor.asked => return self.present.push_back(id),
            Some(visitor) if visitor.number.is_multiple_of(3) => self.net.drop_socket(id),
            Some(_) => self.net.leave(id),
            None => return,
        }
        self.visitors.remove(&id);
    }

    fn everybody_leaves(&mut self) -> Result<(), Failure> {
        let deadline = clock::nanos() + clock::span(STALL);
        while !self.present.is_empty() {
            self.first_leaves();
            if self.visitors.values().all(|visitor| visitor.asked) {
                self.turn()?;
            }
            if clock::nanos() > deadline {
                return Err(Failure::told("visitors wait for answers that do not come"));
            }
        }
        stage::linger(&mut self.net, SETTLE, |_, _| {})
    }
}

fn identity(number: usize) -> Identity {
    let user = 1 + u32::try_from(number).unwrap_or(0) % USERS;
    Identity {
        user,
        key: stage::key_of(user),
        uuid: stage::uuid_of(number),
    }
}
