//! Server frames as JSON (protocol.md 2.5.2), for the scenarios that look at more than the stamp.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

/// The keys of F1–F15 that the scenarios use; others are tolerated (E7).
#[derive(Debug, Deserialize)]
pub(crate) struct Message<'a> {
    #[serde(borrow)]
    pub(crate) pipe: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) event: Cow<'a, str>,
    pub(crate) data: Value,
    #[serde(borrow)]
    pub(crate) uuid: Option<Cow<'a, str>>,
    #[serde(rename = "fromQueue", default)]
    pub(crate) from_queue: bool,
    pub(crate) user_id: Option<i64>,
    #[serde(borrow)]
    pub(crate) marker: Option<Cow<'a, str>>,
    #[serde(default)]
    pub(crate) authorized: bool,
}

impl<'a> Message<'a> {
    pub(crate) fn parse(frame: &'a [u8]) -> Result<Self, String> {
        serde_json::from_slice(frame).map_err(|error| {
            format!(
                "frame is not as in 2.5.2 ({error}): {}",
                String::from_utf8_lossy(frame)
            )
        })
    }

    /// F1, the first frame of every connection.
    pub(crate) fn is_server_info(&self) -> bool {
        self.pipe == "sys" && self.event == "serverInfo"
    }

    /// F14: a command was refused.
    pub(crate) fn is_error(&self) -> bool {
        self.pipe == "sys" && self.event == "error"
    }

    /// F4 or F5.
    pub(crate) fn is_private(&self) -> bool {
        self.pipe == "msg"
    }

    /// F4 and F5 always carry the message's id, 36 characters.
    pub(crate) fn has_uuid(&self) -> bool {
        self.uuid.as_ref().is_some_and(|uuid| uuid.len() == 36)
    }

    /// `data` when it is a string; bodies always are.
    pub(crate) fn text(&self) -> Option<&str> {
        self.data.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frames_of_the_specification_are_read() {
        let info = br#"{"pipe":"sys","event":"serverInfo","server":"x 1","authorized":true,"data":"abc","message_send_time":1}"#;
        let info = Message::parse(info).unwrap();
        assert!(info.is_server_info() && info.authorized);
        let queued = br#"{"pipe":"msg","event":"e\u0027","data":"a\nb","uuid":"0","fromQueue":true,"message_send_time":1}"#;
        let queued = Message::parse(queued).unwrap();
        assert!(queued.is_private() && queued.from_queue);
        assert_eq!((queued.event.as_ref(), queued.text()), ("e'", Some("a\nb")));
        assert!(Message::parse(b"{}").is_err());
    }
}
