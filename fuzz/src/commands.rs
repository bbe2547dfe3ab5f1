//! Commands of pages (protocol.md 2.6, protocol-v5.md 1): what a client puts together is understood as it was meant,
//! and whatever else arrives is understood as something or refused.

use arbitrary::{Result, Unstructured};
use comet_core::wire::{BadReason, ClientRequest, SubscribeMode, decode};
use comet_core::{ChannelKind, ChannelName, EventName, Marker, MessageId, SendKey, UserId};

const BODY_BYTES_MAX: usize = 64;

/// The first byte chooses: a command made of choices, or any text.
pub fn commands(data: &[u8]) {
    let Some((&kind, rest)) = data.split_first() else {
        return;
    };
    if kind % 4 > 0 {
        let _ = command(&mut Unstructured::new(rest));
    } else if let Ok(text) = std::str::from_utf8(rest) {
        let command = decode(text, BODY_BYTES_MAX);
        if let Ok(ClientRequest::Send(send)) = command.request {
            assert!(send.body.as_str().len() <= BODY_BYTES_MAX);
            assert!(text.ends_with(send.body.as_str()), "the body is verbatim");
        }
    }
}

fn command(choices: &mut Unstructured<'_>) -> Result<()> {
    let number = choices.choose(&[None, Some(1), Some(77), Some((1 << 53) - 1)])?;
    let number_text = number.map(|number: u64| format!(" {number}")).unwrap_or_default();
    let channel = name(
        choices,
        &[
            "web_a",
            "webauth_b",
            "track_c",
            "private_d",
            "trust_e",
            "ab",
            "a-_9",
            "msg",
        ],
    )?;
    let marker = name(choices, &["", "m", "undefined", "m-_9"])?;
    let user = choices.int_in_range(1..=UserId::MAX)?;
    let end = choices.choose(&["", "\n", "\n\n"])?;
    let (text, check): (String, Check) = match choices.int_in_range(0..=7u8)? {
        0 => (
            format!("pipe_log{number_text}\n{channel}\n{marker}{end}"),
            history(&channel, &marker),
        ),
        1 => (
            format!("pipe_count{number_text}\n{channel}\n{marker}{end}"),
            count(&channel, &marker),
        ),
        2 => (
            format!("track_pipe_users{number_text}\n{channel}\n{marker}{end}"),
            track(&channel, &marker),
        ),
        3 => {
            let wanted = ClientRequest::UserData {
                marker: a_marker(&marker),
                user: a_user(user),
            };
            (
                format!("user_data{number_text}\n{marker}\n{user}{end}"),
                is(wanted),
            )
        }
        4 => (
            format!("user_status{number_text}\n{user}{end}"),
            is(ClientRequest::UserStatus { user: a_user(user) }),
        ),
        5 => {
            let id = MessageId(choices.arbitrary()?);
            (format!("ack{number_text}\n{id}{end}"), is(ClientRequest::Ack(id)))
        }
        6 => subscribe(choices, &number_text)?,
        _ => send(choices, &number_text, channel)?,
    };
    let command = decode(&text, BODY_BYTES_MAX);
    assert_eq!(command.number.map(|number| number.get()), *number, "{text:?}");
    check(command.request.map_err(|bad| bad.reason));
    Ok(())
}

type Check = Box<dyn Fn(Result<ClientRequest, BadReason>)>;

fn is(wanted: ClientRequest) -> Check {
    Box::new(move |request| assert_eq!(request.as_ref(), Ok(&wanted)))
}

fn refused(reason: BadReason) -> Check {
    Box::new(move |request| assert_eq!(request.as_ref().err(), Some(&reason)))
}

fn history(channel: &str, marker: &str) -> Check {
    is(ClientRequest::History {
        channel: a_channel(channel),
        marker: a_marker(marker),
    })
}

fn count(channel: &str, marker: &str) -> Check {
    if channel.starts_with("web_") || channel.starts_with("track_") {
        is(ClientRequest::Count {
            channel: a_channel(channel),
            marker: a_marker(marker),
        })
    } else {
        refused(BadReason::ChannelRefused)
    }
}

fn track(channel: &str, marker: &str) -> Check {
    if channel.starts_with("track_") {
        is(ClientRequest::TrackUsers {
            channel: a_channel(channel),
            marker: a_marker(marker),
        })
    } else {
        refused(BadReason::ChannelRefused)
    }
}

/// Names with anything between them that is no name.
fn subscribe(choices: &mut Unstructured<'_>, number: &str) -> Result<(String, Check)> {
    let (word, mode) = *choices.choose(&[
        ("subscription", SubscribeMode::Replace),
        ("subscribe", SubscribeMode::Add),
        ("unsubscribe", SubscribeMode::Remove),
    ])?;
    let mut text = format!("{word}{number}\n");
    let mut wanted: Vec<String> = Vec::new();
    for _ in 0..choices.int_in_range(0..=5)? {
        let name = name(choices, &["web_a", "webauth_b", "track_c", "ab", "a-_9", "msg"])?;
        text.push_str(&name);
        text.push_str(choices.choose(&["\n", "\n\n", ".", " ", "\u{e9}", "\r\n", "\0", "/"])?);
        if name != "msg" && !wanted.contains(&name) {
            wanted.push(name);
        }
    }
    Ok((
        text,
        Box::new(move |request| {
            let Ok(ClientRequest::Subscribe(found)) = request else {
                panic!("{request:?} instead of a subscription");
            };
            let names: Vec<&str> = found.names.iter().map(ChannelName::as_str).collect();
            assert_eq!(
                (found.mode, names),
                (mode, wanted.iter().map(String::as_str).collect())
            );
            assert!(found.refused.is_empty() && found.refused_more == 0);
        }),
    ))
}

fn send(choices: &mut Unstructured<'_>, number: &str, channel: String) -> Result<(String, Check)> {
    let at = *choices.choose(&["", "@"])?;
    let event = name(choices, &["", "e", "my-event_1"])?;
    let flag = name(choices, &["*", "", "short", "a-send-key", "key_0123456789"])?;
    let length = choices.int_in_range(0..=70)?;
    let body = String::from_utf8_lossy(choices.bytes(choices.len().min(length))?).into_owned();
    let text = format!("web_pipe2{number}\n{at}{channel}\n{event}\n{flag}\n{body}");
    let allowed = match a_channel(&channel).kind() {
        ChannelKind::Web => true,
        ChannelKind::WebAuth => at.is_empty(),
        ChannelKind::Plain
        | ChannelKind::Track
        | ChannelKind::Private
        | ChannelKind::Trust
        | ChannelKind::Msg
        | ChannelKind::Answer => false,
    };
    if !allowed {
        return Ok((text, refused(BadReason::ChannelRefused)));
    }
    if body.len() > BODY_BYTES_MAX {
        return Ok((text, refused(BadReason::BodyTooLong)));
    }
    Ok((
        text,
        Box::new(move |request| {
            let Ok(ClientRequest::Send(found)) = request else {
                panic!("{request:?} instead of a message");
            };
            assert_eq!(found.channel, a_channel(&channel));
            assert_eq!(found.anonymous, at == "@");
            assert_eq!(found.event, EventName::parse(&event).expect("an event"));
            assert_eq!(found.body.as_str(), body);
            let key = (8..=64)
                .contains(&flag.len())
                .then(|| SendKey::parse(&flag).expect("a key"));
            assert_eq!(found.key, key);
        }),
    ))
}

/// One of these names, or one of any allowed length.
fn name(choices: &mut Unstructured<'_>, names: &[&str]) -> Result<String> {
    if choices.ratio(7, 8)? {
        return Ok((*choices.choose(names)?).to_owned());
    }
    let length = choices.int_in_range(8..=64)?;
    Ok("web_0123456789abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ_"[..length].to_owned())
}

fn a_channel(name: &str) -> ChannelName {
    ChannelName::from_browser(name).expect("a channel")
}

fn a_marker(text: &str) -> Marker {
    Marker::parse(text).expect("a marker")
}

fn a_user(number: u32) -> UserId {
    UserId::new(number).expect("a user")
}
