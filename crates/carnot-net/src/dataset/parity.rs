//! Sparse parity: a sign that no linear rule and no small set of inputs can guess.

use carnot_math::random::Stream;

use super::error::DataError;
use super::options::{Options, Task};
use super::set::{Dataset, Exact, Targets};

/// Random signs, and the product of k of them at places drawn from the seed.
///
/// $$ x \in \{-1, +1\}^{n_0}, \qquad y = \prod_{i \in S} x_i, \quad |S| = k $$
///
/// The class is 0 for y = +1 and 1 for y = −1; with `task = values` the target is y itself.
///
/// * `dimension` n₀: default 64 · `sparsity` k: default 3, from 1 to n₀ · `samples`: default 5,000
///
/// # Errors
/// [`DataError::Parameter`] outside these ranges, [`DataError::TooLarge`] above the memory limit.
///
/// Source: Barak, Edelman, Goel, Kakade, Malach, Zhang 2022, arXiv:2207.08799.
pub fn parity(options: &Options) -> Result<Dataset, DataError> {
    let width = options.dimension_or(64)?;
    let samples = options.samples_of("parity", width)?;
    let sparsity = options.sparsity.unwrap_or(3.min(width));
    if !(1..=width).contains(&sparsity) {
        let range = "from 1 to the dimension";
        return Err(DataError::Parameter { name: "sparsity", value: sparsity as f64, range });
    }
    let mut places: Vec<usize> = (0..width).collect();
    Stream::new(options.seed, "parity/places", &[]).shuffle(&mut places);
    places.truncate(sparsity);
    let mut inputs = vec![0.0; samples * width];
    for (sample, row) in inputs.chunks_exact_mut(width).enumerate() {
        let mut stream = Stream::new(options.seed, "parity/signs", &[sample as u64]);
        row.iter_mut().for_each(|x| *x = if stream.below(2) == 0 { 1.0 } else { -1.0 });
    }
    let signs = inputs.chunks_exact(width).map(|row| places.iter().map(|&place| row[place]).product::<f32>());
    let targets = if options.task == Task::Values {
        Targets::Values { values: signs.collect(), width: 1 }
    } else {
        Targets::Classes { labels: signs.map(|sign| u32::from(sign < 0.0)).collect(), classes: 2 }
    };
    places.sort_unstable();
    let shown: Vec<String> = places.iter().take(16).map(ToString::to_string).collect();
    let more = if places.len() > 16 { ", …" } else { "" };
    let source = format!(
        "generated: parity of {sparsity} of {width} signs (inputs {}{more}), seed {}",
        shown.join(", "),
        options.seed
    );
    Ok(Dataset {
        name: "parity".into(),
        shape: vec![width],
        inputs,
        targets,
        exact: Exact::default(),
        source,
    })
}
