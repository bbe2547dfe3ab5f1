//! A browser: pages that come, subscribe, send, acknowledge, reload, sleep, and disappear.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use comet_server::rt::sim::{connect, draw, elapsed};
use madsim::time::{sleep, timeout};
use serde_json::Value;

use crate::frames::{PING, PONG, Seen, TEXT, WebSocket, frame};
use crate::ledger::{Publication, Seeing, Sender, To, parse, text};
use crate::world::{Phase, SERVER_WS, World};

/// Channels of the site.
pub(crate) const CHANNELS: [&str; 2] = ["web_0", "web_1"];
/// How long a page waits for a connection before it tries again.
const CONNECT_MAX: Duration = Duration::from_secs(20);
/// A page that hears nothing for so long connects anew.
const SILENCE_MAX: Duration = Duration::from_secs(40);

/// A browser of one user.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    pub(crate) number: usize,
    pub(crate) user: u32,
    pub(crate) uuid: String,
    pub(crate) is_v5: bool,
    pub(crate) host: IpAddr,
}

/// Something the server owes the connection an answer to, in order.
struct Asked {
    at: Duration,
    subscribes: bool,
}

struct Page<'a> {
    world: &'a World,
    browser: &'a Browser,
    socket: WebSocket,
    sender: Sender,
    number: u64,
    seeing: Seeing,
    asked: VecDeque<Asked>,
    /// Own publications without a report: places in the ledger.
    unreported: VecDeque<usize>,
    heard: Duration,
    /// Since when it has read whatever came.
    prompt_since: Duration,
}

/// Comes back until the world is over.
pub(crate) async fn live(world: Rc<World>, browser: Browser) {
    while world.phase() != Phase::Over {
        sleep(Duration::from_millis(draw(5..1500))).await;
        visit(&world, &browser).await;
        world.settled.borrow_mut().remove(&browser.number);
    }
}

async fn visit(world: &World, browser: &Browser) {
    let version = if browser.is_v5 { "5.0" } else { "4.08" };
    let path = format!(
        "/ws/sesion=key{user}&myid={user}&devid=0&v={version}&uuid={uuid}&api=js",
        user = browser.user,
        uuid = browser.uuid
    );
    let opening = async {
        let stream = connect(browser.host, SERVER_WS).await?;
        WebSocket::open(stream, &path).await
    };
    let Ok(Ok(socket)) = timeout(CONNECT_MAX, opening).await else {
        return;
    };
    let sender = world.ledger.borrow_mut().new_sender();
    let mut page = Page {
        world,
        browser,
        socket,
        sender,
        number: 0,
        seeing: Seeing::default(),
        asked: VecDeque::new(),
        unreported: VecDeque::new(),
        heard: elapsed(),
        prompt_since: Duration::ZERO,
    };
    if page.stay().await {
        page.leave().await;
    }
}

impl Page<'_> {
    /// True: it leaves by itself.
    async fn stay(&mut self) -> bool {
        let leaves = elapsed() + Duration::from_millis(draw(200..20_000));
        let mut acts = elapsed();
        loop {
            let now = elapsed();
            let steady = self.world.phase() != Phase::Turmoil;
            if (!steady && now >= leaves) || now > self.heard + SILENCE_MAX {
                return true;
            }
            if now >= acts {
                if !self.act(steady).await {
                    return false;
                }
                acts = now
                    + Duration::from_millis(if steady {
                        1000
                    } else {
                        draw(10..self.world.pause_max_ms)
                    });
            }
            let wait = acts.saturating_sub(elapsed());
            match timeout(wait, self.socket.next()).await {
                Err(_) => {}
                Ok(Seen::Broken) if self.world.phase() == Phase::Turmoil => return false,
                // When nothing else is wrong, an orderly end does not break off.
                Ok(Seen::End | Seen::Broken) => {
                    self.check_last_words();
                    return false;
                }
                Ok(Seen::Frame { first, payload }) => {
                    self.heard = elapsed();
                    if !self.take(first, &payload).await {
                        return false;
                    }
                }
            }
        }
    }

    async fn send(&mut self, command: &str) -> bool {
        let bytes = frame(TEXT, command.as_bytes());
        let sent = timeout(SILENCE_MAX, self.socket.send(&bytes)).await;
        sent.unwrap_or(false)
    }

    /// Asks something whose answer proves that everything sent before was executed.
    async fn sync(&mut self, subscribes: bool) -> bool {
        self.asked.push_back(Asked {
            at: elapsed(),
            subscribes,
        });
        self.send("user_status\n77").await
    }

    async fn act(&mut self, steady: bool) -> bool {
        if self.seeing.subscribed.is_none() && self.asked.is_empty() {
            let subscription = format!("subscription\n{}\n{}", CHANNELS[0], CHANNELS[1]);
            return self.send(&subscription).await && self.sync(true).await;
        }
        match draw(0..10) {
            _ if steady => self.sync(false).await,
            0..4 => self.sync(false).await,
            4..8 => self.publish().await,
            8 if self.world.is_rough && draw(0..4) == 0 => {
                sleep(Duration::from_millis(draw(500..8000))).await;
                self.prompt_since = elapsed();
                true
            }
            _ => true,
        }
    }

    async fn publish(&mut self) -> bool {
        let channel = draw(0..2) as usize;
        self.number += 1;
        let padding = draw(0..self.world.padding_max) as usize;
        let body = text(To::Channel(channel), self.sender, self.number, padding);
        let place = {
            let publications = &mut self.world.ledger.borrow_mut().publications;
            publications.push(Publication {
                channel,
                sender: self.sender,
                number: self.number,
                begun: elapsed(),
                answered: None,
            });
            publications.len() - 1
        };
        self.unreported.push_back(place);
        let command = format!("web_pipe2\n{}\nev\n*\n{body}", CHANNELS[channel]);
        self.send(&command).await
    }

    async fn take(&mut self, first: u8, payload: &[u8]) -> bool {
        if first == PING {
            return self.socket.send(&frame(PONG, payload)).await;
        }
        assert_eq!(first, TEXT, "a frame of another kind");
        self.world.ledger.borrow_mut().frames += 1;
        let frame: Value = serde_json::from_slice(payload)
            .unwrap_or_else(|error| panic!("{error}: {}", payload.escape_ascii()));
        let word = |name: &str| frame[name].as_str().unwrap_or_default();
        match (word("pipe"), word("event")) {
            ("sys", "serverInfo") => {
                assert_eq!(
                    frame["authorized"], true,
                    "the key of user {} is lost",
                    self.browser.user
                );
            }
            ("sys", _) => panic!("an error: {frame}"),
            ("msg", _) => return self.private(word("data"), word("uuid")).await,
            ("_answer_user_status", _) => self.answered(),
            (report, _) if report.starts_with("_answer_to_") => self.reported(),
            (pipe, _) => {
                let channel = CHANNELS.iter().position(|channel| *channel == pipe);
                let channel = channel.unwrap_or_else(|| panic!("nobody asked for {frame}"));
                let (sender, number) = parse(word("data"), To::Channel(channel));
                self.seeing.message(channel, sender, number);
            }
        }
        true
    }

    /// A page of version 5 may die before it has handled the message; then it has to come again.
    async fn private(&mut self, body: &str, uuid: &str) -> bool {
        let (sender, number) = parse(body, To::User(self.browser.user));
        self.seeing.private(sender, number);
        if self.browser.is_v5
            && self.world.phase() == Phase::Turmoil
            && self.world.is_rough
            && draw(0..10) == 0
        {
            return false;
        }
        self.world.ledger.borrow_mut().read.insert((sender, number));
        let fresh = self.world.fresh.get();
        assert!(
            fresh.is_none_or(|fresh| fresh != self.browser.number),
            "5.1: private message {sender}.{number} was paid and comes again"
        );
        !self.browser.is_v5 || self.send(&format!("ack\n{uuid}")).await
    }

    fn answered(&mut self) {
        let Some(Asked { at, subscribes }) = self.asked.pop_front() else {
            panic!("an answer nobody asked for");
        };
        if subscribes {
            self.seeing.subscribed = Some(elapsed());
        }
        let ledger = self.world.ledger.borrow();
        self.seeing
            .check_complete(&ledger, self.sender, at, "after an answer");
        if self.world.phase() == Phase::Healed {
            self.world.settled.borrow_mut().insert(self.browser.number);
        }
    }

    fn reported(&mut self) {
        let Some(place) = self.unreported.pop_front() else {
            panic!("2.6.2: a report nobody waits for");
        };
        let publication = &mut self.world.ledger.borrow_mut().publications[place];
        publication.answered = Some(elapsed());
    }

    /// A server that stops in order lets everybody who listens have what was said before.
    fn check_last_words(&self) {
        let prompt_since = self.prompt_since.max(self.world.quiet_since(self.browser.host));
        let is_prompt = prompt_since.is_zero() || elapsed() > prompt_since + Duration::from_secs(10);
        if self.world.is_stopping.get() && self.world.is_quick.get() && is_prompt {
            let ledger = self.world.ledger.borrow();
            let when = "at the orderly end";
            self.seeing.check_complete(&ledger, self.sender, elapsed(), when);
        }
    }

    async fn leave(mut self) {
        if !self.world.is_rough {
            return;
        }
        match draw(0..6) {
            0 => self.socket.into_stream().reset(),
            1 => self.socket.into_stream().vanish(),
            2 => {
                let bytes = frame(TEXT, b"subscription\nweb_0");
                let half = draw(1..bytes.len() as u64) as usize;
                self.socket.send(&bytes[..half]).await;
                sleep(Duration::from_millis(draw(1..20))).await;
                self.socket.into_stream().reset();
            }
            _ => {}
        }
    }
}
