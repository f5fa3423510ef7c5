//! A network that teaches: targets made by a random two-layer network, so that a network can learn them exactly.

use carnot_math::random::Stream;

use super::error::DataError;
use super::options::{Options, Task, Teacher};
use super::set::{Dataset, Exact, Targets};

/// Hidden units of the teacher. Chosen: enough to be no linear function, few enough to be learned.
const HIDDEN: usize = 16;

/// Gaussian inputs, and what a random two-layer teacher says about them.
///
/// $$ x \sim N(0, 1_{n_0}), \qquad y_j = \frac{1}{\sqrt{m}} \sum_{i=1}^{m} v_{ji}\,\sigma\Big(\frac{w_i \cdot x}{\sqrt{n_0}}\Big), \qquad w, v \sim N(0, 1), \quad m = 16 $$
///
/// Outputs are shifted and scaled to mean 0 and variance 1 over the samples. The target is y₁; with `task = classes`,
/// it is the index of the largest output.
///
/// * `dimension` n₀: default 64 · `classes`: default 10 (with `task = classes`) · `teacher` σ: tanh or relu
/// * `samples`: default 5,000
///
/// # Errors
/// [`DataError::Parameter`] outside these ranges, [`DataError::TooLarge`] above the memory limit.
pub fn teacher(options: &Options) -> Result<Dataset, DataError> {
    let width = options.dimension_or(64)?;
    let is_classes = options.task == Task::Classes;
    let outputs = if is_classes { options.classes_or(10)? } else { 1 };
    let samples = options.samples_of("teacher", width.saturating_add(outputs).max(HIDDEN))?;
    let normal = |purpose, at: &[u64], count: usize, variance: f64| {
        let mut numbers = vec![0.0_f64; count];
        Stream::new(options.seed, purpose, at).fill_normal(&mut numbers, variance.sqrt());
        numbers
    };
    let first = normal("teacher/first", &[], HIDDEN * width, 1.0 / width as f64);
    let second = normal("teacher/second", &[], outputs * HIDDEN, 1.0 / HIDDEN as f64);
    let mut inputs = vec![0.0_f32; samples * width];
    let mut values = vec![0.0_f32; samples * outputs];
    for (sample, (row, out)) in
        inputs.chunks_exact_mut(width).zip(values.chunks_exact_mut(outputs)).enumerate()
    {
        Stream::new(options.seed, "teacher/inputs", &[sample as u64]).fill_normal(row, 1.0);
        let hidden: Vec<f64> =
            first.chunks_exact(width).map(|w| activate(options.teacher, dot(w, row))).collect();
        for (y, v) in out.iter_mut().zip(second.chunks_exact(HIDDEN)) {
            *y = v.iter().zip(&hidden).map(|(v, h)| v * h).sum::<f64>() as f32;
        }
    }
    standardize_columns(&mut values, outputs);
    let targets = if is_classes {
        let labels = values.chunks_exact(outputs).map(largest).collect();
        Targets::Classes { labels, classes: outputs }
    } else {
        Targets::Values { values, width: 1 }
    };
    let unit = if options.teacher == Teacher::Tanh { "tanh" } else { "relu" };
    let source = format!("generated: {width}-{HIDDEN}-{outputs} {unit} teacher, seed {}", options.seed);
    Ok(Dataset {
        name: "teacher".into(),
        shape: vec![width],
        inputs,
        targets,
        exact: Exact::default(),
        source,
    })
}

fn dot(weights: &[f64], inputs: &[f32]) -> f64 {
    weights.iter().zip(inputs).map(|(w, &x)| w * f64::from(x)).sum()
}

fn activate(teacher: Teacher, z: f64) -> f64 {
    match teacher {
        Teacher::Tanh => z.tanh(),
        Teacher::Relu => z.max(0.0),
    }
}

fn standardize_columns(values: &mut [f32], width: usize) {
    let count = (values.len() / width) as f64;
    for column in 0..width {
        let cells = || values.iter().skip(column).step_by(width).map(|&y| f64::from(y));
        let mean = cells().sum::<f64>() / count;
        let variance = cells().map(|y| (y - mean).powi(2)).sum::<f64>() / count;
        // One sample, or units that never fire, have no spread to divide by.
        let factor = if variance > 0.0 { 1.0 / variance.sqrt() } else { 1.0 };
        values
            .iter_mut()
            .skip(column)
            .step_by(width)
            .for_each(|y| *y = ((f64::from(*y) - mean) * factor) as f32);
    }
}

fn largest(row: &[f32]) -> u32 {
    let first = (0, f32::NEG_INFINITY);
    row.iter().enumerate().fold(first, |best, (index, &y)| if y > best.1 { (index, y) } else { best }).0
        as u32
}
