//! The same statements as drivers send them that prepare: a template with `?`, and values that need no quoting.

use std::sync::Arc;

use comet_core::cometql::Param;

use super::{Ask, Look};

fn text(text: &str) -> Param {
    Param::Text(Arc::from(text))
}

impl Ask {
    /// The template and its values; `None` for statements that nobody prepares.
    pub fn prepared(&self) -> Option<(String, Vec<Param>)> {
        let with = |template: &str, values: Vec<Param>| Some((template.to_owned(), values));
        match self {
            Self::Private(rows) => {
                let places = vec!["(?, ?, ?)"; rows.len()].join(", ");
                let values = rows
                    .iter()
                    .flat_map(|row| [Param::UInt(row.user.into()), text(&row.event), text(&row.body)]);
                let template = format!("INSERT INTO users_messages (id, event, message) VALUES {places}");
                with(&template, values.collect())
            }
            Self::Publish(rows) => {
                let places = vec!["(?, ?, ?)"; rows.len()].join(", ");
                let values = rows
                    .iter()
                    .flat_map(|row| [text(&row.channel), text(&row.event), text(&row.body)]);
                let template = format!("INSERT INTO pipes_messages (name, event, message) VALUES {places}");
                with(&template, values.collect())
            }
            Self::SetKey { user, hash } => with(
                "INSERT INTO users_auth (id, hash) VALUES (?, ?)",
                vec![Param::Int((*user).into()), text(hash)],
            ),
            Self::SetData { user, data } => with(
                "INSERT INTO users_data (id, data) VALUES (?, ?)",
                vec![text(&user.to_string()), text(data)],
            ),
            Self::DelQueue { user } => with(
                "DELETE FROM users_messages WHERE id = ?",
                vec![Param::Int((*user).into())],
            ),
            Self::Look(Look::Queue { user }) => with(
                "SELECT * FROM users_messages WHERE id = ?",
                vec![Param::UInt((*user).into())],
            ),
            Self::Look(Look::Times { users }) => {
                let places = vec!["?"; users.len()].join(",");
                let values = users.iter().map(|user| Param::UInt((*user).into()));
                let template = format!("SELECT id, time FROM users_time WHERE id IN ({places})");
                with(&template, values.collect())
            }
            Self::Delivery { ids, words: true } => {
                with("EXPLAIN DELIVERY FOR ?", ids.iter().map(|id| text(id)).collect())
            }
            Self::Delivery { .. }
            | Self::DeliveryOf { .. }
            | Self::Look(_)
            | Self::Console(_)
            | Self::Use { .. }
            | Self::DelKey { .. }
            | Self::DelData { .. }
            | Self::SetLength { .. }
            | Self::DelLength { .. }
            | Self::DelHistory { .. }
            | Self::DelMessage { .. }
            | Self::Revoke { .. }
            | Self::Restore { .. }
            | Self::Begin
            | Self::End
            | Self::Wrong { .. } => None,
        }
    }
}
