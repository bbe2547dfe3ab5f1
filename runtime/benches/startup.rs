//! How long a start reads a large store: keys of many users, and as many queued messages.
//!
//! `cargo bench -p comet-server --bench startup [-- --rows 1000000 --rounds 5 --dir DIR]`; with `--dir`, a store that
//! is there already is read as it is.

#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::path::{Path, PathBuf};

use clap::Parser;
use comet_core::{
    AuthHash, Body, Config, Core, DevId, EventName, MessageId, Mono, Now, OpId, QueuedMessage, Record,
    Secret, Seq, UnixMillis, UnixSeconds, UserId,
};
use comet_server::config::Durability;
use comet_server::store;

#[derive(Parser)]
struct Args {
    /// Users with a key, and messages queued for them.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u32,
    /// How often the store is read.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Where the store is, and stays; without, a temporary directory.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// What Cargo passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    let temporary = tempfile::tempdir().unwrap();
    let dir = args.dir.as_deref().unwrap_or_else(|| temporary.path());
    if !dir.join(store::FILE_NAME).exists() {
        fill(dir, args.rows);
    }
    let bytes = std::fs::metadata(dir.join(store::FILE_NAME)).unwrap().len();
    println!("{} MiB", bytes >> 20);
    for _ in 0..args.rounds {
        let (opened, started) = start(dir);
        println!(
            "open {opened:.2} s (file checked, every row read), core {started:.2} s, together {:.2} s of processor time",
            opened + started
        );
    }
}

/// Seconds this thread has been on a processor: other work on the machine does not count.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanos: u64 = text.split(' ').next().unwrap().parse().unwrap();
    nanos as f64 / 1e9
}

fn start(dir: &Path) -> (f64, f64) {
    let begin = processor_seconds();
    let (store, durable) = store::open(dir, Durability::Fsync).unwrap();
    let opened = processor_seconds();
    let config = Config {
        password: Secret::new("x"),
        ..Config::default()
    };
    let now = Now {
        mono: Mono::from_micros(0),
        unix: UnixMillis(1_800_000_000_000),
    };
    let core = Core::start(config.check().unwrap(), durable, 1, now, &mut Vec::new());
    let started = processor_seconds();
    drop(store);
    drop(core);
    (opened - begin, started - opened)
}

/// Users in a scattered order, as they come in life.
fn fill(dir: &Path, rows: u32) {
    let (store, _) = store::open(dir, Durability::Os).unwrap();
    let writer = store.spawn(|_| {}).unwrap();
    let body = Body::new(&"x".repeat(128));
    for n in 1..=u64::from(rows) {
        let id = n.wrapping_mul(2_654_435_761) % u64::from(rows) + 1;
        let user = UserId::new(u32::try_from(id).unwrap()).unwrap();
        let (dev, hash) = (DevId(0), AuthHash::parse(&format!("{n:032}")).unwrap());
        writer.append(OpId(2 * n), Record::KeySet { dev, user, hash });
        let message = QueuedMessage {
            seq: Seq(n),
            id: MessageId(u128::from(n)),
            time: UnixSeconds(n),
            event: EventName::parse("event").unwrap(),
            body: body.clone(),
        };
        writer.append(OpId(2 * n + 1), Record::MessageQueued { dev, user, message });
    }
    writer.stop().unwrap();
    println!("{rows} keys and {rows} messages written");
}
