//! From the command line to reports: starts what is to be measured, names the conditions, repeats the rounds.

mod scale;

use crate::args::{Cli, Command, Common, FanoutArgs, FanoutShape, MixedArgs, OfflineArgs, RawArgs};
use crate::failure::Failure;
use crate::proc;
use crate::reference;
use crate::report::{Report, Round};
use crate::scenario::versus::Versus;
use crate::scenario::{fanout, mixed, offline, private, publish};
use crate::server::{Placement, Server};
use crate::workers::worker;

const SECONDS: u64 = 5;
const MIXED_SECONDS: u64 = 300;
/// The condition that names what a started server was told.
pub(crate) const SETTINGS: &str = "server settings";
const COMPARED_ROUNDS: usize = 5;

/// Carries out the command. Of several reports the one that answers the question comes last.
pub(crate) fn run(cli: &Cli) -> Result<Vec<Report>, Failure> {
    let common = &cli.common;
    let starts_server = common.spawn.is_some() || matches!(cli.command, Command::Raw(_));
    let allowed = proc::allowed_connections();
    match &cli.command {
        Command::RawServer(args) => reference::serve(args.coalesce).map(|()| Vec::new()),
        Command::OpensrvServer => reference::opensrv::serve().map(|()| Vec::new()),
        Command::Worker(args) => worker::serve(common.ws, args).map(|()| Vec::new()),
        Command::All(_) => Err(Failure::told("a table of experiments is no experiment")),
        Command::Raw(args) => {
            let placement = Placement::choose(common.pin, starts_server)?;
            raw(common, args, &placement, allowed).map(|report| vec![report])
        }
        Command::Hold(_)
        | Command::Storm(_)
        | Command::Churn(_)
        | Command::Drain(_)
        | Command::Startup(_)
        | Command::Roundtrip(_)
        | Command::Fanout(_)
        | Command::Publish(_)
        | Command::Private(_)
        | Command::Offline(_)
        | Command::Mixed(_) => {
            let placement = Placement::choose(common.pin, starts_server)?;
            let common = Common {
                environment: scale::environment(&cli.command),
                ..common.clone()
            };
            let mut server = Server::from_args(&common, &placement)?;
            let mut reports = against_server(cli, &mut server, &placement, allowed)?;
            if let (Some(report), Some(settings)) = (reports.last_mut(), started_with(&common)) {
                report.condition(SETTINGS, settings);
            }
            if let (Err(failure), Some(round)) = (
                server.stop(),
                reports.last_mut().and_then(|report| report.rounds.last_mut()),
            ) {
                round.fault(failure.to_string());
            }
            Ok(reports)
        }
    }
}

/// What the started server was told by the scenario and by the command line.
fn started_with(common: &Common) -> Option<String> {
    common.spawn.as_ref()?;
    let settings = common.environment.iter();
    let words: Vec<String> = settings
        .map(|(name, value)| format!("{name}={value}"))
        .chain(common.server_arg.iter().cloned())
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

fn against_server(
    cli: &Cli,
    server: &mut Server,
    placement: &Placement,
    allowed: u64,
) -> Result<Vec<Report>, Failure> {
    let common = &cli.common;
    let report = match &cli.command {
        Command::Raw(_)
        | Command::RawServer(_)
        | Command::All(_)
        | Command::OpensrvServer
        | Command::Worker(_) => return Ok(Vec::new()),
        Command::Hold(args) => scale::hold(common, args, server, placement)?,
        Command::Storm(args) => scale::storm(common, args, server, placement)?,
        Command::Churn(args) => scale::churn(common, args, server, placement)?,
        Command::Drain(args) => scale::drain(common, args, server, placement)?,
        Command::Startup(args) => scale::startup(common, args, server, placement)?,
        Command::Roundtrip(args) => scale::roundtrip(common, args, server, placement)?,
        Command::Fanout(args) if args.vs_raw => return versus_raw(common, args, server, placement, allowed),
        Command::Fanout(args) => {
            check_limit(args.shape.channels * args.shape.subscribers, allowed)?;
            let mut report = new_report("fanout: channel messages to many subscribers", placement);
            describe_shape(&mut report, &args.shape);
            rounds(report, common, || {
                fanout::round(server, &args.shape, seconds(common))
            })?
        }
        Command::Publish(args) => {
            check_limit(args.subscribers, allowed)?;
            let mut report = new_report("publish: INSERT INTO pipes_messages", placement);
            report.condition("sessions × depth", format!("{} × {}", args.sessions, args.depth));
            report.condition("subscribers", args.subscribers);
            report.condition("body", format!("{} bytes", args.body));
            rounds(report, common, || publish::round(server, args, seconds(common)))?
        }
        Command::Private(args) => {
            check_limit(args.users * args.devices, allowed)?;
            let mut report = new_report(
                "private: INSERT INTO users_messages for users who are online",
                placement,
            );
            report.condition("users × devices", format!("{} × {}", args.users, args.devices));
            report.condition("sessions × depth", format!("{} × {}", args.sessions, args.depth));
            rounds(report, common, || private::round(server, args, seconds(common)))?
        }
        Command::Offline(args) => offline_report(common, args, server, placement, allowed)?,
        Command::Mixed(args) => mixed_report(common, args, server, placement)?,
    };
    Ok(vec![report])
}

fn raw(common: &Common, args: &RawArgs, placement: &Placement, allowed: u64) -> Result<Report, Failure> {
    check_limit(args.shape.channels * args.shape.subscribers, allowed)?;
    let server = Server::reference(args.coalesce, placement)?;
    let mut report = new_report("raw: a bare epoll loop, one send per subscriber", placement);
    describe_shape(&mut report, &args.shape);
    report.condition("frames per send", args.coalesce);
    rounds(report, common, || {
        fanout::round(&server, &args.shape, seconds(common))
    })
}

fn versus_raw(
    common: &Common,
    args: &FanoutArgs,
    server: &Server,
    placement: &Placement,
    allowed: u64,
) -> Result<Vec<Report>, Failure> {
    check_limit(args.shape.channels * args.shape.subscribers, allowed)?;
    let mut report = new_report("fanout: the server against the bare loop, in turn", placement);
    describe_shape(&mut report, &args.shape);
    report.condition("raw's frames per send", args.coalesce);
    let count = common.rounds.unwrap_or(COMPARED_ROUNDS).max(1);
    let reference = Server::reference(args.coalesce, placement)?;
    let versus = Versus {
        server,
        reference: &reference,
        rounds: count,
        seconds: seconds(common),
    };
    let [raw, real] = if args.half_rate {
        versus.at_half_rate(&mut report, &args.shape)?
    } else {
        versus.compare(&mut report, &args.shape)?
    };
    Ok(vec![raw, real, report])
}

fn offline_report(
    common: &Common,
    args: &OfflineArgs,
    server: &mut Server,
    placement: &Placement,
    allowed: u64,
) -> Result<Report, Failure> {
    check_limit(args.users, allowed)?;
    check_restart(args.restart, "--restart", server)?;
    let mut report = new_report("offline: messages for users who come later", placement);
    report.condition("users × messages", format!("{} × {}", args.users, args.messages));
    report.condition("sessions × depth", format!("{} × {}", args.sessions, args.depth));
    report.condition(
        "killed in between",
        if args.restart { "yes, kill -9" } else { "no" },
    );
    rounds(report, common, || offline::round(server, args))
}

fn mixed_report(
    common: &Common,
    args: &MixedArgs,
    server: &mut Server,
    placement: &Placement,
) -> Result<Report, Failure> {
    check_restart(args.kill, "--kill", server)?;
    let seconds = common.seconds.unwrap_or(MIXED_SECONDS);
    let mut report = new_report("mixed: everything at once, every message verified", placement);
    report.condition("pages, sessions", format!("{}, {}", args.pages, args.sessions));
    report.condition("seconds, seed", format!("{seconds}, {}", args.seed));
    report.condition(
        "killed at the end",
        if args.kill {
            "yes, kill -9 under load"
        } else {
            "no"
        },
    );
    rounds(report, common, || mixed::round(server, args, seconds))
}

fn new_report(scenario: &str, placement: &Placement) -> Report {
    let mut report = Report::new(scenario);
    report.condition("processors", placement.describe());
    report
}

fn rounds(
    mut report: Report,
    common: &Common,
    mut round: impl FnMut() -> Result<Round, Failure>,
) -> Result<Report, Failure> {
    for _ in 0..common.rounds.unwrap_or(1).max(1) {
        report.rounds.push(round()?);
    }
    Ok(report)
}

fn seconds(common: &Common) -> u64 {
    common.seconds.unwrap_or(SECONDS)
}

fn describe_shape(report: &mut Report, shape: &FanoutShape) {
    let FanoutShape {
        channels,
        subscribers,
        body,
        publishers,
        in_flight,
        rate,
    } = shape;
    report.condition(
        "channels × subscribers",
        format!("{channels} × {subscribers}, {body} byte bodies"),
    );
    report.condition("publishers × in flight", format!("{publishers} × {in_flight}"));
    if let Some(rate) = rate {
        report.condition("publishes per second", rate);
    }
}

fn check_limit(connections: usize, allowed: u64) -> Result<(), Failure> {
    if connections as u64 <= allowed {
        return Ok(());
    }
    Err(Failure::told(format!(
        "{connections} connections need more open files than the hard limit allows ({allowed} connections); raise it, \
         e.g. with `ulimit -Hn {}` as root, before starting comet-bench",
        connections + 100
    )))
}

fn check_restart(wanted: bool, flag: &str, server: &Server) -> Result<(), Failure> {
    if wanted && !server.can_restart() {
        return Err(Failure::told(format!(
            "{flag} needs --spawn: only a server of our own can be killed"
        )));
    }
    Ok(())
}
