//! Data sets as arrays.

use carnot_net::dataset::{self, Options, Targets};
use numpy::{IntoPyArray, PyArrayMethods};
use pyo3::prelude::*;

use crate::failure::raised;

type Opened<'py> = (Bound<'py, PyAny>, Option<Bound<'py, PyAny>>);

/// Inputs `[samples, …]` in single precision, and labels or values where there are some.
///
/// * `name`: a name of the table (`digits`) or a file (IDX, NPY, NPZ, CSV, safetensors)
#[pyfunction]
#[pyo3(signature = (name, samples=None, seed=0))]
pub fn data<'py>(py: Python<'py>, name: &str, samples: Option<usize>, seed: u64) -> PyResult<Opened<'py>> {
    let options = Options { samples, seed, ..Options::default() };
    let opened = py.detach(|| dataset::open(name, &options)).map_err(|error| raised(py, &error))?;
    let n = opened.len();
    let shape: Vec<usize> = [n].into_iter().chain(opened.shape.iter().copied()).collect();
    let inputs = opened.inputs.into_pyarray(py).reshape(shape)?.into_any();
    let targets = match opened.targets {
        Targets::None => None,
        Targets::Classes { labels, .. } => {
            let labels: Vec<i64> = labels.into_iter().map(i64::from).collect();
            Some(labels.into_pyarray(py).into_any())
        }
        Targets::Positions { labels, positions, .. } => {
            // Where nothing is asked for, the label that PyTorch ignores.
            let of = |label: u32| if label == dataset::IGNORED { -100 } else { i64::from(label) };
            let labels: Vec<i64> = labels.into_iter().map(of).collect();
            Some(labels.into_pyarray(py).reshape([n, positions])?.into_any())
        }
        Targets::Values { values, width } => Some(values.into_pyarray(py).reshape([n, width])?.into_any()),
    };
    Ok((inputs, targets))
}
