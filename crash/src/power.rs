//! Power cuts of the real server: its file operations are recorded under load, together with what its clients were told;
//! then the disk is built as it was before many of the operations, minus an arbitrary part of what was not synced, and the
//! store must open on it and hold everything acknowledged until then.
//!
//! Most images are opened by the shipping store in this process; every so many by the real server itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use comet_server::config::Durability;
use comet_server::store;
use comet_sim::prng::Prng;

use crate::args::Power;
use crate::disk::{Disk, Inode};
use crate::files::Mounted;
use crate::load::{self, Until, Worker};
use crate::marks::{self, Entry, Marks};
use crate::process::{self, Ending, Launch};
use crate::report::Report;
use crate::sql::Session;
use crate::statement::Book;

/// Statements of each worker in one life.
const STATEMENTS: usize = 400;
/// Lives that are recorded: the first makes the store, the second finds the log of a killed server, the third an orderly end.
const LIVES: u64 = 3;

/// Builds the library that records, with the C compiler of the machine. `None` if there is none.
fn shim(home: &Path) -> Result<Option<PathBuf>, String> {
    let (source, library) = (home.join("shim.c"), home.join("shim.so"));
    std::fs::write(&source, include_str!("shim.c")).map_err(|error| error.to_string())?;
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .output();
    match built {
        Ok(output) if output.status.success() => Ok(Some(library)),
        Ok(output) => Err(format!("cc: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cc: {error}")),
    }
}

/// One life of the real server.
struct Recording {
    /// The files at its start.
    before: Vec<(String, Vec<u8>)>,
    entries: Vec<Entry>,
    /// What the workers sent in it, and what was certain before.
    workers: Vec<Worker>,
}

fn record(launch: &Launch, log: &Path, workers: &mut [Worker], life: u64) -> Result<Recording, String> {
    let before = files(&launch.data)?;
    let marks = Marks::open(log)?;
    let (mut process, addresses) = launch.up()?;
    if life > 0 {
        let mut session = Session::connect(addresses.sql).map_err(|error| error.to_string())?;
        for worker in workers.iter_mut() {
            worker.check(&mut session)?;
        }
    }
    // Which has not begun: whoever is hung up on while he works has found something.
    let (until, ending) = (Until::Count(STATEMENTS), Ending::default());
    let outcome: Result<(), String> = std::thread::scope(|scope| {
        let hands: Vec<_> = workers
            .iter_mut()
            .map(|worker| scope.spawn(|| worker.work(addresses, until, &ending, Some(&marks))))
            .collect();
        hands
            .into_iter()
            .try_for_each(|hand| hand.join().unwrap_or_else(|_| Err("a worker failed".to_owned())))
    });
    outcome?;
    if life + 1 == LIVES || life == 0 {
        process.stop()?;
    } else {
        process.kill()?;
    }
    let bytes = std::fs::read(log).map_err(|error| error.to_string())?;
    Ok(Recording {
        before,
        entries: marks::read(&bytes)?,
        workers: workers.to_vec(),
    })
}

/// The files of the store, without SQLite's shared memory, which does not survive a machine.
fn files(data: &Path) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(data) else {
        return Ok(found);
    };
    for entry in entries.map_while(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.ends_with("-shm") {
            let content = std::fs::read(entry.path()).map_err(|error| format!("{name}: {error}"))?;
            found.push((name, content));
        }
    }
    Ok(found)
}

/// The disk while a recording is played, and who had been told what.
struct Player {
    disk: Disk,
    inodes: BTreeMap<u64, Inode>,
    sent: BTreeMap<u32, usize>,
    acknowledged: BTreeMap<u32, usize>,
}

impl Player {
    fn new(before: &[(String, Vec<u8>)]) -> Result<Self, String> {
        let player = Self {
            disk: Disk::new(Prng::new(0)),
            inodes: BTreeMap::new(),
            sent: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
        };
        for (name, content) in before {
            let put = || {
                let inode = player.disk.open(name, true)?;
                player.disk.write(inode, 0, content)?;
                player.disk.sync(inode)
            };
            put().map_err(|error| format!("{name}: {error:?}"))?;
        }
        player.disk.sync_dir().map_err(|error| format!("{error:?}"))?;
        Ok(player)
    }

    fn inode(&self, file: u64) -> Result<Inode, String> {
        let found = self.inodes.get(&file).copied();
        found.ok_or_else(|| format!("the recording uses file {file} before it opens it"))
    }

    fn play(&mut self, entry: &Entry) -> Result<(), String> {
        let disk = &self.disk;
        let done = match entry {
            Entry::Opened { file, name } => disk.open(name, true).map(|inode| {
                self.inodes.insert(*file, inode);
            }),
            Entry::Written { file, at, bytes } => disk.write(self.inode(*file)?, *at, bytes),
            Entry::Truncated { file, len } => disk.truncate(self.inode(*file)?, *len),
            Entry::Synced { file } => disk.sync(self.inode(*file)?),
            Entry::NamesSynced => disk.sync_dir(),
            Entry::Deleted { name } => disk.delete(name),
            Entry::Renamed { from, to } => disk.rename(from, to),
            Entry::Sent { worker, count } => {
                self.sent.insert(*worker, *count);
                Ok(())
            }
            Entry::Acknowledged { worker, count } => {
                self.acknowledged.insert(*worker, *count);
                Ok(())
            }
        };
        done.map_err(|error| format!("{entry:?} cannot be played: {error:?}"))
    }

    /// The worker's book at this moment.
    fn book(&self, worker: &Worker) -> Book {
        let sent = self.sent.get(&worker.number).copied().unwrap_or(0);
        Book {
            base: worker.book.base.clone(),
            sent: worker.book.sent.get(..sent).unwrap_or_default().to_vec(),
            acknowledged: self.acknowledged.get(&worker.number).copied().unwrap_or(0),
        }
    }
}

/// The shipping store on an image.
fn opens(player: &Player, workers: &[Worker], luck: Prng) -> Result<(), String> {
    let mounted = Mounted::new(player.disk.copy(luck));
    mounted.disk.cut_power();
    let (_group, found) = store::open_on(
        &mounted,
        &mounted.dir(),
        Durability::Fsync,
        store::CHECKPOINT_PAGES,
    )
    .map_err(|error| format!("the start was refused: {error}"))?;
    for worker in workers {
        player
            .book(worker)
            .check(load::holdings(&found, worker.number))
            .map_err(|finding| format!("worker {}: {finding}", worker.number))?;
    }
    Ok(())
}

/// The real server on an image.
fn starts(player: &Player, workers: &[Worker], luck: Prng, launch: &Launch) -> Result<(), String> {
    let disk = player.disk.copy(luck);
    disk.cut_power();
    // Of the image before.
    let _ = std::fs::remove_dir_all(&launch.data);
    std::fs::create_dir_all(&launch.data).map_err(|error| error.to_string())?;
    for (name, content) in disk.contents() {
        std::fs::write(launch.data.join(&name), content).map_err(|error| error.to_string())?;
    }
    let (_process, addresses) = launch.up()?;
    let mut session = Session::connect(addresses.sql).map_err(|error| error.to_string())?;
    for worker in workers {
        let mut copy = worker.clone();
        copy.book = player.book(worker);
        copy.check(&mut session)?;
    }
    Ok(())
}

/// What the images of one recording came to.
#[derive(Debug, Default)]
struct Sum {
    operations: u64,
    images: u64,
    real_starts: u64,
    findings: Vec<String>,
}

fn images(
    recording: &Recording,
    args: &Power,
    life: u64,
    launch: &Launch,
    sum: &mut Sum,
) -> Result<(), String> {
    let mut luck = Prng::keyed(args.seed, 200 + life);
    let count = recording.entries.len() as u64;
    let mut points: Vec<u64> = (0..args.images.div_ceil(LIVES))
        .map(|_| luck.below(count + 1))
        .collect();
    points.sort_unstable();
    let mut player = Player::new(&recording.before)?;
    let mut played = 0;
    for point in points {
        for entry in recording.entries.iter().take(point as usize).skip(played) {
            player.play(entry)?;
        }
        played = played.max(point as usize);
        sum.images += 1;
        let way = Prng::keyed(args.seed, 1_000_000 * (life + 1) + sum.images);
        let mut outcome = opens(&player, &recording.workers, way.clone());
        if outcome.is_ok() && sum.images.is_multiple_of(args.real_every) {
            sum.real_starts += 1;
            outcome = starts(&player, &recording.workers, way, launch);
        }
        if let Err(finding) = outcome {
            sum.findings
                .push(format!("life {life}, operation {point} of {count}: {finding}"));
        }
    }
    sum.operations += count;
    Ok(())
}

/// Records and cuts. True if nothing was found.
pub(crate) fn run(args: &Power) -> Result<bool, String> {
    let started = Instant::now();
    let home = tempfile::tempdir().map_err(|error| error.to_string())?;
    let report = Report::new("power cuts of the real server");
    let Some(library) = shim(home.path())? else {
        println!("there is no C compiler (cc), so the server's file operations cannot be recorded: SKIPPED");
        report
            .number("skipped", 1)
            .number("failed", 0)
            .write(args.json.as_deref())?;
        return Ok(true);
    };
    let plain = Launch {
        binary: process::server(args.spawn.as_deref())?,
        data: home.path().join("image"),
        durability: "fsync".to_owned(),
        environment: Vec::new(),
    };
    let data = home.path().join("data");
    let mut workers = Worker::all(args.seed);
    let mut sum = Sum::default();
    for life in 0..LIVES {
        let log = home.path().join(format!("recording{life}"));
        let environment = [
            ("LD_PRELOAD", library.display()),
            ("POWERCUT_DIR", data.display()),
            ("POWERCUT_LOG", log.display()),
        ];
        let launch = Launch {
            data: data.clone(),
            environment: environment
                .map(|(name, value)| (name.to_owned(), value.to_string()))
                .into(),
            ..plain.clone()
        };
        let recording = record(&launch, &log, &mut workers, life)?;
        images(&recording, args, life, &plain, &mut sum)?;
    }
    for finding in &sum.findings {
        println!("{finding}");
    }
    let failed = sum.findings.len() as u64;
    let again = format!("comet-crash power --images {} --seed {}", args.images, args.seed);
    println!(
        "{} images of {} recorded operations, {} of them started by the real server, {failed} failed, {:.0} s\n{again}",
        sum.images,
        sum.operations,
        sum.real_starts,
        started.elapsed().as_secs_f64(),
    );
    report
        .number("faults", sum.images)
        .number("images", sum.images)
        .number("real_starts", sum.real_starts)
        .number("steps", sum.operations)
        .number("failed", failed)
        .text("command", &again)
        .write(args.json.as_deref())?;
    // A recording without operations would prove nothing.
    Ok(failed == 0 && sum.operations > 100)
}
