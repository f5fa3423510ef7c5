//! The page is one file: it holds everything, asks for nothing, and lets no name become markup.

use carnot_report::profile::{Column, Profile};
use carnot_report::{example, html, json, report::Report};

fn pages() -> Vec<(&'static str, Report, String)> {
    let reports = [
        ("check", example::check()),
        ("healthy", example::healthy()),
        ("hostile", example::hostile()),
        ("watched", example::watched()),
        ("predict", example::predict()),
        ("ensemble", example::ensemble()),
        ("load", example::load()),
        ("border", example::border()),
        ("empty", Report::new("check", "")),
    ];
    reports.into_iter().map(|(name, report)| (name, report.clone(), html::render(&report))).collect()
}

#[test]
fn a_page_asks_for_nothing() {
    for (name, _, page) in pages() {
        let page = page.replace("http://www.w3.org/2000/svg", "");
        for word in ["http:", "https:", "//cdn", "@import", "url(", "<img", "<iframe", " src="] {
            assert!(!page.contains(word), "{name} contains {word}");
        }
        assert!(page.contains("default-src 'none'"), "{name}");
    }
}

#[test]
fn a_page_is_small() {
    for (name, _, page) in pages() {
        assert!(page.len() < 2_000_000, "{name}: {}", page.len());
    }
}

#[test]
fn the_report_in_a_page_is_the_report() {
    for (name, report, page) in pages() {
        let start = page.find("id=\"report\">").expect("the page holds its report") + "id=\"report\">".len();
        let text = &page[start..start + page[start..].find("</script>").expect("the script ends")];
        assert_eq!(json::from_str(text).unwrap_or_else(|e| panic!("{name}: {e}")), report, "{name}");
    }
}

#[test]
fn no_name_becomes_markup() {
    let page = html::render(&example::hostile());
    assert!(!page.contains("<script>alert"));
    assert!(!page.contains("<embed>"));
    assert!(page.contains("&lt;script&gt;alert(1)"));
    assert_eq!(page.matches("</script>").count(), 2, "the report and the script, nothing else");
}

#[test]
fn every_part_of_a_check_is_on_its_page() {
    let page = html::render(&example::check());
    let parts = [
        "WILL NOT LEARN",
        "data-copy=\"carnot.init_(model)\"",
        "signal",
        "sameness",
        "Where it hurts",
        "id=\"S101\"",
        "blocks learning",
        "ignore when",
        "What would be better",
        "as PyTorch",
        "jax.nn.initializers",
        "Layers",
        "fc.49",
        "How this was measured",
        "carnot check train.py:model --data train.py:batch --try 150",
        "read 51 of 51 weight layers",
        "download CSV",
        "id=\"g-chi_perpendicular\"",
    ];
    for part in parts {
        assert!(page.contains(part), "no {part}");
    }
}

#[test]
fn what_was_not_read_is_listed_with_its_reason() {
    let page = html::render(&example::hostile());
    assert!(page.contains("Not read") && page.contains("tied to &lt;embed&gt;"));
    assert!(page.contains("not finite: overflow"), "the table says why a cell is empty");
}

#[test]
fn a_long_recording_is_thinned_and_the_page_says_so() {
    let layers: Vec<String> = (0..200).map(|at| format!("layer.{at}")).collect();
    let mut report = Report::new("check", "a long recording");
    for step in 0..60 {
        let mut profile = Profile::new("measured", step, layers.clone());
        for name in ["kernel", "correlation", "gradient", "tangent"] {
            let value: Vec<f64> = (0..200).map(|at| (at as f64 * 0.37 + step as f64).sin()).collect();
            profile.insert(name, Column::measured(name, &value, &[0.01; 200]).with_healthy(-0.5, 0.5));
        }
        report.profiles.push(profile);
    }
    let page = html::render(&report);
    assert!(page.len() < 2_000_000, "{}", page.len());
    assert!(page.contains("steps of the recording are kept in this file"));
}

#[test]
fn pictures_have_a_curve_for_every_step() {
    let page = html::render(&example::watched());
    let start = page.find("id=\"frames\">").expect("a page with several steps") + "id=\"frames\">".len();
    let end = start + page[start..].find("</script>").unwrap();
    let frames: serde_json::Value = serde_json::from_str(&page[start..end]).unwrap();
    let curves: Vec<&serde_json::Value> =
        frames.as_array().unwrap().iter().map(|frame| &frame["curves"]).collect();
    assert_eq!(curves.len(), 4);
    for (name, first) in curves[0].as_object().expect("curves by observable") {
        assert!(first.as_str().unwrap().starts_with('M'), "{name}: {first}");
        assert!(page.contains(&format!("data-about=\"{name}\"")), "no picture about {name}");
        assert_ne!(first, &curves[3][name], "{name}: the readings of the two steps differ");
    }
    assert!(curves[0].as_object().is_some_and(|curves| curves.len() >= 2), "{:?}", curves[0]);
}
