//! Channels × subscribers: what is published reaches every subscriber once and in order; how fast, how late, at what cost.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::stage::{self, OPENING};
use crate::args::FanoutShape;
use crate::clock;
use crate::failure::Failure;
use crate::latency::Latency;
use crate::net::{Event, Id, Net};
use crate::progress::Progress;
use crate::report::Round;
use crate::sequence::{Arrival, Tally, Track};
use crate::server::Server;
use crate::sql::packet::Reply;
use crate::stamp::{Finder, STAMP_LEN, Stamp};
use crate::ws::handshake::Identity;

/// Caches, buffers and processor clocks settle before the measured window.
const WARM_UP: Duration = Duration::from_secs(1);
/// Nothing arriving for this long while something is under way means that it was lost.
const STALL: Duration = Duration::from_secs(5);

struct Subscriber {
    channel: usize,
    /// One per publisher.
    tracks: Vec<Track>,
}

struct Publisher {
    session: Id,
    next_channel: usize,
    /// How many messages went to each channel.
    sent: Vec<u32>,
    /// Slots whose statement is not answered yet, oldest first.
    unanswered: VecDeque<usize>,
}

/// A publish under way.
#[derive(Clone, Default)]
struct Slot {
    receivers: usize,
    answered: bool,
}

impl Slot {
    fn is_free(&self) -> bool {
        self.receivers == 0 && self.answered
    }
}

/// What is counted while the measured window is open.
struct Window {
    from: u64,
    to: u64,
    deliveries: u64,
    publishes: u64,
    latency: Latency,
}

struct Run<'a> {
    shape: &'a FanoutShape,
    subscribers: HashMap<Id, Subscriber>,
    publishers: Vec<Publisher>,
    slots: Vec<Slot>,
    window: Window,
    finder: Finder,
    deliveries: u64,
    last_progress: u64,
    faults: Vec<String>,
    statement: String,
}

/// One round against a server or the reference loop.
pub(crate) fn round(server: &Server, shape: &FanoutShape, seconds: u64) -> Result<Round, Failure> {
    let mut net = Net::new()?;
    let mut control = server.client()?;
    let identities: Vec<Identity> = (0..shape.channels * shape.subscribers)
        .map(|page| Identity::anonymous(stage::uuid_of(page)))
        .collect();
    let ids = stage::open_pages(&mut net, server.ws, &identities, OPENING, |_, _| {})?;
    let channel_of = |number: usize| number % shape.channels;
    let pages: Vec<(Id, String)> = ids
        .iter()
        .enumerate()
        .map(|(number, id)| (*id, channel_name(channel_of(number))))
        .collect();
    stage::subscribe(&mut net, &mut control, &pages)?;
    let mut publishers = Vec::new();
    for _ in 0..shape.publishers {
        publishers.push(Publisher {
            session: net.adopt(server.client()?)?,
            next_channel: publishers.len() % shape.channels,
            sent: vec![0; shape.channels],
            unanswered: VecDeque::new(),
        });
    }
    let subscriber = |number| Subscriber {
        channel: channel_of(number),
        tracks: (0..shape.publishers).map(|_| Track::from_zero()).collect(),
    };
    let now = clock::nanos();
    let from = now + clock::span(WARM_UP);
    let to = from + clock::span(Duration::from_secs(seconds));
    let run = Run {
        shape,
        subscribers: ids
            .iter()
            .enumerate()
            .map(|(number, id)| (*id, subscriber(number)))
            .collect(),
        publishers,
        slots: vec![
            Slot {
                receivers: 0,
                answered: true
            };
            shape.publishers * shape.in_flight
        ],
        window: Window {
            from,
            to,
            deliveries: 0,
            publishes: 0,
            latency: Latency::new(),
        },
        finder: Finder::default(),
        deliveries: 0,
        last_progress: now,
        faults: Vec::new(),
        statement: String::new(),
    };
    run.drive(&mut net, server)
}

fn channel_name(channel: usize) -> String {
    format!("bench_fanout_{channel}")
}

impl Run<'_> {
    fn drive(mut self, net: &mut Net, server: &Server) -> Result<Round, Failure> {
        let mut progress = Progress::new("fanout");
        let begun = clock::nanos();
        let mut cpu_at_start = None;
        let mut cpu_at_end = None;
        let mut due = begun;
        loop {
            let now = clock::nanos();
            if now >= self.window.from && cpu_at_start.is_none() {
                cpu_at_start = server.cpu_seconds().or(Some(f64::NAN));
            }
            if now < self.window.to {
                self.publish(net, now, &mut due);
            } else {
                if cpu_at_end.is_none() {
                    cpu_at_end = server.cpu_seconds().or(Some(f64::NAN));
                }
                if self.slots.iter().all(Slot::is_free) {
                    break;
                }
            }
            if now > self.last_progress + clock::span(STALL) && self.slots.iter().any(|slot| !slot.is_free())
            {
                break;
            }
            net.turn(self.wait(now, due), |event| self.handle(event))?;
            progress.tick(|| format!("{} deliveries", self.deliveries));
            if !self.faults.is_empty() {
                break;
            }
        }
        // Anything that comes now came twice.
        net.turn(Duration::from_millis(50), |event| self.handle(event))?;
        let cpu = cpu_at_end.unwrap_or(f64::NAN) - cpu_at_start.unwrap_or(f64::NAN);
        Ok(self.finish(cpu, server.rss_bytes()))
    }

    /// How long a turn may wait: epoll counts in milliseconds, so a nearer moment is met without waiting.
    fn wait(&self, now: u64, due: u64) -> Duration {
        let until = if self.shape.rate.is_some() {
            due.saturating_sub(now)
        } else {
            20_000_000
        };
        Duration::from_millis((until / 1_000_000).min(20))
    }

    fn publish(&mut self, net: &mut Net, now: u64, due: &mut u64) {
        for publisher in 0..self.publishers.len() {
            for way in 0..self.shape.in_flight {
                let slot = publisher * self.shape.in_flight + way;
                if !self.slots[slot].is_free() {
                    continue;
                }
                let nanos = match self.shape.rate {
                    None => now,
                    Some(_) if *due > now => return,
                    Some(rate) => {
                        let nanos = *due;
                        *due += (1e9 / rate) as u64;
                        nanos
                    }
                };
                self.publish_one(net, publisher, slot, nanos);
            }
        }
    }

    fn publish_one(&mut self, net: &mut Net, number: usize, slot: usize, nanos: u64) {
        let publisher = &mut self.publishers[number];
        let channel = publisher.next_channel;
        publisher.next_channel = (channel + 1) % self.shape.channels;
        let stamp = Stamp {
            publisher: u16::try_from(number).expect("far fewer sessions than 65,536"),
            sequence: publisher.sent[channel],
            slot: u32::try_from(slot).expect("far fewer publishes under way than 2^32"),
            nanos,
        };
        publisher.sent[channel] += 1;
        publisher.unanswered.push_back(slot);
        self.slots[slot] = Slot {
            receivers: self.shape.subscribers,
            answered: false,
        };
        self.statement.clear();
        self.statement
            .push_str("INSERT INTO pipes_messages (name, event, message) VALUES ('");
        self.statement.push_str(&channel_name(channel));
        self.statement.push_str("', 'bench', '");
        stamp.padded(self.shape.body.max(STAMP_LEN), &mut self.statement);
        self.statement.push_str("')");
        net.query(publisher.session, &self.statement);
    }

    fn handle(&mut self, event: Event<'_>) {
        match event {
            Event::Text(id, frame) => self.delivered(id, frame),
            Event::Ping(..) => {}
            Event::Reply(session, reply) => {
                let publisher = self
                    .publishers
                    .iter_mut()
                    .find(|publisher| publisher.session == session);
                let slot = publisher.and_then(|publisher| publisher.unanswered.pop_front());
                match (slot, reply) {
                    (Some(slot), Reply::Ok { .. }) => {
                        self.slots[slot].answered = true;
                        self.last_progress = clock::nanos();
                        if (self.window.from..self.window.to).contains(&self.last_progress) {
                            self.window.publishes += 1;
                        }
                    }
                    (_, other) => self.faults.push(format!("a publish was answered with {other:?}")),
                }
            }
            Event::Gone(_, reason) => self.faults.push(format!("a connection ended: {reason}")),
        }
    }

    fn delivered(&mut self, id: Id, frame: &[u8]) {
        let Some(stamp) = self.finder.find(frame) else {
            self.faults
                .push(format!("unexpected frame {}", String::from_utf8_lossy(frame)));
            return;
        };
        let track = self
            .subscribers
            .get_mut(&id)
            .and_then(|page| page.tracks.get_mut(usize::from(stamp.publisher)));
        let (Some(track), Some(slot)) = (track, self.slots.get_mut(stamp.slot as usize)) else {
            self.faults.push(format!(
                "a message nobody sent: {}",
                String::from_utf8_lossy(frame)
            ));
            return;
        };
        if track.arrive(stamp.sequence) != Arrival::Again {
            slot.receivers = slot.receivers.saturating_sub(1);
        }
        let now = clock::nanos();
        self.deliveries += 1;
        self.last_progress = now;
        if (self.window.from..self.window.to).contains(&now) {
            self.window.deliveries += 1;
            self.window.latency.record(now - stamp.nanos);
        }
    }

    fn finish(self, cpu: f64, rss: Option<f64>) -> Round {
        let mut round = Round::default();
        let Window {
            from,
            to,
            deliveries,
            publishes,
            latency,
        } = self.window;
        round.add(
            "deliveries_per_s",
            deliveries as f64 / clock::seconds(from, to),
            "deliveries/s",
        );
        round.add(
            "publishes_per_s",
            publishes as f64 / clock::seconds(from, to),
            "publishes/s",
        );
        round.add("latency_p50", latency.micros_at(50.0), "µs publish to receive");
        round.add("latency_p99", latency.micros_at(99.0), "µs");
        round.add("latency_p99.9", latency.micros_at(99.9), "µs");
        if cpu.is_finite() && deliveries > 0 {
            round.add(
                "cpu_per_million",
                cpu * 1e6 / deliveries as f64,
                "server CPU s per million deliveries",
            );
        }
        round.add_known("server_rss", rss.map(|bytes| bytes / 1024.0), "KiB");
        let mut tally = Tally::default();
        for subscriber in self.subscribers.values() {
            for (publisher, track) in self.publishers.iter().zip(&subscriber.tracks) {
                tally += track.verdict(publisher.sent[subscriber.channel]);
            }
        }
        round.tally("fan-out", tally);
        round.faults.extend(self.faults);
        round
    }
}
