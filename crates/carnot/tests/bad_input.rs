//! Forty kinds of bad input: one error each, with a remedy, exit code 2, no panic, nothing half-written.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use assert_cmd::cargo::cargo_bin;

fn carnot(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(cargo_bin("carnot"));
    command.current_dir(folder).env("LANG", "C.UTF-8").env("COLUMNS", "100").args(arguments).output().unwrap()
}

/// One error with a remedy and the right code; `place` must be in the text.
fn is_told(output: &Output, code: &str, place: &str, what: &str) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{what}\n{text}");
    assert!(output.stdout.is_empty(), "{what}");
    assert!(text.starts_with(&format!("error {code}")), "{what}: not {code}\n{text}");
    assert_eq!(text.matches("      problem ").count(), 1, "{what}: one error\n{text}");
    assert!(text.contains("remedy"), "{what}\n{text}");
    assert!(text.contains(place), "{what}: no `{place}`\n{text}");
    assert!(!text.contains("panicked") && !text.contains("internal"), "{what}\n{text}");
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// NumPy's format, written by hand: `claimed` samples in the header, `numbers` in the file.
fn npy(claimed: usize, width: usize, numbers: &[f32]) -> Vec<u8> {
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({claimed}, {width}), }}");
    header += &" ".repeat(63 - (10 + header.len()) % 64);
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    bytes
}

#[test]
fn networks() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("empty.toml", "");
    fs::write(folder.path().join("binary.toml"), [0u8, 159, 146, 150]).unwrap();
    fs::create_dir(folder.path().join("folder.toml")).unwrap();
    write("syntax.toml", "network = '8-4-2'\nc_w = \n");
    write("key.toml", "network = '8-4-2'\n\n  activaton = 'tanh'\n");
    write("layer-key.toml", "input = [8]\nlayers = [{ dense = 4 }, { dnse = 2 }]\n");
    write("two-kinds.toml", "input = [8]\nlayers = [{ dense = 4, act = 'tanh' }]\n");
    write("type.toml", "network = '8-4-2'\nc_w = 'large'\n");
    write("nan.toml", "network = '8-4-2'\nc_w = nan\n");
    write("range.toml", "network = '8-4-2'\nc_w = -1.0\n");
    write("other.toml", "experiment = 'ensemble'\nnetwork = '8-4-2'\n");
    write("wide.toml", "input = [8]\nlayers = [{ dense = 1000000000000 }]\n");
    write("input.toml", "input = [1000000, 1000000]\nlayers = [{ dense = 2 }]\n");
    write("none.toml", "input = [8]\nlayers = []\n");
    write("conv.toml", "input = [8]\nlayers = [{ conv = 4, kernel = 3 }]\n");
    write("skip.toml", "input = [8]\nlayers = [{ residual = 1.0, block = [{ dense = 4 }] }]\n");
    write("act.toml", "input = [8]\nlayers = [{ dense = 4 }, { act = 'tahn' }, { dense = 2 }]\n");
    write(
        "deep.toml",
        &format!("input = [8]\nlayers = {}{}", "[{ repeat = 2, block = ".repeat(200), "}]".repeat(200)),
    );
    let before = names(folder.path());
    let rows: &[(&str, &str, &str)] = &[
        ("missing.toml", "network/not-found", "NETWORK"),
        ("emty.toml", "network/not-found", "empty.toml"),
        ("empty.toml", "config/not-settings", "carnot new"),
        ("binary.toml", "config/not-settings", "UTF-8"),
        ("folder.toml", "config/not-settings", "directory"),
        ("syntax.toml", "config/toml", "syntax.toml:2:"),
        ("key.toml", "config/unknown-key", "key.toml:3:3"),
        ("key.toml", "config/unknown-key", "did you mean \"activation\"?"),
        ("layer-key.toml", "network/unknown-key", "did you mean \"dense\"?"),
        ("two-kinds.toml", "network/layer-kind", "two-kinds.toml:2:"),
        ("type.toml", "config/wrong-value", "type.toml:2:7"),
        ("nan.toml", "config/wrong-value", "nan.toml:2:7"),
        ("range.toml", "config/wrong-value", "range.toml:2:7"),
        ("other.toml", "config/other-experiment", "carnot ensemble"),
        ("wide.toml", "network/", ""),
        ("input.toml", "network/toml", "input.toml:1:9"),
        ("none.toml", "network/empty", ""),
        ("conv.toml", "network/shape", "position"),
        ("skip.toml", "network/shape", "skip"),
        ("act.toml", "activation/unknown-name", "tanh"),
        ("deep.toml", "", ""),
        ("784-1000000000000-10", "network/shorthand", "NETWORK:1:5"),
        ("16777216-16777216x100000-16777216", "network/too-large", ""),
        ("784-12O-10", "network/shorthand", "NETWORK:1:5"),
        ("784-0-10", "network/shorthand", "zero"),
        ("784--10", "network/shorthand", "NETWORK:1:5"),
        ("", "network/not-found", "784-128x50-10"),
    ];
    for (network, code, place) in rows {
        is_told(&carnot(folder.path(), &["predict", network]), code, place, network);
    }
    assert_eq!(names(folder.path()), before, "nothing is written");
}

#[test]
fn formulas_and_flags() {
    let folder = tempfile::tempdir().unwrap();
    let long = "z+".repeat(10_000) + "z";
    let deep = "(".repeat(5000) + "z" + &")".repeat(5000);
    let rows: &[(&[&str], &str, &str)] = &[
        (&["--activation", "tanh(z"], "formula/", "formula, column 7"),
        (&["--activation", "z * tahn(z)"], "formula/unknown-name", "tanh"),
        (&["--activation", "z $ 2"], "formula/syntax", "formula, column 3"),
        (&["--activation", "max(z)"], "formula/arguments", "max"),
        (&["--activation", "z + ln(-1)"], "formula/not-finite", "finite"),
        (&["--activation", " "], "formula/empty", "--activation"),
        (&["--activation", "sigmoyd"], "activation/unknown-name", "--activation sigmoid"),
        (&["--activation", &long], "formula/too-long", "shorten"),
        (&["--activation", &deep], "formula/too-", "remedy"),
        (&["--c-w", "nan"], "config/wrong-value", "--c-w"),
        (&["--c-w", "-1"], "config/wrong-value", "--c-w"),
        (&["--init", "critcal"], "config/wrong-value", "did you mean \"critical\"?"),
        (&["--residual", "inf"], "config/wrong-value", "--residual"),
        (&["--actvation", "tanh"], "command/unknown-flag", "--activation"),
        (&["--threads", "0"], "command/wrong-value", "--threads"),
    ];
    for (flags, code, place) in rows {
        let arguments = [&["predict", "8-4-2"], *flags].concat();
        is_told(
            &carnot(folder.path(), &arguments),
            code,
            place,
            &flags.join(" ")[..40.min(flags.join(" ").len())],
        );
    }
    assert!(names(folder.path()).is_empty(), "nothing is written");
}

#[test]
fn borders() {
    let folder = tempfile::tempdir().unwrap();
    let rows: &[(&[&str], &str, &str)] = &[
        (&["--x", "raet"], "config/wrong-value", "did you mean \"rate\"?"),
        (&["--y", "c_w"], "config/wrong-value", "c-w"),
        (&["--x-from", "1", "--x-to", "0.1"], "config/", "--x-to"),
        (&["--y-from", "12", "--y-to", "4"], "config/wrong-value", "--y-to"),
        (&["--x-from", "nan"], "config/wrong-value", "--x-from"),
        (&["--y", "rate"], "config/", "another setting"),
        (&["--x", "depth"], "config/", "another setting"),
        (&["--x", "depth", "--y", "rate"], "config/", "--x rate"),
        (&["--share", "1.5"], "config/", "--share"),
        (&["--length", "3"], "config/", "--length"),
        (&["--budget", "0"], "config/", "--budget"),
        (&["--optimizer", "adagrad"], "config/", "adamw"),
    ];
    for (flags, code, place) in rows {
        let arguments = [&["border", "64-16x4-10", "--data", "digits"], *flags].concat();
        is_told(&carnot(folder.path(), &arguments), code, place, &flags.join(" "));
    }
    is_told(&carnot(folder.path(), &["border", "64-16x4-10"]), "config/missing", "--data digits", "no data");
    let shallow = ["border", "64-16-10", "--data", "digits"];
    is_told(&carnot(folder.path(), &shallow), "config/", "64-32x4-10", "no repeated block");
    assert!(names(folder.path()).is_empty(), "nothing is written");
}

#[test]
fn texts_and_transfers() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("short.txt"), "too short").unwrap();
    fs::write(folder.path().join("latin.txt"), b"caf\xe9 au lait, s'il vous pla\xeet, et encore un caf\xe9")
        .unwrap();
    let before = names(folder.path());
    for (data, more, code, place) in [
        ("short.txt", "characters", "data/too-short", "post:2x32,tokens="),
        ("latin.txt", "characters", "data/not-text", "--text-tokens bytes"),
        ("short.txt", "pairs", "config/out-of-range", "vocabulary=512"),
    ] {
        let arguments = ["border", "post:2x32", "--data", data, "--text-tokens", more];
        is_told(&carnot(folder.path(), &arguments), code, place, data);
    }
    for verb in ["border", "transfer"] {
        let arguments = [verb, "post:2x32", "--data", "digits", "--to-width", "64"];
        let given = if verb == "border" { &arguments[..4] } else { &arguments[..] };
        is_told(&carnot(folder.path(), given), "data/shape", "--data FILE.txt", verb);
    }
    for (flags, place) in [
        (&[][..], "--to-width 512"),
        (&["--to-width", "0"], "--to-width"),
        (&["--to-width", "64", "--seeds", "1"], "--seeds"),
        (&["--to-width", "64", "--rate-from", "1", "--rate-to", "2"], "--rate-to"),
    ] {
        let arguments = [&["transfer", "64-16x4-10", "--data", "digits"], flags].concat();
        is_told(&carnot(folder.path(), &arguments), "config/", place, &flags.join(" "));
    }
    let shallow = ["transfer", "64-16-10", "--data", "digits", "--to-depth", "4"];
    is_told(&carnot(folder.path(), &shallow), "config/", "--to-depth", "no depth");
    assert_eq!(names(folder.path()), before, "nothing is written");
}

#[test]
fn data() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    write("empty.csv", b"");
    write("nan.csv", b"1,2,0\n3,nan,1\n");
    write("ragged.csv", b"1,2,0\n3,4,5,1\n");
    write("words.csv", b"1,2,0\n3,four,1\n");
    write("negative.csv", b"1,2,0\n3,4,-1\n");
    write("constant.csv", b"1,1\n1,1\n");
    write("cut.npy", &npy(100, 2, &[1.0, 2.0, 3.0]));
    write("more.npy", &npy(1, 2, &[1.0, 2.0, 3.0]));
    write("nan.npy", &npy(2, 2, &[1.0, f32::NAN, 3.0, 4.0]));
    write("huge.npy", &npy(usize::MAX / 8, 1000, &[1.0]));
    write("zero.npy", &npy(0, 2, &[]));
    write("header.npy", b"\x93NUMPY\x01\x00\xff\xff{");
    write("cut.npz", b"PK\x03\x04\x14\x00\x00\x00");
    write("cut.safetensors", &[255, 0, 0, 0, 0, 0, 0, 0, b'{']);
    write("cut.csv.gz", &[0x1f, 0x8b, 8, 0, 0]);
    write("cut-images-idx3-ubyte", &[0, 0, 8, 3, 0, 0, 0, 9, 0, 0, 0, 2, 0, 0, 0, 1, 7]);
    write("picture.png", b"\x89PNG\r\n\x1a\n");
    fs::create_dir(folder.path().join("folder")).unwrap();
    let before = names(folder.path());
    let rows: &[(&str, &str, &str)] = &[
        ("missing.csv", "data/missing", "--data"),
        ("./emty.csv", "data/missing", "empty.csv"),
        ("digitz", "data/unknown-name", "--data digits"),
        ("empty.csv", "data/empty", "empty.csv"),
        ("nan.csv", "data/not-finite", "nan.csv:2:2"),
        ("ragged.csv", "data/ragged", "ragged.csv:2"),
        ("words.csv", "data/not-a-number", "words.csv:2:2"),
        ("negative.csv", "data/", ""),
        ("constant.csv", "data/constant", "constant.csv"),
        ("cut.npy", "data/truncated", "cut.npy"),
        ("more.npy", "data/excess", "more.npy"),
        ("nan.npy", "data/not-finite", "nan.npy"),
        ("huge.npy", "data/", "huge.npy"),
        ("zero.npy", "data/nothing", "zero.npy"),
        ("header.npy", "data/", "header.npy"),
        ("cut.npz", "data/damaged", "cut.npz"),
        ("cut.safetensors", "data/", "cut.safetensors"),
        ("cut.csv.gz", "data/damaged", "cut.csv.gz"),
        ("cut-images-idx3-ubyte", "data/truncated", "cut-images"),
        ("picture.png", "data/unknown-format", "picture.png"),
        ("folder", "data/no-files", "folder"),
        ("/dev/zero", "data/not-a-file", "/dev/zero"),
        ("digits", "data/shape", "64"),
    ];
    for (data, code, place) in rows {
        let output = carnot(folder.path(), &["ensemble", "2-4-2", "--members", "2", "--data", data]);
        is_told(&output, code, place, data);
    }
    assert_eq!(names(folder.path()), before, "nothing is written");
}

#[test]
fn kernels() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("two.csv"), b"1,2,0\n3,4,1\n").unwrap();
    let layers = "layers = [{ dense = 8 }, { act = 'relu' }, { act = 'tanh' }, { dense = 10 }]";
    fs::write(folder.path().join("unknown.toml"), format!("input = [64]\n{layers}\n")).unwrap();
    let before = names(folder.path());
    let rows: &[(&[&str], &str, &str)] = &[
        (&["unknown.toml", "--data", "digits"], "kernel/not-known", "--sampled 100"),
        (&["64-8-10", "--data", "digits", "--drift", "0"], "config/wrong-value", "--drift"),
        (&["64-8-10", "--data", "digits", "--drift", "ten"], "config/wrong-value", "--drift"),
        (&["64-8-10", "--data", "digits", "--drift", "10", "--probe", "1"], "config/wrong-value", "--probe"),
        (
            &["64-8-10", "--data", "digits", "--drift", "10", "--probe", "5000"],
            "config/wrong-value",
            "2 to 1000",
        ),
        (&["64-8-10", "--data", "digits", "--drift", "10", "--members", "10001"], "config/", "--members"),
        (
            &["64-8-10", "--data", "digits", "--drift", "10", "--select"],
            "config/wrong-value",
            "beside --select",
        ),
        (&["64-8-9", "--data", "digits", "--drift", "10"], "data/outputs", "10"),
        (&["64-8-10", "--data", "digits", "--sampled", "1"], "config/wrong-value", "--sampled"),
        (
            &["64-8-10", "--data", "digits", "--sampled", "8", "--drift", "1"],
            "config/wrong-value",
            "beside --drift",
        ),
        (&["64-8-10", "--data", "digits", "--sampled", "8", "--dropout"], "config/wrong-value", "--dropout"),
        (&["64-8-10", "--data", "digits", "--sampled", "8", "--precision", "-1"], "config/", "--precision"),
        (
            &["64-8-10", "--data", "digits", "--sampled", "8", "--memory", "0.01"],
            "kernel/too-large",
            "--train",
        ),
        (&["2-4-2"], "config/missing", "data"),
        (&["64-8-10", "--data", "digits", "--memory", "0.01"], "kernel/too-large", "--train"),
        (&["64-8-10", "--data", "digits", "--memory", "-1"], "config/", "--memory"),
        (&["64-8-10", "--data", "digits", "--noise", "-1"], "config/", "--noise"),
        (&["64-8-10", "--data", "digits", "--tolerance", "0"], "config/", "--tolerance"),
        (&["64-8-10", "--data", "digits", "--save", "k.png"], "config/", ".npy"),
        (&["64-8-10", "--data", "digits", "--save", "no/such/k.npy"], "output/refused", "no/such"),
        (&["64-8-10", "--data", "digits", "--parametrization", "ntkk"], "config/wrong-value", "\"ntk\""),
        (&["64-8-9", "--data", "digits", "--members", "1"], "data/outputs", "10"),
        (&["64-8-10", "--data", "digits", "--select", "--activations", "tahn"], "", "tanh"),
        (&["64-8x60-10", "--activation", "z^2", "--c-w", "9", "--data", "digits"], "kernel/", "act"),
        (&["3-4-2", "--data", "two.csv", "--test-data", "three.csv"], "data/missing", "three.csv"),
    ];
    for (arguments, code, place) in rows {
        let output = carnot(folder.path(), &[&["kernel"], *arguments].concat());
        is_told(&output, code, place, &arguments.join(" "));
    }
    assert_eq!(names(folder.path()), before, "nothing is written");
}

/// A zip archive of one stored member, written by hand.
fn stored(name: &str, bytes: &[u8]) -> Vec<u8> {
    let crc = {
        let table =
            |byte: u32| (0..8).fold(byte, |c, _| if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 });
        !bytes.iter().fold(!0u32, |crc, byte| table((crc ^ u32::from(*byte)) & 255) ^ (crc >> 8))
    };
    let mut sizes = crc.to_le_bytes().to_vec();
    sizes.extend((bytes.len() as u32).to_le_bytes());
    sizes.extend((bytes.len() as u32).to_le_bytes());
    sizes.extend((name.len() as u16).to_le_bytes());
    sizes.extend([0, 0]);
    let local = [b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0".as_slice(), &sizes, name.as_bytes(), bytes].concat();
    let central =
        [b"PK\x01\x02\x14\0\x14\0\0\0\0\0\0\0\0\0".as_slice(), &sizes, &[0; 14][..], name.as_bytes()]
            .concat();
    let mut end = b"PK\x05\x06\0\0\0\0\x01\0\x01\0".to_vec();
    end.extend((central.len() as u32).to_le_bytes());
    end.extend((local.len() as u32).to_le_bytes());
    end.extend([0, 0]);
    [local, central, end].concat()
}

fn safetensors(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
}

#[test]
fn models() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let tensor = |shape: &str, places: &str| {
        format!("{{\"w\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":{places}}}}}")
    };
    let good = safetensors(&tensor("[2,2]", "[0,16]"), 16);
    write("cut.safetensors", &good[..good.len() - 1]);
    write("header.safetensors", &good[..30]);
    write("huge.safetensors", &safetensors(&tensor("[50000000000]", "[0,200000000000]"), 16));
    write("negative.safetensors", &safetensors(&tensor("[4]", "[-16,0]"), 16));
    let two = r#"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"b":{"dtype":"F32","shape":[3],"data_offsets":[4,16]}}"#;
    write("overlap.safetensors", &safetensors(two, 16));
    write("empty.safetensors", b"");
    write("model.safetensors.index.json", br#"{"weight_map":{"w":"model-00001-of-00002.safetensors"}}"#);
    write("code.pt", &stored("m/data.pkl", b"\x80\x02cos\nsystem\nX\x0d\0\0\0touch hacked.x\x85R."));
    write("code.pth", b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x0ctouch hacked\x85R.");
    write("cut.npz", b"PK\x03\x04\x14\x00\x00\x00");
    write("counts.gguf", &[b"GGUF\x03\0\0\0".as_slice(), &[255; 16]].concat());
    write("cut.gguf", b"GGUF\x03\0\0\0\x01");
    write("picture.bin", b"\x89PNG\r\n\x1a\n and so on");
    for (name, config) in
        [("list", "[1]"), ("text", r#"{"model_type":"bert","hidden_size":"384"}"#), ("words", "hello")]
    {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("config.json"), config).unwrap();
        fs::write(folder.path().join(name).join("model.safetensors"), &good).unwrap();
    }
    fs::create_dir(folder.path().join("nothing")).unwrap();
    let before = names(folder.path());
    let rows: &[(&str, &str, &str)] = &[
        ("cut.safetensors", "model/truncated", "15 are there"),
        ("header.safetensors", "model/truncated", "the header"),
        ("huge.safetensors", "model/truncated", "200000000000 bytes"),
        ("negative.safetensors", "model/damaged", "safetensors"),
        ("overlap.safetensors", "model/damaged", "safetensors"),
        ("empty.safetensors", "model/empty", "empty.safetensors"),
        ("model.safetensors.index.json", "model/shards", "model-00001-of-00002.safetensors"),
        ("code.pt", "model/code", "os.system"),
        ("code.pth", "model/code", "posix.system"),
        ("cut.npz", "model/damaged", "cut.npz"),
        ("counts.gguf", "model/too-much", "18446744073709551615"),
        ("cut.gguf", "model/truncated", "cut.gguf"),
        ("picture.bin", "model/damaged", "picture.bin"),
        ("list", "model/damaged", "no JSON object"),
        ("text", "model/config", "hidden_size"),
        ("words", "model/damaged", "not JSON"),
        ("nothing", "model/no-weights", "nothing"),
    ];
    for (model, code, place) in rows {
        is_told(&carnot(folder.path(), &["check", model]), code, place, model);
    }
    assert_eq!(names(folder.path()), before, "nothing is written, and nothing was executed");
}

/// The same under a limit of memory: 200 GB are never asked for.
#[test]
#[cfg(target_os = "linux")]
fn a_model_that_lies_takes_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let header = r#"{"w":{"dtype":"F32","shape":[50000000000],"data_offsets":[0,200000000000]}}"#;
    fs::write(folder.path().join("huge.safetensors"), safetensors(header, 16)).unwrap();
    let script = format!(
        "ulimit -v 2000000; exec {} check huge.safetensors --threads 1",
        cargo_bin("carnot").display()
    );
    let output = Command::new("bash").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
    is_told(&output, "model/truncated", "200000000000 bytes", "2 GB of address space");
}

#[test]
fn runs() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("file", "I am no folder");
    write("job.json", "{\"schema\": \"carnot.job/1\"");
    for name in ["abcdef-predict-a", "abcdee-predict-b"] {
        fs::create_dir_all(folder.path().join("bad").join(name)).unwrap();
        fs::write(folder.path().join("bad").join(name).join("spec.json"), "{").unwrap();
    }
    let rows: &[(&[&str], &str, &str)] = &[
        (&["predict", "8-4-2", "--runs", "file"], "store/not-a-folder", "--runs DIR"),
        (&["predict", "8-4-2", "--runs", "file/runs"], "store/not-a-folder", "--runs DIR"),
        (&["runs", "--runs", "file"], "store/not-a-folder", "--runs DIR"),
        (&["show", "abcde", "--runs", "bad"], "store/ambiguous-run", "abcdee-predict-b"),
        (&["show", "abcdef", "--runs", "bad"], "store/damaged", "rm -r bad/abcdef-predict-a"),
        (&["show", "123456"], "store/no-run", "carnot predict"),
        (&["work", "job.json"], "job/unreadable", "--jobs-to"),
    ];
    for (arguments, code, place) in rows {
        is_told(&carnot(folder.path(), arguments), code, place, &arguments.join(" "));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_folder_that_may_not_be_written_to() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let locked = folder.path().join("locked");
    fs::create_dir(&locked).unwrap();
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o555)).unwrap();
    // The owner of the machine may write anywhere but into the system's own tree.
    let is_root = fs::write(locked.join("probe"), "").is_ok();
    let runs = if is_root { "/sys/carnot-runs" } else { "locked/runs" };
    let output = carnot(folder.path(), &["predict", "8-4-2", "--runs", runs]);
    is_told(&output, "store/read-only", "--runs DIR", runs);
}

/// A limit on the size of files stands for a full disk: it needs no rights, and writes fail in the same place.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let limited = |kilobytes: usize| {
        let bin = cargo_bin("carnot");
        let script = format!(
            "trap '' XFSZ; ulimit -f {kilobytes}; exec {} ensemble 8-4-2 --members 2000 -q",
            bin.display()
        );
        Command::new("bash").args(["-c", &script]).current_dir(folder.path()).output().unwrap()
    };
    is_told(&limited(0), "store/full", "--runs DIR", "no room at all");
    assert!(names(folder.path()).is_empty(), "nothing is half-written");
    is_told(&limited(8), "store/full", "goes on from there", "room for the header and some points");
    let finished = carnot(folder.path(), &["ensemble", "8-4-2", "--members", "2000", "-q"]);
    assert!(finished.status.code() != Some(2), "{}", String::from_utf8_lossy(&finished.stderr));
    let run = fs::read_dir(folder.path().join("runs")).unwrap().next().unwrap().unwrap().path();
    assert!(
        names(&run).iter().all(|name| !name.starts_with('.')),
        "no temporary file stays: {:?}",
        names(&run)
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_standard_output() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("{} explain kernel > /dev/full", cargo_bin("carnot").display());
    let output = Command::new("sh").args(["-c", &script]).current_dir(folder.path()).output().unwrap();
    is_told(&output, "output/unwritable", "carnot show", "stdout is full");
}
