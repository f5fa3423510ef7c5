//! What a person reads in the terminal, at 80 and 120 columns, without colour.

use carnot_report::terminal::{self, Style};
use carnot_report::{example, report::Report};
use unicode_width::UnicodeWidthStr;

fn plain(width: usize) -> Style {
    Style { width, colour: false, unicode: true, all: false }
}

fn examples() -> Vec<(&'static str, Report)> {
    vec![
        ("check", example::check()),
        ("healthy", example::healthy()),
        ("predict", example::predict()),
        ("ensemble", example::ensemble()),
        ("load", example::load()),
        ("border", example::border()),
    ]
}

#[test]
fn reports_read_well_at_80_and_120_columns() {
    for (name, report) in examples() {
        for width in [80, 120] {
            insta::assert_snapshot!(format!("{name}_{width}"), terminal::render(&report, &plain(width)));
        }
    }
}

#[test]
fn diagnostics_read_well() {
    let diagnostics = [example::unknown_key(), example::unknown_name(), example::too_large()];
    let text: Vec<String> = diagnostics.iter().map(|d| terminal::render_diagnostic(d, &plain(100))).collect();
    insta::assert_snapshot!("diagnostics", text.join("\n"));
}

#[test]
fn nothing_is_wider_than_the_terminal() {
    for (name, report) in examples() {
        for width in [80, 100, 120] {
            for line in terminal::render(&report, &plain(width)).lines() {
                assert!(line.width() <= width, "{name} at {width}: {line}");
            }
        }
    }
}

#[test]
fn no_line_ends_with_blanks() {
    for (name, report) in examples() {
        for line in terminal::render(&report, &plain(100)).lines() {
            assert_eq!(line, line.trim_end(), "{name}");
        }
    }
}

#[test]
fn an_ascii_terminal_gets_ascii_only() {
    for (name, report) in examples() {
        let text = terminal::render(&report, &Style { unicode: false, ..plain(100) });
        assert!(text.is_ascii(), "{name}: {:?}", text.chars().find(|c| !c.is_ascii()));
    }
    let style = Style { unicode: false, ..plain(100) };
    assert!(terminal::render_diagnostic(&example::unknown_key(), &style).is_ascii());
    assert!(terminal::render_diagnostic(&example::too_large(), &style).is_ascii());
}

#[test]
fn colour_changes_no_character() {
    for (name, report) in examples() {
        let coloured = terminal::render(&report, &Style { colour: true, ..plain(100) });
        let mut stripped = String::new();
        let mut rest = coloured.as_str();
        while let Some(at) = rest.find('\u{1b}') {
            stripped += &rest[..at];
            rest = &rest[at + rest[at..].find('m').expect("a colour ends with m") + 1..];
        }
        stripped += rest;
        assert_eq!(stripped, terminal::render(&report, &plain(100)), "{name}");
    }
}

#[test]
fn red_stands_for_what_blocks() {
    let coloured = terminal::render(&example::check(), &Style { colour: true, ..plain(100) });
    assert!(coloured.starts_with("\u{1b}[1;31mWILL NOT LEARN\u{1b}[0m"));
    assert!(coloured.contains("\u{1b}[31mS101 inputs-merge\u{1b}[0m"), "the mark in the table is red");
}

#[test]
fn a_name_from_a_model_cannot_send_escape_codes() {
    let text = terminal::render(&example::hostile(), &plain(100));
    assert!(!text.contains('\u{1b}'));
    assert!(text.contains("tied to <embed>"));
}

#[test]
fn more_than_three_findings_are_counted_not_dropped() {
    let mut report = example::check();
    report.findings.extend(report.findings.clone());
    let text = terminal::render(&report, &plain(100));
    assert!(text.contains("3 more findings: --all"));
    let all = terminal::render(&report, &Style { all: true, ..plain(100) });
    assert_eq!(all.matches("W201 deep-for-width").count(), 2);
}
