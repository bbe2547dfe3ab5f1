//! Back ends log in, and again when the server ended their session.

use comet_core::{DevId, Event, Login, SessionId};

use super::{Coming, World};
use crate::backend::Ask;
use crate::model::{Cause, Failure};

impl World {
    /// Opens a session for a back end.
    pub(super) fn open_session(&mut self, index: usize) -> Result<(), Failure> {
        self.session_ids += 1;
        let id = self.session_ids;
        let session = &mut self.sessions[index];
        session.id = id;
        session.life = self.life;
        session.last_arrival = 0;
        let dev = session.dev;
        let event = Event::SessionOpened {
            session: SessionId(id),
            login: Login::Tenant(DevId(dev)),
            database: "".into(),
        };
        let opened = Cause::SessionOpened {
            session: id,
            dev,
            is_health_check: false,
        };
        self.feed(event, &opened)
    }

    /// A load balancer logs in, asks something, and goes.
    pub(super) fn check_health(&mut self) -> Result<(), Failure> {
        if self.core.is_none() {
            return Ok(());
        }
        self.session_ids += 1;
        self.requests += 1;
        let (life, id, req) = (self.life, self.session_ids, self.requests);
        let event = Event::SessionOpened {
            session: SessionId(id),
            login: Login::HealthCheck,
            database: "".into(),
        };
        let opened = Cause::SessionOpened {
            session: id,
            dev: 0,
            is_health_check: true,
        };
        self.feed(event, &opened)?;
        self.query_arrived(life, id, req, Ask::Begin)?;
        self.session_end(life, id)
    }

    /// A back end looks into another tenant, on a session of its own that it needs for nothing else.
    pub(super) fn visit(&mut self, from: u32, to: u32) -> Result<(), Failure> {
        if self.core.is_none() {
            return Ok(());
        }
        self.session_ids += 1;
        self.requests += 1;
        let (life, id, req) = (self.life, self.session_ids, self.requests);
        let event = Event::SessionOpened {
            session: SessionId(id),
            login: Login::Tenant(DevId(from)),
            database: "".into(),
        };
        let opened = Cause::SessionOpened {
            session: id,
            dev: from,
            is_health_check: false,
        };
        self.feed(event, &opened)?;
        self.query_arrived(life, id, req, Ask::Use { dev: to })?;
        self.session_end(life, id)
    }

    /// The server ended a session: the back end opens another one soon.
    pub(super) fn close_session(&mut self, id: u64) {
        if let Some(session) = self.sessions.iter().position(|known| known.id == id) {
            self.plan(
                self.now + 300_000,
                Coming::LogIn {
                    life: self.life,
                    session,
                    ended: id,
                },
            );
        }
    }

    /// A back end whose session was ended opens a new one.
    pub(super) fn log_in_again(&mut self, life: u32, index: usize, ended: u64) -> Result<(), Failure> {
        if life != self.life || self.core.is_none() || self.sessions[index].id != ended {
            return Ok(());
        }
        self.session_end(life, ended)?;
        let lost = std::mem::take(&mut self.sessions[index].unanswered);
        self.open_session(index)?;
        for (_, ask) in lost {
            self.try_again(index, ask);
        }
        Ok(())
    }
}
