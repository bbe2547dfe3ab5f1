//! Reader of comet.ini, exactly as protocol.md 8.2 describes the format. Knows no key.

use super::SettingsError;
use super::resolve::Written;
use super::value::Raw;

/// What a comet.ini says, line by line, and the lines that say nothing.
#[derive(Default)]
pub(super) struct Ini {
    pub(super) entries: Vec<Written>,
    /// Lines that are neither a section nor `key = value`.
    pub(super) odd_lines: Vec<usize>,
}

/// Reads the text of a file. `place` makes the beginning of an error of a line number.
pub(super) fn read(text: &str, place: impl Fn(usize) -> String) -> Result<Ini, SettingsError> {
    let mut ini = Ini::default();
    let mut section = None;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let Some((name, "")) = uncommented(rest).split_once(']') else {
                return Err(SettingsError::new(format!(
                    "{}: a section must look like [name]",
                    place(number)
                )));
            };
            section = Some(name.trim());
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            ini.odd_lines.push(number);
            continue;
        };
        let Some(section) = section else {
            return Err(SettingsError::new(format!(
                "{}: a key stands before the first [section]",
                place(number)
            )));
        };
        // `key =` says nothing; a value that is all comment says the same.
        let value = uncommented(value);
        if !value.is_empty() {
            ini.entries.push(Written {
                name: format!("{section}.{}", key.trim()),
                raw: raw(value),
                line: number,
            });
        }
    }
    Ok(ini)
}

/// The text before a comment, trimmed.
fn uncommented(text: &str) -> &str {
    text.split([';', '#']).next().unwrap_or_default().trim()
}

fn raw(value: &str) -> Raw {
    match value.strip_prefix("[]") {
        Some(appended) => Raw::IniAppend(appended.trim().to_owned()),
        None => Raw::Ini(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<(String, String, usize)> {
        let ini = read(text, |line| format!("line {line}")).unwrap();
        ini.entries
            .into_iter()
            .map(|entry| (entry.name, entry.raw.to_string(), entry.line))
            .collect()
    }

    fn entry(name: &str, value: &str, line: usize) -> (String, String, usize) {
        (name.to_owned(), value.to_owned(), line)
    }

    #[test]
    fn the_format_of_protocol_8_2() {
        let text = "\u{feff}; first\r\n[main]  \r\n password =  a b ; no\r\n#x=y\r\nnode_name=n#1\r\nempty =\r\n\
                    gone = ; all comment\r\n[ws] ; browsers\r\ncluster = []Server=a,Port=1\r\n\
                    cluster = []Server=b,Port=2\r\nhost=*\r\n\tport\t=\t80\t\r\n";
        assert_eq!(
            entries(text),
            [
                entry("main.password", "a b", 3),
                entry("main.node_name", "n", 5),
                entry("ws.cluster", "[]Server=a,Port=1", 9),
                entry("ws.cluster", "[]Server=b,Port=2", 10),
                entry("ws.host", "*", 11),
                entry("ws.port", "80", 12),
            ]
        );
    }

    #[test]
    fn keys_are_case_sensitive_and_values_may_contain_equal_signs() {
        assert_eq!(
            entries("[Main]\nPassword=a=b\n[x]\n=v"),
            [entry("Main.Password", "a=b", 2), entry("x.", "v", 4)]
        );
    }

    #[test]
    fn a_broken_section_is_one_clear_line() {
        for text in ["[main\nx=1", "\n[main] x\n", "\nkey = value\n[main]", "[]x\n"] {
            let error = read(text, |line| format!("f:{line}"))
                .err()
                .map(|error| error.to_string());
            assert!(error.is_some_and(|error| error.starts_with("f:")), "{text:?}");
        }
    }

    #[test]
    fn lines_that_say_nothing_are_told() {
        let ini = read("[main]\nnonsense\n\nx = 1\nmore", |_| String::new()).unwrap();
        assert_eq!(ini.odd_lines, [2, 5]);
    }
}
