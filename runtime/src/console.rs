//! The words of the console (protocol.md 8.3): lines of text in, commands out.

use std::time::Duration;

use crate::logging::{LogLevel, LogTag};

/// One line of the console.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Stop in order, exit status 0.
    Exit,
    /// Stop in order, exit status 9: a supervisor starts the server again.
    Restart,
    /// Tell the version.
    Version,
    /// Change the general log level.
    LogLevel(LogLevel),
    /// Change the level of one tag.
    TagLog(LogTag, LogLevel),
    /// Log CometQL statements, or do not.
    LogQueries(bool),
    /// Read the next line later.
    Sleep(Duration),
}

/// Reads a line. Words are case-sensitive, as in the original. `Ok(None)`: nothing but blanks.
///
/// # Errors
/// A sentence that says what was expected.
pub fn parse(line: &str) -> Result<Option<Command>, String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let command = match words[..] {
        [] => return Ok(None),
        ["exit"] => Command::Exit,
        ["restart"] => Command::Restart,
        ["version"] => Command::Version,
        ["LogLevel", level] => Command::LogLevel(log_level(level)?),
        ["TagLog", tag, level] => Command::TagLog(log_tag(tag)?, log_level(level)?),
        ["useQueryLoger", "0"] => Command::LogQueries(false),
        ["useQueryLoger", "1"] => Command::LogQueries(true),
        ["sleep"] => Command::Sleep(Duration::from_secs(1)),
        ["sleep", seconds] => Command::Sleep(Duration::from_secs(
            seconds
                .parse()
                .map_err(|_| "sleep takes a number of seconds".to_owned())?,
        )),
        _ => {
            let words = "exit, restart, version, LogLevel <n>, TagLog <tag> <n>, useQueryLoger 0|1, sleep [<seconds>]";
            return Err(format!("unknown command; there are: {words}"));
        }
    };
    Ok(Some(command))
}

fn log_level(text: &str) -> Result<LogLevel, String> {
    LogLevel::parse(text).ok_or_else(|| format!("a level is one of {}", LogLevel::ALLOWED))
}

/// A tag by its number in the order of protocol.md 8.2, or by its name.
fn log_tag(text: &str) -> Result<LogTag, String> {
    let by_number = || LogTag::ALL.get(text.parse::<usize>().ok()?).copied();
    LogTag::parse(text).or_else(by_number).ok_or_else(|| {
        let names: Vec<&str> = LogTag::ALL.iter().map(|tag| tag.name()).collect();
        format!(
            "a tag is a number from 0 to {} or one of {}",
            names.len() - 1,
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_protocol_8_3() {
        let level = LogLevel::parse("500").unwrap();
        for (line, command) in [
            ("exit", Command::Exit),
            ("  restart \r", Command::Restart),
            ("version", Command::Version),
            ("LogLevel 500", Command::LogLevel(level)),
            ("TagLog 0 500", Command::TagLog(LogTag::Any, level)),
            (
                "TagLog MySqlServer 500",
                Command::TagLog(LogTag::MySqlServer, level),
            ),
            ("useQueryLoger 1", Command::LogQueries(true)),
            ("useQueryLoger 0", Command::LogQueries(false)),
            ("sleep 3", Command::Sleep(Duration::from_secs(3))),
        ] {
            assert_eq!(parse(line), Ok(Some(command)), "{line}");
        }
        assert_eq!(parse(" "), Ok(None));
        for line in [
            "EXIT",
            "exit now",
            "LogLevel",
            "LogLevel 601",
            "TagLog 99 100",
            "useQueryLoger 2",
            "sleep x",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
