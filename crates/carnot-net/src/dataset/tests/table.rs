//! The conformance suite of the table: every row passes it without being asked to.

use crate::dataset::{DataError, Dataset, Options, Scaling, TABLE, Targets, Task, Teacher, open};

fn small(seed: u64) -> Options {
    Options { seed, samples: Some(400), ..Options::default() }
}

/// Rows that can be opened here; a package that is not installed is named and left out.
fn openable(options: &Options) -> Vec<Dataset> {
    let mut opened = Vec::new();
    for row in TABLE {
        match open(row.name, options) {
            Ok(data) => opened.push(data),
            Err(DataError::NotInstalled { name, package, .. }) => eprintln!("skipped {name}: no {package}"),
            Err(error) => panic!("{}: {error}", row.name),
        }
    }
    opened
}

#[test]
fn every_row_gives_finite_samples_of_known_scale_and_valid_targets() {
    for data in openable(&small(1)) {
        let name = &data.name;
        assert_eq!(data.len(), 400, "{name}");
        assert_eq!(data.inputs.len(), 400 * data.width(), "{name}");
        assert!(data.inputs.iter().all(|x| x.is_finite()), "{name}");
        assert!(!data.source.is_empty(), "{name}");
        match &data.targets {
            Targets::Classes { labels, classes } => {
                assert_eq!(labels.len(), 400, "{name}");
                assert!(labels.iter().all(|&label| (label as usize) < *classes), "{name}");
                let counts = data.class_counts();
                assert!(counts.iter().all(|&count| count > 0), "{name}: {counts:?}");
            }
            Targets::Values { values, width } => {
                assert_eq!(values.len(), 400 * width, "{name}");
                assert!(values.iter().all(|value| value.is_finite()), "{name}");
            }
            Targets::Positions { labels, classes, positions } => {
                assert_eq!(labels.len(), 400 * positions, "{name}");
                assert!(labels.iter().all(|&label| (label as usize) < *classes), "{name}");
                continue;
            }
            Targets::None => panic!("{name} has nothing to learn"),
        }
        assert!((data.mean_square() - 1.0).abs() < 0.05, "{name}: mean square {}", data.mean_square());
    }
}

#[test]
fn the_seed_decides_every_bit() {
    let (first, again, other) = (openable(&small(7)), openable(&small(7)), openable(&small(8)));
    for ((first, again), other) in first.iter().zip(&again).zip(&other) {
        assert_eq!(first, again, "{}", first.name);
        assert_ne!(first.checksum(), other.checksum(), "{}", first.name);
    }
}

#[test]
fn no_name_is_in_the_table_twice() {
    let mut names: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), TABLE.len());
}

#[test]
fn digits_are_the_1797_of_the_source() {
    let data = open("digits", &Options::default()).unwrap();
    assert_eq!((data.len(), data.shape.as_slice()), (1797, &[64][..]));
    // Counts and first image as scikit-learn's load_digits gives them.
    assert_eq!(data.class_counts(), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
    assert!((data.mean_square() - 1.0).abs() < 1e-6, "{}", data.mean_square());
    let unit = open("digits", &Options { scaling: Some(Scaling::Unit), ..Options::default() }).unwrap();
    let pixels: Vec<f32> = unit.sample(0).iter().map(|x| x * 16.0).collect();
    assert_eq!(&pixels[..16], [0., 0., 5., 13., 9., 1., 0., 0., 0., 0., 13., 15., 10., 15., 5., 0.]);
    // Sum of all pixels of load_digits().data: 561,718.
    let total: f64 = unit.inputs.iter().map(|&x| f64::from(x) * 16.0).sum();
    assert_eq!(total, 561_718.0);
    // Computed from the scikit-learn file by another program.
    assert_eq!(unit.checksum(), 2_775_585_350_448_379_707);
}

#[test]
fn mixture_classes_are_balanced_and_as_far_apart_as_asked() {
    for separation in [0.0, 6.0, 30.0] {
        let options = Options {
            samples: Some(2000),
            dimension: Some(200),
            separation: Some(separation),
            classes: Some(4),
            ..Options::default()
        };
        let data = open("mixture", &options).unwrap();
        assert_eq!(data.class_counts(), [500; 4]);
        let mean = |class: usize, input: usize| {
            (class..2000).step_by(4).map(|sample| f64::from(data.sample(sample)[input])).sum::<f64>() / 500.0
        };
        let distance = |a, b| (0..200).map(|input| (mean(a, input) - mean(b, input)).powi(2)).sum::<f64>();
        let pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];
        let squares: f64 = pairs.iter().map(|&(a, b)| distance(a, b)).sum::<f64>() / 6.0;
        let scale = 1.0 + separation * separation / 400.0;
        // Means over 500 samples add 2·200/500 of noise; centres fluctuate by sqrt(2/200) each, shared by pairs.
        let expected = (separation * separation + 0.8) / scale;
        assert!((squares / expected - 1.0).abs() < 0.25, "separation {separation}: {squares} for {expected}");
        assert!((data.mean_square() - 1.0).abs() < 0.05);
    }
}

#[test]
fn parity_is_the_product_of_the_named_inputs_and_of_nothing_else() {
    let options = Options { samples: Some(4000), dimension: Some(10), ..Options::default() };
    let data = open("parity", &options).unwrap();
    let Targets::Classes { labels, classes: 2 } = &data.targets else { panic!("{:?}", data.targets) };
    let odd = labels.iter().filter(|&&label| label == 1).count();
    assert!((odd as f64 - 2000.0).abs() < 4.0 * 31.6, "{odd} of 4000 odd (binomial deviation 31.6)");
    assert!(data.inputs.iter().all(|x| x.abs() == 1.0));
    let agreeing = (0..1_usize << 10).filter(|subset| subset.count_ones() == 3).filter(|subset| {
        (0..data.len()).all(|sample| {
            let row = data.sample(sample).iter().enumerate();
            let sign: f32 = row.filter(|(input, _)| subset >> input & 1 == 1).map(|(_, x)| x).product();
            (sign < 0.0) == (labels[sample] == 1)
        })
    });
    assert_eq!(agreeing.count(), 1);
    let values = open("parity", &Options { task: Task::Values, ..options }).unwrap();
    assert!(matches!(values.targets, Targets::Values { width: 1, .. }));
}

#[test]
fn teacher_targets_have_mean_zero_and_variance_one_or_all_classes() {
    for teacher in [Teacher::Tanh, Teacher::Relu] {
        let options = Options { samples: Some(2000), teacher, ..Options::default() };
        let data = open("teacher", &options).unwrap();
        let Targets::Values { values, width: 1 } = &data.targets else { panic!("{:?}", data.targets) };
        let mean = values.iter().map(|&y| f64::from(y)).sum::<f64>() / 2000.0;
        let square = values.iter().map(|&y| f64::from(y).powi(2)).sum::<f64>() / 2000.0;
        assert!(mean.abs() < 1e-6 && (square - 1.0).abs() < 1e-6, "{mean} {square}");
        let data = open("teacher", &Options { task: Task::Classes, ..options }).unwrap();
        let counts = data.class_counts();
        assert!(counts.len() == 10 && counts.iter().all(|&count| count > 20), "{counts:?}");
    }
}

#[test]
fn mnist1d_classes_differ_by_more_than_their_noise() {
    let data = open("mnist1d", &Options { samples: Some(4000), ..Options::default() }).unwrap();
    assert_eq!((data.shape.as_slice(), data.class_counts()), (&[40][..], vec![400; 10]));
    // One nearest neighbour, 3,000 against 1,000: guessing gives 10 %, the paper's task about 55 % for such rules.
    let Targets::Classes { labels, .. } = &data.targets else { panic!("classes") };
    let distance = |a: usize, b: usize| -> f32 {
        data.sample(a).iter().zip(data.sample(b)).map(|(x, y)| (x - y) * (x - y)).sum()
    };
    let right = (3000..4000).filter(|&test| {
        let best = (0..3000).min_by(|&a, &b| distance(a, test).total_cmp(&distance(b, test)));
        best.is_some_and(|best| labels[best] == labels[test])
    });
    let right = right.count();
    assert!((300..900).contains(&right), "{right} of 1000 right");
}

#[test]
fn absurd_parameters_are_refused_with_their_range() {
    let check = |name: &str, options: Options, expect: &str| {
        let error = open(name, &options).unwrap_err();
        assert!(error.to_string().contains(expect), "{name}: {error}");
    };
    let huge = 1_000_000_000_000;
    let default = Options::default;
    check("digits", Options { samples: Some(0), ..default() }, "`samples` is 0");
    check("mixture", Options { dimension: Some(0), ..default() }, "`dimension` is 0");
    check("mixture", Options { classes: Some(1), ..default() }, "`classes` is 1");
    check("mixture", Options { classes: Some(huge), ..default() }, "from 2 to 65536");
    check("mixture", Options { samples: Some(huge), ..default() }, "above the limit");
    check("teacher", Options { dimension: Some(usize::MAX), ..default() }, "above the limit");
    check("parity", Options { dimension: Some(4), sparsity: Some(5), ..default() }, "`sparsity` is 5");
    check("mixture", Options { separation: Some(f64::NAN), ..default() }, "`separation` is NaN");
    check("mixture", Options { separation: Some(-1.0), ..default() }, "`separation` is -1");
}
