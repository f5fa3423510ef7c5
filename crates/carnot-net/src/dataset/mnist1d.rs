//! One-dimensional digits: ten short curves, moved, stretched, sheared and drowned in noise, as hard for a small
//! network as MNIST and a hundred times smaller.
//!
//! Written anew from the description in the paper, with templates of our own: the task is of the same kind and difficulty,
//! the numbers are not those of the published set.
//!
//! Source: S. Greydanus, D. Kobak, *Scaling Down Deep Learning with MNIST-1D*, arXiv:2011.14439 (2020).

use carnot_math::random::Stream;

use super::error::DataError;
use super::options::Options;
use super::set::{Dataset, Exact, Targets};

const CLASSES: usize = 10;
const POINTS: usize = 12;
/// Numbers a sample.
const LENGTH: usize = 40;
/// Least and greatest number of zeros put behind a template.
const PADDING: (usize, usize) = (36, 60);
/// Length before the final sampling.
const LONG: usize = POINTS + PADDING.1;
/// Shifts are below this.
const SHIFT: usize = 48;
/// Spread of the amplitude: 1 ± half of it.
const STRETCH: f64 = 0.4;
/// Spread of the slope: ± half of it over the whole length.
const SHEAR: f64 = 0.75;
/// Noise where there is no template, before smoothing, and its smoothing width in points.
const CORRELATED: (f64, f64) = (0.25, 2.0);
/// Noise everywhere.
const INDEPENDENT: f64 = 0.02;

/// Pen height along each digit, in arbitrary units.
#[rustfmt::skip]
const TEMPLATES: [[f64; POINTS]; CLASSES] = [
    [0.0, 2.0, 3.4, 4.1, 4.4, 4.5, 4.5, 4.4, 4.1, 3.4, 2.0, 0.0],     // 0: one round hill
    [0.0, -4.0, -3.2, -2.4, -1.6, -0.8, 0.0, 0.8, 1.6, 2.4, 3.2, 0.0], // 1: a rising stroke
    [0.0, 2.4, 3.6, 3.4, 2.2, 0.6, -0.9, -2.2, -3.1, -3.4, -2.6, 0.0], // 2: hill, then valley
    [0.0, 2.6, 3.8, 2.6, 0.4, -0.4, 0.4, 2.6, 3.8, 3.8, 2.6, 0.0],    // 3: two hills
    [0.0, -1.2, -2.4, -3.6, -4.8, -4.8, 0.6, 0.6, 0.6, 0.6, 0.6, 0.0], // 4: slope and step
    [0.0, -3.6, -3.6, -3.6, -3.4, 0.2, 2.4, 3.6, 3.6, 2.4, -1.0, 0.0], // 5: flat valley, hill
    [0.0, -1.4, -2.4, -3.2, -3.8, -4.2, -4.2, -4.2, -3.8, -2.8, -1.6, 0.0], // 6: one late valley
    [0.0, 4.4, 4.4, 3.6, 2.8, 2.0, 1.2, 0.4, -0.4, -1.2, -2.0, 0.0],  // 7: step and falling stroke
    [0.0, -2.4, -3.4, -2.4, 0.0, 1.4, 0.0, -2.4, -3.4, -3.4, -2.4, 0.0], // 8: two valleys
    [0.0, -2.8, -4.0, -2.8, 0.0, 1.2, 1.4, 1.4, 1.0, 0.2, -0.8, 0.0], // 9: early valley, low hill
];

/// Samples of length 40 in ten classes; sample i has class i mod 10.
///
/// A template is padded with 36 to 60 zeros, resampled to 72 points, scaled by 1 ± 0.2, rotated by up to 48 points, given
/// smoothed noise where it is zero and white noise everywhere, sheared, and sampled at 40 points.
///
/// * `samples`: default 5,000
///
/// # Errors
/// [`DataError::TooLarge`] above the memory limit.
pub fn mnist1d(options: &Options) -> Result<Dataset, DataError> {
    let samples = options.samples_of("mnist1d", LENGTH)?;
    let templates: Vec<[f64; POINTS]> = TEMPLATES.iter().map(unit_variance).collect();
    let mut inputs = vec![0.0; samples * LENGTH];
    for (sample, row) in inputs.chunks_exact_mut(LENGTH).enumerate() {
        let mut stream = Stream::new(options.seed, "mnist1d/sample", &[sample as u64]);
        let curve = transform(&templates[sample % CLASSES], &mut stream);
        row.iter_mut().zip(resample(&curve, LENGTH)).for_each(|(x, value)| *x = value as f32);
    }
    let labels = (0..samples).map(|sample| (sample % CLASSES) as u32).collect();
    Ok(Dataset {
        name: "mnist1d".into(),
        shape: vec![LENGTH],
        inputs,
        targets: Targets::Classes { labels, classes: CLASSES },
        exact: Exact::default(),
        source: format!(
            "generated after Greydanus & Kobak, arXiv:2011.14439, own templates, seed {}",
            options.seed
        ),
    })
}

/// Moved to start at zero, so that it joins the padding, and scaled to a deviation of 1/6.
fn unit_variance(template: &[f64; POINTS]) -> [f64; POINTS] {
    let mean = template.iter().sum::<f64>() / POINTS as f64;
    let variance = template.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / POINTS as f64;
    template.map(|y| (y - template[0]) / variance.sqrt() / 6.0)
}

fn transform(template: &[f64; POINTS], stream: &mut Stream) -> Vec<f64> {
    let (least, most) = PADDING;
    let padding = least + stream.below(most - least + 1);
    let mut padded = template.to_vec();
    padded.resize(POINTS + padding, 0.0);
    let mut curve = resample(&padded, LONG);
    let amplitude = 1.0 + STRETCH * (stream.uniform() - 0.5);
    curve.iter_mut().for_each(|y| *y *= amplitude);
    curve.rotate_right(stream.below(SHIFT));
    let noise: Vec<f64> = (0..LONG).map(|_| CORRELATED.0 * stream.normal::<f64>()).collect();
    let noise = smooth(&noise, CORRELATED.1);
    curve.iter_mut().zip(noise).filter(|(y, _)| **y == 0.0).for_each(|(y, noise)| *y = noise);
    curve.iter_mut().for_each(|y| *y += INDEPENDENT * stream.normal::<f64>());
    let slope = SHEAR * (stream.uniform() - 0.5);
    for (index, y) in curve.iter_mut().enumerate() {
        *y -= slope * (index as f64 / (LONG - 1) as f64 - 0.5);
    }
    curve
}

/// The curve through the points, straight in between, at `count` ≥ 2 places from the first to the last.
fn resample(points: &[f64], count: usize) -> Vec<f64> {
    let last = points.len() - 1;
    (0..count)
        .map(|index| {
            let place = (index * last) as f64 / (count - 1) as f64;
            let left = (place as usize).min(last - 1);
            let share = place - left as f64;
            points[left] * (1.0 - share) + points[left + 1] * share
        })
        .collect()
}

/// Running mean with Gaussian weights of the given deviation (in points), mirrored at the ends, cut at four deviations.
fn smooth(values: &[f64], deviation: f64) -> Vec<f64> {
    let reach = (4.0 * deviation).ceil() as isize;
    let weight = |offset: isize| (-0.5 * (offset as f64 / deviation).powi(2)).exp();
    let total: f64 = (-reach..=reach).map(weight).sum();
    let length = values.len() as isize;
    let mirrored = |index: isize| {
        let index = if index < 0 { -1 - index } else { index };
        values[(if index >= length { 2 * length - 1 - index } else { index }) as usize]
    };
    (0..length)
        .map(|index| {
            (-reach..=reach).map(|offset| weight(offset) * mirrored(index + offset)).sum::<f64>() / total
        })
        .collect()
}
