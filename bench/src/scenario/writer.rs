//! CometQL sessions that keep a number of statements under way each: the load of `publish`, `private` and `offline`.
//! Knows when each statement left and whether it was acknowledged, not what it says.

use std::collections::VecDeque;

use crate::clock;
use crate::failure::Failure;
use crate::latency::Latency;
use crate::net::{Id, Net};
use crate::server::Server;
use crate::sql::packet::Reply;

struct Session {
    id: Id,
    /// When the statements under way were queued, oldest first.
    under_way: VecDeque<u64>,
    sent: u32,
    acknowledged: u32,
}

pub(crate) struct Writers {
    sessions: Vec<Session>,
    depth: usize,
    /// From queueing to OK.
    pub(crate) latency: Latency,
}

impl Writers {
    pub(crate) fn open(net: &mut Net, server: &Server, count: usize, depth: usize) -> Result<Self, Failure> {
        let mut sessions = Vec::new();
        for _ in 0..count {
            let id = net.adopt(server.client()?)?;
            sessions.push(Session {
                id,
                under_way: VecDeque::new(),
                sent: 0,
                acknowledged: 0,
            });
        }
        Ok(Self {
            sessions,
            depth,
            latency: Latency::new(),
        })
    }

    /// Fills every session that has fallen to half its depth. `statement` writes the text of statement `number` of a
    /// session, or returns false when there is none.
    pub(crate) fn fill(&mut self, net: &mut Net, mut statement: impl FnMut(usize, u32, &mut String) -> bool) {
        let mut text = String::new();
        for (number, session) in self.sessions.iter_mut().enumerate() {
            if session.under_way.len() > self.depth / 2 {
                continue;
            }
            let now = clock::nanos();
            while session.under_way.len() < self.depth {
                text.clear();
                if !statement(number, session.sent, &mut text) {
                    break;
                }
                net.query(session.id, &text);
                session.under_way.push_back(now);
                session.sent += 1;
            }
        }
    }

    /// Takes the answer to the oldest statement of a session; its number is `acknowledged` before the call.
    pub(crate) fn answered(&mut self, id: Id, reply: &Reply) -> Result<(), String> {
        let Some(session) = self.sessions.iter_mut().find(|session| session.id == id) else {
            return Err("an answer on an unknown session".into());
        };
        let Some(queued) = session.under_way.pop_front() else {
            return Err("an answer to nothing".into());
        };
        match reply {
            Reply::Ok { .. } => {
                session.acknowledged += 1;
                self.latency.record(clock::nanos() - queued);
                Ok(())
            }
            Reply::Refused { code, text } => Err(format!("a statement was refused with {code}: {text}")),
            Reply::Rows(_) => Err("a statement without rows was answered with rows".into()),
        }
    }

    pub(crate) fn owns(&self, id: Id) -> bool {
        self.sessions.iter().any(|session| session.id == id)
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.sessions
            .iter()
            .map(|session| u64::from(session.acknowledged))
            .sum()
    }

    pub(crate) fn acknowledged_by(&self, number: usize) -> u32 {
        self.sessions[number].acknowledged
    }

    pub(crate) fn sent_by(&self, number: usize) -> u32 {
        self.sessions[number].sent
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.sessions.iter().all(|session| session.under_way.is_empty())
    }
}
