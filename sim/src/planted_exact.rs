//! Mistakes about version 5 (docs/protocol-v5.md), made on purpose. They need to know what was sent before.

use comet_core::wire::{ClientRequest, Command, SubscribeMode};
use comet_core::{Action, ConnId, Event, MessageId};

use crate::browser::Version;
use crate::model::Cause;
use crate::planted::Bug;
use crate::planted_actions::text_of;

/// What a faulty adapter remembers of pages of version 5.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    conns: Vec<ConnId>,
    /// Private messages on their way to them.
    private: Vec<(ConnId, MessageId)>,
    /// Channel messages that have an id.
    published: Vec<(String, Action)>,
}

impl Memory {
    /// Learns from a step of the core.
    pub(crate) fn notice(&mut self, cause: &Cause, actions: &[Action]) {
        if let Cause::Opened(claim) = cause
            && claim.version == Version::V5
        {
            self.conns.push(claim.conn);
        }
        for action in actions {
            let Action::Send { to, .. } = action else { continue };
            let text = text_of(action);
            let Some(id) = id_in(text) else { continue };
            let to = crate::world::recipients(to);
            if text.contains(r#""pipe":"msg""#)
                && let Some(&conn) = to.first().filter(|conn| self.conns.contains(conn))
                && let Some(id) = MessageId::parse(id)
            {
                self.private.push((conn, id));
            } else if text.starts_with(r#"{"pipe":"web"#) && !text.contains(r#""re":"#) {
                self.published.push((id.to_owned(), action.clone()));
            }
        }
    }

    /// What the core gets to see instead of an event.
    pub(crate) fn bend(&mut self, bug: Bug, event: Event) -> Event {
        match (bug, event) {
            (Bug::PongForPage, Event::ProbeAnswered { conn, probe })
                if self.private.contains(&(conn, probe)) =>
            {
                acknowledgement(conn, None, probe)
            }
            (Bug::UnknownAck, Event::Request { conn, command }) => match command.request {
                Ok(ClientRequest::Ack(id)) if !self.private.contains(&(conn, id)) => {
                    let newest = self.private.iter().rev().find(|(to, _)| *to == conn);
                    acknowledgement(conn, command.number, newest.map_or(id, |(_, id)| *id))
                }
                request => {
                    if let Ok(ClientRequest::Ack(id)) = request {
                        self.acknowledged(conn, id);
                    }
                    let command = Command { request, ..command };
                    Event::Request { conn, command }
                }
            },
            (Bug::KeepSubscriber, Event::Request { conn, mut command }) => {
                if let Ok(ClientRequest::Subscribe(names)) = &mut command.request
                    && names.mode == SubscribeMode::Remove
                    && !names.names.is_empty()
                {
                    names.names.remove(0);
                }
                Event::Request { conn, command }
            }
            (_, event) => event,
        }
    }

    /// This and what was sent before it is not on its way any more.
    fn acknowledged(&mut self, conn: ConnId, id: MessageId) {
        if let Some(upto) = self.private.iter().position(|sent| *sent == (conn, id)) {
            let mut at = 0;
            self.private.retain(|(to, _)| {
                at += 1;
                *to != conn || at > upto + 1
            });
        }
    }

    /// Spoils what the core wants.
    pub(crate) fn spoil(&self, bug: Bug, cause: &Cause, actions: &mut Vec<Action>) {
        if bug == Bug::EarlyEnd {
            let end = |action: &Action| text_of(action).contains(r#""event":"pipe_log""#);
            if let Some(at) = actions.iter().position(end).filter(|at| *at > 0) {
                actions.swap(at, at - 1);
            }
        } else if bug == Bug::PublishAgain {
            let repeated = |action: &&Action| text_of(action).contains(r#""repeated":true"#);
            let ids = actions.iter().filter(repeated).filter_map(|a| id_in(text_of(a)));
            let of = |id: &str| self.published.iter().find(|(known, _)| known == id);
            let again: Vec<_> = ids.filter_map(of).map(|(_, action)| action.clone()).collect();
            actions.extend(again);
        } else if matches!(cause, Cause::Persisted { .. }) {
            for action in actions {
                let Action::Send { frame, .. } = action else {
                    continue;
                };
                let text = frame.as_str();
                if let Some((head, (number, tail))) = text
                    .split_once(r#","re":"#)
                    .and_then(|(head, rest)| Some((head, rest.split_once(',')?)))
                    && number.bytes().all(|b| b.is_ascii_digit())
                {
                    *frame = comet_core::Frame::new(format!("{head},{tail}"));
                }
            }
        }
    }
}

fn acknowledgement(conn: ConnId, number: Option<comet_core::wire::CommandNumber>, id: MessageId) -> Event {
    let request = Ok(ClientRequest::Ack(id));
    let command = Command { number, request };
    Event::Request { conn, command }
}

/// The id in a frame.
fn id_in(text: &str) -> Option<&str> {
    let (_, rest) = text.rsplit_once(r#""uuid":""#)?;
    rest.split_once('"').map(|(id, _)| id)
}
