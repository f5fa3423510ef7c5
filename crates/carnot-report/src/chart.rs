//! A picture as plain data: theory is a line, data are dots with bars, an uncertainty is a band.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One picture. [`crate::svg::render`] draws it; the HTML page puts a table of its numbers behind it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Chart {
    /// What is drawn: `signal K`.
    pub title: String,
    /// One sentence with the conclusion.
    pub caption: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// What is drawn, back to front.
    pub series: Vec<Series>,
    /// Code name of the observable it shows, so that the stress map can point to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
}

/// One axis.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Axis {
    /// Quantity and unit. A logarithmic axis says so by itself.
    pub label: String,
    /// Logarithmic; values ≤ 0 are then left out, and the picture says how many.
    #[serde(default)]
    pub log: bool,
}

/// One set of points. A `null` is a gap.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    /// As written in the legend.
    pub name: String,
    /// How it is drawn.
    pub kind: Kind,
    /// Its colour, by meaning.
    #[serde(default)]
    pub ink: Ink,
    /// Horizontal coordinate.
    pub x: Vec<Option<f64>>,
    /// Vertical coordinate; the middle of a band.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub y: Vec<Option<f64>>,
    /// Standard errors of `y`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub error: Vec<Option<f64>>,
    /// Lower edge of a band.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub low: Vec<Option<f64>>,
    /// Upper edge of a band.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub high: Vec<Option<f64>>,
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Joined points.
    #[default]
    Line,
    /// Separate points with error bars.
    Dots,
    /// The area between `low` and `high`.
    Band,
}

/// Colour of a series, by meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Ink {
    /// What is predicted.
    #[default]
    Theory,
    /// What is measured.
    Data,
    /// What it is compared with: grey.
    Context,
}

impl Axis {
    /// A linear axis.
    pub fn linear(label: &str) -> Axis {
        Axis { label: label.into(), log: false }
    }

    /// A logarithmic axis.
    pub fn log(label: &str) -> Axis {
        Axis { label: label.into(), log: true }
    }
}

impl Chart {
    /// A picture without series.
    pub fn new(title: &str, caption: &str, x: Axis, y: Axis) -> Chart {
        Chart { title: title.into(), caption: caption.into(), x, y, ..Chart::default() }
    }

    /// The same picture with one more series, drawn over the others.
    pub fn with(mut self, series: Series) -> Chart {
        self.series.push(series);
        self
    }

    /// The same picture, tied to the column of that code name.
    pub fn about(mut self, column: &str) -> Chart {
        self.about = Some(column.into());
        self
    }
}

impl Series {
    /// A prediction, or a guide to the eye.
    pub fn line(name: &str, x: &[f64], y: &[f64]) -> Series {
        Series { name: name.into(), x: finite(x), y: finite(y), ..Series::default() }
    }

    /// Measured points with standard errors; an empty list of errors draws no bars.
    pub fn dots(name: &str, x: &[f64], y: &[f64], error: &[f64]) -> Series {
        Series { kind: Kind::Dots, ink: Ink::Data, error: finite(error), ..Series::line(name, x, y) }
    }

    /// The area between two curves.
    pub fn band(name: &str, x: &[f64], low: &[f64], high: &[f64]) -> Series {
        Series {
            name: name.into(),
            kind: Kind::Band,
            x: finite(x),
            low: finite(low),
            high: finite(high),
            ..Series::default()
        }
    }

    /// The same series in another colour.
    pub fn in_ink(mut self, ink: Ink) -> Series {
        self.ink = ink;
        self
    }
}

fn finite(list: &[f64]) -> Vec<Option<f64>> {
    list.iter().map(|&number| number.is_finite().then_some(number)).collect()
}
