//! What `messages_delivery` tells of a channel or of private messages, not of messages by their ids (protocol.md 7.17): of
//! each of them the same.

use comet_core::cometql::{Cell, Rows};

use super::delivery::tells;
use super::{Failure, Model, wrong};

impl Model {
    /// The answer tells of every message that is still there and of every private one, and of each as if it had been asked
    /// for. `channel` is `msg` for private messages.
    pub(super) fn delivery_of(
        &self,
        dev: u32,
        channel: &str,
        user: Option<u32>,
        seen: &Rows,
    ) -> Result<(), Failure> {
        let mut ids: Vec<String> = if channel == "msg" {
            let of = |m: &&super::Private| m.dev == dev && user.is_none_or(|user| m.user == user);
            let all = self.private.iter().filter(of);
            all.filter_map(|message| message.id.clone()).collect()
        } else {
            let kept = self.written.history_of(dev, channel);
            kept.map(|kept| kept.id.clone()).collect()
        };
        let id = |row: &Vec<Cell>| match row.first() {
            Some(Cell::Text(id)) => id.to_string(),
            Some(Cell::Int(_)) | None => String::new(),
        };
        ids.extend(seen.rows.iter().map(id));
        ids.sort();
        ids.dedup();
        let mut stories: Vec<_> = ids.iter().map(|id| self.story(dev, id)).collect();
        // What a page sent under a send key has an id even if nobody keeps it; then only the id is known here.
        let is_sent = |id: &str| channel != "msg" && self.identities.iter().any(|(_, sent)| sent == id);
        stories.retain(|story| !(story.is_empty() && is_sent(story.id())));
        let mut seen = seen.clone();
        seen.rows
            .retain(|row| stories.iter().any(|story| story.id() == id(row)));
        let all_known = ids.len() == stories.len()
            || ids
                .iter()
                .all(|id| is_sent(id) || stories.iter().any(|story| story.id() == id));
        if all_known && tells(&stories, false, &seen) {
            return Ok(());
        }
        wrong(
            "delivery",
            format!("{seen:?} of {channel} {user:?} of tenant {dev}, but {stories:?}"),
        )
    }
}
