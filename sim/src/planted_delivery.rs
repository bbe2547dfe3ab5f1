//! Mistakes in what is told of the way of a message (protocol.md 7.17), made on purpose.

use comet_core::cometql::{Cell, Rows};
use comet_core::{Action, Answer, Reply};

use crate::planted::Bug;

/// What stands in the place of an action; `None` = itself.
pub(crate) fn spoil(bug: Bug, action: &Action) -> Option<Action> {
    let Action::Reply { session, req, reply } = action else {
        return None;
    };
    let Ok(Answer::Rows(rows)) = &reply.result else {
        return None;
    };
    let what = rows.columns.iter().position(|column| &**column == "what")?;
    let rows = retold(bug, what, rows.clone());
    Some(Action::Reply {
        session: *session,
        req: *req,
        reply: Reply {
            result: Ok(Answer::Rows(rows)),
            in_transaction: reply.in_transaction,
        },
    })
}

fn retold(bug: Bug, what: usize, mut rows: Rows) -> Rows {
    let is = |row: &[Cell], word: &str| row.get(what).is_some_and(|cell| *cell == Cell::text(word));
    if bug == Bug::HideWaiting {
        rows.rows.retain(|row| !is(row, "waiting"));
    }
    let connection = rows.columns.iter().position(|column| &**column == "connection");
    for row in &mut rows.rows {
        if bug == Bug::TellDelivered && is(row, "unacknowledged") {
            row[what] = Cell::text("acknowledged");
        }
        if bug == Bug::OtherDevice
            && is(row, "sent")
            && let Some(Cell::Int(conn)) = connection.and_then(|at| row.get_mut(at))
        {
            *conn += 1;
        }
    }
    rows
}
