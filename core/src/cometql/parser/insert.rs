//! INSERT (protocol.md 7.3).

use alloc::vec::Vec;

use super::{Parsed, Parser, syntax};
use crate::cometql::lexer::Kind;
use crate::cometql::template::{InsertTemplate, Template, Value};
use crate::cometql::{Limits, Table};
use crate::error::{ErrorCode, QueryError};

type Places = [Option<u8>; Table::WIDTH_MAX];

impl Parser<'_> {
    /// What follows INSERT.
    pub(super) fn insert(&mut self) -> Parsed<Template> {
        self.expect_word("INTO")?;
        let table = self.table()?;
        if let Some(Err(code)) = table.map(Table::check_insert) {
            self.defer(code);
        }
        let mut places = Places::default();
        let width = if self.token.kind == Kind::Open {
            self.insert_columns(table, &mut places)?
        } else {
            let columns = table.map_or(&[][..], Table::columns);
            for (place, at) in places.iter_mut().zip(0..columns.len() as u8) {
                *place = Some(at);
            }
            columns.len()
        };
        self.expect_word("VALUES")?;
        let values = self.groups(width)?;
        if self.at_word("ON") {
            return Err(ErrorCode::NotImplemented.into());
        }
        Ok(match table {
            Some(table) => Template::Insert(InsertTemplate {
                table,
                places,
                width,
                values,
            }),
            None => self.refused(),
        })
    }

    /// The column list; returns its length.
    fn insert_columns(&mut self, table: Option<Table>, places: &mut Places) -> Parsed<usize> {
        self.expect(Kind::Open)?;
        let mut width = 0;
        loop {
            let name = self.name()?;
            if width == Limits::COLUMNS_MAX {
                return Err(ErrorCode::TooManyColumns.into());
            }
            let known = self.deferred.is_none();
            let column = self.resolve_column(table, name);
            if known && self.deferred.is_none() {
                let place = &mut places[usize::from(column)];
                if place.replace(width as u8).is_some() {
                    self.defer(QueryError::new(ErrorCode::KeyRequired, "column named twice"));
                }
            }
            width += 1;
            if !self.eat(Kind::Comma) {
                break;
            }
        }
        self.expect(Kind::Close)?;
        Ok(width)
    }

    /// The groups of values; one of another length than `width` is noted.
    fn groups(&mut self, width: usize) -> Parsed<Vec<Value>> {
        let mut values = Vec::with_capacity(width);
        loop {
            let before = values.len();
            self.group(&mut values)?;
            if values.len() - before != width {
                self.defer(QueryError::new(ErrorCode::ColumnList, "wrong number of values"));
            }
            if !self.eat(Kind::Comma) {
                return Ok(values);
            }
        }
    }

    fn group(&mut self, values: &mut Vec<Value>) -> Parsed<()> {
        if !self.eat(Kind::Open) {
            return syntax();
        }
        let start = values.len();
        loop {
            let value = self.value()?;
            if values.len() - start == Limits::COLUMNS_MAX {
                return Err(ErrorCode::TooManyColumns.into());
            }
            values.push(value);
            if !self.eat(Kind::Comma) {
                break;
            }
        }
        self.expect(Kind::Close)
    }
}
