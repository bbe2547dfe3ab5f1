//! Many connections that do nothing: how fast they are accepted, what one costs, and whether all of them still live.

use std::collections::HashSet;
use std::time::Duration;

use super::stage;
use crate::args::IdleArgs;
use crate::clock;
use crate::failure::Failure;
use crate::net::{Event, Id, Net};
use crate::proc;
use crate::progress::Progress;
use crate::report::Round;
use crate::server::Server;
use crate::ws::handshake::Identity;

/// Every connection must answer within this time of being asked.
const ALIVE_PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn round(server: &Server, args: &IdleArgs, seconds: u64) -> Result<Round, Failure> {
    let mut round = Round::default();
    let mut control = server.client()?;
    let connections = args.connections;
    let identities: Vec<Identity> = (0..connections)
        .map(|page| identity(page, args.authorized))
        .collect();
    if args.authorized {
        stage::register_users(&mut control, identities.iter().map(|identity| identity.user))?;
    }
    let mut net = Net::new()?;
    let rss_before = server.rss_bytes();
    let kernel_before = proc::kernel_bytes();
    let begun = clock::nanos();
    let cpu_begun = server.cpu_seconds();
    let ids = stage::open_pages(&mut net, server.ws, &identities, args.opening, |_, _| {})?;
    let opened = clock::nanos();
    let cpu_opened = server.cpu_seconds();
    let channels = if args.channels == 0 {
        connections
    } else {
        args.channels
    };
    let pages: Vec<(Id, String)> = ids
        .iter()
        .enumerate()
        .map(|(number, id)| (*id, format!("bench_idle_{}", number % channels)))
        .collect();
    stage::subscribe(&mut net, &mut control, &pages)?;
    drop(pages);
    hold(&mut net, &mut round, server, seconds)?;

    round.add("connections", connections as f64, "");
    round.add(
        "opened_per_s",
        connections as f64 / clock::seconds(begun, opened),
        "connections/s (client and server)",
    );
    if let (Some(before), Some(after)) = (cpu_begun, cpu_opened) {
        round.add(
            "cpu_per_open",
            (after - before) * 1e6 / connections as f64,
            "server CPU µs per connection opened",
        );
    }
    if let (Some(before), Some(after)) = (rss_before, server.rss_bytes()) {
        round.add("rss_before", before / 1024.0, "KiB");
        round.add("rss_after", after / 1024.0, "KiB");
        round.add(
            "rss_per_connection",
            (after - before) / 1024.0 / connections as f64,
            "KiB",
        );
    }
    if let (Some(before), Some(after)) = (kernel_before, proc::kernel_bytes()) {
        let bytes = after as f64 - before as f64;
        round.add(
            "kernel_per_connection",
            bytes / 1024.0 / connections as f64,
            "KiB, both ends, whole machine",
        );
    }
    alive(&mut net, &ids, &mut round)?;
    Ok(round)
}

fn identity(page: usize, authorized: bool) -> Identity {
    let uuid = stage::uuid_of(page);
    if !authorized {
        return Identity::anonymous(uuid);
    }
    let user = u32::try_from(page + 1).expect("far fewer connections than 2^32");
    Identity {
        user,
        key: stage::key_of(user),
        uuid,
    }
}

/// Does nothing for a while but answer Pings, and measures what that costs the server.
fn hold(net: &mut Net, round: &mut Round, server: &Server, seconds: u64) -> Result<(), Failure> {
    let begun = clock::nanos();
    let end = begun + clock::span(Duration::from_secs(seconds));
    let cpu_begun = server.cpu_seconds();
    let mut progress = Progress::new("hold");
    let mut lost = 0_u64;
    while clock::nanos() < end {
        net.turn(Duration::from_millis(100), |event| {
            if let Event::Gone(_, reason) = event {
                lost += 1;
                if lost == 1 {
                    round.fault(format!("a connection ended while idle: {reason}"));
                }
            }
        })?;
        progress.tick(|| format!("{lost} ended"));
    }
    if let (Some(before), Some(after)) = (cpu_begun, server.cpu_seconds()) {
        let share = (after - before) / clock::seconds(begun, clock::nanos());
        round.add("idle_cpu", share * 100.0, "% of one processor while idle");
    }
    Ok(())
}

/// Asks on every connection for a user's data (2.6.6) and counts the answers F12.
fn alive(net: &mut Net, ids: &[Id], round: &mut Round) -> Result<(), Failure> {
    let mut waiting: HashSet<Id> = ids.iter().copied().collect();
    for id in ids {
        net.send(*id, "user_data\nalive\n1");
    }
    let deadline = clock::nanos() + clock::span(ALIVE_PATIENCE);
    while !waiting.is_empty() && clock::nanos() < deadline {
        net.turn(Duration::from_millis(100), |event| match event {
            Event::Text(id, frame) if frame.windows(7).any(|window| window == b"\"alive\"") => {
                waiting.remove(&id);
            }
            Event::Text(_, frame) => {
                round.fault(format!("unexpected frame {}", String::from_utf8_lossy(frame)))
            }
            Event::Gone(_, reason) => round.fault(format!("a connection ended: {reason}")),
            Event::Ping(..) | Event::Reply(..) => {}
        })?;
    }
    round.add(
        "alive",
        (ids.len() - waiting.len()) as f64,
        "connections that answered at the end",
    );
    if !waiting.is_empty() {
        round.fault(format!(
            "{} of {} connections do not answer any more",
            waiting.len(),
            ids.len()
        ));
    }
    Ok(())
}
