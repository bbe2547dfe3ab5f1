//! What of the state a redacted recording must not show (`recording::redact`).

use alloc::collections::BTreeMap;

use super::Core;
use crate::id::{DevId, SessionId};
use crate::name::Secret;
use crate::recording::redact::Redactor;

impl Core {
    /// Sets another password; returns the one before.
    pub(crate) fn replace_password(&mut self, password: Secret) -> Secret {
        self.config.replace_password(password)
    }

    /// The tenant of each session.
    pub(crate) fn session_tenants(&self) -> BTreeMap<SessionId, DevId> {
        self.sessions
            .iter()
            .map(|(id, session)| (*id, session.dev))
            .collect()
    }

    /// Replaces every text and secret of users.
    pub(crate) fn replace_texts(&mut self, with: &Redactor) {
        self.durable.replace_texts(with);
        self.durability.replace_texts(with);
    }
}
