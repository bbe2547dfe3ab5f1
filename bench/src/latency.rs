//! Latencies in nanoseconds, log-bucketed by HdrHistogram with three significant digits up to two minutes.

use hdrhistogram::Histogram;

const HIGHEST: u64 = 120_000_000_000;
/// The steps of a latency curve, denser where it bends.
pub(crate) const PERCENTILES: [f64; 11] =
    [50.0, 60.0, 75.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.9, 99.95, 99.99];

#[derive(Debug)]
pub(crate) struct Latency(Histogram<u64>);

impl Latency {
    pub(crate) fn new() -> Self {
        Self(
            Histogram::new_with_bounds(1, HIGHEST, 3)
                .expect("the bounds are constants within the library's limits"),
        )
    }

    pub(crate) fn record(&mut self, nanos: u64) {
        self.0.saturating_record(nanos.max(1));
    }

    /// Microseconds below which `percent` of the values lie; 0 without values.
    pub(crate) fn micros_at(&self, percent: f64) -> f64 {
        self.0.value_at_percentile(percent) as f64 / 1e3
    }

    /// Percentiles with their microseconds, as a picture shows them.
    pub(crate) fn curve(&self) -> Vec<(f64, f64)> {
        PERCENTILES
            .iter()
            .map(|percent| (*percent, self.micros_at(*percent)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_three_digits() {
        let mut latency = Latency::new();
        for micros in 1..=1000_u64 {
            latency.record(micros * 1000);
        }
        for (percent, expected) in [(50.0, 500.0), (99.0, 990.0), (99.9, 999.0)] {
            let micros = latency.micros_at(percent);
            assert!(
                (micros - expected).abs() <= expected * 0.002,
                "p{percent} is {micros}"
            );
        }
    }

    #[test]
    fn extremes_are_clamped_not_refused() {
        let mut latency = Latency::new();
        assert_eq!(latency.micros_at(99.0), 0.0);
        latency.record(0);
        latency.record(u64::MAX);
        assert!(latency.micros_at(100.0) >= 119e6);
    }
}
