//! A recording as a text for people: the state, then one event per line, to be cut, edited and kept as a test. The form
//! is described in docs/testing.md ("A bug report is a file").

use std::fmt::Write as _;

use comet_core::recording::{Entry, Segment, Texts};
use comet_core::{Config, Core, Durable, Event, Mono, Now, UnixMillis};
use serde_json::{Deserializer, Value};

use super::law::Law;

/// What the first line begins with.
const TITLE: &str = "comet recording";

/// A state and what happens then.
#[derive(Clone, PartialEq, Debug)]
pub struct Recorded {
    /// The digests cover the lengths of texts only.
    pub redacted: bool,
    /// What must be true of every replay, beside the digests and the core's own invariants.
    pub laws: Vec<Law>,
    /// The state, as a checkpoint.
    pub checkpoint: Vec<u8>,
    /// It is that of a server that has just started with nothing stored: then its settings are written instead of the
    /// state, and the text outlives changes of the program.
    pub fresh: bool,
    /// What happens.
    pub entries: Vec<Entry>,
}

impl From<&Segment<'_>> for Recorded {
    fn from(segment: &Segment<'_>) -> Self {
        Self {
            redacted: segment.head.redacted,
            laws: Vec::new(),
            checkpoint: segment.checkpoint.to_vec(),
            fresh: false,
            entries: segment.entries.clone(),
        }
    }
}

impl Recorded {
    /// True if a text is one of these.
    pub fn is_one(text: &str) -> bool {
        lines(text).next().is_some_and(|line| line.starts_with(TITLE))
    }

    /// What digests cover.
    pub const fn texts(&self) -> Texts {
        if self.redacted {
            Texts::Lengths
        } else {
            Texts::Whole
        }
    }

    /// The text form.
    ///
    /// # Errors
    /// The checkpoint is damaged, or a part of the state has no text form.
    pub fn print(&self) -> Result<String, String> {
        let core = Core::restore(&self.checkpoint).map_err(|error| error.to_string())?;
        let (version, format) = Core::checkpoint_version();
        let mut text = format!("{TITLE} {version} {format}\n");
        if self.redacted {
            text.push_str("redacted\n");
        }
        for law in &self.laws {
            let _ = writeln!(text, "law {law}");
        }
        let mut last = self.entries.first().map_or_else(Now::default, |entry| entry.now);
        let _ = writeln!(text, "from {} {}", last.mono.micros(), last.unix.0);
        if self.fresh {
            let _ = writeln!(text, "start {}\nevents", settings(core.config())?);
        } else {
            let core = serde_json::to_string_pretty(&core).map_err(|error| format!("the state: {error}"))?;
            let _ = writeln!(text, "core\n{core}\nevents");
        }
        for entry in &self.entries {
            let event = serde_json::to_string(&entry.event).map_err(|error| format!("an event: {error}"))?;
            let mono = entry.now.mono.micros_since(last.mono);
            let unix = entry.now.unix.0.wrapping_sub(last.unix.0).cast_signed();
            last = entry.now;
            let _ = write!(text, "+{mono} {unix:+} {event}");
            if let Some(answer) = &entry.answer {
                text.push_str(" =");
                for digest in answer {
                    let _ = write!(text, " {digest:08x}");
                }
            }
            text.push('\n');
        }
        Ok(text)
    }

    /// The reverse of `print`. Empty lines and lines that begin with `#` are ignored.
    ///
    /// # Errors
    /// The line that is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut lines = lines(text);
        let title = lines.next().unwrap_or_default();
        if !title.starts_with(TITLE) {
            return Err(format!("the first line does not begin with {TITLE:?}"));
        }
        let mut recorded = Self {
            redacted: false,
            laws: Vec::new(),
            checkpoint: Vec::new(),
            fresh: false,
            entries: Vec::new(),
        };
        let mut last = Now::default();
        for line in lines.by_ref() {
            if line == "redacted" {
                recorded.redacted = true;
            } else if let Some(law) = line.strip_prefix("law ") {
                recorded.laws.push(law.parse()?);
            } else if let Some(times) = line.strip_prefix("from ") {
                last = from(times).ok_or_else(|| format!("not two times: {times:?}"))?;
            } else if let Some(settings) = line.strip_prefix("start ") {
                recorded.fresh = true;
                recorded.checkpoint = started(settings, last)?;
            } else if line == "core" || line == "events" {
                break;
            } else {
                return Err(format!("unknown line: {line:?}"));
            }
        }
        if !recorded.fresh {
            recorded.checkpoint = state(title, lines.by_ref())?;
        }
        for line in lines {
            let entry = entry(line, last).map_err(|why| format!("{why}: {line}"))?;
            last = entry.now;
            recorded.entries.push(entry);
        }
        Ok(recorded)
    }
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The state as a checkpoint; only the version of the program that wrote it knows its form.
fn state<'a>(title: &str, lines: impl Iterator<Item = &'a str>) -> Result<Vec<u8>, String> {
    let (version, format) = Core::checkpoint_version();
    if title != format!("{TITLE} {version} {format}") {
        return Err(format!(
            "this program replays \"{TITLE} {version} {format}\", not {title:?}"
        ));
    }
    let lines: Vec<&str> = lines.take_while(|line| *line != "events").collect();
    let core: Core =
        serde_json::from_str(&lines.join("\n")).map_err(|error| format!("the state: {error}"))?;
    let mut checkpoint = Vec::new();
    core.checkpoint(&mut checkpoint);
    Ok(checkpoint)
}

/// The checkpoint of a server that has just started with these settings.
fn started(settings: &str, now: Now) -> Result<Vec<u8>, String> {
    let config: Config = serde_json::from_str(settings).map_err(|error| format!("the settings: {error}"))?;
    fresh(config, now)
}

/// The checkpoint of a server that has just started, with nothing stored.
pub(super) fn fresh(config: Config, now: Now) -> Result<Vec<u8>, String> {
    let config = config.check().map_err(|error| error.text().to_owned())?;
    let core = Core::start(config, Durable::default(), 0, now, &mut Vec::new());
    let mut checkpoint = Vec::new();
    core.checkpoint(&mut checkpoint);
    Ok(checkpoint)
}

/// The settings that are not the usual ones.
fn settings(config: &Config) -> Result<Value, String> {
    let value =
        |config: &Config| serde_json::to_value(config).map_err(|error| format!("the settings: {error}"));
    let usual = value(&Config::default())?;
    let mut own = value(config)?;
    if let Some(own) = own.as_object_mut() {
        own.retain(|name, value| usual.get(name) != Some(value));
    }
    Ok(own)
}

fn from(times: &str) -> Option<Now> {
    let (mono, unix) = times.split_once(' ')?;
    Some(Now {
        mono: Mono::from_micros(mono.parse().ok()?),
        unix: UnixMillis(unix.parse().ok()?),
    })
}

fn entry(line: &str, last: Now) -> Result<Entry, String> {
    let mut words = line.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_default();
    let mono: u64 = word()
        .strip_prefix('+')
        .and_then(|mono| mono.parse().ok())
        .ok_or("no microseconds")?;
    let unix: i64 = word().parse().map_err(|_| "no milliseconds")?;
    let rest = word();
    let mut events = Deserializer::from_str(rest).into_iter::<Event>();
    let event = events
        .next()
        .ok_or("no event")?
        .map_err(|error| error.to_string())?;
    let behind = rest.get(events.byte_offset()..).unwrap_or_default().trim();
    let answer = match behind.strip_prefix('=') {
        Some(digests) => Some(
            digests
                .split_whitespace()
                .map(|digest| u32::from_str_radix(digest, 16).map_err(|_| "no digest"))
                .collect::<Result<_, _>>()?,
        ),
        None if behind.is_empty() => None,
        None => return Err("something behind the event".to_owned()),
    };
    Ok(Entry {
        now: Now {
            mono: Mono::from_micros(last.mono.micros().saturating_add(mono)),
            unix: UnixMillis(last.unix.0.saturating_add_signed(unix)),
        },
        event,
        answer,
    })
}
