//! Split, subset, probe, gather.

use proptest::prelude::*;

use crate::dataset::{DataError, Dataset, Options, Targets, open};

fn digits() -> Dataset {
    open("digits", &Options::default()).unwrap()
}

#[test]
fn a_split_loses_nothing_and_repeats_nothing() {
    let mut data = digits();
    data.inputs = (0..1797 * 64).map(|index| index as f32).collect();
    let (train, test) = data.split(0.8, 3).unwrap();
    assert_eq!((train.len(), test.len()), (1438, 359));
    let firsts =
        |data: &Dataset| (0..data.len()).map(|index| data.sample(index)[0] as usize).collect::<Vec<_>>();
    let mut all = [firsts(&train), firsts(&test)].concat();
    assert_ne!(all[..100], (0..100).map(|index| index * 64).collect::<Vec<_>>());
    all.sort_unstable();
    assert_eq!(all, (0..1797).map(|index| index * 64).collect::<Vec<_>>());
    assert_eq!(data.split(0.8, 3).unwrap(), (train.clone(), test));
    assert_ne!(data.split(0.8, 4).unwrap().0, train);
    for (fraction, sizes) in [(0.0, (0, 1797)), (1.0, (1797, 0))] {
        let (train, test) = data.split(fraction, 3).unwrap();
        assert_eq!((train.len(), test.len()), sizes);
    }
    for fraction in [-0.1, 1.5, f64::NAN] {
        assert!(matches!(data.split(fraction, 3), Err(DataError::Parameter { name: "fraction", .. })));
    }
}

#[test]
fn a_probe_is_balanced_at_every_prefix() {
    let data = digits();
    let probe = data.probe(205, 5);
    assert!(probe.class_counts().iter().all(|count| (20..=21).contains(count)), "{:?}", probe.class_counts());
    assert_eq!(data.probe(20, 5).inputs, probe.inputs[..20 * 64]);
    assert_eq!(data.probe(usize::MAX, 5).class_counts(), data.class_counts());
    assert_ne!(data.probe(20, 6), data.probe(20, 5));
    assert_eq!(data.probe(0, 6).len(), 0);
}

#[test]
fn what_is_gathered_is_what_was_asked_for() {
    let data = digits();
    let (mut inputs, mut labels) = (vec![0.0; 3 * 64], [9; 3]);
    data.gather(&[5, 1796, 5], &mut inputs).unwrap();
    data.gather_labels(&[5, 1796, 5], &mut labels).unwrap();
    assert_eq!(&inputs[64..128], data.sample(1796));
    assert_eq!(inputs[..64], inputs[128..]);
    assert_eq!(labels, [5, 8, 5]);
    assert!(matches!(
        data.gather(&[1797], &mut inputs),
        Err(DataError::Index { index: 1797, samples: 1797, .. })
    ));
    assert!(matches!(data.gather(&[1], &mut inputs), Err(DataError::Shape { .. })));
    assert!(matches!(data.gather_values(&[1], &mut [0.0]), Err(DataError::Nothing { .. })));
    assert!(matches!(data.subset(&[4000]), Err(DataError::Index { .. })));
    assert_eq!(data.subset(&[3, 1]).unwrap().sample(1), data.sample(1));
}

#[test]
fn a_shape_of_the_same_size_is_accepted_and_no_other() {
    assert_eq!(digits().reshaped(&[8, 8, 1]).unwrap().shape, [8, 8, 1]);
    for shape in [&[8, 9][..], &[], &[0], &[usize::MAX, 2]] {
        assert!(matches!(digits().reshaped(shape), Err(DataError::Shape { .. })), "{shape:?}");
    }
}

proptest! {
    #[test]
    fn cuts_keep_inputs_and_targets_together(labels in prop::collection::vec(0_u32..5, 1..60), n in 0_usize..70, seed: u64) {
        let inputs = labels.iter().map(|&label| label as f32).collect();
        let (name, source, shape) = (String::new(), String::new(), vec![1]);
        let data = Dataset { name, shape, inputs, targets: Targets::Classes { labels, classes: 5 }, exact: Default::default(), source };
        let (train, test) = data.split(0.3, seed).unwrap();
        for part in [data.probe(n, seed), train, test] {
            let Targets::Classes { labels, .. } = &part.targets else { panic!("classes") };
            prop_assert_eq!(labels.iter().map(|&label| label as f32).collect::<Vec<_>>(), part.inputs.clone());
        }
        prop_assert_eq!(data.probe(n, seed).len(), n.min(data.len()));
    }
}
