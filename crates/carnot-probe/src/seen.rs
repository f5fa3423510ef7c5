//! One call with what several observables need, made when it is first asked for.

use std::cell::OnceCell;
use std::sync::Arc;

use carnot_math::random::Stream;
use carnot_math::stats::Estimate;

use crate::directions::{Arms, Compared, Directions, Placed};
use crate::gather::{Elements, Facts, Frame, Gathered, Rows};
use crate::gram::{Gram, Spectrum};
use crate::labels::NONE;
use crate::lanes;
use crate::observables::Missing;
use crate::ridge::Reader;
use crate::scatter::{Classes, Traces};

/// One call whose samples have all come in, the labels of its rows, and the call before it.
pub struct Seen<'a> {
    /// What it is.
    pub call: &'a Facts,
    /// What was gathered of it.
    pub gathered: &'a Gathered,
    /// The probe.
    pub frame: Frame<'a>,
    /// The call before, where this one is not inside a branch.
    pub before: Option<Arc<Kept>>,
    separated: OnceCell<Result<Separated, Missing>>,
    gram: OnceCell<Result<Gram, Missing>>,
    spectrum: OnceCell<Result<Spectrum, Missing>>,
    reader: OnceCell<Result<Reader, Missing>>,
}

/// What is kept of a call until the next one has been read.
pub struct Kept {
    separation: Result<Influenced, Missing>,
    reader: Result<Influenced, Missing>,
    gram: Result<Gram, Missing>,
    /// Class means, for the head behind it.
    pub classes: Option<Classes>,
}

/// A number with what each row of the fixed choice does to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Influenced {
    /// The number.
    pub value: f64,
    /// The change per share of the probe that a row is, of the rows chosen.
    pub influence: Vec<f64>,
    /// Rows that the number is of.
    pub rows: usize,
}

/// Classes of the rows, compared.
pub struct Separated {
    /// Means and spreads.
    pub classes: Classes,
    /// Traces of the scatter.
    pub traces: Traces,
    /// Influence of each chosen row on ln(Tr S_W / Tr S_B).
    pub influence: Vec<f64>,
    /// Means and arms of the classes.
    pub arms: Arms,
    /// Directions that separate the classes.
    pub directions: Result<Directions, Missing>,
    /// The chosen rows that have a class against the means, and along the directions.
    pub compared: Compared,
}

impl<'a> Seen<'a> {
    /// A call whose samples have all been gathered.
    pub fn new(gathered: &'a Gathered, frame: Frame<'a>) -> Seen<'a> {
        Seen {
            call: &gathered.facts,
            gathered,
            frame,
            before: None,
            separated: OnceCell::new(),
            gram: OnceCell::new(),
            spectrum: OnceCell::new(),
            reader: OnceCell::new(),
        }
    }

    /// Sums over all outputs, where all of them are finite.
    ///
    /// # Errors
    /// [`Missing::NotFinite`].
    pub fn elements(&self) -> Result<&'a Elements, Missing> {
        match self.gathered.elements.non_finite {
            0 => Ok(&self.gathered.elements),
            count => Err(Missing::NotFinite { count }),
        }
    }

    /// The fixed choice of rows, where all outputs are finite.
    ///
    /// # Errors
    /// [`Missing::NotFinite`], [`Missing::Positions`].
    pub fn rows(&self) -> Result<&'a Rows, Missing> {
        self.elements()?;
        self.gathered.rows.whole()
    }

    /// The class of each row of the probe.
    fn classes_of_rows(&self) -> Result<&'a [u32], Missing> {
        let labels = self.frame.labels.ok_or(Missing::Labels)?;
        if labels.class.len() != self.gathered.rows.choice.of {
            return Err(Missing::Positions);
        }
        Ok(&labels.class)
    }

    /// Chosen rows that have a class: place among the chosen, label, row.
    ///
    /// # Errors
    /// Without labels, or where they do not fit.
    pub fn labelled(&self) -> Result<impl Iterator<Item = (usize, u32, &'a [f32])>, Missing> {
        let rows = self.rows()?;
        let (places, labels) = self.chosen_labels()?;
        let row = |at: usize| &rows.kept[at * rows.width..][..rows.width];
        Ok(places.into_iter().zip(labels).map(move |(at, label)| (at, label, row(at))))
    }

    /// Rows of the whole probe that have a class.
    ///
    /// # Errors
    /// Without labels, or where they do not fit.
    pub fn labelled_rows(&self) -> Result<usize, Missing> {
        Ok(self.separated()?.classes.samples() as usize)
    }

    /// The classes of the rows.
    ///
    /// # Errors
    /// Without labels, and where classes cannot be compared.
    pub fn separated(&self) -> Result<&Separated, Missing> {
        self.separated.get_or_init(|| self.separate()).as_ref().map_err(Clone::clone)
    }

    fn separate(&self) -> Result<Separated, Missing> {
        let (rows, labels) = (self.rows()?, self.frame.labels.ok_or(Missing::Labels)?);
        let classes = rows.classes(labels).ok_or(Missing::Positions)?;
        let traces = classes.traces()?;
        let arms = Arms::of(&classes);
        // Tokens are not separated by the scatter of their classes: directions would be many, and nobody asks for them.
        let directions =
            if self.classifies_positions() { Err(Missing::Tokens) } else { Directions::of(&arms, false) };
        let vectors = directions.as_ref().map_or(&[][..], |directions| &directions.vectors);
        let placed = self.placed()?;
        let compared = placed.compare(&arms, vectors);
        let far: Vec<f64> =
            arms.arms.chunks_exact(arms.width).map(|arm| arm.iter().map(|x| x * x).sum()).collect();
        let influence = |at: usize| {
            let between = far[placed.class[at]] + 2.0 * compared.mixed[at];
            compared.within[at] / traces.within - between / traces.between
        };
        let influence = (0..placed.rows.len()).map(influence).collect();
        Ok(Separated { classes, traces, influence, arms, directions, compared })
    }

    /// The chosen rows that have a class.
    ///
    /// # Errors
    /// Without labels, or where they do not fit.
    pub fn placed(&self) -> Result<Placed<'a>, Missing> {
        let (rows, classes) = (self.rows()?, self.classes_of_rows()?);
        let chosen = rows.kept.chunks_exact(rows.width).zip(&rows.choice.rows);
        let known = chosen.filter(|(_, at)| classes[**at] != NONE);
        let (rows, class) = known.map(|(row, &at)| (row, classes[at] as usize)).unzip();
        Ok(Placed { rows, class })
    }

    /// Traces of the scatter with the labels of the chosen rows in random orders, each as it would be of all rows: the scatter
    /// between classes that chance makes falls as one over the number of rows.
    ///
    /// # Errors
    /// As [`Seen::separated`] and [`Seen::gram`].
    pub fn shuffled(&self) -> Result<Vec<Traces>, Missing> {
        let (known, gram, placed) = (self.separated()?.traces, self.gram()?, self.placed()?);
        let (places, _) = self.chosen_labels()?;
        let (chosen, all) = (places.len() as f64, known.within + known.between);
        let falls = (chosen - 1.0) / (known.samples - 1.0);
        let of = |order: u64| {
            let mut class = placed.class.clone();
            Stream::new(self.frame.settings.seed, "shuffled labels", &[order]).shuffle(&mut class);
            let (between, total) = gram.scatter(&places, &class);
            let between = falls * all * (between / total);
            Traces { within: all - between, between, ..known }
        };
        Ok((0..self.frame.settings.shuffles.max(2)).map(of).collect())
    }

    /// Gram matrix of the chosen rows.
    ///
    /// # Errors
    /// [`Missing::NotFinite`], [`Missing::Few`].
    pub fn gram(&self) -> Result<&Gram, Missing> {
        self.gram.get_or_init(|| self.make_gram()).as_ref().map_err(Clone::clone)
    }

    fn make_gram(&self) -> Result<Gram, Missing> {
        let rows = self.rows()?;
        let n = rows.kept.len() / rows.width;
        if n < 2 {
            return Err(Missing::Few { needed: 2 });
        }
        Ok(Gram::of(&rows.kept, rows.width))
    }

    /// Spectrum of the chosen rows.
    ///
    /// # Errors
    /// As [`Seen::gram`]; [`Missing::Constant`] when all rows are the same.
    pub fn spectrum(&self) -> Result<&Spectrum, Missing> {
        self.spectrum.get_or_init(|| self.gram()?.spectrum()).as_ref().map_err(Clone::clone)
    }

    /// Places of the chosen rows that have a class, and their labels.
    ///
    /// # Errors
    /// Without labels, or where they do not fit.
    pub fn chosen_labels(&self) -> Result<(Vec<usize>, Vec<u32>), Missing> {
        let classes = self.classes_of_rows()?;
        let names = self.frame.labels.map_or(&[][..], |labels| &labels.names);
        let of =
            |(at, &row): (usize, &usize)| (classes[row] != NONE).then(|| (at, names[classes[row] as usize]));
        Ok(self.gathered.rows.choice.rows.iter().enumerate().filter_map(of).unzip())
    }

    /// Labels of the chosen rows, where samples are classified and not their positions.
    ///
    /// # Errors
    /// Without labels, where they do not fit, and for tokens as classes.
    pub fn labels_of_samples(&self) -> Result<Vec<u32>, Missing> {
        if self.classifies_positions() {
            return Err(Missing::Tokens);
        }
        Ok(self.chosen_labels()?.1)
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
        let gram = self.gram()?;
        gram.varies()?;
        let part;
        let gram = if places.len() == gram.n {
            gram
        } else {
            part = gram.part(&places);
            &part
        };
        let halves: Vec<bool> = places.iter().map(|&at| self.gathered.rows.choice.halves[at]).collect();
        Reader::of(gram, &labels, &halves)
    }

    /// The class whose mean is nearest to each labelled row of the choice.
    #[must_use]
    pub fn guesses(&self) -> Option<Vec<u32>> {
        let separated = self.separated().ok()?;
        let names: Vec<u32> = separated.classes.by_label.keys().copied().collect();
        Some(separated.compared.nearest.iter().map(|&class| names[class]).collect())
    }

    /// The largest unit of each labelled row of the choice, where there is a unit for every label: what a head says.
    #[must_use]
    pub fn outputs(&self) -> Option<Vec<u32>> {
        if !self.speaks() {
            return None;
        }
        Some(self.labelled().ok()?.map(|(_, _, row)| lanes::largest(row) as u32).collect())
    }

    /// Does it have a unit for every label?
    #[must_use]
    pub fn speaks(&self) -> bool {
        self.frame.labels.is_some_and(|labels| self.gathered.rows.width > labels.largest as usize)
    }

    /// Are the labels those of positions, as in a language model?
    #[must_use]
    pub fn classifies_positions(&self) -> bool {
        self.frame.classifies_positions()
    }

    /// D_before − D with the error of the difference, both being of the same rows.
    ///
    /// # Errors
    /// Where one of the two is missing.
    pub fn fall(
        &self,
        of: impl Fn(&Kept) -> &Result<Influenced, Missing>,
        now: &Influenced,
    ) -> Result<Estimate, Missing> {
        if !self.call.role.is_on_line() {
            return Err(Missing::Inside);
        }
        let before = of(self.before.as_ref().ok_or(Missing::First)?)
            .as_ref()
            .map_err(|why| Missing::Before(Box::new(why.clone())))?;
        if before.influence.len() != now.influence.len() || before.rows != now.rows {
            return Err(Missing::Positions);
        }
        let influence = before.influence.iter().zip(&now.influence).map(|(a, b)| a - b).collect();
        Ok(Influenced { value: before.value - now.value, influence, rows: now.rows }.estimate())
    }

    /// Alignment with the rows of the call before.
    ///
    /// # Errors
    /// Where one of the two is missing.
    pub fn gram_before(&self) -> Result<&Gram, Missing> {
        if !self.call.role.is_on_line() {
            return Err(Missing::Inside);
        }
        let before = self.before.as_ref().ok_or(Missing::First)?;
        before.gram.as_ref().map_err(|why| Missing::Before(Box::new(why.clone())))
    }

    /// D and the influence of each row.
    ///
    /// # Errors
    /// As [`Seen::separated`].
    pub fn separation(&self) -> Result<Influenced, Missing> {
        let separated = self.separated()?;
        Ok(Influenced {
            value: separated.traces.separation(),
            influence: separated.influence.clone(),
            rows: separated.classes.samples() as usize,
        })
    }

    /// ln(1 − R²) of the reader and the influence of each row.
    ///
    /// # Errors
    /// As [`Seen::reader`].
    pub fn unexplained(&self) -> Result<Influenced, Missing> {
        let (unexplained, influence) = self.reader()?.unexplained();
        let rows = influence.len();
        Ok(Influenced { value: unexplained.ln(), influence, rows })
    }

    /// What the next call needs of this one; it does not depend on the call before.
    #[must_use]
    pub fn kept(&self) -> Kept {
        Kept {
            separation: self.separation(),
            reader: self.unexplained(),
            gram: self.gram().cloned(),
            classes: self.separated().ok().map(|separated| separated.classes.clone()),
        }
    }
}

impl Kept {
    /// D and the influence of each row.
    pub fn separation(&self) -> &Result<Influenced, Missing> {
        &self.separation
    }

    /// ln(1 − R²) and the influence of each row.
    pub fn unexplained(&self) -> &Result<Influenced, Missing> {
        &self.reader
    }
}

impl Influenced {
    /// The number with its standard error over rows, from the spread of their influence.
    #[must_use]
    pub fn estimate(&self) -> Estimate {
        let error = error(&self.influence, self.rows);
        Estimate { value: self.value, error, spread: 0.0, n: self.rows as u64 }
    }
}

/// Standard error of a number of `rows` rows from the influence on it of some of them.
#[must_use]
pub fn error(influence: &[f64], rows: usize) -> f64 {
    let mean_square = influence.iter().map(|x| x * x).sum::<f64>() / influence.len() as f64;
    (mean_square / (rows as f64 - 1.0).max(1.0)).sqrt()
}
