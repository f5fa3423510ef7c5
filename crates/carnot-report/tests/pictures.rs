//! Pictures hold for any data, and show what they are given.

use carnot_report::chart::{Axis, Chart, Series};
use carnot_report::section::Map;
use carnot_report::svg;

/// Tags are closed in order and no attribute or text is left open.
fn assert_well_formed(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = svg;
    while let Some(at) = rest.find('<') {
        let end = at + rest[at..].find('>').expect("a tag ends");
        let tag = &rest[at + 1..end];
        match tag.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop(), Some(name)),
            None if tag.ends_with('/') => {}
            None => open.push(tag.split_whitespace().next().expect("a tag has a name")),
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?} in {svg}");
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
}

fn chart(log: bool, x: &[f64], y: &[f64], error: &[f64]) -> Chart {
    let axis = |label: &str| Axis { label: label.into(), log };
    Chart::new("title", "caption", axis("x"), axis("y"))
        .with(Series::band("band", x, y, error))
        .with(Series::line("theory", x, y))
        .with(Series::dots("measured", x, y, error))
}

#[test]
fn any_data_can_be_drawn() {
    let nan = f64::NAN;
    let inf = f64::INFINITY;
    let cases: &[(&[f64], &[f64], &[f64])] = &[
        (&[], &[], &[]),
        (&[1.0], &[2.0], &[0.1]),
        (&[1.0], &[2.0], &[]),
        (&[1.0, 2.0, 3.0], &[5.0, 5.0, 5.0], &[0.0, 0.0, 0.0]),
        (&[2.0, 2.0], &[1.0, 3.0], &[0.1, 0.1]),
        (&[nan, inf], &[nan, -inf], &[nan, inf]),
        (&[1.0, 2.0, 3.0], &[1.0, nan, 3.0], &[inf, 0.1, nan]),
        (&[1.0, 2.0], &[0.0, -1.0], &[0.5, 0.5]),
        (&[1.0, 2.0], &[1e308, -1e308], &[1e308, 1e308]),
        (&[1.0, 2.0], &[5e-324, 1e-300], &[0.0, 0.0]),
        (&[1e16, 1e16 + 2.0], &[1e16, 1e16 + 2.0], &[1.0, 1.0]),
        (&[1.0, 2.0, 3.0], &[1.0], &[]),
        (&[0.0, 0.0], &[0.0, 0.0], &[-1.0, 0.0]),
    ];
    for &(x, y, error) in cases {
        for log in [false, true] {
            assert_well_formed(&svg::render(&chart(log, x, y, error)));
        }
    }
}

#[test]
fn a_map_of_any_size_can_be_drawn() {
    for n in [0usize, 1, 2, 5] {
        let values: Vec<f64> = (0..n).map(|at| at as f64).collect();
        let cells = vec![vec![Some(1.0), None, Some(f64::NAN)]; n];
        let map =
            Map { x_values: values.clone(), y_values: values, cells, x: Axis::log("x"), ..Map::default() };
        assert_well_formed(&svg::map(&map));
    }
}

#[test]
fn markup_in_labels_stays_text() {
    let name = "</text><script>alert(1)</script>";
    let chart = Chart::new(name, name, Axis::linear(name), Axis::log(name)).with(Series::dots(
        name,
        &[1.0, 2.0],
        &[1.0, 2.0],
        &[0.1, 0.1],
    ));
    let drawn = svg::render(&chart);
    assert!(!drawn.contains("<script"));
    assert_well_formed(&drawn);
}

#[test]
fn a_logarithmic_axis_says_so_and_counts_what_it_hides() {
    let chart = Chart::new("", "", Axis::linear("layer"), Axis::log("K")).with(Series::line(
        "theory",
        &[1.0, 2.0, 3.0],
        &[1.0, 0.0, 10.0],
    ));
    let drawn = svg::render(&chart);
    assert!(drawn.contains("K (log)"));
    assert!(drawn.contains("1 value ≤ 0 is not shown"));
}

#[test]
fn every_position_has_one_spot_that_says_all_its_values() {
    let chart = Chart::new("", "", Axis::linear("layer, input to output"), Axis::log("K"))
        .with(Series::line("theory", &[1.0, 2.0], &[0.334, 0.0733]))
        .with(Series::dots("measured", &[1.0, 2.0], &[0.330, 0.0724], &[0.007, 0.001]));
    let words: Vec<String> = svg::spots(&chart).into_iter().map(|spot| spot.words).collect();
    assert_eq!(
        words,
        ["layer 1: measured 0.330 ± 0.007, theory 0.334", "layer 2: measured 0.072 ± 0.001, theory 0.0733"]
    );
}

#[test]
fn spots_stand_on_the_dots_inside_the_picture() {
    let chart = Chart::new("", "", Axis::linear("x"), Axis::linear("y")).with(Series::dots(
        "measured",
        &[0.0, 1.0, 2.0],
        &[0.0, 1.0, 2.0],
        &[],
    ));
    let spots = svg::spots(&chart);
    assert_eq!(spots.len(), 3);
    assert!(spots.windows(2).all(|pair| pair[0].left < pair[1].left && pair[0].top > pair[1].top));
    let inside = |spot: &svg::Spot| spot.left <= f64::from(svg::WIDTH) && spot.top <= f64::from(svg::HEIGHT);
    assert!(spots.iter().all(inside));
}

#[test]
fn every_colour_of_a_picture_has_a_rule_in_the_theme() {
    for chart in [chart(false, &[1.0, 2.0], &[1.0, 2.0], &[0.1, 0.1])] {
        let drawn = svg::picture(&chart);
        for part in drawn.split(['"']).filter(|part| part.starts_with('#')) {
            assert!(svg::THEME.contains(&format!("=\"{part}\"")), "{part} has no rule");
        }
    }
}
