//! One page of the mixed load: what it has to see in its channels, the reports on what it sends, and when it asks,
//! sends and reloads. Private messages are judged by `inbox`.

use std::collections::HashMap;

use super::inbox::Inbox;
use super::ledger::Ledger;
use super::plan::{Dice, Plan};
use crate::clock;
use crate::latency::Latency;
use crate::net::{Id, Net};
use crate::scenario::stage;
use crate::sequence::{Tally, Track};
use crate::stamp::{self, Stamp};
use crate::ws::message::Message;

/// Pauses and lives in milliseconds.
const AWAY: [u64; 2] = [30, 2000];
const LIFE: [u64; 2] = [500, 8000];
/// How long some pages hang before they reload, so that they have received what they never acknowledge.
const HANGING: [u64; 2] = [20, 400];
const BETWEEN_QUESTIONS: [u64; 2] = [300, 1500];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Comes back at this moment.
    Away(u64),
    /// Waits for F1.
    Opening,
    /// Has subscribed and waits for the answer that proves it.
    Subscribing,
    Here,
}

#[derive(Debug)]
pub(super) struct Page {
    pub(super) number: usize,
    state: State,
    socket: Option<Id>,
    /// When this life ends, for pages that reload.
    ends: u64,
    /// When it stops answering Pings before that, if it does.
    hangs: Option<u64>,
    /// It has stopped answering, so it must reload before `ack_timeout` even when everybody else stays.
    hanging: bool,
    next_question: u64,
    question_open: bool,
    next_message: u64,
    /// By channel and publisher, of this life.
    tracks: HashMap<(usize, u16), Track>,
    pub(super) inbox: Inbox,
    /// Messages sent whose report F9 has not come.
    pub(super) unreported: u32,
    tally: Tally,
    pub(super) deliveries: u64,
    pub(super) reloads: u64,
}

/// What a page needs to know and where it writes down what it finds.
pub(super) struct World<'a> {
    pub(super) plan: &'a Plan,
    pub(super) ledger: &'a mut Ledger,
    pub(super) dice: &'a mut Dice,
    pub(super) latency: &'a mut Latency,
    /// False while everybody gathers at the beginning and the end.
    pub(super) restless: bool,
    /// Nanoseconds between two messages of a page that sends.
    pub(super) pace: u64,
}

impl Page {
    pub(super) fn new(number: usize) -> Self {
        Self {
            number,
            state: State::Away(0),
            socket: None,
            ends: 0,
            hangs: None,
            hanging: false,
            next_question: 0,
            question_open: false,
            next_message: 0,
            tracks: HashMap::new(),
            inbox: Inbox::default(),
            unreported: 0,
            tally: Tally::default(),
            deliveries: 0,
            reloads: 0,
        }
    }

    pub(super) fn is_here(&self) -> bool {
        self.state == State::Here
    }

    pub(super) fn is_away(&self) -> bool {
        matches!(self.state, State::Away(_))
    }

    /// The socket just opened for this page.
    pub(super) fn opening(&mut self, socket: Id) {
        self.state = State::Opening;
        self.socket = Some(socket);
    }

    /// Whether an absent page should come back now.
    pub(super) fn wants_to_come(&self, now: u64) -> bool {
        matches!(self.state, State::Away(until) if until <= now)
    }

    /// Does what is due. Returns the socket it gave up, if it left.
    pub(super) fn act(&mut self, now: u64, net: &mut Net, world: &mut World<'_>) -> Option<Id> {
        let socket = self.socket?;
        if self.state != State::Here {
            return None;
        }
        let plan = &world.plan.pages[self.number];
        if plan.reloads && (world.restless || self.hanging) && now >= self.ends {
            // Half of the reloads announce themselves, half are a process that dies.
            if world.dice.below(2) == 0 {
                net.leave(socket)
            } else {
                net.drop_socket(socket)
            }
            self.reloads += 1;
            let until = now + world.dice.millis(AWAY[0], AWAY[1]);
            self.gone(until, world.plan, world.ledger);
            return Some(socket);
        }
        if world.restless && self.hangs.take_if(|hangs| *hangs <= now).is_some() {
            self.hanging = true;
            net.hang(socket);
        }
        if now >= self.next_question && !self.question_open {
            self.next_question = now + world.dice.millis(BETWEEN_QUESTIONS[0], BETWEEN_QUESTIONS[1]);
            self.question_open = true;
            self.inbox.asked();
            net.send(socket, "user_data\nasked\n1");
        }
        if let Some(channel) = plan
            .sends_to
            .filter(|_| world.restless && now >= self.next_message)
        {
            self.next_message = now + world.pace / 2 + world.dice.below(world.pace);
            self.send(channel, now, socket, net, world);
        }
        None
    }

    fn send(&mut self, channel: usize, nanos: u64, socket: Id, net: &mut Net, world: &mut World<'_>) {
        let publisher = world.plan.publisher_of(self.number);
        let sequence = world.ledger.channel(channel, usize::from(publisher)).next();
        let slot = u32::try_from(channel).expect("there are few channels");
        let body = stamp::body(Stamp {
            publisher,
            sequence,
            slot,
            nanos,
        });
        let name = &world.plan.channels[channel];
        net.send(socket, &format!("web_pipe2\n{name}\nmix\n*\n{body}"));
        self.unreported += 1;
    }

    /// The connection is over; the page comes back at `until`.
    pub(super) fn gone(&mut self, until: u64, plan: &Plan, ledger: &Ledger) {
        let user = plan.pages[self.number].identity.user;
        let sessions = if user == 0 { 0 } else { plan.sessions };
        self.inbox
            .end((0..sessions).map(|session| ledger.private_acknowledged(session, user)));
        self.state = State::Away(until);
        self.socket = None;
        self.question_open = false;
        self.hanging = false;
        self.unreported = 0;
        for (_, track) in self.tracks.drain() {
            self.tally += track.so_far();
        }
    }

    pub(super) fn pinged(&mut self, payload: &[u8]) {
        // An empty Ping is keep-alive and acknowledges nothing.
        if !payload.is_empty() {
            self.inbox.ponged();
        }
    }

    /// Takes a frame; the error is what is wrong with it.
    pub(super) fn receive(
        &mut self,
        frame: &[u8],
        opened: &mut Vec<Id>,
        world: &mut World<'_>,
    ) -> Result<(), String> {
        let message = Message::parse(frame)?;
        let number = self.number;
        let wrong = |what: &str| {
            Err(format!(
                "page {number}: {what}: {}",
                String::from_utf8_lossy(frame)
            ))
        };
        if self.state == State::Opening {
            let user = world.plan.pages[self.number].identity.user;
            if !message.is_server_info() || message.authorized != (user != 0) {
                return wrong("not the expected F1");
            }
            let ledger = &world.ledger;
            let sessions = if user == 0 { 0 } else { world.plan.sessions };
            self.inbox
                .begin((0..sessions).map(|session| ledger.private_sent(session, user)));
            self.state = State::Subscribing;
            opened.extend(self.socket);
            return Ok(());
        }
        if message.is_private() {
            return self.private(&message, world).or_else(|what| wrong(&what));
        }
        if message.is_error() {
            return wrong("a command was refused");
        }
        match message.marker.as_deref() {
            Some("subscribed") => self.subscribed(world),
            Some("asked") => {
                self.question_open = false;
                self.inbox.answered();
            }
            Some(_) => return wrong("an answer nobody asked for"),
            None if message.pipe.starts_with("_answer_to_") => {
                let receivers = message
                    .data
                    .get("number_messages")
                    .and_then(serde_json::Value::as_i64);
                if self.unreported == 0 || receivers.is_none_or(|receivers| receivers < 0) {
                    return wrong("a wrong report");
                }
                self.unreported -= 1;
            }
            None => return self.channel(&message, world).or_else(|what| wrong(&what)),
        }
        Ok(())
    }

    /// The commands after F1: subscribe, and a question whose answer proves that the subscription holds.
    pub(super) fn subscribe(&self, plan: &Plan, net: &mut Net) {
        let Some(socket) = self.socket else { return };
        let names: Vec<&str> = plan.pages[self.number]
            .channels
            .iter()
            .map(|channel| plan.channels[*channel].as_str())
            .collect();
        net.send(socket, &format!("subscription\n{}", names.join("\n")));
        net.send(socket, "user_data\nsubscribed\n1");
    }

    fn subscribed(&mut self, world: &mut World<'_>) {
        let now = clock::nanos();
        self.state = State::Here;
        self.ends = now + world.dice.millis(LIFE[0], LIFE[1]);
        let hangs = world.plan.pages[self.number].reloads && world.dice.below(3) == 0;
        self.hangs = hangs.then(|| {
            self.ends
                .saturating_sub(world.dice.millis(HANGING[0], HANGING[1]))
        });
        self.next_question = now + world.dice.millis(BETWEEN_QUESTIONS[0], BETWEEN_QUESTIONS[1]);
        self.next_message = now + world.dice.below(world.pace);
        let own = world.plan.publisher_of(self.number);
        for &channel in &world.plan.pages[self.number].channels {
            for (publisher, sent) in world
                .ledger
                .sent_to(channel)
                .filter(|(publisher, _)| *publisher != own)
            {
                // A stream of which something came already was joined earlier than this.
                self.tracks
                    .entry((channel, publisher))
                    .or_insert_with(|| Track::joined(sent));
            }
        }
    }

    fn channel(&mut self, message: &Message<'_>, world: &mut World<'_>) -> Result<(), String> {
        let stamp = stamped(message)?;
        let channel = stamp.slot as usize;
        if world.plan.channels.get(channel).map(String::as_str) != Some(message.pipe.as_ref()) {
            return Err("the message belongs to another channel".into());
        }
        if !world.plan.pages[self.number].channels.contains(&channel) {
            return Err("not subscribed to this channel".into());
        }
        let sender = world.plan.page_of(stamp.publisher);
        if message.user_id != sender.map(|page| i64::from(page.identity.user)) {
            return Err("wrong sender (S46, S51)".into());
        }
        if stamp.publisher == world.plan.publisher_of(self.number) {
            return Err("the page's own message (Q58)".into());
        }
        self.tracks
            .entry((channel, stamp.publisher))
            .or_insert_with(|| Track::joined(u32::MAX))
            .arrive(stamp.sequence);
        self.deliveries += 1;
        world.latency.record(clock::nanos().saturating_sub(stamp.nanos));
        Ok(())
    }

    fn private(&mut self, message: &Message<'_>, world: &mut World<'_>) -> Result<(), String> {
        let stamp = stamped(message)?;
        let user = world.plan.pages[self.number].identity.user;
        if stamp.slot != user || user == 0 {
            return Err("another user's message (S15)".into());
        }
        let uuid = message
            .uuid
            .as_deref()
            .and_then(parse_uuid)
            .ok_or("no uuid of 36 characters")?;
        let session = usize::from(stamp.publisher);
        if session >= world.plan.sessions || stamp.sequence >= world.ledger.private_sent(session, user) {
            return Err("a message nobody sent".into());
        }
        self.inbox
            .receive(uuid, session, stamp.sequence, message.from_queue);
        world.ledger.reached(session, user, stamp.sequence);
        self.deliveries += 1;
        if !message.from_queue {
            world.latency.record(clock::nanos().saturating_sub(stamp.nanos));
        }
        Ok(())
    }

    /// The page's part of the verdict at the end of the run, when everything should have come.
    pub(super) fn finish(&mut self, plan: &Plan, ledger: &Ledger) -> Tally {
        let mut tally = self.tally;
        for ((channel, publisher), track) in &self.tracks {
            let sent = ledger
                .sent_to(*channel)
                .nth(usize::from(*publisher))
                .map_or(0, |(_, sent)| sent);
            tally += track.verdict(sent);
        }
        let user = plan.pages[self.number].identity.user;
        if user != 0 {
            self.inbox
                .finish((0..plan.sessions).map(|session| ledger.private_sent(session, user)));
        }
        tally += self.inbox.tally();
        tally
    }

    /// The page's part of the verdict when the last messages may rightly be missing.
    pub(super) fn judged_so_far(&self) -> Tally {
        let mut tally = self.tally;
        for track in self.tracks.values() {
            tally += track.so_far();
        }
        tally += self.inbox.tally();
        tally
    }

    pub(super) fn describe(&self, plan: &Plan) -> String {
        let page = &plan.pages[self.number];
        let kind = if page.reloads { "reloads" } else { "stays" };
        format!(
            "page {} of user {} ({kind}, {})",
            self.number,
            page.identity.user,
            stage::uuid_of(self.number)
        )
    }
}

/// The stamp of a message whose body is exactly what was sent (S28, S29).
fn stamped(message: &Message<'_>) -> Result<Stamp, String> {
    let data = message.text().ok_or("data is not a string")?;
    let body = stamp::decode_data(data);
    let stamp = Stamp::find(body.as_bytes()).ok_or("no stamp in the body")?;
    if body == stamp::body(stamp) {
        Ok(stamp)
    } else {
        Err("the body was changed on its way".into())
    }
}

/// 36 characters, of which 32 are hexadecimal digits.
fn parse_uuid(text: &str) -> Option<u128> {
    (text.len() == 36)
        .then(|| u128::from_str_radix(&text.replace('-', ""), 16).ok())
        .flatten()
}
