//! What must be true while a recording is played, and how it is played when parts of it were taken out.

use std::fmt;
use std::str::FromStr;

use comet_core::recording::{Entry, Texts, digests};
use comet_core::{Action, ConnId, Core, Event, OpId};

use super::WrongAnswer;
use super::script::Recorded;
use crate::world::recipients;

/// A rule somebody gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Law {
    /// `at-most N conn C "TEXT"`: connection C gets at most N frames that contain TEXT.
    AtMost {
        times: usize,
        conn: ConnId,
        text: String,
    },
    /// `at-least N conn C "TEXT"`: connection C gets at least N frames that contain TEXT.
    AtLeast {
        times: usize,
        conn: ConnId,
        text: String,
    },
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, times, conn, text) = match self {
            Self::AtMost { times, conn, text } => ("at-most", times, conn, text),
            Self::AtLeast { times, conn, text } => ("at-least", times, conn, text),
        };
        write!(
            f,
            "{word} {times} conn {} {}",
            conn.0,
            serde_json::Value::from(text.as_str())
        )
    }
}

impl FromStr for Law {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        parse(line).ok_or_else(|| {
            format!("not a law: {line:?}; at-most N conn C \"TEXT\" or at-least N conn C \"TEXT\"")
        })
    }
}

fn parse(line: &str) -> Option<Law> {
    let mut words = line.splitn(5, ' ');
    let word = words.next()?;
    let times = words.next()?.parse().ok()?;
    if words.next()? != "conn" {
        return None;
    }
    let conn = ConnId(words.next()?.parse().ok()?);
    let text = serde_json::from_str(words.next()?).ok()?;
    match word {
        "at-most" => Some(Law::AtMost { times, conn, text }),
        "at-least" => Some(Law::AtLeast { times, conn, text }),
        _ => None,
    }
}

/// What a play came to.
#[derive(Clone, PartialEq, Debug)]
pub enum Verdict {
    /// Everything as recorded, and every law kept.
    Clean,
    /// An event was answered otherwise than recorded.
    Answer(Box<WrongAnswer>),
    /// A law was broken.
    Broken(Law),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => f.write_str("clean"),
            Self::Answer(wrong) => wrong.fmt(f),
            Self::Broken(law) => write!(f, "broken: {law}"),
        }
    }
}

/// Plays everything. An assertion of the core is a panic. `watch` is told of each event before the core is.
///
/// # Errors
/// The checkpoint cannot be read.
pub fn play(recorded: &Recorded, watch: &mut dyn FnMut(usize, &Entry)) -> Result<Verdict, String> {
    let mut core = Core::restore(&recorded.checkpoint).map_err(|error| error.to_string())?;
    let mut seen = vec![0; recorded.laws.len()];
    for (number, entry) in (1..).zip(&recorded.entries) {
        watch(number, entry);
        let actions = told(&mut core, entry);
        if let Some(wrong) = wrong_answer(entry, number, &actions, recorded.texts()) {
            return Ok(Verdict::Answer(Box::new(wrong)));
        }
        for (law, seen) in recorded.laws.iter().zip(&mut seen) {
            let (Law::AtMost { conn, text, .. } | Law::AtLeast { conn, text, .. }) = law;
            *seen += actions.iter().filter(|action| tells(action, *conn, text)).count();
            if matches!(law, Law::AtMost { times, .. } if *seen > *times) {
                return Ok(Verdict::Broken(law.clone()));
            }
        }
    }
    core.check();
    let too_few = |(law, seen): &(&Law, &usize)| matches!(law, Law::AtLeast { times, .. } if **seen < *times);
    let broken = recorded.laws.iter().zip(&seen).find(too_few);
    Ok(broken.map_or(Verdict::Clean, |(law, _)| Verdict::Broken(law.clone())))
}

/// Tells the core an event. What the disk says of records that were never made, because what made them was taken out,
/// it says of the newest one there is.
pub(super) fn told(core: &mut Core, entry: &Entry) -> Vec<Action> {
    let newest = core.newest_record();
    let made = |upto: OpId| upto.min(newest);
    let event = match &entry.event {
        Event::Persisted { upto } => Event::Persisted { upto: made(*upto) },
        Event::PersistFailed { upto } => Event::PersistFailed { upto: made(*upto) },
        Event::Opened { .. }
        | Event::Request { .. }
        | Event::ProbeAnswered { .. }
        | Event::Closed { .. }
        | Event::SessionOpened { .. }
        | Event::Query { .. }
        | Event::SessionClosed { .. }
        | Event::Memory(_)
        | Event::Shutdown
        | Event::Tick => entry.event.clone(),
    };
    let mut actions = Vec::new();
    core.handle(entry.now, event, &mut actions);
    actions
}

fn tells(action: &Action, conn: ConnId, text: &str) -> bool {
    match action {
        Action::Send { to, frame } => frame.as_str().contains(text) && recipients(to).contains(&conn),
        Action::Probe { .. }
        | Action::Close { .. }
        | Action::Reply { .. }
        | Action::CloseSession { .. }
        | Action::Persist { .. }
        | Action::Ready(_)
        | Action::Room(_) => false,
    }
}

/// What is wrong with the answer to an event, if its answer was recorded.
pub(super) fn wrong_answer(
    entry: &Entry,
    number: usize,
    actions: &[Action],
    texts: Texts,
) -> Option<WrongAnswer> {
    let expected = entry.answer.as_ref()?;
    if digests(actions, texts).eq(expected.iter().copied()) {
        return None;
    }
    Some(WrongAnswer {
        number,
        now: entry.now,
        event: entry.event.clone(),
        expected: expected.clone(),
        actual: digests(actions, texts).zip(actions.iter().cloned()).collect(),
    })
}
