//! The tables and their columns (protocol.md 7.6 – 7.15).
//!
//! Rows are positional: a row of a table has one cell per entry of [`Table::columns`], in that order. Columns whose
//! type begins with `int` are `Cell::Int`, all others `Cell::Text`.

use serde::{Deserialize, Serialize};

use crate::error::ErrorCode;

/// A table of CometQL.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Table {
    /// `id` Int, `hash` Text.
    UsersAuth,
    /// `id` Int, `time` Int.
    UsersTime,
    /// `id` Int, `data` Text.
    UsersData,
    /// `id` Int, `index` Int, `event` Text, `message` Text.
    UsersMessages,
    /// `id` Text (UUID), `time` Int, `name` Text, `index` Int, `event` Text, `message` Text, `user_id` Int.
    PipesMessages,
    /// `name` Text, `users` Int.
    Pipes,
    /// `name` Text, `user_id` Int, `user_uuid` Text, `user_agent` Text, `ip` Text, `origin` Text, `language` Text.
    UsersInPipes,
    /// `name` Text, `length` Int.
    PipesSettings,
    /// `token` Text.
    RevokedTokens,
    /// `id` Text (UUID), `time` Int, `ms` Int, `name` Text, `user_id` Int, `what` Text, `session` Int, `connection` Int,
    /// `user_uuid` Text, `detail` Text.
    MessagesDelivery,
    /// `name` Text, `user_id` Int, `caller_id` Text, `message` Text, `profile` Text, `stream` Text, `node` Text.
    Conference,
    /// `name` Text, `user_id` Int, `join_time` Int, `last_talking` Int.
    ConferenceMembers,
    /// No columns: every statement about it fails.
    Dialogs,
    /// `tag` Text, `time` Int, `calls` Int.
    Profiler,
}

/// A column of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Column {
    /// Its name, lower case.
    pub name: &'static str,
    /// Its MySQL type, for SHOW COLUMNS. Types that begin with `int` compare as numbers.
    pub sql_type: &'static str,
}

impl Column {
    const fn int(name: &'static str) -> Self {
        Self {
            name,
            sql_type: "int(11)",
        }
    }

    const fn text(name: &'static str, sql_type: &'static str) -> Self {
        Self { name, sql_type }
    }

    /// True if its cells are `Cell::Int`.
    pub fn is_number(self) -> bool {
        self.sql_type.starts_with("int")
    }

    /// True for `message` and `data`, whose literals are decoded as protocol.md 7.4 says for free text.
    pub fn is_free_text(self) -> bool {
        self.sql_type == FREE_TEXT
    }
}

const FREE_TEXT: &str = "mediumtext";
const ID: Column = Column::int("id");
const USER_ID: Column = Column::int("user_id");
const NAME: Column = Column::text("name", "varchar(64)");
const EVENT: Column = Column::text("event", "varchar(64)");
const MESSAGE: Column = Column::text("message", FREE_TEXT);

/// Columns of `messages_delivery`.
const DELIVERY: [Column; 10] = [
    Column::text("id", "varchar(36)"),
    Column::int("time"),
    Column::int("ms"),
    NAME,
    USER_ID,
    Column::text("what", "varchar(16)"),
    Column::int("session"),
    Column::int("connection"),
    Column::text("user_uuid", "varchar(32)"),
    Column::text("detail", "varchar(250)"),
];

impl Table {
    /// Every table.
    pub const ALL: [Self; 14] = [
        Self::UsersAuth,
        Self::UsersTime,
        Self::UsersMessages,
        Self::PipesMessages,
        Self::UsersInPipes,
        Self::Pipes,
        Self::PipesSettings,
        Self::UsersData,
        Self::RevokedTokens,
        Self::MessagesDelivery,
        Self::Conference,
        Self::ConferenceMembers,
        Self::Dialogs,
        Self::Profiler,
    ];

    /// The tables SHOW TABLES lists, in its order (protocol.md 7.16).
    pub const SHOWN: [Self; 9] = [
        Self::UsersAuth,
        Self::UsersTime,
        Self::UsersMessages,
        Self::PipesMessages,
        Self::UsersInPipes,
        Self::Pipes,
        Self::PipesSettings,
        Self::UsersData,
        Self::RevokedTokens,
    ];

    /// More columns than any table has.
    pub(super) const WIDTH_MAX: usize = 10;

    /// Finds a table by its name, ASCII letters in either case (Q76).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|table| table.name().eq_ignore_ascii_case(name))
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UsersAuth => "users_auth",
            Self::UsersTime => "users_time",
            Self::UsersData => "users_data",
            Self::UsersMessages => "users_messages",
            Self::PipesMessages => "pipes_messages",
            Self::Pipes => "pipes",
            Self::UsersInPipes => "users_in_pipes",
            Self::PipesSettings => "pipes_settings",
            Self::RevokedTokens => "revoked_tokens",
            Self::MessagesDelivery => "messages_delivery",
            Self::Conference => "conference",
            Self::ConferenceMembers => "conference_members",
            Self::Dialogs => "dialogs",
            Self::Profiler => "profiler",
        }
    }

    /// Its columns, in the order of `*` and of its rows.
    pub const fn columns(self) -> &'static [Column] {
        match self {
            Self::UsersAuth => const { &[ID, Column::text("hash", "varchar(32)")] },
            Self::UsersTime => const { &[ID, Column::int("time")] },
            Self::UsersData => const { &[ID, Column::text("data", FREE_TEXT)] },
            Self::UsersMessages => const { &[ID, Column::int("index"), EVENT, MESSAGE] },
            Self::PipesMessages => {
                const {
                    &[
                        Column::text("id", "varchar(36)"),
                        Column::int("time"),
                        NAME,
                        Column::int("index"),
                        EVENT,
                        MESSAGE,
                        USER_ID,
                    ]
                }
            }
            Self::Pipes => const { &[NAME, Column::int("users")] },
            Self::UsersInPipes => {
                const {
                    &[
                        NAME,
                        USER_ID,
                        Column::text("user_uuid", "varchar(32)"),
                        Column::text("user_agent", "varchar(250)"),
                        Column::text("ip", "varchar(45)"),
                        Column::text("origin", "varchar(250)"),
                        Column::text("language", "varchar(64)"),
                    ]
                }
            }
            Self::PipesSettings => const { &[NAME, Column::int("length")] },
            Self::RevokedTokens => const { &[Column::text("token", "varchar(600)")] },
            Self::MessagesDelivery => const { &DELIVERY },
            Self::Conference => {
                const {
                    &[
                        NAME,
                        USER_ID,
                        Column::text("caller_id", "varchar(64)"),
                        MESSAGE,
                        Column::text("profile", "varchar(64)"),
                        Column::text("stream", "varchar(64)"),
                        Column::text("node", "varchar(64)"),
                    ]
                }
            }
            Self::ConferenceMembers => {
                const {
                    &[
                        NAME,
                        USER_ID,
                        Column::int("join_time"),
                        Column::int("last_talking"),
                    ]
                }
            }
            Self::Dialogs => &[],
            Self::Profiler => {
                const {
                    &[
                        Column::text("tag", "varchar(64)"),
                        Column::int("time"),
                        Column::int("calls"),
                    ]
                }
            }
        }
    }

    /// Position of a column by its name, ASCII letters in either case (Q76).
    pub fn column(self, name: &str) -> Option<u8> {
        let at = self
            .columns()
            .iter()
            .position(|column| column.name.eq_ignore_ascii_case(name))?;
        u8::try_from(at).ok()
    }

    /// Position of the key column (protocol.md 7.3): the first one unless its table says otherwise.
    pub const fn key_column(self) -> u8 {
        match self {
            Self::PipesMessages => 2,
            Self::UsersAuth
            | Self::UsersTime
            | Self::UsersData
            | Self::UsersMessages
            | Self::Pipes
            | Self::UsersInPipes
            | Self::PipesSettings
            | Self::RevokedTokens
            | Self::MessagesDelivery
            | Self::Conference
            | Self::ConferenceMembers
            | Self::Dialogs
            | Self::Profiler => 0,
        }
    }

    /// The columns of which a SELECT must constrain one if its table cannot be listed: the key, and for
    /// `messages_delivery` also channel and user.
    pub(super) const fn select_keys(self) -> &'static [u8] {
        match self {
            Self::MessagesDelivery => &[0, 3, 4],
            Self::PipesMessages => &[2],
            Self::UsersAuth
            | Self::UsersTime
            | Self::UsersData
            | Self::UsersMessages
            | Self::Pipes
            | Self::UsersInPipes
            | Self::PipesSettings
            | Self::RevokedTokens
            | Self::Conference
            | Self::ConferenceMembers
            | Self::Dialogs
            | Self::Profiler => &[0],
        }
    }

    /// True if a SELECT need not constrain the key column.
    pub const fn is_listable(self) -> bool {
        match self {
            Self::UsersAuth
            | Self::UsersData
            | Self::UsersMessages
            | Self::PipesMessages
            | Self::MessagesDelivery => false,
            Self::UsersTime
            | Self::Pipes
            | Self::UsersInPipes
            | Self::PipesSettings
            | Self::RevokedTokens
            | Self::Conference
            | Self::ConferenceMembers
            | Self::Dialogs
            | Self::Profiler => true,
        }
    }

    /// Whether SELECT, SHOW COLUMNS and DESCRIBE know the table.
    pub const fn check_select(self) -> Result<(), ErrorCode> {
        match self {
            Self::Dialogs => Err(ErrorCode::DoesNotExist),
            Self::UsersAuth
            | Self::UsersTime
            | Self::UsersData
            | Self::UsersMessages
            | Self::PipesMessages
            | Self::Pipes
            | Self::UsersInPipes
            | Self::PipesSettings
            | Self::RevokedTokens
            | Self::MessagesDelivery
            | Self::Conference
            | Self::ConferenceMembers
            | Self::Profiler => Ok(()),
        }
    }

    /// Whether INSERT may name the table.
    pub const fn check_insert(self) -> Result<(), ErrorCode> {
        match self {
            Self::UsersAuth
            | Self::UsersData
            | Self::UsersMessages
            | Self::PipesMessages
            | Self::PipesSettings
            | Self::RevokedTokens
            | Self::Conference => Ok(()),
            Self::UsersTime
            | Self::Pipes
            | Self::UsersInPipes
            | Self::MessagesDelivery
            | Self::ConferenceMembers
            | Self::Dialogs => Err(ErrorCode::ReadOnly),
            Self::Profiler => Err(ErrorCode::DoesNotExist),
        }
    }

    /// Whether DELETE may name the table.
    pub const fn check_delete(self) -> Result<(), ErrorCode> {
        match self {
            Self::UsersAuth
            | Self::UsersData
            | Self::UsersMessages
            | Self::PipesMessages
            | Self::PipesSettings
            | Self::RevokedTokens
            | Self::Conference => Ok(()),
            Self::UsersTime
            | Self::Pipes
            | Self::UsersInPipes
            | Self::MessagesDelivery
            | Self::ConferenceMembers => Err(ErrorCode::ReadOnly),
            Self::Dialogs | Self::Profiler => Err(ErrorCode::DoesNotExist),
        }
    }
}
