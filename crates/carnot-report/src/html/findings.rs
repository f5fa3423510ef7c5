//! Findings: saw, because, do, evidence, and when to ignore them.

use super::escape::text;
use super::{copy_button, figure, section, verdict, words};
use crate::finding::Finding;
use crate::report::Report;

/// All findings, what blocks first; then what to type next.
pub fn block(report: &Report) -> String {
    let next = verdict::lines(&report.next, "next");
    let findings: String = report.findings_by_weight().into_iter().map(card).collect();
    let mut blocks = String::new();
    if !findings.is_empty() {
        blocks += &section("findings", "Findings", &findings);
    }
    if !next.is_empty() {
        blocks += &section("next", "Next", &next);
    }
    blocks
}

fn card(finding: &Finding) -> String {
    let place = match &finding.position {
        Some(position) => format!("{}, {}", text(&finding.at), text(position)),
        None => words::linked(&finding.at),
    };
    let evidence: String = finding.evidence.iter().map(figure::figure).collect();
    let evidence =
        if evidence.is_empty() { evidence } else { format!("<div class=\"evidence\">{evidence}</div>\n") };
    format!(
        "<article class=\"finding {level}\" id=\"{code}\">\n<div class=\"head\"><h3><span class=\"code\">{code}</span> {name}</h3>\
         <span class=\"at\">{place}</span><span class=\"level\">{words}</span></div>\n\
         <div class=\"body\"><dl>\n{parts}</dl>\n{evidence}</div></article>\n",
        level = words::level(finding.level),
        code = text(&finding.code),
        name = text(&finding.name),
        words = finding.level.words(),
        parts = parts(finding),
    )
}

fn parts(finding: &Finding) -> String {
    let part = |label: &str, body: String| format!("<div><dt>{label}</dt><dd>{body}</dd></div>\n");
    let mut parts = part("saw", words::linked(&finding.saw));
    parts += &part("because", words::linked(&finding.because));
    parts += &part("do", remedy(finding));
    if let Some(when) = &finding.ignore_when {
        parts += &part("ignore when", words::linked(when));
    }
    parts
}

fn remedy(finding: &Finding) -> String {
    let remedy = &finding.remedy;
    let mut body = words::linked(&remedy.text);
    if let Some(command) = &remedy.command {
        body += &format!("<br><code>{}</code> {}", text(command), copy_button(command));
    }
    if let Some(safety) = remedy.safety {
        body += &format!(" <span class=\"note\">{}</span>", safety.words());
    }
    body
}
