//! The statements of protocol.md 7.3, by hand, with budgets for depth, conditions, values and columns.
//!
//! One pass over the tokens, one token of look-ahead, recursion only for parentheses and NOT of a WHERE, at most
//! `Limits::DEPTH_MAX` deep. A statement that cannot be parsed is error 3 whatever else is wrong with it, so what is
//! wrong with names is noted in `deferred` and told at the end; the first one counts.
//!
//! Decision about the two lists in protocol.md: what 7.3 calls "not existing" (UPDATE, REPLACE, joins, other
//! functions, expressions, arithmetic) is error 3. Clauses that are understood where they stand and are not built
//! (DISTINCT, GROUP BY, HAVING, UNION, ON DUPLICATE KEY, the cluster prefix) are error 2.

mod condition;
mod insert;
mod select;
mod show;

use alloc::borrow::Cow;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::lexer::{self, Kind, Lexer, Span, Token};
use super::template::{LimitTemplate, Source, Template, Value};
use super::{Comparison, Limits, OrderBy, OutputColumn, Statement, Table, login, lower};
use crate::error::{ErrorCode, QueryError};

type Parsed<T> = Result<T, QueryError>;

/// Parses one statement, also as it is printed in published texts, odd blanks and all (S2).
pub fn parse(text: &[u8], limits: &Limits) -> Result<Statement, QueryError> {
    let text = check_text(text, limits)?;
    let (template, _) = Parser::new(text, limits, false).run()?;
    lower::statement(&template, Source { text, params: &[] }, limits)
}

/// What can be said of a statement before looking into it (protocol.md 7.2).
pub(super) fn check_text<'a>(text: &'a [u8], limits: &Limits) -> Parsed<&'a str> {
    if text.len() < Limits::QUERY_BYTES_MIN {
        return Err(QueryError::new(ErrorCode::TooShort, "query too short"));
    }
    if text.len() > limits.query_bytes_max || u32::try_from(text.len()).is_err() {
        return Err(QueryError::new(ErrorCode::TooLong, "query too long"));
    }
    let Ok(text) = core::str::from_utf8(text) else {
        return Err(QueryError::new(
            ErrorCode::InvalidData,
            "query is not valid UTF-8",
        ));
    };
    if text.as_bytes().contains(&0) {
        return Err(QueryError::new(ErrorCode::Syntax, "NUL byte in query"));
    }
    Ok(text)
}

/// A statement being parsed.
pub(super) struct Parser<'a> {
    text: &'a str,
    lexer: Lexer<'a>,
    limits: &'a Limits,
    /// The next token.
    token: Token,
    /// Where the last token taken ends.
    end: u32,
    /// `?` may occur.
    prepared: bool,
    /// `?` so far.
    params: u16,
    /// Conditions so far.
    conditions: usize,
    /// The first thing wrong with a statement that can be parsed.
    deferred: Option<QueryError>,
}

fn syntax<T>() -> Parsed<T> {
    Err(ErrorCode::Syntax.into())
}

impl<'a> Parser<'a> {
    /// A parser for a checked text.
    pub(super) fn new(text: &'a str, limits: &'a Limits, prepared: bool) -> Self {
        let mut lexer = Lexer::new(text, 0);
        let token = lexer.next();
        Self {
            text,
            lexer,
            limits,
            token,
            end: 0,
            prepared,
            params: 0,
            conditions: 0,
            deferred: None,
        }
    }

    /// The statement and its number of `?`.
    pub(super) fn run(mut self) -> Parsed<(Template, u16)> {
        let template = self.statement()?;
        if !lexer::is_trailer(self.text, self.end as usize) {
            return syntax();
        }
        match self.deferred {
            Some(error) => Err(error),
            None => Ok((template, self.params)),
        }
    }

    fn statement(&mut self) -> Parsed<Template> {
        if self.token.kind != Kind::Word {
            return Ok(Template::Ready(Statement::Nothing));
        }
        let word = self.take();
        let word = word.of(self.text);
        let is = |keyword: &str| word.eq_ignore_ascii_case(keyword);
        if is("INSERT") {
            self.insert()
        } else if is("SELECT") {
            self.select()
        } else if is("DELETE") {
            self.delete()
        } else if is("SET") {
            Ok(self.anything(Statement::Nothing))
        } else if is("SHOW") {
            self.show()
        } else if is("EXPLAIN") {
            self.explain()
        } else if is("DESCRIBE") || is("DESC") {
            self.show_columns(false)
        } else if is("USE") {
            self.use_name()
        } else if is("BEGIN") {
            Ok(self.anything(Statement::Begin))
        } else if is("START") {
            self.expect_word("TRANSACTION")?;
            Ok(self.anything(Statement::Begin))
        } else if is("COMMIT") || is("ROLLBACK") {
            Ok(self.anything(Statement::End))
        } else if is("cometqlcluster_v1") {
            self.cluster()
        } else {
            syntax()
        }
    }

    /// Clusters are not built: a prefix that is right is "not implemented", whatever follows it.
    fn cluster(&mut self) -> Parsed<Template> {
        self.expect_word("SET")?;
        self.expect_word("dev_id")?;
        self.expect(Kind::Compare(Comparison::Equal))?;
        let digits = self.digits()?.of(self.text);
        self.expect(Kind::Semicolon)?;
        match digits.parse::<u32>() {
            Ok(dev) if dev < self.limits.dev_index_size => Err(QueryError::new(
                ErrorCode::NotImplemented,
                "clusters are not implemented",
            )),
            Ok(_) | Err(_) => Err(ErrorCode::LoginRefused.into()),
        }
    }

    fn use_name(&mut self) -> Parsed<Template> {
        let name = self.name()?;
        match login::use_database(self.name_text(name).as_bytes(), self.limits.dev_index_size) {
            Ok(statement) => Ok(Template::Ready(statement)),
            Err(error) => {
                self.defer(error);
                Ok(self.refused())
            }
        }
    }

    /// Takes everything up to the trailer.
    fn anything(&mut self, statement: Statement) -> Template {
        let end = lexer::skip_anything(self.text, self.end as usize);
        self.end = end as u32;
        Template::Ready(statement)
    }

    fn defer(&mut self, error: impl Into<QueryError>) {
        if self.deferred.is_none() {
            self.deferred = Some(error.into());
        }
    }

    /// What stands for a statement that has been refused already; nobody sees it.
    fn refused(&self) -> Template {
        assert!(self.deferred.is_some(), "refused without a reason");
        Template::Ready(Statement::Nothing)
    }

    fn take(&mut self) -> Span {
        let span = self.token.span;
        self.end = span.end;
        self.token = self.lexer.next();
        span
    }

    fn eat(&mut self, kind: Kind) -> bool {
        let found = self.token.kind == kind;
        if found {
            self.take();
        }
        found
    }

    fn expect(&mut self, kind: Kind) -> Parsed<()> {
        if self.eat(kind) { Ok(()) } else { syntax() }
    }

    fn at_word(&self, keyword: &str) -> bool {
        self.token.kind == Kind::Word && self.token.span.of(self.text).eq_ignore_ascii_case(keyword)
    }

    fn eat_word(&mut self, keyword: &str) -> bool {
        let found = self.at_word(keyword);
        if found {
            self.take();
        }
        found
    }

    fn expect_word(&mut self, keyword: &str) -> Parsed<()> {
        if self.eat_word(keyword) { Ok(()) } else { syntax() }
    }

    /// An identifier or a quoted text.
    fn name(&mut self) -> Parsed<Value> {
        if let Kind::Quoted { plain } = self.token.kind {
            Ok(self.quoted(plain))
        } else if self.token.kind == Kind::Word {
            Ok(Value::Plain(self.take()))
        } else {
            syntax()
        }
    }

    fn name_text(&self, name: Value) -> Cow<'a, str> {
        let source = Source {
            text: self.text,
            params: &[],
        };
        source.ordinary(name).unwrap_or_default()
    }

    fn label(&self, name: Value) -> Arc<str> {
        self.name_text(name).as_ref().into()
    }

    /// Quoted text, number, identifier, NULL or `?`.
    fn value(&mut self) -> Parsed<Value> {
        if self.eat_word("NULL") {
            Ok(Value::Null)
        } else if self.token.kind == Kind::Number {
            Ok(Value::Plain(self.take()))
        } else if self.token.kind == Kind::Question {
            self.param()
        } else {
            // A bare word is a string.
            self.name()
        }
    }

    fn quoted(&mut self, plain: bool) -> Value {
        let quote = self.text.as_bytes()[self.token.span.start as usize];
        let inside = self.take().inside();
        if plain {
            Value::Plain(inside)
        } else {
            Value::Quoted { inside, quote }
        }
    }

    fn param(&mut self) -> Parsed<Value> {
        if !self.prepared {
            return syntax();
        }
        let number = self.params;
        self.params = number.checked_add(1).ok_or(ErrorCode::TooManyValues)?;
        self.take();
        Ok(Value::Param(number))
    }

    /// A number without sign and fraction.
    fn digits(&mut self) -> Parsed<Span> {
        let is_digits = |span: Span| span.of(self.text).bytes().all(|byte| byte.is_ascii_digit());
        if self.token.kind == Kind::Number && is_digits(self.token.span) {
            Ok(self.take())
        } else {
            syntax()
        }
    }

    /// The table a name means; an unknown one is noted.
    fn table(&mut self) -> Parsed<Option<Table>> {
        let name = self.name()?;
        let table = Table::parse(&self.name_text(name));
        if table.is_none() {
            self.defer(QueryError::new(ErrorCode::DoesNotExist, "table does not exist"));
        }
        Ok(table)
    }

    /// The column a name means; an unknown one is noted and 0 taken instead.
    fn resolve_column(&mut self, table: Option<Table>, name: Value) -> u8 {
        // An unknown table has been noted already.
        let Some(table) = table else {
            return 0;
        };
        let column = table.column(&self.name_text(name));
        if column.is_none() {
            self.defer(QueryError::new(ErrorCode::ColumnList, "unknown column"));
        }
        column.unwrap_or(0)
    }

    /// ORDER BY. In a SELECT a key may also be the label of a shown column, which wins over a column's name.
    fn order(&mut self, table: Option<Table>, shown: &[OutputColumn]) -> Parsed<Vec<OrderBy>> {
        let mut keys = Vec::new();
        if !self.eat_word("ORDER") {
            return Ok(keys);
        }
        self.expect_word("BY")?;
        loop {
            let name = self.name()?;
            let text = self.name_text(name);
            let labelled = shown
                .iter()
                .find(|column| column.label.eq_ignore_ascii_case(&text));
            let column = match labelled {
                Some(labelled) => labelled.column,
                None => self.resolve_column(table, name),
            };
            let descending = self.eat_word("DESC");
            if !descending {
                self.eat_word("ASC");
            }
            if keys.len() == Limits::COLUMNS_MAX {
                return Err(ErrorCode::TooManyNames.into());
            }
            keys.push(OrderBy { column, descending });
            if !self.eat(Kind::Comma) {
                return Ok(keys);
            }
        }
    }

    fn limit(&mut self) -> Parsed<Option<LimitTemplate>> {
        if !self.eat_word("LIMIT") {
            return Ok(None);
        }
        let first = self.limit_number()?;
        let limit = if self.eat(Kind::Comma) {
            LimitTemplate {
                offset: Some(first),
                count: self.limit_number()?,
            }
        } else if self.eat_word("OFFSET") {
            LimitTemplate {
                offset: Some(self.limit_number()?),
                count: first,
            }
        } else {
            LimitTemplate {
                offset: None,
                count: first,
            }
        };
        Ok(Some(limit))
    }

    fn limit_number(&mut self) -> Parsed<Value> {
        if self.token.kind == Kind::Question {
            return self.param();
        }
        let digits = self.digits()?;
        if digits.of(self.text).parse::<u64>().is_err() {
            return syntax();
        }
        Ok(Value::Plain(digits))
    }
}
