//! SELECT and DELETE (protocol.md 7.3).

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Parsed, Parser, syntax};
use crate::cometql::lexer::{Kind, skip_anything};
use crate::cometql::template::{Condition, Template, Value};
use crate::cometql::{Cell, Constant, Limits, Output, OutputColumn, SERVER_VERSION, Statement, Table, show};
use crate::error::{ErrorCode, QueryError};

/// What stands between SELECT and FROM.
enum Wanted {
    Everything,
    Count { label: Arc<str> },
    Columns(Vec<WantedColumn>),
    Constants(Vec<Constant>),
}

struct WantedColumn {
    name: Value,
    label: Value,
}

/// One item of the list between SELECT and FROM.
enum Item {
    Count { label: Arc<str> },
    Column(WantedColumn),
    Constant(Constant),
}

impl<'a> Parser<'a> {
    /// What follows SELECT.
    pub(super) fn select(&mut self) -> Parsed<Template> {
        if self.at_word("DISTINCT") {
            return Err(ErrorCode::NotImplemented.into());
        }
        let wanted = self.wanted()?;
        if let Wanted::Constants(columns) = wanted {
            let limit = self.limit()?;
            self.refuse_unbuilt()?;
            return Ok(Template::Constants { columns, limit });
        }
        self.expect_word("FROM")?;
        let name = self.name()?;
        if self.token.kind == Kind::Dot {
            return self.information_schema(name, &wanted);
        }
        let table = self.selected_table(name);
        let output = self.output(table, wanted);
        let filter = self.filter(table)?;
        let shown = match &output {
            Output::Columns(columns) => &columns[..],
            Output::Count { .. } => &[],
        };
        let order = self.order(table, shown)?;
        let limit = self.limit()?;
        self.refuse_unbuilt()?;
        let Some(table) = table else {
            return Ok(self.refused());
        };
        if !table.is_listable() {
            self.require_key(filter.as_ref(), table.select_keys());
        }
        Ok(Template::Select {
            table,
            filter,
            output,
            order,
            limit,
        })
    }

    /// What follows DELETE.
    pub(super) fn delete(&mut self) -> Parsed<Template> {
        self.expect_word("FROM")?;
        let table = self.table()?;
        if let Some(Err(code)) = table.map(Table::check_delete) {
            self.defer(code);
        }
        let filter = self.filter(table)?;
        let order = self.order(table, &[])?;
        let limit = self.limit()?;
        let Some(table) = table else {
            return Ok(self.refused());
        };
        if table == Table::PipesMessages {
            // The other key is the message id, column 0 (protocol.md 7.10).
            self.require_key(filter.as_ref(), &[table.key_column(), 0]);
        } else {
            self.require_key(filter.as_ref(), &[table.key_column()]);
        }
        Ok(Template::Delete {
            table,
            filter,
            order,
            limit,
        })
    }

    fn require_key(&mut self, filter: Option<&Condition>, keys: &[u8]) {
        let held = |key: &u8| filter.is_some_and(|filter| filter.key_values(*key).is_some());
        if !keys.iter().any(held) {
            self.defer(ErrorCode::KeyRequired);
        }
    }

    fn refuse_unbuilt(&self) -> Parsed<()> {
        if ["GROUP", "HAVING", "UNION"]
            .iter()
            .any(|keyword| self.at_word(keyword))
        {
            return Err(ErrorCode::NotImplemented.into());
        }
        Ok(())
    }

    fn selected_table(&mut self, name: Value) -> Option<Table> {
        let table = Table::parse(&self.name_text(name));
        match table.map(Table::check_select) {
            None => self.defer(QueryError::new(ErrorCode::DoesNotExist, "table does not exist")),
            Some(Err(code)) => self.defer(code),
            Some(Ok(())) => {}
        }
        table
    }

    /// Consoles ask it for completion; whatever is asked, the answer is empty (protocol.md 7.16).
    fn information_schema(&mut self, database: Value, wanted: &Wanted) -> Parsed<Template> {
        if !self
            .name_text(database)
            .eq_ignore_ascii_case("information_schema")
        {
            return syntax();
        }
        self.expect(Kind::Dot)?;
        self.name()?;
        self.end = skip_anything(self.text, self.end as usize) as u32;
        let columns = match wanted {
            Wanted::Everything => Vec::from([Arc::from("*")]),
            Wanted::Count { label } => Vec::from([label.clone()]),
            Wanted::Columns(columns) => columns.iter().map(|column| self.label(column.label)).collect(),
            Wanted::Constants(columns) => columns.iter().map(Constant::label).collect(),
        };
        Ok(Template::Ready(Statement::EmptySet { columns }))
    }

    fn wanted(&mut self) -> Parsed<Wanted> {
        if self.eat(Kind::Star) {
            return Ok(Wanted::Everything);
        }
        let mut columns = Vec::new();
        let mut constants = Vec::new();
        loop {
            match self.item()? {
                Item::Count { label } if columns.is_empty() && constants.is_empty() => {
                    return Ok(Wanted::Count { label });
                }
                Item::Count { .. } => return syntax(),
                Item::Column(column) => columns.push(column),
                Item::Constant(constant) => constants.push(constant),
            }
            if columns.len() + constants.len() > Limits::COLUMNS_MAX {
                return Err(ErrorCode::TooManyColumns.into());
            }
            if !self.eat(Kind::Comma) {
                break;
            }
        }
        match (columns.is_empty(), constants.is_empty()) {
            (false, true) => Ok(Wanted::Columns(columns)),
            (true, false) => Ok(Wanted::Constants(constants)),
            // A constant beside a column would be an expression over rows.
            (true, true) | (false, false) => syntax(),
        }
    }

    fn item(&mut self) -> Parsed<Item> {
        let start = self.token.span.start;
        if self.eat(Kind::AtAt) {
            return self.system_variable(start);
        }
        if self.token.kind == Kind::Number {
            let digits = self.digits()?.of(self.text);
            let value = match digits.parse::<i64>() {
                Ok(number) if !digits.starts_with('0') || digits == "0" => Cell::Int(number),
                Ok(_) | Err(_) => Cell::text(digits),
            };
            let label = self.alias_or_source(start)?;
            return Ok(Item::Constant(Constant::Known { label, value }));
        }
        let name = self.name()?;
        if self.token.kind == Kind::Open {
            return self.function(start, name);
        }
        let label = self.alias()?.unwrap_or(name);
        Ok(Item::Column(WantedColumn { name, label }))
    }

    /// The five functions of the grammar; a quoted name is never one.
    fn function(&mut self, start: u32, name: Value) -> Parsed<Item> {
        let name = match name {
            Value::Plain(span) if span.start == start => span.of(self.text),
            Value::Plain(_) | Value::Quoted { .. } | Value::Null | Value::Param(_) => return syntax(),
        };
        let is = |function: &str| name.eq_ignore_ascii_case(function);
        self.expect(Kind::Open)?;
        if is("COUNT") {
            self.expect(Kind::Star)?;
        }
        self.expect(Kind::Close)?;
        let label = self.alias_or_source(start)?;
        Ok(if is("COUNT") {
            Item::Count { label }
        } else if is("DATABASE") {
            Item::Constant(Constant::Database { label })
        } else if is("CONNECTION_ID") {
            Item::Constant(Constant::ConnectionId { label })
        } else if is("VERSION") {
            let value = Cell::text(SERVER_VERSION);
            Item::Constant(Constant::Known { label, value })
        } else if is("USER") {
            let value = Cell::text("root@%");
            Item::Constant(Constant::Known { label, value })
        } else {
            return syntax();
        })
    }

    /// What follows `@@`: a variable, its scope makes no difference (Q49).
    fn system_variable(&mut self, start: u32) -> Parsed<Item> {
        let mut name = self.variable_word()?;
        if self.eat(Kind::Dot) {
            if !["session", "global", "local"]
                .iter()
                .any(|scope| name.eq_ignore_ascii_case(scope))
            {
                return syntax();
            }
            name = self.variable_word()?;
        }
        if name.eq_ignore_ascii_case("last_message_id") {
            let label = self.alias_or_source(start)?;
            return Ok(Item::Constant(Constant::LastMessage { label }));
        }
        let value = Cell::text(&show::variable(name, self.limits));
        let label = self.alias_or_source(start)?;
        Ok(Item::Constant(Constant::Known { label, value }))
    }

    fn variable_word(&mut self) -> Parsed<&'a str> {
        if self.token.kind != Kind::Word {
            return syntax();
        }
        Ok(self.take().of(self.text))
    }

    /// `[AS] name`, if it is there.
    fn alias(&mut self) -> Parsed<Option<Value>> {
        if self.eat_word("AS") {
            return self.name().map(Some);
        }
        let is_clause = ["FROM", "LIMIT", "UNION"]
            .iter()
            .any(|keyword| self.at_word(keyword));
        let is_name = matches!(self.token.kind, Kind::Word | Kind::Quoted { .. });
        if is_name && !is_clause {
            self.name().map(Some)
        } else {
            Ok(None)
        }
    }

    /// The alias, or the source text since byte `start`.
    fn alias_or_source(&mut self, start: u32) -> Parsed<Arc<str>> {
        let end = self.end;
        let source = &self.text[start as usize..end as usize];
        Ok(match self.alias()? {
            Some(alias) => self.label(alias),
            None => source.into(),
        })
    }

    fn output(&mut self, table: Option<Table>, wanted: Wanted) -> Output {
        match wanted {
            Wanted::Count { label } => Output::Count { label },
            Wanted::Everything => {
                let columns = table.map_or(&[][..], Table::columns).iter().zip(0u8..);
                Output::Columns(
                    columns
                        .map(|(column, at)| OutputColumn {
                            column: at,
                            label: column.name.into(),
                        })
                        .collect(),
                )
            }
            Wanted::Columns(wanted) => {
                let mut columns = Vec::with_capacity(wanted.len());
                for WantedColumn { name, label } in wanted {
                    let column = self.resolve_column(table, name);
                    let label = self.label(label);
                    columns.push(OutputColumn { column, label });
                }
                Output::Columns(columns)
            }
            Wanted::Constants(_) => Output::Columns(Vec::new()),
        }
    }
}
