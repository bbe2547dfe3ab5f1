//! WHERE (protocol.md 7.3).

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Parsed, Parser, syntax};
use crate::cometql::lexer::Kind;
use crate::cometql::template::{Condition, Value};
use crate::cometql::{Limits, Table};
use crate::error::{ErrorCode, QueryError};

fn deeper(depth: usize) -> Parsed<usize> {
    if depth == Limits::DEPTH_MAX {
        return Err(QueryError::new(ErrorCode::Syntax, "condition nested too deeply"));
    }
    Ok(depth + 1)
}

impl Parser<'_> {
    /// WHERE, if there is one.
    pub(super) fn filter(&mut self, table: Option<Table>) -> Parsed<Option<Condition>> {
        if !self.eat_word("WHERE") {
            return Ok(None);
        }
        self.any_of(table, 0).map(Some)
    }

    fn any_of(&mut self, table: Option<Table>, depth: usize) -> Parsed<Condition> {
        let first = self.all_of(table, depth)?;
        if !self.at_word("OR") {
            return Ok(first);
        }
        let mut alternatives = Vec::from([first]);
        while self.eat_word("OR") {
            alternatives.push(self.all_of(table, depth)?);
        }
        Ok(Condition::Or(alternatives))
    }

    fn all_of(&mut self, table: Option<Table>, depth: usize) -> Parsed<Condition> {
        let first = self.negation(table, depth)?;
        if !self.at_word("AND") {
            return Ok(first);
        }
        let mut parts = Vec::from([first]);
        while self.eat_word("AND") {
            parts.push(self.negation(table, depth)?);
        }
        Ok(Condition::And(parts))
    }

    fn negation(&mut self, table: Option<Table>, depth: usize) -> Parsed<Condition> {
        if self.eat_word("NOT") {
            let inner = self.negation(table, deeper(depth)?)?;
            return Ok(Condition::Not(Box::new(inner)));
        }
        if self.eat(Kind::Open) {
            let inner = self.any_of(table, deeper(depth)?)?;
            self.expect(Kind::Close)?;
            return Ok(inner);
        }
        self.condition(table)
    }

    fn condition(&mut self, table: Option<Table>) -> Parsed<Condition> {
        let name = self.name()?;
        let column = self.resolve_column(table, name);
        if self.conditions == self.limits.conditions_max {
            return Err(ErrorCode::TooManyConditions.into());
        }
        self.conditions += 1;
        if let Kind::Compare(how) = self.token.kind {
            self.take();
            let value = self.value()?;
            return Ok(Condition::Compare { column, how, value });
        }
        if self.eat_word("IS") {
            let negated = self.eat_word("NOT");
            self.expect_word("NULL")?;
            return Ok(Condition::IsNull { negated });
        }
        let negated = self.eat_word("NOT");
        if self.eat_word("IN") {
            let values = self.list()?;
            Ok(Condition::In {
                column,
                negated,
                values,
            })
        } else if self.eat_word("LIKE") {
            let pattern = self.value()?;
            Ok(Condition::Like {
                column,
                negated,
                pattern,
            })
        } else if self.eat_word("BETWEEN") {
            let low = self.value()?;
            self.expect_word("AND")?;
            let high = self.value()?;
            Ok(Condition::Between {
                column,
                negated,
                low,
                high,
            })
        } else {
            syntax()
        }
    }

    /// `( value { , value } )`.
    fn list(&mut self) -> Parsed<Vec<Value>> {
        self.expect(Kind::Open)?;
        let mut values = Vec::new();
        loop {
            let value = self.value()?;
            if values.len() == Limits::VALUES_MAX {
                return Err(ErrorCode::TooManyValues.into());
            }
            values.push(value);
            if !self.eat(Kind::Comma) {
                break;
            }
        }
        self.expect(Kind::Close)?;
        Ok(values)
    }
}
