//! Reports of the scenarios with many connections, many users or a full store: their conditions, and what a server that is
//! started for them needs to be told.

use super::{new_report, rounds, seconds};
use crate::args::scale::{ChurnArgs, DrainArgs, HoldArgs, RoundtripArgs, StartupArgs, StormArgs};
use crate::args::{Command, Common};
use crate::failure::Failure;
use crate::proc;
use crate::report::Report;
use crate::scenario::{churn, drain, hold, roundtrip, startup, storm};
use crate::server::{Placement, Server};

/// How often the filled server is started unless `--rounds` says otherwise.
const STARTS: usize = 5;
/// Rounds of a comparison in turn unless `--rounds` says otherwise.
const TURNS: usize = 5;
/// A started server has this many descriptors per table free for browsers, besides its own.
const PER_TABLE: u64 = 19_000;

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
    let tables = connections.div_ceil(PER_TABLE);
    if connections > proc::allowed_connections() {
        // Each I/O thread of the server then has a table of open files of its own.
        set("COMET_WS_SHARD_DESCRIPTORS", "true".into());
        set("COMET_WS_SHARDS", tables.to_string());
    }
    settings
}

pub(super) fn hold(
    common: &Common,
    args: &HoldArgs,
    server: &Server,
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
    rounds(report, common, || hold::round(server, args, seconds(common)))
}

pub(super) fn storm(
    common: &Common,
    args: &StormArgs,
    server: &Server,
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
    rounds(report, common, || storm::round(server, args, seconds(common)))
}

pub(super) fn churn(
    common: &Common,
    args: &ChurnArgs,
    server: &Server,
    placement: &Placement,
) -> Result<Report, Failure> {
    let mut report = new_report("churn: visitors come and go", placement);
    report.condition(
        "cycles",
        format!("{} after {} to warm up", args.cycles, args.warm_up),
    );
    report.condition("here at any time", args.level);
    rounds(report, common, || churn::round(server, args))
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
    rounds(report, common, || drain::round(server, args))
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
        let round = roundtrip::round(server, &no_op, args, seconds(common).min(3))?;
        report.rounds.push(round);
    }
    Ok(report)
}
