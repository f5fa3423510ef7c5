//! Which layer is the problem? Faults planted in real networks, trained on real digits; healthy networks stay unnamed.

mod faulty;

use carnot_lab::measured::write::report;
use carnot_report::report::Word;
use faulty::{FAULTS, Fault, located, names_of, record};

/// Seeds that no threshold was chosen on.
const SEED: u64 = 41;

#[test]
fn planted_faults_are_found_at_their_layer_and_healthy_networks_are_left_alone() {
    let reference = record(&Fault::None, 1, SEED);
    let healthy = record(&Fault::None, 1, SEED + 1);
    for with in [None, Some(&reference)] {
        let report = report(&healthy, with, "");
        assert!(report.findings.is_empty(), "{:#?}", report.findings);
        assert_eq!(report.verdict.unwrap().word, Word::Learns);
    }
    let (mut single, mut paired, mut misses) = (0, 0, Vec::new());
    for &fault in FAULTS {
        for place in [2, 4, 6] {
            let run = record(&fault, place, SEED + 2);
            let names = names_of(&run);
            let found = |with| located(&report(&run, with, ""), &names).map(|at| at + 1);
            let (alone, beside) = (found(None), found(Some(&reference)));
            single += usize::from(alone == Some(place));
            paired += usize::from(beside == Some(place));
            if alone != Some(place) || beside != Some(place) {
                misses.push(format!(
                    "{} at {place}: {alone:?} alone, {beside:?} beside a healthy run",
                    fault.name()
                ));
            }
        }
    }
    assert!(
        single >= 18 && paired >= 23,
        "{single} of 24 alone, {paired} of 24 beside a healthy run:\n{}",
        misses.join("\n")
    );
}
