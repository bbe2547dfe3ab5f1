//! Browser commands (protocol.md 2.6): one text message in, one typed request out.
//!
//! Everything that can be decided from the text alone is decided here, so the engine sees checked names only. What
//! depends on the connection (is it authorized? how many channels may it have?) is the engine's business.

mod subscription;

use super::{
    BadReason, BadRequest, ClientRequest, Command, CommandNumber, ErrorExtra, SendRequest, SubscribeMode,
};
use crate::id::{MessageId, UserId};
use crate::name::{Body, ChannelKind, ChannelName, EventName, Marker, SendKey};

pub use subscription::NAMES_MAX;

/// Decodes one text message. `body_bytes_max` is `main.max_message_body`.
///
/// The command word must match exactly (Q18); version 5 may put a number behind it (protocol-v5.md 1). Which dialect may
/// use what is the engine's business. Line feeds at the end are tolerated, except in the body of `web_pipe2`, which is
/// taken verbatim.
pub fn decode(text: &str, body_bytes_max: usize) -> Command {
    let (line, arguments) = text.split_once('\n').unwrap_or((text, ""));
    let Some((word, number)) = line.split_once(' ') else {
        let request = request(line, arguments, body_bytes_max);
        return Command {
            number: None,
            request,
        };
    };
    match CommandNumber::parse(number) {
        Some(number) => Command {
            number: Some(number),
            request: request(word, arguments, body_bytes_max),
        },
        None => Command {
            number: None,
            request: Err(refuse(BadReason::UnknownCommand, ErrorExtra::Plain)),
        },
    }
}

fn request(word: &str, arguments: &str, body_bytes_max: usize) -> Result<ClientRequest, BadRequest> {
    let subscribe = |mode| Ok(ClientRequest::Subscribe(subscription::names(mode, arguments)));
    match word {
        "subscription" => subscribe(SubscribeMode::Replace),
        "subscribe" => subscribe(SubscribeMode::Add),
        "unsubscribe" => subscribe(SubscribeMode::Remove),
        "web_pipe2" => send(arguments, body_bytes_max).map(ClientRequest::Send),
        "pipe_log" => history(arguments).map_err(|reason| refuse(reason, ErrorExtra::Plain)),
        "pipe_count" => count(arguments).map_err(|reason| refuse(reason, ErrorExtra::NumberMessages)),
        "track_pipe_users" => track_users(arguments).map_err(|reason| refuse(reason, ErrorExtra::UserId)),
        "user_data" => user_data(arguments).map_err(|reason| refuse(reason, ErrorExtra::UserData)),
        "user_status" => user_status(arguments).map_err(|reason| refuse(reason, ErrorExtra::Plain)),
        "statistics" => Ok(ClientRequest::Statistics),
        "ack" => MessageId::parse(arguments.trim_end_matches('\n'))
            .map(ClientRequest::Ack)
            .ok_or_else(|| refuse(BadReason::BadMessageId, ErrorExtra::Plain)),
        "web_pipe" | "CometQL_call" | "cgi_call" => Err(refuse(BadReason::NotSupported, ErrorExtra::Plain)),
        _ => Err(refuse(BadReason::UnknownCommand, ErrorExtra::Plain)),
    }
}

fn refuse(reason: BadReason, extra: ErrorExtra) -> BadRequest {
    BadRequest {
        reason,
        extra,
        report_to: None,
    }
}

/// `["@"] name LF event LF flag LF body`; `@` hides the sender (S47). A refusal is reported to the channel, if the name is one (Q23).
fn send(arguments: &str, body_bytes_max: usize) -> Result<SendRequest, BadRequest> {
    let (target, rest) = match arguments.split_once('\n') {
        Some((target, rest)) => (target, Some(rest)),
        None => (arguments, None),
    };
    let (name, anonymous) = match target.strip_prefix('@') {
        Some(name) => (name, true),
        None => (target, false),
    };
    let Ok(channel) = ChannelName::from_browser(name) else {
        let reason = if arguments.is_empty() {
            BadReason::Incomplete
        } else {
            BadReason::BadChannel
        };
        return Err(refuse(reason, ErrorExtra::NumberMessages));
    };
    match message(&channel, anonymous, rest, body_bytes_max) {
        Ok((event, key, body)) => Ok(SendRequest {
            channel,
            anonymous,
            event,
            body,
            key,
        }),
        Err(reason) => Err(BadRequest {
            reason,
            extra: ErrorExtra::NumberMessages,
            report_to: Some(channel),
        }),
    }
}

/// The part of `web_pipe2` behind the name. `rest` is `None` if nothing follows.
fn message(
    channel: &ChannelName,
    anonymous: bool,
    rest: Option<&str>,
    body_bytes_max: usize,
) -> Result<(EventName, Option<SendKey>, Body), BadReason> {
    if !sendable(channel.kind(), anonymous) {
        return Err(BadReason::ChannelRefused);
    }
    let (event, rest) = rest
        .and_then(|rest| rest.split_once('\n'))
        .ok_or(BadReason::Incomplete)?;
    let event = EventName::parse(event).map_err(|_| BadReason::BadEvent)?;
    let (flag, body) = rest.split_once('\n').ok_or(BadReason::Incomplete)?;
    if body.len() > body_bytes_max {
        return Err(BadReason::BodyTooLong);
    }
    Ok((event, SendKey::parse(flag).ok(), Body::new(body)))
}

/// Whether a browser may send there at all; that `webauth_*` needs an authorized connection is looked at later.
fn sendable(kind: ChannelKind, anonymous: bool) -> bool {
    match kind {
        ChannelKind::Web => true,
        ChannelKind::WebAuth => !anonymous,
        ChannelKind::Plain
        | ChannelKind::Track
        | ChannelKind::Private
        | ChannelKind::Trust
        | ChannelKind::Msg
        | ChannelKind::Answer => false,
    }
}

fn history(arguments: &str) -> Result<ClientRequest, BadReason> {
    let (channel, marker) = channel_and_marker(arguments)?;
    Ok(ClientRequest::History { channel, marker })
}

fn count(arguments: &str) -> Result<ClientRequest, BadReason> {
    let (channel, marker) = channel_and_marker(arguments)?;
    // Plain channels are refused (S58); track lists are open anyway (Q24).
    let open = matches!(channel.kind(), ChannelKind::Web | ChannelKind::Track);
    if open {
        Ok(ClientRequest::Count { channel, marker })
    } else {
        Err(BadReason::ChannelRefused)
    }
}

fn track_users(arguments: &str) -> Result<ClientRequest, BadReason> {
    let (channel, marker) = channel_and_marker(arguments)?;
    if channel.kind() == ChannelKind::Track {
        Ok(ClientRequest::TrackUsers { channel, marker })
    } else {
        Err(BadReason::ChannelRefused)
    }
}

/// `name LF marker [LF]`; a missing marker is an empty one (protocol.md 1).
fn channel_and_marker(arguments: &str) -> Result<(ChannelName, Marker), BadReason> {
    let arguments = arguments.trim_end_matches('\n');
    if arguments.is_empty() {
        return Err(BadReason::Incomplete);
    }
    let (name, marker) = arguments.split_once('\n').unwrap_or((arguments, ""));
    let channel = ChannelName::from_browser(name).map_err(|_| BadReason::BadChannel)?;
    let marker = Marker::parse(marker).map_err(|_| BadReason::BadMarker)?;
    Ok((channel, marker))
}

/// `marker LF user_id [LF]`.
fn user_data(arguments: &str) -> Result<ClientRequest, BadReason> {
    let (marker, user) = arguments.split_once('\n').ok_or(BadReason::Incomplete)?;
    let marker = Marker::parse(marker).map_err(|_| BadReason::BadMarker)?;
    let user = user_id(user)?;
    Ok(ClientRequest::UserData { marker, user })
}

fn user_status(arguments: &str) -> Result<ClientRequest, BadReason> {
    let user = user_id(arguments)?;
    Ok(ClientRequest::UserStatus { user })
}

fn user_id(line: &str) -> Result<UserId, BadReason> {
    let digits = line.trim_end_matches('\n');
    if digits.is_empty() {
        return Err(BadReason::Incomplete);
    }
    UserId::parse(digits).ok_or(BadReason::BadUser)
}

#[cfg(test)]
mod tests;
