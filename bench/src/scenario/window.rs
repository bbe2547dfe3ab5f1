//! The measured window of a run: what is counted between its two ends, and the processor time both sides use for it.

use crate::clock;
use crate::latency::Latency;
use crate::plot::{Curves, RATE_STEP};
use crate::proc;
use crate::report::Round;
use crate::server::Server;

/// CPU seconds of the server, if its process is known, and of the load generator.
#[derive(Debug, Clone, Copy)]
struct Cpu {
    server: Option<f64>,
    client: Option<f64>,
}

impl Cpu {
    fn read(server: &Server) -> Self {
        Self {
            server: server.cpu_seconds(),
            client: proc::cpu_seconds(std::process::id()),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Window {
    from: u64,
    to: u64,
    deliveries: u64,
    publishes: u64,
    latency: Latency,
    /// Deliveries of each step of the window.
    steps: Vec<u32>,
    cpu_at_start: Option<Cpu>,
    cpu_at_end: Option<Cpu>,
}

impl Window {
    pub(crate) fn new(from: u64, to: u64) -> Self {
        let steps = (to - from).div_ceil(clock::span(RATE_STEP));
        Self {
            from,
            to,
            deliveries: 0,
            publishes: 0,
            latency: Latency::new(),
            steps: vec![0; usize::try_from(steps).unwrap_or_default()],
            cpu_at_start: None,
            cpu_at_end: None,
        }
    }

    /// To be called often: reads the processor times when an end of the window has come. True until its later end.
    pub(crate) fn is_open(&mut self, now: u64, server: &Server) -> bool {
        if now >= self.from && self.cpu_at_start.is_none() {
            self.cpu_at_start = Some(Cpu::read(server));
        }
        if now >= self.to && self.cpu_at_end.is_none() {
            self.cpu_at_end = Some(Cpu::read(server));
        }
        now < self.to
    }

    pub(crate) fn published(&mut self, now: u64) {
        if (self.from..self.to).contains(&now) {
            self.publishes += 1;
        }
    }

    /// Counts a delivery at `now` of what was due at `due`.
    pub(crate) fn delivered(&mut self, now: u64, due: u64) {
        if !(self.from..self.to).contains(&now) {
            return;
        }
        self.deliveries += 1;
        self.latency.record(now.saturating_sub(due));
        let step = (now - self.from) / clock::span(RATE_STEP);
        self.steps[step as usize] += 1;
    }

    pub(crate) fn report(&self, round: &mut Round) {
        let seconds = clock::seconds(self.from, self.to);
        let deliveries = self.deliveries as f64;
        round.add("deliveries_per_s", deliveries / seconds, "deliveries/s");
        round.add("publishes_per_s", self.publishes as f64 / seconds, "publishes/s");
        round.add(
            "latency_p50",
            self.latency.micros_at(50.0),
            "µs publish to receive",
        );
        round.add("latency_p99", self.latency.micros_at(99.0), "µs");
        round.add("latency_p99.9", self.latency.micros_at(99.9), "µs");
        if let (Some(before), Some(after)) = (self.cpu_at_start, self.cpu_at_end)
            && self.deliveries > 0
        {
            let used = |after: Option<f64>, before: Option<f64>| Some(after? - before?);
            let server = used(after.server, before.server);
            let client = used(after.client, before.client);
            round.add_known(
                "cpu_per_million",
                server.map(|seconds| seconds * 1e6 / deliveries),
                "server CPU s per million deliveries",
            );
            round.add_known(
                "client_cpu_per_million",
                client.map(|seconds| seconds * 1e6 / deliveries),
                "load generator CPU s per million deliveries",
            );
            round.add_known(
                "client_busy",
                client.map(|used| used * 100.0 / seconds),
                "% of its processor",
            );
        }
        round.curves = Some(Curves {
            rate: self
                .steps
                .iter()
                .map(|count| f64::from(*count) / RATE_STEP.as_secs_f64())
                .collect(),
            latency: self.latency.curve(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_happens_inside_counts() {
        let second = 1_000_000_000;
        let mut window = Window::new(second, 2 * second);
        for now in [
            second - 1,
            second,
            second + second / 2,
            2 * second - 1,
            2 * second,
        ] {
            window.delivered(now, now - 1000);
            window.published(now);
        }
        let mut round = Round::default();
        window.report(&mut round);
        assert_eq!(round.value("deliveries_per_s"), Some(3.0));
        assert_eq!(round.value("publishes_per_s"), Some(3.0));
        assert!(
            round
                .value("latency_p99")
                .is_some_and(|micros| (micros - 1.0).abs() < 0.01)
        );
        let rate = round.curves.expect("a window gives curves").rate;
        assert_eq!(rate, [10.0, 0.0, 0.0, 0.0, 0.0, 10.0, 0.0, 0.0, 0.0, 10.0]);
    }
}
