//! WHERE, ORDER BY, LIMIT and COUNT(*) over rows, with their MySQL meaning (protocol.md 7.3).
//!
//! Numbers compare as numbers, texts byte for byte. The type of a column decides: its cells are compared with the
//! number a text stands for, and a text that stands for none equals no number and is not comparable with any.

use alloc::collections::BTreeMap;
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

/// LIKE: `%` any run, `_` one character, `\\` takes the next one literally; byte for byte otherwise.
///
/// Linear in the text: all positions of the pattern that can be reached are followed at once, one bit each.
pub fn like(text: &str, pattern: &str) -> bool {
    let pattern = Pattern::new(pattern);
    let mut reached = Bits::with(pattern.len + 1);
    reached.set(0);
    for character in text.chars() {
        let accepting = pattern.literal.get(&character).unwrap_or(&pattern.any);
        reached.advance(accepting, &pattern.runs);
    }
    reached.get(pattern.len)
}

/// A LIKE pattern taken apart: per character the positions that accept it, and the positions before which any run may
/// stand.
struct Pattern {
    len: usize,
    any: Bits,
    literal: BTreeMap<char, Bits>,
    runs: Bits,
}

impl Pattern {
    fn new(pattern: &str) -> Self {
        let size = pattern.chars().count() + 1;
        let (mut any, mut runs) = (Bits::with(size), Bits::with(size));
        let mut wanted: Vec<(char, usize)> = Vec::new();
        let mut len = 0;
        let mut left = pattern.chars();
        while let Some(character) = left.next() {
            match character {
                '%' => {
                    runs.set(len);
                    continue;
                }
                '_' => any.set(len),
                '\\' => wanted.push((left.next().unwrap_or(character), len)),
                _ => wanted.push((character, len)),
            }
            len += 1;
        }
        let mut literal = BTreeMap::new();
        for (character, at) in wanted {
            literal.entry(character).or_insert_with(|| any.clone()).set(at);
        }
        Self {
            len,
            any,
            literal,
            runs,
        }
    }
}

/// A set of positions.
#[derive(Clone)]
struct Bits(Vec<u64>);

impl Bits {
    fn with(size: usize) -> Self {
        Self(alloc::vec![0; size.div_ceil(64)])
    }

    fn set(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }

    fn get(&self, at: usize) -> bool {
        self.0[at / 64] & 1 << (at % 64) != 0
    }

    /// One character: who accepts it moves on, who may stand before a run stays.
    fn advance(&mut self, accepting: &Self, runs: &Self) {
        let mut carry = 0;
        for (at, word) in self.0.iter_mut().enumerate() {
            let moving = *word & accepting.0[at];
            *word = *word & runs.0[at] | moving << 1 | carry;
            carry = moving >> 63;
        }
    }
}
