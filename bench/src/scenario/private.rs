//! Private messages to users who are online with several devices: every device gets every message once and in order
//! (protocol.md 5, S7), and when all Pongs have come the server owes nothing.

use std::collections::HashMap;
use std::time::Duration;

use super::stage::{self, OPENING};
use super::writer::Writers;
use crate::args::PrivateArgs;
use crate::clock;
use crate::failure::Failure;
use crate::latency::Latency;
use crate::net::{Event, Id, Net};
use crate::progress::Progress;
use crate::report::Round;
use crate::sequence::{Tally, Track};
use crate::server::Server;
use crate::stamp::{STAMP_LEN, Stamp};
use crate::ws::handshake::Identity;
use crate::ws::message::Message;

/// Nothing arriving for this long while something is owed means that it was lost.
const STALL: Duration = Duration::from_secs(5);
/// Debts are paid by Pongs that are on their way already; `reload_grace` does not come in, nobody leaves.
const PAID_WITHIN: Duration = Duration::from_secs(15);

struct Device {
    /// Index of the user.
    user: u32,
    /// One per session.
    tracks: Vec<Track>,
}

struct Run<'a> {
    args: &'a PrivateArgs,
    devices: HashMap<Id, Device>,
    writers: Writers,
    latency: Latency,
    deliveries: u64,
    last_progress: u64,
    faults: Vec<String>,
}

pub(crate) fn round(server: &Server, args: &PrivateArgs, seconds: u64) -> Result<Round, Failure> {
    let mut net = Net::new()?;
    let mut control = server.client()?;
    let users: Vec<u32> = (1..).take(args.users).collect();
    stage::register_users(&mut control, users.iter().copied())?;
    stage::forget_queues(&mut control, &users)?;
    let mut identities = Vec::new();
    for device in 0..args.devices {
        for user in &users {
            let uuid = stage::uuid_of(device * args.users + *user as usize);
            identities.push(Identity {
                user: *user,
                key: stage::key_of(*user),
                uuid,
            });
        }
    }
    let ids = stage::open_pages(&mut net, server.ws, &identities, OPENING, |_, _| {})?;
    let device = |user| Device {
        user,
        tracks: (0..args.sessions).map(|_| Track::from_zero()).collect(),
    };
    let mut run = Run {
        args,
        devices: ids
            .iter()
            .zip(&identities)
            .map(|(id, identity)| (*id, device(identity.user - 1)))
            .collect(),
        writers: Writers::open(&mut net, server, args.sessions, args.depth)?,
        latency: Latency::new(),
        deliveries: 0,
        last_progress: clock::nanos(),
        faults: Vec::new(),
    };
    let mut round = run.drive(&mut net, server, seconds)?;
    let left = stage::wait_until_paid(&mut net, &mut control, &users, PAID_WITHIN, |id, frame| {
        run.received(id, frame)
    })?;
    round.add("left_in_queues", left as f64, "messages after all Pongs");
    if left > 0 {
        round.fault(format!(
            "{left} messages are still owed although every device has acknowledged"
        ));
    }
    round.tally("private messages", run.tally());
    round.faults.append(&mut run.faults);
    Ok(round)
}

impl Run<'_> {
    fn drive(&mut self, net: &mut Net, server: &Server, seconds: u64) -> Result<Round, Failure> {
        let mut progress = Progress::new("private");
        let begun = clock::nanos();
        let end = begun + clock::span(Duration::from_secs(seconds));
        let cpu_begun = server.cpu_seconds();
        let mut round = Round::default();
        loop {
            let now = clock::nanos();
            if now < end {
                let args = self.args;
                self.writers.fill(net, |session, number, text| {
                    statement(args, session, number, text)
                });
            } else {
                if round.figures.is_empty() {
                    let lasted = clock::seconds(begun, now);
                    let acknowledged = self.writers.acknowledged() as f64;
                    round.add("acknowledged_per_s", acknowledged / lasted, "INSERTs/s");
                    round.add(
                        "deliveries_per_s",
                        self.deliveries as f64 / lasted,
                        "deliveries/s",
                    );
                    if let (Some(before), Some(after)) = (cpu_begun, server.cpu_seconds()) {
                        round.add(
                            "cpu_per_insert",
                            (after - before) * 1e6 / acknowledged.max(1.0),
                            "server CPU µs",
                        );
                    }
                }
                let owed = self.writers.acknowledged() * self.args.devices as u64;
                let done = self.writers.is_idle() && self.deliveries >= owed;
                if done || now > self.last_progress + clock::span(STALL) {
                    break;
                }
            }
            net.turn(Duration::from_millis(20), |event| self.handle(event))?;
            if !self.faults.is_empty() {
                break;
            }
            progress.tick(|| {
                format!(
                    "{} acknowledged, {} deliveries",
                    self.writers.acknowledged(),
                    self.deliveries
                )
            });
        }
        round.add(
            "answer_p50",
            self.writers.latency.micros_at(50.0),
            "µs queued to OK",
        );
        round.add("answer_p99", self.writers.latency.micros_at(99.0), "µs");
        round.add(
            "latency_p50",
            self.latency.micros_at(50.0),
            "µs queued to receive",
        );
        round.add("latency_p99", self.latency.micros_at(99.0), "µs");
        round.add("latency_p99.9", self.latency.micros_at(99.9), "µs");
        round.add_known(
            "server_rss",
            server.rss_bytes().map(|bytes| bytes / 1024.0),
            "KiB",
        );
        Ok(round)
    }

    fn handle(&mut self, event: Event<'_>) {
        match event {
            Event::Text(id, frame) => self.received(id, frame),
            Event::Reply(id, reply) => self.faults.extend(self.writers.answered(id, &reply).err()),
            Event::Gone(_, reason) => self.faults.push(format!("a connection ended: {reason}")),
            Event::Ping(..) => return,
        }
        self.last_progress = clock::nanos();
    }

    fn received(&mut self, id: Id, frame: &[u8]) {
        let Some(device) = self.devices.get_mut(&id) else {
            return;
        };
        let stamp = match Message::parse(frame) {
            Ok(message) if message.is_private() && !message.from_queue && message.has_uuid() => {
                Stamp::find(frame)
            }
            Ok(_) => None,
            Err(text) => {
                self.faults.push(text);
                return;
            }
        };
        let Some(stamp) = stamp else {
            self.faults.push(format!(
                "not a live private message: {}",
                String::from_utf8_lossy(frame)
            ));
            return;
        };
        match device.tracks.get_mut(usize::from(stamp.publisher)) {
            Some(track) if stamp.slot == device.user => track.arrive(stamp.sequence),
            Some(_) | None => {
                self.faults.push(format!(
                    "user {} got a message of user {}",
                    device.user, stamp.slot
                ));
                return;
            }
        };
        self.deliveries += 1;
        self.latency.record(clock::nanos().saturating_sub(stamp.nanos));
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for device in self.devices.values() {
            for (session, track) in device.tracks.iter().enumerate() {
                tally += track.verdict(sent_to(
                    self.writers.acknowledged_by(session),
                    self.args.users,
                    device.user,
                ));
            }
        }
        tally
    }
}

/// How many of the first `statements` of a session go to a user, who get theirs in turn.
fn sent_to(statements: u32, users: usize, user: u32) -> u32 {
    let users = u32::try_from(users).expect("users are numbered in 32 bits");
    statements / users + u32::from(statements % users > user)
}

fn statement(args: &PrivateArgs, session: usize, number: u32, text: &mut String) -> bool {
    let users = u32::try_from(args.users).expect("users are numbered in 32 bits");
    let user = number % users;
    text.push_str("INSERT INTO users_messages (id, event, message) VALUES (");
    text.push_str(&(user + 1).to_string());
    text.push_str(", 'bench', '");
    let publisher = u16::try_from(session).expect("far fewer sessions than 65,536");
    Stamp {
        publisher,
        sequence: number / users,
        slot: user,
        nanos: clock::nanos(),
    }
    .padded(args.body.max(STAMP_LEN), text);
    text.push_str("')");
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_go_round_the_users() {
        for statements in 0..20 {
            let each: Vec<u32> = (0..3).map(|user| sent_to(statements, 3, user)).collect();
            assert_eq!(each.iter().sum::<u32>(), statements);
            assert!(each.is_sorted_by(|a, b| a >= b && *a <= b + 1));
        }
    }
}
