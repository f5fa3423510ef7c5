//! The one report, as every function of the package returns it.

use carnot_report::diagnostic::Diagnostic;
use carnot_report::terminal::{Style, render};
use carnot_report::{html, json, png, report, svg};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::failure::told;

/// A report: text, page and data are made from one value.
#[pyclass(frozen, module = "carnot._native")]
pub struct Report {
    report: report::Report,
}

impl Report {
    /// Wraps a report.
    pub fn new(report: report::Report) -> Report {
        Report { report }
    }
}

#[pymethods]
impl Report {
    /// Reads `report.json`.
    #[staticmethod]
    fn from_json(py: Python<'_>, text: &str) -> PyResult<Report> {
        let report = json::from_str(text).map_err(|error| {
            told(
                py,
                &Diagnostic {
                    code: "report/not-a-report".into(),
                    problem: format!("this is no report: {error}"),
                    cause: "the text is no JSON, or not of the shape carnot.report/1".into(),
                    remedy: "give it the file report.json of a run".into(),
                    place: None,
                },
            )
        })?;
        Ok(Report { report })
    }

    /// As a terminal shows it.
    #[pyo3(signature = (width=100, colour=false, unicode=true, all=false))]
    fn text(&self, width: usize, colour: bool, unicode: bool, all: bool) -> String {
        render(&self.report, &Style { width, colour, unicode, all })
    }

    /// As one self-contained HTML file.
    fn html(&self) -> String {
        html::render(&self.report)
    }

    /// As one picture: SVG.
    fn svg(&self) -> String {
        svg::sheet::sheet(&self.report)
    }

    /// As one picture: PNG.
    fn png<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = py.detach(|| png::render(&self.report));
        bytes.map(|bytes| PyBytes::new(py, &bytes)).map_err(|error| {
            told(
                py,
                &Diagnostic {
                    code: "report/not-drawn".into(),
                    problem: format!("the picture cannot be drawn: {error}"),
                    cause: "the drawing library refused it, which is our mistake".into(),
                    remedy: "report.save(\"report.html\") shows the same, and please tell us".into(),
                    place: None,
                },
            )
        })
    }

    /// As `carnot.report/1`.
    fn json(&self) -> String {
        json::to_string(&self.report)
    }
}
