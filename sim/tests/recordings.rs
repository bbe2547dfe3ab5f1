//! What a server records is replayed to the same actions, also without what its users said.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test that fails may panic"
)]

use comet_core::Event;
use comet_core::recording::{ReadError, Segment};
use comet_sim::recording::law::{Law, Verdict, play};
use comet_sim::recording::script::Recorded;
use comet_sim::recording::{Difference, Replay, shrink};
use comet_sim::{generate, run_recording};

/// Secrets and bodies as the simulator makes them.
fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

fn replay(segments: &[Vec<u8>]) -> Replay {
    let mut replay = Replay::default();
    for bytes in segments {
        let segment = Segment::read(bytes).expect("it was just written");
        let difference = replay
            .segment(&segment, &mut |_, _| {})
            .expect("its checkpoint is whole");
        assert!(
            difference.is_none(),
            "{}",
            difference.map_or_else(String::new, |d| d.to_string())
        );
    }
    replay
}

#[test]
fn what_is_recorded_is_replayed_to_the_same_actions() {
    for seed in 1..=30 {
        let script = generate(seed, None);
        let segments = run_recording(&script, false).expect("the seed is clean");
        let totals = replay(&segments).totals;
        assert_eq!(totals.segments, segments.len() as u64);
        assert!(
            totals.events > 50 && totals.unanswered == 0 && totals.torn == 0,
            "seed {seed}: {totals:?}"
        );
    }
}

/// What users and back ends of the simulator say, and what proves who they are.
const SECRETS: [&str; 5] = [
    comet_sim::names::PASSWORD,
    "hash_0_",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
    "forged",
    "текст",
];

#[test]
fn a_redacted_recording_is_replayed_as_well_and_tells_nothing() {
    let mut clear = Vec::new();
    for seed in 1..=30 {
        let script = generate(seed, None);
        clear.extend(run_recording(&script, false).expect("the seed is clean").concat());
        let segments = run_recording(&script, true).expect("the seed is clean");
        replay(&segments);
        let redacted = segments.concat();
        for secret in SECRETS {
            assert!(!contains(&redacted, secret), "seed {seed}: {secret:?} is told");
        }
    }
    for secret in SECRETS {
        assert!(contains(&clear, secret), "no recording in clear has {secret:?}");
    }
}

fn one() -> Vec<u8> {
    let segments = run_recording(&generate(3, None), false).expect("the seed is clean");
    segments
        .into_iter()
        .max_by_key(Vec::len)
        .expect("a server starts")
}

/// The file of a server that was killed ends anywhere.
#[test]
fn a_torn_segment_is_replayed_up_to_the_tear() {
    let whole = one();
    let segment = Segment::read(&whole).expect("it was just written");
    let begin = whole.len().min(segment.checkpoint.len() + 200);
    let (mut before, mut torn) = (0, 0);
    for end in (begin..whole.len()).step_by(37) {
        let segment = Segment::read(&whole[..end]).expect("the checkpoint is whole");
        torn += usize::from(segment.torn);
        assert!(segment.entries.len() >= before);
        before = segment.entries.len();
        let mut replay = Replay::default();
        assert_eq!(replay.segment(&segment, &mut |_, _| {}), Ok(None));
    }
    assert!(before > 0 && torn > 10, "{before} events, {torn} tears");
    assert_eq!(Segment::read(&whole[..20]), Err(ReadError::NoCheckpoint));
    assert_eq!(Segment::read(b"something else"), Err(ReadError::NoRecording));
}

#[test]
fn another_answer_is_found_where_it_happens() {
    let whole = one();
    let mut segment = Segment::read(&whole).expect("it was just written");
    let at = segment
        .entries
        .iter()
        .rposition(|entry| entry.answer.as_ref().is_some_and(|answer| !answer.is_empty()));
    let at = at.expect("something is answered");
    if let Some(digest) = segment.entries[at]
        .answer
        .as_mut()
        .and_then(|answer| answer.last_mut())
    {
        *digest ^= 1;
    }
    let difference = Replay::default().segment(&segment, &mut |_, _| {});
    let Ok(Some(Difference::Answer(wrong))) = difference else {
        panic!("{difference:?}")
    };
    assert_eq!(wrong.number, at + 1);
    assert!(wrong.to_string().contains(&format!("event {}", at + 1)));
}

#[test]
fn a_state_that_does_not_follow_is_found() {
    let long_lived = |segments: &Vec<Vec<u8>>| {
        segments.len() > 1 && Segment::read(&segments[1]).is_ok_and(|s| s.head.follows)
    };
    let mut seeds = (1..100).filter_map(|seed| run_recording(&generate(seed, None), false).ok());
    let segments = seeds
        .find(long_lived)
        .expect("a first life that is longer than a segment");
    let [mut first, second] = [0, 1].map(|at| Segment::read(&segments[at]).expect("it was just written"));
    first.entries.truncate(first.entries.len() / 2);
    let mut replay = Replay::default();
    assert_eq!(replay.segment(&first, &mut |_, _| {}), Ok(None));
    assert_eq!(
        replay.segment(&second, &mut |_, _| {}),
        Ok(Some(Difference::State))
    );
}

fn longest(seed: u64) -> Recorded {
    let segments = run_recording(&generate(seed, None), false).expect("the seed is clean");
    let longest = segments
        .iter()
        .max_by_key(|bytes| bytes.len())
        .expect("a server starts");
    Recorded::from(&Segment::read(longest).expect("it was just written"))
}

#[test]
fn a_recording_as_text_is_the_same_recording() {
    for seed in 1..=20 {
        let recorded = longest(seed);
        let text = recorded.print().expect("every state has a text form");
        assert!(Recorded::is_one(&text));
        let again = Recorded::parse(&text).expect("it was just printed");
        assert!(again == recorded, "seed {seed}");
        assert_eq!(play(&again, &mut |_, _| {}), Ok(Verdict::Clean));
    }
}

/// Of a law that is broken, what it takes to break it is left.
#[test]
fn a_recording_that_breaks_a_law_shrinks_to_what_matters() {
    let (mut recorded, conn) = (1..200)
        .map(longest)
        .find_map(|recorded| {
            let told = recorded.entries.iter().find_map(|entry| match &entry.event {
                Event::Opened {
                    conn, hello: Ok(_), ..
                } => Some(*conn),
                _ => None,
            });
            told.filter(|_| recorded.entries.len() > 100)
                .map(|conn| (recorded, conn))
        })
        .expect("somebody connects in a long run");
    let law = Law::AtMost {
        times: 0,
        conn,
        text: "authorized".to_owned(),
    };
    recorded.laws = vec![law.to_string().parse().expect("a law reads as it is written")];
    assert_eq!(recorded.laws, std::slice::from_ref(&law));
    assert_eq!(play(&recorded, &mut |_, _| {}), Ok(Verdict::Broken(law.clone())));
    let (failing, failure) = shrink::failing(&recorded).expect("it fails");
    let small = shrink::shrink(&failing, 2000, &mut |candidate| {
        shrink::fails(candidate, &failure)
    });
    assert_eq!(small.entries.len(), 1, "{:?}", small.entries);
    assert!(small.fresh, "nobody else is needed");
    assert!(small.checkpoint.len() <= recorded.checkpoint.len());
    let text = small.print().expect("a text form");
    assert_eq!(
        play(&Recorded::parse(&text).expect("its own text"), &mut |_, _| {}),
        Ok(Verdict::Broken(law))
    );
}

/// Of an answer that is not the recorded one, the events that lead to it are left.
#[test]
fn a_recording_with_another_answer_shrinks_to_what_leads_to_it() {
    let mut recorded = longest(3);
    let at = recorded.entries.iter().rposition(|entry| {
        entry.answer.as_ref().is_some_and(|answer| !answer.is_empty()) && entry.event != Event::Tick
    });
    let at = at.expect("something is answered");
    recorded.entries[at].answer = Some(vec![1]);
    let (failing, failure) = shrink::failing(&recorded).expect("it fails");
    assert_eq!(failing.entries.len(), at + 1);
    let small = shrink::shrink(&failing, 500, &mut |candidate| shrink::fails(candidate, &failure));
    assert!(
        small.entries.len() < failing.entries.len() / 2,
        "{} left",
        small.entries.len()
    );
    assert!(matches!(play(&small, &mut |_, _| {}), Ok(Verdict::Answer(_))));
}

#[test]
fn every_kept_recording_is_clean() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/recordings");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "txt") {
            let recorded = Recorded::parse(&std::fs::read_to_string(&file).unwrap());
            let recorded = recorded.unwrap_or_else(|why| panic!("{}: {why}", file.display()));
            assert_eq!(
                play(&recorded, &mut |_, _| {}),
                Ok(Verdict::Clean),
                "{}",
                file.display()
            );
            files += 1;
        }
    }
    assert!(files > 0, "the kept recordings are gone");
}
