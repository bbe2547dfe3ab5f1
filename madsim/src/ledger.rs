//! What was said and what arrived, and the promises that connect the two.
//!
//! Messages are texts `to.sender.number.padding`; a sender is one connection of a back end or of a page, and numbers
//! what it sends. The checks here need no model of the server: each can be read off a connection.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Who says it: one connection.
pub(crate) type Sender = u64;
/// A private message: sender and number.
pub(crate) type Private = (Sender, u64);

/// A message to a channel.
#[derive(Debug)]
pub(crate) struct Publication {
    pub(crate) channel: usize,
    pub(crate) sender: Sender,
    pub(crate) number: u64,
    pub(crate) begun: Duration,
    pub(crate) answered: Option<Duration>,
}

/// Everything said in one world.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Private messages that were answered OK, and to whom.
    pub(crate) accepted: BTreeMap<Private, u32>,
    /// Private messages that a page has read.
    pub(crate) read: BTreeSet<Private>,
    pub(crate) publications: Vec<Publication>,
    /// Messages to the channel with history that were answered OK.
    pub(crate) in_history: BTreeSet<Private>,
    /// How many more that channel has room for.
    pub(crate) history_left: u64,
    /// Figures for the report.
    pub(crate) statements: u64,
    pub(crate) frames: u64,
    pub(crate) connections: u64,
    senders: Sender,
}

impl Ledger {
    /// `history_left`: see there.
    pub(crate) fn new(history_left: u64) -> Self {
        Self {
            history_left,
            ..Self::default()
        }
    }

    pub(crate) fn new_sender(&mut self) -> Sender {
        self.senders += 1;
        self.connections += 1;
        self.senders
    }

    /// Private messages that were accepted and that no page has seen.
    pub(crate) fn missing(&self) -> Vec<(&Private, &u32)> {
        let unread = |(message, _): &(&Private, &u32)| !self.read.contains(*message);
        self.accepted.iter().filter(unread).collect()
    }
}

/// Whom a message is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum To {
    User(u32),
    /// By its place in the list of channels.
    Channel(usize),
    /// The channel that keeps what is sent to it.
    History,
}

impl std::fmt::Display for To {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(user) => write!(f, "p{user}"),
            Self::Channel(channel) => write!(f, "c{channel}"),
            Self::History => f.write_str("h"),
        }
    }
}

/// A message as text.
pub(crate) fn text(to: To, sender: Sender, number: u64, padding: usize) -> String {
    format!("{to}.{sender}.{number}.{}", "x".repeat(padding))
}

/// Sender and number of a message that has arrived where messages to `to` belong.
pub(crate) fn parse(text: &str, to: To) -> (Sender, u64) {
    let mut words = text.split('.');
    let written = words.next().unwrap_or_default();
    assert_eq!(written, to.to_string(), "a message for somebody else: {text}");
    let mut number = || words.next().and_then(|word| word.parse().ok());
    match (number(), number()) {
        (Some(sender), Some(number)) => (sender, number),
        other => panic!("a message nobody sent: {text} ({other:?})"),
    }
}

/// What one connection of a page has seen, and what it may rely on.
#[derive(Debug, Default)]
pub(crate) struct Seeing {
    privates: BTreeMap<Sender, u64>,
    messages: BTreeMap<(usize, Sender), BTreeSet<u64>>,
    /// Since when the server is known to know the subscription.
    pub(crate) subscribed: Option<Duration>,
}

impl Seeing {
    /// 5: the order of each sender, and nothing twice on one connection.
    pub(crate) fn private(&mut self, sender: Sender, number: u64) {
        let before = self.privates.insert(sender, number);
        assert!(
            before < Some(number),
            "5: private message {sender}.{number} came after {before:?} of the same sender"
        );
    }

    /// 2.6.1: the same for a channel.
    pub(crate) fn message(&mut self, channel: usize, sender: Sender, number: u64) {
        let seen = self.messages.entry((channel, sender)).or_default();
        let before = seen.last().copied();
        assert!(
            before < Some(number),
            "message {sender}.{number} to channel {channel} came after {before:?} of the same sender"
        );
        seen.insert(number);
    }

    /// S26: whatever was sent since the subscription and answered before `until` is here.
    pub(crate) fn check_complete(&self, ledger: &Ledger, me: Sender, until: Duration, when: &str) {
        let Some(subscribed) = self.subscribed else { return };
        for publication in &ledger.publications {
            let &Publication {
                channel,
                sender,
                number,
                begun,
                answered,
            } = publication;
            let due = sender != me && begun > subscribed && answered.is_some_and(|answered| answered < until);
            let seen = self
                .messages
                .get(&(channel, sender))
                .is_some_and(|seen| seen.contains(&number));
            assert!(
                !due || seen,
                "S26: connection {me}, {when}, lacks message {sender}.{number} to channel {channel}, sent at {begun:?}, answered at {answered:?}"
            );
        }
    }
}
