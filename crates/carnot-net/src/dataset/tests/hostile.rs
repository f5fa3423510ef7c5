//! Hostile input is ordinary: each way in which bytes can be wrong gives the error meant for it.

use std::io::Write;

use super::{Folder, floats, gzip, idx, npy, open_raw, raw, tensors};
use crate::dataset::{DataError, Options, Task, open};

/// The error of opening these bytes under this name, as text without the directory.
fn error_of(name: &str, bytes: impl AsRef<[u8]>, options: &Options) -> (DataError, String) {
    let folder = Folder::new();
    let path = folder.write(name, bytes);
    let error = open(&path, options).expect_err(name);
    let text = error.to_string().replace(&format!("{}/", folder.0.path().display()), "");
    (error, text)
}

macro_rules! refuses {
    ($name:expr, $bytes:expr, $pattern:pat, $text:expr) => {
        refuses!(with raw(), $name, $bytes, $pattern, $text)
    };
    (with $options:expr, $name:expr, $bytes:expr, $pattern:pat, $text:expr) => {
        let (error, text) = error_of($name, $bytes, &$options);
        assert!(matches!(error, $pattern), "{error:?}");
        assert_eq!(text, $text);
    };
}

#[test]
fn a_broken_idx_file_is_refused() {
    refuses!("a.idx", b"", DataError::Empty { .. }, "a.idx is empty");
    refuses!(
        "a.idx",
        b"\x00\x00\x08",
        DataError::Magic { .. },
        "a.idx is no IDX file: it starts with 00 00 08"
    );
    refuses!("a.idx", b"GIF89a", DataError::Magic { .. }, "a.idx is no IDX file: it starts with 47 49 46 38");
    refuses!(
        "a.idx",
        b"\x00\x00\x08\x03\x00\x00\x00\x01",
        DataError::Header { .. },
        "a.idx, byte 8: the header does not say all its dimensions"
    );
    refuses!(
        "a.idx",
        idx(8, &[3, 2, 2], &[0; 11]),
        DataError::Truncated { needed: 12, present: 11, .. },
        "a.idx is cut short: its header needs 12 bytes of data and at most 11 are there"
    );
    refuses!(
        "a.idx",
        idx(8, &[3, 2, 2], &[0; 13]),
        DataError::Excess { needed: 12, .. },
        "a.idx goes on after the 12 bytes that its header announces"
    );
    refuses!(
        "a.idx",
        idx(8, &[u32::MAX; 3], &[0; 13]),
        DataError::Overflow { .. },
        "a.idx: the dimensions [4294967295, 4294967295, 4294967295] multiply to more than 2^64 bytes"
    );
    refuses!(
        "a.idx",
        idx(14, &[60000, 28, 28], &[0; 13]),
        DataError::Truncated { needed: 376_320_000, present: 13, .. },
        "a.idx is cut short: its header needs 376320000 bytes of data and at most 13 are there"
    );
    refuses!("a.idx", idx(8, &[0, 2, 2], &[]), DataError::Nothing { .. }, "a.idx holds no samples");
    refuses!("a.idx", idx(8, &[2, 0, 2], &[]), DataError::Nothing { .. }, "a.idx holds no inputs");
    refuses!("a.idx", idx(8, &[], &[1]), DataError::Nothing { .. }, "a.idx holds no samples");
    let bad = [1.0_f32, 2.0, f32::NAN, 4.0].map(f32::to_be_bytes).concat();
    refuses!(
        "a.idx",
        idx(13, &[2, 2], &bad),
        DataError::NotFinite { .. },
        "a.idx, row 2, column 1: NaN is not a finite number in single precision"
    );
}

#[test]
fn labels_that_do_not_fit_the_images_are_refused() {
    let folder = Folder::new();
    let images = folder.write("train-images-idx3-ubyte", idx(8, &[3, 2, 2], &[5; 12]));
    let labels = folder.write("train-labels-idx1-ubyte", idx(8, &[2], &[0, 1]));
    let error = open_raw(&images).unwrap_err();
    assert!(matches!(error, DataError::Count { inputs: 3, targets: 2, .. }), "{error}");
    folder.write("train-labels-idx1-ubyte", idx(9, &[3], &[0, 1, 255]));
    let error = open_raw(&images).unwrap_err();
    assert!(error.to_string().ends_with("row 3, column 1: the label -1 is negative"), "{error}");
    folder.write("train-labels-idx1-ubyte", idx(12, &[3], &[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1]));
    let error = open_raw(&images).unwrap_err();
    assert!(error.to_string().ends_with("row 2, column 1: the label 65536 is not below 65536"), "{error}");
    std::fs::remove_file(&images).unwrap();
    assert!(matches!(open_raw(&labels), Err(DataError::Missing { .. })));
}

#[test]
fn a_small_gzip_cannot_unpack_without_end() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        encoder.write_all(&[b'1'; 1 << 20]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 100_000);
    let options = Options { limit_bytes: 1 << 20, ..raw() };
    refuses!(
        with options.clone(),
        "a.csv.gz",
        &bomb,
        DataError::TooLarge { limit: 1_048_576, .. },
        "a.csv.gz needs 1048577 bytes in memory, above the limit of 1048576"
    );
    // An honest header before the bomb: only what it says is unpacked, and one byte more.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&idx(8, &[2, 1], &[0; 1 << 20])).unwrap();
    refuses!(
        with options,
        "a.idx.gz",
        encoder.finish().unwrap(),
        DataError::Excess { needed: 2, .. },
        "a.idx.gz goes on after the 2 bytes that its header announces"
    );
    // A dishonest one: more than the file could unpack to.
    let dishonest = gzip(&idx(8, &[1 << 30], &[0; 100]));
    let most = dishonest.len() as u64 * 1032 - 8;
    let (error, text) = error_of("a.idx.gz", dishonest, &raw());
    assert!(
        matches!(error, DataError::Truncated { needed: 1_073_741_824, present, .. } if present == most),
        "{text}"
    );
}

#[test]
fn a_damaged_gzip_is_refused() {
    let whole = gzip(&idx(8, &[100, 1], &(0..100).map(|x| x * 7 % 101).collect::<Vec<u8>>()));
    for cut in [10, 20, whole.len() / 2, whole.len() - 1] {
        let (error, text) = error_of("a.idx.gz", &whole[..cut], &raw());
        let is_damage = matches!(error, DataError::Compression { .. } | DataError::Truncated { .. });
        assert!(is_damage, "cut at {cut}: {text}");
    }
    let mut changed = whole.clone();
    let sum = changed.len() - 6;
    changed[sum] ^= 1;
    let (error, _) = error_of("a.idx.gz", &changed, &raw());
    assert!(matches!(error, DataError::Compression { .. }), "{error}");
}

#[test]
fn a_broken_npy_file_is_refused() {
    let header = |shape: &str| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
    refuses!("a.npy", b"", DataError::Empty { .. }, "a.npy is empty");
    refuses!(
        "a.npy",
        b"PK\x03\x04abcdef",
        DataError::Magic { .. },
        "a.npy is no NPY file: it starts with 50 4b 03 04 61 62 63 64"
    );
    refuses!(
        "a.npy",
        b"\x93NUMPY\x09\x00\x10\x00",
        DataError::Header { .. },
        "a.npy: the header does not say a version from 1 to 3"
    );
    refuses!(
        "a.npy",
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}",
        DataError::Header { .. },
        "a.npy: the header does not say a length below 64 KiB"
    );
    refuses!(
        "a.npy",
        b"\x93NUMPY\x01\x00\xff\x0f{}",
        DataError::Header { .. },
        "a.npy: the header does not say all it announces"
    );
    refuses!(
        "a.npy",
        npy(&header("(2, 2)"), &floats(&[1.0, 2.0, 3.0])),
        DataError::Truncated { needed: 16, present: 12, .. },
        "a.npy is cut short: its header needs 16 bytes of data and at most 12 are there"
    );
    refuses!(
        "a.npy",
        npy(&header("(99999999999999999999,)"), &[]),
        DataError::Header { .. },
        "a.npy: the header does not say dimensions that are whole numbers below 2^64"
    );
    refuses!(
        "a.npy",
        npy(&header("(-1,)"), &[]),
        DataError::Header { .. },
        "a.npy: the header does not say dimensions that are whole numbers below 2^64"
    );
    refuses!(
        "a.npy",
        npy(&header("(0, 4294967296, 4294967296)"), &[]),
        DataError::Overflow { .. },
        "a.npy: the dimensions [0, 4294967296, 4294967296] multiply to more than 2^64 bytes"
    );
    refuses!(
        "a.npy",
        npy(&header("(2, 2)"), &floats(&[1.0, 2.0, f32::NEG_INFINITY, 3.0])),
        DataError::NotFinite { .. },
        "a.npy, row 2, column 1: -inf is not a finite number in single precision"
    );
    refuses!(
        "a.npy",
        npy(&header("()"), &floats(&[1.0])),
        DataError::Nothing { .. },
        "a.npy holds no samples"
    );
    for descr in ["'|O'", "'<c8'", "[('a', '<f4'), ('b', '<f4')]"] {
        let dictionary = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (2,), }}\n");
        let (error, text) = error_of("a.npy", npy(&dictionary, &[0; 16]), &raw());
        assert!(matches!(error, DataError::ElementType { .. }), "{text}");
    }
    let deep = format!("{{'descr': {}", "(".repeat(60_000));
    let (error, text) = error_of("a.npy", npy(&deep, &[]), &raw());
    assert!(matches!(error, DataError::ElementType { .. }), "{text}");
}

#[test]
fn a_fortran_array_names_the_row_of_its_bad_number() {
    let header = "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }\n";
    let bytes = npy(header, &floats(&[1.0, 2.0, f32::NAN, 4.0]));
    let (_, text) = error_of("a.npy", bytes, &raw());
    assert!(text.starts_with("a.npy, row 1, column 2: NaN"), "{text}");
}

#[test]
fn a_broken_npz_file_is_refused() {
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }\n";
    let archive = |members: &[(&str, Vec<u8>)]| {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, bytes) in members {
            writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    };
    refuses!("a.npz", b"", DataError::Empty { .. }, "a.npz is empty");
    let (error, text) = error_of("a.npz", b"PK\x03\x04 and nothing else", &raw());
    assert!(matches!(error, DataError::Archive { .. }), "{text}");
    refuses!(
        "a.npz",
        archive(&[
            ("inputz.npy", npy(header, &[1, 2])),
            ("b.npy", npy(header, &[1, 2])),
            ("read.me", vec![])
        ]),
        DataError::NoArray { nearest: Some(_), .. },
        "a.npz holds no array named `x`, `inputs`, `input`, `data`, `images`, `features`, `x_train`, `train_images`, \
         `arr_0`; it has `inputz`, `b`"
    );
    refuses!(
        "a.npz",
        archive(&[("read.me", vec![])]),
        DataError::NoArray { .. },
        "a.npz holds no array named `x`, `inputs`, `input`, `data`, `images`, `features`, `x_train`, `train_images`, \
         `arr_0`; it has nothing"
    );
    refuses!(
        "a.npz",
        archive(&[("x.npy", npy(header, &[1, 2])), ("y.npy", npy(header, &[1]))]),
        DataError::Truncated { .. },
        "a.npz, array `y` is cut short: its header needs 2 bytes of data and at most 1 are there"
    );
    refuses!(
        with Options { label: Some("X".into()), ..raw() },
        "a.npz",
        archive(&[("x.npy", npy(header, &[1, 2]))]),
        DataError::NoArray { .. },
        "a.npz holds no array named `X`; it has `x`"
    );
    let whole = archive(&[("x.npy", npy(header, &[1, 2]))]);
    for cut in 0..whole.len() {
        error_of("a.npz", &whole[..cut], &raw());
    }
}

#[test]
fn a_broken_safetensors_file_is_refused() {
    let one = r#"{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    refuses!("a.safetensors", b"", DataError::Empty { .. }, "a.safetensors is empty");
    refuses!(
        "a.safetensors",
        b"abc",
        DataError::Truncated { .. },
        "a.safetensors is cut short: its header needs 8 bytes of data and at most 3 are there"
    );
    refuses!(
        "a.safetensors",
        b"\x93NUMPY\x01\x00abc",
        DataError::Magic { .. },
        "a.safetensors is no safetensors file: it starts with 93 4e 55 4d 50 59 01 00"
    );
    refuses!(
        "a.safetensors",
        b"\x00\x00\x00\x01\x00\x00\x00\x00{}",
        DataError::Truncated { .. },
        "a.safetensors is cut short: its header needs 16777216 bytes of data and at most 2 are there"
    );
    let (error, text) = error_of("a.safetensors", tensors("{\"x\":", &[]), &raw());
    assert!(matches!(error, DataError::TensorHeader { .. }), "{text}");
    let lies = r#"{"x":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#;
    let (error, text) = error_of("a.safetensors", tensors(lies, &[0; 8]), &raw());
    assert!(matches!(error, DataError::TensorHeader { .. }), "{text}");
    refuses!(
        "a.safetensors",
        tensors(one, &[0; 4]),
        DataError::Truncated { needed: 8, present: 4, .. },
        "a.safetensors is cut short: its header needs 8 bytes of data and at most 4 are there"
    );
    refuses!(
        "a.safetensors",
        tensors(one, &[0; 12]),
        DataError::Excess { .. },
        "a.safetensors goes on after the 8 bytes that its header announces"
    );
    refuses!(
        "a.safetensors",
        tensors(one, &floats(&[0.0, f32::NAN])),
        DataError::NotFinite { .. },
        "a.safetensors, array `x`, row 2, column 1: NaN is not a finite number in single precision"
    );
    let small = r#"{"x":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]}}"#;
    refuses!(
        "a.safetensors",
        tensors(small, &[0; 2]),
        DataError::ElementType { .. },
        "a.safetensors, array `x`: numbers of type `F8_E4M3` are not read"
    );
}

#[test]
fn a_broken_table_is_refused_with_line_and_column() {
    let check = |text: &str, expect: &str| {
        let (_, found) = error_of("a.csv", text, &raw());
        assert_eq!(found, expect, "{text:?}");
    };
    check("", "a.csv is empty");
    check("\n\n", "a.csv holds no samples");
    check("a,b\n", "a.csv holds no samples");
    check("label\n1\n0\n", "a.csv holds no inputs beside the targets");
    check("1,2\n3\n", "a.csv:2 has 1 cells, the lines before it 2");
    check("a,b\n\n1,2\n\n1,2,3\n", "a.csv:5 has 3 cells, the lines before it 2");
    check("1,2\n3,four\n", "a.csv:2:2: \"four\" is not a number");
    check("1,2\r\n\r\n3,four\r\n", "a.csv:3:2: \"four\" is not a number");
    check("1,2\r3,4\r5,four", "a.csv:3:2: \"four\" is not a number");
    check("a,\"b\nb\"\n1,2\n3,four\n", "a.csv:4:2: \"four\" is not a number");
    check("a,b\n1,2\n\n\n3,\n", "a.csv:5:2: \"\" is not a number");
    check("1,oops,3\n1,2,3\n", "a.csv:1:2: \"oops\" is not a number");
    check("1,2\n3,nan\n", "a.csv:2:2: NaN is not a finite number in single precision");
    check("1,2\n-inf,3\n", "a.csv:2:1: -inf is not a finite number in single precision");
    check("1,2\n1e39,3\n", "a.csv:2:1: 1e39 is not a finite number in single precision");
    check("a,label\n1,0\n1,-1\n", "a.csv:3:2: the label -1 is negative");
    check("a,label\n1,0\n1,0.5\n", "a.csv:3:2: the label 0.5 is not a whole number");
    check("a,label\n1,0\n1,70000\n", "a.csv:3:2: the label 70000 is not below 65536");
    check("a,label\n1,b\n1,\n", "a.csv:3:2: \"\" is not a number");
    check("\"1,2\n3,4\n", "a.csv holds no samples");
    let (_, text) =
        error_of("a.csv", "1,2\n3,4\n", &Options { task: Task::Classes, label: Some("3".into()), ..raw() });
    assert_eq!(text, "a.csv has no column `3`");
    let (_, text) = error_of("a.csv", "prize,b\n3,4\n", &Options { label: Some("price".into()), ..raw() });
    assert_eq!(text, "a.csv has no column `price`; a similar name is `prize`");
    let (_, text) = error_of("a.csv", "1,2\n3,4\n", &Options { limit_bytes: 36, ..raw() });
    assert_eq!(text, "a.csv:2 needs 48 bytes in memory, above the limit of 36");
    let long = format!("1,{}\n2,3\n", "x".repeat(1000));
    let (_, text) = error_of("a.csv", long, &raw());
    assert_eq!(text, format!("a.csv:1:2: {:?} is not a number", "x".repeat(40)));
}
