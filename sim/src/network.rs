//! One simulated socket between a page and the server: two independent directions, each in order, each with its own
//! delays; and all the ways to die. Bytes that are under way when it dies vanish, and each side learns of the death
//! at a time of its own.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::browser::Command;
use crate::prng::Prng;
use crate::seen::Told;

/// What travels to the server.
#[derive(Clone, Debug)]
pub enum Up {
    /// A text message, and the number a page of version 5 gave it.
    Command(Option<u64>, Command),
    /// A Pong with its payload.
    Pong(u128),
    /// The orderly end of the stream.
    End,
}

/// What travels to the browser.
#[derive(Clone, Debug)]
pub enum Down {
    /// A text frame and its size.
    Frame(Rc<Told>, usize),
    /// A Ping with its payload.
    Ping(u128),
    /// The end of the stream, without a Close frame (Q9).
    End,
}

/// What the server knows of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServerSide {
    /// The upgrade request is under way.
    Coming,
    /// Alive as far as the server knows.
    Open,
    /// The runtime closed it; the core may not know yet, events may still be in its queues.
    Closing,
    /// Forgotten.
    Gone,
}

/// A socket.
#[derive(Debug)]
pub struct Link {
    /// Which tab opened it; `None` for intruders.
    pub tab: Option<usize>,
    /// Which page of the tab.
    pub page: usize,
    /// In which life of the server.
    pub life: u32,
    /// The server's view.
    pub server: ServerSide,
    /// The page still has it.
    pub held: bool,
    /// Nothing passes any more, in either direction.
    pub cut: bool,
    /// The server wants its page to come back later.
    pub sent_away: bool,
    /// The reader does not read until then.
    pub paused_until: u64,
    /// Bytes that the server could not get rid of.
    pub outstanding: usize,
    /// Last time something arrived at the server.
    pub heard: u64,
    /// Under way to the server.
    pub up: VecDeque<(u64, Up)>,
    /// Under way to the page.
    pub down: VecDeque<(u64, Down)>,
    rng: Prng,
    latency: u64,
    jitter: u64,
}

impl Link {
    /// A socket of `page` whose luck is keyed by `seed` and `key`. Delays in milliseconds.
    pub fn new(tab: Option<usize>, page: usize, life: u32, rng: Prng, latency: u64, jitter: u64) -> Self {
        Self {
            tab,
            page,
            life,
            server: ServerSide::Coming,
            held: true,
            cut: false,
            sent_away: false,
            paused_until: 0,
            outstanding: 0,
            heard: 0,
            up: VecDeque::new(),
            down: VecDeque::new(),
            rng,
            latency,
            jitter,
        }
    }

    /// A delay in one direction, microseconds.
    pub fn delay(&mut self) -> u64 {
        let usual = self.rng.below(self.latency * 1000) + 50;
        if self.rng.percent(self.jitter) {
            usual * 5 + self.rng.below(3_000_000)
        } else {
            usual
        }
    }

    /// Makes the network fast and even.
    pub const fn calm(&mut self) {
        self.latency = 0;
        self.jitter = 0;
    }

    /// Luck of this socket.
    pub const fn luck(&mut self) -> &mut Prng {
        &mut self.rng
    }

    /// Puts something on its way to the server; the time of arrival.
    pub fn send_up(&mut self, now: u64, up: Up) -> u64 {
        let last = self.up.back().map_or(0, |(due, _)| *due);
        let due = (now + self.delay()).max(last);
        self.up.push_back((due, up));
        due
    }

    /// Puts something on its way to the page; the time of arrival.
    pub fn send_down(&mut self, now: u64, down: Down) -> u64 {
        let last = self.down.back().map_or(0, |(due, _)| *due);
        let due = (now + self.delay()).max(last);
        if let Down::Frame(_, bytes) = &down {
            self.outstanding += bytes;
        }
        self.down.push_back((due, down));
        due
    }

    /// The next thing that has arrived at the server.
    pub fn take_up(&mut self, now: u64) -> Option<Up> {
        if self.up.front()?.0 > now {
            return None;
        }
        self.up.pop_front().map(|(_, up)| up)
    }

    /// The next thing that has arrived at the page.
    pub fn take_down(&mut self, now: u64) -> Option<Down> {
        if now < self.paused_until || self.down.front()?.0 > now {
            return None;
        }
        let (_, down) = self.down.pop_front()?;
        if let Down::Frame(_, bytes) = &down {
            self.outstanding -= bytes;
        }
        Some(down)
    }
}
