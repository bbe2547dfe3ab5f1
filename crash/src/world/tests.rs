//! Stories in which one certain thing goes wrong.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by failing")]

use comet_core::Durable;

use super::*;

fn open(mounted: &Mounted) -> Result<(Group, Durable), StoreError> {
    open_with(mounted, Durability::Fsync)
}

fn open_with(mounted: &Mounted, durability: Durability) -> Result<(Group, Durable), StoreError> {
    store::open_on(mounted, &mounted.dir(), durability, store::CHECKPOINT_PAGES)
}

/// SQLite does not tell when it could not sync the name of its new log, so the store must have done it before.
#[test]
fn the_log_has_a_name_before_anything_is_acknowledged() {
    let story = Story::of(1, 30);
    let record = story.get(0).unwrap();
    let mounted = Mounted::new(Disk::new(Prng::new(5)));
    open(&mounted).unwrap().0.close().unwrap();
    let (mut group, _) = open(&mounted).unwrap();
    mounted.disk.set_faults(Faults {
        names_fail: true,
        ..Faults::default()
    });
    group.take(OpId(1), record.clone());
    group.attempt().unwrap();
    mounted.disk.die();
    drop(group);
    mounted.disk.set_faults(Faults::default());
    let mut expected = Durable::default();
    expected.apply(record);
    for luck in 0..40 {
        let after = Mounted::new(mounted.disk.copy(Prng::new(luck)));
        after.disk.cut_power();
        assert!(open(&after).unwrap().1 == expected, "acknowledged and missing");
    }
}

/// A killed process leaves a transaction that nobody synced; the next process finds it whole and goes on behind it. When
/// the power then fails, the first may be torn and the second not, which looks as if something acknowledged were damaged.
#[test]
fn what_a_killed_process_left_is_synced_before_anything_follows_it() {
    let story = Story::of(1, 30);
    // How many operations of its first commit a process lives.
    let commit = |mounted: &Mounted, record: usize, operations: u64| {
        let (mut group, _) = open(mounted).unwrap();
        mounted.disk.set_faults(Faults {
            crash_at: Some(mounted.disk.count() + operations + 1),
            ..Faults::default()
        });
        group.take(OpId(1), story.get(record).unwrap().clone());
        let done = group.attempt().is_ok();
        mounted.disk.die();
        drop(group);
        mounted.disk.set_faults(Faults::default());
        done
    };
    let fresh = Mounted::new(Disk::new(Prng::new(5)));
    open(&fresh).unwrap().0.close().unwrap();
    for first in 0.. {
        let killed = Mounted::new(fresh.disk.copy(Prng::new(first)));
        let done = commit(&killed, 0, first);
        killed.disk.restart();
        for second in 0..12 {
            let again = Mounted::new(killed.disk.copy(Prng::new(second)));
            commit(&again, 1, second);
            for luck in 0..20 {
                let after = Mounted::new(again.disk.copy(Prng::new(luck)));
                after.disk.cut_power();
                let refused = open(&after).err();
                assert!(refused.is_none(), "{first}, {second}, {luck}: {refused:?}");
            }
        }
        if done {
            break;
        }
    }
}

/// After a sync that failed the system goes on showing what it forgot to write. The next process must not build on that.
#[test]
fn what_a_failed_sync_forgot_is_not_taken_for_safe() {
    let story = Story::of(1, 30);
    let record = |at| story.get(at).unwrap();
    let mounted = Mounted::new(Disk::new(Prng::new(5)));
    let (mut group, _) = open(&mounted).unwrap();
    group.take(OpId(1), record(0).clone());
    group.attempt().unwrap();
    mounted.disk.set_faults(Faults {
        syncs_fail: true,
        ..Faults::default()
    });
    group.take(OpId(2), record(1).clone());
    group.attempt().unwrap_err();
    mounted.disk.die();
    drop(group);
    mounted.disk.set_faults(Faults::default());
    mounted.disk.restart();

    let (mut group, mut expected) = open(&mounted).unwrap();
    group.take(OpId(1), record(2).clone());
    group.attempt().unwrap();
    expected.apply(record(2));
    mounted.disk.die();
    drop(group);
    for luck in 0..40 {
        let after = Mounted::new(mounted.disk.copy(Prng::new(luck)));
        after.disk.cut_power();
        assert!(open(&after).unwrap().1 == expected, "acknowledged and missing");
    }
}

/// An error while a start makes its log must not leave a store that works in another way, whose safety nobody has looked at.
#[test]
fn an_error_at_any_operation_of_a_start_costs_nothing_later() {
    let story = Story::of(1, 30);
    let record = story.get(0).unwrap();
    let fresh = Mounted::new(Disk::new(Prng::new(5)));
    open(&fresh).unwrap().0.close().unwrap();
    let new = Mounted::new(Disk::new(Prng::new(5)));
    for disk in [&new.disk, &fresh.disk] {
        for at in 1.. {
            let mounted = Mounted::new(disk.copy(Prng::new(at)));
            mounted.disk.set_faults(Faults {
                fails_at: Some(mounted.disk.count() + at),
                ..Faults::default()
            });
            let opened = open(&mounted);
            let failed = mounted.disk.faults().happened.io_errors > 0;
            mounted.disk.set_faults(Faults::default());
            let Ok((mut group, _)) = opened else { continue };
            group.take(OpId(1), record.clone());
            group.attempt().unwrap();
            mounted.disk.die();
            drop(group);
            mounted.disk.cut_power();
            let mut expected = Durable::default();
            expected.apply(record);
            assert!(open(&mounted).unwrap().1 == expected, "operation {at}");
            if !failed {
                break;
            }
        }
    }
}

/// With `os` nothing is missing after the death of the process, also if the disk then refuses what only memory has.
#[test]
fn a_start_that_cannot_sync_forgets_nothing_that_was_acknowledged_without() {
    let story = Story::of(1, 30);
    let record = story.get(0).unwrap();
    let mounted = Mounted::new(Disk::new(Prng::new(5)));
    let (mut group, _) = open_with(&mounted, Durability::Os).unwrap();
    group.take(OpId(1), record.clone());
    group.attempt().unwrap();
    mounted.disk.die();
    drop(group);
    mounted.disk.restart();
    mounted.disk.set_faults(Faults {
        syncs_fail: true,
        ..Faults::default()
    });
    open_with(&mounted, Durability::Os).unwrap_err();
    mounted.disk.set_faults(Faults::default());
    let mut expected = Durable::default();
    expected.apply(record);
    assert!(open_with(&mounted, Durability::Os).unwrap().1 == expected);
}
