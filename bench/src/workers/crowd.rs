//! The pages of one worker: who is open, who waits, what each received and whether that was right. Knows no orders of
//! magnitude and no verdict of the whole run.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::inbox::{self, Inbox};
use super::news::News;
use super::room::{self, Room};
use super::{Order, own_channel, room_name};
use crate::args::scale::WorkerArgs;
use crate::clock;
use crate::failure::Failure;
use crate::net::{Event, Id, Net};
use crate::proc;
use crate::scenario::share::Share;
use crate::scenario::stage;
use crate::stamp::Stamp;
use crate::ws::message::Message;

/// So many texts of each kind are told; the counters know the rest.
const TEXTS: usize = 3;
/// The question every page is asked; its marker comes back in F12.
const QUESTION: &str = "user_data\nalive\n1";
const ANSWER: &str = "alive";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Closed,
    /// Connecting, or waiting for F1.
    Opening(Id),
    Open(Id),
}

/// About a hundred bytes with everything a page has to remember.
#[derive(Debug, Clone, Default)]
struct Page {
    state: State,
    /// Asked and not answered yet.
    asked: bool,
    inbox: Inbox,
    room: Room,
}

pub(super) struct Crowd<'a> {
    args: &'a WorkerArgs,
    server: SocketAddr,
    pages: Vec<Page>,
    /// The page of each socket, by the number of its id.
    owners: Vec<u32>,
    /// Pages that should open.
    waiting: VecDeque<u32>,
    opening: usize,
    /// Pages whose F1 has come and which have not said yet what they want.
    opened: Vec<u32>,
    inbox: inbox::Verdict,
    room: room::Verdict,
    news: News,
}

impl<'a> Crowd<'a> {
    pub(super) fn new(args: &'a WorkerArgs, server: SocketAddr) -> Self {
        Self {
            args,
            server,
            pages: vec![Page::default(); args.count],
            owners: Vec::new(),
            waiting: VecDeque::new(),
            opening: 0,
            opened: Vec::new(),
            inbox: inbox::Verdict::default(),
            room: room::Verdict::default(),
            news: News::default(),
        }
    }

    pub(super) fn execute(&mut self, order: &Order, net: &mut Net) {
        match order {
            Order::Open => {
                let pages = (0..).zip(&self.pages);
                self.waiting = pages
                    .filter(|(_, page)| page.state == State::Closed)
                    .map(|(local, _)| local)
                    .collect();
            }
            Order::Drop => self.drop_all(net),
            Order::Ask => self.ask(net),
            Order::Judge { sessions, rooms } => self.judge(sessions, rooms),
        }
        self.news.done += 1;
    }

    fn drop_all(&mut self, net: &mut Net) {
        self.waiting.clear();
        self.opened.clear();
        self.opening = 0;
        self.news.open = 0;
        for page in &mut self.pages {
            match std::mem::take(&mut page.state) {
                State::Open(id) | State::Opening(id) => net.drop_socket(id),
                State::Closed => {}
            }
            page.end_life();
        }
    }

    fn ask(&mut self, net: &mut Net) {
        self.news.answers = 0;
        for page in &mut self.pages {
            if let State::Open(id) = page.state {
                page.asked = true;
                page.inbox.ask();
                net.send(id, QUESTION);
            }
        }
    }

    /// Everything sent has had its time: what is missing is lost. `sessions` and `rooms` tell how much was acknowledged.
    fn judge(&mut self, sessions: &[u32], rooms: &[u32]) {
        let share = Share {
            users: self.args.users,
            sessions: sessions.len(),
        };
        for (number, page) in (self.args.first..).zip(&self.pages) {
            if !sessions.is_empty() {
                let due = share.numbered_for(number, sessions[share.session_of(number)]);
                self.inbox.tally.lost += u64::from(page.inbox.missing(due));
            }
            if let Some(at) = number.checked_rem(rooms.len()) {
                let asked = self.asks_history(number);
                self.room.tally.lost += u64::from(page.room.missing(rooms[at], asked));
            }
        }
    }

    /// Whether a page asks for the history of its room when it comes back.
    fn asks_history(&self, number: usize) -> bool {
        number.checked_rem(self.args.history) == Some(0)
    }

    /// Starts connections for pages that should open, as many at once as allowed.
    pub(super) fn open_some(&mut self, net: &mut Net) -> Result<(), Failure> {
        while self.opening < self.args.opening
            && let Some(local) = self.waiting.pop_front()
        {
            let identity = stage::identity(self.args.first + local as usize, self.args.authorized);
            let id = net.connect(self.server, &identity)?;
            if self.owners.len() <= id.0 {
                self.owners.resize(id.0 + 1, u32::MAX);
            }
            self.owners[id.0] = local;
            self.pages[local as usize].state = State::Opening(id);
            self.opening += 1;
        }
        Ok(())
    }

    pub(super) fn handle(&mut self, event: Event<'_>) {
        match event {
            Event::Text(id, frame) => {
                let local = self.owners[id.0];
                if let Err(text) = self.text(local, id, frame) {
                    keep(&mut self.news.faults, text);
                }
            }
            Event::Ping(_, []) => self.news.pings += 1,
            Event::Ping(id, _) => self.pages[self.owners[id.0] as usize].inbox.pong(),
            Event::Gone(id, reason) => self.gone(self.owners[id.0], reason),
            Event::Reply(..) => {}
        }
    }

    fn gone(&mut self, local: u32, reason: String) {
        let page = &mut self.pages[local as usize];
        match std::mem::take(&mut page.state) {
            State::Opening(_) => {
                self.news.failed += 1;
                self.opening -= 1;
            }
            State::Open(_) => {
                self.news.ended += 1;
                self.news.open -= 1;
            }
            State::Closed => return,
        }
        page.end_life();
        self.waiting.push_back(local);
        keep(&mut self.news.reasons, reason);
    }

    fn text(&mut self, local: u32, id: Id, frame: &[u8]) -> Result<(), String> {
        let number = self.args.first + local as usize;
        let page = &mut self.pages[local as usize];
        if page.state == State::Opening(id) {
            stage::check_server_info(frame, self.args.authorized)?;
            page.state = State::Open(id);
            self.opening -= 1;
            self.news.open += 1;
            self.news.last_open = clock::nanos();
            self.opened.push(local);
            return Ok(());
        }
        let message = Message::parse(frame)?;
        if message.marker.as_deref() == Some(ANSWER) {
            self.news.answers += u64::from(std::mem::take(&mut page.asked));
            page.inbox.answered();
            return Ok(());
        }
        let unexpected = || format!("page {number} got {}", String::from_utf8_lossy(frame));
        let stamp = Stamp::find(frame).ok_or_else(unexpected)?;
        if message.is_private() {
            if stamp.slot as usize != number || !message.has_uuid() {
                return Err(unexpected());
            }
            page.inbox.receive(stamp.sequence, &mut self.inbox);
            return Ok(());
        }
        let room = number.checked_rem(self.args.rooms).ok_or_else(unexpected)?;
        if stamp.slot as usize != room || message.pipe != room_name(room) {
            return Err(unexpected());
        }
        if message.from_queue {
            page.room.replay(stamp.sequence, &mut self.room);
        } else {
            page.room.receive(stamp.sequence, &mut self.room);
            self.news.last_live = clock::nanos();
        }
        Ok(())
    }

    /// Pages that have just opened say what they want.
    pub(super) fn greet(&mut self, net: &mut Net) {
        let WorkerArgs {
            first, rooms, own, ..
        } = *self.args;
        for local in std::mem::take(&mut self.opened) {
            let number = first + local as usize;
            let page = &self.pages[local as usize];
            let State::Open(id) = page.state else { continue };
            let room = number.checked_rem(rooms).map(room_name);
            let names = room.iter().cloned().chain(own.then(|| own_channel(number)));
            let names: Vec<String> = names.collect();
            if !names.is_empty() {
                net.send(id, &format!("subscription\n{}", names.join("\n")));
            }
            if let Some(room) = room.filter(|_| page.room.has_returned() && self.asks_history(number)) {
                net.send(id, &format!("pipe_log\n{room}\nhistory"));
            }
        }
    }

    pub(super) fn news(&self) -> News {
        News {
            live: self.room.live,
            replayed: self.room.replayed,
            rooms: self.room.tally,
            unique: self.inbox.unique,
            redelivered: self.inbox.redelivered,
            private: self.inbox.tally,
            memory: proc::rss_bytes(std::process::id()).unwrap_or(0),
            ..self.news.clone()
        }
    }
}

impl Page {
    /// The connection is over; the next one is a new life.
    fn end_life(&mut self) {
        self.asked = false;
        self.inbox.end_life();
        self.room.end_life();
    }
}

fn keep(texts: &mut Vec<String>, text: String) {
    if texts.len() < TEXTS {
        texts.push(text);
    }
}
