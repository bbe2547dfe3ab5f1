//! A simulated site's back end: what it wants from the server, as a value and as SQL text. The model reads the
//! value, the server gets the text.

mod prepared;

use crate::console::Console;
use crate::names;

/// A private message to be inserted.
#[derive(Clone, PartialEq, Debug)]
pub struct NewPrivate {
    /// Its number, unique in a run.
    pub n: u64,
    /// For whom.
    pub user: u32,
    /// Its event.
    pub event: String,
    /// Its text.
    pub body: String,
}

/// A channel message to be inserted.
#[derive(Clone, PartialEq, Debug)]
pub struct NewMessage {
    /// Into which channel.
    pub channel: String,
    /// Its event.
    pub event: String,
    /// Its text.
    pub body: String,
}

/// A statement.
#[derive(Clone, PartialEq, Debug)]
pub enum Ask {
    Private(Vec<NewPrivate>),
    Publish(Vec<NewMessage>),
    SetKey {
        user: u32,
        hash: String,
    },
    DelKey {
        user: u32,
    },
    SetData {
        user: u32,
        data: String,
    },
    DelData {
        user: u32,
    },
    SetLength {
        channel: String,
        length: u64,
    },
    DelLength {
        channel: String,
    },
    DelHistory {
        channel: String,
    },
    DelQueue {
        user: u32,
    },
    Revoke {
        token: String,
    },
    Restore {
        token: String,
    },
    Look(Look),
    Console(Console),
    /// Moves the session to another tenant.
    Use {
        dev: u32,
    },
    /// Deletes one message of a history by its id.
    DelMessage {
        id: String,
        /// Its number, 0 if nobody has the id.
        n: u64,
    },
    /// What is known of messages, as EXPLAIN DELIVERY words it or as a table.
    Delivery {
        ids: Vec<String>,
        words: bool,
    },
    /// What is known of the messages of a channel; of `msg`, those of a user or of all.
    DeliveryOf {
        channel: String,
        user: Option<u32>,
    },
    Begin,
    End,
    /// A statement that is refused with this code.
    Wrong {
        text: String,
        code: u16,
    },
}

/// A SELECT.
#[derive(Clone, PartialEq, Debug)]
pub enum Look {
    Queue { user: u32 },
    History { channel: String },
    Times { users: Vec<u32> },
    Counts { channels: Vec<String> },
    Members { channel: String },
    Key { user: u32 },
    Data { user: u32 },
    Length { channel: String },
}

impl Look {
    fn text(&self) -> String {
        match self {
            Self::Queue { user } => format!("SELECT * FROM users_messages WHERE id = {user}"),
            Self::History { channel } => format!(
                "SELECT time, name, `index`, event, message, user_id FROM pipes_messages WHERE name = '{channel}'"
            ),
            Self::Times { users } => {
                let users: Vec<_> = users.iter().map(ToString::to_string).collect();
                format!(
                    "SELECT id, time FROM users_time WHERE id IN( {});",
                    users.join(",")
                )
            }
            Self::Counts { channels } => {
                format!(
                    "select * from pipes where name in( \"{}\");",
                    channels.join("\", \"")
                )
            }
            Self::Members { channel } => {
                format!("SELECT user_id, user_uuid FROM users_in_pipes WHERE name = '{channel}'")
            }
            Self::Key { user } => format!("SELECT hash FROM users_auth WHERE id = {user}"),
            Self::Data { user } => format!("SELECT * FROM users_data WHERE id = {user}"),
            Self::Length { channel } => format!("SELECT * FROM pipes_settings WHERE name = '{channel}'"),
        }
    }
}

/// Text as a literal: escaped as every driver does, or, every other time for JSON, as `json_encode` leaves it.
fn quote(text: &str, n: u64) -> String {
    let json = serde_json::from_str::<serde_json::Value>(text).is_ok();
    if json && n % 2 == 1 && !text.contains("\\'") {
        return format!("'{}'", text.replace('\'', "''"));
    }
    let mut quoted = String::from("'");
    for c in text.chars() {
        match c {
            '\'' | '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            other => quoted.push(other),
        }
    }
    quoted.push('\'');
    quoted
}

impl Ask {
    /// The statement. `n` decides between spellings.
    pub fn text(&self, n: u64) -> String {
        match self {
            Self::Private(rows) => {
                let rows: Vec<_> = rows
                    .iter()
                    .map(|row| format!("('{}', '{}', {})", row.user, row.event, quote(&row.body, row.n)))
                    .collect();
                format!(
                    "INSERT INTO users_messages (id, event, message)VALUES{}",
                    rows.join(", ")
                )
            }
            Self::Publish(rows) => {
                let rows: Vec<_> = rows
                    .iter()
                    .map(|row| format!("(\"{}\", '{}', {})", row.channel, row.event, quote(&row.body, n)))
                    .collect();
                format!(
                    "INSERT INTO pipes_messages (name, event, message) VALUES {};",
                    rows.join(",")
                )
            }
            Self::SetKey { user, hash } => {
                format!("INSERT INTO users_auth (id, hash )VALUES ({user}, '{hash}');")
            }
            Self::DelKey { user } => format!("DELETE FROM users_auth WHERE id = {user}"),
            Self::SetData { user, data } => {
                format!(
                    "INSERT INTO users_data (id, data) VALUES ({user}, {})",
                    quote(data, n)
                )
            }
            Self::DelData { user } => format!("DELETE FROM users_data WHERE id = '{user}'"),
            Self::SetLength { channel, length } => {
                format!("insert into pipes_settings (\"name\", \"length\") values ('{channel}', {length});")
            }
            Self::DelLength { channel } => format!("delete from  pipes_settings where name = '{channel}';"),
            Self::DelHistory { channel } => format!("DELETE FROM pipes_messages WHERE name = '{channel}'"),
            Self::DelQueue { user } => format!("DELETE FROM users_messages WHERE id IN ({user})"),
            Self::Revoke { token } => format!("INSERT INTO revoked_tokens (token) VALUES ('{token}')"),
            Self::Restore { token } => format!("DELETE FROM revoked_tokens WHERE token = '{token}'"),
            Self::DelMessage { id, .. } => format!("DELETE FROM pipes_messages WHERE id = '{id}'"),
            Self::Use { dev } => format!("USE db_{dev}"),
            Self::Console(console) => console.text().to_owned(),
            Self::Delivery { ids, words: true } => format!("EXPLAIN DELIVERY FOR '{}'", ids.join("")),
            Self::Delivery { ids, words: false } => format!(
                "SELECT id, time, ms, what, session, connection FROM messages_delivery WHERE id IN ('{}')",
                ids.join("', '")
            ),
            Self::DeliveryOf { channel, user } => {
                let user = user.map_or_else(String::new, |user| format!(" AND user_id = {user}"));
                format!(
                    "SELECT id, time, ms, what, session, connection FROM messages_delivery WHERE name = '{channel}'{user}"
                )
            }
            Self::Begin => "BEGIN".to_owned(),
            Self::End => "COMMIT".to_owned(),
            Self::Wrong { text, .. } => text.clone(),
            Self::Look(look) => look.text(),
        }
    }

    /// A statement that must be refused, with its code (protocol.md 7.5).
    pub fn wrong(kind: u64) -> Self {
        let (text, code) = match kind % 8 {
            0 => ("UPDATE users_auth SET hash='x'".to_owned(), 3),
            1 => (
                "INSERT INTO users_messages (id, event, message) VALUES (-3, 'e', 'x')".to_owned(),
                12,
            ),
            2 => ("INSERT INTO nowhere (id) VALUES (1)".to_owned(), 15),
            3 => ("INSERT INTO users_time (id) VALUES (1)".to_owned(), 10),
            4 => ("DELETE FROM users_auth".to_owned(), 13),
            5 => ("SELECT nothing FROM users_auth WHERE id = 1".to_owned(), 14),
            6 => {
                let long = "x".repeat(names::BODY_MAX + 1);
                (
                    format!("INSERT INTO users_messages (id, event, message) VALUES (1, 'e', '{long}')"),
                    11,
                )
            }
            _ => ("INSERT INTO users_auth (id, hash) VALUES (1, '')".to_owned(), 17),
        };
        Self::Wrong { text, code }
    }

    /// True if it only sets up the session, which no limit counts.
    pub fn is_free(&self) -> bool {
        match self {
            Self::Begin | Self::End | Self::Use { .. } => true,
            Self::Console(console) => console.is_free(),
            Self::Private(_)
            | Self::Publish(_)
            | Self::SetKey { .. }
            | Self::DelKey { .. }
            | Self::SetData { .. }
            | Self::DelData { .. }
            | Self::SetLength { .. }
            | Self::DelLength { .. }
            | Self::DelHistory { .. }
            | Self::DelMessage { .. }
            | Self::DelQueue { .. }
            | Self::Revoke { .. }
            | Self::Restore { .. }
            | Self::Look(_)
            | Self::Delivery { .. }
            | Self::DeliveryOf { .. }
            | Self::Wrong { .. } => false,
        }
    }

    /// True if it changes something durable, so that its OK waits for the disk.
    pub fn writes(&self) -> bool {
        matches!(
            self,
            Self::Private(_)
                | Self::Publish(_)
                | Self::SetKey { .. }
                | Self::DelKey { .. }
                | Self::SetData { .. }
                | Self::DelData { .. }
                | Self::SetLength { .. }
                | Self::DelLength { .. }
                | Self::DelHistory { .. }
                | Self::DelMessage { .. }
                | Self::DelQueue { .. }
                | Self::Revoke { .. }
                | Self::Restore { .. }
        ) || matches!(self, Self::Console(console) if console.deletes())
    }
}

/// A CometQL session of the site.
#[derive(Debug)]
pub struct Session {
    /// Its number at the server; a new one after each reconnect.
    pub id: u64,
    /// Its tenant.
    pub dev: u32,
    /// In which life of the server it was opened.
    pub life: u32,
    /// Statements without an answer yet.
    pub unanswered: Vec<(u64, Ask)>,
    /// When its newest statement arrives: the order is kept.
    pub last_arrival: u64,
}
