//! The questions at the end: is everything acknowledged in the server's tables? Asked over CometQL, after a restart if
//! the server was killed.

use super::ledger::{Ledger, ROWS, Stream};
use super::plan::{HISTORY, Plan};
use super::sessions;
use crate::failure::Failure;
use crate::report::Round;
use crate::sql::client::Client;
use crate::stamp::{self, Stamp};

/// Rows that were rewritten: the last acknowledged version must be there, or one that was sent after it.
pub(super) fn rows(
    control: &mut Client,
    plan: &Plan,
    ledger: &mut Ledger,
    round: &mut Round,
) -> Result<(), Failure> {
    let mut checked = 0_u32;
    for session in 0..plan.sessions {
        for row in ROWS {
            let stream = *ledger.row(session, row);
            if stream.acknowledged == 0 {
                continue;
            }
            let cells = control.rows(&sessions::ask_row(row, session))?;
            let found = cells.first().and_then(|row| row.first());
            let allowed: Vec<String> = (stream.acknowledged - 1..stream.sent)
                .map(|number| sessions::row_value(row, number))
                .collect();
            if !found.is_some_and(|found| allowed.contains(found)) {
                round.fault(format!(
                    "{row:?} of session {session} is {found:?}, not one of {allowed:?}"
                ));
            }
            checked += 1;
        }
    }
    round.add("rows_checked", f64::from(checked), "user data, keys and settings");
    Ok(())
}

/// Each history channel holds the newest messages of its session, in order and unchanged (protocol.md 6).
pub(super) fn history(
    control: &mut Client,
    plan: &Plan,
    ledger: &mut Ledger,
    round: &mut Round,
) -> Result<(), Failure> {
    let mut checked = 0;
    for session in 0..plan.sessions {
        let name = &plan.channels[session];
        let rows = control.rows(&format!(
            "SELECT message FROM pipes_messages WHERE name = '{name}'"
        ))?;
        let bodies: Vec<String> = rows
            .into_iter()
            .filter_map(|row| row.into_iter().next())
            .collect();
        checked += bodies.len();
        if let Err(text) = check_history(&bodies, *ledger.channel(session, session)) {
            round.fault(format!("history of {name}: {text}"));
        }
    }
    round.add("history_checked", checked as f64, "messages");
    Ok(())
}

fn check_history(bodies: &[String], stream: Stream) -> Result<(), String> {
    let mut numbers = Vec::new();
    for body in bodies {
        let stamp = Stamp::find(body.as_bytes()).ok_or_else(|| format!("a message nobody sent: {body}"))?;
        if *body != stamp::body(stamp) {
            return Err(format!("a changed message: {body}"));
        }
        numbers.push(stamp.sequence);
    }
    let Some(newest) = numbers.last() else {
        return if stream.acknowledged == 0 {
            Ok(())
        } else {
            Err("it is empty".into())
        };
    };
    if newest + 1 < stream.acknowledged || *newest >= stream.sent {
        return Err(format!(
            "it ends with {newest}; acknowledged {}, sent {}",
            stream.acknowledged, stream.sent
        ));
    }
    let oldest = (newest + 1).saturating_sub(HISTORY);
    if numbers.iter().copied().eq(oldest..=*newest) {
        Ok(())
    } else {
        Err(format!("it holds {numbers:?} instead of {oldest} to {newest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(numbers: impl IntoIterator<Item = u32>) -> Vec<String> {
        let stamp = |sequence| Stamp {
            publisher: 1,
            sequence,
            slot: 1,
            nanos: 5,
        };
        numbers
            .into_iter()
            .map(|number| stamp::body(stamp(number)))
            .collect()
    }

    /// S54: the last N messages are kept.
    #[test]
    fn history_is_the_newest_in_order() {
        let stream = Stream {
            sent: 103,
            acknowledged: 100,
        };
        assert_eq!(check_history(&bodies(50..100), stream), Ok(()));
        assert_eq!(
            check_history(&bodies(52..102), stream),
            Ok(()),
            "sent, not acknowledged: may be there"
        );
        assert!(
            check_history(&bodies(49..99), stream).is_err(),
            "the last acknowledged one is missing"
        );
        assert!(check_history(&bodies(54..104), stream).is_err(), "never sent");
        assert!(check_history(&bodies(51..100), stream).is_err(), "too short");
        assert!(
            check_history(&bodies((50..98).chain([99, 98])), stream).is_err(),
            "out of order"
        );
        assert!(check_history(&[], stream).is_err());
        assert_eq!(check_history(&[], Stream::default()), Ok(()));
        let mut changed = bodies(50..100);
        changed[7].push('x');
        assert!(check_history(&changed, stream).is_err());
    }
}
