//! The real server, killed again and again: at a random moment under load, while it starts, while it stops. After each
//! start everything that was acknowledged is asked for.

use std::path::Path;
use std::time::{Duration, Instant};

use comet_sim::prng::Prng;
use rusqlite::Connection;

use crate::args::Kill;
use crate::load::{Chat, Until, Worker};
use crate::process::{self, Addresses, Ending, Launch, Process};
use crate::report::Report;
use crate::sql::Session;

/// After so many cycles the page must have been answered.
const CYCLES_OF_A_CHAT: u64 = 20;

/// When the server is killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    /// Under load, so many milliseconds after it began.
    Load(u64),
    /// As `Load`, and before that so many milliseconds after its start, perhaps before it listens.
    Start(u64),
    /// So many tenths of a millisecond after it was told to stop.
    Stop(u64),
    /// Not at all: it stops in order, for comparison.
    Never,
}

impl Moment {
    fn drawn(luck: &mut Prng) -> Self {
        match luck.below(100) {
            0..=14 => Self::Start(luck.below(40)),
            15..=29 => Self::Stop(luck.below(80)),
            30..=32 => Self::Never,
            33..=60 => Self::Load(luck.below(30)),
            _ => Self::Load(luck.between(30, 250)),
        }
    }
}

/// A server and everybody who talks to it.
struct Siege {
    launch: Launch,
    workers: Vec<Worker>,
    chat: Chat,
    luck: Prng,
    kills: u64,
    statements: u64,
    acknowledged: u64,
}

impl Siege {
    /// One life of the server, and its end.
    fn cycle(&mut self) -> Result<(), String> {
        let moment = Moment::drawn(&mut self.luck);
        if let Moment::Start(after) = moment {
            let mut process = self.launch.start()?;
            std::thread::sleep(Duration::from_millis(after));
            process.kill()?;
            self.kills += 1;
        }
        let (mut process, addresses) = self.launch.up()?;
        self.check(addresses)?;
        let ending = Ending::default();
        let outcomes = std::thread::scope(|scope| {
            let mut hands: Vec<_> = self
                .workers
                .iter_mut()
                .map(|worker| scope.spawn(|| worker.work(addresses, Until::Gone, &ending, None)))
                .collect();
            let chat = &mut self.chat;
            hands.push(scope.spawn(|| chat.work(addresses, &ending)));
            let ended = end(&mut process, moment, &mut self.luck, &ending);
            let mut outcomes: Vec<_> = hands
                .into_iter()
                .map(|hand| hand.join().unwrap_or_else(|_| Err("a worker failed".to_owned())))
                .collect();
            outcomes.push(ended);
            outcomes
        });
        if moment != Moment::Never {
            self.kills += 1;
        }
        self.statements += self
            .workers
            .iter()
            .map(|worker| worker.book.sent.len() as u64)
            .sum::<u64>();
        self.acknowledged += self
            .workers
            .iter()
            .map(|worker| worker.book.acknowledged as u64)
            .sum::<u64>();
        outcomes.into_iter().collect()
    }

    fn check(&mut self, addresses: Addresses) -> Result<(), String> {
        let mut session = Session::connect(addresses.sql).map_err(|error| format!("a session: {error}"))?;
        for worker in &mut self.workers {
            worker.check(&mut session)?;
        }
        self.chat
            .check(&mut session)
            .map_err(|finding| format!("page: {finding}"))
    }
}

fn end(process: &mut Process, moment: Moment, luck: &mut Prng, ending: &Ending) -> Result<(), String> {
    let under_load = match moment {
        Moment::Load(after) => after,
        Moment::Start(_) | Moment::Stop(_) | Moment::Never => luck.below(60),
    };
    std::thread::sleep(Duration::from_millis(under_load));
    ending.begin();
    match moment {
        Moment::Load(_) | Moment::Start(_) => process.kill(),
        Moment::Stop(tenths) => {
            process.ask_to_stop()?;
            std::thread::sleep(Duration::from_micros(100 * tenths));
            process.kill()
        }
        Moment::Never => process.stop(),
    }
}

/// SQLite's own opinion of what a killed server left, on a copy.
fn integrity(data: &Path, copy: &Path) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| format!("integrity check: {error}");
    for name in ["comet.db", "comet.db-wal"] {
        let target = copy.join(name);
        // Of an earlier check.
        let _ = std::fs::remove_file(&target);
        match std::fs::copy(data.join(name), &target) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(told(&error)),
        }
    }
    let db = Connection::open(copy.join("comet.db")).map_err(|error| told(&error))?;
    let verdict: String = db
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .map_err(|error| told(&error))?;
    if verdict == "ok" {
        Ok(())
    } else {
        Err(told(&verdict))
    }
}

/// The loop. True if nothing was found.
pub(crate) fn run(args: &Kill) -> Result<bool, String> {
    let started = Instant::now();
    let home = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (data, copy) = (home.path().join("data"), home.path().join("copy"));
    std::fs::create_dir(&copy).map_err(|error| error.to_string())?;
    let mut siege = Siege {
        launch: Launch {
            binary: process::server(args.spawn.as_deref())?,
            data,
            durability: args.durability.clone(),
            environment: Vec::new(),
        },
        workers: Worker::all(args.seed),
        chat: Chat::default(),
        luck: Prng::keyed(args.seed, 9),
        kills: 0,
        statements: 0,
        acknowledged: 0,
    };
    let (mut process, addresses) = siege.launch.up()?;
    Chat::prepare(addresses)?;
    process.kill()?;
    let (mut cycles, mut checks, mut finding) = (0, 0, None);
    while cycles < args.cycles && finding.is_none() {
        finding = siege.cycle().err();
        cycles += 1;
        if finding.is_none() && cycles.is_multiple_of(args.integrity_every) {
            finding = integrity(&siege.launch.data, &copy).err();
            checks += 1;
        }
    }
    if finding.is_none() {
        let (mut process, addresses) = siege.launch.up()?;
        finding = siege.check(addresses).and_then(|()| process.stop()).err();
    }
    // A few cycles may be over before the page has said anything.
    if finding.is_none() && cycles >= CYCLES_OF_A_CHAT && siege.chat.acknowledged() == 0 {
        finding = Some("nothing was ever confirmed to the page or for it".to_owned());
    }
    if let Some(finding) = &finding {
        let kept = home.keep();
        println!(
            "cycle {cycles}: {finding}\n  the data directory is kept in {}",
            kept.display()
        );
    }
    tell(args, &siege, started, cycles, checks, finding.is_some())?;
    Ok(finding.is_none())
}

fn tell(
    args: &Kill,
    siege: &Siege,
    started: Instant,
    cycles: u64,
    checks: u64,
    failed: bool,
) -> Result<(), String> {
    let seconds = started.elapsed().as_secs_f64();
    let again = format!(
        "comet-crash kill --cycles {} --durability {} --seed {}",
        args.cycles, args.durability, args.seed
    );
    println!(
        "{cycles} cycles, {} kills, {} statements, {} acknowledged, {} by the page, {checks} integrity checks, {:.1} cycles/s, {}\n{again}",
        siege.kills,
        siege.statements,
        siege.acknowledged,
        siege.chat.acknowledged(),
        cycles as f64 / seconds,
        if failed { "FAILED" } else { "nothing is missing" },
    );
    Report::new("kill -9 of the real server")
        .number("cycles", cycles)
        .number("faults", siege.kills)
        .number("kills", siege.kills)
        .number("steps", siege.statements + siege.chat.sent())
        .number("acknowledged", siege.acknowledged)
        .number("acknowledged_by_page", siege.chat.acknowledged())
        .number("integrity_checks", checks)
        .number("failed", u64::from(failed))
        .text("durability", &args.durability)
        .text("command", &again)
        .write(args.json.as_deref())
}
