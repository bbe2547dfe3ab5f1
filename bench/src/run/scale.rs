//! Reports of the scenarios with many connections, many users or a full store: their conditions, and what a server that is
//! started for them needs to be told.

use super::{new_report, seconds};
use crate::args::scale::{ChurnArgs, DrainArgs, HoldArgs, RoundtripArgs, StartupArgs, StormArgs};
use crate::args::{Command, Common};
use crate::failure::Failure;
use crate::proc;
use crate::report::{Report, Round};
use crate::scenario::{churn, drain, hold, roundtrip, startup, storm};
use crate::server::{Placement, Server};

/// How often the filled server is started unless `--rounds` says otherwise.
const STARTS: usize = 5;
/// Rounds of a comparison in turn unless `--rounds` says otherwise.
const TURNS: usize = 5;
/// How long one turn lasts unless `--seconds` says otherwise.
const TURN_SECONDS: u64 = 3;
/// Part of a table of open files that is planned for: connections do not spread quite evenly.
const FILLED_PERCENT: u64 = 98;

/// Settings a scenario wants of a server it starts, as environment variables.
pub(super) fn environment(command: &Command) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    let mut set = |name: &str, value: String| settings.push((name.to_owned(), value));
    let connections = match command {
        Command::Hold(args) => {
            set("COMET_WS_PING_INTERVAL", args.ping_interval.to_string());
            args.connections as u64
        }
        Command::Storm(args) => args.users as u64,
        Command::Startup(_) => return startup::while_filling(),
        Command::Churn(_)
        | Command::Drain(_)
        | Command::Roundtrip(_)
        | Command::Fanout(_)
        | Command::Raw(_)
        | Command::Publish(_)
        | Command::Private(_)
        | Command::Offline(_)
        | Command::Mixed(_)
        | Command::RawServer(_)
        | Command::OpensrvServer
        | Command::All(_)
        | Command::Worker(_) => 0,
    };
    let allowed = proc::allowed_connections();
    if connections > allowed {
        let tables = connections.div_ceil((allowed.saturating_mul(FILLED_PERCENT) / 100).max(1));
        // Each I/O thread of the server then has a table of open files of its own.
        set("COMET_WS_SHARD_DESCRIPTORS", "true".into());
        set("COMET_WS_SHARDS", tables.to_string());
    }
    settings
}

/// Rounds that remember what came before them, in memory or in the store, each on a server that has just been started. A
/// running server is fresh once at most, so it gets one round.
fn fresh_rounds(
    mut report: Report,
    common: &Common,
    server: &mut Server,
    mut round: impl FnMut(&mut Server) -> Result<Round, Failure>,
) -> Result<Report, Failure> {
    let wanted = common.rounds.unwrap_or(1).max(1);
    let count = if server.can_restart() { wanted } else { 1 };
    let said = match (server.can_restart(), wanted) {
        (true, _) => "a fresh server and an empty data directory for each round",
        (false, 1) => "the running server as it is",
        (false, _) => "one only: a running server does not become fresh again",
    };
    report.condition("rounds", said);
    for number in 0..count {
        if number > 0 {
            server.renew()?;
        }
        report.rounds.push(round(server)?);
    }
    Ok(report)
}

pub(super) fn hold(
    common: &Common,
    args: &HoldArgs,
    server: &mut Server,
    placement: &Placement,
) -> Result<Report, Failure> {
    let mut report = new_report("hold: connections that only listen", placement);
    report.condition("connections", args.connections);
    let users = if args.authorized {
        "one each, with a key"
    } else {
        "anonymous"
    };
    report.condition("users", users);
    let subscriptions = match args.subscriptions {
        0 => "none",
        1 => "one channel shared by all",
        _ => "one channel shared by all, one of its own",
    };
    report.condition("subscriptions", subscriptions);
    report.condition(
        "ping interval",
        format!("{} s of a started server", args.ping_interval),
    );
    fresh_rounds(report, common, server, |server| {
        hold::round(server, args, seconds(common))
    })
}

pub(super) fn storm(
    common: &Common,
    args: &StormArgs,
    server: &mut Server,
    placement: &Placement,
) -> Result<Report, Failure> {
    let mut report = new_report("storm: all users cut off at once under load", placement);
    report.condition("users", format!("{}, rooms of {}", args.users, args.room));
    report.condition(
        "traffic",
        format!(
            "{} private messages/s over {} sessions, {} room messages/s",
            args.rate, args.sessions, args.room_rate
        ),
    );
    fresh_rounds(report, common, server, |server| {
        storm::round(server, args, seconds(common))
    })
}

pub(super) fn churn(
    common: &Common,
    args: &ChurnArgs,
    server: &mut Server,
    placement: &Placement,
) -> Result<Report, Failure> {
    let mut report = new_report("churn: visitors come and go", placement);
    report.condition(
        "cycles",
        format!("{} after {} to warm up", args.cycles, args.warm_up),
    );
    report.condition("here at any time", args.level);
    fresh_rounds(report, common, server, |server| churn::round(server, args))
}

pub(super) fn drain(
    common: &Common,
    args: &DrainArgs,
    server: &mut Server,
    placement: &Placement,
) -> Result<Report, Failure> {
    let mut report = new_report("drain: a crowd comes for its queued messages", placement);
    report.condition("users × messages", format!("{} × {}", args.users, args.messages));
    report.condition("here at once", args.window);
    report.condition(
        "fan-out before",
        format!("1 × {}, 128 byte bodies", args.subscribers),
    );
    fresh_rounds(report, common, server, |server| drain::round(server, args))
}

pub(super) fn startup(
    common: &Common,
    args: &StartupArgs,
    server: &mut Server,
    placement: &Placement,
) -> Result<Report, Failure> {
    super::check_restart(true, "startup", server)?;
    let mut report = new_report("startup: a server with much to remember", placement);
    report.condition("users", args.users);
    report.condition(
        "queued messages",
        format!("{}, {} per user who has some", args.messages, args.each),
    );
    let rate = startup::fill(server, args)?;
    report.condition("stored at", format!("{rate:.0} rows/s, without fsync"));
    server.set_environment(Vec::new());
    for _ in 0..common.rounds.unwrap_or(STARTS).max(1) {
        report.rounds.push(startup::round(server, args)?);
    }
    // Whoever stops the server afterwards finds it running.
    server.restart()?;
    Ok(report)
}

pub(super) fn roundtrip(
    common: &Common,
    args: &RoundtripArgs,
    server: &Server,
    placement: &Placement,
) -> Result<Report, Failure> {
    let mut report = new_report(
        "roundtrip: one statement at a time, beside a no-op opensrv-mysql server",
        placement,
    );
    report.condition("sessions", format!("1, then {}", args.sessions));
    report.condition(
        "statement",
        format!(
            "INSERT INTO pipes_messages, {} byte bodies, no history",
            args.body
        ),
    );
    let no_op = Server::no_op(placement)?;
    for _ in 0..common.rounds.unwrap_or(TURNS).max(1) {
        let round = roundtrip::round(server, &no_op, args, common.seconds.unwrap_or(TURN_SECONDS))?;
        report.rounds.push(round);
    }
    Ok(report)
}
