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

/// Publishes under way at most while the rate is given: enough that a slow side is late rather than asked for less.
const OPEN_LOOP: usize = 64;

/// The two sides and how long they are compared.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Versus<'a> {
    pub(crate) server: &'a Server,
    pub(crate) reference: &'a Server,
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
}

impl Versus<'_> {
    /// Fills `report` with the ratios per round; the two reports with the figures of each side come back.
    pub(crate) fn compare(self, report: &mut Report, shape: &FanoutShape) -> Result<[Report; 2], Failure> {
        let mut sides = [Report::new("raw (the yardstick)"), Report::new("server")];
        for number in 1..=self.rounds {
            eprintln!("round {number} of {}: raw, then the server", self.rounds);
            let raw = fanout::round(self.reference, shape, self.seconds)?;
            let real = fanout::round(self.server, shape, self.seconds)?;
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

    /// Compares at half of the publishes per second that the slower side manages with as many in flight as the shape says:
    /// loaded, but far from falling behind.
    pub(crate) fn at_half_rate(
        self,
        report: &mut Report,
        shape: &FanoutShape,
    ) -> Result<[Report; 2], Failure> {
        let mut most = f64::INFINITY;
        for (name, side) in [("raw", self.reference), ("the server", self.server)] {
            eprintln!("as fast as it goes: {name}");
            let round = fanout::round(side, shape, self.seconds)?;
            most = most.min(round.value("publishes_per_s").unwrap_or_default());
        }
        if most <= 0.0 {
            return Err(Failure::told(
                "nothing was delivered, so there is no rate to halve",
            ));
        }
        report.condition(
            "publishes per second",
            format!(
                "{:.1}, half of the {most:.1} that both manage with {} publish in flight per session",
                most / 2.0,
                shape.in_flight
            ),
        );
        let shape = FanoutShape {
            rate: Some(most / 2.0),
            in_flight: OPEN_LOOP,
            ..shape.clone()
        };
        self.compare(report, &shape)
    }
}
