//! Numbers written as text against the numbers of a table: exact, for any number of digits (protocol.md 7.3).
//!
//! A text that is no decimal number equals no number and is neither smaller nor greater than any. MySQL would take
//! it for 0, which would hit rows nobody meant (Q56).

use alloc::format;
use core::cmp::Ordering;

use super::Cell;

/// A decimal number, as exactly as comparing it with an `i64` needs.
struct Decimal {
    negative: bool,
    /// The integer part without sign, `TOO_LARGE` at most.
    whole: i128,
    /// There is something behind the point.
    fraction: bool,
}

/// Outside of `i64` on either side.
const TOO_LARGE: i128 = 1 << 63 | 1;

impl Decimal {
    /// `[-]digits[.digits]`, nothing else.
    fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let add = |sum: i128, digit: u8| (sum * 10 + i128::from(digit - b'0')).min(TOO_LARGE);
        Some(Self {
            negative,
            whole: whole.bytes().fold(0, add),
            fraction: fraction.bytes().any(|digit| digit != b'0'),
        })
    }

    fn signed(&self) -> i128 {
        if self.negative { -self.whole } else { self.whole }
    }
}

/// Compares a number with a text; `None` if the text is no number.
pub(super) fn compare(number: i64, text: &str) -> Option<Ordering> {
    let decimal = Decimal::parse(text)?;
    let order = i128::from(number).cmp(&decimal.signed());
    Some(match order {
        Ordering::Equal if decimal.fraction && decimal.negative => Ordering::Greater,
        Ordering::Equal if decimal.fraction => Ordering::Less,
        Ordering::Less | Ordering::Equal | Ordering::Greater => order,
    })
}

/// The value to compare a number column with: `Int` if the text is one, else a short text that `compare` treats
/// like the given one, however long that is.
pub(super) fn normal(text: &str) -> Cell {
    // The usual case, and quick; the standard parser also takes a plus sign, which we do not.
    if let Ok(number) = text.parse()
        && !text.starts_with('+')
    {
        return Cell::Int(number);
    }
    let Some(decimal) = Decimal::parse(text) else {
        return Cell::text("");
    };
    match i64::try_from(decimal.signed()) {
        Ok(number) if !decimal.fraction => Cell::Int(number),
        Ok(_) | Err(_) => {
            let sign = if decimal.negative { "-" } else { "" };
            let fraction = if decimal.fraction { ".5" } else { "" };
            Cell::text(&format!("{sign}{}{fraction}", decimal.whole))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compared_as_the_numbers_they_are() {
        for (number, text, expected) in [
            (5, "5", Some(Ordering::Equal)),
            (5, "5.0", Some(Ordering::Equal)),
            (5, "5.5", Some(Ordering::Less)),
            (-5, "-5.5", Some(Ordering::Greater)),
            (i64::MAX, "9223372036854775808", Some(Ordering::Less)),
            (5, "+5", None),
        ] {
            assert_eq!(compare(number, text), expected, "{number} and {text}");
        }
    }

    /// A plus sign makes no number, though Rust would take it (Q56).
    #[test]
    fn texts_become_numbers_where_they_are_some() {
        for (text, expected) in [
            ("5", Cell::Int(5)),
            ("005.0", Cell::Int(5)),
            ("+5", Cell::text("")),
            ("5.25", Cell::text("5.5")),
            ("-0.1", Cell::text("-0.5")),
            ("99999999999999999999", Cell::text("9223372036854775809")),
            ("five", Cell::text("")),
        ] {
            assert_eq!(normal(text), expected, "{text}");
        }
    }
}
