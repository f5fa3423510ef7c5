//! Every error of the crates below as `carnot.Error`.

use carnot_lab::diagnose::Explain;
use carnot_report::diagnostic::Diagnostic;
use pyo3::prelude::*;

/// What an error is explained as, raised in Python.
pub fn raised(py: Python<'_>, error: &dyn Explain) -> PyErr {
    told(py, &error.explain())
}

/// A diagnostic, raised in Python. When even the class is missing, what is said about that is raised instead.
pub fn told(py: Python<'_>, diagnostic: &Diagnostic) -> PyErr {
    let make = || -> PyResult<PyErr> {
        let class = py.import("carnot._error")?.getattr("Error")?;
        let Diagnostic { code, problem, cause, remedy, place } = diagnostic;
        let place = place.as_ref().map(|place| in_python(&place.words()));
        Ok(PyErr::from_value(class.call1((code, problem, cause, in_python(remedy), place))?))
    };
    make().unwrap_or_else(|error| error)
}

/// A remedy speaks of flags; a keyword is the same word with an equals sign: `--c-w 1` → `c_w=1`.
fn in_python(remedy: &str) -> String {
    let words = remedy.split(' ').map(|word| match word.strip_prefix("--") {
        Some(flag) if flag.starts_with(|c: char| c.is_ascii_lowercase()) => {
            let end = flag.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(flag.len());
            let (flag, rest) = flag.split_at(end);
            format!("{}={rest}", flag.replace('-', "_"))
        }
        _ => word.to_string(),
    });
    words.collect::<Vec<_>>().join(" ").replace("= ", "=")
}
