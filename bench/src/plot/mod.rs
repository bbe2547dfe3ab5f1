//! What a run looked like: rate over time and latency by percentile, drawn on the terminal here and as SVG in `svg`.
//! Knows curves and names, not what was measured.

mod axis;
mod svg;

use std::time::Duration;

pub(crate) use svg::{Row, Series, svg};

/// Width of a step of a rate curve.
pub(crate) const RATE_STEP: Duration = Duration::from_millis(100);

/// Longer curves are averaged down to this many characters.
const SPARK_WIDTH: usize = 60;
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The curves of one round.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Curves {
    /// Deliveries per second, a value per [`RATE_STEP`].
    pub(crate) rate: Vec<f64>,
    /// Percentiles, ascending, with their microseconds.
    pub(crate) latency: Vec<(f64, f64)>,
}

/// A curve as a line of blocks from 0 to `top`.
pub(crate) fn sparkline(values: &[f64], top: f64) -> String {
    let per_block = values.len().div_ceil(SPARK_WIDTH).max(1);
    values
        .chunks(per_block)
        .map(|chunk| {
            let mean = chunk.iter().sum::<f64>() / chunk.len() as f64;
            let level = mean / top * (BLOCKS.len() - 1) as f64;
            // A NaN of an empty top becomes the lowest block.
            BLOCKS[(level.round() as usize).min(BLOCKS.len() - 1)]
        })
        .collect()
}

/// The curve of medians over rounds: at each place the middle of the values there.
pub(crate) fn median_latency(rounds: &[&Curves]) -> Vec<(f64, f64)> {
    let Some(first) = rounds.first() else {
        return Vec::new();
    };
    first
        .latency
        .iter()
        .enumerate()
        .map(|(at, (percent, _))| {
            let mut values: Vec<f64> = rounds
                .iter()
                .filter_map(|round| Some(round.latency.get(at)?.1))
                .collect();
            values.sort_by(f64::total_cmp);
            (*percent, values[values.len() / 2])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_rises_with_its_values() {
        assert_eq!(sparkline(&[0.0, 50.0, 100.0], 100.0), "▁▅█");
        assert_eq!(sparkline(&[0.0, 0.0], 0.0), "▁▁");
        assert_eq!(sparkline(&[], 1.0), "");
    }

    #[test]
    fn a_long_curve_is_averaged_not_cut() {
        let values: Vec<f64> = (0..600).map(|step| if step < 300 { 0.0 } else { 7.0 }).collect();
        let line = sparkline(&values, 7.0);
        assert_eq!(line.chars().count(), SPARK_WIDTH);
        assert_eq!(line, "▁".repeat(30) + &"█".repeat(30));
    }

    #[test]
    fn the_latency_of_several_rounds_is_their_median() {
        let round = |p50, p99| Curves {
            rate: Vec::new(),
            latency: vec![(50.0, p50), (99.0, p99)],
        };
        let rounds = [round(1.0, 30.0), round(3.0, 10.0), round(2.0, 20.0)];
        let rounds: Vec<&Curves> = rounds.iter().collect();
        assert_eq!(median_latency(&rounds), [(50.0, 2.0), (99.0, 20.0)]);
    }
}
