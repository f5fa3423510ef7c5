//! The report on weights alone: architecture, matrices, findings, coverage.

use carnot_models::huggingface::roles::Reading;
use carnot_models::spectrum::power_law::Shape;
use carnot_report::finding::{Finding, Level};
use carnot_report::report::{Coverage, Line, Provenance, Report, Skipped, Verdict, Word};
use carnot_report::section::{Cell, Heading, Role as TableRole, Row, Section, Show, Table, Text};
use serde_json::json;

use super::{Model, subject};
use crate::checks::weights::{BadVector, Evidence, Matrix, TABLE};
use crate::checks::{Outcome, short};
use crate::spec::network::ModelChoice;

/// Rows shown in the terminal before the rest is folded away.
const SHOWN: usize = 16;

/// Writes the report.
pub fn write(
    choice: &ModelChoice,
    seed: u64,
    model: &Model,
    matrices: &[Matrix],
    bad_vectors: &[BadVector],
) -> Report {
    let mut report = Report::new("check", &subject(choice));
    let evidence = Evidence { matrices, bad_vectors };
    let mut unexamined = Vec::new();
    for check in TABLE {
        match (check.run)(&evidence) {
            Outcome::Fine => {}
            Outcome::Found(finding) => report.findings.push(*finding),
            Outcome::NotApplicable(because) => unexamined.push(json!({
                "check": format!("{} {}", check.page.code, check.page.name),
                "because": because,
            })),
        }
    }
    report.verdict = Some(verdict(matrices, &report.findings));
    report.summary = summary(model, matrices);
    report.sections = tables(matrices, &report.findings);
    report.coverage = Some(coverage(model, matrices));
    report.next = report
        .findings
        .first()
        .map(|finding| Line::new("explain", format!("carnot explain {}", finding.code)))
        .into_iter()
        .collect();
    report.extra.insert("unexamined".into(), json!(unexamined));
    report.extra.insert("architecture".into(), json!(model.architecture));
    report.extra.insert("matrices".into(), matrices.iter().map(as_json).collect());
    report.provenance = Provenance { seed: Some(seed), device: "cpu".into(), ..Provenance::default() };
    report
}

fn verdict(matrices: &[Matrix], findings: &[Finding]) -> Verdict {
    if let Some(blocking) = findings.iter().find(|finding| finding.level == Level::Blocks) {
        return Verdict {
            word: Word::WillNotLearn,
            why: format!("{} ({}).", capital(&blocking.saw), blocking.at),
        };
    }
    let shape = |wanted: Shape| {
        matrices.iter().filter(|m| m.analysis.tail.as_ref().is_ok_and(|fit| fit.shape() == wanted)).count()
    };
    let judged = matrices.iter().filter(|m| m.analysis.tail.is_ok()).count();
    let random = matrices
        .iter()
        .filter(|m| {
            m.analysis.random.as_ref().is_ok_and(|r| r.is_random(m.analysis.rows.min(m.analysis.columns)))
        })
        .count();
    let why = format!(
        "Weights alone do not show whether a network learns. Of {judged} spectra {random} cannot be told from those of random \
         matrices, and {} have a tail that may be a power law.",
        shape(Shape::Plausible)
    );
    Verdict { word: Word::CannotTell, why }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn summary(model: &Model, matrices: &[Matrix]) -> Vec<Line> {
    let mut lines = Vec::new();
    match &model.architecture {
        Ok(architecture) => {
            let line = Line::new("is", architecture.words());
            let unknown = &architecture.unknown;
            lines.push(match unknown.is_empty() {
                true => line,
                false => line.with_note(format!("not understood: {}", unknown.join(", "))),
            });
        }
        Err(why) => lines.push(Line::new("is", format!("{} tensors, {why}", model.checkpoint.tensors.len()))),
    }
    let alphas: Vec<f64> =
        matrices.iter().filter_map(|m| m.analysis.tail.as_ref().ok()).map(|fit| fit.law.alpha).collect();
    if !alphas.is_empty() {
        let (low, high) =
            alphas.iter().fold((f64::MAX, f64::MIN), |(low, high), a| (low.min(*a), high.max(*a)));
        let outliers: usize = matrices
            .iter()
            .filter_map(|m| m.analysis.random.as_ref().ok())
            .map(|random| random.outliers)
            .sum();
        let text = format!(
            "α from {} to {} in {} matrices, {outliers} eigenvalues beyond the edge of random matrices",
            short(low),
            short(high),
            alphas.len()
        );
        lines.push(Line::new("spectra", text));
    }
    lines
}

fn tables(matrices: &[Matrix], findings: &[Finding]) -> Vec<Section> {
    let all: Vec<usize> = (0..matrices.len()).collect();
    let mut sections = Vec::new();
    if all.len() <= SHOWN + 2 {
        sections.push(Section::Table(table(matrices, findings, &all)));
    } else {
        let is_marked = |at: &usize| mark(&matrices[*at], findings).is_some();
        let mut shown: Vec<usize> =
            all.iter().copied().filter(|at| *at < SHOWN - 4 || *at + 4 >= all.len()).collect();
        shown.extend(all.iter().copied().filter(is_marked).take(SHOWN));
        shown.sort_unstable();
        shown.dedup();
        let folded = Some(format!("{} more matrices: --layers all", all.len() - shown.len()));
        let short = Table { show: Show::Terminal, folded, ..table(matrices, findings, &shown) };
        sections.push(Section::Table(short));
        sections.push(Section::Table(Table { show: Show::Page, ..table(matrices, findings, &all) }));
    }
    let missing = reasons(matrices);
    if !missing.is_empty() {
        let title = "What could not be computed".to_string();
        sections.push(Section::Text(Text { title, text: missing.join("\n"), show: Show::Everywhere }));
    }
    sections
}

fn table(matrices: &[Matrix], findings: &[Finding], rows: &[usize]) -> Table {
    let columns = vec![
        Heading::count("layer"),
        Heading::words("role"),
        Heading::words("shape"),
        Heading::number("C_W"),
        Heading::words("law"),
        Heading::number("stable rank"),
        Heading::number("effective rank"),
        Heading::number("α"),
        Heading::number("KS"),
        Heading::number("p"),
        Heading::words("power law"),
        Heading::count("outliers"),
        Heading::count("dead"),
        Heading::count("twins"),
        Heading::number("max/σ"),
    ];
    let rows = rows.iter().map(|&at| row(&matrices[at], findings)).collect();
    Table {
        title: "Matrices".into(),
        caption: "α ± error of the tail of each spectrum; p: share of synthetic power laws that fit worse, below 0.1 excludes one; \
                  outliers: eigenvalues beyond 99 % of random matrices of the same bulk."
            .into(),
        role: TableRole::Plain,
        columns,
        rows,
        ..Table::default()
    }
}

fn row(matrix: &Matrix, findings: &[Finding]) -> Row {
    let Matrix { weight, analysis } = matrix;
    let number =
        |value: Option<f64>, digits| value.map_or(Cell::missing(), |value| Cell::significant(value, digits));
    let count = |value: Option<usize>| Cell::text(value.map_or("–".to_string(), |value| value.to_string()));
    let (ranks, tail) = (analysis.ranks.as_ref().ok(), analysis.tail.as_ref().ok());
    // A table of tokens has rows, not units.
    let units = |value: Option<usize>| count(value.filter(|_| !matrix.is_table()));
    let role = if weight.role.words().is_empty() { weight.name.as_str() } else { weight.role.words() };
    let c_w = match (analysis.c_w, analysis.c_w_error) {
        (Some(c_w), Some(error)) => Cell::measured(c_w, error),
        _ => Cell::missing(),
    };
    let row = Row::new(vec![
        Cell::text(weight.layer.map_or(String::new(), |layer| layer.to_string())),
        Cell::text(role),
        Cell::text(format!("{}×{}", analysis.rows, analysis.columns)),
        c_w,
        Cell::text(analysis.law.map_or("–", |law| law.words())),
        number(ranks.map(|ranks| ranks.stable), 3),
        number(ranks.map(|ranks| ranks.effective), 3),
        tail.map_or(Cell::missing(), |fit| Cell::measured(fit.law.alpha, fit.law.error)),
        number(tail.map(|fit| fit.law.distance), 2),
        tail.map_or(Cell::missing(), |fit| Cell::significant(fit.p, 2)),
        Cell::text(tail.map_or("–", |fit| fit.shape().words())),
        count(analysis.random.as_ref().ok().map(|random| random.outliers)),
        units(analysis.dead.as_ref().ok().map(|dead| dead.outputs + dead.inputs)),
        units(analysis.duplicated.as_ref().ok().map(|twins| twins.units)),
        number(analysis.entries.as_ref().ok().map(|entries| entries.largest), 2),
    ]);
    match mark(matrix, findings) {
        Some(mark) => row.with_mark(&mark),
        None => row,
    }
}

/// Code and name of the first finding at a matrix.
fn mark(matrix: &Matrix, findings: &[Finding]) -> Option<String> {
    let is_here = |finding: &&Finding| {
        let places = finding.remedy.action["look_at"].as_array();
        places.is_some_and(|places| places.iter().any(|place| *place == matrix.weight.name.as_str()))
    };
    findings.iter().find(is_here).map(|finding| format!("{} {}", finding.code, finding.name))
}

/// Each reason once, with the matrices that it holds for.
fn reasons(matrices: &[Matrix]) -> Vec<String> {
    let mut found: Vec<(String, Vec<&str>)> = Vec::new();
    for Matrix { weight, analysis } in matrices {
        let whys = [
            ("spectrum", analysis.ranks.as_ref().err()),
            ("power law", analysis.tail.as_ref().err()),
            ("random-matrix null", analysis.random.as_ref().err()),
            (
                "duplicated units",
                analysis.duplicated.as_ref().err().filter(|_| !weight.role.words().eq("embedding")),
            ),
        ];
        for (what, why) in whys {
            let Some(why) = why else { continue };
            let text = format!("{what} not computable: {why}");
            match found.iter_mut().find(|(known, _)| *known == text) {
                Some((_, names)) => names.push(&weight.name),
                None => found.push((text, vec![&weight.name])),
            }
        }
    }
    let line = |(text, names): (String, Vec<&str>)| match names[..] {
        [one] => format!("{text} ({one})"),
        _ => format!("{text} ({} and {} more)", names[0], names.len() - 1),
    };
    found.into_iter().map(line).collect()
}

fn coverage(model: &Model, matrices: &[Matrix]) -> Coverage {
    let (mut skipped, mut vectors, mut whole) = (Vec::new(), 0, 0);
    for weight in &model.weights {
        match &weight.reading {
            Reading::Matrix { .. } => {}
            Reading::Vector => vectors += 1,
            Reading::Skipped(because) if because.starts_with("whole numbers") => whole += 1,
            Reading::Skipped(because) => {
                skipped.push(Skipped { layer: weight.name.clone(), because: because.clone() });
            }
        }
    }
    let failed = matrices.iter().filter_map(|matrix| {
        let why = matrix.analysis.ranks.as_ref().err()?;
        Some(Skipped { layer: matrix.weight.name.clone(), because: why.to_string() })
    });
    skipped.extend(failed);
    let of = matrices.len() + model.weights.iter().filter(|w| is_unread_matrix(w)).count();
    let read = matrices.iter().filter(|matrix| matrix.analysis.ranks.is_ok()).count();
    let mut what = format!("weight matrices, {vectors} vectors looked through for NaN");
    if whole > 0 {
        what += &format!("; tensors of whole numbers, which are no weights: {whole}");
    }
    let format = format!("{}, weights alone", model.checkpoint.format.words());
    Coverage { read, of, what, probe: Some(format), skipped }
}

fn is_unread_matrix(weight: &carnot_models::huggingface::roles::Weight) -> bool {
    matches!(&weight.reading, Reading::Skipped(because) if !because.starts_with("whole numbers"))
}

fn as_json(matrix: &Matrix) -> serde_json::Value {
    let shape = matrix.analysis.tail.as_ref().ok().map(|fit| fit.shape());
    json!({
        "name": matrix.weight.name,
        "layer": matrix.weight.layer,
        "role": matrix.weight.role,
        "power_law": shape,
        "analysis": matrix.analysis,
    })
}
