//! Text for terminals that know ASCII only.

use serde_json::Value;

use crate::report::Report;

const SPELLINGS: &[(&str, &str)] = &[
    ("χ⊥", "chi_perp"),
    ("χ∥", "chi_par"),
    ("→", "->"),
    ("←", "<-"),
    ("±", "+-"),
    ("×", "x"),
    ("·", "-"),
    ("–", "-"),
    ("—", "-"),
    ("−", "-"),
    ("…", "..."),
    ("²", "^2"),
    ("³", "^3"),
    ("⁻", "^-"),
    ("√", "sqrt "),
    ("≤", "<="),
    ("≥", ">="),
    ("≈", "~"),
    ("∞", "inf"),
    ("∇", "grad"),
    ("ξ", "xi"),
    ("Θ", "Theta"),
    ("η", "eta"),
    ("λ", "lambda"),
    ("σ", "sigma"),
    ("χ", "chi"),
    ("′", "'"),
    ("○", "o"),
];

/// The report with every text spelled in ASCII.
pub fn report(report: &Report) -> Report {
    let mut value = serde_json::to_value(report).expect("a report has text keys only");
    spell_all(&mut value);
    serde_json::from_value(value).expect("spelling changes no shape")
}

/// Text spelled in ASCII; what has no spelling becomes a question mark.
pub fn spell(text: &str) -> String {
    if text.is_ascii() {
        return text.to_string();
    }
    let spelled = SPELLINGS.iter().fold(text.to_string(), |text, (from, to)| text.replace(from, to));
    spelled.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

fn spell_all(value: &mut Value) {
    match value {
        Value::String(text) => *text = spell(text),
        Value::Array(list) => list.iter_mut().for_each(spell_all),
        Value::Object(map) => map.values_mut().for_each(spell_all),
        _ => {}
    }
}
