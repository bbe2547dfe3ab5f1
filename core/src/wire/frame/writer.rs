//! One frame under construction: which keys it has in which dialect.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::{self, Write as _};

use super::super::{BadReason, CommandNumber, Dialect, ErrorExtra, RefusalReason, json};
use super::FrameBody;
use crate::id::{MessageId, UserId};
use crate::name::{ClientUuid, Marker};
use crate::time::UnixSeconds;

/// JSON that is nested deeper is a text for V5: pages parse it as a part of the frame, and their own tools stop somewhere
/// above (protocol-v5.md 2).
const DEPTH_MAX: usize = 512;

/// The user id as the wire spells it: 0 for anonymous.
fn user_number(user: Option<UserId>) -> u32 {
    user.map_or(0, UserId::get)
}

/// A frame under construction.
pub(super) struct Writer {
    out: String,
    dialect: Dialect,
    answers: Option<CommandNumber>,
}

impl Writer {
    /// Begins a frame in an empty text.
    pub(super) const fn new(out: String, dialect: Dialect, answers: Option<CommandNumber>) -> Self {
        Self {
            out,
            dialect,
            answers,
        }
    }

    /// The complete text.
    pub(super) fn write(mut self, body: &FrameBody<'_>, time: UnixSeconds) -> String {
        self.frame(body);
        self.number("message_send_time", time.0);
        self.out.push('}');
        self.out
    }

    fn frame(&mut self, body: &FrameBody<'_>) {
        match *body {
            FrameBody::ServerInfo {
                server,
                authorized,
                key,
            } => self.server_info(server, authorized, key),
            FrameBody::Message {
                channel,
                event,
                body,
                sender,
                id,
            } => self.message(channel, event, body, sender, id),
            FrameBody::Private {
                event,
                body,
                id,
                from_queue,
            } => self.private(event, body, id, from_queue),
            FrameBody::History {
                channel,
                event,
                body,
                sender,
                marker,
                id,
            } => {
                self.message(channel, event, body, Some(sender), Some(id));
                self.history(marker);
            }
            FrameBody::UserStatus { user, online } => self.user_status(user, online),
            FrameBody::Track {
                channel,
                joined,
                user,
                uuid,
            } => self.track(channel, joined, user, uuid),
            FrameBody::Report {
                channel,
                receivers,
                body,
                id,
                error,
                repeated,
            } => self.report(channel, receivers, body, id, error, repeated),
            FrameBody::Count { marker, users } => self.count(marker, users),
            FrameBody::TrackUsers {
                channel,
                marker,
                users,
            } => self.track_users(channel, marker, users),
            FrameBody::UserData { marker, user, data } => self.user_data(marker, user, data),
            FrameBody::LastOnline { user, seconds } => self.last_online(user, seconds),
            FrameBody::Error {
                reason,
                extra,
                detail,
            } => self.error("sys", reason, extra, detail),
            FrameBody::ErrorReport {
                channel,
                reason,
                extra,
            } => self.error(&format!("_answer_to_{channel}"), reason, extra, ""),
            FrameBody::Fatal { reason } => self.fatal(reason),
            FrameBody::Subscribed { channels, refused } => self.subscribed(channels, refused),
            FrameBody::HistoryEnd { messages } => self.history_end(messages),
            FrameBody::Done { command } => self.done(command),
        }
    }

    fn server_info(&mut self, server: &str, authorized: bool, key: &str) {
        self.begin("sys", "serverInfo");
        self.string("server", server);
        self.key("authorized");
        // 3.x compares with the string (Q17).
        self.out.push_str(match (self.dialect, authorized) {
            (Dialect::V3, true) => "\"true\"",
            (Dialect::V3, false) => "\"false\"",
            (Dialect::V4 | Dialect::V5, true) => "true",
            (Dialect::V4 | Dialect::V5, false) => "false",
        });
        self.string("data", key);
        if self.dialect == Dialect::V5 {
            self.number("protocol", 5);
        }
    }

    fn message(
        &mut self,
        channel: &str,
        event: &str,
        body: &str,
        sender: Option<Option<UserId>>,
        id: Option<MessageId>,
    ) {
        self.begin(channel, event);
        self.body(body);
        if let Some(user) = sender {
            self.number("user_id", user_number(user));
        }
        if let Some(id) = id.filter(|_| self.dialect == Dialect::V5) {
            self.uuid(id);
        }
    }

    fn private(&mut self, event: &str, body: &str, id: MessageId, from_queue: bool) {
        self.begin("msg", event);
        self.body(body);
        self.uuid(id);
        if from_queue {
            self.key("fromQueue");
            self.out.push_str("true");
        }
    }

    /// What a message of the history has besides.
    fn history(&mut self, marker: &Marker) {
        self.key("history");
        self.out.push_str("true");
        self.key("fromQueue");
        self.out.push_str("true");
        // A marker would make history invisible in 4.x; 3.25 without callback sends `undefined` (2.6.3).
        if self.dialect == Dialect::V3 && marker.as_str() != "undefined" {
            self.string("marker", marker.as_str());
        }
    }

    fn user_status(&mut self, user: UserId, online: bool) {
        let word = if online { "online" } else { "offline" };
        self.begin(&format!("user_status_{}", user.get()), word);
        self.string("data", word);
    }

    fn track(&mut self, channel: &str, joined: bool, user: Option<UserId>, uuid: &ClientUuid) {
        self.begin(channel, if joined { "subscription" } else { "unsubscription" });
        self.json_data(|out| push_visitor(out, user, uuid));
        if self.dialect == Dialect::V3 {
            self.number("user_id", user_number(user));
        }
    }

    fn report(
        &mut self,
        channel: &str,
        receivers: u64,
        body: &str,
        id: Option<MessageId>,
        error: Option<BadReason>,
        repeated: bool,
    ) {
        self.begin(&format!("_answer_to_{channel}"), "answer");
        match self.dialect {
            Dialect::V3 | Dialect::V4 => self.full_report(receivers, body, error),
            Dialect::V5 => self.exact_report(receivers, id, error, repeated),
        }
    }

    fn full_report(&mut self, receivers: u64, body: &str, error: Option<BadReason>) {
        self.json_data(|out| {
            push_display(
                out,
                format_args!("{{\"number_messages\":{receivers},\"message\":"),
            );
            json::push_string(out, body);
            out.push_str(",\"error\":");
            json::push_string(out, error.map_or("", BadReason::text));
            out.push('}');
        });
    }

    fn exact_report(
        &mut self,
        receivers: u64,
        id: Option<MessageId>,
        error: Option<BadReason>,
        repeated: bool,
    ) {
        self.json_data(|out| {
            push_display(out, format_args!("{{\"number_messages\":{receivers},\"error\":"));
            json::push_string(out, error.map_or("", BadReason::text));
            if let Some(error) = error {
                push_display(out, format_args!(",\"code\":\"{}\"", error.code()));
            }
            if let Some(id) = id {
                push_display(out, format_args!(",\"uuid\":\"{id}\""));
            }
            if repeated {
                out.push_str(",\"repeated\":true");
            }
            out.push('}');
        });
    }

    fn subscribed(&mut self, channels: usize, refused: &[(BadReason, Arc<str>)]) {
        self.begin("_answer", "subscription");
        self.json_data(|out| {
            push_display(out, format_args!("{{\"channels\":{channels},\"refused\":["));
            for (at, (reason, name)) in refused.iter().enumerate() {
                out.push_str(if at > 0 { ",{\"name\":" } else { "{\"name\":" });
                json::push_string(out, name);
                push_display(out, format_args!(",\"code\":\"{}\"}}", reason.code()));
            }
            out.push_str("]}");
        });
    }

    fn count(&mut self, marker: &Marker, users: u64) {
        self.begin("_answer_pipe_count", "user_in_pipe");
        self.string("marker", marker.as_str());
        self.json_data(|out| push_display(out, format_args!("{{\"user_in_pipe\":{users}}}")));
    }

    fn track_users(&mut self, channel: &str, marker: &Marker, users: &[(Option<UserId>, ClientUuid)]) {
        // 3.x listens on the channel itself.
        let pipe = match self.dialect {
            Dialect::V3 => channel,
            Dialect::V4 | Dialect::V5 => "_answer",
        };
        self.begin(pipe, "answer");
        self.string("marker", marker.as_str());
        self.json_data(|out| {
            out.push('[');
            for (at, (user, uuid)) in users.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                push_visitor(out, *user, uuid);
            }
            out.push(']');
        });
        self.string("_info", "");
    }

    fn user_data(&mut self, marker: &Marker, user: UserId, data: &str) {
        self.begin("_answer", "answer");
        self.string("marker", marker.as_str());
        self.json_data(|out| {
            push_display(out, format_args!("{{\"user_id\":{},\"user_data\":", user.get()));
            json::push_string(out, data);
            out.push('}');
        });
    }

    fn last_online(&mut self, user: UserId, seconds: i64) {
        self.begin("_answer_user_status", &format!("user_status_{}", user.get()));
        self.json_data(|out| {
            push_display(
                out,
                format_args!("{{\"data\":{seconds},\"last_online_time\":{seconds}}}"),
            );
        });
    }

    fn history_end(&mut self, messages: u64) {
        self.begin("_answer", "pipe_log");
        self.json_data(|out| push_display(out, format_args!("{{\"messages\":{messages}}}")));
    }

    fn done(&mut self, command: &'static str) {
        self.begin("_answer", command);
        self.json_data(|out| out.push_str("{}"));
    }

    fn error(&mut self, pipe: &str, reason: BadReason, extra: ErrorExtra, detail: &str) {
        self.begin(pipe, "error");
        let exact = self.dialect == Dialect::V5;
        self.json_data(|out| {
            out.push_str("{\"error\":");
            if detail.is_empty() {
                json::push_string(out, reason.text());
            } else {
                json::push_string(out, &format!("{}: {detail}", reason.text()));
            }
            if exact {
                return push_display(out, format_args!(",\"code\":\"{}\"}}", reason.code()));
            }
            out.push_str(match extra {
                ErrorExtra::Plain => "}",
                ErrorExtra::Code403 => ",\"code\":\"403\"}",
                ErrorExtra::NumberMessages => ",\"number_messages\":-1}",
                ErrorExtra::UserId => ",\"user_id\":-1}",
                ErrorExtra::UserData => ",\"user_id\":-1,\"user_data\":\"\"}",
            });
        });
    }

    fn fatal(&mut self, reason: RefusalReason) {
        self.begin("sys", "error");
        // The number at the top is what stops the clients from reconnecting (Q16).
        self.number("error", reason.number());
        let exact = self.dialect == Dialect::V5;
        self.json_data(|out| {
            out.push_str("{\"error\":");
            json::push_string(out, reason.text());
            out.push_str(",\"info\":\"connection closed\"");
            push_display(out, format_args!(",\"error_code\":{}", reason.number()));
            if exact {
                push_display(out, format_args!(",\"code\":\"{}\"", reason.code()));
            }
            out.push('}');
        });
    }

    fn begin(&mut self, pipe: &str, event: &str) {
        self.out.push_str("{\"pipe\":");
        json::push_string(&mut self.out, pipe);
        self.string("event", event);
        if self.dialect == Dialect::V3 {
            // Without it 3.x decodes `data` as base64.
            self.string("event_name", event);
        }
        if let Some(number) = self.answers.filter(|_| self.dialect == Dialect::V5) {
            self.number("re", number.get());
        }
    }

    /// `data` of a message: whatever the body is, the application sees the JSON value or the exact text (S28, S29),
    /// and no body can pose as a sender's id (S46).
    fn body(&mut self, body: &str) {
        self.key("data");
        if self.dialect == Dialect::V5 {
            self.exact(body);
        } else if json::is_valid(body) {
            json::push_json_text(&mut self.out, body);
        } else if body.starts_with("A::") || body.as_bytes().contains(&b'\\') {
            json::push_literal(&mut self.out, body);
        } else {
            json::push_string(&mut self.out, body);
        }
    }

    /// V5 parses a frame once and damages nothing: JSON as it is, any other text as a string (protocol-v5.md 2).
    fn exact(&mut self, body: &str) {
        if json::is_valid_within(body, DEPTH_MAX) {
            self.out.push_str(body);
        } else {
            json::push_string(&mut self.out, body);
        }
    }

    /// `data` that is an object or array, which V3 gets as its JSON text. `fill` writes strings under E1, so the text
    /// has no apostrophe and E2 holds by itself.
    fn json_data(&mut self, fill: impl FnOnce(&mut String)) {
        self.key("data");
        match self.dialect {
            Dialect::V3 => {
                let mut text = String::new();
                fill(&mut text);
                json::push_string(&mut self.out, &text);
            }
            Dialect::V4 | Dialect::V5 => fill(&mut self.out),
        }
    }

    fn uuid(&mut self, id: MessageId) {
        self.key("uuid");
        push_display(&mut self.out, format_args!("\"{id}\""));
    }

    fn string(&mut self, key: &'static str, value: &str) {
        self.key(key);
        json::push_string(&mut self.out, value);
    }

    fn number(&mut self, key: &'static str, value: impl fmt::Display) {
        self.key(key);
        push_display(&mut self.out, value);
    }

    fn key(&mut self, key: &'static str) {
        self.out.push_str(",\"");
        self.out.push_str(key);
        self.out.push_str("\":");
    }
}

fn push_visitor(out: &mut String, user: Option<UserId>, uuid: &ClientUuid) {
    push_display(out, format_args!("{{\"user_id\":{},\"uuid\":", user_number(user)));
    json::push_string(out, uuid.as_str());
    out.push('}');
}

fn push_display(out: &mut String, value: impl fmt::Display) {
    write!(out, "{value}").expect("writing into memory cannot fail");
}
