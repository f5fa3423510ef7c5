//! What stands between verdict and findings: prose, tables, bars, maps, sparklines and charts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::chart::{Axis, Chart};

/// One block of a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Section {
    /// Prose.
    Text(Text),
    /// Rows and columns.
    Table(Table),
    /// A table with one bar a row.
    Bars(Bars),
    /// Rows of small curves along depth (terminal only: the page has charts).
    Sparklines(Sparklines),
    /// A picture (page only).
    Chart(Chart),
    /// An observable over two settings.
    Map(Map),
    /// How far readings lie from their healthy range, layers by observables, made from the profiles. It has a place of its own on
    /// the page; here it stands in the terminal.
    StressMap(StressMap),
}

/// Where a section appears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Show {
    /// In the terminal and on the page.
    #[default]
    Everywhere,
    /// In the terminal only.
    Terminal,
    /// On the page only.
    Page,
}

/// The stress map of the latest readings among the report's profiles.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StressMap {
    /// Where it appears.
    #[serde(default)]
    pub show: Show,
}

/// Prose; lines are wrapped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Text {
    /// Heading on the page; the terminal leaves it out.
    #[serde(default)]
    pub title: String,
    /// Paragraphs are separated by line ends.
    pub text: String,
    /// Where it appears.
    #[serde(default)]
    pub show: Show,
}

/// Rows and columns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Table {
    /// Heading on the page; the terminal leaves it out.
    #[serde(default)]
    pub title: String,
    /// One sentence with the conclusion.
    #[serde(default)]
    pub caption: String,
    /// What the table is for.
    #[serde(default)]
    pub role: Role,
    /// Where it appears.
    #[serde(default)]
    pub show: Show,
    /// Headings.
    pub columns: Vec<Heading>,
    /// Rows.
    pub rows: Vec<Row>,
    /// What was folded away, under the table: `43 more layers alike: --layers all`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folded: Option<String>,
}

/// What a table is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Any table.
    #[default]
    Plain,
    /// One row per layer; the page shows the full table of the profiles in its place, when there are profiles.
    Layers,
    /// As it is against recommended; the page shows it under *What would be better*.
    Comparison,
}

/// Heading of a column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Heading {
    /// As printed, with the unit.
    pub label: String,
    /// How its cells are aligned.
    #[serde(default)]
    pub align: Align,
    /// Decimals of every number without an error; three significant digits when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimals: Option<usize>,
}

/// How cells are aligned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Align {
    /// Words.
    #[default]
    Left,
    /// Counts.
    Right,
    /// Numbers, point under point.
    Point,
}

/// One row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// One cell per column; cells that are missing are empty.
    pub cells: Vec<Cell>,
    /// Code and name of the finding at this row, set at the right: `S101 inputs-merge`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Cell {
    /// Words, or a number in its final form.
    Text(String),
    /// A number; how many digits are shown follows from its error.
    Number {
        /// `null` when it is missing.
        value: Option<f64>,
        /// Standard error, when it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<f64>,
        /// Significant digits, when there is neither an error nor a rule for the column.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digits: Option<usize>,
    },
}

/// A table with one bar a row, drawn after the last column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bars {
    /// Everything but the bars.
    pub table: Table,
    /// Lengths, one per row; no bar for `null` or below zero. The longest fills the width.
    pub lengths: Vec<Option<f64>>,
}

/// Small curves along depth, one row each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sparklines {
    /// Left end of the scale: `input`.
    pub from: String,
    /// Its middle: `depth`.
    pub along: String,
    /// Its right end: `output`.
    pub to: String,
    /// Heading of the last column: `theory`.
    pub heading: String,
    /// Rows.
    pub rows: Vec<Spark>,
}

/// One small curve.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Spark {
    /// What it is: `signal`.
    pub label: String,
    /// Its symbol: `K`.
    pub symbol: String,
    /// One value per layer, input to output.
    pub values: Vec<Option<f64>>,
    /// Height is the logarithm.
    #[serde(default)]
    pub log: bool,
    /// The measured ends in words: `0.330 → 0.0041`.
    pub reading: String,
    /// What theory says of it: `→ 0.0039`.
    #[serde(default)]
    pub theory: String,
}

/// An observable, or an outcome, over two settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Map {
    /// Heading.
    pub title: String,
    /// One sentence with the conclusion.
    pub caption: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// Centres of the columns, ascending.
    pub x_values: Vec<f64>,
    /// Centres of the rows, ascending (drawn bottom to top).
    pub y_values: Vec<f64>,
    /// `cells[row][column]`; `null` is not known yet.
    pub cells: Vec<Vec<Option<f64>>>,
    /// What the values mean, when they are outcomes rather than a scale.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outcomes: Vec<Outcome>,
    /// Ends of the colour scale, so that two maps can share one; without them those of the values. From −a to a the colours run
    /// from zero to both sides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<(f64, f64)>,
    /// What the values are, when they are a scale: `test error`.
    #[serde(default)]
    pub scale: String,
    /// The border, with its uncertainty, drawn over the map.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub border: Vec<crate::chart::Series>,
}

/// Meaning of one value of a map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// The value in `cells`.
    pub value: f64,
    /// One character for the terminal: `·`, `×`, `○`.
    pub sign: String,
    /// In a word: `learns`, `diverges`, `stalls`.
    pub word: String,
    /// How it is meant.
    pub tone: crate::report::Tone,
}

impl Map {
    /// Do the colours run from zero to both sides?
    #[must_use]
    pub fn has_sides(&self) -> bool {
        self.limits.is_some_and(|(low, high)| low < 0.0 && low == -high)
    }

    /// Ends of the colour scale: those given, or the lowest and highest known value; lowest > highest when nothing is known.
    pub fn range(&self) -> (f64, f64) {
        if let Some(limits) = self.limits {
            return limits;
        }
        let known = || self.cells.iter().flatten().flatten().copied().filter(|value| value.is_finite());
        (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max))
    }
}

impl Heading {
    /// A column of words.
    pub fn words(label: &str) -> Heading {
        Heading { label: label.into(), ..Heading::default() }
    }

    /// A column of counts.
    pub fn count(label: &str) -> Heading {
        Heading { label: label.into(), align: Align::Right, decimals: None }
    }

    /// A column of numbers, point under point.
    pub fn number(label: &str) -> Heading {
        Heading { label: label.into(), align: Align::Point, decimals: None }
    }

    /// The same column with a fixed number of decimals.
    pub fn with_decimals(mut self, decimals: usize) -> Heading {
        self.decimals = Some(decimals);
        self
    }
}

impl Row {
    /// A row without a mark.
    pub fn new(cells: Vec<Cell>) -> Row {
        Row { cells, mark: None }
    }

    /// The same row with a finding at its right.
    pub fn with_mark(mut self, mark: &str) -> Row {
        self.mark = Some(mark.into());
        self
    }
}

impl Cell {
    /// Words, or a number in its final form.
    pub fn text(text: impl Into<String>) -> Cell {
        Cell::Text(text.into())
    }

    /// A number without an error.
    pub fn number(value: f64) -> Cell {
        Cell::Number { value: value.is_finite().then_some(value), error: None, digits: None }
    }

    /// A number without an error, to that many significant digits.
    pub fn significant(value: f64, digits: usize) -> Cell {
        Cell::Number { value: value.is_finite().then_some(value), error: None, digits: Some(digits) }
    }

    /// A number with its standard error.
    pub fn measured(value: f64, error: f64) -> Cell {
        Cell::Number {
            value: value.is_finite().then_some(value),
            error: error.is_finite().then_some(error),
            digits: None,
        }
    }

    /// A number that is missing.
    pub fn missing() -> Cell {
        Cell::Number { value: None, error: None, digits: None }
    }
}
