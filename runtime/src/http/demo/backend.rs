//! The actions of the demonstration in CometQL, as a site's back end would write them.
//!
//! Promise: only users it made itself are users here. Others of the tenant are neither written to nor removed, and
//! their numbers not given away.

use comet_core::cometql::{Cell, Param, Row};
use comet_core::same_secret;
use comet_core::{Answer as Outcome, DevId, Done};
use hyper::StatusCode;
use serde_json::{Value, json};

use super::super::answer::Refusal;
use super::super::endpoint::UNABLE;
use crate::shared::Shared;
use crate::sql::InternalSession;

/// Numbers of users are 1 to this, so there are never more.
const USERS_MAX: u32 = 1000;
/// Numbers looked at until one is free.
const CANDIDATES: usize = 64;
/// Who was away for so long gives his number to somebody else when all are taken.
const FORGOTTEN_AFTER_S: i64 = 24 * 3600;
/// Characters of a name.
const NAME_MAX: usize = 32;
/// How a key begins that was made here.
const KEY_MARK: &str = "demo";
/// Random bytes of a key; in hexadecimal digits and with the mark it has the 32 bytes that are allowed (protocol.md 7.6).
const KEY_BYTES: usize = 14;
/// Characters of a message.
const TEXT_MAX: usize = 4000;
/// Private messages that may wait for one user. Of all users that is 320 MB at most, on disk and in memory.
const WAITING_MAX: i64 = 20;
/// The rooms, and how much of each is kept.
const ROOMS: [&str; 3] = ["web_lobby", "web_music", "web_kitchen"];
const HISTORY: i64 = 50;

const BAD_NAME: Refusal = Refusal::new(
    StatusCode::BAD_REQUEST,
    "a name has 1 to 32 characters, none of them invisible",
);
const BAD_TEXT: Refusal = Refusal::new(StatusCode::BAD_REQUEST, "a message has 1 to 4000 characters");
const UNKNOWN: Refusal = Refusal::new(StatusCode::FORBIDDEN, "nobody here has this number and key");
const NOBODY: Refusal = Refusal::new(StatusCode::NOT_FOUND, "nobody here has this number");
const CROWDED: Refusal = Refusal::later(StatusCode::SERVICE_UNAVAILABLE, "all places are taken", 60);
const MAILBOX_FULL: Refusal = Refusal::later(
    StatusCode::TOO_MANY_REQUESTS,
    "too many private messages are waiting already",
    60,
);

/// What an action comes to.
type Did<T> = Result<T, Refusal>;

/// One request at work.
pub(super) struct Backend<'a> {
    pub(super) session: &'a mut InternalSession,
    pub(super) shared: &'a Shared,
    pub(super) dev: DevId,
}

impl Backend<'_> {
    /// Makes a user with a key of his own.
    pub(super) async fn enter(&mut self, name: &str) -> Did<Value> {
        let name = checked_name(name)?;
        let user = self.free_number().await?;
        let key = self.new_key()?;
        self.keep_histories().await?;
        let insert = "INSERT INTO users_auth (id, hash) VALUES (?, ?)";
        self.done(insert, &[number(user), text(&key)]).await?;
        self.set_name(user, name).await?;
        Ok(self.identity(user, &key, name))
    }

    /// Lets somebody in who has his key.
    pub(super) async fn come_back(&mut self, user: u32, key: &str) -> Did<Value> {
        self.check(user, key).await?;
        self.keep_histories().await?;
        let name = self.name_of(user).await?;
        Ok(self.identity(user, key, &name))
    }

    /// Gives a user another name.
    pub(super) async fn rename(&mut self, user: u32, key: &str, name: &str) -> Did<Value> {
        let name = checked_name(name)?;
        self.check(user, key).await?;
        self.set_name(user, name).await?;
        Ok(self.identity(user, key, name))
    }

    /// Sends to one person, online or not; the sender's other tabs and devices get a copy.
    pub(super) async fn private(&mut self, user: u32, key: &str, to: u32, said: String) -> Did<Value> {
        if said.is_empty() || said.chars().count() > TEXT_MAX {
            return Err(BAD_TEXT);
        }
        self.check(user, key).await?;
        if self.key_of(to).await?.is_none() {
            return Err(NOBODY);
        }
        for mailbox in [to, user] {
            let count = "SELECT COUNT(*) FROM users_messages WHERE id = ?";
            if self.first_int(count, &[number(mailbox)]).await? >= WAITING_MAX {
                return Err(MAILBOX_FULL);
            }
        }
        let body = json!({
            "from": {"id": user, "name": self.name_of(user).await?},
            "to": {"id": to, "name": self.name_of(to).await?},
            "text": said,
            "at": self.shared.clock.now().unix.0,
        });
        let sent = self.message(to, "private", &body).await?;
        if to != user {
            self.message(user, "sent", &body).await?;
        }
        let delivered = sent.delivered.unwrap_or_default();
        Ok(json!({"delivered": delivered.connections, "queued": delivered.queued}))
    }

    async fn message(&mut self, to: u32, event: &str, body: &Value) -> Did<Done> {
        let insert = "INSERT INTO users_messages (id, event, message) VALUES (?, ?, ?)";
        self.done(insert, &[number(to), text(event), text(&body.to_string())])
            .await
    }

    /// What a page needs to connect.
    fn identity(&self, user: u32, key: &str, name: &str) -> Value {
        json!({"dev_id": self.dev.0, "user_id": user, "user_key": key, "name": name, "rooms": ROOMS})
    }

    /// Refuses whoever is not who he says.
    async fn check(&mut self, user: u32, key: &str) -> Did<()> {
        let known = self.key_of(user).await?;
        let is_right = known.is_some_and(|known| same_secret(known.as_bytes(), key.as_bytes()));
        is_right.then_some(()).ok_or(UNKNOWN)
    }

    /// `None`: nobody has this number, or not from here.
    async fn key_of(&mut self, user: u32) -> Did<Option<String>> {
        let select = "SELECT hash FROM users_auth WHERE id = ?";
        let key = self.first_text(select, &[number(user)]).await?;
        Ok(key.filter(|key| is_ours(key)))
    }

    async fn name_of(&mut self, user: u32) -> Did<String> {
        let select = "SELECT data FROM users_data WHERE id = ?";
        let data = self.first_text(select, &[number(user)]).await?;
        let data: Option<Value> = data.and_then(|data| serde_json::from_str(&data).ok());
        let name = data.as_ref().and_then(|data| data["name"].as_str());
        Ok(name.map_or_else(|| format!("user {user}"), str::to_owned))
    }

    async fn set_name(&mut self, user: u32, name: &str) -> Did<()> {
        let insert = "INSERT INTO users_data (id, data) VALUES (?, ?)";
        let data = json!({ "name": name }).to_string();
        self.done(insert, &[number(user), text(&data)]).await.map(drop)
    }

    /// Rooms whose history has a length keep it.
    async fn keep_histories(&mut self) -> Did<()> {
        let select = "SELECT name FROM pipes_settings WHERE name IN (?, ?, ?)";
        let known = self.rows(select, &ROOMS.map(text)).await?;
        let known: Vec<&str> = known.iter().filter_map(first_text).collect();
        for room in ROOMS.iter().filter(|room| !known.contains(room)) {
            let insert = "INSERT INTO pipes_settings (name, length) VALUES (?, ?)";
            self.done(insert, &[text(room), Param::Int(HISTORY)]).await?;
        }
        Ok(())
    }

    /// A number that is nobody's. When all that were tried are taken, that of whoever has been away the longest.
    async fn free_number(&mut self) -> Did<u32> {
        let candidates = self.random_numbers()?;
        let places = places(candidates.len());
        let params: Vec<Param> = candidates.iter().copied().map(number).collect();
        let select = format!("SELECT id, hash FROM users_auth WHERE id IN ({places})");
        let with_key = self.rows(&select, &params).await?;
        // A user of the site who comes with a token has no key, but perhaps data.
        let select = format!("SELECT id FROM users_data WHERE id IN ({places})");
        let with_data = self.rows(&select, &params).await?;
        let taken: Vec<i64> = with_key.iter().chain(&with_data).filter_map(first_int).collect();
        let free = candidates.iter().find(|id| !taken.contains(&i64::from(**id)));
        match free {
            Some(free) => Ok(*free),
            None => self.take_number(&with_key).await,
        }
    }

    /// Removes one of these users, who are rows of `users_auth`, if there is one who may be removed.
    async fn take_number(&mut self, users: &[Row]) -> Did<u32> {
        let is_ours = |row: &&Row| matches!(&row[..], [_, Cell::Text(key)] if is_ours(key));
        let mut params: Vec<Param> = users
            .iter()
            .filter(is_ours)
            .filter_map(first_int)
            .map(Param::Int)
            .collect();
        if params.is_empty() {
            return Err(CROWDED);
        }
        // Not of anybody who is here now (0); first of those who never connected (-1).
        let select = format!(
            "SELECT id FROM users_time WHERE id IN ({}) AND time != 0 AND time < ? ORDER BY time LIMIT 1",
            places(params.len())
        );
        let now = i64::try_from(self.shared.clock.now().unix.seconds().0).unwrap_or(i64::MAX);
        params.push(Param::Int(now - FORGOTTEN_AFTER_S));
        let oldest = self.rows(&select, &params).await?;
        let oldest = oldest.first().and_then(first_int).ok_or(CROWDED)?;
        for table in ["users_auth", "users_messages"] {
            let delete = format!("DELETE FROM {table} WHERE id = ?");
            self.done(&delete, &[Param::Int(oldest)]).await?;
        }
        u32::try_from(oldest).map_err(|_| UNABLE)
    }

    fn random_numbers(&self) -> Did<Vec<u32>> {
        let bytes: [u8; 4 * CANDIDATES] = self.shared.entropy.bytes().map_err(|_| UNABLE)?;
        let (words, _) = bytes.as_chunks();
        Ok(words
            .iter()
            .map(|word| u32::from_ne_bytes(*word) % USERS_MAX + 1)
            .collect())
    }

    fn new_key(&self) -> Did<String> {
        let bytes: [u8; KEY_BYTES] = self.shared.entropy.bytes().map_err(|_| UNABLE)?;
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(format!("{KEY_MARK}{digits}"))
    }

    // Statements.

    async fn run(&mut self, statement: &str, params: &[Param]) -> Did<Outcome> {
        let reply = self
            .session
            .execute(statement, params)
            .await
            .map_err(|_| UNABLE)?;
        reply.result.map_err(|_| UNABLE)
    }

    async fn done(&mut self, statement: &str, params: &[Param]) -> Did<Done> {
        match self.run(statement, params).await? {
            Outcome::Done(done) => Ok(done),
            Outcome::Rows(_) => Err(UNABLE),
        }
    }

    async fn rows(&mut self, statement: &str, params: &[Param]) -> Did<Vec<Row>> {
        match self.run(statement, params).await? {
            Outcome::Rows(rows) => Ok(rows.rows),
            Outcome::Done(_) => Err(UNABLE),
        }
    }

    async fn first_int(&mut self, statement: &str, params: &[Param]) -> Did<i64> {
        let rows = self.rows(statement, params).await?;
        rows.first().and_then(first_int).ok_or(UNABLE)
    }

    async fn first_text(&mut self, statement: &str, params: &[Param]) -> Did<Option<String>> {
        let rows = self.rows(statement, params).await?;
        Ok(rows.first().and_then(first_text).map(str::to_owned))
    }
}

/// True if the key was made here.
fn is_ours(key: &str) -> bool {
    let digits = key.strip_prefix(KEY_MARK).unwrap_or_default();
    digits.len() == 2 * KEY_BYTES && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// So many `?` with commas between them.
fn places(count: usize) -> String {
    vec!["?"; count].join(", ")
}

fn first_text(row: &Row) -> Option<&str> {
    match row.first() {
        Some(Cell::Text(text)) => Some(text),
        Some(Cell::Int(_)) | None => None,
    }
}

fn first_int(row: &Row) -> Option<i64> {
    match row.first() {
        Some(Cell::Int(number)) => Some(*number),
        Some(Cell::Text(_)) | None => None,
    }
}

fn number(number: u32) -> Param {
    Param::UInt(number.into())
}

fn text(text: &str) -> Param {
    Param::Text(text.into())
}

fn checked_name(name: &str) -> Did<&str> {
    let name = name.trim();
    let is_good = name.chars().count() <= NAME_MAX
        && !name.contains(is_deceiving)
        && name.contains(|char: char| !is_joiner(char) && !char.is_whitespace());
    is_good.then_some(name).ok_or(BAD_NAME)
}

/// Part of some scripts and many emoji, but nothing by itself.
fn is_joiner(char: char) -> bool {
    matches!(char, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}')
}

/// What cannot be seen, or turns round what stands beside it: with it somebody could look like somebody else.
fn is_deceiving(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
            | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (name, expected) in [
            ("Ann", Some("Ann")),
            ("  Ann B. ", Some("Ann B.")),
            ("O'Neil \\ \"x\" 😀", Some("O'Neil \\ \"x\" 😀")),
            ("", None),
            (" \u{a0} ", None),
            ("a\0b", None),
            ("a\nb", None),
            ("👩\u{200d}🚀 ❤\u{fe0f}", Some("👩\u{200d}🚀 ❤\u{fe0f}")),
            ("\u{200d} \u{fe0f}", None),
            ("Ann\u{200b}", None),
            ("\u{202e}nnA", None),
            ("\u{3164}", None),
        ] {
            assert_eq!(checked_name(name).ok(), expected, "{name:?}");
        }
        assert!(checked_name(&"ü".repeat(32)).is_ok());
        assert!(checked_name(&"ü".repeat(33)).is_err());
    }
}
