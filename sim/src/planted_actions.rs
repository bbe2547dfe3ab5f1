//! What a faulty adapter looks for in events and actions, and how it bends them.

use comet_core::wire::ClientRequest;
use comet_core::{Action, CloseCause, Event, Frame, OpId, Record, UserId};

/// The number of a record that stores a private message, and for whom. Only rows for several users tear unseen by the
/// search for an order, which looks at one queue at a time.
pub(crate) fn row(action: &Action) -> Option<(OpId, UserId)> {
    let Action::Persist { op, record } = action else {
        return None;
    };
    let Record::MessageQueued { user, .. } = record else {
        return None;
    };
    Some((*op, *user))
}

pub(crate) fn is_queued(action: &Action) -> bool {
    let Action::Persist { record, .. } = action else {
        return false;
    };
    matches!(record, Record::MessageQueued { .. })
}

pub(crate) fn is_ack(event: &Event) -> bool {
    let Event::Request { command, .. } = event else {
        return false;
    };
    command.number.is_none() && matches!(command.request, Ok(ClientRequest::Ack(_)))
}

pub(crate) fn is_kick(action: &Action) -> bool {
    let cause = CloseCause::Kicked;
    matches!(action, Action::Close { cause: told, .. } if *told == cause)
}

pub(crate) fn text_of(action: &Action) -> &str {
    match action {
        Action::Send { frame, .. } => frame.as_str(),
        Action::Probe { .. }
        | Action::Close { .. }
        | Action::Reply { .. }
        | Action::CloseSession { .. }
        | Action::Persist { .. }
        | Action::Ready(_)
        | Action::Room(_) => "",
    }
}

pub(crate) fn is_private(action: &Action) -> bool {
    text_of(action).contains(r#""pipe":"msg""#)
}

pub(crate) fn is_channel_message(action: &Action) -> bool {
    let text = text_of(action);
    ["web_a", "web_b", "plain-1", "trust_a"]
        .iter()
        .any(|name| text.contains(&format!(r#""pipe":"{name}""#)))
        && !text.contains(r#""history""#)
}

pub(crate) fn rewritten(action: &Action, from: &str, to: &str) -> Option<Action> {
    let Action::Send {
        to: recipients,
        frame,
    } = action
    else {
        return None;
    };
    let frame = Frame::new(frame.as_str().replacen(from, to, 1));
    let changed = Action::Send {
        to: recipients.clone(),
        frame,
    };
    (changed != *action).then_some(changed)
}

pub(crate) fn swap(actions: &mut [Action], which: fn(&Action) -> bool) {
    let places: Vec<_> = (0..actions.len()).filter(|at| which(&actions[*at])).collect();
    if let [first, .., last] = places[..] {
        actions.swap(first, last);
    }
}
