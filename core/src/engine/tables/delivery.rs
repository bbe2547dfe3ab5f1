//! `messages_delivery`: what happened to messages (protocol.md 7.17).

use alloc::string::ToString as _;
use alloc::vec;
use alloc::vec::Vec;

use super::{Core, RowId};
use crate::cometql::{Cell, Keys, Row};
use crate::engine::explain::{Line, PRIVATE, Story};
use crate::error::QueryError;
use crate::id::{DevId, UserId};
use crate::state::Address;

impl Core {
    /// A row for everything that is known of the messages, in order.
    pub(super) fn rows_of_messages_delivery(
        &self,
        dev: DevId,
        keys: &Keys,
    ) -> Result<Vec<(RowId, Row)>, QueryError> {
        let stories = self.stories(dev, keys)?;
        let rows = stories
            .iter()
            .flat_map(|story| story.lines.iter().map(|line| (RowId::ReadOnly, row(story, line))));
        Ok(rows.collect())
    }
}

fn row(story: &Story, line: &Line) -> Row {
    let int = |number: u64| Cell::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let name = match &story.to {
        Address::User(_) => PRIVATE,
        Address::Channel(channel) => channel.as_str(),
    };
    vec![
        Cell::text(&story.id.to_string()),
        int(line.at.seconds().0),
        int(line.at.0 % 1000),
        Cell::text(name),
        int(line.user.map_or(0, UserId::get).into()),
        Cell::text(line.what),
        int(line.session.map_or(0, |session| session.0)),
        int(line.conn.map_or(0, |conn| conn.0)),
        Cell::text(line.uuid.as_str()),
        Cell::text(&line.detail),
    ]
}
