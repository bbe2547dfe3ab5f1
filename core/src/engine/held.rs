//! What a server holds because of who is there, so that a test can see it become nothing when everybody has left
//! (Q82).

use super::Core;

impl Core {
    /// How many things of each kind are held for those who are there: all 0 in a server that nobody uses any more,
    /// however much it was used. What is stored for good (`durable`), counters and periodic timers are not among them.
    pub fn held(&self) -> [(&'static str, usize); 9] {
        let live = || self.tenants.iter().map(|(_, tenant)| tenant);
        [
            ("connections", self.conns.len()),
            ("headers of clients", self.clients.len()),
            ("sessions", self.sessions.len()),
            ("users", live().map(|tenant| tenant.users.len()).sum()),
            ("channels", live().map(|tenant| tenant.channels.len()).sum()),
            ("messages that may be sent again", self.accepted.len()),
            (
                "acknowledgements that wait for the disk",
                self.durability.waiting(),
            ),
            ("users whose presence is not stored", self.unsaved_presence.len()),
            ("timers", self.timers.passing()),
        ]
    }
}
