//! A network fails for everybody at once: all users are cut off in the middle of the traffic and all come back as fast as
//! they can, while the back end goes on sending. Afterwards every private message has arrived once (again only where 5.1
//! of protocol.md allows it), every room message that was sent to a page that was there, and what was missed meanwhile is
//! in the history.

use std::time::Duration;

use super::share::Share;
use super::stage;
use super::writer::Writers;
use crate::args::scale::StormArgs;
use crate::clock;
use crate::failure::Failure;
use crate::net::{Event, Net};
use crate::progress::Progress;
use crate::report::Round;
use crate::server::Server;
use crate::sql::client::Client;
use crate::stamp::{STAMP_LEN, Stamp};
use crate::workers::news::News;
use crate::workers::{self, Order, Plan, Workers};

/// Without any progress for this long, a stage has failed.
const STALL: Duration = Duration::from_secs(30);
/// Traffic after everybody is back lasts until every room must have got a message, and this much longer.
const AFTERMATH: Duration = Duration::from_secs(2);
/// Longer than `reload_grace`: a page that came back before its old connection was seen to end is waited for that long.
const PAID_WITHIN: Duration = Duration::from_secs(90);
/// Messages a room keeps.
const HISTORY: u32 = 99;
/// Every how-many-th page asks for the history of its room when it comes back.
const ASKS_HISTORY: usize = 10;
const DEPTH: usize = 64;
const BODY: usize = 128;

struct Storm<'a> {
    args: &'a StormArgs,
    server: &'a Server,
    control: Client,
    workers: Workers,
    net: Net,
    private: Traffic,
    rooms: Traffic,
}

/// Statements at a steady rate, each to the next of its targets.
struct Traffic {
    writers: Writers,
    share: Share,
    rate: f64,
    begun: u64,
}

pub(crate) fn round(server: &Server, args: &StormArgs, seconds: u64) -> Result<Round, Failure> {
    let mut round = Round::default();
    let mut storm = Storm::prepare(server, args)?;
    storm.open(&mut round)?;
    storm.send_until(|_, lasted| lasted >= Duration::from_secs(seconds))?;
    storm.cut(&mut round)?;
    let least = (args.users * args.messages) as u64;
    let round_of_rooms = storm.rooms.share.users as f64 / args.room_rate;
    let aftermath = AFTERMATH + Duration::from_secs_f64(round_of_rooms);
    storm.send_until(|storm, lasted| lasted >= aftermath && storm.private.writers.acknowledged() >= least)?;
    storm.finish(&mut round)?;
    Ok(round)
}

impl<'a> Storm<'a> {
    fn prepare(server: &'a Server, args: &'a StormArgs) -> Result<Self, Failure> {
        let mut control = server.client()?;
        let users: Vec<u32> = (1..).take(args.users).collect();
        let rooms = args.users.div_ceil(args.room.max(1));
        stage::register_users(&mut control, users.iter().copied())?;
        stage::forget_queues(&mut control, &users)?;
        control.execute_all((0..rooms).flat_map(|room| {
            let name = workers::room_name(room);
            [
                format!("DELETE FROM pipes_settings WHERE name = '{name}'"),
                format!("INSERT INTO pipes_settings (name, length) VALUES ('{name}', {HISTORY})"),
            ]
        }))?;
        let plan = Plan {
            pages: args.users,
            authorized: true,
            opening: args.opening,
            rooms,
            own_channels: true,
            history: ASKS_HISTORY,
        };
        let mut net = Net::new()?;
        let mut traffic = |sessions, share, rate, depth| -> Result<Traffic, Failure> {
            Ok(Traffic {
                writers: Writers::open(&mut net, server, sessions, depth)?,
                share,
                rate,
                begun: clock::nanos(),
            })
        };
        let to_users = Share {
            users: args.users,
            sessions: args.sessions,
        };
        let to_rooms = Share {
            users: rooms,
            sessions: 1,
        };
        let private = traffic(args.sessions, to_users, args.rate, DEPTH)?;
        let rooms = traffic(1, to_rooms, args.room_rate, DEPTH)?;
        Ok(Self {
            args,
            server,
            control,
            workers: Workers::start(server.ws, &plan)?,
            net,
            private,
            rooms,
        })
    }

    fn open(&mut self, round: &mut Round) -> Result<(), Failure> {
        let begun = clock::nanos();
        self.workers.order(&Order::Open)?;
        self.wait_for_all("connect")?;
        let lasted = clock::seconds(begun, clock::nanos());
        round.add("users", self.args.users as f64, "one page each");
        round.add("processes", self.workers.count() as f64, "of the load generator");
        round.add(
            "opened_per_s",
            self.args.users as f64 / lasted,
            "connections/s before the storm",
        );
        let now = clock::nanos();
        self.private.begun = now;
        self.rooms.begun = now;
        Ok(())
    }

    /// Waits until everybody is there and in his room.
    fn wait_for_all(&mut self, what: &str) -> Result<(), Failure> {
        let users = self.args.users as u64;
        let names: Vec<String> = (0..self.rooms.share.users).map(workers::room_name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut progress = Progress::new(what);
        let mut counted = 0;
        let mut last = (0, clock::nanos());
        loop {
            let news = self.drive()?;
            if self.workers.is_done(&news) && news.open == users {
                counted = stage::subscribers(&mut self.control, &names)?;
                if counted == users {
                    return Ok(());
                }
            }
            let now = clock::nanos();
            if news.open + counted != last.0 {
                last = (news.open + counted, now);
            } else if now > last.1 + clock::span(STALL) {
                let why = news.reasons.join("; ");
                return Err(Failure::told(format!(
                    "{what}: stuck at {} of {users}: {why}",
                    news.open
                )));
            }
            progress.tick(|| format!("{} of {users}, {} failed", news.open, news.failed));
        }
    }

    /// Sends what is due and takes the answers; the workers' news.
    fn drive(&mut self) -> Result<News, Failure> {
        let (private, rooms) = (&mut self.private, &mut self.rooms);
        let mut wrong = None;
        self.net.turn(Duration::from_millis(5), |event| {
            let now = match event {
                Event::Reply(id, reply) if private.writers.owns(id) => {
                    private.writers.answered(id, &reply).err()
                }
                Event::Reply(id, reply) => rooms.writers.answered(id, &reply).err(),
                Event::Gone(_, reason) => Some(format!("a session ended: {reason}")),
                Event::Text(..) | Event::Ping(..) => None,
            };
            wrong = wrong.take().or(now);
        })?;
        match wrong {
            Some(text) => Err(Failure::told(text)),
            None => self.workers.news(),
        }
    }

    fn send_until(&mut self, mut is_over: impl FnMut(&Self, Duration) -> bool) -> Result<(), Failure> {
        let begun = clock::nanos();
        let mut progress = Progress::new("send");
        while !is_over(self, Duration::from_nanos(clock::nanos() - begun)) {
            self.send_due();
            let news = self.drive()?;
            let sent = self.private.writers.acknowledged();
            progress.tick(|| format!("{sent} acknowledged, {} received", news.unique));
        }
        Ok(())
    }

    fn send_due(&mut self) {
        self.private.fill(&mut self.net, |user, text| {
            text.push_str("INSERT INTO users_messages (id, event, message) VALUES (");
            text.push_str(&(user + 1).to_string());
            text.push_str(", 'bench', '");
        });
        self.rooms.fill(&mut self.net, |room, text| {
            text.push_str("INSERT INTO pipes_messages (name, event, message) VALUES ('");
            text.push_str(&workers::room_name(room));
            text.push_str("', 'bench', '");
        });
    }

    /// Cuts everybody off and lets all come back, traffic going on.
    fn cut(&mut self, round: &mut Round) -> Result<(), Failure> {
        // What was acknowledged before this question must not come again.
        self.workers.order(&Order::Ask)?;
        let users = self.args.users as u64;
        self.send_until_told(|news| news.answers >= users)?;
        let before = self.workers.news()?;
        let cut = clock::nanos();
        let cpu = self.server.cpu_seconds();
        self.workers.order(&Order::Drop)?;
        self.send_until_told(|news| news.open == 0)?;
        self.workers.order(&Order::Open)?;
        let sent = self.private.writers.acknowledged();
        self.send_until_told(|news| news.open == users)?;
        self.wait_for_all("settle")?;
        let settled = clock::nanos();
        let news = self.workers.news()?;
        let lasted = clock::seconds(cut, settled);
        round.add(
            "settled_within",
            lasted,
            "s from the cut until all are back and subscribed",
        );
        round.add(
            "reopened_per_s",
            users as f64 / clock::seconds(cut, news.last_open),
            "connections/s in the storm",
        );
        round.add(
            "failed_handshakes",
            (news.failed - before.failed) as f64,
            "in the storm, tried again",
        );
        let cpu = cpu
            .zip(self.server.cpu_seconds())
            .map(|(before, after)| after - before);
        round.add_known("settle_cpu", cpu, "s of server CPU until then");
        let sent = self.private.writers.acknowledged() - sent;
        round.add(
            "inserted_meanwhile",
            sent as f64,
            "private messages while users came back",
        );
        Ok(())
    }

    fn send_until_told(&mut self, is_told: impl Fn(&News) -> bool) -> Result<(), Failure> {
        let mut last = (News::default(), clock::nanos());
        loop {
            self.send_due();
            let news = self.drive()?;
            if self.workers.is_done(&news) && is_told(&news) {
                return Ok(());
            }
            let now = clock::nanos();
            if (news.open, news.answers) != (last.0.open, last.0.answers) {
                last = (news, now);
            } else if now > last.1 + clock::span(STALL) {
                let why = news.reasons.join("; ");
                return Err(Failure::told(format!(
                    "stuck with {} pages open: {why}",
                    news.open
                )));
            }
        }
    }

    /// Sends no more, waits for what is under way, and judges.
    fn finish(&mut self, round: &mut Round) -> Result<(), Failure> {
        let mut last = (0, clock::nanos());
        loop {
            let news = self.drive()?;
            let idle = self.private.writers.is_idle() && self.rooms.writers.is_idle();
            let came = news.unique + news.live;
            if came != last.0 || !idle {
                last = (came, clock::nanos());
            }
            let complete = idle && news.unique >= self.private.writers.acknowledged();
            // Room messages after the last private one have their moment as well.
            let patience = if complete { Duration::from_secs(1) } else { STALL };
            if clock::nanos() > last.1 + clock::span(patience) {
                break;
            }
        }
        let rooms: Vec<u32> = (0..self.rooms.share.users)
            .map(|room| {
                self.rooms
                    .share
                    .numbered_for(room, self.rooms.writers.acknowledged_by(0))
            })
            .collect();
        let sessions = (0..self.args.sessions).map(|session| self.private.writers.acknowledged_by(session));
        self.workers.order(&Order::Judge {
            sessions: sessions.collect(),
            rooms: rooms.clone(),
        })?;
        let news = loop {
            let news = self.drive()?;
            if self.workers.is_done(&news) {
                break news;
            }
        };
        self.report(&news, round);
        self.check_history(&rooms, round)?;
        self.check_queues(round)
    }

    fn report(&self, news: &News, round: &mut Round) {
        round.add(
            "acknowledged",
            self.private.writers.acknowledged() as f64,
            "private messages",
        );
        round.add("received", news.unique as f64, "private messages");
        round.add(
            "redelivered",
            news.redelivered as f64,
            "private messages again, as 5.1 allows",
        );
        round.add("room_deliveries", news.live as f64, "");
        round.add("replayed", news.replayed as f64, "messages of history asked for");
        let mut tally = news.private;
        tally += news.rooms;
        round.tally("private and room messages", tally);
        if news.ended > 0 {
            round.fault(format!(
                "{} pages were dropped: {}",
                news.ended,
                news.reasons.join("; ")
            ));
        }
        round.faults.extend(news.faults.iter().cloned());
    }

    /// Each room's history is its newest messages, in order and none missing.
    fn check_history(&mut self, sent: &[u32], round: &mut Round) -> Result<(), Failure> {
        let mut checked = 0_u32;
        for (room, sent) in sent.iter().enumerate() {
            let name = workers::room_name(room);
            let rows = self.control.rows(&format!(
                "SELECT message FROM pipes_messages WHERE name = '{name}'"
            ))?;
            let cells = rows.iter().filter_map(|row| row.first());
            let found: Vec<u32> = cells
                .filter_map(|body| Stamp::find(body.as_bytes()))
                .map(|stamp| stamp.sequence)
                .collect();
            if !found.iter().copied().eq(sent.saturating_sub(HISTORY)..*sent) {
                round.fault(format!("history of {name} after {sent} messages: {found:?}"));
            }
            checked += found.len() as u32;
        }
        round.add("history_checked", f64::from(checked), "messages");
        Ok(())
    }

    /// Everybody has acknowledged, so nothing is owed; to former selves nobody could tell apart only until their grace ends.
    fn check_queues(&mut self, round: &mut Round) -> Result<(), Failure> {
        let users: Vec<u32> = (1..).take(self.args.users).collect();
        let begun = clock::nanos();
        let left = stage::wait_until_paid(&mut self.net, &mut self.control, &users, PAID_WITHIN, |_, _| {})?;
        round.add(
            "paid_within",
            clock::seconds(begun, clock::nanos()),
            "s until the queues were empty",
        );
        if left > 0 {
            round.fault(format!(
                "{left} messages are still owed although all have acknowledged"
            ));
        }
        Ok(())
    }
}

impl Traffic {
    /// Writes the statements that are due; `begin` writes the text up to the body.
    fn fill(&mut self, net: &mut Net, begin: impl Fn(usize, &mut String)) {
        let lasted = clock::seconds(self.begun, clock::nanos());
        let share = self.share;
        let due = lasted * self.rate / share.sessions as f64;
        self.writers.fill(net, |session, number, text| {
            let Some((target, sequence)) = share.target(session, number) else {
                return false;
            };
            if f64::from(number) >= due {
                return false;
            }
            begin(target, text);
            Stamp {
                publisher: u16::try_from(session).expect("far fewer sessions than 65,536"),
                sequence,
                slot: u32::try_from(target).expect("users are numbered in 32 bits"),
                nanos: clock::nanos(),
            }
            .padded(BODY.max(STAMP_LEN), text);
            text.push_str("')");
            true
        });
    }
}
