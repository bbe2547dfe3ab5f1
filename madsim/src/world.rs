//! One world: a server, browsers, back ends, and what happens to them; then healing, and what has to be true.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use comet_server::cli::Cli;
use comet_server::config::{self, Env, Settings};
use comet_server::rt::sim::{self, Weather, draw, elapsed};
use madsim::time::{sleep, timeout};

use crate::backend;
use crate::host::Host;
use crate::ledger::{Ledger, To, parse};
use crate::mysql::{Answer, Session};
use crate::page::{self, Browser};

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
pub(crate) const SERVER_WS: SocketAddr = SocketAddr::new(SERVER, 8087);
pub(crate) const SERVER_COMETQL: SocketAddr = SocketAddr::new(SERVER, 3307);
pub(crate) const PASSWORD: &str = "secret";
/// The channel that keeps what is sent to it, and how much.
pub(crate) const HISTORY: &str = "web_history";
const HISTORY_LENGTH: u64 = 99;
/// How long everybody may take to be back after healing.
const SETTLE_MAX: Duration = Duration::from_secs(120);
/// How long all debts may take to be paid then: two claims (`main.reload_grace`), one after the other.
const PAY_MAX: Duration = Duration::from_secs(200);
/// How long an orderly end may take.
const STOP_MAX: Duration = Duration::from_secs(60);

/// Where the world is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Anything may happen.
    Turmoil,
    /// Nothing bad happens any more; pages stay.
    Healed,
    Over,
}

/// What everybody in it shares.
pub(crate) struct World {
    pub(crate) ledger: RefCell<Ledger>,
    phase: Cell<Phase>,
    /// Clients and network misbehave.
    pub(crate) is_rough: bool,
    pub(crate) users: u32,
    pub(crate) padding_max: u64,
    /// An orderly end is on its way.
    pub(crate) is_stopping: Cell<bool>,
    pub(crate) power_losses: Cell<u64>,
    /// Browsers that were answered since healing, on a connection they still have.
    pub(crate) settled: RefCell<BTreeSet<usize>>,
    /// The browser that came when everything was paid.
    pub(crate) fresh: Cell<Option<usize>>,
    /// When each host was last cut off.
    cuts: RefCell<BTreeMap<IpAddr, Duration>>,
    pub(crate) faults: Cell<u64>,
    /// Whatever waits for a reader can be there within a second.
    pub(crate) is_quick: Cell<bool>,
    /// Between two things a client does.
    pub(crate) pause_max_ms: u64,
    browsers: Vec<Browser>,
    backends: Vec<IpAddr>,
}

/// What is told about a world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Report {
    pub(crate) log: sim::Log,
    pub(crate) simulated: Duration,
    pub(crate) statements: u64,
    pub(crate) frames: u64,
    pub(crate) connections: u64,
    pub(crate) faults: u64,
}

fn host(net: u8, number: usize) -> IpAddr {
    Ipv4Addr::new(127, 0, net, number as u8 + 1).into()
}

fn pick(choices: &[u64]) -> u64 {
    choices[draw(0..choices.len() as u64) as usize]
}

fn weather(is_rough: bool) -> Weather {
    if !is_rough {
        return Weather::CALM;
    }
    let segment = pick(&[40, 300, 1400]) as usize;
    Weather {
        latency_ms: 1..pick(&[2, 10, 60]),
        segment_bytes: 1..segment + 1,
        send_buffer_bytes: pick(&[600, 4096, 65_536]) as usize,
        receive_buffer_bytes: pick(&[600, 4096, 65_536]) as usize,
        disk_ms: 0..pick(&[1, 5, 40, 800]),
        disk_refuses_percent: pick(&[0, 0, 10]) as u32,
    }
}

fn settings(data_dir: &Path, is_rough: bool) -> Settings {
    let cli = Cli {
        ws_listen: Some(SERVER_WS.to_string()),
        cometql_listen: Some(SERVER_COMETQL.to_string()),
        password: Some(PASSWORD.to_owned()),
        data_dir: Some(data_dir.display().to_string()),
        ..Cli::default()
    };
    let loaded = config::load(&cli, &Env::new());
    let mut settings = loaded.unwrap_or_else(|error| panic!("{error}")).settings;
    settings.pidfile = None;
    settings.ws.shards = Some(pick(&[1, 2, 3]) as usize);
    settings.ws.ping_interval_ms = pick(&[5_000, 30_000]);
    if is_rough {
        settings.ws.send_buffer_bytes = pick(&[8192, 65_536, 1 << 20]) as usize;
        settings.core.private_window_bytes = settings
            .core
            .private_window_bytes
            .min(settings.ws.send_buffer_bytes / 4);
        settings.core.reload_grace_ms = pick(&[2_000, 60_000]);
    }
    settings
}

impl World {
    fn new(is_rough: bool) -> Self {
        let users = 1 + draw(0..3) as u32;
        let browsers = (0..users as usize + draw(0..3) as usize).map(|number| Browser {
            number,
            user: 1 + number as u32 % users,
            uuid: format!("browser{number}"),
            is_v5: draw(0..2) == 0,
            host: host(1, number),
        });
        Self {
            ledger: RefCell::new(Ledger::new(HISTORY_LENGTH)),
            phase: Cell::new(Phase::Turmoil),
            is_rough,
            users,
            padding_max: pick(&[10, 200, 3000]),
            is_stopping: Cell::default(),
            power_losses: Cell::default(),
            settled: RefCell::default(),
            fresh: Cell::default(),
            cuts: RefCell::default(),
            faults: Cell::default(),
            is_quick: Cell::new(true),
            pause_max_ms: pick(&[20, 300, 3000]),
            browsers: browsers.collect(),
            backends: (0..1 + draw(0..3) as usize)
                .map(|number| host(2, number))
                .collect(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    /// Counts down: there is no more once it keeps as much as it may.
    pub(crate) fn history_has_room(&self) -> bool {
        let left = &mut self.ledger.borrow_mut().history_left;
        *left = left.saturating_sub(1);
        *left > 0
    }

    /// Since when neither this host nor the server has been cut off.
    pub(crate) fn quiet_since(&self, host: IpAddr) -> Duration {
        let cuts = self.cuts.borrow();
        let last = |host| cuts.get(host).copied().unwrap_or_default();
        last(&host).max(last(&SERVER))
    }

    fn change_weather(&self) {
        let weather = weather(self.is_rough);
        let is_quick = weather.latency_ms.end <= 10 && weather.segment_bytes.end >= 300;
        self.is_quick.set(self.is_quick.get() && is_quick);
        sim::set_weather(weather);
    }

    fn fault(&self, what: &str) {
        sim::note(what, 0, &[]);
        self.faults.set(self.faults.get() + 1);
    }
}

/// Runs the world of the seed this thread was begun with.
pub(crate) async fn run(data_dir: &Path, mistake: Option<sim::Mistake>, verbose: bool) -> Report {
    sim::begin(Weather::CALM, mistake, verbose);
    let is_rough = draw(0..8) > 0;
    let world = Rc::new(World::new(is_rough));
    let server = Host::new(settings(data_dir, is_rough));
    server.start().await;
    prepare(&world).await;
    world.change_weather();
    for browser in world.browsers.clone() {
        madsim::task::spawn_local(page::live(world.clone(), browser));
    }
    let backends: Vec<_> = world
        .backends
        .iter()
        .map(|host| madsim::task::spawn_local(backend::live(world.clone(), *host)))
        .collect();
    let ends = elapsed() + Duration::from_secs(draw(5..40));
    while elapsed() < ends {
        sleep(Duration::from_millis(draw(100..3000))).await;
        if is_rough {
            trouble(&world, &server).await;
        }
    }
    sim::set_weather(Weather::CALM);
    world.phase.set(Phase::Healed);
    for backend in backends {
        // They end by themselves, as every statement is answered.
        let _ = backend.await;
    }
    settle(&world).await;
    end(&world, &server).await;
    let ledger = world.ledger.borrow();
    Report {
        log: sim::log(),
        simulated: elapsed(),
        statements: ledger.statements,
        frames: ledger.frames,
        connections: ledger.connections,
        faults: world.faults.get(),
    }
}

/// A session of the administrator, whom nothing bad ever happens to.
async fn administrator() -> Session {
    let session = backend::log_in(host(3, 0)).await;
    session.unwrap_or_else(|| panic!("the CometQL port does not answer"))
}

async fn rows(sql: &str) -> Vec<Vec<String>> {
    let mut session = administrator().await;
    match timeout(SETTLE_MAX, session.ask(sql)).await {
        Ok(Ok(Answer::Rows(rows))) => rows,
        other => panic!("{sql}: {other:?}"),
    }
}

async fn prepare(world: &World) {
    let mut session = administrator().await;
    let keys = (1..=world.users)
        .map(|user| format!("INSERT INTO users_auth (id, hash) VALUES ({user}, 'key{user}')"));
    let history = format!("INSERT INTO pipes_settings (name, length) VALUES ('{HISTORY}', {HISTORY_LENGTH})");
    for sql in keys.chain([history]) {
        let answer = session.ask(&sql).await;
        assert!(matches!(answer, Ok(Answer::Done)), "{sql}: {answer:?}");
    }
}

/// Something bad.
async fn trouble(world: &Rc<World>, server: &Host) {
    let anybody = || {
        let hosts = world.browsers.iter().map(|browser| browser.host);
        let hosts: Vec<IpAddr> = hosts.chain(world.backends.iter().copied()).collect();
        hosts[draw(0..hosts.len() as u64) as usize]
    };
    match draw(0..12) {
        0..4 => cut_off(world, anybody()),
        4 => cut_off(world, SERVER),
        5 | 6 => {
            world.fault("kill");
            server.kill().await;
            sleep(Duration::from_millis(draw(1..3000))).await;
            server.start().await;
        }
        7 => {
            world.fault("power");
            world.power_losses.set(world.power_losses.get() + 1);
            sim::lose_power(SERVER);
            server.kill().await;
            sleep(Duration::from_millis(draw(1..3000))).await;
            server.start().await;
        }
        8 | 9 => {
            world.fault("stop");
            stop(world, server).await;
            sleep(Duration::from_millis(draw(1..500))).await;
            server.start().await;
        }
        10 => {
            world.fault("weather");
            world.change_weather();
        }
        _ => {}
    }
}

fn cut_off(world: &Rc<World>, host: IpAddr) {
    world.fault("cut off");
    sim::cut_off(host);
    let world = world.clone();
    madsim::task::spawn_local(async move {
        let heals = elapsed() + Duration::from_millis(draw(20..15_000));
        while elapsed() < heals && world.phase() == Phase::Turmoil {
            world.cuts.borrow_mut().insert(host, elapsed());
            sleep(Duration::from_millis(100)).await;
        }
        world.cuts.borrow_mut().insert(host, elapsed());
        sim::heal(host);
    });
}

async fn stop(world: &World, server: &Host) {
    world.is_stopping.set(true);
    let stopped = timeout(STOP_MAX, server.stop()).await;
    assert!(stopped.is_ok(), "the orderly end does not come to an end");
    world.is_stopping.set(false);
}

/// Waits until `done` says so.
async fn until(limit: Duration, what: &str, mut done: impl AsyncFnMut() -> Result<(), String>) {
    let ends = elapsed() + limit;
    while let Err(why) = done().await {
        assert!(elapsed() < ends, "{what}: {why}");
        sleep(Duration::from_secs(1)).await;
    }
}

/// Everybody is back, everything has arrived, every debt is paid.
async fn settle(world: &Rc<World>) {
    let all = world.browsers.len();
    let everybody = async || {
        let settled = world.settled.borrow().len();
        let missing = || format!("{settled} of {all} browsers are answered");
        (settled == all).then_some(()).ok_or_else(missing)
    };
    until(SETTLE_MAX, "liveness: stuck after healing", everybody).await;
    let arrived = async || {
        let ledger = world.ledger.borrow();
        let missing = ledger.missing();
        let what = || format!("sender, number and user: {missing:?}");
        missing.is_empty().then_some(()).ok_or_else(what)
    };
    until(PAY_MAX, "5.1: accepted messages never arrived", arrived).await;
    until(PAY_MAX, "5.1: debts that are never paid", async || {
        unpaid(world).await
    })
    .await;
    check_history(world).await;
    for user in 1..=world.users {
        fresh_page_gets_nothing(world, user).await;
    }
}

async fn unpaid(world: &World) -> Result<(), String> {
    let users: Vec<String> = (1..=world.users).map(|user| user.to_string()).collect();
    let sql = format!(
        "SELECT id, message FROM users_messages WHERE id IN ({})",
        users.join(", ")
    );
    let rows = rows(&sql).await;
    match rows.first() {
        None => Ok(()),
        Some(row) => Err(format!("{} messages, {}", rows.len(), row.join(" "))),
    }
}

/// 6: what was answered OK is in the history.
async fn check_history(world: &World) {
    let sql = format!("SELECT message FROM pipes_messages WHERE name = '{HISTORY}'");
    let rows = rows(&sql).await;
    let kept: BTreeSet<_> = rows.iter().map(|row| parse(&row[0], To::History)).collect();
    let ledger = world.ledger.borrow();
    let lost: Vec<_> = ledger.in_history.difference(&kept).collect();
    assert!(
        lost.is_empty(),
        "6: accepted messages are not in the history: {lost:?}"
    );
    assert_eq!(kept.len(), rows.len(), "6: a message is in the history twice");
}

async fn fresh_page_gets_nothing(world: &Rc<World>, user: u32) {
    let number = 100 + user as usize;
    let browser = Browser {
        number,
        user,
        uuid: format!("fresh{user}"),
        is_v5: user.is_multiple_of(2),
        host: host(4, number),
    };
    world.fresh.set(Some(number));
    madsim::task::spawn_local(page::live(world.clone(), browser));
    let answered = async || {
        let settled = world.settled.borrow().contains(&number);
        settled
            .then_some(())
            .ok_or_else(|| "it is not answered".to_owned())
    };
    until(SETTLE_MAX, "a fresh page", answered).await;
    world.fresh.set(None);
}

/// An orderly end, which everybody notices; and what is on disk then.
async fn end(world: &World, server: &Host) {
    world.is_quick.set(true);
    backend::burst(world, administrator().await).await;
    stop(world, server).await;
    let alone = async || {
        let left = world.settled.borrow().len();
        (left == 0)
            .then_some(())
            .ok_or_else(|| format!("{left} pages have not noticed the end"))
    };
    until(Duration::from_secs(20), "2.4", alone).await;
    world.phase.set(Phase::Over);
    server.start().await;
    let paid = unpaid(world).await;
    assert_eq!(paid, Ok(()), "5.1: paid, and there again after a restart");
    check_history(world).await;
    stop(world, server).await;
}
