//! Text that a terminal can be given: no control characters, and ASCII only where nothing else is known.

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

/// The report with every text made safe: a layer's name must not move the cursor or change the colour.
pub fn report(report: &Report, unicode: bool) -> Report {
    let mut value = serde_json::to_value(report).expect("a report has text keys only");
    each_text(&mut value, unicode);
    serde_json::from_value(value).expect("spelling changes no shape")
}

/// Text without control characters other than line ends, and in ASCII unless `unicode`.
pub fn safe(text: &str, unicode: bool) -> String {
    let calm = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    let text: String = text.chars().map(calm).collect();
    if unicode { text } else { spell(&text) }
}

/// Text spelled in ASCII; what has no spelling becomes a question mark.
pub fn spell(text: &str) -> String {
    if text.is_ascii() {
        return text.to_string();
    }
    let spelled = SPELLINGS.iter().fold(text.to_string(), |text, (from, to)| text.replace(from, to));
    spelled.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

fn each_text(value: &mut Value, unicode: bool) {
    match value {
        Value::String(text) => *text = safe(text, unicode),
        Value::Array(list) => list.iter_mut().for_each(|value| each_text(value, unicode)),
        Value::Object(map) => map.values_mut().for_each(|value| each_text(value, unicode)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_move_the_cursor() {
        assert_eq!(safe("fc\u{1b}[2Jx\ty", true), "fc [2Jx y");
    }

    #[test]
    fn ascii_keeps_the_meaning() {
        assert_eq!(safe("χ⊥ = 0.33 ± 0.02 → ∞ 漢", false), "chi_perp = 0.33 +- 0.02 -> inf ?");
    }
}
