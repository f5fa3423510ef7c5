//! One call with what several observables need, made when it is first asked for.

use std::borrow::Cow;
use std::cell::OnceCell;

use carnot_math::random::Stream;
use carnot_math::stats::Estimate;

use crate::call::{Call, Role};
use crate::directions::Directions;
use crate::gram::{Gram, Spectrum};
use crate::observables::Missing;
use crate::ridge::Reader;
use crate::scatter::{Classes, Traces, squared_distance};
use crate::session::{Pool, Settings, choice};

/// One call, the labels of its rows, and the call before it.
pub struct Seen<'a> {
    /// What was handed over.
    pub call: &'a Call<'a>,
    /// Samples of the probe.
    pub samples: usize,
    /// How it is read.
    pub settings: &'a Settings,
    /// The call before, where this one is not inside a branch.
    pub before: Option<&'a Kept>,
    /// `[rows, width]`: one vector a label, or one a sample.
    rows: Cow<'a, [f32]>,
    row_width: usize,
    labels: Result<Vec<Option<u32>>, Missing>,
    chosen: Vec<usize>,
    halves: Vec<bool>,
    non_finite: u64,
    separated: OnceCell<Result<Separated, Missing>>,
    gram: OnceCell<Result<Gram, Missing>>,
    spectrum: OnceCell<Result<Spectrum, Missing>>,
    reader: OnceCell<Result<Reader, Missing>>,
}

/// What is kept of a call until the next one has been read.
pub struct Kept {
    separation: Result<(f64, Vec<f64>), Missing>,
    reader: Result<(f64, Vec<f64>), Missing>,
    gram: Result<Gram, Missing>,
    /// Class means, for the head behind it.
    pub classes: Option<Classes>,
}

/// Classes of the rows, compared.
pub struct Separated {
    /// Means and spreads.
    pub classes: Classes,
    /// Traces of the scatter.
    pub traces: Traces,
    /// Influence of each row on ln(Tr S_W / Tr S_B); 0 for rows that are left out.
    pub influence: Vec<f64>,
}

impl<'a> Seen<'a> {
    /// Takes a call in; its shapes have been checked.
    pub fn new(
        call: &'a Call<'a>,
        samples: usize,
        labels: Option<&[u32]>,
        settings: &'a Settings,
        before: Option<&'a Kept>,
    ) -> Seen<'a> {
        let is_per_position = labels.is_some_and(|labels| labels.len() != samples);
        let (rows, row_width) = rows(call, samples, settings.pool, is_per_position);
        let n = rows.len() / row_width;
        let labels = match labels {
            None => Err(Missing::Labels),
            Some(labels) if labels.len() != n => Err(Missing::Positions),
            Some(labels) => Ok(large_classes(labels, settings.smallest_class)),
        };
        let non_finite = call.features.iter().filter(|x| !x.is_finite()).count() as u64;
        let (chosen, halves) = choice(n, settings);
        Seen {
            call,
            samples,
            settings,
            before,
            rows,
            row_width,
            labels,
            chosen,
            halves,
            non_finite,
            separated: OnceCell::new(),
            gram: OnceCell::new(),
            spectrum: OnceCell::new(),
            reader: OnceCell::new(),
        }
    }

    /// Features that are NaN or infinite.
    #[must_use]
    pub fn non_finite(&self) -> u64 {
        self.non_finite
    }

    /// The features, where all of them are finite.
    ///
    /// # Errors
    /// [`Missing::NotFinite`].
    pub fn features(&self) -> Result<&'a [f32], Missing> {
        match self.non_finite {
            0 => Ok(self.call.features),
            count => Err(Missing::NotFinite { count }),
        }
    }

    /// Rows and their labels, those of small classes left out.
    ///
    /// # Errors
    /// Without labels, or where they do not fit.
    pub fn labelled(&self) -> Result<impl Iterator<Item = (usize, u32, &[f32])>, Missing> {
        self.features()?;
        let labels = self.labels.as_ref().map_err(Clone::clone)?;
        let rows = self.rows.chunks_exact(self.row_width).zip(labels).enumerate();
        Ok(rows.filter_map(|(at, (row, label))| Some((at, (*label)?, row))))
    }

    /// The classes of the rows.
    ///
    /// # Errors
    /// Without labels, and where classes cannot be compared.
    pub fn separated(&self) -> Result<&Separated, Missing> {
        self.separated.get_or_init(|| self.separate()).as_ref().map_err(Clone::clone)
    }

    fn separate(&self) -> Result<Separated, Missing> {
        let mut classes = Classes::new(self.row_width);
        for (_, label, row) in self.labelled()? {
            classes.push(label, row);
        }
        let traces = classes.traces()?;
        let mean = classes.mean();
        let mut influence = vec![0.0; self.rows.len() / self.row_width];
        for (at, label, row) in self.labelled()? {
            let class = &classes.by_label[&label];
            let (mut within, mut mixed) = (0.0, 0.0);
            for ((&x, m), all) in row.iter().zip(&class.mean).zip(&mean) {
                let from_class = f64::from(x) - m;
                within += from_class * from_class;
                mixed += from_class * (m - all);
            }
            let between = squared_distance(&class.mean, &mean) + 2.0 * mixed;
            influence[at] = within / traces.within - between / traces.between;
        }
        Ok(Separated { classes, traces, influence })
    }

    /// Traces of the scatter with the labels in a random order.
    ///
    /// # Errors
    /// As [`Seen::separated`].
    pub fn shuffled(&self, order: u64) -> Result<Traces, Missing> {
        let mut labels: Vec<u32> = self.labelled()?.map(|(_, label, _)| label).collect();
        Stream::new(self.settings.seed, "shuffled labels", &[order]).shuffle(&mut labels);
        let mut classes = Classes::new(self.row_width);
        for ((_, _, row), label) in self.labelled()?.zip(labels) {
            classes.push(label, row);
        }
        classes.traces()
    }

    /// Directions that separate the classes, and each row's coordinates along them.
    ///
    /// # Errors
    /// As [`Seen::separated`]; [`Missing::Merged`] when the class means are one vector.
    pub fn directions(&self, balanced: bool) -> Result<Directions, Missing> {
        Directions::of(&self.separated()?.classes, balanced)
    }

    /// Gram matrix of the chosen rows.
    ///
    /// # Errors
    /// [`Missing::NotFinite`], [`Missing::Few`].
    pub fn gram(&self) -> Result<&Gram, Missing> {
        self.gram.get_or_init(|| self.make_gram()).as_ref().map_err(Clone::clone)
    }

    fn make_gram(&self) -> Result<Gram, Missing> {
        self.features()?;
        if self.chosen.len() < 2 {
            return Err(Missing::Few { needed: 2 });
        }
        Ok(Gram::of(&self.rows, self.row_width, &self.chosen))
    }

    /// Spectrum of the chosen rows.
    ///
    /// # Errors
    /// As [`Seen::gram`]; [`Missing::Constant`] when all rows are the same.
    pub fn spectrum(&self) -> Result<&Spectrum, Missing> {
        self.spectrum.get_or_init(|| self.gram()?.spectrum()).as_ref().map_err(Clone::clone)
    }

    /// Labels of the chosen rows.
    ///
    /// # Errors
    /// Without labels, or when one of the rows is of a small class.
    pub fn chosen_labels(&self) -> Result<(Vec<usize>, Vec<u32>), Missing> {
        let labels = self.labels.as_ref().map_err(Clone::clone)?;
        let of = |(at, &row): (usize, &usize)| labels[row].map(|label| (at, label));
        Ok(self.chosen.iter().enumerate().filter_map(of).unzip())
    }

    /// What a linear reader leaves unexplained.
    ///
    /// # Errors
    /// As [`Seen::gram`]; without labels, or with too few rows.
    pub fn reader(&self) -> Result<&Reader, Missing> {
        self.reader.get_or_init(|| self.read()).as_ref().map_err(Clone::clone)
    }

    fn read(&self) -> Result<Reader, Missing> {
        let (places, labels) = self.chosen_labels()?;
        self.spectrum()?;
        let gram = self.gram()?;
        if places.len() == gram.n {
            return Reader::of(gram, &labels, &self.halves);
        }
        let part = Gram {
            n: places.len(),
            width: gram.width,
            centred: gram.part(&places),
            size: places.iter().map(|&at| gram.size[at]).collect(),
        };
        let halves: Vec<bool> = places.iter().map(|&at| self.halves[at]).collect();
        Reader::of(&part, &labels, &halves)
    }

    /// The class whose mean is nearest to each labelled row.
    #[must_use]
    pub fn guesses(&self) -> Option<Vec<u32>> {
        let classes = &self.separated().ok()?.classes;
        let guess = |row: &[f32]| {
            let distance =
                |mean: &[f64]| row.iter().zip(mean).map(|(&x, m)| (f64::from(x) - m).powi(2)).sum::<f64>();
            let near = classes.by_label.iter().map(|(label, class)| (distance(&class.mean), *label));
            near.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, label)| label)
        };
        self.labelled().ok()?.map(|(_, _, row)| guess(row)).collect()
    }

    /// The largest unit of each labelled row, where there is a unit for every label: what a head says.
    #[must_use]
    pub fn outputs(&self) -> Option<Vec<u32>> {
        let most = self.labels.as_ref().ok()?.iter().flatten().max()?;
        if self.row_width <= *most as usize {
            return None;
        }
        let largest =
            |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).map(|at| at as u32);
        self.labelled().ok()?.map(|(_, _, row)| largest(row)).collect()
    }

    /// Are the labels those of positions, as in a language model?
    #[must_use]
    pub fn classifies_positions(&self) -> bool {
        self.labels.as_ref().is_ok_and(|labels| labels.len() != self.samples)
    }

    /// D_before − D with the error of the difference, both being of the same rows.
    ///
    /// # Errors
    /// Where one of the two is missing.
    pub fn fall(
        &self,
        of: impl Fn(&Kept) -> &Result<(f64, Vec<f64>), Missing>,
        now: (f64, &[f64]),
    ) -> Result<Estimate, Missing> {
        if self.call.role == Role::Inside {
            return Err(Missing::Inside);
        }
        let (value, influence) = of(self.before.ok_or(Missing::First)?)
            .as_ref()
            .map_err(|why| Missing::Before(Box::new(why.clone())))?;
        if influence.len() != now.1.len() {
            return Err(Missing::Positions);
        }
        let differences: Vec<f64> = influence.iter().zip(now.1).map(|(a, b)| a - b).collect();
        Ok(Estimate {
            value: value - now.0,
            error: error(&differences),
            spread: 0.0,
            n: differences.len() as u64,
        })
    }

    /// Alignment with the rows of the call before.
    ///
    /// # Errors
    /// Where one of the two is missing.
    pub fn gram_before(&self) -> Result<&Gram, Missing> {
        if self.call.role == Role::Inside {
            return Err(Missing::Inside);
        }
        self.before.ok_or(Missing::First)?.gram.as_ref().map_err(|why| Missing::Before(Box::new(why.clone())))
    }

    /// What the next call needs of this one.
    #[must_use]
    pub fn keep(self) -> Kept {
        let separation =
            self.separated().map(|s| ((s.traces.within / s.traces.between).ln(), s.influence.clone()));
        let reader = self.reader().map(|reader| {
            let (unexplained, influence) = reader.unexplained();
            (unexplained.ln(), influence)
        });
        let gram = self.gram().cloned();
        let separated = self.separated.into_inner().and_then(Result::ok);
        Kept { separation, reader, gram, classes: separated.map(|s| s.classes) }
    }
}

impl Kept {
    /// D and the influence of each row.
    pub fn separation(&self) -> &Result<(f64, Vec<f64>), Missing> {
        &self.separation
    }

    /// ln(1 − R²) and the influence of each row.
    pub fn unexplained(&self) -> &Result<(f64, Vec<f64>), Missing> {
        &self.reader
    }
}

/// Standard error of a mean from the influence of each row on it.
#[must_use]
pub fn error(influence: &[f64]) -> f64 {
    let n = influence.len() as f64;
    (influence.iter().map(|x| x * x).sum::<f64>() / (n * (n - 1.0).max(1.0))).sqrt()
}

/// One vector a label or a sample, and its width; those of a stream behind a block are normalised.
fn rows<'a>(call: &Call<'a>, samples: usize, pool: Pool, is_per_position: bool) -> (Cow<'a, [f32]>, usize) {
    let (positions, width) = (call.positions, call.width);
    let features: Cow<'a, [f32]> = match call.role {
        Role::Block => Cow::Owned(normalised(call.features, width)),
        Role::Chain | Role::Inside => Cow::Borrowed(call.features),
    };
    if positions == 1 || is_per_position {
        return (features, width);
    }
    match pool {
        Pool::Flatten => (features, positions * width),
        Pool::First => {
            let first = features.chunks_exact(positions * width).flat_map(|sample| sample[..width].to_vec());
            (Cow::Owned(first.collect()), width)
        }
        Pool::Mean => {
            let mut means = Vec::with_capacity(samples * width);
            for sample in features.chunks_exact(positions * width) {
                let mut sum = vec![0.0; width];
                for position in sample.chunks_exact(width) {
                    sum.iter_mut().zip(position).for_each(|(sum, &x)| *sum += f64::from(x));
                }
                means.extend(sum.iter().map(|sum| (sum / positions as f64) as f32));
            }
            (Cow::Owned(means), width)
        }
    }
}

/// Every vector with mean 0 and variance 1; a constant one becomes zero.
fn normalised(features: &[f32], width: usize) -> Vec<f32> {
    let mut out = Vec::with_capacity(features.len());
    for vector in features.chunks_exact(width) {
        let mean = vector.iter().map(|&x| f64::from(x)).sum::<f64>() / width as f64;
        let variance = vector.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / width as f64;
        let scale = if variance > 0.0 { 1.0 / variance.sqrt() } else { 0.0 };
        out.extend(vector.iter().map(|&x| ((f64::from(x) - mean) * scale) as f32));
    }
    out
}

fn large_classes(labels: &[u32], smallest: usize) -> Vec<Option<u32>> {
    let mut counts = std::collections::BTreeMap::new();
    labels.iter().for_each(|label| *counts.entry(*label).or_insert(0usize) += 1);
    // When no class is large enough, all stay: the observables then say what is wrong with them.
    let is_any = counts.values().any(|&count| count >= smallest);
    labels.iter().map(|label| Some(*label).filter(|label| !is_any || counts[label] >= smallest)).collect()
}
