//! Answers that are given too early, on purpose: a statement that stores nothing because of others is told OK before
//! those are stored (protocol.md Appendix B).

use comet_core::{Action, Answer, Delivered, Done, Reply, RequestId, SessionId};

use crate::backend::Ask;
use crate::model::Cause;
use crate::planted::Bug;
use crate::world::recipients;

/// The statements that were answered too early, by session and number.
#[derive(Debug, Default)]
pub(crate) struct Early {
    told: Vec<(SessionId, RequestId)>,
}

impl Early {
    /// Answers a statement that would have to wait, and drops its real answer when that comes.
    pub(crate) fn spoil(&mut self, bug: Bug, cause: &Cause, actions: &mut Vec<Action>) {
        let is_told = |action: &Action| matches!(action, Action::Reply { session, req, .. } if self.told.contains(&(*session, *req)));
        actions.retain(|action| !is_told(action));
        let is_own = |action: &Action| matches!(action, Action::Reply { .. } | Action::Persist { .. });
        if let Cause::Query { session, req, ask } = cause
            && let Some(done) = guess(bug, ask, actions)
            && !actions.iter().any(is_own)
        {
            let (session, req) = (SessionId(*session), RequestId(*req));
            self.told.push((session, req));
            let reply = Reply {
                result: Ok(Answer::Done(done)),
                in_transaction: false,
            };
            actions.push(Action::Reply { session, req, reply });
        }
    }
}

/// What a statement will be told that made no record; `None`: it is not one of those the mistake is about.
fn guess(bug: Bug, ask: &Ask, actions: &[Action]) -> Option<Done> {
    match ask {
        Ask::Publish(rows) => {
            let sent = actions.iter().filter_map(|action| {
                let Action::Send { to, .. } = action else {
                    return None;
                };
                Some(recipients(to).len() as u64)
            });
            let done = Done {
                affected: rows.len() as u64,
                insert_id: 0,
                delivered: Some(Delivered {
                    connections: sent.sum(),
                    queued: 0,
                }),
            };
            (bug == Bug::InsertEarly).then_some(done)
        }
        Ask::DelKey { .. }
        | Ask::DelData { .. }
        | Ask::DelLength { .. }
        | Ask::DelHistory { .. }
        | Ask::DelMessage { .. }
        | Ask::DelQueue { .. }
        | Ask::Restore { .. } => (bug == Bug::DeleteEarly).then(Done::default),
        Ask::Private(_)
        | Ask::SetKey { .. }
        | Ask::SetData { .. }
        | Ask::SetLength { .. }
        | Ask::Revoke { .. }
        | Ask::Look(_)
        | Ask::Delivery { .. }
        | Ask::DeliveryOf { .. }
        | Ask::Console(_)
        | Ask::Use { .. }
        | Ask::Begin
        | Ask::End
        | Ask::Wrong { .. } => None,
    }
}
