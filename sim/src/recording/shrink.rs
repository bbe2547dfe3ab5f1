//! Makes a failing recording small: takes events out, and people out of the state it begins with, as long as it fails in
//! the same way.

use comet_core::cometql::{self, Limits};
use comet_core::recording::{Entry, digests};
use comet_core::{Action, CloseCause, Config, Core, DevId, Event, Login, Now, OpId, RequestId, SessionId};

use super::law::{Verdict, play, told};
use super::script::{Recorded, fresh};

/// A session that no server has issued.
const SESSION: SessionId = SessionId(u64::MAX);

/// How a recording fails, kept while it becomes smaller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The last event is answered by actions with these digests, which is not what was recorded.
    Answer(Vec<u32>),
    /// This law is broken.
    Law(usize),
}

/// Takes off what happens after the failure, and every recorded answer but the one that is wrong: the others need not be
/// the same any more. `None` if nothing fails.
pub fn failing(recorded: &Recorded) -> Option<(Recorded, Failure)> {
    let mut small = recorded.clone();
    let mut last = 0;
    let verdict = play(recorded, &mut |number, _| last = number).ok()?;
    let failure = match verdict {
        Verdict::Clean => return None,
        Verdict::Answer(wrong) => Failure::Answer(wrong.actual.iter().map(|(digest, _)| *digest).collect()),
        Verdict::Broken(law) => Failure::Law(recorded.laws.iter().position(|known| *known == law)?),
    };
    small.entries.truncate(last);
    let kept = usize::from(matches!(failure, Failure::Answer(_)));
    let free = small.entries.len() - kept;
    for entry in small.entries.iter_mut().take(free) {
        entry.answer = None;
    }
    Some((small, failure))
}

/// True if it fails so.
pub fn fails(recorded: &Recorded, failure: &Failure) -> bool {
    match failure {
        Failure::Law(law) => {
            let Some(law) = recorded.laws.get(*law) else {
                return false;
            };
            let unasked = Recorded {
                laws: vec![law.clone()],
                ..recorded.clone()
            };
            matches!(play(&unasked, &mut |_, _| {}), Ok(Verdict::Broken(_)))
        }
        Failure::Answer(wrong) => {
            let Ok(mut core) = Core::restore(&recorded.checkpoint) else {
                return false;
            };
            let mut actions = Vec::new();
            for entry in &recorded.entries {
                actions = told(&mut core, entry);
            }
            let has_answer = recorded
                .entries
                .last()
                .is_some_and(|entry| entry.answer.is_some());
            has_answer && digests(&actions, recorded.texts()).eq(wrong.iter().copied())
        }
    }
}

/// The smallest recording found for which `fails` is still true, in at most `budget` trials.
pub fn shrink(recorded: &Recorded, budget: u32, fails: &mut dyn FnMut(&Recorded) -> bool) -> Recorded {
    let mut best = recorded.clone();
    let mut left = budget;
    let mut try_it = |candidate: Recorded, best: &mut Recorded| {
        if left == 0 {
            return false;
        }
        left -= 1;
        let good = fails(&candidate);
        if good {
            *best = candidate;
        }
        good
    };
    loop {
        let before = (best.entries.len(), best.checkpoint.len());
        remove_events(&mut best, &mut try_it);
        remove_people(&mut best, &mut try_it);
        if (best.entries.len(), best.checkpoint.len()) == before {
            return best;
        }
    }
}

type Try<'a> = &'a mut dyn FnMut(Recorded, &mut Recorded) -> bool;

/// In large pieces first. The last event is where it fails.
fn remove_events(best: &mut Recorded, try_it: Try<'_>) {
    let mut size = best.entries.len().div_ceil(2).max(1);
    loop {
        let mut end = best.entries.len().saturating_sub(1);
        while end > 0 {
            let begin = end.saturating_sub(size);
            let mut candidate = best.clone();
            candidate.entries.drain(begin..end);
            try_it(candidate, best);
            end = begin;
        }
        if size == 1 {
            return;
        }
        size = size.div_ceil(2);
    }
}

/// Connections and sessions end, and what is stored is deleted, before the first event.
fn remove_people(best: &mut Recorded, try_it: Try<'_>) {
    let Ok(core) = Core::restore(&best.checkpoint) else {
        return;
    };
    if best.fresh || begin_anew(&core, best).is_some_and(|candidate| try_it(candidate, best)) {
        return;
    }
    let mut endings = endings(&core);
    let mut size = endings.len();
    while size > 0 && !endings.is_empty() {
        let mut at = 0;
        while at < endings.len() {
            let end = (at + size).min(endings.len());
            let candidate = without(best, &endings[at..end]);
            if candidate.is_some_and(|candidate| try_it(candidate, best)) {
                endings.drain(at..end);
            } else {
                at = end;
            }
        }
        size /= 2;
    }
}

/// The recording as if the server had just started, with nothing stored.
fn begin_anew(core: &Core, recorded: &Recorded) -> Option<Recorded> {
    let now = recorded.entries.first()?.now;
    let config: &Config = core.config();
    Some(Recorded {
        checkpoint: fresh(config.clone(), now).ok()?,
        fresh: true,
        ..recorded.clone()
    })
}

/// Everything that can be ended by an event.
fn endings(core: &Core) -> Vec<Vec<Event>> {
    let closed = core.connections().map(|conn| {
        let cause = CloseCause::Peer;
        vec![Event::Closed { conn, cause }]
    });
    let ended = core
        .sessions()
        .map(|session| vec![Event::SessionClosed { session }]);
    let limits = Limits::of(core.config());
    let mut all: Vec<_> = closed.chain(ended).collect();
    for (dev, tenant) in core.durable().tenants() {
        let mut statements = Vec::new();
        for user in tenant.users.keys() {
            for table in ["users_auth", "users_data", "users_messages"] {
                statements.push(format!("DELETE FROM {table} WHERE id = {}", user.get()));
            }
        }
        for channel in tenant.channels.keys() {
            for table in ["pipes_messages", "pipes_settings"] {
                statements.push(format!("DELETE FROM {table} WHERE name = '{}'", channel.as_str()));
            }
        }
        all.extend(
            statements
                .iter()
                .map(|statement| deletion(dev, statement, &limits)),
        );
    }
    all
}

fn deletion(dev: DevId, statement: &str, limits: &Limits) -> Vec<Event> {
    let session = SESSION;
    vec![
        Event::SessionOpened {
            session,
            login: Login::Tenant(dev),
            database: "".into(),
        },
        Event::Query {
            session,
            req: RequestId(u64::MAX),
            statement: cometql::parse(statement.as_bytes(), limits),
        },
        Event::SessionClosed { session },
    ]
}

/// The recording as if these things had happened just before. Records made by that are on disk, and what the disk says
/// later is about records with higher numbers.
fn without(recorded: &Recorded, endings: &[Vec<Event>]) -> Option<Recorded> {
    let now = recorded.entries.first().map(|entry| entry.now)?;
    let mut core = Core::restore(&recorded.checkpoint).ok()?;
    let newest = core.newest_record();
    for event in endings.iter().flatten() {
        tell(&mut core, now, event.clone());
    }
    let made = core.newest_record();
    if made > newest {
        tell(&mut core, now, Event::Persisted { upto: made });
    }
    let mut checkpoint = Vec::new();
    core.checkpoint(&mut checkpoint);
    if checkpoint.len() >= recorded.checkpoint.len() {
        return None;
    }
    let mut entries = recorded.entries.clone();
    for entry in &mut entries {
        if let Event::Persisted { upto } | Event::PersistFailed { upto } = &mut entry.event {
            *upto = OpId(upto.0 + (made.0 - newest.0));
        }
    }
    Some(Recorded {
        checkpoint,
        entries,
        ..recorded.clone()
    })
}

fn tell(core: &mut Core, now: Now, event: Event) -> Vec<Action> {
    told(
        core,
        &Entry {
            now,
            event,
            answer: None,
        },
    )
}
