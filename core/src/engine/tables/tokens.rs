//! `revoked_tokens` (protocol.md 4.3, 7.13).

use alloc::vec;
use alloc::vec::Vec;

use super::{Core, Outcome, RowId};
use crate::action::{Action, Done};
use crate::cometql::{Cell, Keys, Row};
use crate::id::{DevId, OpId};
use crate::name::Token;
use crate::record::Record;

impl Core {
    /// Revokes tokens. One that is valid now also costs its user his key and all his connections (Q69).
    pub(super) fn insert_tokens(&mut self, dev: DevId, tokens: Vec<Token>, out: &mut Vec<Action>) -> Outcome {
        let mut affected = 0;
        let mut last = None;
        for token in tokens {
            let user = self.token_user(dev, &token);
            let time = self.now.unix.seconds();
            last = Some(self.commit(Record::TokenRevoked { dev, token, time }, out));
            affected += 1;
            let Some(user) = user else { continue };
            if self
                .durable
                .user(dev, user)
                .is_some_and(|stored| stored.hash.is_some())
            {
                last = Some(self.commit(Record::KeyDeleted { dev, user }, out));
            }
            self.kick(dev, user, out);
        }
        Outcome::after(
            last,
            Done {
                affected,
                insert_id: 1,
                delivered: None,
            },
        )
    }

    pub(super) fn rows_of_revoked_tokens(&self, dev: DevId, keys: &Keys) -> Vec<(RowId, Row)> {
        let Some(tenant) = self.durable.tenant(dev) else {
            return Vec::new();
        };
        let row = |token: &Token| {
            (
                RowId::Token(token.clone()),
                vec![Cell::Text(token.reveal_shared())],
            )
        };
        match keys {
            Keys::All => tenant.revoked.keys().map(row).collect(),
            Keys::Tokens(tokens) => tokens
                .iter()
                .filter(|token| tenant.revoked.contains_key(*token))
                .map(row)
                .collect(),
            Keys::Users(_) | Keys::Channels(_) | Keys::Messages(_) => Vec::new(),
        }
    }

    /// Un-revokes.
    pub(super) fn delete_tokens(
        &mut self,
        dev: DevId,
        ids: Vec<RowId>,
        out: &mut Vec<Action>,
    ) -> Option<OpId> {
        let mut last = None;
        for id in ids {
            if let RowId::Token(token) = id {
                last = Some(self.commit(Record::TokenRestored { dev, token }, out));
            }
        }
        last
    }
}
