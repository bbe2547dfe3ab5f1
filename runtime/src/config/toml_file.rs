//! Reader of the TOML form: the sections and keys of comet.ini, with types. Knows no key.

use toml::de::{DeTable, DeValue};

use super::SettingsError;
use super::resolve::Written;
use super::value::Raw;

/// Reads the text of a file. `place` makes the beginning of an error of a line number.
///
/// The parser's own rendering of an error shows the line, which may hold a password: only its sentence is used.
pub(super) fn read(text: &str, place: impl Fn(usize) -> String) -> Result<Vec<Written>, SettingsError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let table = DeTable::parse(text).map_err(|error| {
        let line = line_of(text, error.span().map_or(0, |span| span.start));
        SettingsError::new(format!(
            "{}: not valid TOML: {}",
            place(line),
            error.message().replace('\n', ", ")
        ))
    })?;
    let mut entries = Vec::new();
    for (section, content) in table.get_ref() {
        let DeValue::Table(keys) = content.get_ref() else {
            let line = line_of(text, section.span().start);
            let name = section.get_ref();
            return Err(SettingsError::new(format!(
                "{}: {name} must stand in a section, like [main]",
                place(line)
            )));
        };
        for (key, value) in keys {
            entries.push(Written {
                name: format!("{}.{}", section.get_ref(), key.get_ref()),
                raw: raw(value.get_ref()),
                line: line_of(text, key.span().start),
            });
        }
    }
    // In the order of the file: of two keys that mean the same, like `listen` and `port`, the later one wins.
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

/// True if the text can only have been meant as TOML: it parses.
pub(super) fn looks_like(text: &str) -> bool {
    DeTable::parse(text.strip_prefix('\u{feff}').unwrap_or(text)).is_ok()
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.clone().into_owned()),
        DeValue::Boolean(flag) => Raw::Flag(*flag),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Raw::Other("a huge number"), Raw::Number),
        DeValue::Array(values) => {
            let texts = values
                .iter()
                .map(|value| value.get_ref().as_str().map(str::to_owned));
            texts
                .collect::<Option<_>>()
                .map_or(Raw::Other("an array of mixed values"), Raw::List)
        }
        DeValue::Float(_) => Raw::Other("a number with a fraction"),
        DeValue::Datetime(_) => Raw::Other("a date"),
        DeValue::Table(_) => Raw::Other("a table"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_lines_are_kept() {
        let text = "[main]\nnode_name = \"n\"\n\n[ws]\nport = 8_087\nhost = [\"a\", \"b\"]\nx = 1.5\n\
                    [log]\nlevel = \"debug\"\n[main.deep]\n";
        let found: Vec<_> = read(text, |_| String::new())
            .unwrap()
            .into_iter()
            .map(|entry| (entry.line, entry.name, entry.raw.to_string()))
            .collect();
        let expected = [
            (2, "main.node_name", "\"n\""),
            (5, "ws.port", "8087"),
            (6, "ws.host", "[\"a\", \"b\"]"),
            (7, "ws.x", "(a number with a fraction)"),
            (9, "log.level", "\"debug\""),
            (10, "main.deep", "(a table)"),
        ];
        assert_eq!(
            found,
            expected.map(|(line, name, raw)| (line, name.to_owned(), raw.to_owned()))
        );
    }

    #[test]
    fn an_error_names_the_line_and_never_shows_it() {
        let error = |text: &str| read(text, |line| format!("f:{line}")).err().unwrap().to_string();
        let broken = error("[main]\nnode_name = \"n\"\npassword = \"hunter2\nx = 1\n");
        assert!(broken.starts_with("f:3: "), "{broken}");
        assert!(!broken.contains("hunter2") && !broken.contains('\n'), "{broken}");
        assert!(error("password = \"hunter2\"").starts_with("f:1: password must stand in a section"));
    }
}
