//! What a back end does to the server, and what the server then holds: statements of all durable kinds, and a small model
//! of their effect that shares nothing with the core.

use std::collections::{BTreeMap, BTreeSet};

use comet_sim::prng::Prng;

/// Users, channels and tokens of one worker; nobody else touches them.
pub(crate) const USERS: u32 = 4;
const CHANNELS: u64 = 3;
const TOKENS: u64 = 6;

/// Users of a worker begin with this number.
pub(crate) const fn first_user(worker: u32) -> u32 {
    1000 * (worker + 1)
}

/// The name of a channel of a worker. The last one has a history without a setting.
pub(crate) fn channel(worker: u32, number: u64) -> String {
    if number + 1 == CHANNELS {
        format!("trust_w{worker}")
    } else {
        format!("room_w{worker}_{number}")
    }
}

/// One statement that changes what survives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Statement {
    SetKey(u32, String),
    DeleteKey(u32),
    SetData(u32, String),
    DeleteData(u32),
    Queue(u32, String),
    EmptyQueue(u32),
    SetLength(String, usize),
    DeleteSetting(String),
    Publish(String, String),
    EmptyHistory(String),
    Revoke(String),
    Restore(String),
}

impl Statement {
    /// The `number`-th statement of a worker: texts are never the same twice.
    pub(crate) fn drawn(worker: u32, number: u64, luck: &mut Prng) -> Self {
        let user = first_user(worker) + luck.below(u64::from(USERS)) as u32;
        let channel = channel(worker, luck.below(CHANNELS));
        let token = format!("token_w{worker}_{}", luck.below(TOKENS));
        let long = "x".repeat(if luck.percent(5) {
            luck.below(6000) as usize
        } else {
            0
        });
        let text = format!("{number} it's Я{long}");
        match luck.below(100) {
            0..=7 => Self::SetKey(user, format!("h{number}")),
            8..=11 => Self::DeleteKey(user),
            12..=23 => Self::SetData(user, text),
            24..=27 => Self::DeleteData(user),
            28..=49 => Self::Queue(user, text),
            50..=53 => Self::EmptyQueue(user),
            54..=59 => Self::SetLength(channel, luck.between(1, 20) as usize),
            60..=61 => Self::DeleteSetting(channel),
            62..=83 => Self::Publish(channel, text),
            84..=86 => Self::EmptyHistory(channel),
            87..=94 => Self::Revoke(token),
            _ => Self::Restore(token),
        }
    }

    pub(crate) fn sql(&self) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
        match self {
            Self::SetKey(user, key) => {
                format!(
                    "INSERT INTO users_auth (id, hash) VALUES ({user}, {})",
                    quoted(key)
                )
            }
            Self::DeleteKey(user) => format!("DELETE FROM users_auth WHERE id = {user}"),
            Self::SetData(user, text) => {
                format!(
                    "INSERT INTO users_data (id, data) VALUES ({user}, {})",
                    quoted(text)
                )
            }
            Self::DeleteData(user) => format!("DELETE FROM users_data WHERE id = {user}"),
            Self::Queue(user, text) => format!(
                "INSERT INTO users_messages (id, event, message) VALUES ({user}, 'n', {})",
                quoted(text)
            ),
            Self::EmptyQueue(user) => format!("DELETE FROM users_messages WHERE id = {user}"),
            Self::SetLength(name, length) => {
                format!("INSERT INTO pipes_settings (name, length) VALUES ('{name}', {length})")
            }
            Self::DeleteSetting(name) => format!("DELETE FROM pipes_settings WHERE name = '{name}'"),
            Self::Publish(name, text) => format!(
                "INSERT INTO pipes_messages (name, event, message) VALUES ('{name}', 'n', {})",
                quoted(text)
            ),
            Self::EmptyHistory(name) => format!("DELETE FROM pipes_messages WHERE name = '{name}'"),
            Self::Revoke(token) => format!("INSERT INTO revoked_tokens (token) VALUES ('{token}')"),
            Self::Restore(token) => format!("DELETE FROM revoked_tokens WHERE token = '{token}'"),
        }
    }
}

/// What a worker's users, channels and tokens have.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Holdings {
    pub(crate) keys: BTreeMap<u32, String>,
    pub(crate) data: BTreeMap<u32, String>,
    /// Unpaid private messages, in order; users without any are not in it.
    pub(crate) queues: BTreeMap<u32, Vec<String>>,
    pub(crate) lengths: BTreeMap<String, usize>,
    /// In order; channels without any are not in it.
    pub(crate) histories: BTreeMap<String, Vec<String>>,
    pub(crate) tokens: BTreeSet<String>,
}

impl Holdings {
    /// The effect of a statement, as protocol.md 4.3, 5, 6 and 7 say.
    pub(crate) fn apply(&mut self, statement: &Statement) {
        match statement.clone() {
            Statement::SetKey(user, key) => {
                self.keys.insert(user, key);
            }
            Statement::DeleteKey(user) => {
                self.keys.remove(&user);
            }
            Statement::SetData(user, text) => {
                self.data.insert(user, text);
            }
            Statement::DeleteData(user) => {
                self.data.remove(&user);
            }
            Statement::Queue(user, text) => self.queues.entry(user).or_default().push(text),
            Statement::EmptyQueue(user) => {
                self.queues.remove(&user);
            }
            Statement::SetLength(name, length) => {
                self.lengths.insert(name.clone(), length);
                self.trim(&name);
            }
            Statement::DeleteSetting(name) => {
                // Without a row there is nothing to delete, also where there is a history all the same.
                if self.lengths.remove(&name).is_some() {
                    self.histories.remove(&name);
                }
            }
            Statement::Publish(name, text) => {
                if self.kept(&name) > 0 {
                    self.histories.entry(name.clone()).or_default().push(text);
                    self.trim(&name);
                }
            }
            Statement::EmptyHistory(name) => {
                self.histories.remove(&name);
            }
            Statement::Revoke(token) => {
                self.tokens.insert(token);
            }
            Statement::Restore(token) => {
                self.tokens.remove(&token);
            }
        }
    }

    fn kept(&self, name: &str) -> usize {
        if name.starts_with("trust_") {
            return 99;
        }
        self.lengths.get(name).copied().unwrap_or(0)
    }

    fn trim(&mut self, name: &str) {
        let kept = self.kept(name);
        if let Some(history) = self.histories.get_mut(name) {
            let over = history.len().saturating_sub(kept);
            history.drain(..over);
        }
    }

    /// The first difference, for a person.
    pub(crate) fn difference(&self, found: &Self) -> String {
        fn of<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
            what: &str,
            expected: &BTreeMap<K, V>,
            found: &BTreeMap<K, V>,
        ) -> Option<String> {
            let keys: BTreeSet<&K> = expected.keys().chain(found.keys()).collect();
            let key = keys.into_iter().find(|key| expected.get(key) != found.get(key))?;
            let short = |value: Option<&V>| format!("{value:?}").chars().take(300).collect::<String>();
            Some(format!(
                "{what} of {key:?}: expected {}, found {}",
                short(expected.get(key)),
                short(found.get(key))
            ))
        }
        of("key", &self.keys, &found.keys)
            .or_else(|| of("data", &self.data, &found.data))
            .or_else(|| of("queue", &self.queues, &found.queues))
            .or_else(|| of("length", &self.lengths, &found.lengths))
            .or_else(|| of("history", &self.histories, &found.histories))
            .unwrap_or_else(|| format!("tokens: expected {:?}, found {:?}", self.tokens, found.tokens))
    }
}

/// What one worker did and was told. Statements of a session are carried out and stored in their order, so after a crash
/// the server holds what the first so many of them lead to, and that many are at least the acknowledged ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    /// What was certain at the last check.
    pub(crate) base: Holdings,
    /// Sent since then.
    pub(crate) sent: Vec<Statement>,
    /// So many of them were answered OK.
    pub(crate) acknowledged: usize,
}

impl Book {
    /// Compares, and makes what was found the new base.
    pub(crate) fn check(&mut self, found: Holdings) -> Result<(), String> {
        let mut state = self.base.clone();
        let mut least = None;
        for at in 0..=self.sent.len() {
            if at >= self.acknowledged && state == found {
                *self = Self {
                    base: found,
                    ..Self::default()
                };
                return Ok(());
            }
            if at == self.acknowledged {
                least = Some(state.clone());
            }
            if let Some(statement) = self.sent.get(at) {
                state.apply(statement);
            }
        }
        Err(format!(
            "{} statements sent, {} acknowledged, and the server holds none of the states from there on; with the \
             acknowledged ones: {}",
            self.sent.len(),
            self.acknowledged,
            least.unwrap_or_default().difference(&found),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn book() -> Book {
        let sent = ["a", "b", "c"].map(|text| Statement::Queue(1000, text.into()));
        Book {
            base: Holdings::default(),
            sent: sent.into(),
            acknowledged: 2,
        }
    }

    fn holding(texts: &[&str]) -> Holdings {
        let mut holdings = Holdings::default();
        for text in texts {
            holdings.apply(&Statement::Queue(1000, (*text).into()));
        }
        holdings
    }

    /// The checker itself: a loss, a repetition, a wrong order and something never sent are all found.
    #[test]
    fn a_book_accepts_what_may_be_and_nothing_else() {
        for good in [&["a", "b"][..], &["a", "b", "c"]] {
            assert_eq!(book().check(holding(good)), Ok(()));
        }
        for bad in [
            &["a"][..],
            &["a", "b", "b"],
            &["b", "a"],
            &["a", "c"],
            &["a", "b", "c", "d"],
        ] {
            assert!(book().check(holding(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn histories_are_trimmed() {
        let mut holdings = Holdings::default();
        let name = || "room_w0_0".to_owned();
        holdings.apply(&Statement::Publish(name(), "before".into()));
        holdings.apply(&Statement::SetLength(name(), 2));
        for text in ["1", "2", "3"] {
            holdings.apply(&Statement::Publish(name(), text.into()));
        }
        assert_eq!(holdings.histories[&name()], ["2", "3"]);
        holdings.apply(&Statement::SetLength(name(), 1));
        assert_eq!(holdings.histories[&name()], ["3"]);
        holdings.apply(&Statement::DeleteSetting(name()));
        assert_eq!(holdings, Holdings::default());
    }
}
