//! Tokens of a statement (protocol.md 7.3, 7.4), borrowed from its text: nothing is allocated, every byte is looked
//! at a bounded number of times.
//!
//! Written by hand because the tokenizer of `sqlparser` cost more than the whole front end may (see
//! `benches/cometql.rs`) and does not know the trailer rule; that tokenizer is the oracle in
//! `tests/cometql_oracle.rs`. It must never know which words are keywords: the parser decides by position.

use super::Comparison;

/// A piece of the statement: byte positions, always on character boundaries because every token ends at an ASCII
/// byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

impl Span {
    /// The piece of the text it was made from.
    pub(super) fn of(self, text: &str) -> &str {
        &text[self.start as usize..self.end as usize]
    }

    /// Without the first and the last byte: the inside of a literal.
    pub(super) fn inside(self) -> Self {
        Self {
            start: self.start + 1,
            end: self.end - 1,
        }
    }
}

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Letters, digits and `_`, not beginning with a digit.
    Word,
    /// Decimal, maybe with sign and fraction.
    Number,
    /// A literal in any of `'`, `"` and backtick, with its delimiters. `plain`: nothing in it has to be decoded.
    Quoted {
        plain: bool,
    },
    Open,
    Close,
    Comma,
    Semicolon,
    Compare(Comparison),
    Star,
    Dot,
    AtAt,
    Question,
    /// A literal or comment without its end; reaches to the end of the text.
    Unterminated,
    /// A character that starts no token.
    Bad,
    /// The end of the text, as often as asked.
    End,
}

/// A token and where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) span: Span,
}

/// Walks over a statement.
pub(super) struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

const fn is_quote(byte: u8) -> bool {
    matches!(byte, b'\'' | b'"' | b'`')
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

impl<'a> Lexer<'a> {
    /// Starts at byte `at` of a text of less than 4 GiB.
    pub(super) const fn new(text: &'a str, at: usize) -> Self {
        Self {
            bytes: text.as_bytes(),
            at,
        }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    /// The next token.
    pub(super) fn next(&mut self) -> Token {
        let closed = self.skip_blanks();
        let start = self.at;
        let kind = if closed {
            self.scan()
        } else {
            self.at = self.bytes.len();
            Kind::Unterminated
        };
        Token {
            kind,
            span: Span {
                start: start as u32,
                end: self.at as u32,
            },
        }
    }

    /// Skips blanks and comments. False at a comment without end.
    fn skip_blanks(&mut self) -> bool {
        while let Some(byte) = self.peek(0) {
            match byte {
                _ if is_blank(byte) => self.at += 1,
                b'#' => self.skip_line(),
                b'-' if self.peek(1) == Some(b'-') && self.peek(2).is_none_or(is_blank) => self.skip_line(),
                b'/' if self.peek(1) == Some(b'*') => {
                    let Some(length) = find_comment_end(&self.bytes[self.at + 2..]) else {
                        return false;
                    };
                    self.at += 2 + length;
                }
                _ => break,
            }
        }
        true
    }

    fn skip_line(&mut self) {
        while self.peek(0).is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    fn scan(&mut self) -> Kind {
        let Some(byte) = self.peek(0) else {
            return Kind::End;
        };
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => {
                self.at += 1;
                self.skip_word();
                Kind::Word
            }
            b'0'..=b'9' => self.number(),
            b'-' if self.peek(1).is_some_and(|next| next.is_ascii_digit()) => self.number(),
            b'\'' | b'"' | b'`' => self.literal(byte),
            b'(' => self.symbol(1, Kind::Open),
            b')' => self.symbol(1, Kind::Close),
            b',' => self.symbol(1, Kind::Comma),
            b';' => self.symbol(1, Kind::Semicolon),
            b'*' => self.symbol(1, Kind::Star),
            b'.' => self.symbol(1, Kind::Dot),
            b'?' => self.symbol(1, Kind::Question),
            b'=' => self.symbol(1, Kind::Compare(Comparison::Equal)),
            b'!' if self.peek(1) == Some(b'=') => self.symbol(2, Kind::Compare(Comparison::NotEqual)),
            b'<' if self.peek(1) == Some(b'>') => self.symbol(2, Kind::Compare(Comparison::NotEqual)),
            b'<' if self.peek(1) == Some(b'=') => self.symbol(2, Kind::Compare(Comparison::LessOrEqual)),
            b'<' => self.symbol(1, Kind::Compare(Comparison::Less)),
            b'>' if self.peek(1) == Some(b'=') => self.symbol(2, Kind::Compare(Comparison::GreaterOrEqual)),
            b'>' => self.symbol(1, Kind::Compare(Comparison::Greater)),
            b'@' if self.peek(1) == Some(b'@') => self.symbol(2, Kind::AtAt),
            _ => self.bad(),
        }
    }

    fn symbol(&mut self, length: usize, kind: Kind) -> Kind {
        self.at += length;
        kind
    }

    /// Skips one character, so that the next token begins on a boundary.
    fn bad(&mut self) -> Kind {
        self.at += 1;
        while self.peek(0).is_some_and(|byte| byte & 0xc0 == 0x80) {
            self.at += 1;
        }
        Kind::Bad
    }

    fn skip_word(&mut self) {
        while self.peek(0).is_some_and(is_word) {
            self.at += 1;
        }
    }

    fn skip_digits(&mut self) {
        while self.peek(0).is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    /// A number; letters glued to it (`5abc`, `1e5`) make it a bad token.
    fn number(&mut self) -> Kind {
        self.at += 1;
        self.skip_digits();
        if self.peek(0) == Some(b'.') && self.peek(1).is_some_and(|next| next.is_ascii_digit()) {
            self.at += 1;
            self.skip_digits();
        }
        if self.peek(0).is_some_and(is_word) {
            self.skip_word();
            return Kind::Bad;
        }
        Kind::Number
    }

    /// A literal ends at the first delimiter that is neither doubled nor behind an odd number of backslashes.
    fn literal(&mut self, quote: u8) -> Kind {
        let mut at = self.at + 1;
        let mut plain = true;
        while let Some(&byte) = self.bytes.get(at) {
            if byte == quote {
                if self.bytes.get(at + 1) != Some(&quote) {
                    self.at = at + 1;
                    return Kind::Quoted { plain };
                }
                plain = false;
                at += 2;
            } else if byte == b'\\' {
                plain = false;
                at += 2;
            } else {
                at += 1;
            }
        }
        self.at = self.bytes.len();
        Kind::Unterminated
    }
}

fn find_comment_end(bytes: &[u8]) -> Option<usize> {
    let at = bytes.windows(2).position(|pair| pair == b"*/")?;
    Some(at + 2)
}

/// True if everything from byte `at` on is blank, comment, `;` or quote character (Q41).
pub(super) fn is_trailer(text: &str, at: usize) -> bool {
    let mut lexer = Lexer::new(text, at);
    while lexer.skip_blanks() {
        match lexer.peek(0) {
            None => return true,
            Some(byte) if byte == b';' || is_quote(byte) => lexer.at += 1,
            Some(_) => return false,
        }
    }
    false
}

/// Where "anything" ends that begins at byte `at`: at a `;` outside of literals, at an unterminated literal, or at
/// the end.
pub(super) fn skip_anything(text: &str, at: usize) -> usize {
    let mut lexer = Lexer::new(text, at);
    loop {
        let token = lexer.next();
        if matches!(token.kind, Kind::Semicolon | Kind::Unterminated | Kind::End) {
            return token.span.start as usize;
        }
    }
}
