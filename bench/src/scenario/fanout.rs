//! Channels × subscribers: what is published reaches every subscriber once and in order; how fast, how late, at what cost.

use std::collections::VecDeque;
use std::time::Duration;

use super::stage::{self, OPENING};
use super::window::Window;
use crate::args::FanoutShape;
use crate::clock;
use crate::failure::Failure;
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

struct Publisher {
    session: Id,
    next_channel: usize,
    /// How many messages went to each channel.
    sent: Vec<u32>,
    /// Slots whose statement is not answered yet, oldest first.
    unanswered: VecDeque<usize>,
}

/// A publish under way; slot `n` belongs to session `n % publishers`.
#[derive(Clone)]
struct Slot {
    receivers: usize,
    answered: bool,
}

impl Slot {
    const FREE: Self = Self {
        receivers: 0,
        answered: true,
    };

    fn is_free(&self) -> bool {
        self.receivers == 0 && self.answered
    }
}

struct Run<'a> {
    shape: &'a FanoutShape,
    pages: usize,
    /// What each page saw of each publisher: page `n`'s are at `n * publishers`. The pages' ids count from 0, so a
    /// delivery finds its track without a look-up.
    tracks: Vec<Track>,
    publishers: Vec<Publisher>,
    slots: Vec<Slot>,
    /// With a rate: when the next publish is due.
    due: u64,
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
    let pages = open_subscribers(&mut net, server, shape)?;
    let mut publishers = Vec::new();
    for number in 0..shape.publishers {
        publishers.push(Publisher {
            session: net.adopt(server.client()?)?,
            next_channel: number % shape.channels,
            sent: vec![0; shape.channels],
            unanswered: VecDeque::new(),
        });
    }
    let now = clock::nanos();
    let from = now + clock::span(WARM_UP);
    let to = from + clock::span(Duration::from_secs(seconds));
    let run = Run {
        shape,
        pages,
        tracks: (0..pages * shape.publishers)
            .map(|_| Track::from_zero())
            .collect(),
        publishers,
        slots: vec![Slot::FREE; shape.publishers * shape.in_flight],
        due: now,
        window: Window::new(from, to),
        finder: Finder::default(),
        deliveries: 0,
        last_progress: now,
        faults: Vec::new(),
        statement: String::new(),
    };
    run.drive(&mut net, server)
}

/// Opens the pages, each subscribed to its channel; their ids are the numbers from 0 to what is returned.
fn open_subscribers(net: &mut Net, server: &Server, shape: &FanoutShape) -> Result<usize, Failure> {
    let mut control = server.client()?;
    let identities: Vec<Identity> = (0..shape.channels * shape.subscribers)
        .map(|page| Identity::anonymous(stage::uuid_of(page)))
        .collect();
    let ids = stage::open_pages(net, server.ws, &identities, OPENING, |_, _| {})?;
    if ids.iter().enumerate().any(|(number, id)| id.0 != number) {
        return Err(Failure::told("the ids of the pages are not the first ones"));
    }
    let pages: Vec<(Id, String)> = ids
        .iter()
        .map(|id| (*id, channel_name(id.0 % shape.channels)))
        .collect();
    stage::subscribe(net, &mut control, &pages)?;
    Ok(pages.len())
}

fn channel_name(channel: usize) -> String {
    format!("bench_fanout_{channel}")
}

impl Run<'_> {
    fn drive(mut self, net: &mut Net, server: &Server) -> Result<Round, Failure> {
        let mut progress = Progress::new("fanout");
        loop {
            let now = clock::nanos();
            let open = self.window.is_open(now, server);
            if open {
                self.publish(net, now);
            }
            let under_way = self.slots.iter().any(|slot| !slot.is_free());
            let stalled = under_way && now > self.last_progress + clock::span(STALL);
            if stalled || !(open || under_way) || !self.faults.is_empty() {
                break;
            }
            net.turn(self.wait(now), |event| self.handle(event))?;
            progress.tick(|| format!("{} deliveries", self.deliveries));
        }
        // Anything that comes now came twice.
        net.turn(Duration::from_millis(50), |event| self.handle(event))?;
        Ok(self.finish(server.rss_bytes()))
    }

    /// How long a turn may wait: epoll counts in milliseconds, so a nearer moment is met without waiting.
    fn wait(&self, now: u64) -> Duration {
        let until = match self.shape.rate {
            Some(_) => self.due.saturating_sub(now),
            None => 20_000_000,
        };
        Duration::from_millis((until / 1_000_000).min(20))
    }

    /// Queues everything that may leave now; the next turn writes it, one write per session.
    fn publish(&mut self, net: &mut Net, now: u64) {
        for slot in 0..self.slots.len() {
            if !self.slots[slot].is_free() {
                continue;
            }
            let due = match self.shape.rate {
                None => now,
                Some(_) if self.due > now => return,
                Some(rate) => {
                    let due = self.due;
                    self.due += (1e9 / rate) as u64;
                    due
                }
            };
            self.publish_one(net, slot, due);
        }
    }

    fn publish_one(&mut self, net: &mut Net, slot: usize, nanos: u64) {
        let number = slot % self.publishers.len();
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
            Event::Reply(session, reply) => self.answered(session, &reply),
            Event::Gone(_, reason) => self.faults.push(format!("a connection ended: {reason}")),
        }
    }

    fn answered(&mut self, session: Id, reply: &Reply) {
        let publisher = self
            .publishers
            .iter_mut()
            .find(|publisher| publisher.session == session);
        let slot = publisher.and_then(|publisher| publisher.unanswered.pop_front());
        match (slot, reply) {
            (Some(slot), Reply::Ok { .. }) => {
                self.slots[slot].answered = true;
                self.last_progress = clock::nanos();
                self.window.published(self.last_progress);
            }
            (_, other) => self.faults.push(format!("a publish was answered with {other:?}")),
        }
    }

    fn delivered(&mut self, id: Id, frame: &[u8]) {
        let Some(stamp) = self.finder.find(frame) else {
            self.faults
                .push(format!("unexpected frame {}", String::from_utf8_lossy(frame)));
            return;
        };
        let publisher = usize::from(stamp.publisher);
        let known = publisher < self.publishers.len();
        let track = self.tracks.get_mut(id.0 * self.publishers.len() + publisher);
        let slot = self.slots.get_mut(stamp.slot as usize);
        let (true, Some(track), Some(slot)) = (known, track, slot) else {
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
        self.window.delivered(now, stamp.nanos);
    }

    fn finish(self, rss: Option<f64>) -> Round {
        let mut round = Round::default();
        self.window.report(&mut round);
        round.add_known("server_rss", rss.map(|bytes| bytes / 1024.0), "KiB");
        let mut tally = Tally::default();
        for page in 0..self.pages {
            let channel = page % self.shape.channels;
            let tracks = &self.tracks[page * self.publishers.len()..];
            for (publisher, track) in self.publishers.iter().zip(tracks) {
                tally += track.verdict(publisher.sent[channel]);
            }
        }
        round.tally("fan-out", tally);
        round.faults.extend(self.faults);
        round
    }
}
