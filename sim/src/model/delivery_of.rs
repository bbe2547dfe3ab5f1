//! What `messages_delivery` tells of a channel or of private messages, not of messages by their ids (protocol.md 7.17): of
//! each of them the same.

use comet_core::cometql::{Cell, Rows};

use super::delivery::{PRIVATE, tells};
use super::{Failure, Fate, Model, wrong};

/// An answer about several messages has at most so many rows.
const ROWS_MAX: usize = 20_000;

impl Model {
    /// The answer tells of every message that is still there, of every private one, and of every other one that is
    /// remembered; and of each as if it had been asked for. `channel` is `msg` for private messages.
    pub(super) fn delivery_of(
        &self,
        dev: u32,
        channel: &str,
        user: Option<u32>,
        seen: &Rows,
    ) -> Result<(), Failure> {
        if seen.rows.len() > ROWS_MAX && seen.rows.iter().any(|row| row.first() != seen.rows[0].first()) {
            return wrong("delivery", format!("{} rows", seen.rows.len()));
        }
        let mut ids: Vec<String> = if channel == PRIVATE {
            let of = |m: &&super::Private| m.dev == dev && user.is_none_or(|user| m.user == user);
            let all = self.private.iter().filter(of);
            all.filter_map(|message| message.id.clone()).collect()
        } else {
            let kept = self.written.history_of(dev, channel);
            let kept = kept.map(|kept| kept.id.clone());
            kept.chain(self.remembered_of(dev, channel)).collect()
        };
        let id = |row: &Vec<Cell>| match row.first() {
            Some(Cell::Text(id)) => id.to_string(),
            Some(Cell::Int(_)) | None => String::new(),
        };
        let is_his = |row: &&Vec<Cell>| channel != PRIVATE || ids.contains(&id(row));
        if let Some(row) = seen.rows.iter().find(|row| !is_his(row)) {
            return wrong("delivery", format!("{row:?} is not of {user:?} of tenant {dev}"));
        }
        ids.extend(seen.rows.iter().map(id));
        ids.sort();
        ids.dedup();
        for told in &ids {
            let story = self.story(dev, told);
            let rows = seen.rows.iter().filter(|row| id(row) == *told);
            let of_it = Rows {
                columns: seen.columns.clone(),
                rows: rows.cloned().collect(),
            };
            if !tells(std::slice::from_ref(&story), false, &of_it) {
                let text = format!("{of_it:?} of {channel} {user:?} of tenant {dev}, but {story:?}");
                return wrong("delivery", text);
            }
        }
        Ok(())
    }

    /// True if there may be more to tell of a tenant's messages than an answer may have: three rows for each thing that
    /// happened (accepted, not stored, stored), and for each message that waits.
    pub(super) fn is_too_much_to_tell(&self, dev: u32) -> bool {
        let own = |happened: &&super::delivery::Happened| happened.is_of(dev, self.life);
        let happened = self.happened.iter().chain(&self.reads).filter(own).count();
        let owed = |message: &&super::Private| message.dev == dev && message.fate == Fate::Owed;
        3 * (happened + self.private.iter().filter(owed).count()) > ROWS_MAX
    }
}
