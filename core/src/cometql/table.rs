//! The tables and their columns (protocol.md 7.6 – 7.15).

/// A table of CometQL.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Table {
    UsersAuth,
    UsersTime,
    UsersData,
    UsersMessages,
    PipesMessages,
    Pipes,
    UsersInPipes,
    PipesSettings,
    RevokedTokens,
    Conference,
    ConferenceMembers,
    Dialogs,
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
