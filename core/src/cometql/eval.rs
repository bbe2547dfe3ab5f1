//! WHERE, ORDER BY, LIMIT and COUNT(*) over rows, with their MySQL meaning (protocol.md 7.3).
//!
//! Numbers compare as numbers, texts byte for byte. The type of a column decides: its cells are compared with the
//! number a text stands for, and a text that stands for none equals no number and is not comparable with any.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::{Cell, Comparison, Delete, Expr, Limit, OrderBy, Output, Row, Rows, Select, number};

/// The result of a SELECT. `candidates` are the rows of the listed keys (all columns), in the order listed.
pub fn select(select: &Select, candidates: Vec<Row>) -> Rows {
    let columns = select.output.labels();
    let mut rows = candidates;
    if let Some(filter) = &select.filter {
        rows.retain(|row| holds(filter, row));
    }
    let shown = match &select.output {
        Output::Count { .. } => {
            rows = Vec::from([Vec::from([Cell::Int(rows.len() as i64)])]);
            None
        }
        Output::Columns(shown) => {
            rows.sort_by(|a, b| compare_rows(&select.order, a, b));
            Some(shown)
        }
    };
    cut(&mut rows, select.limit);
    if let Some(shown) = shown {
        for row in &mut rows {
            *row = shown
                .iter()
                .map(|output| row[usize::from(output.column)].clone())
                .collect();
        }
    }
    Rows { columns, rows }
}

/// The positions of the candidates a DELETE means, ascending.
pub fn choose(delete: &Delete, candidates: &[Row]) -> Vec<usize> {
    let mut chosen: Vec<usize> = (0..candidates.len())
        .filter(|&at| {
            delete
                .filter
                .as_ref()
                .is_none_or(|filter| holds(filter, &candidates[at]))
        })
        .collect();
    if delete.limit.is_some() {
        chosen.sort_by(|&a, &b| compare_rows(&delete.order, &candidates[a], &candidates[b]));
        cut(&mut chosen, delete.limit);
        chosen.sort_unstable();
    }
    chosen
}

fn cut<T>(items: &mut Vec<T>, limit: Option<Limit>) {
    let Some(limit) = limit else {
        return;
    };
    let to_usize = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    items.drain(..to_usize(limit.offset).min(items.len()));
    items.truncate(to_usize(limit.count));
}

fn compare_rows(order: &[OrderBy], a: &Row, b: &Row) -> Ordering {
    for key in order {
        let column = usize::from(key.column);
        let order = a[column].cmp(&b[column]);
        let order = if key.descending { order.reverse() } else { order };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

fn holds(filter: &Expr, row: &Row) -> bool {
    match filter {
        Expr::And(parts) => parts.iter().all(|part| holds(part, row)),
        Expr::Or(parts) => parts.iter().any(|part| holds(part, row)),
        Expr::Not(inner) => !holds(inner, row),
        Expr::Compare { column, how, value } => {
            let order = compare(&row[usize::from(*column)], value);
            match how {
                Comparison::Equal => order == Some(Ordering::Equal),
                Comparison::NotEqual => order != Some(Ordering::Equal),
                Comparison::Less => order.is_some_and(Ordering::is_lt),
                Comparison::LessOrEqual => order.is_some_and(Ordering::is_le),
                Comparison::Greater => order.is_some_and(Ordering::is_gt),
                Comparison::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
            }
        }
        Expr::In {
            column,
            negated,
            values,
        } => values.binary_search(&row[usize::from(*column)]).is_ok() != *negated,
        Expr::Between {
            column,
            negated,
            low,
            high,
        } => {
            let cell = &row[usize::from(*column)];
            let inside = compare(cell, low).is_some_and(Ordering::is_ge)
                && compare(cell, high).is_some_and(Ordering::is_le);
            inside != *negated
        }
        Expr::Like {
            column,
            negated,
            pattern,
        } => {
            let matches = match &row[usize::from(*column)] {
                Cell::Int(number) => like(&number.to_string(), pattern),
                Cell::Text(text) => like(text, pattern),
            };
            matches != *negated
        }
        Expr::IsNull { negated } => *negated,
    }
}

/// Compares a cell of a row with a value; `None` if one is a number and the other stands for none.
fn compare(cell: &Cell, value: &Cell) -> Option<Ordering> {
    match (cell, value) {
        (Cell::Int(a), Cell::Int(b)) => Some(a.cmp(b)),
        (Cell::Text(a), Cell::Text(b)) => Some(a.cmp(b)),
        (Cell::Int(a), Cell::Text(b)) => number::compare(*a, b),
        (Cell::Text(a), Cell::Int(b)) => number::compare(*b, a).map(Ordering::reverse),
    }
}

/// LIKE: `%` any run, `_` one character, `\` takes the next one literally; byte for byte otherwise. Takes at most
/// the product of both lengths, and no more memory.
pub fn like(text: &str, pattern: &str) -> bool {
    let mut text_left = text.chars();
    let mut pattern_left = pattern.chars();
    // Behind the last `%`: what of the pattern must follow, and where in the text to try it next.
    let mut retry = None;
    loop {
        let mut rest = pattern_left.clone();
        let step = rest.next();
        if step == Some('%') {
            pattern_left = rest;
            retry = Some((pattern_left.clone(), text_left.clone()));
            continue;
        }
        let wanted = match step {
            Some('\\') => rest.next().or(step),
            Some(_) | None => step,
        };
        let mut after = text_left.clone();
        let found = after.next();
        if found.is_none() && step.is_none() {
            return true;
        }
        if found.is_some() && (step == Some('_') || wanted == found) {
            text_left = after;
            pattern_left = rest;
            continue;
        }
        let Some((pattern_again, text_again)) = &mut retry else {
            return false;
        };
        if text_again.next().is_none() {
            return false;
        }
        pattern_left = pattern_again.clone();
        text_left = text_again.clone();
    }
}
