//! A simulated browser: tabs, each with a page that behaves as protocol.md 2.7 says the unmodified client
//! does, or as docs/protocol-v5.md wants it.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::names;

/// The version of the client file in a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// 3.25.
    V3,
    /// 4.08.
    V4,
    /// 5 (docs/protocol-v5.md).
    V5,
}

impl Version {
    /// As it stands in the URL.
    pub const fn text(self) -> &'static str {
        match self {
            Self::V3 => "3.25",
            Self::V4 => "4.08",
            Self::V5 => "5.0",
        }
    }
}

/// A URL that must be refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Intrusion {
    /// Without version.
    NoVersion,
    /// Of this version, without a tenant.
    NoTenant(Version),
    /// Of this version, without a key.
    NoKey(Version),
}

impl Intrusion {
    /// The kinds of a script.
    pub const ALL: [Self; 5] = [
        Self::NoVersion,
        Self::NoTenant(Version::V4),
        Self::NoKey(Version::V3),
        Self::NoTenant(Version::V5),
        Self::NoKey(Version::V5),
    ];

    /// The request target.
    pub fn target(self) -> String {
        match self {
            Self::NoVersion => "/ws/sesion=x&myid=1&devid=0&uuid=u&api=js".to_owned(),
            Self::NoTenant(version) => format!("/ws/sesion=x&myid=1&v={}&uuid=u&api=js", version.text()),
            Self::NoKey(version) => format!("/ws/myid=1&devid=0&v={}&uuid=u&api=js", version.text()),
        }
    }

    /// The form of the answer.
    pub const fn version(self) -> Version {
        match self {
            Self::NoVersion => Version::V3,
            Self::NoTenant(version) | Self::NoKey(version) => version,
        }
    }

    /// The number in the answer.
    pub const fn code(self) -> u64 {
        match self {
            Self::NoVersion => 418,
            Self::NoTenant(_) => 406,
            Self::NoKey(_) => 401,
        }
    }
}

/// What the names of a subscription do to the set of channels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// `subscription`: they are the set.
    Replace,
    /// `subscribe`.
    Add,
    /// `unsubscribe`.
    Remove,
}

/// A command as a page writes it.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// `subscription`, in version 5 also `subscribe` and `unsubscribe`; names may be malformed.
    Subscribe(Change, Vec<String>),
    /// `web_pipe2`.
    Send(Message),
    /// `pipe_log`.
    History { channel: String, marker: String },
    /// `pipe_count`.
    Count { channel: String, marker: String },
    /// `track_pipe_users`.
    Users { channel: String, marker: String },
    /// `user_data`.
    Data { marker: String, user: u32 },
    /// `user_status`.
    Status { user: u32 },
    /// `statistics`.
    Statistics,
    /// `ack` of a private message by its id, which may be invented.
    Ack(String),
    /// Something that is answered by a plain F14.
    Nonsense(u64),
}

/// What a page sends into a channel.
#[derive(Clone, PartialEq, Debug)]
pub struct Message {
    /// Its number, unique in a run.
    pub n: u64,
    pub channel: String,
    pub anonymous: bool,
    pub event: String,
    pub body: String,
    /// The send key; only pages of version 5 have one.
    pub key: Option<String>,
}

impl Message {
    /// Shortest send key; what is shorter is none.
    const KEY_MIN: usize = 8;

    /// The send key, if it is one.
    pub fn send_key(&self) -> Option<&String> {
        self.key.as_ref().filter(|key| key.len() >= Self::KEY_MIN)
    }
}

/// What is no command in any dialect: text and code.
const NONSENSE: [(&str, &str); 8] = [
    ("nonsense", "unknown_command"),
    ("CometQL_call\nm\nx", "not_supported"),
    ("web_pipe\nweb_a\n", "not_supported"),
    ("", "unknown_command"),
    ("statistics 0\n", "unknown_command"),
    ("statistics 9007199254740992", "unknown_command"),
    ("web_pipe2 +1\nweb_a\ne\n*\nm", "unknown_command"),
    ("pipe_count  7\nweb_a\nm", "unknown_command"),
];

impl Command {
    /// The text message; `number` is what a page of version 5 gives it.
    pub fn text(&self, number: Option<u64>) -> String {
        let text = self.plain_text();
        let Some(number) = number else { return text };
        match text.split_once('\n') {
            Some((word, arguments)) => format!("{word} {number}\n{arguments}"),
            None => format!("{text} {number}"),
        }
    }

    /// False if a number would make another command of it.
    pub fn takes_number(&self) -> bool {
        !matches!(self, Self::Nonsense(kind) if kind % 8 > 3)
    }

    /// The code of something that is no command.
    pub fn nonsense_code(kind: u64) -> &'static str {
        NONSENSE[(kind % 8) as usize].1
    }

    fn plain_text(&self) -> String {
        match self {
            Self::Subscribe(change, names) => {
                let word = match change {
                    Change::Replace => "subscription",
                    Change::Add => "subscribe",
                    Change::Remove => "unsubscribe",
                };
                format!("{word}\n{}\n", names.join("\n"))
            }
            Self::Send(Message {
                channel,
                anonymous,
                event,
                body,
                key,
                n: _,
            }) => {
                let at = if *anonymous { "@" } else { "" };
                let key = key.as_deref().unwrap_or("*");
                format!("web_pipe2\n{at}{channel}\n{event}\n{key}\n{body}")
            }
            Self::History { channel, marker } => format!("pipe_log\n{channel}\n{marker}\n"),
            Self::Count { channel, marker } => format!("pipe_count\n{channel}\n{marker}\n"),
            Self::Users { channel, marker } => format!("track_pipe_users\n{channel}\n{marker}"),
            Self::Data { marker, user } => format!("user_data\n{marker}\n{user}"),
            Self::Status { user } => format!("user_status\n{user}"),
            Self::Statistics => "statistics\n{\"plugin\":\"x\"}".to_owned(),
            Self::Ack(id) => format!("ack\n{id}"),
            Self::Nonsense(kind) => NONSENSE[(kind % 8) as usize].0.to_owned(),
        }
    }
}

/// What a page shows the server to prove who it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Credentials {
    /// The hash of a version.
    Hash(u64),
    /// The token of a version.
    Token(u64),
    /// A key that was never registered.
    Wrong,
    /// The hash of the next user.
    Stolen,
    /// No user at all.
    Nobody,
}

impl Credentials {
    /// The credentials of a kind and version.
    pub const fn of(kind: u64, version: u64) -> Self {
        match kind % 7 {
            0..=2 => Self::Hash(version),
            3 => Self::Token(version),
            4 => Self::Wrong,
            5 => Self::Stolen,
            _ => Self::Nobody,
        }
    }
}

/// A browser: localStorage is shared by its tabs.
#[derive(Debug)]
pub struct Browser {
    /// The tenant of the site it visits.
    pub dev: u32,
    /// Who sits before it.
    pub user: u32,
    /// Its client file.
    pub version: Version,
    /// `comet_server_uuid`; some browsers tell none.
    pub uuid: String,
    /// Its address, if the server can know it.
    pub ip: Option<IpAddr>,
}

/// A tab.
#[derive(Debug)]
pub struct Tab {
    /// Its browser.
    pub browser: usize,
    /// It was not closed.
    pub open: bool,
    /// Its present page; every reload makes a new one.
    pub page: usize,
    /// Its socket, as far as the page knows.
    pub link: Option<usize>,
    /// What the page proves itself with.
    pub credentials: Credentials,
    /// What the page subscribes to.
    pub wants: Vec<String>,
    /// Ids of private messages and when they were seen (2.7: three minutes).
    pub memory: Vec<(String, u64)>,
    /// What only a page of version 5 has.
    pub exact: Exact,
    /// The first frame ever was received: reconnects take longer (2.7).
    pub greeted: bool,
    /// What the last serverInfo said.
    pub authorized: bool,
    /// Until then the computer sleeps.
    pub asleep_until: u64,
    /// The number of its connection attempts, to ignore outdated timers.
    pub attempts: u64,
}

/// What a page of version 5 keeps.
#[derive(Debug, Default)]
pub struct Exact {
    /// The number of its newest command.
    pub numbers: u64,
    /// The serverInfo of the present connection came.
    pub ready: bool,
    /// Messages without outcome, in the order of sending, with the number under which each is on its way.
    pub outbox: Vec<(Message, Option<u64>)>,
    /// The newest message sent, for a page that sends it again for no reason.
    pub latest: Option<Message>,
    /// Private messages whose handler runs: id and number.
    pub running: Vec<(String, u64)>,
    /// Ids of private messages this connection owes an acknowledgement, in the order in which they came.
    pub owed: VecDeque<String>,
    /// What it acknowledged last on this connection.
    pub acknowledged: Option<String>,
    /// Ids of channel messages it has read.
    pub read: Vec<String>,
}

impl Exact {
    /// The connection is gone: what was on its way is to be sent again, unless it has no send key, and what was owed
    /// comes again.
    pub fn disconnected(&mut self) {
        self.ready = false;
        self.owed.clear();
        self.acknowledged = None;
        self.outbox
            .retain(|(message, number)| number.is_none() || message.send_key().is_some());
        for (_, number) in &mut self.outbox {
            *number = None;
        }
    }

    /// The newest id such that it and all that came before it are handled: one acknowledgement covers them.
    pub fn handled(&mut self) -> Option<String> {
        let mut newest = None;
        while let Some(id) = self.owed.front()
            && !self.running.iter().any(|(running, _)| running == id)
        {
            newest = self.owed.pop_front();
        }
        newest
    }
}

/// How long a page remembers an id, microseconds.
pub const MEMORY_US: u64 = 180_000_000;

impl Tab {
    /// A new tab.
    pub fn new(browser: usize, page: usize, credentials: Credentials, wants: Vec<String>) -> Self {
        Self {
            browser,
            open: true,
            page,
            link: None,
            credentials,
            wants,
            memory: Vec::new(),
            exact: Exact::default(),
            greeted: false,
            authorized: false,
            asleep_until: 0,
            attempts: 0,
        }
    }

    /// True if the page has not seen this id lately, in version 5 never; remembers it.
    pub fn fresh(&mut self, id: &str, now: u64, version: Version) -> bool {
        if version != Version::V5 {
            self.memory.retain(|(_, at)| now - at < MEMORY_US);
        }
        if self.memory.iter().any(|(known, _)| known == id) {
            return false;
        }
        self.memory.push((id.to_owned(), now));
        true
    }
}

/// The key a page sends: what is in `sesion`.
pub fn key(browser: &Browser, credentials: &Credentials) -> String {
    match credentials {
        Credentials::Hash(version) => names::hash(browser.dev, browser.user, *version),
        Credentials::Token(version) => names::token(browser.dev, browser.user, *version),
        Credentials::Wrong => "wrong_key".to_owned(),
        Credentials::Stolen => names::hash(browser.dev, browser.user + 1, 0),
        Credentials::Nobody => "undefined".to_owned(),
    }
}

/// The request target of a page's socket.
pub fn target(browser: &Browser, credentials: &Credentials) -> String {
    let key = key(browser, credentials);
    let user = match credentials {
        Credentials::Nobody => "undefined".to_owned(),
        Credentials::Hash(_) | Credentials::Token(_) | Credentials::Wrong | Credentials::Stolen => {
            browser.user.to_string()
        }
    };
    let version = browser.version.text();
    format!(
        "/ws/sesion={key}&myid={user}&devid={}&v={version}&uuid={}&api=js",
        browser.dev, browser.uuid
    )
}
