//! How this was measured, and the same report as data.

use super::escape::text;
use super::{copy_button, section};
use crate::report::Report;
use crate::{number, terminal};

/// Command, versions, seed, coverage, and the downloads.
pub fn block(report: &Report, note: Option<&str>) -> String {
    let made = &report.provenance;
    let mut rows =
        row("command", &format!("<code>{}</code> {}", text(&made.command), copy_button(&made.command)));
    if let Some(coverage) = &report.coverage {
        rows += &row("coverage", &text(&terminal::coverage_words(coverage)));
    }
    rows += &row("version", &text(&format!("carnot {}", made.version)));
    rows += &row(
        "seed",
        &made.seed.map_or_else(|| "none: nothing was random".to_string(), |seed| seed.to_string()),
    );
    if !made.device.is_empty() {
        rows += &row("device", &text(&made.device));
    }
    if let Some(seconds) = made.seconds {
        rows += &row("time", &format!("{} s", number::significant(seconds, 2)));
    }
    if let Some(when) = &made.made {
        rows += &row("made", &text(when));
    }
    if !report.id.is_empty() {
        rows += &row("run", &format!("<code>{}</code>", text(&report.id)));
    }
    for (label, words) in &made.more {
        rows += &row(&text(label), &text(words));
    }
    if let Some(note) = note {
        rows += &row("left out", &text(note));
    }
    let spec = made.spec.as_ref().map_or_else(String::new, |spec| {
        let pretty = serde_json::to_string_pretty(spec).expect("a JSON value is JSON");
        format!(
            "<details><summary>specification</summary><pre tabindex=\"0\"><code>{}</code></pre></details>\n",
            text(&pretty)
        )
    });
    let downloads = "<p class=\"downloads\"><button type=\"button\" id=\"save-json\">download JSON</button> \
         <button type=\"button\" id=\"save-csv\">download CSV</button></p>\n";
    section(
        "measured",
        "How this was measured",
        &format!("<dl class=\"facts\">\n{rows}</dl>\n{spec}{downloads}"),
    )
}

/// `label` and `body` are markup already.
fn row(label: &str, body: &str) -> String {
    format!("<div><dt>{label}</dt><dd>{body}</dd></div>\n")
}
