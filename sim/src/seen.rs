//! What a browser makes of a frame: the JSON is parsed as a client would, and a frame that breaks the rules of
//! protocol.md 2.5 is a failure, whatever it says.

mod exact;

use serde_json::Value;

use crate::browser::Version;
use crate::names::view;

/// A frame, understood, and which command it answers.
#[derive(Clone, PartialEq, Debug)]
pub struct Told {
    /// `re`, in version 5 only.
    pub re: Option<u64>,
    /// What it says.
    pub seen: Seen,
}

/// What a frame says. Texts are as the application sees them.
#[derive(Clone, PartialEq, Debug)]
pub enum Seen {
    /// F1.
    Info { authorized: bool, key: String },
    /// F4, F5.
    Private {
        id: String,
        event: String,
        view: String,
        queued: bool,
        time: u64,
    },
    /// F2, F3.
    Message {
        pipe: String,
        event: String,
        view: String,
        user: Option<u64>,
        /// Version 5 only, and only if the message has one.
        id: Option<String>,
        time: u64,
    },
    /// F6.
    History {
        pipe: String,
        event: String,
        view: String,
        user: u64,
        marker: Option<String>,
        /// Version 5 only.
        id: Option<String>,
        time: u64,
    },
    /// F7.
    Status { pipe: String, online: bool, time: u64 },
    /// F8.
    Track {
        pipe: String,
        joined: bool,
        user: u64,
        uuid: String,
        time: u64,
    },
    /// F9 before version 5; `failed` if its `error` says something.
    Report {
        pipe: String,
        count: u64,
        body: String,
        failed: bool,
    },
    /// F10.
    Count { marker: String, users: u64 },
    /// F11.
    Users {
        marker: String,
        users: Vec<(u64, String)>,
    },
    /// F12.
    Data { marker: String, user: u64, data: String },
    /// F13.
    Last { pipe: String, seconds: i64 },
    /// F14 with its extra key.
    Error { extra: Extra },
    /// The copy of an F14 for `#channel`.
    ErrorReport { pipe: String },
    /// F15.
    Fatal { code: u64 },
    /// F9 of version 5.
    Outcome {
        pipe: String,
        count: u64,
        failed: bool,
        id: Option<String>,
        repeated: bool,
    },
    /// F14 of version 5 with its `code`.
    Refused { code: String },
    /// The channels of a connection of version 5, and the names that are refused with their codes, sorted.
    Subscribed {
        channels: u64,
        refused: Vec<(String, String)>,
    },
    /// Version 5: so many messages of a history were sent.
    HistoryEnd { messages: u64 },
    /// Version 5: a command that has nothing to tell was carried out.
    Done { command: String },
}

/// The key an F14 carries beside its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Extra {
    /// None.
    Plain,
    /// `code`: "403".
    Code,
    /// `number_messages`: -1.
    Number,
    /// `user_id`: -1.
    User,
    /// `user_id`: -1 and `user_data`: "".
    Data,
}

/// Reads a frame that a page of this version gets.
pub fn read(text: &str, version: Version) -> Result<Told, String> {
    let old = version != Version::V5;
    if old && (text.contains('\'') || text.contains(['\n', '\r'])) {
        return Err(format!("E1/E6: raw apostrophe or line end in {text}"));
    }
    let frame: Value = serde_json::from_str(text).map_err(|error| format!("no JSON ({error}): {text}"))?;
    let name = frame.get("event_name");
    let expected = if version == Version::V3 {
        frame.get("event")
    } else {
        None
    };
    if name != expected {
        return Err(format!("event_name in {version:?}: {text}"));
    }
    let re = frame.get("re").map(Value::as_u64);
    let odd = || format!("frame of no known form in {version:?}: {text}");
    if re.is_some_and(|re| old || re.is_none_or(|re| re == 0)) {
        return Err(odd());
    }
    let seen = understand(&frame, version).ok_or_else(odd)?;
    let re = re.flatten();
    Ok(Told { re, seen })
}

/// What an application sees of `data`.
fn shown(data: &Value, version: Version) -> Option<String> {
    match version {
        Version::V3 | Version::V4 => data.as_str().map(view),
        Version::V5 => Some(exact::view(data)),
    }
}

fn understand(frame: &Value, version: Version) -> Option<Seen> {
    let pipe = frame.get("pipe")?.as_str()?.to_owned();
    let event = frame.get("event")?.as_str()?.to_owned();
    let data = frame.get("data")?;
    let time = frame.get("message_send_time")?.as_u64()?;
    let (first, exact) = (version == Version::V3, version == Version::V5);
    if first && !data.is_string() {
        return None;
    }
    if pipe == "sys" || pipe.starts_with("_answer") {
        return if exact {
            exact::answer(frame, &pipe, event)
        } else {
            answer(frame, version, pipe, &event)
        };
    }
    let from_queue = frame
        .get("fromQueue")
        .is_some_and(|flag| flag == &Value::Bool(true));
    if pipe == "msg" {
        let id = frame.get("uuid")?.as_str()?.to_owned();
        return Some(Seen::Private {
            id,
            event,
            view: shown(data, version)?,
            queued: from_queue,
            time,
        });
    }
    let id = match frame.get("uuid") {
        Some(id) => Some(id.as_str().filter(|_| exact)?.to_owned()),
        None => None,
    };
    let user = frame.get("user_id").map(Value::as_u64);
    if frame
        .get("history")
        .is_some_and(|flag| flag == &Value::Bool(true))
    {
        return if from_queue {
            history(frame, pipe, event, version)
        } else {
            None
        };
    }
    if first && event == "answer" && frame.get("marker").is_some() {
        return users(frame, &object(data)?);
    }
    if pipe.starts_with("user_status_") && (event == "online" || event == "offline") {
        return (data.as_str()? == event).then(|| Seen::Status {
            pipe,
            online: event == "online",
            time,
        });
    }
    if pipe.starts_with("track_") && (event == "subscription" || event == "unsubscription") {
        return track(frame, version, pipe, &event);
    }
    let user = match user {
        Some(number) => Some(number?),
        None => None,
    };
    Some(Seen::Message {
        pipe,
        event,
        view: shown(data, version)?,
        user,
        id,
        time,
    })
}

fn track(frame: &Value, version: Version, pipe: String, event: &str) -> Option<Seen> {
    let data = object(frame.get("data")?)?;
    let user = data.get("user_id")?.as_u64()?;
    if version == Version::V3 && frame.get("user_id")?.as_u64()? != user {
        return None;
    }
    let uuid = data.get("uuid")?.as_str()?.to_owned();
    let time = frame.get("message_send_time")?.as_u64()?;
    Some(Seen::Track {
        pipe,
        joined: event == "subscription",
        user,
        uuid,
        time,
    })
}

fn history(frame: &Value, pipe: String, event: String, version: Version) -> Option<Seen> {
    let id = frame.get("uuid").and_then(Value::as_str);
    // Version 5 is always told the id, the others never.
    if id.is_some() != (version == Version::V5) {
        return None;
    }
    let marker = match frame.get("marker") {
        Some(text) => Some(text.as_str()?.to_owned()),
        None => None,
    };
    Some(Seen::History {
        pipe,
        event,
        view: shown(frame.get("data")?, version)?,
        user: frame.get("user_id")?.as_u64()?,
        marker,
        id: id.map(str::to_owned),
        time: frame.get("message_send_time")?.as_u64()?,
    })
}

/// `data` of an answer: an object or array, in the old dialect as text.
fn object(data: &Value) -> Option<Value> {
    match data {
        Value::String(text) => serde_json::from_str(text).ok(),
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
        Value::Array(_) | Value::Object(_) => Some(data.clone()),
    }
}

fn answer(frame: &Value, version: Version, pipe: String, event: &str) -> Option<Seen> {
    let raw = frame.get("data")?;
    if pipe == "sys" && event == "serverInfo" {
        let authorized = frame.get("authorized")?;
        let authorized = if version == Version::V3 {
            authorized.as_str()?.parse().ok()?
        } else {
            authorized.as_bool()?
        };
        return Some(Seen::Info {
            authorized,
            key: raw.as_str()?.to_owned(),
        });
    }
    let data = object(raw)?;
    let marker = || Some(frame.get("marker")?.as_str()?.to_owned());
    if pipe == "sys" {
        if event != "error" {
            return None;
        }
        data.get("error")?.as_str()?;
        return Some(match frame.get("error") {
            Some(code) => Seen::Fatal { code: code.as_u64()? },
            None => Seen::Error { extra: extra(&data)? },
        });
    }
    if pipe == "_answer_pipe_count" {
        return count(&data, marker()?);
    }
    if pipe == "_answer_user_status" {
        return last(&data, event);
    }
    if let Some(channel) = pipe.strip_prefix("_answer_to_") {
        let pipe = channel.to_owned();
        if event == "error" {
            return Some(Seen::ErrorReport { pipe });
        }
        let failed = !data.get("error")?.as_str()?.is_empty();
        let count = if failed {
            0
        } else {
            data.get("number_messages")?.as_u64()?
        };
        let body = data.get("message")?.as_str()?.to_owned();
        return Some(Seen::Report {
            pipe,
            count,
            body,
            failed,
        });
    }
    if data.is_array() {
        return if version == Version::V4 {
            users(frame, &data)
        } else {
            None
        };
    }
    user_data(&data, marker()?)
}

fn count(data: &Value, marker: String) -> Option<Seen> {
    Some(Seen::Count {
        marker,
        users: data.get("user_in_pipe")?.as_u64()?,
    })
}

fn last(data: &Value, event: &str) -> Option<Seen> {
    let seconds = data.get("last_online_time")?.as_i64()?;
    let same = data.get("data")?.as_i64()? == seconds;
    same.then(|| Seen::Last {
        pipe: event.to_owned(),
        seconds,
    })
}

fn user_data(data: &Value, marker: String) -> Option<Seen> {
    Some(Seen::Data {
        marker,
        user: data.get("user_id")?.as_u64()?,
        data: data.get("user_data")?.as_str()?.to_owned(),
    })
}

fn users(frame: &Value, data: &Value) -> Option<Seen> {
    let marker = frame.get("marker")?.as_str()?.to_owned();
    let mut users = Vec::new();
    for entry in data.as_array()? {
        users.push((
            entry.get("user_id")?.as_u64()?,
            entry.get("uuid")?.as_str()?.to_owned(),
        ));
    }
    users.sort();
    Some(Seen::Users { marker, users })
}

fn extra(data: &Value) -> Option<Extra> {
    let minus = Some(&Value::from(-1));
    Some(if data.get("code").is_some() {
        if data.get("code")?.as_str()? != "403" {
            return None;
        }
        Extra::Code
    } else if data.get("number_messages") == minus {
        Extra::Number
    } else if data.get("user_data").is_some() {
        Extra::Data
    } else if data.get("user_id") == minus {
        Extra::User
    } else {
        Extra::Plain
    })
}
