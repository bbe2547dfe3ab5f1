//! The rate at which one or more sessions get `INSERT INTO pipes_messages` acknowledged: pipelined, then one statement
//! at a time.

use std::collections::HashMap;
use std::time::Duration;

use super::stage::{self, OPENING};
use super::writer::Writers;
use crate::args::PublishArgs;
use crate::clock;
use crate::failure::Failure;
use crate::net::{Event, Id, Net};
use crate::progress::Progress;
use crate::report::Round;
use crate::sequence::{Tally, Track};
use crate::server::Server;
use crate::stamp::{Finder, STAMP_LEN, Stamp};
use crate::ws::handshake::Identity;

const CHANNEL: &str = "bench_publish";
/// Nothing arriving for this long while something is owed means that it was lost.
const STALL: Duration = Duration::from_secs(5);

/// Every subscriber's view: one track per session.
type Subscribers = HashMap<Id, Vec<Track>>;

pub(crate) fn round(server: &Server, args: &PublishArgs, seconds: u64) -> Result<Round, Failure> {
    let mut round = Round::default();
    let mut net = Net::new()?;
    let mut control = server.client()?;
    let identities: Vec<Identity> = (0..args.subscribers)
        .map(|page| Identity::anonymous(stage::uuid_of(page)))
        .collect();
    let ids = stage::open_pages(&mut net, server.ws, &identities, OPENING, |_, _| {})?;
    let pages: Vec<(Id, String)> = ids.iter().map(|id| (*id, CHANNEL.to_owned())).collect();
    stage::subscribe(&mut net, &mut control, &pages)?;

    let pipelined = phase(&mut net, server, &ids, args, args.depth, seconds, &mut round)?;
    round.add("acknowledged_per_s", pipelined.rate, "INSERTs/s, pipelined");
    round.add(
        "answer_p50",
        pipelined.writers.latency.micros_at(50.0),
        "µs queued to OK, pipelined",
    );
    round.add("answer_p99", pipelined.writers.latency.micros_at(99.0), "µs");
    if let Some(cpu) = pipelined.cpu {
        round.add("cpu_per_insert", cpu * 1e6, "server CPU µs per INSERT");
    }
    let single = phase(&mut net, server, &ids, args, 1, seconds.div_ceil(2), &mut round)?;
    round.add(
        "round_trips_per_s",
        single.rate,
        "INSERTs/s, one at a time per session",
    );
    round.add("round_trip_p50", single.writers.latency.micros_at(50.0), "µs");
    round.add("round_trip_p99", single.writers.latency.micros_at(99.0), "µs");
    let mut tally = pipelined.tally();
    tally += single.tally();
    round.tally("subscribers", tally);
    Ok(round)
}

/// One measurement: so many statements under way for so long.
struct Phase {
    writers: Writers,
    subscribers: Subscribers,
    finder: Finder,
    deliveries: u64,
    last_progress: u64,
    rate: f64,
    /// Server CPU seconds per statement.
    cpu: Option<f64>,
    trouble: Option<String>,
}

fn phase(
    net: &mut Net,
    server: &Server,
    ids: &[Id],
    args: &PublishArgs,
    depth: usize,
    seconds: u64,
    round: &mut Round,
) -> Result<Phase, Failure> {
    let tracks = || (0..args.sessions).map(|_| Track::from_zero()).collect();
    let mut phase = Phase {
        writers: Writers::open(net, server, args.sessions, depth)?,
        subscribers: ids.iter().map(|id| (*id, tracks())).collect(),
        finder: Finder::default(),
        deliveries: 0,
        last_progress: clock::nanos(),
        rate: 0.0,
        cpu: None,
        trouble: None,
    };
    let mut progress = Progress::new(format!("publish, depth {depth}"));
    let begun = clock::nanos();
    let end = begun + clock::span(Duration::from_secs(seconds));
    let cpu_begun = server.cpu_seconds();
    while phase.trouble.is_none() {
        let now = clock::nanos();
        if now < end {
            phase.writers.fill(net, |session, number, text| {
                statement(session, number, args.body, text)
            });
        } else {
            let acknowledged = phase.writers.acknowledged();
            if phase.rate == 0.0 {
                phase.rate = acknowledged as f64 / clock::seconds(begun, now);
                let used = server
                    .cpu_seconds()
                    .zip(cpu_begun)
                    .map(|(after, before)| after - before);
                phase.cpu = used.map(|used| used / acknowledged.max(1) as f64);
            }
            let complete = phase.writers.is_idle() && phase.deliveries >= acknowledged * ids.len() as u64;
            if complete || now > phase.last_progress + clock::span(STALL) {
                break;
            }
        }
        net.turn(Duration::from_millis(20), |event| phase.handle(event))?;
        progress.tick(|| {
            format!(
                "{} acknowledged, {} deliveries",
                phase.writers.acknowledged(),
                phase.deliveries
            )
        });
    }
    round.faults.extend(phase.trouble.take());
    Ok(phase)
}

impl Phase {
    fn handle(&mut self, event: Event<'_>) {
        self.last_progress = clock::nanos();
        let wrong = match event {
            Event::Text(id, frame) => {
                let stamp = self.finder.find(frame);
                let tracks = self.subscribers.get_mut(&id);
                let track = stamp.zip(tracks).and_then(|(stamp, tracks)| {
                    tracks
                        .get_mut(usize::from(stamp.publisher))
                        .map(|track| track.arrive(stamp.sequence))
                });
                self.deliveries += 1;
                track
                    .is_none()
                    .then(|| format!("unexpected frame {}", String::from_utf8_lossy(frame)))
            }
            Event::Reply(id, reply) => self.writers.answered(id, &reply).err(),
            Event::Gone(_, reason) => Some(format!("a connection ended: {reason}")),
            Event::Ping(..) => None,
        };
        self.trouble = self.trouble.take().or(wrong);
    }

    fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for tracks in self.subscribers.values() {
            for (session, track) in tracks.iter().enumerate() {
                tally += track.verdict(self.writers.acknowledged_by(session));
            }
        }
        tally
    }
}

/// Writes statement `number` of a session; there always is one.
pub(super) fn statement(session: usize, number: u32, body: usize, text: &mut String) -> bool {
    text.push_str("INSERT INTO pipes_messages (name, event, message) VALUES ('");
    text.push_str(CHANNEL);
    text.push_str("', 'bench', '");
    let publisher = u16::try_from(session).expect("far fewer sessions than 65,536");
    Stamp {
        publisher,
        sequence: number,
        slot: 0,
        nanos: clock::nanos(),
    }
    .padded(body.max(STAMP_LEN), text);
    text.push_str("')");
    true
}
