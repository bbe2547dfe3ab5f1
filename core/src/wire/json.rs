//! The little JSON the wire needs: is a text valid JSON, and writing strings (protocol.md 2.5.1).
//!
//! Bodies are opaque for the server. All it must know is whether a body *is* JSON, because that decides how the body
//! is carried (E2, E3, E4), so nothing is ever parsed into values. Both directions are one pass without allocation
//! per character; nesting costs one bit per level, so a hostile body can neither exhaust the stack nor the memory.

mod write;

pub use write::{push_json_text, push_literal, push_string};

use alloc::vec::Vec;

/// True if `text` is one JSON value, blanks around it allowed.
///
/// Syntax only (RFC 8259): number range, duplicate keys, lone surrogate escapes and depth do not matter.
pub fn is_valid(text: &str) -> bool {
    is_valid_within(text, usize::MAX)
}

/// The same for JSON with at most so many containers inside each other.
pub fn is_valid_within(text: &str, depth_max: usize) -> bool {
    let mut validator = Validator {
        rest: text.as_bytes(),
        nesting: Nesting::default(),
        deepest: 0,
    };
    validator.document().is_some() && validator.deepest <= depth_max
}

/// Eats a document from the front. `None` anywhere means: this is no JSON.
struct Validator<'a> {
    rest: &'a [u8],
    nesting: Nesting,
    /// The largest depth so far.
    deepest: usize,
}

impl Validator<'_> {
    fn document(&mut self) -> Option<()> {
        loop {
            self.blanks();
            if self.value()? == Value::Opened {
                continue;
            }
            if self.after_value()? == After::End {
                return self.rest.is_empty().then_some(());
            }
        }
    }

    /// Eats a scalar, an empty container, or the beginning of a container up to its first value.
    fn value(&mut self) -> Option<Value> {
        match self.next()? {
            b'"' => self.string()?,
            b'{' => {
                self.deeper();
                self.blanks();
                if !self.take(b'}') {
                    self.nesting.push(Container::Object);
                    self.key()?;
                    return Some(Value::Opened);
                }
            }
            b'[' => {
                self.deeper();
                self.blanks();
                if !self.take(b']') {
                    self.nesting.push(Container::Array);
                    return Some(Value::Opened);
                }
            }
            b't' => self.word(b"rue")?,
            b'f' => self.word(b"alse")?,
            b'n' => self.word(b"ull")?,
            first => self.number(first)?,
        }
        Some(Value::Complete)
    }

    /// A container begins, also one that turns out to be empty.
    fn deeper(&mut self) {
        self.deepest = self.deepest.max(self.nesting.depth + 1);
    }

    /// Eats closing brackets up to a comma (and the key behind it) or the end of the outermost value.
    fn after_value(&mut self) -> Option<After> {
        loop {
            self.blanks();
            match (self.nesting.top(), self.rest.first()) {
                (None, _) => return Some(After::End),
                (Some(container), Some(b',')) => {
                    self.next();
                    if container == Container::Object {
                        self.blanks();
                        self.key()?;
                    }
                    return Some(After::Value);
                }
                (Some(Container::Object), Some(b'}')) | (Some(Container::Array), Some(b']')) => {
                    self.next();
                    self.nesting.pop();
                }
                (Some(_), _) => return None,
            }
        }
    }

    fn key(&mut self) -> Option<()> {
        if !self.take(b'"') {
            return None;
        }
        self.string()?;
        self.blanks();
        self.take(b':').then_some(())
    }

    /// Eats a string behind its opening quote.
    fn string(&mut self) -> Option<()> {
        loop {
            let plain = write::plain_prefix(self.rest);
            self.rest = self.rest.get(plain..)?;
            match self.next()? {
                b'"' => return Some(()),
                b'\\' => self.escape()?,
                b'\'' => {}
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let (digits, tail) = self.rest.split_first_chunk::<4>()?;
                self.rest = tail;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(())
            }
            _ => None,
        }
    }

    /// Eats a number whose first character is gone already.
    fn number(&mut self, first: u8) -> Option<()> {
        let lead = if first == b'-' { self.next()? } else { first };
        match lead {
            b'0' => {}
            b'1'..=b'9' => {
                self.digits();
            }
            _ => return None,
        }
        if self.take(b'.') && self.digits() == 0 {
            return None;
        }
        if self.take(b'e') || self.take(b'E') {
            let _signed = self.take(b'+') || self.take(b'-');
            if self.digits() == 0 {
                return None;
            }
        }
        Some(())
    }

    /// Eats digits and tells how many.
    fn digits(&mut self) -> usize {
        let count = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        self.rest = self.rest.get(count..).unwrap_or_default();
        count
    }

    fn word(&mut self, tail: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(tail)?;
        Some(())
    }

    fn blanks(&mut self) {
        while let [b' ' | b'\t' | b'\n' | b'\r', tail @ ..] = self.rest {
            self.rest = tail;
        }
    }

    fn take(&mut self, wanted: u8) -> bool {
        match self.rest {
            [first, tail @ ..] if *first == wanted => {
                self.rest = tail;
                true
            }
            _ => false,
        }
    }

    fn next(&mut self) -> Option<u8> {
        let (&first, tail) = self.rest.split_first()?;
        self.rest = tail;
        Some(first)
    }
}

#[derive(PartialEq, Eq)]
enum Value {
    Complete,
    Opened,
}

#[derive(PartialEq, Eq)]
enum After {
    Value,
    End,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Container {
    Array,
    Object,
}

/// The open containers, one bit each. The newest up to 64 need no allocation.
#[derive(Default)]
struct Nesting {
    /// Full words below `newest`.
    older: Vec<u64>,
    /// Bit 0 is the innermost container; 1 = object.
    newest: u64,
    depth: usize,
}

impl Nesting {
    fn push(&mut self, container: Container) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.older.push(self.newest);
        }
        self.newest = self.newest << 1 | u64::from(container == Container::Object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        assert!(self.depth > 0, "only an open container is closed");
        self.depth -= 1;
        self.newest >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.newest = self
                .older
                .pop()
                .expect("a full word was kept for every 64 levels");
        }
    }

    fn top(&self) -> Option<Container> {
        if self.depth == 0 {
            None
        } else if self.newest & 1 == 1 {
            Some(Container::Object)
        } else {
            Some(Container::Array)
        }
    }
}

#[cfg(test)]
mod tests;
