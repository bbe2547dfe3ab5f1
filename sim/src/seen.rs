//! What a browser makes of a frame: the JSON is parsed as a client would, and a frame that breaks the rules of
//! protocol.md 2.5 is a failure, whatever it says.

use serde_json::Value;

use crate::names::view;

/// A frame, understood. Texts are as the application sees them.
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
        time: u64,
    },
    /// F6.
    History {
        pipe: String,
        event: String,
        view: String,
        user: u64,
        marker: Option<String>,
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
    /// F9; `failed` if its `error` says something.
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

/// Reads a frame and tells in which dialect it was written: true = version 4.
pub fn read(text: &str) -> Result<(Seen, bool), String> {
    if text.contains('\'') || text.contains(['\n', '\r']) {
        return Err(format!("E1/E6: raw apostrophe or line end in {text}"));
    }
    let frame: Value = serde_json::from_str(text).map_err(|error| format!("no JSON ({error}): {text}"))?;
    let old = frame.get("event_name");
    if old.is_some() && old != frame.get("event") {
        return Err(format!("event_name differs from event: {text}"));
    }
    let new = old.is_none();
    understand(&frame, new)
        .map(|seen| (seen, new))
        .ok_or_else(|| format!("frame of no known form: {text}"))
}

fn understand(frame: &Value, new: bool) -> Option<Seen> {
    let pipe = frame.get("pipe")?.as_str()?.to_owned();
    let event = frame.get("event")?.as_str()?.to_owned();
    let data = frame.get("data")?;
    let time = frame.get("message_send_time")?.as_u64()?;
    if !new && !data.is_string() {
        return None;
    }
    if pipe == "sys" || pipe.starts_with("_answer") {
        return answer(frame, new, pipe, &event);
    }
    let from_queue = frame
        .get("fromQueue")
        .is_some_and(|flag| flag == &Value::Bool(true));
    if pipe == "msg" {
        let id = frame.get("uuid")?.as_str()?.to_owned();
        return Some(Seen::Private {
            id,
            event,
            view: view(data.as_str()?),
            queued: from_queue,
            time,
        });
    }
    if frame.get("uuid").is_some() {
        return None;
    }
    let user = frame.get("user_id").map(Value::as_u64);
    if frame
        .get("history")
        .is_some_and(|flag| flag == &Value::Bool(true))
    {
        return if from_queue {
            history(frame, pipe, event)
        } else {
            None
        };
    }
    if !new && event == "answer" && frame.get("marker").is_some() {
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
        return track(frame, new, pipe, &event);
    }
    let user = match user {
        Some(number) => Some(number?),
        None => None,
    };
    Some(Seen::Message {
        pipe,
        event,
        view: view(data.as_str()?),
        user,
        time,
    })
}

fn track(frame: &Value, new: bool, pipe: String, event: &str) -> Option<Seen> {
    let data = object(frame.get("data")?)?;
    let user = data.get("user_id")?.as_u64()?;
    if !new && frame.get("user_id")?.as_u64()? != user {
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

fn history(frame: &Value, pipe: String, event: String) -> Option<Seen> {
    let marker = match frame.get("marker") {
        Some(text) => Some(text.as_str()?.to_owned()),
        None => None,
    };
    Some(Seen::History {
        pipe,
        event,
        view: view(frame.get("data")?.as_str()?),
        user: frame.get("user_id")?.as_u64()?,
        marker,
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

fn answer(frame: &Value, new: bool, pipe: String, event: &str) -> Option<Seen> {
    let raw = frame.get("data")?;
    if pipe == "sys" && event == "serverInfo" {
        let authorized = frame.get("authorized")?;
        let authorized = if new {
            authorized.as_bool()?
        } else {
            authorized.as_str()?.parse().ok()?
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
        return Some(Seen::Count {
            marker: marker()?,
            users: data.get("user_in_pipe")?.as_u64()?,
        });
    }
    if pipe == "_answer_user_status" {
        let seconds = data.get("last_online_time")?.as_i64()?;
        let same = data.get("data")?.as_i64()? == seconds;
        return same.then(|| Seen::Last {
            pipe: event.to_owned(),
            seconds,
        });
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
        return if new { users(frame, &data) } else { None };
    }
    let user = data.get("user_id")?.as_u64()?;
    let data = data.get("user_data")?.as_str()?.to_owned();
    Some(Seen::Data {
        marker: marker()?,
        user,
        data,
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
