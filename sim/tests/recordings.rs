//! What a server records is replayed to the same actions, also without what its users said.

use comet_core::recording::{ReadError, Segment};
use comet_sim::recording::{Difference, Replay};
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
    let segments = run_recording(&generate(3, None), false).expect("the seed is clean");
    let read: Vec<_> = segments
        .iter()
        .filter_map(|bytes| Segment::read(bytes).ok())
        .collect();
    let pair = read.windows(2).find(|pair| pair[1].head.follows);
    let [first, second] = pair.expect("a life that is longer than a segment") else {
        panic!("windows of two")
    };
    let mut shorter = first.clone();
    shorter.entries.truncate(first.entries.len() / 2);
    let mut replay = Replay::default();
    assert_eq!(replay.segment(&shorter, &mut |_, _| {}), Ok(None));
    assert_eq!(
        replay.segment(second, &mut |_, _| {}),
        Ok(Some(Difference::State))
    );
}
