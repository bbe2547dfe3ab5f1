//! One statement at a time, on one session and on several: the server beside a server that answers OK to everything and
//! stores, parses and delivers nothing. What remains is the price of a statement, the network included in both.

use std::time::Duration;

use super::publish;
use super::writer::Writers;
use crate::args::scale::RoundtripArgs;
use crate::clock;
use crate::failure::Failure;
use crate::net::{Event, Net};
use crate::report::Round;
use crate::server::Server;

struct Measured {
    rate: f64,
    p99: f64,
    /// Server CPU seconds per statement.
    cpu: Option<f64>,
}

/// One round: the no-op server and the server in turn, on one session and on several.
pub(crate) fn round(
    server: &Server,
    no_op: &Server,
    args: &RoundtripArgs,
    seconds: u64,
) -> Result<Round, Failure> {
    let mut round = Round::default();
    for (sessions, names) in [(1, &ONE), (args.sessions, &SEVERAL)] {
        let theirs = measure(no_op, sessions, args.body, seconds)?;
        let ours = measure(server, sessions, args.body, seconds)?;
        let [
            our_rate,
            our_p99,
            our_cpu,
            their_rate,
            their_p99,
            their_cpu,
            ratio,
        ] = *names;
        for (measured, rate, p99, cpu) in [
            (&ours, our_rate, our_p99, our_cpu),
            (&theirs, their_rate, their_p99, their_cpu),
        ] {
            round.add(rate, measured.rate, "statements/s, one at a time per session");
            round.add(p99, measured.p99, "µs");
            round.add_known(cpu, measured.cpu.map(|cpu| cpu * 1e6), "CPU µs per statement");
        }
        round.add(ratio, ours.rate / theirs.rate, "server : no-op server");
    }
    Ok(round)
}

/// Names of the figures with one session, and with several.
const ONE: [&str; 7] = [
    "rate_1",
    "p99_1",
    "cpu_1",
    "no_op_rate_1",
    "no_op_p99_1",
    "no_op_cpu_1",
    "rate_ratio_1",
];
const SEVERAL: [&str; 7] = [
    "rate_many",
    "p99_many",
    "cpu_many",
    "no_op_rate_many",
    "no_op_p99_many",
    "no_op_cpu_many",
    "rate_ratio_many",
];

fn measure(server: &Server, sessions: usize, body: usize, seconds: u64) -> Result<Measured, Failure> {
    let mut net = Net::new()?;
    let mut writers = Writers::open(&mut net, server, sessions, 1)?;
    let begun = clock::nanos();
    let end = begun + clock::span(Duration::from_secs(seconds));
    let cpu_begun = server.cpu_seconds();
    while clock::nanos() < end {
        writers.fill(&mut net, |session, number, text| {
            publish::statement(session, number, body, text)
        });
        turn(&mut net, &mut writers)?;
    }
    let lasted = clock::seconds(begun, clock::nanos());
    let statements = writers.acknowledged() as f64;
    let cpu = server
        .cpu_seconds()
        .zip(cpu_begun)
        .map(|(after, before)| after - before);
    while !writers.is_idle() {
        turn(&mut net, &mut writers)?;
    }
    Ok(Measured {
        rate: statements / lasted,
        p99: writers.latency.micros_at(99.0),
        cpu: cpu.map(|cpu| cpu / statements.max(1.0)),
    })
}

fn turn(net: &mut Net, writers: &mut Writers) -> Result<(), Failure> {
    let mut trouble = None;
    net.turn(Duration::from_millis(100), |event| match event {
        Event::Reply(id, reply) => trouble = trouble.take().or_else(|| writers.answered(id, &reply).err()),
        Event::Gone(_, reason) => trouble = Some(format!("a session ended: {reason}")),
        Event::Text(..) | Event::Ping(..) => {}
    })?;
    trouble.map_or(Ok(()), |text| Err(Failure::told(text)))
}
