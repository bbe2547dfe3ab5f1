//! Logging: levels, the subscriber, and the statement log.
//!
//! Everything goes to stderr through `tracing`, as text or as JSON lines. Levels are those of comet.ini
//! (protocol.md 8.2) and can be changed while the server runs (protocol.md 8.3). Passwords, hashes and tokens never
//! come here (Q64): their types print nothing, and statements lose their literals in [`redact`].

mod level;

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use comet_core::DevId;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

pub use level::{LogLevel, LogTag};

use crate::config::LogSettings;

/// Target of the statement log. Not under a level: `main.useQueryLoger` alone switches it.
pub const STATEMENT_TARGET: &str = "comet_statement";

static STATEMENTS: AtomicBool = AtomicBool::new(false);

/// How a line of the log looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The running log: what the console commands of protocol.md 8.3 change.
#[derive(Debug)]
pub struct Logging {
    settings: Mutex<LogSettings>,
    filter: reload::Handle<Targets, Registry>,
}

/// Installs the log of this process. A second call is refused; tests therefore do without.
pub fn start(settings: &LogSettings) -> Result<Logging, tracing_subscriber::util::TryInitError> {
    let (filter, handle) = reload::Layer::new(targets(settings));
    let layer = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    let layer = match settings.format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).with_ansi(false).boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .try_init()?;
    STATEMENTS.store(settings.queries, Ordering::Relaxed);
    Ok(Logging {
        settings: Mutex::new(settings.clone()),
        filter: handle,
    })
}

impl Logging {
    /// Console command `LogLevel`.
    pub fn set_level(&self, level: LogLevel) {
        self.change(|settings| settings.level = level);
    }

    /// Console command `TagLog`.
    pub fn set_tag(&self, tag: LogTag, level: LogLevel) {
        self.change(|settings| {
            settings.tags.insert(tag, level);
        });
    }

    /// Console command `useQueryLoger`.
    pub fn set_queries(&self, on: bool) {
        STATEMENTS.store(on, Ordering::Relaxed);
    }

    fn change(&self, edit: impl FnOnce(&mut LogSettings)) {
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        edit(&mut settings);
        // Fails only when the subscriber is gone, and then nobody reads the log.
        let _ = self.filter.reload(targets(&settings));
    }
}

/// The effective level of a tag is the smaller one of its own and the general level.
fn targets(settings: &LogSettings) -> Targets {
    let level = |tag: LogTag| {
        settings
            .tags
            .get(&tag)
            .map_or(settings.level, |own| settings.level.min(*own))
    };
    let tagged = settings
        .tags
        .keys()
        .flat_map(|&tag| tag.targets().iter().map(move |target| (tag, *target)));
    let own = level(LogTag::Any);
    // Libraries print what they receive, message bodies and all.
    let of_others = own.min(LogLevel::WARNING);
    Targets::new()
        .with_default(of_others.filter())
        .with_target("comet_server", own.filter())
        .with_targets(tagged.map(|(tag, target)| (target, level(tag).filter())))
        .with_target(STATEMENT_TARGET, LevelFilter::TRACE)
}

/// Logs a CometQL statement if `main.useQueryLoger` asks for it, without its literals (Q64). `kind` is
/// `Statement::kind`, or a word for a statement that could not be parsed, whose text is not to be trusted. The caller leaves out SET and SHOW.
pub fn log_statement(dev: DevId, kind: &str, text: &str) {
    if STATEMENTS.load(Ordering::Relaxed) {
        tracing::info!(target: STATEMENT_TARGET, dev = dev.0, kind, statement = redact(text));
    }
}

/// Longest part of a statement that is logged, bytes.
const STATEMENT_BYTES_MAX: usize = 1000;

/// A statement without the contents of its literals, without numbers and without comments. What is not closed counts as secret up to
/// the end (literals as protocol.md 7.4 delimits them).
pub fn redact(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if out.len() >= STATEMENT_BYTES_MAX {
            out.push('…');
            break;
        }
        rest = if matches!(first, '\'' | '"' | '`') {
            out.extend([first, '…', first]);
            after_literal(rest, first)
        } else if rest.starts_with("/*") {
            rest.split_once("*/").map_or("", |(_, after)| after)
        } else if first == '#' || rest.starts_with("--") {
            rest.split_once('\n').map_or("", |(_, after)| after)
        } else if first.is_ascii_digit() && !out.ends_with(in_word) {
            out.push('…');
            rest.trim_start_matches(in_word)
        } else {
            out.push(if first.is_control() { ' ' } else { first });
            rest.get(first.len_utf8()..).unwrap_or_default()
        };
    }
    out
}

fn in_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// What follows the literal at the start of `text`.
fn after_literal(text: &str, delimiter: char) -> &str {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((_, char)) = chars.next() {
        if char == '\\' {
            chars.next();
        } else if char == delimiter && chars.next_if(|&(_, next)| next == delimiter).is_none() {
            return chars
                .peek()
                .map_or("", |&(at, _)| text.get(at..).unwrap_or_default());
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q64_literals_never_reach_the_log() {
        let cases = [
            (
                "INSERT INTO users_auth (id, hash) VALUES (12, 'hash1')",
                "INSERT INTO users_auth (id, hash) VALUES (…, '…')",
            ),
            ("a 'x''y' b", "a '…' b"),
            (r"a 'x\'y' b", "a '…' b"),
            (r"a 'x\\' b", "a '…' b"),
            ("a \"x\" `y` 'open and on", "a \"…\" `…` '…'"),
            ("a /* 'x' */ b # it's\nc -- 'y'\nd", "a  b c d"),
            ("a '", "a '…'"),
            ("VALUES (7,123456789, -0x1F, 1.5e3)", "VALUES (…,…, -…, ….…)"),
            ("cometqlcluster_v1 2", "cometqlcluster_v1 …"),
            ("ä 'ö' ü", "ä '…' ü"),
        ];
        for (statement, logged) in cases {
            assert_eq!(redact(statement), logged);
        }
        assert!(redact(&"x ".repeat(10_000)).len() < 1010);
    }

    #[test]
    fn the_smaller_level_of_tag_and_log_holds() {
        let mut settings = LogSettings {
            level: LogLevel::INFO,
            format: LogFormat::Text,
            tags: [
                (LogTag::MySqlServer, LogLevel::ERROR),
                (LogTag::DbLink, LogLevel::ALL),
            ]
            .into(),
            queries: false,
            statistics: false,
        };
        let enabled = |settings: &LogSettings, target, level| targets(settings).would_enable(target, &level);
        assert!(!enabled(
            &settings,
            "comet_server::sql::session",
            tracing::Level::INFO
        ));
        assert!(enabled(&settings, "comet_server::sql", tracing::Level::ERROR));
        assert!(enabled(&settings, "comet_server::store", tracing::Level::INFO));
        assert!(!enabled(&settings, "comet_server::store", tracing::Level::DEBUG));
        assert!(enabled(&settings, "comet_server::ws", tracing::Level::INFO));
        settings.level = LogLevel::ALL;
        assert!(enabled(&settings, "comet_server::ws", tracing::Level::TRACE));
        settings.level = LogLevel::OFF;
        assert!(!enabled(&settings, "comet_server::ws", tracing::Level::ERROR));
        assert!(enabled(&settings, STATEMENT_TARGET, tracing::Level::INFO));
    }

    /// Q64: the WebSocket library prints messages, and others print what they receive, too.
    #[test]
    fn q64_libraries_only_warn_whatever_the_level() {
        let settings = |level| LogSettings {
            level,
            format: LogFormat::Text,
            tags: [].into(),
            queries: false,
            statistics: false,
        };
        let enabled = |level, of| targets(&settings(level)).would_enable("tungstenite::protocol", &of);
        for level in [LogLevel::INFO, LogLevel::DEBUG, LogLevel::ALL] {
            assert!(enabled(level, tracing::Level::WARN));
            assert!(!enabled(level, tracing::Level::INFO));
            assert!(!enabled(level, tracing::Level::TRACE));
        }
        assert!(!enabled(LogLevel::ERROR, tracing::Level::WARN));
    }
}
