//! Histories made by hand: what has an order, and what has none and must be refused.

use super::*;

/// A queue without limits, from which nothing leaves by itself.
fn queue() -> Rules {
    Rules::default()
}

fn history(keeps: usize) -> Rules {
    Rules {
        keeps: Some(keeps),
        ..Rules::default()
    }
}

/// A call of a session of its own, sent and answered at these times.
fn call(sent: u64, answered: u64, op: Op) -> Call {
    Call {
        op,
        session: (sent + 1, 1),
        sent,
        answered,
        is_certain: true,
        is_likely: true,
    }
}

fn maybe(sent: u64, answered: u64, op: Op) -> Call {
    Call {
        is_certain: false,
        ..call(sent, answered, op)
    }
}

fn crash(at: u64) -> Call {
    Call {
        session: (0, 0),
        ..call(at, at, Op::Crash)
    }
}

fn append(n: u64) -> Op {
    Op::Append(vec![n])
}

fn read(rows: &[u64]) -> Op {
    Op::Read(rows.to_vec())
}

#[track_caller]
fn explained(rules: &Rules, calls: &[Call]) {
    assert_eq!(explain(rules, calls), Verdict::Explained);
}

#[track_caller]
fn refused(rules: &Rules, calls: &[Call]) {
    assert!(
        matches!(explain(rules, calls), Verdict::Unexplained(_)),
        "{calls:?}"
    );
}

#[test]
fn what_was_answered_is_seen() {
    explained(&queue(), &[call(1, 2, append(1)), call(3, 4, read(&[1]))]);
    refused(&queue(), &[call(1, 2, append(1)), call(3, 4, read(&[]))]);
    refused(&queue(), &[call(1, 2, append(1)), call(3, 4, read(&[1, 1]))]);
    refused(&queue(), &[call(1, 2, read(&[1])), call(3, 4, append(1))]);
}

#[test]
fn concurrent_statements_have_any_order_but_one() {
    let both = [call(1, 5, append(1)), call(2, 6, append(2))];
    let with = |rows: &[u64], again: &[u64]| {
        let reads = [call(7, 8, read(rows)), call(9, 10, read(again))];
        both.iter().chain(&reads).cloned().collect::<Vec<_>>()
    };
    explained(&queue(), &with(&[1, 2], &[1, 2]));
    explained(&queue(), &with(&[2, 1], &[2, 1]));
    refused(&queue(), &with(&[2, 1], &[1, 2]));
}

#[test]
fn pipelined_statements_keep_their_order() {
    let in_session = |number: u64, call: Call| Call {
        session: (7, number),
        ..call
    };
    let calls = |rows: &[u64]| {
        vec![
            in_session(1, call(1, 8, append(1))),
            in_session(2, call(2, 9, append(2))),
            call(10, 11, read(rows)),
        ]
    };
    explained(&queue(), &calls(&[1, 2]));
    refused(&queue(), &calls(&[2, 1]));
    let mut overtaken = calls(&[2, 1]);
    overtaken.swap(0, 1);
    refused(&queue(), &overtaken);
}

#[test]
fn what_nobody_was_told_may_have_happened_or_not_but_only_once() {
    let unknown = maybe(1, 2, append(1));
    explained(&queue(), &[unknown.clone(), call(3, 4, read(&[]))]);
    explained(&queue(), &[unknown.clone(), call(3, 4, read(&[1]))]);
    refused(
        &queue(),
        &[unknown.clone(), call(3, 4, read(&[1])), call(5, 6, read(&[]))],
    );
    refused(
        &queue(),
        &[unknown, call(3, 4, read(&[])), call(5, 6, read(&[1]))],
    );
    let late = maybe(1, 9, append(1));
    explained(&queue(), &[call(3, 4, read(&[])), late, call(5, 6, read(&[1]))]);
}

#[test]
fn a_crash_takes_back_what_nobody_was_told_to_be_safe() {
    let unknown = maybe(1, 5, append(1));
    let dirty = [unknown, call(2, 3, read(&[1])), crash(5)];
    let then = |rows: &[u64]| [&dirty[..], &[call(6, 7, read(rows))]].concat();
    explained(&queue(), &then(&[1]));
    explained(&queue(), &then(&[]));
    let safe = [call(1, 2, append(1)), crash(3), call(4, 5, read(&[]))];
    refused(&queue(), &safe);
    // The rows of one statement are stored together.
    let rows = maybe(1, 5, Op::Append(vec![1, 2]));
    let then = |read| [rows.clone(), crash(5), call(6, 7, read)];
    explained(&queue(), &then(read(&[1, 2])));
    explained(&queue(), &then(read(&[])));
    refused(&queue(), &then(read(&[1])));
    refused(&queue(), &then(read(&[2])));
    // Records reach the disk in order: the second cannot be there without the first.
    let two = [
        maybe(1, 5, append(1)),
        maybe(2, 5, append(2)),
        call(3, 4, read(&[1, 2])),
        crash(5),
    ];
    let then = |rows: &[u64]| [&two[..], &[call(6, 7, read(rows))]].concat();
    explained(&queue(), &then(&[1]));
    refused(&queue(), &then(&[2]));
}

#[test]
fn of_a_message_that_was_sent_again_one_copy_is_removed() {
    let calls = [
        call(1, 2, Op::Keep(3)),
        maybe(3, 4, append(1)),
        maybe(5, 6, append(1)),
        call(7, 8, Op::Remove(1)),
        call(9, 10, read(&[1])),
    ];
    refused(&history(0), &calls);
    let rules = Rules {
        repeated: [1].into(),
        ..history(0)
    };
    explained(&rules, &calls);
}

#[test]
fn a_message_leaves_the_queue_only_after_a_page_received_it() {
    let rules = Rules {
        may_leave: [(1, 5)].into(),
        ..queue()
    };
    let both = [call(1, 2, append(1)), call(3, 4, append(2))];
    let then = |more: &[Call]| [&both[..], more].concat();
    explained(&rules, &then(&[call(6, 7, read(&[2]))]));
    explained(
        &rules,
        &then(&[call(6, 7, read(&[1, 2])), call(8, 9, read(&[2]))]),
    );
    refused(&rules, &then(&[call(6, 7, read(&[1]))]));
    refused(
        &rules,
        &then(&[call(6, 7, read(&[2])), call(8, 9, read(&[1, 2]))]),
    );
    explained(&rules, &then(&[call(6, 7, Op::Clear(Some(1)))]));
    refused(&rules, &then(&[call(6, 7, Op::Clear(Some(0)))]));
    refused(&rules, &then(&[call(6, 7, Op::Clear(Some(3)))]));
}

#[test]
fn a_full_queue_is_full() {
    let rules = Rules {
        queue_max: 1,
        ..queue()
    };
    explained(&rules, &[call(1, 2, append(1)), call(3, 4, Op::Full(1))]);
    refused(&rules, &[call(1, 2, append(1)), call(3, 4, append(2))]);
    refused(&rules, &[call(1, 2, Op::Full(1))]);
}

#[test]
fn a_history_keeps_the_newest() {
    let begin = [
        call(1, 2, Op::Keep(2)),
        call(3, 4, append(1)),
        call(5, 6, append(2)),
        call(7, 8, append(3)),
    ];
    let then = |rows: &[u64]| [&begin[..], &[call(9, 10, read(rows))]].concat();
    explained(&history(0), &then(&[2, 3]));
    refused(&history(0), &then(&[1, 2, 3]));
    refused(&history(0), &then(&[3]));
    explained(&history(99), &then(&[1, 2, 3]));
    explained(&history(0), &[call(1, 2, append(1)), call(3, 4, read(&[]))]);
    let unset = [call(9, 10, Op::Unset), call(11, 12, read(&[]))];
    explained(&history(0), &[&begin[..], &unset].concat());
    let removed = [call(9, 10, Op::Remove(2)), call(11, 12, read(&[3]))];
    explained(&history(0), &[&begin[..], &removed].concat());
}

/// The order that is tried first is a hint, not an argument: any order of the list gives the same verdict.
#[test]
fn the_search_finds_an_order_that_was_not_suggested() {
    let calls = [
        call(1, 20, append(3)),
        call(2, 19, append(2)),
        call(3, 18, append(1)),
        call(4, 17, read(&[1, 2])),
        call(21, 22, read(&[1, 2, 3])),
    ];
    explained(&queue(), &calls);
    let mut wrong = calls;
    wrong[4].op = read(&[2, 1, 3]);
    refused(&queue(), &wrong);
}
