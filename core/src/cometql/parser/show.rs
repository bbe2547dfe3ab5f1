//! SHOW, DESCRIBE and EXPLAIN DELIVERY (protocol.md 7.3, 7.16, 7.17).

use alloc::vec::Vec;

use super::{Parsed, Parser, syntax};
use crate::cometql::template::Template;
use crate::cometql::{HostScope, Show, Statement, Table, show};

/// What SHOW STATUS and SHOW VARIABLES are about.
#[derive(Clone, Copy)]
enum Scope {
    Session,
    Global,
    Host(HostScope),
}

fn ready(show: Show) -> Parsed<Template> {
    Ok(Template::Ready(Statement::Show(show)))
}

impl Parser<'_> {
    /// What follows SHOW.
    pub(super) fn show(&mut self) -> Parsed<Template> {
        if self.eat_word("DATABASES") {
            ready(Show::Databases)
        } else if self.eat_word("TABLES") {
            ready(Show::Tables)
        } else if self.eat_word("TABLE") {
            self.expect_word("STATUS")?;
            ready(Show::TableStatus)
        } else if self.eat_word("WARNINGS") {
            let columns = show::labels(&["Level", "Code", "Message"]);
            Ok(Template::Ready(Statement::EmptySet { columns }))
        } else if self.eat_word("FULL") {
            if self.eat_word("PROCESSLIST") {
                return ready(Show::ProcessList);
            }
            self.show_columns_of(true)
        } else if self.eat_word("PROCESSLIST") {
            ready(Show::ProcessList)
        } else if self.at_word("COLUMNS") {
            self.show_columns_of(false)
        } else {
            self.show_scoped()
        }
    }

    /// What follows EXPLAIN: nothing but deliveries can be explained.
    pub(super) fn explain(&mut self) -> Parsed<Template> {
        self.expect_word("DELIVERY")?;
        self.expect_word("FOR")?;
        let message = self.value()?;
        Ok(Template::Explain { message })
    }

    fn show_columns_of(&mut self, full: bool) -> Parsed<Template> {
        self.expect_word("COLUMNS")?;
        if !self.eat_word("FROM") {
            self.expect_word("IN")?;
        }
        self.show_columns(full)
    }

    /// The table's name, then nothing more: DESCRIBE and the end of SHOW COLUMNS.
    pub(super) fn show_columns(&mut self, full: bool) -> Parsed<Template> {
        let table = self.table()?;
        if let Some(Err(code)) = table.map(Table::check_select) {
            self.defer(code);
        }
        match table {
            Some(table) => ready(Show::Columns { table, full }),
            None => Ok(self.refused()),
        }
    }

    fn show_scoped(&mut self) -> Parsed<Template> {
        let scope = self.scope();
        if self.eat_word("STATUS") {
            return match scope {
                Scope::Session => ready(Show::SessionStatus),
                Scope::Global => ready(Show::GlobalStatus),
                Scope::Host(scope) => Ok(Template::Ready(Statement::ShowHost {
                    scope,
                    facts: Vec::new(),
                })),
            };
        }
        match scope {
            Scope::Session if self.eat_word("MEMORY") => return ready(Show::Memory { global: false }),
            Scope::Global if self.eat_word("MEMORY") => return ready(Show::Memory { global: true }),
            Scope::Session | Scope::Global | Scope::Host(_) => {}
        }
        if !self.eat_word("VARIABLES") {
            return syntax();
        }
        if self.eat_word("LIKE") {
            let pattern = self.value()?;
            return Ok(Template::Variables { pattern });
        }
        ready(Show::Variables { pattern: None })
    }

    fn scope(&mut self) -> Scope {
        if self.eat_word("GLOBAL") {
            return Scope::Global;
        }
        let hosts = [
            ("UPTIME", HostScope::Uptime),
            ("AVG", HostScope::LoadAverage),
            ("RAM", HostScope::Memory),
            ("FILESYSTEM", HostScope::FileSystem),
        ];
        for (keyword, host) in hosts {
            if self.eat_word(keyword) {
                return Scope::Host(host);
            }
        }
        self.eat_word("SESSION");
        Scope::Session
    }
}
