//! The server against the reference loop, in turn within one run, and the ratios: absolute figures depend on the
//! machine and on what else it does, ratios hardly.

use super::fanout;
use crate::args::FanoutShape;
use crate::failure::Failure;
use crate::report::{Report, Round};
use crate::server::Server;

/// The compared figures and what their ratio is called.
const RATIOS: [(&str, &str); 4] = [
    ("deliveries_per_s", "rate_ratio"),
    ("cpu_per_million", "cpu_ratio"),
    ("latency_p50", "p50_ratio"),
    ("latency_p99", "p99_ratio"),
];

/// Fills `report` with the ratios per round; the two reports with the figures of each side come back.
pub(crate) fn compare(
    report: &mut Report,
    server: &Server,
    reference: &Server,
    shape: &FanoutShape,
    rounds: usize,
    seconds: u64,
) -> Result<[Report; 2], Failure> {
    let mut sides = [Report::new("raw (the yardstick)"), Report::new("server")];
    for number in 1..=rounds {
        eprintln!("round {number} of {rounds}: raw, then the server");
        let raw = fanout::round(reference, shape, seconds)?;
        let real = fanout::round(server, shape, seconds)?;
        let mut ratios = Round::default();
        for (figure, name) in RATIOS {
            if let (Some(raw), Some(real)) = (raw.value(figure), real.value(figure)) {
                ratios.add(name, real / raw, "server / raw");
            }
        }
        report.rounds.push(ratios);
        sides[0].rounds.push(raw);
        sides[1].rounds.push(real);
    }
    Ok(sides)
}
