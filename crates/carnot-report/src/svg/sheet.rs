//! Report → one picture to paste into a talk or a chat: verdict, findings, stress map, charts; light theme, no page, no script.

use super::{HEIGHT, WIDTH, colour, escape, map as draw_map, picture};
use crate::chart::{Chart, Ink, Kind};
use crate::finding::Level;
use crate::glossary;
use crate::report::{Report, Tone};
use crate::section::Section;
use crate::stress;

/// Width of the sheet, in CSS pixels.
pub const SHEET: f64 = 2.0 * WIDTH as f64 + 3.0 * MARGIN;
const MARGIN: f64 = 28.0;
const INK: &str = "#15181C";
const SOFT: &str = "#5B6470";
const LINE: &str = "#E4E7EB";
/// Mean width of a letter, as a share of the font size.
const LETTER: f64 = 0.56;
/// Findings shown; the others are counted.
const FINDINGS: usize = 6;
/// Left edge of the cells of the stress map.
const CELLS: f64 = MARGIN + 170.0;

/// The sheet as an SVG file with colours of its own.
pub fn sheet(report: &Report) -> String {
    let mut sheet = Sheet::default();
    sheet.head(report);
    sheet.findings(report);
    sheet.stress(report);
    sheet.pictures(report);
    sheet.foot(report);
    let height = sheet.down + 16.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{SHEET:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {SHEET:.0} {height:.0}\" \
         font-family=\"DejaVu Sans, sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"#FFFFFF\"/>\n{}</svg>\n",
        sheet.body
    )
}

#[derive(Default)]
struct Sheet {
    body: String,
    /// Lower end of what has been drawn.
    down: f64,
}

/// How a line of text looks.
#[derive(Clone, Copy)]
struct Face {
    size: f64,
    weight: u32,
    fill: &'static str,
}

const PLAIN: Face = Face { size: 13.0, weight: 400, fill: INK };
const QUIET: Face = Face { size: 12.0, weight: 400, fill: SOFT };
const HEADING: Face = Face { size: 16.0, weight: 700, fill: INK };

impl Sheet {
    fn text(&mut self, left: f64, base: f64, words: &str, face: Face) {
        let Face { size, weight, fill } = face;
        self.body += &format!(
            "<text x=\"{left:.1}\" y=\"{base:.1}\" font-size=\"{size}\" font-weight=\"{weight}\" fill=\"{fill}\">{}</text>\n",
            escape(words)
        );
    }

    /// Words from `left` on, in as many lines as it takes.
    fn lines(&mut self, left: f64, words: &str, face: Face) {
        let room = ((SHEET - MARGIN - left) / (face.size * LETTER)) as usize;
        for line in wrapped(words, room) {
            self.down += face.size * 1.5;
            self.text(left, self.down, &line, face);
        }
    }

    /// A quiet word, and what it stands for beside it.
    fn labelled(&mut self, label: &str, words: &str) {
        self.text(MARGIN, self.down + PLAIN.size * 1.5, label, Face { fill: SOFT, ..PLAIN });
        self.lines(MARGIN + 68.0, words, PLAIN);
    }

    fn rule(&mut self) {
        self.down += 22.0;
        let right = SHEET - MARGIN;
        self.body += &format!("<path d=\"M{MARGIN} {0:.1}H{right}\" stroke=\"{LINE}\"/>\n", self.down);
    }

    fn head(&mut self, report: &Report) {
        self.down = 18.0;
        self.lines(MARGIN, &format!("carnot {} · {}", report.command, report.subject), QUIET);
        if let Some((words, tone)) = report.first_line() {
            self.down += 12.0;
            self.lines(MARGIN, &words, Face { size: 30.0, weight: 700, fill: toned(tone) });
        }
        if let Some(verdict) = &report.verdict {
            self.down += 4.0;
            self.lines(MARGIN, &verdict.why, Face { size: 15.0, ..PLAIN });
        }
        for line in &report.summary {
            self.labelled(&line.label, &line.text);
        }
    }

    fn findings(&mut self, report: &Report) {
        let found = report.findings_by_weight();
        if found.is_empty() {
            return;
        }
        self.rule();
        for finding in found.iter().take(FINDINGS) {
            let fill = match finding.level {
                Level::Blocks => toned(Tone::Blocks),
                Level::Costs => toned(Tone::Costs),
                Level::Note => SOFT,
            };
            self.down += 8.0;
            let title =
                format!("{} {}  {}  ({})", finding.code, finding.name, finding.at, finding.level.words());
            self.lines(MARGIN, &title, Face { size: 14.0, weight: 700, fill });
            self.labelled("saw", &finding.saw);
            self.labelled("do", &finding.remedy.text);
        }
        if found.len() > FINDINGS {
            self.lines(MARGIN, &format!("and {} more", found.len() - FINDINGS), QUIET);
        }
    }

    fn stress(&mut self, report: &Report) {
        let Some(readings) = stress::readings(report, None) else { return };
        let rows = stress::map(readings, stress::theory(report));
        if rows.is_empty() {
            return;
        }
        self.rule();
        self.down += 10.0;
        self.lines(MARGIN, "Where it hurts", HEADING);
        let n = readings.layers.len().max(1);
        let side = ((SHEET - MARGIN - CELLS) / n as f64).min(26.0);
        let height = 20.0;
        self.down += 8.0;
        for row in &rows {
            let title = glossary::by_name(&row.name).map_or(row.name.as_str(), |entry| entry.title);
            let label: String = format!("{title} {}", row.symbol).chars().take(26).collect();
            self.text(MARGIN, self.down + 14.0, &label, QUIET);
            for (layer, z) in row.distance.iter().enumerate() {
                let (left, top) = (CELLS + layer as f64 * side, self.down);
                self.cell(left, top, [side - 1.0, height - 2.0], *z);
            }
            self.down += height;
        }
        let stride = if n > 20 { 5 } else { 1 };
        for layer in (1..=n).filter(|layer| *layer == 1 || layer.is_multiple_of(stride)) {
            let left = CELLS + (layer as f64 - 1.0) * side;
            self.text(left, self.down + 12.0, &layer.to_string(), Face { size: 10.0, ..QUIET });
        }
        self.down += 18.0;
        let key = "layers across; blue: below, orange: above what theory or a healthy network says, darker at 2, 4, 8 standard errors; \
                   grey frame: not read";
        self.lines(MARGIN, key, QUIET);
    }

    fn cell(&mut self, left: f64, top: f64, [width, height]: [f64; 2], z: Option<f64>) {
        let (fill, opacity) = match z {
            None => ("none", 1.0),
            Some(z) if z.abs() < 2.0 => (LINE, 0.6),
            Some(z) => {
                let hue = if z < 0.0 { colour(Ink::Theory) } else { colour(Ink::Data) };
                (hue, [0.3, 0.55, 1.0][usize::from(z.abs() >= 4.0) + usize::from(z.abs() >= 8.0)])
            }
        };
        self.body += &format!(
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{height}\" fill=\"{fill}\" fill-opacity=\"{opacity}\" \
             stroke=\"{LINE}\" stroke-width=\"0.5\"/>\n",
            width.max(0.5)
        );
        if let Some(sign) =
            z.filter(|z| z.abs() >= 2.0 && width >= 9.0).map(|z| if z < 0.0 { "−" } else { "+" })
        {
            let fill = if z.is_some_and(|z| z.abs() >= 8.0) { "#FFFFFF" } else { INK };
            self.text(
                left + width / 2.0 - 4.0,
                top + height / 2.0 + 4.0,
                sign,
                Face { size: 11.0, weight: 400, fill },
            );
        }
    }

    fn pictures(&mut self, report: &Report) {
        let drawn: Vec<(String, String, Option<&Chart>)> = report
            .sections
            .iter()
            .filter_map(|section| match section {
                Section::Chart(chart) => Some((chart.title.clone(), picture(chart), Some(chart))),
                Section::Map(map) => Some((map.title.clone(), draw_map(map), None)),
                _ => None,
            })
            .collect();
        if drawn.is_empty() {
            return;
        }
        self.rule();
        for pair in drawn.chunks(2) {
            let top = self.down + 26.0;
            for (at, (title, svg, chart)) in pair.iter().enumerate() {
                let left = MARGIN + at as f64 * (f64::from(WIDTH) + MARGIN);
                self.text(left, top, title, Face { size: 14.0, weight: 700, fill: INK });
                let mut right = left;
                for series in chart.iter().flat_map(|chart| &chart.series) {
                    right = self.key(right, top + 18.0, &series.name, series.kind, series.ink);
                }
                self.body +=
                    &svg.replacen("<svg ", &format!("<svg x=\"{left:.1}\" y=\"{:.1}\" ", top + 22.0), 1);
            }
            self.down = top + 22.0 + f64::from(HEIGHT);
        }
    }

    /// One entry of a legend; returns where the next one starts.
    fn key(&mut self, left: f64, base: f64, name: &str, kind: Kind, ink: Ink) -> f64 {
        let (middle, colour) = (base - 4.0, colour(ink));
        self.body += &match kind {
            Kind::Dots => {
                format!("<circle cx=\"{:.1}\" cy=\"{middle:.1}\" r=\"3\" fill=\"{colour}\"/>\n", left + 7.0)
            }
            Kind::Line => {
                format!("<path d=\"M{left:.1} {middle:.1}h14\" stroke=\"{colour}\" stroke-width=\"2\"/>\n")
            }
            Kind::Band => format!(
                "<rect x=\"{left:.1}\" y=\"{:.1}\" width=\"14\" height=\"8\" fill=\"{colour}\" fill-opacity=\"0.22\"/>\n",
                middle - 4.0
            ),
        };
        self.text(left + 18.0, base, name, Face { size: 11.0, ..QUIET });
        left + 30.0 + name.chars().count() as f64 * 11.0 * LETTER
    }

    fn foot(&mut self, report: &Report) {
        self.rule();
        if let Some(coverage) = &report.coverage {
            let probe = coverage.probe.as_ref().map_or(String::new(), |probe| format!(" · {probe}"));
            self.lines(
                MARGIN,
                &format!("read {} of {} {}{probe}", coverage.read, coverage.of, coverage.what),
                QUIET,
            );
        }
        self.lines(MARGIN, &report.provenance.command, QUIET);
    }
}

fn toned(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "#1E7A46",
        Tone::Costs => "#8A5F00",
        Tone::Blocks => "#B3261E",
        Tone::Plain => INK,
    }
}

/// Lines of at most so many characters, broken between words.
fn wrapped(words: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    #[test]
    fn a_sheet_says_what_the_report_says() {
        let report = example::check();
        let sheet = sheet(&report);
        let (words, _) = report.first_line().unwrap();
        assert!(sheet.contains(&escape(&words)), "no verdict");
        for finding in report.findings.iter().take(FINDINGS) {
            assert!(sheet.contains(&finding.code), "{} is missing", finding.code);
        }
        let charts = report.sections.iter().filter(|section| matches!(section, Section::Chart(_))).count();
        assert_eq!(sheet.matches("class=\"chart\"").count(), charts);
        assert!(charts > 0 && sheet.contains("Where it hurts"));
    }

    #[test]
    fn words_are_broken_between_words() {
        assert_eq!(wrapped("a bc  def", 4), ["a bc", "def"]);
        assert_eq!(wrapped("longer than that", 3), ["longer", "than", "that"]);
        assert!(wrapped(" ", 5).is_empty());
    }
}
