//! What the writer promises when things go wrong.

use std::path::{Path, PathBuf};

use comet_core::recording::Segment;
use comet_core::{Config, ConnId, Durable, MessageId, Mono, Secret};
use tempfile::TempDir;

use super::*;

fn core() -> Core {
    let config = Config {
        password: Secret::new("x"),
        ..Config::default()
    };
    let config = config.check().expect("good settings");
    Core::start(config, Durable::default(), 1, now(0), &mut Vec::new())
}

fn now(micros: u64) -> Now {
    Now {
        mono: Mono::from_micros(micros),
        unix: UnixMillis(micros / 1000),
    }
}

fn settings(dir: &TempDir, redact: bool) -> RecordSettings {
    RecordSettings {
        dir: dir.path().join("made/for/it"),
        segment_bytes: 4096,
        segments: 1000,
        redact,
    }
}

/// An event that changes nothing: nobody has this connection.
fn event(number: u64) -> Event {
    Event::ProbeAnswered {
        conn: ConnId(1),
        probe: MessageId(number.into()),
    }
}

fn files(settings: &RecordSettings) -> Vec<PathBuf> {
    let entries = settings.dir.read_dir().expect("the directory was made");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn is_torn(file: &Path) -> bool {
    let bytes = std::fs::read(file).expect("a segment");
    Segment::read(&bytes).expect("a whole checkpoint").torn
}

/// Numbers of events and whether they were answered, in the order of the files.
fn recorded(settings: &RecordSettings) -> Vec<(u64, bool)> {
    let mut numbers = Vec::new();
    for file in files(settings) {
        let bytes = std::fs::read(file).expect("a segment");
        for entry in Segment::read(&bytes).expect("a whole segment").entries {
            if let Event::ProbeAnswered { probe, .. } = entry.event {
                let number = u64::try_from(probe.0).expect("a number of ours");
                numbers.push((number, entry.answer.is_some()));
            }
        }
    }
    numbers
}

fn tell(recorder: &mut Recorder, core: &mut Core, number: u64) {
    let told = event(number);
    assert!(recorder.event(now(number), &told, core));
    let mut actions = Vec::new();
    core.handle(now(number), told, &mut actions);
    recorder.answered(&actions);
}

#[test]
fn every_event_is_in_its_place_over_many_segments() {
    for redact in [false, true] {
        let dir = TempDir::new().expect("a temporary folder");
        let settings = settings(&dir, redact);
        let mut core = core();
        let mut recorder =
            Recorder::start(&settings, &core, now(0), [1; 32], Arc::new(Metrics::new())).expect("a place");
        for number in 1..=2000 {
            tell(&mut recorder, &mut core, number);
        }
        drop(recorder);
        assert!(files(&settings).len() > 2, "many segments");
        let expected: Vec<_> = (1..=2000).map(|number| (number, true)).collect();
        assert_eq!(recorded(&settings), expected);
    }
}

/// Files are written over: what is behind the new entries is not taken for some of them.
#[test]
fn old_segments_become_new_ones() {
    for redact in [false, true] {
        let dir = TempDir::new().expect("a temporary folder");
        let settings = RecordSettings {
            segments: 2,
            ..settings(&dir, redact)
        };
        let mut core = core();
        let mut recorder =
            Recorder::start(&settings, &core, now(0), [1; 32], Arc::new(Metrics::new())).expect("a place");
        let mut torn = 0;
        for number in 1..=3000 {
            tell(&mut recorder, &mut core, number);
            if number % 50 == 0 {
                recorder.desk.flush();
                let numbers: Vec<u64> = recorded(&settings)
                    .into_iter()
                    .map(|(number, _)| number)
                    .collect();
                assert!(
                    numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]),
                    "{numbers:?}"
                );
                assert_eq!(numbers.last().copied().unwrap_or(number), number);
                torn += files(&settings).iter().filter(|file| is_torn(file)).count();
            }
        }
        assert!(
            torn > 0,
            "a file that is written over ends with what was in it before"
        );
        drop(recorder);
        assert_eq!(files(&settings).len(), 2);
        assert!(!files(&settings).iter().any(|file| is_torn(file)));
    }
}

/// Somebody links a segment that he wants to keep into another folder; it is neither written over nor missed.
#[test]
fn a_segment_with_another_name_is_kept() {
    let dir = TempDir::new().expect("a temporary folder");
    let settings = RecordSettings {
        segments: 2,
        ..settings(&dir, false)
    };
    let mut core = core();
    let mut recorder =
        Recorder::start(&settings, &core, now(0), [1; 32], Arc::new(Metrics::new())).expect("a place");
    let fill = |recorder: &mut Recorder, core: &mut Core, numbers: std::ops::RangeInclusive<u64>| {
        numbers.for_each(|number| tell(recorder, core, number));
        recorder.desk.flush();
    };
    fill(&mut recorder, &mut core, 1..=500);
    let saved = dir.path().join("saved");
    let first = files(&settings).remove(0);
    let beside = settings.dir.join("0-kept.cometrec");
    for name in [&saved, &beside] {
        std::fs::hard_link(&first, name).expect("a second name");
    }
    let content = std::fs::read(&saved).expect("a segment");
    fill(&mut recorder, &mut core, 501..=3000);
    drop(recorder);
    assert!(!first.exists());
    for name in [&saved, &beside] {
        assert!(std::fs::read(name).expect("it is there") == content);
    }
    assert_eq!(files(&settings).len(), 2 + 1);
    assert_eq!(recorded(&settings).last(), Some(&(3000, true)));
}

/// Names are compared as numbers, and what is not one of ours is nobody's business.
#[test]
fn the_oldest_goes_and_no_file_of_somebody_else() {
    let dir = TempDir::new().expect("a temporary folder");
    let settings = RecordSettings {
        segments: 3,
        ..settings(&dir, false)
    };
    std::fs::create_dir_all(&settings.dir).expect("a directory");
    let others = ["1-2.cometrec", "2026-11.cometrec", "0000000000001-7.cometrec"];
    let ours =
        ["999998", "999999", "1000000", "1000001"].map(|number| format!("0000000000001-{number}.cometrec"));
    for name in others.into_iter().chain(ours.iter().map(String::as_str)) {
        std::fs::write(settings.dir.join(name), "old").expect("a file");
    }
    let recorder =
        Recorder::start(&settings, &core(), now(5000), [1; 32], Arc::new(Metrics::new())).expect("a place");
    drop(recorder);
    let left = files(&settings);
    let left: Vec<_> = left
        .iter()
        .filter_map(|file| file.file_name()?.to_str())
        .collect();
    assert_eq!(
        left,
        [
            "0000000000001-1000000.cometrec",
            "0000000000001-1000001.cometrec",
            "0000000000001-7.cometrec",
            "0000000000005-000001.cometrec",
            "1-2.cometrec",
            "2026-11.cometrec",
        ]
    );
}

/// The event that a core does not survive is what somebody will want to see.
#[test]
fn a_panic_writes_what_was_told_before() {
    let dir = TempDir::new().expect("a temporary folder");
    let settings = settings(&dir, false);
    let mut core = core();
    let mut recorder =
        Recorder::start(&settings, &core, now(0), [1; 32], Arc::new(Metrics::new())).expect("a place");
    tell(&mut recorder, &mut core, 1);
    assert!(recorder.event(now(2), &event(2), &core));
    let panicked = std::thread::spawn(|| panic!("as a broken invariant does")).join();
    assert!(panicked.is_err());
    assert_eq!(recorded(&settings), [(1, true), (2, false)]);
    drop(recorder);
}

#[test]
fn a_writer_that_fails_ends_the_recording() {
    let dir = TempDir::new().expect("a temporary folder");
    let settings = settings(&dir, false);
    let mut core = core();
    let metrics = Arc::new(Metrics::new());
    let mut recorder = Recorder::start(&settings, &core, now(0), [1; 32], metrics.clone()).expect("a place");
    while settings.dir.read_dir().map_or(0, Iterator::count) == 0 {
        std::thread::yield_now();
    }
    std::fs::remove_dir_all(&settings.dir).expect("the directory goes");
    let mut number = 0;
    let goes_on = |recorder: &mut Recorder, core: &mut Core, number| {
        let told = event(number);
        let goes_on = recorder.event(now(number), &told, core);
        core.handle(now(number), told, &mut Vec::new());
        goes_on
    };
    while goes_on(&mut recorder, &mut core, number) {
        recorder.answered(&[]);
        number += 1;
    }
    assert_eq!(metrics.recording_failures.get(), 1);
    assert_eq!(metrics.recording.get(), 0);
}

/// The state of very many users alone does not mean that the disk is slow.
#[test]
fn only_entries_are_behind() {
    let desk = Desk::default();
    let head = Head::new(UnixMillis(1), 1, false, false);
    let checkpoint = vec![0; 1000];
    desk.turn_over(None, Sheet::Segment { head, checkpoint });
    assert_eq!(desk.lock().bytes(), 0);
    desk.lock().open.extend([1, 2, 3]);
    assert_eq!(desk.lock().bytes(), 3);
    let head = Head::new(UnixMillis(1), 2, true, false);
    let checkpoint = vec![0; 1000];
    desk.turn_over(Some(&[7]), Sheet::Segment { head, checkpoint });
    assert_eq!(desk.lock().bytes(), 3 + 1 + 1 + 4);
}
