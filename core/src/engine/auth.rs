//! Who a connection is (protocol.md 4.1 – 4.4), and what happens when a key or token is taken away (4.3).

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::{Core, jwt};
use crate::action::Action;
use crate::event::CloseCause;
use crate::id::{DevId, UserId};
use crate::limit::{Account, Wait};
use crate::name::{Token, same_secret};
use crate::time::UnixSeconds;
use crate::wire::Hello;

/// The outcome of looking at a connection's key.
#[derive(PartialEq, Eq)]
pub(super) enum Identity {
    /// No or no valid key: "connected, not authorized" (S17).
    Anonymous,
    /// By a row of `users_auth`; `key` is what the client presented (4.4).
    ByHash { user: UserId, key: String },
    /// By a token. Nothing of `users_auth` is told or changed (Q28).
    ByToken { user: UserId },
}

impl Identity {
    /// The proven user.
    pub(super) fn user(&self) -> Option<UserId> {
        match self {
            Self::Anonymous => None,
            Self::ByHash { user, .. } | Self::ByToken { user } => Some(*user),
        }
    }

    /// `data` of F1.
    pub(super) fn told_key(&self) -> &str {
        match self {
            Self::ByHash { key, .. } => key,
            Self::Anonymous | Self::ByToken { .. } => "",
        }
    }
}

impl Core {
    /// Who it is, unless too many wrong keys came from there: then the key is not looked at. Only a connection that claims
    /// to be somebody and presents a key can fail.
    pub(super) fn authenticate(&mut self, hello: &Hello, ip: Option<IpAddr>) -> Result<Identity, Wait> {
        let now = self.now.mono;
        let claim = hello.user.filter(|_| hello.key.is_some());
        let (Some(user), Some(ip)) = (claim, ip) else {
            return Ok(self.identify(hello));
        };
        let account = Account::user(hello.dev, user);
        self.key_failures.may_try(ip, account, now)?;
        let identity = self.identify(hello);
        let was_right = identity.user().is_some();
        if was_right || !self.had_a_token(hello) {
            self.key_failures.note(ip, account, now, was_right);
        }
        Ok(identity)
    }

    /// A token that was right until it expired or was revoked: not a guess, and pages that were open all night come back
    /// with one, many at a time.
    fn had_a_token(&self, hello: &Hello) -> bool {
        let proven = hello.key.as_ref().and_then(|key| {
            let password = &self.config.password;
            jwt::verify(key.reveal(), password, hello.dev, UnixSeconds::default())
        });
        proven.is_some() && proven == hello.user
    }

    /// The key is first tried as a token, then as a hash. Nothing but the right pair authorizes (S15, S65).
    fn identify(&self, hello: &Hello) -> Identity {
        let (Some(user), Some(key)) = (hello.user, &hello.key) else {
            return Identity::Anonymous;
        };
        if self.token_user(hello.dev, key) == Some(user) {
            return Identity::ByToken { user };
        }
        let hash = self
            .durable
            .user(hello.dev, user)
            .and_then(|stored| stored.hash.as_ref());
        // An unknown user costs the same as a wrong key; no key is empty.
        let expected = hash.map_or("", |hash| hash.reveal());
        if same_secret(expected.as_bytes(), key.reveal().as_bytes()) {
            Identity::ByHash {
                user,
                key: key.reveal().into(),
            }
        } else {
            Identity::Anonymous
        }
    }

    /// The user a token proves at present: valid and not revoked.
    pub(super) fn token_user(&self, dev: DevId, token: &Token) -> Option<UserId> {
        let revoked = self
            .durable
            .tenant(dev)
            .is_some_and(|tenant| tenant.revoked.contains_key(token));
        if revoked {
            return None;
        }
        jwt::verify(
            token.reveal(),
            &self.config.password,
            dev,
            self.now.unix.seconds(),
        )
    }

    /// Drops all connections of a user; he reconnects and learns that he is not authorized (S18).
    pub(super) fn kick(&mut self, dev: DevId, user: UserId, out: &mut Vec<Action>) {
        let live = self.tenants.user(dev, user);
        let mut connections: Vec<_> = live.into_iter().flat_map(|live| live.connections.all()).collect();
        connections.sort_unstable();
        for conn in connections {
            self.close(conn, CloseCause::Kicked, out);
        }
    }
}
