//! The three pictures of a network: signal, sameness and gradient along depth.

use carnot_report::chart::{Axis, Chart, Ink, Series};
use carnot_report::profile::Profile;

/// One of the pictures.
pub struct Picture {
    /// Column it shows.
    pub column: &'static str,
    /// Title.
    pub title: &'static str,
    /// Label of the vertical axis.
    pub axis: &'static str,
    /// Whether that axis is logarithmic.
    pub log: bool,
}

/// Signal, sameness, gradient.
pub const PICTURES: [Picture; 3] = [
    Picture { column: "kernel", title: "signal K", axis: "K", log: true },
    Picture {
        column: "correlation",
        title: "sameness: correlation of two inputs",
        axis: "correlation",
        log: false,
    },
    Picture { column: "gradient", title: "gradient, relative to the output", axis: "gradient", log: true },
];

/// A curve of a picture.
pub struct Curve<'a> {
    /// Its name in the legend.
    pub name: &'a str,
    /// Where the numbers are.
    pub profile: &'a Profile,
    /// Theory is a line, measurement dots with bars.
    pub is_measured: bool,
    /// Drawn in grey, as background to the others.
    pub is_context: bool,
}

impl Picture {
    /// The picture of some curves; `None` when nothing is known.
    pub fn draw(&self, curves: &[Curve], caption: &str) -> Option<Chart> {
        let y = if self.log { Axis::log(self.axis) } else { Axis::linear(self.axis) };
        let mut chart = Chart::new(self.title, caption, Axis::linear("layer"), y).about(self.column);
        let mut is_empty = true;
        for curve in curves {
            let Some(column) = curve.profile.column(self.column) else { continue };
            let known = column.value.iter().enumerate();
            let known: Vec<(usize, f64)> = known.filter_map(|(at, value)| value.map(|v| (at, v))).collect();
            // A logarithmic axis has no place for an exact zero.
            let known: Vec<(usize, f64)> = known.into_iter().filter(|(_, v)| !self.log || *v > 0.0).collect();
            let x: Vec<f64> = known.iter().map(|(at, _)| *at as f64 + 1.0).collect();
            let values: Vec<f64> = known.iter().map(|(_, value)| *value).collect();
            is_empty &= values.is_empty();
            let series = if curve.is_measured {
                let error: Vec<f64> = known.iter().map(|(at, _)| column.error[*at].unwrap_or(0.0)).collect();
                Series::dots(curve.name, &x, &values, &error)
            } else {
                Series::line(curve.name, &x, &values)
            };
            chart = chart.with(if curve.is_context { series.in_ink(Ink::Context) } else { series });
        }
        (!is_empty).then_some(chart)
    }
}
