//! Every format says the same of the same numbers, and every hostile file gets one error.

mod write;

use std::fs;
use std::path::Path;

use carnot_models::checkpoint::{Checkpoint, Format};
use carnot_models::error::ModelError;
use write::{archive, floats, gguf, npy, raw_safetensors, safetensors, state};

fn read(bytes: Vec<u8>, name: &str) -> Result<Checkpoint, ModelError> {
    Checkpoint::of_bytes(bytes, Path::new(name))
}

fn values(checkpoint: &Checkpoint, name: &str) -> Vec<f32> {
    checkpoint.values(checkpoint.find(name).unwrap_or_else(|| panic!("no {name}"))).unwrap()
}

const NUMBERS: [f32; 6] = [1.0, -2.0, 0.5, 4.0, 5.0, -0.25];

/// The legacy format: five pickles, then a count and the numbers.
fn legacy(state: &[u8], keys: &[&str], storages: &[&[f32]]) -> Vec<u8> {
    let mut bytes = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.".to_vec();
    bytes.extend(b"\x80\x02M\xe9\x03.");
    bytes.extend(b"\x80\x02}q\x00.");
    bytes.extend(state);
    bytes.extend(b"\x80\x02](");
    for key in keys {
        bytes.push(b'X');
        bytes.extend((key.len() as u32).to_le_bytes());
        bytes.extend(key.as_bytes());
    }
    bytes.extend(b"e.");
    for storage in storages {
        bytes.extend((storage.len() as u64).to_le_bytes());
        bytes.extend(floats(storage));
    }
    bytes
}

#[test]
fn every_format_gives_the_same_numbers() {
    let one: &[write::Pickled] = &[("w", "0", 6, 0, &[2, 3], &[3, 1])];
    let pickle = state(one);
    let plain = floats(&NUMBERS);
    let array = npy("<f4", false, "(2, 3)", &plain);
    let rows = [
        (Format::Safetensors, safetensors(&[("w", &[2, 3], NUMBERS.to_vec())])),
        (Format::Gguf, gguf(&[("w", &[3, 2], 0, plain.clone())])),
        (
            Format::Torch,
            archive(&[("m/data.pkl", &pickle), ("m/byteorder", b"little"), ("m/data/0", &plain)], false),
        ),
        (Format::Torch, legacy(&pickle, &["0"], &[&NUMBERS])),
        (Format::Npz, archive(&[("w.npy", &array)], false)),
        (Format::Npz, archive(&[("w.npy", &array)], true)),
    ];
    for (format, bytes) in rows {
        let checkpoint = read(bytes, "file").unwrap();
        assert_eq!(checkpoint.format, format);
        assert_eq!(checkpoint.tensors[0].shape, [2, 3], "{format:?}");
        assert_eq!(values(&checkpoint, "w"), NUMBERS, "{format:?}");
        assert_eq!(checkpoint.fingerprint().unwrap().len(), 16);
    }
}

#[test]
fn views_and_other_orders_are_read_in_the_order_of_their_shape() {
    // A transposed view, and one that starts inside its storage.
    let pickle = state(&[("t", "0", 6, 0, &[3, 2], &[1, 3]), ("part", "0", 6, 3, &[3], &[1])]);
    let bytes = archive(&[("m/data.pkl", &pickle), ("m/data/0", &floats(&NUMBERS))], false);
    let checkpoint = read(bytes, "a.pt").unwrap();
    assert_eq!(values(&checkpoint, "t"), [1.0, 4.0, -2.0, 5.0, 0.5, -0.25]);
    assert_eq!(values(&checkpoint, "part"), [4.0, 5.0, -0.25]);
    let array = npy("<f4", true, "(3, 2)", &floats(&NUMBERS));
    for is_deflated in [false, true] {
        let checkpoint = read(archive(&[("t.npy", &array)], is_deflated), "a.npz").unwrap();
        assert_eq!(values(&checkpoint, "t"), [1.0, 4.0, -2.0, 5.0, 0.5, -0.25]);
    }
}

#[test]
fn types_and_metadata_of_gguf() {
    let mut blocks = vec![0x00, 0x38];
    blocks.extend([2u8; 32]);
    let checkpoint = read(
        gguf(&[("a", &[32], 8, blocks), ("k", &[256], 12, vec![0; 144]), ("i", &[256], 16, vec![0; 66])]),
        "a.gguf",
    )
    .unwrap();
    assert_eq!(values(&checkpoint, "a"), [1.0; 32]);
    assert_eq!(values(&checkpoint, "k"), [0.0; 256]);
    assert_eq!(checkpoint.metadata["general.architecture"], "llama");
    assert!(!checkpoint.metadata.contains_key("tokenizer.ggml.tokens"), "long lists are left out");
    let empty = read(gguf(&[("e", &[0, 1 << 40, 1 << 40], 0, vec![])]), "b.gguf").unwrap();
    assert_eq!((empty.tensors[0].count(), values(&empty, "e").len()), (0, 0));
    // A type that no reader knows is there by name, and refuses its numbers alone.
    let unknown = checkpoint.find("i").unwrap();
    assert_eq!(unknown.element, Err("IQ2_XXS".into()));
    assert!(matches!(checkpoint.values(unknown), Err(ModelError::ElementType { .. })));
}

#[test]
fn shards_and_folders() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("a.safetensors", &safetensors(&[("x", &[2], vec![1.0, 2.0])]));
    write("b.safetensors", &safetensors(&[("y", &[1], vec![3.0])]));
    let index = |map: &str| {
        write(
            "model.safetensors.index.json",
            format!("{{\"metadata\":{{}},\"weight_map\":{map}}}").as_bytes(),
        )
    };
    index(r#"{"y":"b.safetensors","x":"a.safetensors"}"#);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!((values(&checkpoint, "x"), values(&checkpoint, "y")), (vec![1.0, 2.0], vec![3.0]));
    for (map, expect) in [
        (r#"{"x":"c.safetensors"}"#, "is not there"),
        (r#"{"x":"../a.safetensors"}"#, "is not there"),
        (r#"{"z":"a.safetensors"}"#, "says that a.safetensors holds `z`"),
        (r#"["x"]"#, "no index of shards"),
    ] {
        index(map);
        let error = Checkpoint::open(folder.path()).err().expect(map).to_string();
        assert!(error.contains(expect), "{map}: {error}");
    }
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Checkpoint::open(empty.path()), Err(ModelError::NoWeights { .. })));
}

/// Each file is refused with one error that says this.
#[test]
fn hostile_files_are_refused() {
    let good = safetensors(&[("w", &[2, 3], NUMBERS.to_vec())]);
    let header = |places: &str| raw_safetensors(&format!("{{{places}}}"), &[0; 16]);
    let tensor = |name: &str, shape: &str, from: &str, to: &str| {
        format!("\"{name}\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[{from},{to}]}}")
    };
    let system = b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.".to_vec();
    let stacked = b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.".to_vec();
    let build = b"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.".to_vec();
    let zip = |pickle: &[u8]| archive(&[("m/data.pkl", pickle), ("m/data/0", &floats(&NUMBERS))], false);
    let torch = |sides: &[u32], strides: &[u32], count: u32, offset: u32| {
        zip(&state(&[("w", "0", count, offset, sides, strides)]))
    };
    let mut counts = b"GGUF\x03\x00\x00\x00".to_vec();
    counts.extend(u64::MAX.to_le_bytes());
    counts.extend(0u64.to_le_bytes());
    let mut text = b"GGUF\x03\x00\x00\x00".to_vec();
    text.extend(0u64.to_le_bytes());
    text.extend(1u64.to_le_bytes());
    text.extend((1u64 << 62).to_le_bytes());
    text.extend([0; 64]);
    let zeros = vec![0u8; 1 << 27];
    let bomb = npy("<f4", false, "(33554432,)", &zeros);
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        ("cut.safetensors", good[..good.len() - 5].to_vec(), "takes 24 bytes, and 19 are there"),
        ("header.safetensors", good[..20].to_vec(), "the header takes"),
        ("length.safetensors", good[..5].to_vec(), "the length of the header"),
        ("long.safetensors", [&u64::MAX.to_le_bytes()[..], b"{"].concat(), "at most 100000000"),
        (
            "huge.safetensors",
            header(&tensor("w", "[50000000000]", "0", "200000000000")),
            "200000000000 bytes",
        ),
        ("negative.safetensors", header(&tensor("w", "[4]", "-16", "0")), "not that of safetensors"),
        (
            "overlap.safetensors",
            header(&[tensor("a", "[3]", "0", "12"), tensor("b", "[3]", "4", "16")].join(",")),
            "not that of safetensors",
        ),
        ("shape.safetensors", header(&tensor("w", "[5]", "0", "16")), "not that of safetensors"),
        (
            "overflow.safetensors",
            header(&tensor("w", "[4294967296,4294967296,4]", "0", "16")),
            "not that of safetensors",
        ),
        ("text.safetensors", raw_safetensors("{\"w\": 3}", &[]), "not that of safetensors"),
        ("more.safetensors", [&good[..], &[0]].concat(), "1 bytes follow"),
        ("system.pt", zip(&system), "os.system"),
        ("stacked.pt", zip(&stacked), "os.system"),
        ("eval.pth", build.clone(), "__builtin__.eval"),
        ("bare.pkl", system.clone(), "os.system"),
        ("old.pkl", b"cos\nsystem\n(S'true'\ntR.".to_vec(), "os.system"),
        ("class.pt", zip(b"\x80\x02c__main__\nNet\n)\x81."), "__main__.Net"),
        ("instance.pt", zip(b"(i__main__\nNet\n."), "__main__.Net"),
        ("beyond.pt", torch(&[2, 3], &[3, 1], 6, 1), "beyond the end of its storage"),
        ("stride.pt", torch(&[2, 3], &[u32::MAX, 1], 6, 0), "`w`"),
        ("expanded.pt", torch(&[100_000, 100_000], &[0, 0], 6, 0), "more numbers than its storage"),
        ("claims.pt", torch(&[2, 3], &[3, 1], 1_000_000_000, 0), "4000000000 bytes"),
        ("empty-stack.pt", zip(b"\x80\x02."), "takes more from its stack"),
        ("cut.pt", zip(b"\x80\x02}q"), "ends early"),
        ("memo.pt", zip(b"\x80\x02h\x05."), "recalls what it did not keep"),
        (
            "storage.pt",
            archive(&[("m/data.pkl", &state(&[("w", "7", 6, 0, &[6], &[1])]))], false),
            "points at a storage",
        ),
        (
            "big-endian.pt",
            archive(&[("m/data.pkl", b"}."), ("m/byteorder", b"big")], false),
            "not little-endian",
        ),
        ("nothing.zip", archive(&[("readme.txt", b"hello")], false), "neither data.pkl nor arrays"),
        ("cut.npz", b"PK\x03\x04\x14\x00\x00\x00".to_vec(), "archive"),
        ("bomb.npz", archive(&[("w.npy", &bomb)], true), "inflates"),
        ("object.npz", archive(&[("w.npy", &npy("|O", false, "(1,)", &system))], false), "pickle inside"),
        (
            "short.npz",
            archive(&[("w.npy", &npy("<f4", false, "(1000, 1000)", &[0; 8]))], false),
            "4000000 bytes",
        ),
        ("counts.gguf", counts, "the number of tensors is 18446744073709551615"),
        ("text.gguf", text, "4611686018427387904 bytes"),
        ("version.gguf", b"GGUF\x00\x00\x00\x03aaaaaaaaaaaaaaaaaaaaaaaa".to_vec(), "version 50331648"),
        ("cut.gguf", gguf(&[("w", &[3, 2], 0, floats(&NUMBERS))])[..100].to_vec(), "cut.gguf"),
        ("sides.gguf", gguf(&[("w", &[1, 1, 1, 1, 1], 0, vec![0; 4])]), "number of sides"),
        ("size.gguf", gguf(&[("w", &[1 << 40, 1 << 40], 0, vec![])]), "counted"),
        ("far.gguf", gguf(&[("w", &[1 << 36], 0, vec![])]), "274877906944 bytes"),
        ("type.gguf", gguf(&[("w", &[4], 99, vec![0; 16])]), "type 99"),
        ("row.gguf", gguf(&[("w", &[33], 8, vec![0; 64])]), "no multiple of 32"),
        ("empty.safetensors", Vec::new(), "is empty"),
        ("picture.png", b"\x89PNG\r\n\x1a\n".to_vec(), "no known format"),
    ];
    for (name, bytes, expect) in rows {
        match read(bytes, name) {
            Ok(_) => panic!("{name} is accepted"),
            Err(error) => assert!(error.to_string().contains(expect), "{name}: {error}"),
        }
    }
}

/// Dictionaries that hold each other, lists that hold themselves twice at every level: a few bytes that unfold without end.
#[test]
fn pickles_that_unfold_without_end_are_refused() {
    let mut doubling = b"\x80\x02]q\x00".to_vec();
    for level in 0..30u8 {
        doubling.extend([b']', b'q', level + 1, b'(', b'h', level, b'h', level, b'e']);
    }
    doubling.push(b'.');
    let mut own = b"\x80\x02}q\x00".to_vec();
    own.extend(b"X\x01\x00\x00\x00ah\x00s.");
    for (name, pickle) in [("doubling", doubling), ("own", own)] {
        let error = read(archive(&[("m/data.pkl", &pickle)], false), "a.pt").err().expect(name).to_string();
        assert!(error.contains("unfolds"), "{name}: {error}");
    }
}
