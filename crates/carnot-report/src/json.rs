//! Report ↔ JSON, and the schema that `carnot schema` prints.

use serde_json::{Error, Value};

use crate::report::Report;

/// The report as indented JSON, ending with a line end. Numbers that are not finite are `null`.
pub fn to_string(report: &Report) -> String {
    let mut text =
        serde_json::to_string_pretty(report).expect("a report has text keys only and no failing writer");
    text.push('\n');
    text
}

/// Reads a report back.
///
/// # Errors
/// When the text is no JSON, or is not of the shape `carnot.report/1`.
pub fn from_str(text: &str) -> Result<Report, Error> {
    serde_json::from_str(text)
}

/// The JSON schema of [`Report`].
pub fn schema() -> Value {
    schemars::schema_for!(Report).to_value()
}
