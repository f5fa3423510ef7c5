//! What is written comes back, for every format; written by libraries that share no code with the readers.

use std::io::{Cursor, Write};

use ndarray::{Array1, Array2, Array3, ShapeBuilder};
use ndarray_npy::WriteNpyExt;

use super::{Folder, floats, gzip, idx, npy, open_raw, raw, tensors};
use crate::dataset::{Options, Part, Scaling, Targets, Task, open};

fn labels(targets: &Targets) -> Vec<u32> {
    match targets {
        Targets::Classes { labels, .. } => labels.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn idx_pairs_are_found_from_either_file_and_from_the_directory_zipped_or_not() {
    let folder = Folder::new();
    let images: Vec<u8> = (0..3 * 4).collect();
    let train = folder.write("train-images-idx3-ubyte.gz", gzip(&idx(8, &[3, 2, 2], &images)));
    let names = folder.write("train-labels-idx1-ubyte", idx(8, &[3], &[2, 0, 1]));
    for spec in [&train, &names, &folder.0.path().display().to_string()] {
        let data = open_raw(spec).unwrap();
        assert_eq!(data.shape, [2, 2, 1], "{spec}");
        assert_eq!(data.inputs, images.iter().map(|&x| f32::from(x)).collect::<Vec<_>>());
        assert_eq!(labels(&data.targets), [2, 0, 1]);
    }
    folder.write("t10k-images-idx3-ubyte", idx(8, &[2, 2, 2], &images[..8]));
    folder.write("t10k-labels-idx1-ubyte.gz", gzip(&idx(8, &[2], &[7, 0])));
    for (part, count, classes) in [(Part::All, 5, 8), (Part::Train, 3, 3), (Part::Test, 2, 8)] {
        let data = open(&folder.0.path().display().to_string(), &Options { part, ..raw() }).unwrap();
        assert_eq!((data.len(), data.targets.outputs()), (count, classes), "{part:?}");
    }
    let data = open(&train, &Options { scaling: Some(Scaling::Unit), ..Options::default() }).unwrap();
    assert_eq!((data.inputs[0], data.inputs[11]), (0.0, 1.0));
}

#[test]
fn idx_numbers_of_every_type_are_most_significant_byte_first() {
    let folder = Folder::new();
    let check = |kind: u8, data: &[u8], expect: [f32; 2]| {
        let path = folder.write("some.idx", idx(kind, &[2, 1], data));
        assert_eq!(open_raw(&path).unwrap().inputs, expect, "{kind:02x}");
    };
    check(0x08, &[1, 255], [1.0, 255.0]);
    check(0x09, &[1, 255], [1.0, -1.0]);
    check(0x0b, &[1, 0, 255, 255], [256.0, -1.0]);
    check(0x0c, &[0, 0, 1, 0, 255, 255, 255, 255], [256.0, -1.0]);
    check(0x0d, &[1.5_f32.to_be_bytes(), (-2.0_f32).to_be_bytes()].concat(), [1.5, -2.0]);
    check(0x0e, &[1.5_f64.to_be_bytes(), (-2.0_f64).to_be_bytes()].concat(), [1.5, -2.0]);
}

#[test]
fn npy_written_by_another_library_comes_back_in_either_order() {
    let folder = Folder::new();
    let array = Array3::from_shape_fn((4, 3, 2), |(i, j, k)| (100 * i + 10 * j + k) as f64);
    let mut plain = Vec::new();
    array.write_npy(&mut plain).unwrap();
    let data = open_raw(&folder.write("x.npy", &plain)).unwrap();
    assert_eq!((data.len(), data.shape.as_slice()), (4, &[3, 2][..]));
    assert_eq!(data.inputs, array.iter().map(|&x| x as f32).collect::<Vec<_>>());
    let mut transposed = ndarray::Array::zeros((4, 3, 2).f());
    transposed.assign(&array);
    let mut bytes = Vec::new();
    transposed.write_npy(&mut bytes).unwrap();
    assert!(String::from_utf8_lossy(&bytes[..80]).contains("'fortran_order': True"));
    assert_eq!(open_raw(&folder.write("f.npy", &bytes)).unwrap().inputs, data.inputs);
    assert_eq!(open_raw(&folder.write("x.npy.gz", gzip(&plain))).unwrap().inputs, data.inputs);
}

#[test]
fn npy_numbers_of_every_type_are_read() {
    let folder = Folder::new();
    let check = |descr: &str, data: &[u8], expect: [f32; 2]| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2,), }}\n");
        let path = folder.write("some.npy", npy(&header, data));
        assert_eq!(open_raw(&path).unwrap().inputs, expect, "{descr}");
    };
    check("|b1", &[0, 1], [0.0, 1.0]);
    check("|u1", &[0, 255], [0.0, 255.0]);
    check("|i1", &[1, 255], [1.0, -1.0]);
    check("<i2", &[0, 1, 255, 255], [256.0, -1.0]);
    check(">u2", &[1, 0, 255, 255], [256.0, 65535.0]);
    check("<i8", &[1, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255], [1.0, -1.0]);
    check("<f2", &[0, 0x3c, 0, 0xc0], [1.0, -2.0]);
    check("<f4", &floats(&[1.5, -2.0]), [1.5, -2.0]);
    check(">f4", &[1.5_f32.to_be_bytes(), (-2.0_f32).to_be_bytes()].concat(), [1.5, -2.0]);
}

#[test]
fn npz_arrays_are_found_by_their_usual_names() {
    let folder = Folder::new();
    for (inputs, targets) in [("x", "y"), ("data", "targets"), ("Images", "Labels"), ("arr_0", "arr_1")] {
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        let stored = zip::write::SimpleFileOptions::default();
        writer.start_file(format!("{targets}.npy"), stored).unwrap();
        Array1::from(vec![0_i64, 2, 1]).write_npy(&mut writer).unwrap();
        let deflated = stored.compression_method(zip::CompressionMethod::Deflated);
        writer.start_file(format!("{inputs}.npy"), deflated).unwrap();
        Array2::from_shape_fn((3, 2), |(i, j)| (2 * i + j) as f32).write_npy(&mut writer).unwrap();
        let path = folder.write("some.npz", writer.finish().unwrap().into_inner());
        let data = open_raw(&path).unwrap();
        assert_eq!(data.inputs, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], "{inputs}");
        assert_eq!(data.targets, Targets::Classes { labels: vec![0, 2, 1], classes: 3 });
        let values = open(&path, &Options { task: Task::Values, ..raw() }).unwrap();
        assert_eq!(values.targets, Targets::Values { values: vec![0.0, 2.0, 1.0], width: 1 });
        let swapped = open(&path, &Options { label: Some(inputs.into()), ..raw() }).unwrap();
        assert_eq!((swapped.shape.as_slice(), swapped.targets.outputs()), (&[1][..], 2));
    }
}

#[test]
fn safetensors_written_by_their_own_library_come_back() {
    use safetensors::tensor::{Dtype, TensorView, serialize};
    let folder = Folder::new();
    let (inputs, labels) = (floats(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), [1_u8, 0, 3]);
    let views = [
        ("labels", TensorView::new(Dtype::U8, vec![3], &labels).unwrap()),
        ("inputs", TensorView::new(Dtype::F32, vec![3, 2], &inputs).unwrap()),
    ];
    let data = open_raw(&folder.write("a.safetensors", serialize(views, None).unwrap())).unwrap();
    assert_eq!(data.inputs, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(data.targets, Targets::Classes { labels: vec![1, 0, 3], classes: 4 });
    let half = r#"{"x":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}"#;
    let path = folder.write("b.safetensors", tensors(half, &[0x80, 0x3f, 0x00, 0xc0]));
    assert_eq!(open_raw(&path).unwrap().inputs, [1.0, -2.0]);
}

/// Rows of text and what they mean: inputs, labels.
#[test]
fn tables_of_text_mean_what_they_seem_to() {
    let folder = Folder::new();
    let check = |text: &str, inputs: &[f32], expect: &[u32]| {
        let data =
            open_raw(&folder.write("some.csv", text)).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert_eq!(data.inputs, inputs, "{text:?}");
        match &data.targets {
            Targets::Classes { labels, .. } => assert_eq!(labels, expect, "{text:?}"),
            other => assert!(expect.is_empty(), "{text:?}: {other:?}"),
        }
    };
    let halves = &[0.5, 1.5, 2.5, 3.5];
    check("a,label\n0.5,1\n1.5,0\n2.5,1\n3.5,0\n", halves, &[1, 0, 1, 0]);
    check("Label;a\r\n1;0.5\r\n0;1.5\r\n1;2.5\r\n0;3.5", halves, &[1, 0, 1, 0]);
    check("\u{feff}a\ty\n0.5\t1\n1.5\t0\n2.5\t1\n3.5\t0\n", halves, &[1, 0, 1, 0]);
    check("0.5,1\n1.5,0\n\n2.5,1\n3.5,0\n", halves, &[1, 0, 1, 0]);
    check("0.5, b \n1.5,a\n2.5,b\n3.5,\"a\"\n", halves, &[1, 0, 1, 0]);
    check("size,species\n0.5,b\n1.5,a\n2.5,b\n3.5,a\n", halves, &[1, 0, 1, 0]);
    check("label,0,1\n1,0.5,1.5\n0,2.5,3.5\n", halves, &[1, 0]);
    check("0.5,1.5\n2.5,3.5\n", halves, &[]);
    check("a,b\n0.5,1.5\n2.5,3.5\n", halves, &[]);
    check("0.5\n1.5\n2.5\n3.5\n", halves, &[]);
    check("0.5,1\n1.5,2\n", &[0.5, 1.0, 1.5, 2.0], &[]);
}

#[test]
fn a_column_can_be_named_or_numbered_and_fractions_are_values() {
    let folder = Folder::new();
    let path = folder.write("some.csv", "price,size\n0.5,1\n1.5,2\n");
    for label in ["price", "PRICE", "1"] {
        let data = open(&path, &Options { label: Some(label.into()), ..raw() }).unwrap();
        assert_eq!(data.inputs, [1.0, 2.0], "{label}");
        assert_eq!(data.targets, Targets::Values { values: vec![0.5, 1.5], width: 1 });
    }
    let zipped = folder.write("some.csv.gz", gzip(b"0.5,1\n1.5,1\n2.5,0\n3.5,0\n"));
    assert_eq!(labels(&open_raw(&zipped).unwrap().targets), [1, 1, 0, 0]);
}

#[test]
fn formats_are_known_by_their_first_bytes_when_the_name_says_nothing() {
    let folder = Folder::new();
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }\n";
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file("x.npy", zip::write::SimpleFileOptions::default()).unwrap();
    archive.write_all(&npy(header, &[3, 4])).unwrap();
    for bytes in [
        idx(8, &[2, 1], &[3, 4]),
        gzip(&idx(8, &[2, 1], &[3, 4])),
        npy(header, &[3, 4]),
        archive.finish().unwrap().into_inner(),
        tensors(r#"{"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}"#, &[3, 4]),
        b"3\n4\n".to_vec(),
    ] {
        assert_eq!(open_raw(&folder.write("blob", &bytes)).unwrap().inputs, [3.0, 4.0]);
    }
}

#[test]
fn a_large_file_is_cut_to_a_balanced_part() {
    let folder = Folder::new();
    let rows: String = (0..1000).map(|row| format!("{}.5,{}\n", row, u8::from(row >= 900))).collect();
    let path = folder.write("some.csv", rows);
    let data = open(&path, &Options { samples: Some(100), ..Options::default() }).unwrap();
    assert_eq!(data.class_counts(), [50, 50]);
    assert!((data.mean_square() - 1.0).abs() < 1e-6);
}

#[test]
fn double_precision_keeps_all_its_digits() {
    let numbers = [1.0 / 3.0, 0.5, -2.0 / 7.0, 1e-9];
    let data: Vec<u8> = numbers.iter().flat_map(|x: &f64| x.to_le_bytes()).collect();
    let file = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }", &data);
    let folder = Folder::new();
    assert_eq!(open_raw(&folder.write("x.npy", file)).unwrap().exact_inputs(), numbers);
    let [a, b, c, d] = numbers;
    let text = format!("a,b,c\n{a:?},{b:?},1.5\n{c:?},{d:?},2.25\n");
    let columns = open_raw(&folder.write("x.csv", text)).unwrap().exact_inputs();
    assert_eq!([columns[0], columns[1], columns[3], columns[4]], numbers);
}
