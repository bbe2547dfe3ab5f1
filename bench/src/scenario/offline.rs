//! Messages for users who are away, then everybody comes: each gets all of his, once and in order (S10, Q31), also when
//! the server was killed between accepting and delivering (protocol.md 5.1, Appendix B).

use std::time::Duration;

use super::share::Share;
use super::stage::{self, OPENING};
use super::writer::Writers;
use crate::args::OfflineArgs;
use crate::clock;
use crate::failure::Failure;
use crate::net::{Event, Id, Net};
use crate::progress::Progress;
use crate::report::Round;
use crate::sequence::{Tally, Track};
use crate::server::Server;
use crate::sql::packet;
use crate::stamp::{self, Stamp};
use crate::ws::handshake::Identity;
use crate::ws::message::Message;

/// Nothing arriving for this long while something is owed means that it was lost.
const STALL: Duration = Duration::from_secs(10);
/// Every page has answered its Ping long before.
const PAID_WITHIN: Duration = Duration::from_secs(15);
/// How long a second visit waits for messages that should not come.
const SECOND_VISIT: Duration = Duration::from_millis(500);

/// How many messages a user must and may get.
#[derive(Clone, Copy)]
pub(super) struct Debt {
    pub(super) acknowledged: u32,
    pub(super) sent: u32,
}

pub(crate) fn round(server: &mut Server, args: &OfflineArgs) -> Result<Round, Failure> {
    let mut round = Round::default();
    let users: Vec<u32> = (1..).take(args.users).collect();
    let mut control = server.client()?;
    stage::register_users(&mut control, users.iter().copied())?;
    stage::forget_queues(&mut control, &users)?;
    drop(control);

    let debts = insert(server, args, &mut round)?;
    if args.restart {
        round.add(
            "restart_seconds",
            server.restart()?,
            "s until the killed server answered again",
        );
    }
    let mut control = server.client()?;
    let rss = server.rss_bytes();
    let mut net = Net::new()?;
    let identities: Vec<Identity> = users
        .iter()
        .map(|user| Identity {
            user: *user,
            key: stage::key_of(*user),
            uuid: stage::uuid_of(*user as usize),
        })
        .collect();
    let mut drain = Drain::new(args.users);
    let ids = drain.collect(&mut net, server, &identities, &debts)?;
    drain.report(&mut round, &debts);
    round.add_known(
        "server_rss",
        rss.map(|bytes| bytes / 1024.0),
        "KiB with full queues",
    );

    let left = stage::wait_until_paid(&mut net, &mut control, &users, PAID_WITHIN, |_, _| {})?;
    round.add("left_in_queues", left as f64, "messages after all Pongs");
    if left > 0 {
        round.fault(format!(
            "{left} messages are still owed although every page has acknowledged"
        ));
    }
    for id in ids {
        net.drop_socket(id);
    }
    second_visit(&mut net, server, &identities, &mut round)?;
    Ok(round)
}

/// Inserts everything, or with `--restart` about half of it before the server is killed under the sessions.
pub(super) fn insert(
    server: &mut Server,
    args: &OfflineArgs,
    round: &mut Round,
) -> Result<Vec<Debt>, Failure> {
    let mut net = Net::new()?;
    let mut writers = Writers::open(&mut net, server, args.sessions, args.depth)?;
    let total = (args.users * args.messages) as u64;
    let mut progress = Progress::new("insert for offline users");
    let begun = clock::nanos();
    let enough = if args.restart { total / 2 } else { total };
    while writers.acknowledged() < enough {
        writers.fill(&mut net, |session, number, text| {
            statement(args, session, number, text)
        });
        let mut trouble = None;
        net.turn(Duration::from_millis(100), |event| match event {
            Event::Reply(id, reply) => {
                trouble = trouble.take().or_else(|| writers.answered(id, &reply).err())
            }
            Event::Gone(_, reason) => trouble = Some(format!("a session ended: {reason}")),
            Event::Text(..) | Event::Ping(..) => {}
        })?;
        if let Some(text) = trouble {
            return Err(Failure::told(text));
        }
        progress.tick(|| format!("{} of {total}", writers.acknowledged()));
    }
    if args.restart {
        server.kill()?;
    }
    // What the killed server had acknowledged may still be on the way to us, and counts: read until it ends.
    let mut open = if args.restart { args.sessions } else { 0 };
    while open > 0 {
        net.turn(Duration::from_millis(100), |event| match event {
            Event::Reply(id, reply) => round.faults.extend(writers.answered(id, &reply).err()),
            Event::Gone(..) => open -= 1,
            Event::Text(..) | Event::Ping(..) => {}
        })?;
    }
    let lasted = clock::seconds(begun, clock::nanos());
    round.add(
        "inserted_per_s",
        writers.acknowledged() as f64 / lasted,
        "acknowledged INSERTs/s",
    );
    round.add("answer_p99", writers.latency.micros_at(99.0), "µs queued to OK");
    round.add("acknowledged", writers.acknowledged() as f64, "messages");
    Ok((0..args.users)
        .map(|user| {
            let share = share(args);
            let session = share.session_of(user);
            Debt {
                acknowledged: share.numbered_for(user, writers.acknowledged_by(session)),
                sent: share.numbered_for(user, writers.sent_by(session)),
            }
        })
        .collect())
}

fn share(args: &OfflineArgs) -> Share {
    Share {
        users: args.users,
        sessions: args.sessions,
    }
}

fn statement(args: &OfflineArgs, session: usize, number: u32, text: &mut String) -> bool {
    let Some((user, sequence)) = share(args).target(session, number) else {
        return false;
    };
    if sequence as usize >= args.messages {
        return false;
    }
    text.push_str("INSERT INTO users_messages (id, event, message) VALUES (");
    text.push_str(&(user + 1).to_string());
    text.push_str(", 'bench', ");
    let publisher = u16::try_from(session).expect("far fewer sessions than 65,536");
    let slot = u32::try_from(user).expect("users are numbered in 32 bits");
    let stamp = Stamp {
        publisher,
        sequence,
        slot,
        nanos: 0,
    };
    packet::quoted(&stamp::body(stamp), text);
    text.push(')');
    true
}

/// The number of a message that may be what a user is owed; else what is wrong with it.
pub(super) fn queued_message(user: usize, frame: &[u8]) -> Result<u32, String> {
    let message = Message::parse(frame)?;
    let text = message.text().map(stamp::decode_data).unwrap_or_default();
    let stamp = Stamp::find(text.as_bytes()).filter(|stamp| stamp.slot as usize == user);
    let is_queued = message.is_private() && message.from_queue && message.has_uuid();
    match stamp {
        Some(stamp) if is_queued && text == stamp::body(stamp) => Ok(stamp.sequence),
        Some(_) | None => Err(format!(
            "user {} got a wrong frame: {}",
            user + 1,
            String::from_utf8_lossy(frame)
        )),
    }
}

/// What the users received.
struct Drain {
    tracks: Vec<Track>,
    received: u64,
    first: u64,
    last: u64,
    faults: Vec<String>,
}

impl Drain {
    fn new(users: usize) -> Self {
        let now = clock::nanos();
        let tracks = (0..users).map(|_| Track::from_zero()).collect();
        Self {
            tracks,
            received: 0,
            first: now,
            last: now,
            faults: Vec::new(),
        }
    }

    /// Connects everybody and receives until all is there or nothing comes any more.
    fn collect(
        &mut self,
        net: &mut Net,
        server: &Server,
        identities: &[Identity],
        debts: &[Debt],
    ) -> Result<Vec<Id>, Failure> {
        let owed: u64 = debts.iter().map(|debt| u64::from(debt.acknowledged)).sum();
        self.first = clock::nanos();
        let ids = stage::open_pages(net, server.ws, identities, OPENING, |user, frame| {
            self.receive(user, frame)
        })?;
        let users: std::collections::HashMap<Id, usize> =
            ids.iter().enumerate().map(|(user, id)| (*id, user)).collect();
        let mut progress = Progress::new("drain");
        self.last = clock::nanos();
        while self.received < owed && clock::nanos() < self.last + clock::span(STALL) {
            net.turn(Duration::from_millis(100), |event| match event {
                Event::Text(id, frame) => match users.get(&id) {
                    Some(user) => self.receive(*user, frame),
                    None => self.faults.push("a frame on an unknown page".into()),
                },
                Event::Gone(_, reason) => self.faults.push(format!("a page ended: {reason}")),
                Event::Ping(..) | Event::Reply(..) => {}
            })?;
            progress.tick(|| format!("{} of {owed}", self.received));
        }
        // Messages sent but never acknowledged may be there as well; give them their moment.
        stage::linger(net, SECOND_VISIT, |id, frame| {
            if let Some(user) = users.get(&id) {
                let last = self.last;
                self.receive(*user, frame);
                self.last = last;
            }
        })?;
        Ok(ids)
    }

    fn receive(&mut self, user: usize, frame: &[u8]) {
        match queued_message(user, frame) {
            Ok(sequence) => {
                self.tracks[user].arrive(sequence);
                self.received += 1;
                self.last = clock::nanos();
            }
            Err(text) => self.faults.push(text),
        }
    }

    fn report(&mut self, round: &mut Round, debts: &[Debt]) {
        let lasted = clock::seconds(self.first, self.last);
        round.add("drained", self.received as f64, "messages");
        round.add(
            "drained_per_s",
            self.received as f64 / lasted,
            "messages/s, connecting included",
        );
        let mut tally = Tally::default();
        for (user, (track, debt)) in self.tracks.iter().zip(debts).enumerate() {
            tally += track.verdict(debt.acknowledged);
            if track.verdict(debt.sent + 1).lost == 0 {
                round.fault(format!("user {} got more messages than were sent", user + 1));
            }
        }
        round.tally("queued messages", tally);
        round.faults.append(&mut self.faults);
    }
}

/// Everybody comes again and must get nothing.
fn second_visit(
    net: &mut Net,
    server: &Server,
    identities: &[Identity],
    round: &mut Round,
) -> Result<(), Failure> {
    let mut again = 0_u64;
    stage::open_pages(net, server.ws, identities, OPENING, |_, _| again += 1)?;
    stage::linger(net, SECOND_VISIT, |_, _| again += 1)?;
    round.add(
        "second_visit",
        again as f64,
        "messages delivered again to acknowledged users",
    );
    if again > 0 {
        round.fault(format!(
            "{again} messages came again after they had been acknowledged"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_user_is_sent_his_messages_in_order() {
        let args = OfflineArgs {
            users: 7,
            messages: 3,
            sessions: 3,
            depth: 1,
            restart: false,
        };
        let mut counts = [0_u32; 7];
        for session in 0..3 {
            let mut number = 0;
            let mut text = String::new();
            while statement(&args, session, number, &mut text) {
                let stamp = Stamp::find(text.as_bytes()).unwrap();
                assert_eq!(stamp.sequence, counts[stamp.slot as usize]);
                counts[stamp.slot as usize] += 1;
                number += 1;
                text.clear();
            }
        }
        assert_eq!(counts, [3; 7]);
    }
}
