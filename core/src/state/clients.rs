//! What browsers said in their headers, kept once for all that said the same: a million visitors have a few thousand
//! different ones between them.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use core::net::IpAddr;

use crate::event::ClientInfo;

/// A browser as `users_in_pipes` shows it.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) headers: Arc<Headers>,
    pub(crate) ip: Option<IpAddr>,
}

/// What one kind of browser on one site says.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Headers {
    pub(crate) user_agent: Arc<str>,
    pub(crate) language: Arc<str>,
    pub(crate) origin: Option<Arc<str>>,
}

/// All headers of the open connections.
#[derive(Debug, Default)]
pub(crate) struct Clients(BTreeSet<Arc<Headers>>);

impl Clients {
    /// Takes note of a browser.
    pub(crate) fn enter(&mut self, info: &ClientInfo) -> Client {
        let headers = Headers {
            user_agent: info.user_agent.clone(),
            language: info.language.clone(),
            origin: info.origin.clone(),
        };
        let headers = match self.0.get(&headers) {
            Some(known) => known.clone(),
            None => {
                let new = Arc::new(headers);
                self.0.insert(new.clone());
                new
            }
        };
        Client { headers, ip: info.ip }
    }

    /// The browser is gone; what only it said is forgotten.
    pub(crate) fn leave(&mut self, client: Client) {
        // This one and the one in the set.
        if Arc::strong_count(&client.headers) == 2 {
            self.0.remove(&client.headers);
        }
    }

    /// Asserts that nothing is kept for nobody.
    pub(crate) fn check(&self) {
        let mut kept = self.0.iter();
        assert!(
            kept.all(|headers| Arc::strong_count(headers) > 1),
            "headers of nobody are kept"
        );
    }
}
