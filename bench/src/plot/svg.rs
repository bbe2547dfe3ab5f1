//! The picture as SVG: per row a panel with latency by percentile and one with the rate over time. It brings its own
//! background, light or dark as the viewer prefers, so that it is readable wherever it is embedded.

use std::fmt::Write as _;

use super::axis::Axis;
use super::{Curves, RATE_STEP, median_latency};
use crate::report::Report;

const WIDTH: f64 = 960.0;
const ROW_HEIGHT: f64 = 330.0;
/// A panel within its row: the space around it holds title, legend and numbers.
const PANEL: Panel = Panel {
    top: 76.0,
    width: 380.0,
    height: 200.0,
};
const LEFT_PANEL: f64 = 70.0;
const RIGHT_PANEL: f64 = 550.0;

const STYLE: &str = "\
    .ground{fill:#fff}.frame{fill:none;stroke:#999}.grid{stroke:#e4e4e4}\
    text{font:12px sans-serif;fill:#333}.title{font-size:15px;font-weight:bold}\
    .line{fill:none;stroke-width:2}.round{fill:none;stroke-width:1.2;opacity:.6}\
    .s0{stroke:#1f6feb;color:#1f6feb}.s1{stroke:#d1495b;color:#d1495b}.s2{stroke:#2e8540;color:#2e8540}\
    .s3{stroke:#8250df;color:#8250df}.dot{fill:currentColor;stroke:none}\
    @media (prefers-color-scheme:dark){.ground{fill:#16191f}.grid{stroke:#30353d}text{fill:#ddd}\
    .s0{stroke:#6cb2ff;color:#6cb2ff}.s1{stroke:#ff8f9c;color:#ff8f9c}.s2{stroke:#6fd08c;color:#6fd08c}\
    .s3{stroke:#c4a1ff;color:#c4a1ff}}";
const COLOURS: usize = 4;

struct Panel {
    top: f64,
    width: f64,
    height: f64,
}

/// One line of the picture: the rounds of one side.
#[derive(Debug)]
pub(crate) struct Series<'a> {
    pub(crate) name: String,
    pub(crate) rounds: Vec<&'a Curves>,
}

/// What is compared with each other.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) title: String,
    pub(crate) series: Vec<Series<'a>>,
}

impl<'a> Row<'a> {
    /// What these reports have to draw, if anything.
    pub(crate) fn of(title: &str, reports: &'a [Report]) -> Option<Self> {
        let series: Vec<_> = reports.iter().filter_map(Report::series).collect();
        (!series.is_empty()).then(|| Self {
            title: title.to_owned(),
            series,
        })
    }
}

/// The whole picture.
pub(crate) fn svg(rows: &[Row<'_>]) -> String {
    let height = ROW_HEIGHT * rows.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\">\n<style>{STYLE}</style>\n\
         <rect class=\"ground\" width=\"{WIDTH}\" height=\"{height}\"/>\n"
    );
    for (number, row) in rows.iter().enumerate() {
        line(
            &mut out,
            &format!("<g transform=\"translate(0,{})\">", number as f64 * ROW_HEIGHT),
        );
        text(&mut out, "title", LEFT_PANEL, 24.0, "start", &row.title);
        legend(&mut out, row);
        latency_panel(&mut out, row);
        rate_panel(&mut out, row);
        line(&mut out, "</g>");
    }
    out.push_str("</svg>\n");
    out
}

/// Name, median rate and latency of each side, in its colour.
fn legend(out: &mut String, row: &Row<'_>) {
    for (number, series) in row.series.iter().enumerate() {
        let x = LEFT_PANEL + number as f64 * (WIDTH - LEFT_PANEL) / row.series.len() as f64;
        let latency = median_latency(&series.rounds);
        let at = |wanted: f64| {
            let found = latency.iter().find(|(percent, _)| *percent == wanted);
            found.map_or_else(String::new, |(_, micros)| {
                format!(", p{wanted} {}", duration(*micros))
            })
        };
        let mean = median_of_means(series);
        line(
            out,
            &format!(
                "<circle class=\"dot s{}\" cx=\"{}\" cy=\"44\" r=\"5\"/>",
                number % COLOURS,
                x + 5.0
            ),
        );
        let words = format!("{}: {}/s{}{}", series.name, short(mean), at(50.0), at(99.0));
        text(out, "", x + 16.0, 48.0, "start", &words);
    }
}

fn median_of_means(series: &Series<'_>) -> f64 {
    let mut means: Vec<f64> = series
        .rounds
        .iter()
        .map(|round| round.rate.iter().sum::<f64>() / round.rate.len().max(1) as f64)
        .collect();
    means.sort_by(f64::total_cmp);
    means.get(means.len() / 2).copied().unwrap_or_default()
}

fn latency_panel(out: &mut String, row: &Row<'_>) {
    let medians: Vec<Vec<(f64, f64)>> = row
        .series
        .iter()
        .map(|series| median_latency(&series.rounds))
        .collect();
    let values = || {
        medians
            .iter()
            .flatten()
            .map(|(_, micros)| *micros)
            .filter(|micros| *micros > 0.0)
    };
    let x = Axis::percentile(50.0, 99.99);
    let y = Axis::logarithmic(
        values().fold(f64::INFINITY, f64::min).min(1e9),
        values().fold(1.0, f64::max),
    );
    grid(
        out,
        LEFT_PANEL,
        (&x, |percent| format!("{percent}")),
        (&y, duration),
    );
    caption(out, LEFT_PANEL, "latency, publish to receive, by percentile");
    for (number, points) in medians.iter().enumerate() {
        let colour = number % COLOURS;
        polyline(out, &format!("line s{colour}"), LEFT_PANEL, (&x, &y), points);
        for (percent, micros) in points {
            line(
                out,
                &format!(
                    "<circle class=\"dot s{colour}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"><title>{} p{percent}: {}</title></circle>",
                    LEFT_PANEL + x.position(*percent) * PANEL.width,
                    PANEL.top + (1.0 - y.position(*micros)) * PANEL.height,
                    escaped(&row.series[number].name),
                    duration(*micros)
                ),
            );
        }
    }
}

fn rate_panel(out: &mut String, row: &Row<'_>) {
    let rounds = || row.series.iter().flat_map(|series| &series.rounds);
    let steps = rounds().map(|round| round.rate.len()).max().unwrap_or(0);
    let most = rounds()
        .flat_map(|round| &round.rate)
        .copied()
        .fold(0.0, f64::max);
    let step = RATE_STEP.as_secs_f64();
    let x = Axis::time(steps as f64 * step);
    let y = Axis::from_zero(most);
    grid(
        out,
        RIGHT_PANEL,
        (&x, |seconds| format!("{seconds} s")),
        (&y, short),
    );
    caption(out, RIGHT_PANEL, "deliveries per second, a line per round");
    for (number, series) in row.series.iter().enumerate() {
        for round in &series.rounds {
            let points: Vec<(f64, f64)> = round
                .rate
                .iter()
                .enumerate()
                .map(|(at, rate)| ((at as f64 + 0.5) * step, *rate))
                .collect();
            let class = if series.rounds.len() > 1 { "round" } else { "line" };
            polyline(
                out,
                &format!("{class} s{}", number % COLOURS),
                RIGHT_PANEL,
                (&x, &y),
                &points,
            );
        }
    }
}

/// Frame, lines and numbers of both axes.
fn grid(out: &mut String, left: f64, x: (&Axis, fn(f64) -> String), y: (&Axis, fn(f64) -> String)) {
    let bottom = PANEL.top + PANEL.height;
    for tick in &x.0.ticks {
        let at = left + x.0.position(*tick) * PANEL.width;
        line(
            out,
            &format!(
                "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{}\" y2=\"{bottom}\"/>",
                PANEL.top
            ),
        );
        text(out, "", at, bottom + 16.0, "middle", &x.1(*tick));
    }
    for tick in &y.0.ticks {
        let at = PANEL.top + (1.0 - y.0.position(*tick)) * PANEL.height;
        let right = left + PANEL.width;
        line(
            out,
            &format!("<line class=\"grid\" x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>"),
        );
        text(out, "", left - 6.0, at + 4.0, "end", &y.1(*tick));
    }
    line(
        out,
        &format!(
            "<rect class=\"frame\" x=\"{left}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
            PANEL.top, PANEL.width, PANEL.height
        ),
    );
}

fn caption(out: &mut String, left: f64, words: &str) {
    let below = PANEL.top + PANEL.height + 36.0;
    text(out, "", left + PANEL.width / 2.0, below, "middle", words);
}

fn polyline(out: &mut String, class: &str, left: f64, axes: (&Axis, &Axis), points: &[(f64, f64)]) {
    let mut places = String::new();
    for (x, y) in points {
        let x = left + axes.0.position(*x) * PANEL.width;
        let y = PANEL.top + (1.0 - axes.1.position(*y)) * PANEL.height;
        write!(places, "{x:.1},{y:.1} ").expect("writing to a String cannot fail");
    }
    line(
        out,
        &format!("<polyline class=\"{class}\" points=\"{}\"/>", places.trim_end()),
    );
}

fn text(out: &mut String, class: &str, x: f64, y: f64, anchor: &str, words: &str) {
    let words = escaped(words);
    line(
        out,
        &format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"),
    );
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("writing to a String cannot fail");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Microseconds for people.
fn duration(micros: f64) -> String {
    if micros >= 1e6 {
        format!("{} s", significant(micros / 1e6))
    } else if micros >= 1e3 {
        format!("{} ms", significant(micros / 1e3))
    } else {
        format!("{} µs", significant(micros))
    }
}

/// Large numbers for people: 198.9k, 1.2M.
fn short(value: f64) -> String {
    if value >= 1e6 {
        format!("{}M", significant(value / 1e6))
    } else if value >= 1e3 {
        format!("{}k", significant(value / 1e3))
    } else {
        significant(value)
    }
}

/// Three digits, without zeros that say nothing.
fn significant(value: f64) -> String {
    let digits = if value >= 100.0 {
        0
    } else if value >= 10.0 {
        1
    } else {
        2
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves(rate: f64, p99: f64) -> Curves {
        Curves {
            rate: vec![rate; 30],
            latency: vec![(50.0, 2470.0), (99.0, p99), (99.99, 9000.0)],
        }
    }

    /// Every tag is closed in order, every attribute quoted, and no bare `<` or `&` stands in the text.
    fn assert_well_formed(xml: &str) {
        let mut open: Vec<&str> = Vec::new();
        let mut rest = xml;
        while let Some(at) = rest.find('<') {
            let end = rest[at..].find('>').expect("a tag ends") + at;
            let tag = &rest[at + 1..end];
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') {
                open.push(tag.split(' ').next().unwrap_or_default());
            }
            rest = &rest[end + 1..];
        }
        assert_eq!(open, Vec::<&str>::new());
        for part in xml.split('&').skip(1) {
            let entity = part.split(';').next().unwrap_or_default();
            assert!(["amp", "lt", "gt"].contains(&entity), "&{entity}");
        }
    }

    #[test]
    fn both_sides_are_in_one_well_formed_picture_with_their_values() {
        let rounds = [
            curves(198_900.0, 5980.0),
            curves(174_579.0, 6060.0),
            curves(171_000.0, 6020.0),
        ];
        let row = Row {
            title: "1 × 1,000 <128 bytes> & more".into(),
            series: vec![
                Series {
                    name: "raw".into(),
                    rounds: vec![&rounds[1], &rounds[2]],
                },
                Series {
                    name: "server".into(),
                    rounds: vec![&rounds[0]],
                },
            ],
        };
        let picture = svg(&[row]);
        assert_well_formed(&picture);
        for expected in [
            "server: 199k/s, p50 2.47 ms, p99 5.98 ms",
            "<title>server p99: 5.98 ms</title>",
            "<title>raw p99: 6.06 ms</title>",
            "&lt;128 bytes&gt; &amp; more",
            "prefers-color-scheme:dark",
            ">200k</text>",
            ">99.9</text>",
        ] {
            assert!(picture.contains(expected), "no {expected} in {picture}");
        }
        assert_eq!(
            picture.matches("<polyline").count(),
            2 + 3,
            "a latency line per side, a rate line per round"
        );
    }

    #[test]
    fn a_run_without_deliveries_is_a_picture_too() {
        let nothing = Curves {
            rate: vec![0.0; 10],
            latency: vec![(50.0, 0.0), (99.0, 0.0)],
        };
        let row = Row {
            title: "nothing".into(),
            series: vec![Series {
                name: "server".into(),
                rounds: vec![&nothing],
            }],
        };
        let picture = svg(&[row]);
        assert_well_formed(&picture);
        assert!(!picture.contains("NaN") && !picture.contains("inf"), "{picture}");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.0, 950.0, 50_000.0, 198_900.0, 1_234_567.0].map(short),
            ["0", "950", "50k", "199k", "1.23M"]
        );
        assert_eq!(
            [0.5, 73.0, 5980.0, 2_000_000.0].map(duration),
            ["0.5 µs", "73 µs", "5.98 ms", "2 s"]
        );
    }
}
