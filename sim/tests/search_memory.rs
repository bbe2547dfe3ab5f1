//! How much memory a search takes that finds no answer. A program of its own with a single test, because the peak it reads
//! is that of the whole process.

use comet_sim::linear::{Call, Op, Rules, Verdict, explain};

fn call(at: u64, op: Op, is_certain: bool) -> Call {
    Call {
        op,
        session: (at, 1),
        sent: at,
        answered: at + 1,
        is_certain,
        is_likely: true,
    }
}

/// What pages send is never acknowledged, so that a crash may bring back hundreds of earlier contents, at each of the
/// places where a search without an answer gives up. They fit into memory.
#[test]
fn a_search_that_gives_up_stays_small() {
    let mut calls: Vec<Call> = (1..=50)
        .map(|n| call(2 * n, Op::Append(vec![n]), false))
        .collect();
    calls.push(call(600, Op::Read(vec![2, 1]), true));
    calls.push(Call {
        session: (0, 0),
        ..call(602, Op::Crash, true)
    });
    let history = Rules {
        keeps: Some(99),
        ..Rules::default()
    };
    assert_eq!(explain(&history, &calls), Verdict::Undecided);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak_kib = peak.and_then(|peak| peak.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    assert!(peak_kib.is_some_and(|kib| kib < 1 << 18), "{peak_kib:?} KiB");
}
