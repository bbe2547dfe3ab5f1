//! CometQL sessions: who is logged in, and for how long (protocol.md 7.1, Q51).

use super::{Cause, Failure, Model, Out, wrong};
use crate::profile::Knob;

/// A CometQL session as the model knows it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: u64,
    pub(super) dev: u32,
    /// A load balancer's, which may ask nothing.
    pub(super) is_health_check: bool,
    /// It has a place among those of its tenant; if not, its first statement is its last.
    pub(super) is_admitted: bool,
    pub(super) database: String,
    /// The id of the newest message of its last message INSERT, empty if that has none.
    pub(super) last_message: String,
    pub(super) opened: u64,
}

impl Model {
    /// A session logged in. Sixteen are let in even if there is no memory (docs/protocol.md 8.7).
    pub(super) fn log_in(&mut self, id: u64, dev: u32, is_health_check: bool, outs: &[Out]) {
        let is_refused = self.is_full() && self.sessions.len() >= 16;
        if is_refused != closes(outs, id) {
            let text = format!(
                "session {id}: refused {is_refused}, {} others",
                self.sessions.len()
            );
            self.trouble = wrong::<()>("session", text).err();
        }
        if is_refused {
            return;
        }
        self.counts.logins += 1;
        let is_admitted = !is_health_check && !self.is_over_sessions(dev);
        self.sessions.push(Session {
            id,
            dev,
            is_health_check,
            is_admitted,
            database: String::new(),
            last_message: String::new(),
            opened: self.now,
        });
    }

    /// Sessions that the sweep ended, before anything else of this step; and none stays much too long (Q51).
    pub(super) fn old_sessions(&mut self, cause: &Cause, outs: &[Out]) -> Result<(), Failure> {
        let max = self.profile.get(Knob::SqlUptime) * 1_000_000;
        let now = self.now;
        for out in outs {
            let Out::CloseSession { session } = out else {
                continue;
            };
            // It is judged where it is due: at a login, or a statement of a session without a place.
            if let Cause::SessionOpened { session: of, .. } | Cause::Query { session: of, .. } = cause
                && of == session
                && !self
                    .sessions
                    .iter()
                    .any(|known| known.id == *of && known.is_admitted)
            {
                continue;
            }
            let at = self.sessions.iter().position(|known| known.id == *session);
            let Some(at) = at.filter(|at| max > 0 && self.sessions[*at].opened + max <= now) else {
                return wrong("session", format!("session {session} was closed without reason"));
            };
            self.sessions.remove(at);
        }
        let overdue = self
            .sessions
            .iter()
            .find(|known| max > 0 && known.opened + max + max / 2 < now);
        match overdue {
            Some(session) => wrong("session", format!("{session:?} was not closed, now {now}")),
            None => Ok(()),
        }
    }
}

/// The core ends this session.
pub(super) fn closes(outs: &[Out], session: u64) -> bool {
    outs.iter()
        .any(|out| matches!(out, Out::CloseSession { session: closed } if *closed == session))
}
