//! Which series is what, by its name: the loss of the training, that of the validation, the rate, norms.

use crate::error::LogError;
use crate::log::{Log, Series};

/// Names given by the user; what is left out is guessed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Given {
    /// Loss of the training.
    pub loss: Option<String>,
    /// Loss on data kept aside.
    pub validation: Option<String>,
    /// Learning rate.
    pub rate: Option<String>,
    /// Norm of the gradient before clipping.
    pub gradient: Option<String>,
    /// Norm of the update.
    pub update: Option<String>,
    /// Share of right answers.
    pub accuracy: Option<String>,
    /// Largest eigenvalue of the (preconditioned) Hessian.
    pub sharpness: Option<String>,
}

/// The series of a log by their meaning.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signals {
    /// Loss of the training.
    pub loss: Option<Series>,
    /// Loss on data kept aside.
    pub validation: Option<Series>,
    /// Learning rate.
    pub rate: Option<Series>,
    /// Norm of the gradient.
    pub gradient: Option<Series>,
    /// Norm of the update.
    pub update: Option<Series>,
    /// Share of right answers, 0 to 1.
    pub accuracy: Option<Series>,
    /// Share of updates that were clipped, or 0 and 1.
    pub clipped: Option<Series>,
    /// Largest eigenvalue of the Hessian.
    pub sharpness: Option<Series>,
    /// Norms of the gradient by batch size, of names that end with one: `grad_norm_32`.
    pub at_batch: Vec<(f64, Series)>,
    /// Size of the batch, where it is constant.
    pub batch: Option<f64>,
}

/// Names of the counter of steps, in the order in which they are preferred.
const STEPS: &[&str] = &[
    "global_step",
    "trainer/global_step",
    "step",
    "_step",
    "steps",
    "train_step",
    "iteration",
    "iter",
    "iterations",
    "it",
    "num_updates",
    "update",
    "updates",
    "batch_idx",
    "epoch",
    "_epoch",
    "epochs",
];

/// The counter of steps among these names.
#[must_use]
pub fn step_name<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    STEPS.iter().find_map(|known| names.clone().find(|name| name.trim().eq_ignore_ascii_case(known)))
}

/// Words of a name, in small letters: `train/Loss_step` → train, loss, step.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut was_small = false;
    for c in name.chars() {
        let is_new = !c.is_alphanumeric() || (c.is_uppercase() && was_small);
        if is_new || words.is_empty() {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut().expect("one was pushed").extend(c.to_lowercase());
        }
        was_small = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

fn has(words: &[String], any: &[&str]) -> bool {
    words.iter().any(|word| any.contains(&word.as_str()))
}

fn is_validation(words: &[String]) -> bool {
    has(words, &["val", "valid", "validation", "eval", "test", "dev", "heldout", "evaluation"])
}

fn is_loss(words: &[String]) -> bool {
    has(words, &["loss", "nll", "xent", "crossentropy"])
        || (has(words, &["cross"]) && has(words, &["entropy"]))
}

fn is_gradient(words: &[String]) -> bool {
    has(words, &["gnorm", "gradnorm"])
        || (has(words, &["grad", "gradient", "gradients"]) && has(words, &["norm", "l2"]))
}

/// Words that say nothing about which loss it is.
const PLAIN: &[&str] = &[
    "loss",
    "train",
    "training",
    "step",
    "batch",
    "epoch",
    "total",
    "mean",
    "avg",
    "nll",
    "metrics",
    "val",
    "valid",
    "validation",
    "eval",
    "test",
    "dev",
    "accuracy",
    "acc",
];

/// The best of the series that a rule takes: the fewest further words, then the most points.
fn best(log: &Log, is: impl Fn(&[String]) -> bool) -> Option<Series> {
    let of = |series: &&Series| {
        let words = words(&series.name);
        let is_bound = series.name.ends_with("__MIN") || series.name.ends_with("__MAX");
        (is(&words) && !is_bound && !series.values.is_empty()).then(|| {
            let further = words.iter().filter(|word| !PLAIN.contains(&word.as_str())).count();
            // A summary at the end, such as the mean loss of the whole training, is no curve.
            (series.values.len() < 3, further, std::cmp::Reverse(series.values.len()))
        })
    };
    log.series
        .iter()
        .filter_map(|series| of(&series).map(|rank| (rank, series)))
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, s)| s.clone())
}

impl Signals {
    /// The series of a log, by the names given or guessed.
    ///
    /// # Errors
    /// [`LogError::NoSeries`] for a name that the log does not have.
    pub fn of(log: &Log, given: &Given) -> Result<Signals, LogError> {
        let take = |flag: &'static str, name: &Option<String>, is: &dyn Fn(&[String]) -> bool| match name {
            None => Ok(best(log, is)),
            Some(name) => log.get(name).cloned().map(Some).ok_or_else(|| LogError::NoSeries {
                path: log.path.clone(),
                flag,
                wanted: name.clone(),
                names: log.names(),
            }),
        };
        let accuracy = |w: &[String]| has(w, &["acc", "accuracy", "top1", "correct"]) && !is_validation(w);
        let rate = |w: &[String]| has(w, &["lr"]) || (has(w, &["rate"]) && has(w, &["learning"]));
        let update = |w: &[String]| has(w, &["norm"]) && has(w, &["update", "delta"]);
        let gradient = |w: &[String]| is_gradient(w) && !has(w, &["clipped"]) && batch_of(w).is_none();
        let sharpness = |w: &[String]| {
            has(w, &["sharpness", "eigenvalue", "eig"]) || (has(w, &["lambda"]) && has(w, &["max"]))
        };
        let clipped = |w: &[String]| {
            has(w, &["clip", "clipped", "clipfrac"]) && !has(w, &["norm", "value", "threshold"])
        };
        let batch = |w: &[String]| has(w, &["batchsize", "bs"]) || (has(w, &["batch"]) && has(w, &["size"]));
        let sized = |series: &Series| {
            let words = words(&series.name);
            batch_of(&words).filter(|_| is_gradient(&words)).map(|size| (size, series.clone()))
        };
        let mut at_batch: Vec<(f64, Series)> = log.series.iter().filter_map(sized).collect();
        at_batch.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ok(Signals {
            loss: take("loss", &given.loss, &|w| is_loss(w) && !is_validation(w))?,
            validation: take("val-loss", &given.validation, &|w| is_loss(w) && is_validation(w))?,
            rate: take("rate", &given.rate, &rate)?,
            gradient: take("grad-norm", &given.gradient, &gradient)?,
            update: take("update-norm", &given.update, &update)?,
            accuracy: take("accuracy", &given.accuracy, &accuracy)?,
            sharpness: take("sharpness", &given.sharpness, &sharpness)?,
            clipped: best(log, clipped),
            at_batch,
            batch: best(log, batch).and_then(|series| constant(&series.values)),
        })
    }
}

/// The batch size at the end of a name: `grad_norm_32`, `grad_norm/b1024`.
fn batch_of(words: &[String]) -> Option<f64> {
    let last = words.last()?;
    let digits = last.trim_start_matches("batch").trim_start_matches("bs").trim_start_matches('b');
    // The 2 of an L2 norm is no batch.
    digits.parse().ok().filter(|&size: &f64| size >= 1.0 && last != "l2" && digits != "2")
}

fn constant(values: &[f64]) -> Option<f64> {
    let first = *values.first()?;
    values.iter().all(|&value| value == first).then_some(first).filter(|&size| size >= 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(names: &[(&str, usize)]) -> Log {
        let series = |&(name, n): &(&str, usize)| Series {
            name: name.into(),
            steps: (0..n).map(|at| at as f64).collect(),
            values: vec![32.0; n],
            rewinds: vec![],
        };
        Log { series: names.iter().map(series).collect(), ..Log::default() }
    }

    #[test]
    fn series_are_found_by_the_names_that_frameworks_give_them() {
        type Row<'a> = (&'a [(&'a str, usize)], [&'a str; 5]);
        let rows: &[Row] = &[
            (
                &[("loss", 9), ("val_loss", 9), ("lr", 9), ("grad_norm", 9), ("accuracy", 9)],
                ["loss", "val_loss", "lr", "grad_norm", "accuracy"],
            ),
            // Hugging Face: the mean of the whole training stands at the end.
            (
                &[
                    ("train_loss", 1),
                    ("loss", 9),
                    ("eval_loss", 4),
                    ("learning_rate", 9),
                    ("eval_accuracy", 4),
                ],
                ["loss", "eval_loss", "learning_rate", "", ""],
            ),
            // Lightning.
            (
                &[("train/loss_epoch", 4), ("train/loss_step", 90), ("val/loss", 4), ("lr-AdamW", 90)],
                ["train/loss_step", "val/loss", "lr-AdamW", "", ""],
            ),
            // Keras in TensorBoard.
            (
                &[("train/epoch_loss", 9), ("validation/epoch_loss", 9), ("train/epoch_accuracy", 9)],
                ["train/epoch_loss", "validation/epoch_loss", "", "", "train/epoch_accuracy"],
            ),
            (
                &[
                    ("aux_loss", 90),
                    ("lm loss", 80),
                    ("Loss/train", 80),
                    ("Train.GradNorm", 9),
                    ("learningRate", 3),
                ],
                ["Loss/train", "", "learningRate", "Train.GradNorm", ""],
            ),
        ];
        for (names, expect) in rows {
            let found = Signals::of(&log(names), &Given::default()).unwrap();
            let name = |series: Option<Series>| series.map_or(String::new(), |series| series.name);
            let found = [found.loss, found.validation, found.rate, found.gradient, found.accuracy].map(name);
            assert_eq!(found, *expect);
        }
    }

    #[test]
    fn norms_at_two_batch_sizes_are_found_and_slips_are_told() {
        let log = log(&[
            ("loss", 9),
            ("grad_norm_8", 9),
            ("grad_norm_b512", 9),
            ("grad_l2_norm", 9),
            ("batch_size", 9),
        ]);
        let found = Signals::of(&log, &Given::default()).unwrap();
        assert_eq!(found.at_batch.iter().map(|(size, _)| *size).collect::<Vec<_>>(), [8.0, 512.0]);
        assert_eq!((found.gradient.unwrap().name.as_str(), found.batch), ("grad_l2_norm", Some(32.0)));
        let given = Given { loss: Some("los".into()), ..Given::default() };
        assert!(matches!(Signals::of(&log, &given), Err(LogError::NoSeries { flag: "loss", .. })));
    }
}
