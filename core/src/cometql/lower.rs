//! From a template and its values to a statement: keys, conditions and limits (protocol.md 7.3, 7.4).
//!
//! NULL in a WHERE means what it means in MySQL: a condition with it is unknown, and NOT of unknown is unknown. The
//! conditions behind this file know only true and false, so an unknown one becomes whatever keeps a row from
//! matching where it stands: false below an even number of NOTs, true below an odd one.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::template::{Condition, LimitTemplate, Source, Template, Value};
use super::{
    Cell, Comparison, Delete, Expr, Keys, Limit, Limits, Select, Show, Statement, Table, insert, number,
};
use crate::error::{ErrorCode, QueryError};
use crate::id::{MessageId, UserId};
use crate::name::{ChannelName, Token};

/// Puts values into a template.
pub(super) fn statement(
    template: &Template,
    source: Source<'_>,
    limits: &Limits,
) -> Result<Statement, QueryError> {
    Ok(match template {
        Template::Ready(statement) => statement.clone(),
        Template::Insert(rows) => Statement::Insert(insert::rows(rows, source, limits)?),
        Template::Select {
            table,
            filter,
            output,
            order,
            limit,
        } => Statement::Select(Select {
            table: *table,
            keys: keys(*table, filter.as_ref(), source),
            filter: filter_of(*table, filter.as_ref(), source)?,
            output: output.clone(),
            order: order.clone(),
            limit: limit_of(*limit, source)?,
        }),
        Template::Delete {
            table,
            filter,
            order,
            limit,
        } => Statement::Delete(Delete {
            table: *table,
            keys: delete_keys(*table, filter.as_ref(), source),
            filter: filter_of(*table, filter.as_ref(), source)?,
            order: order.clone(),
            limit: limit_of(*limit, source)?,
        }),
        Template::Constants { columns, limit } => Statement::Constants {
            columns: columns.clone(),
            limit: limit_of(*limit, source)?,
        },
        Template::Explain { message } => Statement::Explain {
            message: source.ordinary(*message).and_then(|id| MessageId::parse(&id)),
        },
        Template::Variables { pattern } => {
            // LIKE NULL matches nothing, and so does a name nobody has.
            let pattern = source.ordinary(*pattern).unwrap_or(Cow::Borrowed(""));
            check_pattern(pattern.len())?;
            Statement::Show(Show::Variables {
                pattern: Some(pattern.as_ref().into()),
            })
        }
    })
}

/// The whole WHERE. A LIKE may cost the product of the lengths of text and pattern, so the pattern is bounded.
fn filter_of(
    table: Table,
    filter: Option<&Condition>,
    source: Source<'_>,
) -> Result<Option<Expr>, QueryError> {
    let filter = filter.map(|filter| condition(table, filter, source, true));
    check_pattern(filter.as_ref().map_or(0, longest_pattern))?;
    Ok(filter)
}

fn check_pattern(bytes: usize) -> Result<(), QueryError> {
    match bytes {
        0..=Limits::PATTERN_BYTES_MAX => Ok(()),
        _ => Err(QueryError::new(
            ErrorCode::TooLong,
            "the pattern of a LIKE is too long",
        )),
    }
}

fn longest_pattern(filter: &Expr) -> usize {
    match filter {
        Expr::And(parts) | Expr::Or(parts) => parts.iter().map(longest_pattern).max().unwrap_or(0),
        Expr::Not(inner) => longest_pattern(inner),
        Expr::Like { pattern, .. } => pattern.len(),
        Expr::Compare { .. } | Expr::In { .. } | Expr::Between { .. } | Expr::IsNull { .. } => 0,
    }
}

fn limit_of(limit: Option<LimitTemplate>, source: Source<'_>) -> Result<Option<Limit>, QueryError> {
    let number = |value: Value| {
        let digits = source.ordinary(value).unwrap_or_default();
        let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        // Only a bound value can fail here.
        let wrong = QueryError::new(ErrorCode::InvalidData, "LIMIT is not a number");
        digits.parse::<u64>().ok().filter(|_| all_digits).ok_or(wrong)
    };
    let Some(limit) = limit else {
        return Ok(None);
    };
    Ok(Some(Limit {
        offset: limit.offset.map_or(Ok(0), number)?,
        count: number(limit.count)?,
    }))
}

fn delete_keys(table: Table, filter: Option<&Condition>, source: Source<'_>) -> Keys {
    let by_key = keys(table, filter, source);
    if table != Table::PipesMessages || by_key != Keys::All {
        return by_key;
    }
    match filter.and_then(|filter| filter.key_values(0)) {
        Some(ids) => Keys::Messages(distinct(ids, source, MessageId::parse)),
        None => Keys::All,
    }
}

/// The values the key column is held to; impossible ones are left out (protocol.md 7.3).
fn keys(table: Table, filter: Option<&Condition>, source: Source<'_>) -> Keys {
    if table == Table::MessagesDelivery {
        return delivery_keys(filter, source);
    }
    let Some(values) = filter.and_then(|filter| filter.key_values(table.key_column())) else {
        return Keys::All;
    };
    match table {
        Table::UsersTime => Keys::Users(distinct(values, source, user_or_zero)),
        Table::UsersAuth | Table::UsersData | Table::UsersMessages => {
            Keys::Users(distinct(values, source, |text| {
                user_or_zero(text).filter(|user| *user > 0)
            }))
        }
        Table::PipesMessages
        | Table::Pipes
        | Table::UsersInPipes
        | Table::PipesSettings
        | Table::Conference
        | Table::ConferenceMembers => Keys::Channels(distinct(values, source, |text| {
            ChannelName::from_cometql(text).ok()
        })),
        Table::RevokedTokens => Keys::Tokens(distinct(values, source, |text| Token::parse(text).ok())),
        Table::MessagesDelivery | Table::Dialogs | Table::Profiler => Keys::All,
    }
}

/// The first column of `Table::MessagesDelivery` by which the WHERE finds something.
fn delivery_keys(filter: Option<&Condition>, source: Source<'_>) -> Keys {
    let [id, name, user] = Table::MessagesDelivery.select_keys() else {
        return Keys::All;
    };
    let values = |column: &u8| filter.and_then(|filter| filter.key_values(*column));
    if let Some(ids) = values(id) {
        Keys::Messages(distinct(ids, source, MessageId::parse))
    } else if let Some(users) = values(user) {
        Keys::Users(distinct(users, source, user_or_zero))
    } else if let Some(names) = values(name) {
        Keys::Channels(distinct(names, source, |text| {
            ChannelName::from_cometql(text).ok()
        }))
    } else {
        Keys::All
    }
}

/// 0 or a user id. The same texts as those the filter takes for this number, so `5.0` counts.
fn user_or_zero(text: &str) -> Option<u32> {
    match number::normal(text) {
        Cell::Int(number) => u32::try_from(number).ok().filter(|user| *user <= UserId::MAX),
        Cell::Text(_) => None,
    }
}

/// The keys the values make, without duplicates, in the order listed.
fn distinct<K: Ord + Clone>(
    values: &[Value],
    source: Source<'_>,
    parse: impl Fn(&str) -> Option<K>,
) -> Vec<K> {
    let keys = values.iter().filter_map(|value| parse(&source.ordinary(*value)?));
    let mut seen = BTreeSet::new();
    keys.filter(|key| values.len() == 1 || seen.insert(key.clone()))
        .collect()
}

/// A value as the column compares it.
fn cell(table: Table, column: u8, value: Value, source: Source<'_>) -> Option<Cell> {
    let about = table.columns()[usize::from(column)];
    if about.is_number() {
        return source.ordinary(value).map(|text| number::normal(&text));
    }
    let text = if about.is_free_text() {
        source.free(value)
    } else {
        source.ordinary(value)
    };
    text.map(|text| Cell::text(&text))
}

/// What no row matches, below an even number of NOTs if `plain`, else below an odd one.
const fn unknown(plain: bool) -> Expr {
    Expr::IsNull { negated: !plain }
}

fn condition(table: Table, written: &Condition, source: Source<'_>, plain: bool) -> Expr {
    let all = |parts: &[Condition]| {
        parts
            .iter()
            .map(|part| condition(table, part, source, plain))
            .collect::<Vec<_>>()
    };
    match written {
        Condition::And(parts) => Expr::And(all(parts)),
        Condition::Or(parts) => Expr::Or(all(parts)),
        Condition::Not(inner) => Expr::Not(Box::new(condition(table, inner, source, !plain))),
        Condition::Compare { column, how, value } => match cell(table, *column, *value, source) {
            Some(value) => Expr::Compare {
                column: *column,
                how: *how,
                value,
            },
            None => unknown(plain),
        },
        Condition::In {
            column,
            negated,
            values,
        } => one_of(table, *column, *negated, values, source, plain),
        Condition::Between {
            column,
            negated,
            low,
            high,
        } => {
            let low = cell(table, *column, *low, source);
            let high = cell(table, *column, *high, source);
            between(*column, *negated, low, high, plain)
        }
        Condition::Like {
            column,
            negated,
            pattern,
        } => {
            let free = table.columns()[usize::from(*column)].is_free_text();
            let pattern = if free {
                source.free(*pattern)
            } else {
                source.ordinary(*pattern)
            };
            match pattern {
                Some(pattern) => Expr::Like {
                    column: *column,
                    negated: *negated,
                    pattern: pattern.as_ref().into(),
                },
                None => unknown(plain),
            }
        }
        Condition::IsNull { negated } => Expr::IsNull { negated: *negated },
    }
}

/// IN. Its values come out sorted and without duplicates, so that evaluation can search.
fn one_of(
    table: Table,
    column: u8,
    negated: bool,
    values: &[Value],
    source: Source<'_>,
    plain: bool,
) -> Expr {
    let is_number = table.columns()[usize::from(column)].is_number();
    let mut cells = Vec::with_capacity(values.len());
    let mut any_null = false;
    for value in values {
        match cell(table, column, *value, source) {
            // A text that is no integer equals no number.
            Some(Cell::Text(_)) if is_number => {}
            Some(cell) => cells.push(cell),
            None => any_null = true,
        }
    }
    // Not being in a list with NULL is never certain.
    if any_null && negated == plain {
        return unknown(plain);
    }
    cells.sort_unstable();
    cells.dedup();
    Expr::In {
        column,
        negated,
        values: cells,
    }
}

/// BETWEEN is two comparisons joined by AND; if one of them is unknown, the other can still make it false.
fn between(column: u8, negated: bool, low: Option<Cell>, high: Option<Cell>, plain: bool) -> Expr {
    let (how, value) = match (low, high) {
        (Some(low), Some(high)) => {
            return Expr::Between {
                column,
                negated,
                low,
                high,
            };
        }
        (Some(low), None) => (Comparison::GreaterOrEqual, low),
        (None, Some(high)) => (Comparison::LessOrEqual, high),
        (None, None) => return unknown(plain),
    };
    if negated != plain {
        return unknown(plain);
    }
    let known = Expr::Compare { column, how, value };
    if negated {
        Expr::Not(Box::new(known))
    } else {
        known
    }
}
