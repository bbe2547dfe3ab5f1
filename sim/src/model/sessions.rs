//! CometQL sessions: who is logged in, and for how long (protocol.md 7.1, Q51).

use super::{Failure, Model, Out, wrong};
use crate::profile::Knob;

/// A CometQL session as the model knows it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: u64,
    pub(super) dev: u32,
    /// A load balancer's, which may ask nothing.
    pub(super) is_health_check: bool,
    pub(super) database: String,
    pub(super) opened: u64,
}

impl Model {
    /// A session logged in.
    pub(super) fn log_in(&mut self, id: u64, dev: u32, is_health_check: bool) {
        self.sessions.push(Session {
            id,
            dev,
            is_health_check,
            database: String::new(),
            opened: self.now,
        });
    }

    /// Sessions that the sweep ended, before anything else of this step; and none stays much too long (Q51).
    pub(super) fn old_sessions(&mut self, outs: &[Out]) -> Result<(), Failure> {
        let max = self.profile.get(Knob::SqlUptime) * 1_000_000;
        let now = self.now;
        for out in outs {
            let Out::CloseSession { session } = out else {
                continue;
            };
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
