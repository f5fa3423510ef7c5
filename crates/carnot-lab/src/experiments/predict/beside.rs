//! A prediction beside the model that it is of: what one batch shows of its tokens.

use carnot_report::chart::{Axis, Chart, Series};
use carnot_report::number::significant;
use carnot_report::report::{Line, Report};
use carnot_report::section::Section;
use carnot_theory::tokens::Stream;
use serde_json::json;

/// Difference of a cosine from theory beyond which theory is doubted.
const FAR: f64 = 0.15;

/// What one batch shows of a model.
pub struct Seen {
    /// What the model is called.
    pub name: String,
    /// Mean cosine of two tokens of a text at the start and behind each block, with its error over texts.
    pub cosines: Vec<(f64, Option<f64>)>,
    /// What the reader of the model noticed.
    pub notes: Vec<String>,
}

/// Puts into the report of a transformer what was seen of the model itself.
///
/// Nothing but the notes where the report follows no stream.
pub fn put(report: &mut Report, seen: &Seen) {
    report.subject = format!("{}: {}", seen.name, report.subject);
    // Of the network that was read off, which may lack what stands in front of the head.
    report.summary.retain(|line| line.label != "parameters");
    let streams = report.extra.get("streams").cloned().unwrap_or_default();
    let theory: Vec<Stream> = serde_json::from_value(streams).unwrap_or_default();
    if theory.len() == seen.cosines.len() && theory.len() > 1 {
        report.summary.extend(lines(&theory, seen));
        // In front of the tables, behind the first picture.
        let place = report.sections.iter().position(|section| matches!(section, Section::Table(_)));
        let place = place.unwrap_or(report.sections.len());
        report.sections.insert(place, Section::Chart(chart(&theory, seen)));
    }
    let noted = seen.notes.iter().map(|note| Line::new("noted", note.clone()));
    report.summary.extend(noted);
    report.extra.insert("measured".into(), json!({ "cosines": seen.cosines, "notes": seen.notes }));
}

fn lines(theory: &[Stream], seen: &Seen) -> Vec<Line> {
    let last = theory.len() - 1;
    let (cosine, error) = seen.cosines[last];
    let with_error = match error {
        Some(error) => format!("{} ± {}", significant(cosine, 2), significant(error, 1)),
        None => significant(cosine, 2),
    };
    let own = format!(
        "on your batch the model's own tokens have a cosine of {with_error} behind block {last}, theory says {}",
        significant(theory[last].similarity, 2)
    );
    let mut all = vec![Line::new("measured", own)];
    let apart = |at: &usize| (seen.cosines[*at].0 - theory[*at].similarity).abs();
    let worst = (0..=last).max_by(|a, b| apart(a).total_cmp(&apart(b))).unwrap_or(last);
    if apart(&worst) > FAR {
        all.push(Line::new(
            "doubt",
            format!(
                "theory and the model differ by {} behind block {worst}: believe the measured cosine, and of the rest what does not hang on it",
                significant(apart(&worst), 2)
            ),
        ));
    }
    all
}

fn chart(theory: &[Stream], seen: &Seen) -> Chart {
    let blocks: Vec<f64> = (0..theory.len()).map(|block| block as f64).collect();
    let predicted: Vec<f64> = theory.iter().map(|stream| stream.similarity).collect();
    let measured: Vec<f64> = seen.cosines.iter().map(|(cosine, _)| *cosine).collect();
    let errors: Vec<f64> = seen.cosines.iter().map(|(_, error)| error.unwrap_or(f64::NAN)).collect();
    Chart::new(
        "Cosine of tokens",
        "Mean cosine of two tokens of a text behind each block, by theory and in your model on your batch.",
        Axis::linear("block"),
        Axis::linear("cosine of tokens"),
    )
    .with(Series::line("theory", &blocks, &predicted))
    .with(Series::dots("your model", &blocks, &measured, &errors))
}
