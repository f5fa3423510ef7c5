//! Gaussian clouds, one a class: the simplest data with a known best answer.

use carnot_math::random::Stream;

use super::error::DataError;
use super::options::Options;
use super::set::{Dataset, Exact, Targets};

/// Samples around random class centres.
///
/// $$ x = \frac{a\,\mu_c + \varepsilon}{\sqrt{1 + a^2}}, \qquad \mu_c, \varepsilon \sim N(0, 1_{n_0}), \qquad a = \frac{s}{\sqrt{2 n_0}} $$
///
/// so that two centres are s noise deviations apart (root mean square) and ⟨x²⟩ = 1. Sample i has class i mod classes.
///
/// * `dimension` n₀: default 784 · `classes`: default 10 · `separation` s: default 6, at which two classes
///   overlap by Φ(−3) ≈ 0.1 %
/// * `samples`: default 5,000
///
/// # Errors
/// [`DataError::Parameter`] outside these ranges, [`DataError::TooLarge`] above the memory limit.
pub fn mixture(options: &Options) -> Result<Dataset, DataError> {
    let width = options.dimension_or(784)?;
    let samples = options.samples_of("mixture", width)?;
    let classes = options.classes_or(10)?;
    let separation = options.separation.unwrap_or(6.0);
    // The upper end keeps a centre in single precision far from overflow; beyond 1e6 nothing changes any more.
    if !(0.0..=1e6).contains(&separation) {
        let range = "from 0 to 10^6";
        return Err(DataError::Parameter { name: "separation", value: separation, range });
    }
    let distance = separation / (2.0 * width as f64).sqrt();
    let scale = 1.0 / (1.0 + distance * distance).sqrt();
    // A centre is drawn anew for each sample instead of kept: memory stays that of the data.
    let mut centre = vec![0.0_f32; width];
    let mut inputs = vec![0.0; samples * width];
    for class in 0..classes.min(samples) {
        Stream::new(options.seed, "mixture/centre", &[class as u64])
            .fill_normal(&mut centre, distance * scale);
        for (sample, row) in inputs.chunks_exact_mut(width).enumerate().skip(class).step_by(classes) {
            Stream::new(options.seed, "mixture/noise", &[sample as u64]).fill_normal(row, scale);
            row.iter_mut().zip(&centre).for_each(|(x, mu)| *x += mu);
        }
    }
    let labels = (0..samples).map(|sample| (sample % classes) as u32).collect();
    Ok(Dataset {
        name: "mixture".into(),
        shape: vec![width],
        inputs,
        targets: Targets::Classes { labels, classes },
        exact: Exact::default(),
        source: format!(
            "generated: {classes} Gaussian classes, separation {separation}, seed {}",
            options.seed
        ),
    })
}
