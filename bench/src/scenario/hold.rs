//! Many connections that do nothing: how fast they come, what one costs, what keep-alive costs, and whether all of them
//! still live. The load comes from worker processes, so that the limit of open files of one does not end it.

use std::time::Duration;

use super::stage;
use crate::args::scale::HoldArgs;
use crate::clock;
use crate::failure::Failure;
use crate::proc;
use crate::progress::Progress;
use crate::report::Round;
use crate::server::Server;
use crate::sql::client::Client;
use crate::stamp::Stamp;
use crate::workers::news::News;
use crate::workers::{self, Order, Plan, Workers};

/// Without any progress for this long, a stage has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Until memory is looked at: what the server frees late.
const SETTLE: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(20);

/// Server memory and kernel memory at one moment.
struct Memory {
    rss: Option<f64>,
    kernel: Option<u64>,
}

impl Memory {
    fn now(server: &Server) -> Self {
        Self {
            rss: server.rss_bytes(),
            kernel: proc::kernel_bytes(),
        }
    }
}

pub(crate) fn round(server: &Server, args: &HoldArgs, seconds: u64) -> Result<Round, Failure> {
    let mut round = Round::default();
    let mut control = server.client()?;
    let connections = args.connections as f64;
    let before = server.rss_bytes();
    if args.authorized {
        let users = u32::try_from(args.connections).map_err(|_| Failure::told("too many users"))?;
        stage::register_users(&mut control, 1..=users)?;
    }
    let plan = Plan {
        pages: args.connections,
        authorized: args.authorized,
        opening: args.opening,
        rooms: usize::from(args.subscriptions.min(1)),
        own_channels: args.subscriptions > 1,
        history: 0,
    };
    let mut workers = Workers::start(server.ws, &plan)?;
    let empty = workers.news()?.memory;
    std::thread::sleep(SETTLE);
    let with_users = Memory::now(server);
    open(server, &mut control, &mut workers, &plan, &mut round)?;
    std::thread::sleep(SETTLE);
    let full = Memory::now(server);
    if let (Some(before), Some(users), Some(full)) = (before, with_users.rss, full.rss) {
        round.add("rss_before_users", before / 1024.0, "KiB");
        round.add("rss_with_users", users / 1024.0, "KiB");
        round.add("rss_with_connections", full / 1024.0, "KiB");
        round.add("rss_per_connection", (full - users) / 1024.0 / connections, "KiB");
        round.add(
            "rss_with_user",
            (full - before) / 1024.0 / connections,
            "KiB per connection and the key of its user",
        );
    }
    if let (Some(before), Some(after)) = (with_users.kernel, full.kernel) {
        let bytes = after as f64 - before as f64;
        round.add(
            "kernel_per_connection",
            bytes / 1024.0 / connections,
            "KiB, both ends, whole machine",
        );
    }
    let used = workers.news()?.memory.saturating_sub(empty) as f64;
    round.add(
        "generator_per_connection",
        used / 1024.0 / connections,
        "KiB of the load generator",
    );
    idle(server, &mut workers, args, seconds, &mut round)?;
    grown(server, &with_users, connections, "rss_after_idle", &mut round);
    if plan.rooms > 0 {
        publish(&mut control, &mut workers, args.connections as u64, &mut round)?;
        grown(server, &with_users, connections, "rss_after_message", &mut round);
    }
    alive(&mut workers, args.connections as u64, &mut round)?;
    judge(&workers.news()?, &mut round);
    Ok(round)
}

/// What a connection takes at a later moment.
fn grown(server: &Server, with_users: &Memory, connections: f64, name: &'static str, round: &mut Round) {
    if let Some((before, now)) = with_users.rss.zip(server.rss_bytes()) {
        round.add(name, (now - before) / 1024.0 / connections, "KiB per connection");
    }
}

/// Everybody connects, authorizes and subscribes.
fn open(
    server: &Server,
    control: &mut Client,
    workers: &mut Workers,
    plan: &Plan,
    round: &mut Round,
) -> Result<(), Failure> {
    let pages = plan.pages as u64;
    let begun = clock::nanos();
    let cpu_begun = server.cpu_seconds();
    workers.order(&Order::Open)?;
    wait(workers, "connect", pages, |news| news.open)?;
    if plan.rooms > 0 {
        let names = [workers::room_name(0)];
        until(PATIENCE, || {
            let counted = stage::subscribers(control, &[&names[0]])?;
            Ok((counted, counted >= pages))
        })?;
    }
    let opened = clock::nanos();
    round.add("connections", pages as f64, "");
    round.add("processes", workers.count() as f64, "of the load generator");
    round.add(
        "opened_per_s",
        pages as f64 / clock::seconds(begun, opened),
        "connections/s, with all they ask for",
    );
    if let Some((before, after)) = cpu_begun.zip(server.cpu_seconds()) {
        let cpu = (after - before) / pages as f64;
        round.add("cpu_per_open", cpu * 1e6, "server CPU µs per connection opened");
        round.add(
            "opened_per_core",
            1.0 / cpu,
            "connections per second of server CPU",
        );
    }
    let news = workers.news()?;
    round.add("failed_handshakes", news.failed as f64, "");
    if news.failed > 0 {
        round.fault(format!(
            "{} handshakes failed: {}",
            news.failed,
            news.reasons.join("; ")
        ));
    }
    Ok(())
}

/// Does nothing for a while but answer Pings, and measures what that costs the server.
fn idle(
    server: &Server,
    workers: &mut Workers,
    args: &HoldArgs,
    seconds: u64,
    round: &mut Round,
) -> Result<(), Failure> {
    let pings = workers.news()?.pings;
    let begun = clock::nanos();
    let cpu_begun = server.cpu_seconds();
    let end = begun + clock::span(Duration::from_secs(seconds));
    let mut progress = Progress::new("hold");
    while clock::nanos() < end {
        std::thread::sleep(POLL);
        let news = workers.news()?;
        progress.tick(|| format!("{} open, {} Pings", news.open, news.pings));
    }
    let lasted = clock::seconds(begun, clock::nanos());
    // In less than an interval hardly anybody may be due: what that costs says nothing about keep-alive.
    let intervals = seconds / args.ping_interval.max(1);
    if intervals > 0
        && let Some((before, after)) = cpu_begun.zip(server.cpu_seconds())
    {
        round.add(
            "idle_cpu",
            (after - before) / lasted * 100.0,
            "% of one processor while idle",
        );
    }
    let pings = workers.news()?.pings - pings;
    round.add(
        "pings_per_s",
        pings as f64 / lasted,
        "keep-alive Pings answered per second",
    );
    let due = args.connections as u64 * intervals;
    round.faults.extend(missing_pings(pings, due));
    Ok(())
}

/// Every connection is due once per interval; a tenth may fall outside of the window.
fn missing_pings(answered: u64, due: u64) -> Option<String> {
    (answered < due - due / 10)
        .then(|| format!("only {answered} keep-alive Pings came of at least {due} that were due"))
}

/// One message to everybody, and how long until the last one has it.
fn publish(
    control: &mut Client,
    workers: &mut Workers,
    connections: u64,
    round: &mut Round,
) -> Result<(), Failure> {
    let sent = clock::nanos();
    let mut body = String::new();
    Stamp {
        publisher: 0,
        sequence: 0,
        slot: 0,
        nanos: sent,
    }
    .padded(128, &mut body);
    let name = workers::room_name(0);
    control.execute(&format!(
        "INSERT INTO pipes_messages (name, event, message) VALUES ('{name}', 'bench', '{body}')"
    ))?;
    wait(workers, "one message to all", connections, |news| news.live)?;
    let news = workers.news()?;
    let seconds = clock::seconds(sent, news.last_live);
    round.add("reached", news.live as f64, "connections, by one message");
    round.add("reached_all_within", seconds, "s");
    Ok(())
}

/// Asks on every connection for a user's data (2.6.6) and counts the answers F12.
fn alive(workers: &mut Workers, connections: u64, round: &mut Round) -> Result<(), Failure> {
    workers.order(&Order::Ask)?;
    let answers = wait(workers, "ask everybody", connections, |news| news.answers)?;
    round.add("alive", answers as f64, "connections that answered at the end");
    Ok(())
}

fn judge(news: &News, round: &mut Round) {
    if news.ended > 0 {
        round.fault(format!(
            "{} connections ended: {}",
            news.ended,
            news.reasons.join("; ")
        ));
    }
    round.tally("shared channel", news.rooms);
    round.faults.extend(news.faults.iter().cloned());
}

/// Waits until all have carried out the last order and `value` has reached `wanted`; fails when it stops growing.
pub(super) fn wait(
    workers: &mut Workers,
    what: &str,
    wanted: u64,
    value: impl Fn(&News) -> u64,
) -> Result<u64, Failure> {
    let mut progress = Progress::new(what);
    let reached = until(PATIENCE, || {
        let news = workers.news()?;
        let now = value(&news);
        progress.tick(|| format!("{now} of {wanted}"));
        Ok((now, workers.is_done(&news) && now >= wanted))
    });
    reached.map_err(|failure| Failure::told(format!("{what}: {failure} of {wanted}")))
}

/// Looks again and again until it is done; fails when the value does not change for so long.
fn until(patience: Duration, mut look: impl FnMut() -> Result<(u64, bool), Failure>) -> Result<u64, Failure> {
    let mut last = (0, clock::nanos());
    loop {
        let (value, done) = look()?;
        if done {
            return Ok(value);
        }
        let now = clock::nanos();
        if value != last.0 {
            last = (value, now);
        } else if now > last.1 + clock::span(patience) {
            return Err(Failure::told(format!("no progress any more at {value}")));
        }
        std::thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keep_alive_without_pings_is_a_fault() {
        assert_eq!(
            missing_pings(0, 0),
            None,
            "the window is shorter than the interval"
        );
        assert_eq!(missing_pings(90, 100), None);
        assert!(missing_pings(89, 100).is_some());
        assert!(missing_pings(0, 100).is_some());
    }
}
