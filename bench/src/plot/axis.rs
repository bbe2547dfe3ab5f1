//! Axes: where a value lies between two ends, and at which values to write a number.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scale {
    Linear,
    Logarithmic,
    /// By what lies above: 90, 99 and 99.9 are equally far apart.
    Percentile,
}

impl Scale {
    fn of(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Logarithmic => value.log10(),
            Self::Percentile => -(1.0 - value / 100.0).log10(),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Axis {
    scale: Scale,
    from: f64,
    to: f64,
    pub(super) ticks: Vec<f64>,
}

impl Axis {
    /// From 0 to a round number at or above `most`, with three to six ticks.
    pub(super) fn from_zero(most: f64) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        let rough = most / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|factor| factor * power)
            .into_iter()
            .find(|step| *step >= rough)
            .unwrap_or(10.0 * power);
        let count = (most / step).ceil();
        Self {
            scale: Scale::Linear,
            from: 0.0,
            to: step * count,
            ticks: (0..=count as u32)
                .map(|number| f64::from(number) * step)
                .collect(),
        }
    }

    /// From 0 to exactly `most`: an axis of time ends where the run does.
    pub(super) fn time(seconds: f64) -> Self {
        let mut axis = Self::from_zero(seconds);
        axis.to = seconds.max(f64::MIN_POSITIVE);
        axis.ticks.retain(|tick| *tick <= seconds);
        axis
    }

    /// Logarithmic between the 1-2-5 steps around `least` and `most`, both above 0.
    pub(super) fn logarithmic(least: f64, most: f64) -> Self {
        let steps =
            || (-3..=9).flat_map(|power| [1.0, 2.0, 5.0].map(move |factor| factor * 10_f64.powi(power)));
        let from = steps().take_while(|step| *step <= least).last().unwrap_or(1e-3);
        let to = steps().find(|step| *step >= most && *step > from).unwrap_or(1e10);
        Self {
            scale: Scale::Logarithmic,
            from,
            to,
            ticks: steps().filter(|step| (from..=to).contains(step)).collect(),
        }
    }

    pub(super) fn percentile(from: f64, to: f64) -> Self {
        let ticks = [50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.99];
        Self {
            scale: Scale::Percentile,
            from,
            to,
            ticks: ticks
                .into_iter()
                .filter(|tick| (from..=to).contains(tick))
                .collect(),
        }
    }

    /// 0 at the beginning of the axis, 1 at its end, values outside at the nearer of both.
    pub(super) fn position(&self, value: f64) -> f64 {
        let [value, from, to] = [value, self.from, self.to].map(|value| self.scale.of(value));
        ((value - from) / (to - from)).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_enclose_the_values() {
        assert_eq!(
            Axis::from_zero(198_900.0).ticks,
            [0.0, 50_000.0, 100_000.0, 150_000.0, 200_000.0]
        );
        assert_eq!(Axis::from_zero(0.0).ticks.last(), Some(&1.0));
        assert_eq!(
            Axis::logarithmic(2470.0, 5980.0).ticks,
            [2000.0, 5000.0, 10_000.0]
        );
        assert_eq!(Axis::time(3.0).ticks, [0.0, 1.0, 2.0, 3.0]);
    }

    #[test]
    fn nines_are_equally_far_apart() {
        let axis = Axis::percentile(50.0, 99.99);
        let [a, b, c] = [90.0, 99.0, 99.9].map(|percent| axis.position(percent));
        assert!(((b - a) - (c - b)).abs() < 1e-9);
        assert_eq!([axis.position(50.0), axis.position(99.99)], [0.0, 1.0]);
        assert_eq!(axis.position(100.0), 1.0, "beyond the axis");
    }
}
