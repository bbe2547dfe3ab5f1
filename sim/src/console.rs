//! What drivers and people at a console ask a server about itself (protocol.md 7.11, 7.16): counters that have to be
//! exact at any time (Q85), whole tables, and statements whose answer never changes.

/// A question about the server, or about everything of a tenant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Console {
    /// `SHOW PROCESSLIST`.
    ProcessList,
    /// `SHOW STATUS`.
    SessionStatus,
    /// `SHOW GLOBAL STATUS`.
    GlobalStatus,
    /// `SHOW MEMORY`.
    Memory,
    /// `SHOW GLOBAL MEMORY`.
    GlobalMemory,
    /// The database and the session's number.
    Database,
    /// The id of the newest message of the session's last message INSERT.
    LastMessage,
    /// All of `users_time`.
    Times,
    /// All of `pipes`.
    Pipes,
    /// All of `users_in_pipes`.
    Members,
    /// All of `pipes_settings`.
    Lengths,
    /// All of `revoked_tokens`.
    Tokens,
    /// One of [`FIXED`].
    Fixed(usize),
}

/// An answer that never changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fixed {
    /// OK with so many rows affected.
    Done(u64),
    /// So many rows.
    Rows(usize),
    /// This error.
    Error(u16),
}

/// Statements whose answer never changes.
pub const FIXED: [(&str, Fixed); 24] = [
    ("SET NAMES utf8mb4", Fixed::Done(0)),
    ("SHOW DATABASES", Fixed::Rows(1)),
    ("SHOW TABLES", Fixed::Rows(9)),
    ("SHOW TABLE STATUS", Fixed::Rows(9)),
    ("SHOW COLUMNS FROM users_auth", Fixed::Rows(2)),
    ("SHOW FULL COLUMNS FROM users_messages", Fixed::Rows(4)),
    ("DESCRIBE pipes", Fixed::Rows(2)),
    ("SHOW VARIABLES LIKE 'max_allowed%'", Fixed::Rows(1)),
    ("SHOW WARNINGS", Fixed::Rows(0)),
    ("SHOW UPTIME STATUS", Fixed::Rows(1)),
    ("SELECT @@version_comment, @@autocommit", Fixed::Rows(1)),
    ("SELECT 1 LIMIT 0", Fixed::Rows(0)),
    ("SELECT * FROM conference WHERE name = 'web_a'", Fixed::Rows(0)),
    ("SELECT * FROM profiler", Fixed::Rows(0)),
    ("DELETE FROM conference WHERE name = 'web_a'", Fixed::Done(0)),
    (
        "SELECT * FROM revoked_tokens WHERE token IN ('a', 'b')",
        Fixed::Rows(0),
    ),
    ("SELECT * FROM users_auth WHERE id = 0", Fixed::Rows(0)),
    ("DELETE FROM users_time WHERE id = 1", Fixed::Error(10)),
    ("DELETE FROM dialogs WHERE name = 1", Fixed::Error(15)),
    ("SELECT * FROM dialogs", Fixed::Error(15)),
    ("USE db_99999999", Fixed::Error(15)),
    (
        "INSERT INTO conference (name, user_id, message) VALUES ('web_a', 1, 'x')",
        Fixed::Error(500),
    ),
    (
        "INSERT INTO pipes_messages (name, event, message) VALUES ('msg', 'e', 'x')",
        Fixed::Error(12),
    ),
    (
        "SELECT * FROM users_auth WHERE id=1 AND id=2 AND id=3 AND id=4 AND id=5 AND id=6 AND id=7 AND id=8 AND id=9 \
         AND id=10 AND id=11",
        Fixed::Error(18),
    ),
];

impl Console {
    /// The question of a script.
    pub const fn of(kind: u64, about: u64) -> Self {
        match kind % 17 {
            0 => Self::ProcessList,
            1 => Self::SessionStatus,
            2 => Self::GlobalStatus,
            3 => Self::Database,
            4 => Self::Times,
            5 => Self::Pipes,
            6 => Self::Members,
            7 => Self::Lengths,
            8 => Self::Tokens,
            14 => Self::Memory,
            15 => Self::GlobalMemory,
            16 => Self::LastMessage,
            _ => Self::Fixed((about % FIXED.len() as u64) as usize),
        }
    }

    /// It would change something, if there were anything to change.
    pub fn deletes(self) -> bool {
        self.text().starts_with("DELETE")
    }

    /// It tells constants of a session, or sets one up, which no limit counts.
    pub fn is_free(self) -> bool {
        let free = [
            "SET ",
            "SELECT @@",
            "SELECT 1",
            "SELECT DATABASE",
            "SHOW WARNINGS",
        ];
        free.iter().any(|start| self.text().starts_with(start))
    }

    /// The statement.
    pub const fn text(self) -> &'static str {
        match self {
            Self::ProcessList => "SHOW FULL PROCESSLIST",
            Self::SessionStatus => "SHOW STATUS",
            Self::GlobalStatus => "SHOW GLOBAL STATUS",
            Self::Memory => "SHOW MEMORY",
            Self::GlobalMemory => "SHOW GLOBAL MEMORY",
            Self::Database => "SELECT DATABASE(), CONNECTION_ID()",
            Self::LastMessage => "SELECT @@last_message_id",
            Self::Times => "SELECT id, time FROM users_time",
            Self::Pipes => "SELECT name, users FROM pipes",
            Self::Members => "SELECT name, user_id, user_uuid FROM users_in_pipes",
            Self::Lengths => "SELECT name, length FROM pipes_settings",
            Self::Tokens => "SELECT token FROM revoked_tokens",
            Self::Fixed(at) => FIXED[at % FIXED.len()].0,
        }
    }
}
