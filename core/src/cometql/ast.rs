//! Statements after parsing and lowering: every name is resolved, every value checked.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Cell, Table};
use crate::id::{DevId, MessageId, UserId};
use crate::name::{AuthHash, Body, ChannelName, EventName, Token};
use crate::record::HistoryLength;

/// One CometQL statement.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Statement {
    /// Answered OK, changes nothing: an empty statement, SET.
    Nothing,
    /// BEGIN, START TRANSACTION: sets the status flag only.
    Begin,
    /// COMMIT, ROLLBACK: clears the status flag.
    End,
    /// USE and COM_INIT_DB.
    Use {
        /// The tenant of `db_<n>`; `None` for `CometQL_v1`, which keeps the session's tenant.
        dev: Option<DevId>,
        /// What `SELECT DATABASE()` shows afterwards.
        database: Arc<str>,
    },
    /// INSERT.
    Insert(Insert),
    /// DELETE.
    Delete(Delete),
    /// SELECT from a table.
    Select(Select),
    /// SELECT without a table: one row.
    Constants {
        /// The columns.
        columns: Vec<Constant>,
        /// LIMIT 0 makes the row disappear.
        limit: Option<Limit>,
    },
    /// EXPLAIN DELIVERY; `None` if the text is no message id: nothing is known of it.
    Explain {
        /// Of which message.
        message: Option<MessageId>,
    },
    /// SHOW and DESCRIBE.
    Show(Show),
    /// SHOW of facts about the machine, which the core cannot know: the runtime fills them in before it sends the
    /// statement on.
    ShowHost {
        /// What is asked.
        scope: HostScope,
        /// Name and value, in order.
        facts: Vec<(String, String)>,
    },
    /// A result set without rows: information_schema, SHOW WARNINGS.
    EmptySet {
        /// Column labels.
        columns: Vec<Arc<str>>,
    },
}

impl Statement {
    /// A word for logs and metrics; never contains anything of the statement's text.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Begin => "begin",
            Self::End => "end",
            Self::Use { .. } => "use",
            Self::Insert(_) => "insert",
            Self::Delete(_) => "delete",
            Self::Select(_) => "select",
            Self::Constants { .. } => "constants",
            Self::Explain { .. } => "explain",
            Self::Show(_) | Self::ShowHost { .. } | Self::EmptySet { .. } => "show",
        }
    }
}

impl Statement {
    /// Labels of the result set; empty if the answer is OK.
    pub fn columns(&self) -> Vec<Arc<str>> {
        match self {
            Self::Nothing
            | Self::Begin
            | Self::End
            | Self::Use { .. }
            | Self::Insert(_)
            | Self::Delete(_) => Vec::new(),
            Self::Select(select) => select.output.labels(),
            Self::Constants { columns, .. } => columns.iter().map(Constant::label).collect(),
            Self::Explain { .. } => super::explain_columns(),
            Self::Show(show) => show.columns(),
            Self::ShowHost { .. } => Show::SessionStatus.columns(),
            Self::EmptySet { columns } => columns.clone(),
        }
    }
}

/// A column of a SELECT without a table.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Constant {
    /// Known when the statement was parsed: numbers, system variables, VERSION(), USER().
    Known { label: Arc<str>, value: Cell },
    /// DATABASE(): the session's last selected database.
    Database { label: Arc<str> },
    /// @@last_message_id: the message of the session's last message INSERT.
    LastMessage { label: Arc<str> },
    /// CONNECTION_ID(): the session's number.
    ConnectionId { label: Arc<str> },
}

impl Constant {
    /// The label of the column.
    pub fn label(&self) -> Arc<str> {
        match self {
            Self::Known { label, .. }
            | Self::Database { label }
            | Self::LastMessage { label }
            | Self::ConnectionId { label } => label.clone(),
        }
    }
}

/// The rows of an INSERT, in order. All or nothing.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Insert {
    /// protocol.md 7.6.
    UsersAuth(Vec<NewKey>),
    /// protocol.md 7.8.
    UsersData(Vec<NewUserData>),
    /// protocol.md 7.9.
    UsersMessages(Vec<NewPrivate>),
    /// protocol.md 7.10.
    PipesMessages(Vec<NewMessage>),
    /// protocol.md 7.12.
    PipesSettings(Vec<NewSetting>),
    /// protocol.md 7.13.
    RevokedTokens(Vec<Token>),
    /// protocol.md 7.14: well-formed, but there is no video server.
    Conference,
}

impl Insert {
    /// How many rows it brings.
    pub fn rows(&self) -> usize {
        match self {
            Self::UsersAuth(rows) => rows.len(),
            Self::UsersData(rows) => rows.len(),
            Self::UsersMessages(rows) => rows.len(),
            Self::PipesMessages(rows) => rows.len(),
            Self::PipesSettings(rows) => rows.len(),
            Self::RevokedTokens(rows) => rows.len(),
            Self::Conference => 0,
        }
    }

    /// About what its rows take while it waits for its turn.
    pub fn bytes(&self) -> usize {
        let texts: usize = match self {
            Self::UsersAuth(_) | Self::PipesSettings(_) | Self::Conference => 0,
            Self::UsersData(rows) => rows.iter().map(|row| row.data.as_str().len()).sum(),
            Self::UsersMessages(rows) => rows.iter().map(|row| row.body.as_str().len()).sum(),
            Self::PipesMessages(rows) => rows.iter().map(|row| row.body.as_str().len()).sum(),
            Self::RevokedTokens(tokens) => tokens.iter().map(|token| token.reveal().len()).sum(),
        };
        texts + self.rows() * ROW_BYTES
    }
}

/// A row with its short texts.
const ROW_BYTES: usize = 96;

/// A row for `users_auth`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NewKey {
    pub user: UserId,
    pub hash: AuthHash,
}

/// A row for `users_data`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NewUserData {
    pub user: UserId,
    pub data: Body,
}

/// A row for `users_messages`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NewPrivate {
    pub user: UserId,
    pub event: EventName,
    pub body: Body,
}

/// A row for `pipes_messages`; the channel is none of the pseudo-channels (Q27).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NewMessage {
    pub channel: ChannelName,
    pub event: EventName,
    pub body: Body,
}

/// A row for `pipes_settings`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct NewSetting {
    pub channel: ChannelName,
    pub length: HistoryLength,
}

/// A SELECT from a table.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Select {
    /// From where.
    pub table: Table,
    /// Which rows can match at all, from the conditions on the key column.
    pub keys: Keys,
    /// The whole WHERE.
    pub filter: Option<Expr>,
    /// What to show.
    pub output: Output,
    /// ORDER BY.
    pub order: Vec<OrderBy>,
    /// LIMIT.
    pub limit: Option<Limit>,
}

/// A DELETE from a table that allows it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Delete {
    /// From where.
    pub table: Table,
    /// Which rows can match at all.
    pub keys: Keys,
    /// The whole WHERE.
    pub filter: Option<Expr>,
    /// ORDER BY, for LIMIT.
    pub order: Vec<OrderBy>,
    /// LIMIT.
    pub limit: Option<Limit>,
}

/// The rows a statement may look at: values of the key column in the order listed, without duplicates; values that
/// cannot exist are left out (protocol.md 7.3).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Keys {
    /// The key column is not constrained, and the table allows that.
    All,
    /// Users. 0 may occur: `users_time` has a row for it.
    Users(Vec<u32>),
    /// Channels.
    Channels(Vec<ChannelName>),
    /// Tokens.
    Tokens(Vec<Token>),
    /// Messages by their id: DELETE FROM pipes_messages, and messages_delivery.
    Messages(Vec<MessageId>),
}

/// What a SELECT shows.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Output {
    /// Columns.
    Columns(Vec<OutputColumn>),
    /// COUNT(*).
    Count { label: Arc<str> },
}

impl Output {
    /// Labels of the result set.
    pub fn labels(&self) -> Vec<Arc<str>> {
        match self {
            Self::Columns(columns) => columns.iter().map(|column| column.label.clone()).collect(),
            Self::Count { label } => Vec::from([label.clone()]),
        }
    }
}

/// A shown column.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct OutputColumn {
    /// Position in the table.
    pub column: u8,
    /// As written by the client, or its alias, or the table's own name for `*`.
    pub label: Arc<str>,
}

/// A key of ORDER BY.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderBy {
    /// Position in the table.
    pub column: u8,
    /// DESC.
    pub descending: bool,
}

/// LIMIT: how many rows are skipped, then kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Limit {
    pub offset: u64,
    pub count: u64,
}

/// A condition. NULL never occurs in a table, so each is true or false for a row.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Expr {
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
    Compare {
        column: u8,
        how: Comparison,
        value: Cell,
    },
    In {
        column: u8,
        negated: bool,
        /// Of the column's own type, sorted, without duplicates.
        values: Vec<Cell>,
    },
    Between {
        column: u8,
        negated: bool,
        low: Cell,
        high: Cell,
    },
    Like {
        column: u8,
        negated: bool,
        pattern: Arc<str>,
    },
    IsNull {
        negated: bool,
    },
}

/// How a column is compared with a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// SHOW statements the core answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Show {
    Databases,
    Tables,
    TableStatus,
    ProcessList,
    /// SHOW [SESSION] STATUS.
    SessionStatus,
    /// SHOW GLOBAL STATUS.
    GlobalStatus,
    /// SHOW MEMORY: of the tenant; with GLOBAL, of the server.
    Memory {
        global: bool,
    },
    /// SHOW COLUMNS, DESCRIBE. `full` adds the columns of SHOW FULL COLUMNS.
    Columns {
        table: Table,
        full: bool,
    },
    /// SHOW VARIABLES, with its LIKE pattern.
    Variables {
        pattern: Option<Arc<str>>,
    },
}

/// SHOW statements about the machine (protocol.md 7.16).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum HostScope {
    Uptime,
    LoadAverage,
    Memory,
    FileSystem,
}
