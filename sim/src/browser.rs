//! A simulated browser: tabs, each with a page that behaves as protocol.md 2.7 says the unmodified client does.

use crate::names;

/// A command as a page writes it.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// `subscription`; names may be malformed.
    Subscribe(Vec<String>),
    /// `web_pipe2`.
    Send {
        channel: String,
        anonymous: bool,
        event: String,
        body: String,
        n: u64,
    },
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
    /// Something that is answered by a plain F14.
    Nonsense(u64),
}

impl Command {
    /// The text message.
    pub fn text(&self) -> String {
        match self {
            Self::Subscribe(names) => format!("subscription\n{}\n", names.join("\n")),
            Self::Send {
                channel,
                anonymous,
                event,
                body,
                ..
            } => {
                let at = if *anonymous { "@" } else { "" };
                format!("web_pipe2\n{at}{channel}\n{event}\n*\n{body}")
            }
            Self::History { channel, marker } => format!("pipe_log\n{channel}\n{marker}\n"),
            Self::Count { channel, marker } => format!("pipe_count\n{channel}\n{marker}\n"),
            Self::Users { channel, marker } => format!("track_pipe_users\n{channel}\n{marker}"),
            Self::Data { marker, user } => format!("user_data\n{marker}\n{user}"),
            Self::Status { user } => format!("user_status\n{user}"),
            Self::Statistics => "statistics\n{\"plugin\":\"x\"}".to_owned(),
            Self::Nonsense(kind) => {
                ["nonsense", "CometQL_call\nm\nx", "web_pipe\nweb_a\n", ""][(kind % 4) as usize].to_owned()
            }
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
    /// Version 4 of the client file, else 3.25.
    pub new: bool,
    /// `comet_server_uuid`; some browsers tell none.
    pub uuid: String,
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
    /// The first frame ever was received: reconnects take longer (2.7).
    pub greeted: bool,
    /// What the last serverInfo said.
    pub authorized: bool,
    /// Until then the computer sleeps.
    pub asleep_until: u64,
    /// The number of its connection attempts, to ignore outdated timers.
    pub attempts: u64,
}

/// How long a page remembers an id, microseconds.
pub const MEMORY_US: u64 = 180_000_000;

impl Tab {
    /// A new tab.
    pub const fn new(browser: usize, page: usize, credentials: Credentials, wants: Vec<String>) -> Self {
        Self {
            browser,
            open: true,
            page,
            link: None,
            credentials,
            wants,
            memory: Vec::new(),
            greeted: false,
            authorized: false,
            asleep_until: 0,
            attempts: 0,
        }
    }

    /// True if the page has not seen this id lately; remembers it.
    pub fn fresh(&mut self, id: &str, now: u64) -> bool {
        self.memory.retain(|(_, at)| now - at < MEMORY_US);
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
    let version = if browser.new { "4.08" } else { "3.25" };
    format!(
        "/ws/sesion={key}&myid={user}&devid={}&v={version}&uuid={}&api=js",
        browser.dev, browser.uuid
    )
}
