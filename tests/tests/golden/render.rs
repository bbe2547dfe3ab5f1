//! Text in and out of a transcript: stand-ins for characters that do not show, long runs, message ids, result sets.

use comet_core::cometql::{Cell, Rows};
use comet_core::{Answer, Reply};

/// Runs of one character longer than this are shortened.
const RUN_MAX: usize = 24;

/// Puts in what `⏎`, `␀` and `{x*70}` stand for.
pub(crate) fn expand(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let run = rest[1..]
            .find('}')
            .and_then(|end| Some((rest[1..=end].split_once('*')?, end + 2)));
        match run.and_then(|((text, count), end)| Some((text, count.parse::<usize>().ok()?, end))) {
            Some((text, count, end)) => {
                out.push_str(&text.repeat(count));
                rest = &rest[end..];
            }
            None => {
                out.push('{');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out.replace('⏎', "\n").replace('␀', "\0")
}

/// The other way round, for output.
pub(crate) fn shorten(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(first) = chars.next() {
        let mut count = 1;
        while chars.next_if_eq(&first).is_some() {
            count += 1;
        }
        let shown = match first {
            '\n' => "⏎".to_owned(),
            '\0' => "␀".to_owned(),
            other => other.to_string(),
        };
        if count > RUN_MAX {
            out.push_str(&format!("{{{shown}*{count}}}"));
        } else {
            out.push_str(&shown.repeat(count));
        }
    }
    out
}

/// Message ids as m1, m2 … in the order of their first appearance: they are made of time and chance.
#[derive(Default)]
pub(crate) struct Ids(Vec<String>);

impl Ids {
    /// Replaces every id in a text.
    pub(crate) fn name(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = (0..rest.len()).find(|at| rest.is_char_boundary(*at) && is_id(&rest[*at..])) {
            out.push_str(&rest[..at]);
            let id = &rest[at..at + 36];
            let known = self.0.iter().position(|other| other == id);
            let number = known.unwrap_or_else(|| {
                self.0.push(id.to_owned());
                self.0.len() - 1
            });
            out.push_str(&format!("m{}", number + 1));
            rest = &rest[at + 36..];
        }
        out.push_str(rest);
        out
    }

    /// Puts ids where a text has `$mN`.
    pub(crate) fn insert(&self, text: &str) -> String {
        let mut parts = text.split('$');
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let end = part[1.min(part.len())..]
                .find(|c: char| !c.is_ascii_digit())
                .map_or(part.len(), |at| at + 1);
            match part.get(..end).and_then(|name| self.find(name)) {
                Some(id) => out.extend([id, &part[end..]]),
                None => out.extend(["$", part]),
            }
        }
        out
    }

    /// The id that is shown as `name`.
    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        let number: usize = name.strip_prefix('m')?.parse().ok()?;
        self.0.get(number.checked_sub(1)?).map(String::as_str)
    }
}

fn is_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 36
        && bytes[..36].iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// A reply as the MySQL console would show it.
pub(crate) fn reply(reply: &Reply) -> String {
    let flag = if reply.in_transaction {
        " (in transaction)"
    } else {
        ""
    };
    let last = |lines: String| {
        if flag.is_empty() {
            lines
        } else {
            lines + flag.trim_start() + "\n"
        }
    };
    match &reply.result {
        Err(error) => format!("ERROR {}{flag}\n", error.code.number()),
        Ok(Answer::Done(done)) => {
            let delivered = done.delivered.map_or_else(String::new, |delivered| {
                format!(
                    ", delivered={} queued={}",
                    delivered.connections, delivered.queued
                )
            });
            format!(
                "OK affected={} id={}{delivered}{flag}\n",
                done.affected, done.insert_id
            )
        }
        Ok(Answer::Rows(rows)) => last(table(rows)),
    }
}

fn table(rows: &Rows) -> String {
    let mut out = line(rows.columns.iter().map(|label| label.to_string()));
    for row in &rows.rows {
        out.push_str(&line(row.iter().map(|cell| match cell {
            Cell::Int(number) => number.to_string(),
            Cell::Text(text) => shorten(text),
        })));
    }
    if rows.rows.is_empty() {
        out.push_str("(no rows)\n");
    }
    out
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

#[test]
fn runs_and_ids_are_readable() {
    assert_eq!(expand("a{b*3}{\"n\":1}⏎c"), "abbb{\"n\":1}\nc");
    assert_eq!(shorten(&expand("x{ab*2}{y*30}⏎")), "xabab{y*30}⏎");
    let mut ids = Ids::default();
    let id = "0189f7e2-1111-7222-8333-444455556666";
    assert_eq!(ids.name(&format!("ä{id} {id}")), "äm1 m1");
    assert_eq!(ids.find("m1"), Some(id));
}
