//! What browsers said in their headers, kept once for all that said the same: a million visitors have a few thousand
//! different ones between them.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::memory::{cost, text};
use crate::event::ClientInfo;

/// A browser as `users_in_pipes` shows it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Client {
    pub(crate) headers: Arc<Headers>,
    pub(crate) ip: Option<IpAddr>,
}

/// What one kind of browser on one site says.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Headers {
    pub(crate) user_agent: Arc<str>,
    pub(crate) language: Arc<str>,
    pub(crate) origin: Option<Arc<str>>,
}

/// All headers of the open connections.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    known: BTreeSet<Arc<Headers>>,
    bytes: u64,
}

impl Headers {
    fn bytes(&self) -> u64 {
        let origin = self.origin.as_ref().map_or(0, |origin| text(origin.len()));
        cost::HEADERS + text(self.user_agent.len()) + text(self.language.len()) + origin
    }
}

impl Clients {
    /// How many different headers there are.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Takes note of a browser.
    pub(crate) fn enter(&mut self, info: &ClientInfo) -> Client {
        let headers = Headers {
            user_agent: info.user_agent.clone(),
            language: info.language.clone(),
            origin: info.origin.clone(),
        };
        let headers = match self.known.get(&headers) {
            Some(known) => known.clone(),
            None => {
                let new = Arc::new(headers);
                self.bytes += new.bytes();
                self.known.insert(new.clone());
                new
            }
        };
        Client { headers, ip: info.ip }
    }

    /// Takes note of a browser that was read from a checkpoint, and lets it share what others say, too.
    pub(crate) fn share(&mut self, client: &mut Client) {
        match self.known.get(&client.headers) {
            Some(known) => client.headers = known.clone(),
            None => {
                self.bytes += client.headers.bytes();
                self.known.insert(client.headers.clone());
            }
        }
    }

    /// The browser is gone; what only it said is forgotten.
    pub(crate) fn leave(&mut self, client: Client) {
        // This one and the one in the set.
        if Arc::strong_count(&client.headers) == 2 {
            self.bytes -= client.headers.bytes();
            self.known.remove(&client.headers);
        }
    }

    /// What all of it takes.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Asserts that nothing is kept for nobody.
    pub(crate) fn check(&self) {
        let mut kept = self.known.iter();
        assert!(
            kept.all(|headers| Arc::strong_count(headers) > 1),
            "headers of nobody are kept"
        );
        let bytes: u64 = self.known.iter().map(|headers| headers.bytes()).sum();
        assert_eq!(self.bytes, bytes, "the memory of headers drifted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn browser(user_agent: &str, origin: Option<&str>) -> ClientInfo {
        ClientInfo {
            user_agent: user_agent.into(),
            origin: origin.map(Arc::from),
            ..ClientInfo::default()
        }
    }

    #[test]
    fn what_several_browsers_say_is_kept_once_until_the_last_of_them_leaves() {
        let mut clients = Clients::default();
        let same = browser("Firefox", Some("https://a.example"));
        let [first, second, third] = [(); 3].map(|()| clients.enter(&same));
        let elsewhere = clients.enter(&browser("Firefox", Some("https://b.example")));
        let nowhere = clients.enter(&browser("Firefox", None));
        assert!(Arc::ptr_eq(&first.headers, &second.headers) && Arc::ptr_eq(&second.headers, &third.headers));
        assert_eq!(clients.len(), 3);
        for client in [second, first] {
            clients.leave(client);
            clients.check();
            assert_eq!(clients.known.len(), 3, "others still say it");
        }
        let again = clients.enter(&same);
        assert!(Arc::ptr_eq(&again.headers, &third.headers));
        clients.leave(third);
        clients.leave(again);
        clients.check();
        assert_eq!(clients.known.len(), 2, "nobody says it any more");
        assert!(clients.known.contains(&elsewhere.headers) && clients.known.contains(&nowhere.headers));
        clients.leave(elsewhere);
        clients.leave(nowhere);
        assert!(clients.known.is_empty());
    }

    /// `SHOW MEMORY` tells every text that browsers brought.
    #[test]
    fn each_text_of_the_headers_is_counted() {
        let mut clients = Clients::default();
        let bytes = |agent: usize, language: usize| cost::HEADERS + text(agent) + text(language);
        let mut info = browser(&"a".repeat(200), None);
        let first = clients.enter(&info);
        assert_eq!(clients.bytes(), bytes(200, 0));
        clients.leave(first);
        info.language = "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7".into();
        let second = clients.enter(&info);
        assert_eq!(clients.bytes(), bytes(200, 35));
        clients.leave(second);
        info.origin = Some("https://a.example".into());
        let third = clients.enter(&info);
        assert_eq!(clients.bytes(), bytes(200, 35) + text(17));
        clients.leave(third);
        assert_eq!(clients.bytes(), 0);
    }
}
