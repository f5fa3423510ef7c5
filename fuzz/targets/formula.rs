//! A formula either parses, and then can be evaluated, derived and printed, or is refused.
#![no_main]

use carnot_math::formula::Formula;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Formula::parse(text) {
        Ok(formula) => {
            for z in [-1e3, -1.0, 0.0, 0.5, 1e3] {
                let _ = formula.value(z);
                let _ = formula.jet(z);
            }
            let _ = formula.latex();
            let _ = formula.c_source();
            let again = Formula::parse(formula.text()).expect("what was parsed parses again");
            assert_eq!(again.kinks().len(), formula.kinks().len());
        }
        Err(error) => assert!(error.at.end <= text.len() && error.at.start <= error.at.end, "{error:?}"),
    }
});
