//! Texts: tokens, windows, what is asked for, and what is no text.

use super::{Folder, gzip};
use crate::dataset::{DataError, Dataset, IGNORED, Options, Targets, Tokens, open};

fn read(name: &str, bytes: impl AsRef<[u8]>, options: &Options) -> Result<Dataset, DataError> {
    let folder = Folder::new();
    open(&folder.write(name, bytes), options)
}

fn four() -> Options {
    Options { context: Some(4), vocabulary: Some(4), ..Options::default() }
}

#[test]
fn the_label_of_a_token_is_the_one_behind_it() {
    // a a a b b c d: a = 0, b = 1, c = 2, every other 3.
    let data = read("a.txt", "aabacbdab", &four()).unwrap();
    assert_eq!((data.len(), data.rows(), &data.shape[..]), (2, 8, &[4, 1][..]));
    assert_eq!(data.inputs, [0.0, 0.0, 1.0, 0.0, 2.0, 1.0, 3.0, 0.0]);
    let expect = Targets::Positions { labels: vec![0, 1, 0, 2, 1, 3, 0, 1], classes: 4, positions: 4 };
    assert_eq!(data.targets, expect);
    assert_eq!(data.class_counts(), [3, 3, 1, 1]);
    assert_eq!(
        data.subset(&[1]).unwrap().targets,
        Targets::Positions { labels: vec![1, 3, 0, 1], classes: 4, positions: 4 }
    );
}

#[test]
fn hidden_tokens_are_the_only_ones_asked_for() {
    let text = "the quick brown fox jumps over the lazy dog. ".repeat(200);
    let options = Options { masked: 0.15, ..Options::default() };
    let data = read("fox.txt", &text, &options).unwrap();
    let Targets::Positions { labels, classes, .. } = &data.targets else { panic!("{:?}", data.targets) };
    assert_eq!(*classes, 65);
    let share = data.rows() as f64 / labels.len() as f64;
    // Four standard errors of a share of 0.15 of 9,000.
    assert!((share - 0.15).abs() < 4.0 * (0.15 * 0.85 / labels.len() as f64).sqrt(), "{share}");
    for (input, &label) in data.inputs.iter().zip(labels) {
        assert_eq!(*input == 64.0, label != IGNORED);
    }
    let plain = read("fox.txt", &text, &Options::default()).unwrap();
    for ((masked, &label), input) in data.inputs.iter().zip(labels).zip(&plain.inputs) {
        assert_eq!(if label == IGNORED { *masked } else { label as f32 }, *input);
    }
}

#[test]
fn bytes_are_tokens_of_their_own_and_gzip_is_undone() {
    let options = Options { tokens: Tokens::Bytes, context: Some(3), ..Options::default() };
    let text = "\u{43c}\u{430}k".as_bytes();
    let data = read("b.txt", text, &options).unwrap();
    assert_eq!(data.inputs, [208.0, 188.0, 208.0]);
    assert_eq!(read("b.txt.gz", gzip(text), &options).unwrap().inputs, data.inputs);
    // What is no UTF-8 is bytes all the same.
    assert_eq!(read("b.txt", [255, 0, 7, 9], &options).unwrap().inputs, [255.0, 0.0, 7.0]);
}

#[test]
fn byte_pairs_are_as_many_as_the_vocabulary_and_shorten_the_text() {
    let text = "the quick brown fox jumps over the lazy dog\n".repeat(40);
    let of = |vocabulary| {
        let options = Options { tokens: Tokens::Pairs, context: Some(8), vocabulary, ..Options::default() };
        read("fox.txt", &text, &options).unwrap()
    };
    let (few, many) = (of(Some(260)), of(Some(300)));
    assert!(many.inputs.len() < few.inputs.len() && few.inputs.len() < text.len());
    let Targets::Positions { classes, .. } = many.targets else { panic!("{:?}", many.targets) };
    assert_eq!(classes, 300);
    assert!(many.inputs.iter().all(|id| *id < 300.0));
    assert_eq!(of(Some(300)).checksum(), of(Some(300)).checksum());
}

#[test]
fn what_is_no_text_is_refused_with_its_place() {
    let error = read("a.txt", [b'a', b'b', 0xff, b'c'], &four()).unwrap_err();
    assert!(error.to_string().contains("byte 2"), "{error}");
    for (bytes, options) in [
        ("abcd", four()),
        ("abcdefghij", Options { context: Some(0), ..four() }),
        ("abcdefghij", Options { vocabulary: Some(1), ..four() }),
        ("abcdefghij", Options { masked: 1.0, ..four() }),
        ("abcdefghij", Options { masked: f64::NAN, ..four() }),
        ("abcdefghij", Options { limit_bytes: 8, ..four() }),
        ("abcdefghij", Options { tokens: Tokens::Pairs, vocabulary: Some(256), ..four() }),
        ("", four()),
    ] {
        assert!(read("a.txt", bytes, &options).is_err(), "{bytes} {options:?}");
    }
}
