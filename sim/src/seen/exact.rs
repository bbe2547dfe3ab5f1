//! Answers in version 5 (docs/protocol-v5.md 1, 2): nothing is disguised, and no key may be there that is not written
//! there.

use serde_json::Value;

use super::Seen;

/// What an application sees of `data`: the JSON value, or the text.
pub(super) fn view(data: &Value) -> String {
    match data {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            format!("json {data}")
        }
    }
}

/// A frame of `sys` or `_answer…`.
pub(super) fn answer(frame: &Value, pipe: &str, event: String) -> Option<Seen> {
    let data = frame.get("data")?;
    let marker = || Some(frame.get("marker")?.as_str()?.to_owned());
    match (pipe, event.as_str()) {
        ("sys", "serverInfo") => info(frame, data),
        ("sys", "error") => error(frame, data),
        ("_answer", "subscription") => subscribed(data),
        ("_answer", "pipe_log") => Some(Seen::HistoryEnd {
            messages: only(data, &["messages"])?.get("messages")?.as_u64()?,
        }),
        ("_answer", "statistics" | "ack") => only(data, &[]).map(|_| Seen::Done { command: event }),
        ("_answer", "answer") if data.is_array() => super::users(frame, data),
        ("_answer", "answer") => super::user_data(data, marker()?),
        ("_answer_pipe_count", "user_in_pipe") => super::count(data, marker()?),
        ("_answer_user_status", _) => super::last(data, &event),
        (_, "answer") => outcome(pipe.strip_prefix("_answer_to_")?, data),
        _ => None,
    }
}

/// The object, if it has no other keys than these.
fn only<'a>(data: &'a Value, keys: &[&str]) -> Option<&'a Value> {
    let known = |key: &String| keys.contains(&key.as_str());
    data.as_object()?.keys().all(known).then_some(data)
}

fn info(frame: &Value, data: &Value) -> Option<Seen> {
    if frame.get("protocol")? != &Value::from(5) {
        return None;
    }
    Some(Seen::Info {
        authorized: frame.get("authorized")?.as_bool()?,
        key: data.as_str()?.to_owned(),
    })
}

fn error(frame: &Value, data: &Value) -> Option<Seen> {
    let code = data.get("code")?.as_str()?.to_owned();
    data.get("error")?.as_str()?;
    let Some(number) = frame.get("error") else {
        only(data, &["error", "code"])?;
        return Some(Seen::Refused { code });
    };
    let number = number.as_u64()?;
    let expected = match number {
        401 => "no_credentials",
        406 => "no_dev_id",
        418 => "bad_version",
        423 => "origin_refused",
        _ => return None,
    };
    (code == expected).then_some(Seen::Fatal { code: number })
}

fn subscribed(data: &Value) -> Option<Seen> {
    only(data, &["channels", "refused"])?;
    let mut refused = Vec::new();
    for entry in data.get("refused")?.as_array()? {
        only(entry, &["name", "code"])?;
        let text = |key| Some(entry.get(key)?.as_str()?.to_owned());
        refused.push((text("name")?, text("code")?));
    }
    refused.sort();
    Some(Seen::Subscribed {
        channels: data.get("channels")?.as_u64()?,
        refused,
    })
}

fn outcome(channel: &str, data: &Value) -> Option<Seen> {
    only(data, &["number_messages", "error", "code", "uuid", "repeated"])?;
    let failed = !data.get("error")?.as_str()?.is_empty();
    let code = data.get("code").map(Value::as_str);
    if code != failed.then_some(Some("store_unavailable")) {
        return None;
    }
    let repeated = match data.get("repeated") {
        None => false,
        Some(Value::Bool(true)) => true,
        Some(_) => return None,
    };
    let id = match data.get("uuid") {
        Some(id) => Some(id.as_str()?.to_owned()),
        None => None,
    };
    Some(Seen::Outcome {
        pipe: channel.to_owned(),
        count: data.get("number_messages")?.as_u64()?,
        failed,
        id,
        repeated,
    })
}
