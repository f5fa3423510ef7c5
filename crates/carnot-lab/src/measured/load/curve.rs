//! The load curve of one step: what separates classes behind each stage, and how well that is known.

use carnot_math::random::Stream;
use carnot_probe::reading::{LayerReading, Number, StepReading};

use crate::measured::evidence::{ModelEvidence, Stage};

/// A number of every call whose fall is a load.
#[derive(Debug, PartialEq, Eq)]
pub struct Measure {
    /// Observable behind a call.
    pub value: &'static str,
    /// Observable of its fall across a call, with the error of the difference.
    pub load: &'static str,
    /// Is the curve its logarithm?
    pub is_log: bool,
    /// Heading of its column.
    pub heading: &'static str,
    /// As a sentence says it.
    pub words: &'static str,
    /// What it is, as the caption says it.
    pub caption: &'static str,
}

/// Class labels.
pub const TRACE: Measure = Measure {
    value: "separation",
    load: "load",
    is_log: false,
    heading: "separation",
    words: "separation",
    caption: "separation = ln(within-class / between-class scatter); load = its fall across a layer",
};

/// Language models: the model's own head.
pub const LENS: Measure = Measure {
    value: "lens_loss",
    load: "load_lens",
    is_log: false,
    heading: "lens loss",
    words: "loss through the model's own head",
    caption: "lens loss = loss in nats if the stack stopped here, read by the model's own head; load = its fall across a block",
};

/// Language models: a reader of the next token.
pub const TOKEN: Measure = Measure {
    value: "unexplained_token",
    load: "load_token",
    is_log: true,
    heading: "ln(1−R²)",
    words: "ln(1 − R²) of a linear reader of the next token",
    caption: "ln(1−R²) = what a linear reader cannot tell of the next token, on samples that it has not seen; load = its fall across a block",
};

/// Labels of positions without the model's own head.
pub const READER: Measure = Measure {
    value: "unexplained",
    load: "load_reader",
    is_log: true,
    heading: "ln(1−R²)",
    words: "ln(1 − R²) of a linear reader of the labels",
    caption: "ln(1−R²) = what a linear reader cannot tell of the labels, on samples that it has not seen; load = its fall across a layer",
};

impl Measure {
    /// Behind a call, where it is known and finite.
    #[must_use]
    pub fn of(&self, layer: &LayerReading) -> Option<Number> {
        let number = layer.value(self.value)?;
        let (value, error) = match self.is_log {
            true => (number.value.ln(), number.error.map(|error| error / number.value)),
            false => (number.value, number.error),
        };
        value.is_finite().then_some(Number { value, error })
    }
}

/// Which measures speak of this model: both of a language model, or the one of a classifier.
#[must_use]
pub fn measures(evidence: &ModelEvidence) -> Vec<&'static Measure> {
    let has = |measure: &Measure| {
        evidence.stages.iter().any(|stage| measure.of(evidence.layer(stage.last)).is_some())
    };
    let language: Vec<_> = [&LENS, &TOKEN].into_iter().filter(|measure| has(measure)).collect();
    match () {
        () if !language.is_empty() => language,
        () if !has(&TRACE) && has(&READER) => vec![&READER],
        () => vec![&TRACE],
    }
}

/// A load curve D_0 … D_M with its errors.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadCurve {
    /// What falls.
    pub measure: &'static Measure,
    /// Where it begins, in words.
    pub zero: String,
    /// Name of that call.
    pub zero_name: String,
    /// Its place in the step; `None` where the caller handed over the first load and not the stream before it.
    pub zero_call: Option<usize>,
    /// The stage, from 0, that has the first load: 1 where nothing before the first stage was recorded.
    pub first: usize,
    /// D_l, `[M+1]`.
    pub points: Vec<Number>,
    /// d_l = D_{l−1} − D_l with the error of the difference, `[M]`.
    pub loads: Vec<Number>,
    /// Correlation of the errors of neighbouring points, `[M]`.
    pub ties: Vec<f64>,
}

impl LoadCurve {
    /// The curve of a step.
    ///
    /// Depth zero is what the trainable stack sees: the last call in the line before the first stage, behind a norm of the inputs
    /// and behind an embedding of blocks. Where nothing is known before the first stage, the curve begins behind it.
    ///
    /// # Errors
    /// Which stage has no number, and why.
    pub fn of(
        evidence: &ModelEvidence,
        step: &StepReading,
        measure: &'static Measure,
    ) -> Result<LoadCurve, String> {
        let begin = |stage: &Stage| if evidence.has_blocks { stage.last } else { stage.first };
        let Some(stage) = evidence.stages.first() else { return Err("it has no hidden layer".into()) };
        let path: Vec<(usize, Number)> = (0..step.layers.len())
            .filter(|&at| step.layers[at].role.is_on_line())
            .filter_map(|at| Some((at, measure.of(&step.layers[at])?)))
            .collect();
        let before = path.iter().rfind(|(at, _)| *at < begin(stage)).copied();
        let told = step.layers[stage.last].value(measure.load).filter(|_| evidence.has_blocks);
        let mut points = Vec::new();
        let (first, zero_call) = match (before, told) {
            (Some((at, number)), _) => {
                points.push((Some(at), number));
                (0, Some(at))
            }
            (None, Some(load)) => {
                points.push((None, before_the_first(evidence, step, measure, load)?));
                (0, None)
            }
            (None, None) => (1, Some(stage.last)),
        };
        for stage in &evidence.stages {
            let layer = &step.layers[stage.last];
            let why = || layer.reason(measure.value).unwrap_or("it was not recorded").to_string();
            let number = measure
                .of(layer)
                .ok_or_else(|| format!("no {} behind {}: {}", measure.words, stage.name, why()))?;
            points.push((Some(stage.last), number));
        }
        let name = zero_call.map(|at| &step.layers[at]);
        let zero = match name {
            Some(layer) if layer.kind == "input" => "the input as the model gets it".to_string(),
            Some(layer) => format!("what {} ({}) passes on", layer.title(), layer.kind),
            None => "the stream before the first block".to_string(),
        };
        let tie = |pair: &[(Option<usize>, Number)]| tie(step, measure, &path, &pair[0], &pair[1]);
        let ties: Vec<f64> = points.windows(2).map(tie).collect();
        let fall = |(pair, tie): (&[(Option<usize>, Number)], &f64)| fall(pair[0].1, pair[1].1, *tie);
        Ok(LoadCurve {
            measure,
            zero,
            zero_name: name.map_or("before".into(), LayerReading::title),
            zero_call,
            first,
            loads: points.windows(2).zip(&ties).map(fall).collect(),
            points: points.into_iter().map(|(_, number)| number).collect(),
            ties,
        })
    }

    /// D_l alone, `[M+1]`.
    #[must_use]
    pub fn values(&self) -> Vec<f64> {
        self.points.iter().map(|point| point.value).collect()
    }

    /// Standard errors of D_l, `[M+1]`; `None` unless every point has a positive one.
    #[must_use]
    pub fn errors(&self) -> Option<Vec<f64>> {
        let errors: Option<Vec<f64>> = self.points.iter().map(|point| point.error).collect();
        errors.filter(|errors| errors.iter().all(|error| *error > 0.0 && error.is_finite()))
    }

    /// Covariance of D_l, `[M+1, M+1]` by rows: neighbours as the errors of their loads say, others by the product of the
    /// correlations between them, as in a chain without memory.
    #[must_use]
    pub fn covariance(&self) -> Option<Vec<f64>> {
        let errors = self.errors()?;
        let n = errors.len();
        let entry = |at: usize| {
            let (a, b) = (at / n, at % n);
            let tie: f64 = self.ties[a.min(b)..a.max(b)].iter().product();
            errors[a] * errors[b] * tie
        };
        Some((0..n * n).map(entry).collect())
    }

    /// Draws of the errors of D_l with that covariance, `[draws, M+1]`; the same for the same seed.
    #[must_use]
    pub fn draw(&self, draws: usize, seed: u64) -> Option<Vec<Vec<f64>>> {
        let errors = self.errors()?;
        let mut stream = Stream::new(seed, "errors of a load curve", &[]);
        let mut one = || {
            let mut z: f64 = stream.normal();
            let mut drawn = vec![z * errors[0]];
            for (tie, error) in self.ties.iter().zip(&errors[1..]) {
                z = tie * z + (1.0 - tie * tie).sqrt() * stream.normal::<f64>();
                drawn.push(z * error);
            }
            drawn
        };
        Some((0..draws).map(|_| one()).collect())
    }

    /// What follows the last stage and has a number, the logits as a rule: its call, D and load.
    #[must_use]
    pub fn head(&self, evidence: &ModelEvidence) -> Option<(usize, Number, Number)> {
        let (step, last) = (evidence.now(), evidence.stages.last()?.last);
        let behind = (last + 1..step.layers.len()).filter(|&at| step.layers[at].role.is_on_line());
        let path: Vec<(usize, Number)> =
            behind.filter_map(|at| Some((at, self.measure.of(&step.layers[at])?))).collect();
        let (call, point) = *path.last()?;
        let end = *self.points.last()?;
        let tie = tie(step, self.measure, &path, &(Some(last), end), &(Some(call), point));
        Some((call, point, fall(end, point, tie)))
    }

    /// Total load D_0 − D_M; its error is exact for that covariance.
    #[must_use]
    pub fn total(&self) -> Number {
        let tie = self.ties.iter().product();
        fall(self.points[0], self.points[self.points.len() - 1], tie)
    }
}

/// The number before the first block, from its load: what the two say of its error is that it is like that behind it.
fn before_the_first(
    evidence: &ModelEvidence,
    step: &StepReading,
    measure: &Measure,
    load: Number,
) -> Result<Number, String> {
    let stage = &evidence.stages[0];
    let behind = measure.of(&step.layers[stage.last]);
    let behind = behind.ok_or_else(|| format!("no {} behind {}", measure.words, stage.name))?;
    let error = behind.error.zip(load.error).map(|(point, load)| point.max(load));
    Ok(Number { value: behind.value + load.value, error })
}

/// Correlation of the errors of two points: of each pair of calls between them from σ_a, σ_b and the error of their difference,
/// $\rho = (\sigma_a^2 + \sigma_b^2 - \sigma_d^2)/(2\sigma_a\sigma_b)$, and the product of these.
fn tie(
    step: &StepReading,
    measure: &Measure,
    path: &[(usize, Number)],
    from: &(Option<usize>, Number),
    to: &(Option<usize>, Number),
) -> f64 {
    let end = to.0.unwrap_or(0);
    let start = from.0;
    let inside = path.iter().filter(|(at, _)| *at <= end && start.is_none_or(|start| *at > start));
    let mut before = from.1;
    let mut tie = 1.0;
    for (at, number) in inside {
        tie *= correlation(before, *number, step.layers[*at].value(measure.load));
        before = *number;
    }
    tie
}

/// Of two neighbouring calls; 0 where an error is missing, which makes the error of the difference larger.
fn correlation(a: Number, b: Number, load: Option<Number>) -> f64 {
    let Some(((a, b), d)) = a.error.zip(b.error).zip(load.and_then(|load| load.error)) else { return 0.0 };
    // Errors are written to three digits: equal readings must not make a covariance without an inverse.
    if a * b > 0.0 { ((a * a + b * b - d * d) / (2.0 * a * b)).clamp(-CLOSEST, CLOSEST) } else { 0.0 }
}

/// Largest correlation: with it the error of a difference is 1.4 % of that of a point, finer than three digits can say.
const CLOSEST: f64 = 0.9999;

fn fall(a: Number, b: Number, tie: f64) -> Number {
    let square = |a: f64, b: f64| (a * a + b * b - 2.0 * tie * a * b).max(0.0).sqrt();
    Number { value: a.value - b.value, error: a.error.zip(b.error).map(|(a, b)| square(a, b)) }
}
