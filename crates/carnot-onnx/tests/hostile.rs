//! Files that are cut, changed or made to hurt: one error each, bounded memory, no panic that gets out.

use std::path::Path;

use carnot_onnx::error::OnnxError;
use carnot_onnx::file::Source;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

fn open(bytes: Vec<u8>, path: &Path) -> Result<(), OnnxError> {
    Source::of(bytes, path)?.graph().map(|_| ())
}

fn number(value: u64) -> Vec<u8> {
    let (mut rest, mut bytes) = (value, Vec::new());
    loop {
        let part = (rest & 127) as u8;
        rest >>= 7;
        if rest == 0 {
            bytes.push(part);
            return bytes;
        }
        bytes.push(part | 128);
    }
}

fn field(id: u64, inner: &[u8]) -> Vec<u8> {
    [number(id << 3 | 2), number(inner.len() as u64), inner.to_vec()].concat()
}

fn whole(id: u64, value: i64) -> Vec<u8> {
    [number(id << 3), number(value as u64)].concat()
}

fn text(id: u64, value: &str) -> Vec<u8> {
    field(id, value.as_bytes())
}

fn node(operation: &str, inputs: &[&str], outputs: &[&str]) -> Vec<u8> {
    let inputs = inputs.iter().flat_map(|name| text(1, name));
    let outputs = outputs.iter().flat_map(|name| text(2, name));
    field(1, &[inputs.collect::<Vec<u8>>(), outputs.collect(), text(4, operation)].concat())
}

fn input(name: &str, shape: &[i64]) -> Vec<u8> {
    let axes: Vec<u8> = shape.iter().flat_map(|&size| field(1, &whole(1, size))).collect();
    let kind = field(1, &[whole(1, 1), field(2, &axes)].concat());
    field(11, &[text(1, name), field(2, &kind)].concat())
}

fn tensor(name: &str, shape: &[i64], more: &[u8]) -> Vec<u8> {
    let shape: Vec<u8> = shape.iter().flat_map(|&size| whole(1, size)).collect();
    field(5, &[shape, whole(2, 1), text(8, name), more.to_vec()].concat())
}

fn output(name: &str) -> Vec<u8> {
    field(12, &text(1, name))
}

fn model(graph: &[Vec<u8>]) -> Vec<u8> {
    [whole(1, 8), field(7, &graph.concat()), field(8, &whole(2, 18))].concat()
}

fn external(location: &str, length: &str) -> Vec<u8> {
    let entry = |key: &str, value: &str| field(13, &[text(1, key), text(2, value)].concat());
    [entry("location", location), entry("length", length), whole(14, 1)].concat()
}

fn told(graph: &[Vec<u8>]) -> String {
    open(model(graph), Path::new("test.onnx")).unwrap_err().to_string()
}

#[test]
fn what_is_cut_anywhere_is_refused() {
    let bytes = fixture("recurrent.onnx");
    assert!(open(bytes.clone(), Path::new("whole")).is_ok());
    let opened: Vec<usize> =
        (0..bytes.len()).filter(|&end| open(bytes[..end].to_vec(), Path::new("cut")).is_ok()).collect();
    // Behind the graph stand only versions: what is cut there is still a whole graph.
    assert!(opened.iter().all(|&end| end + 8 > bytes.len()), "{opened:?}");
}

#[test]
fn changed_bytes_never_panic() {
    let bytes = fixture("convolutional.onnx");
    let mut stream = carnot_math::random::Stream::new(1, "hostile", &[]);
    for _ in 0..3000 {
        let mut changed = bytes.clone();
        for _ in 0..1 + stream.below(4) {
            let at = stream.below(changed.len());
            changed[at] = stream.below(256) as u8;
        }
        if let Ok(source) = Source::of(changed, Path::new("changed"))
            && let Ok(graph) = source.graph()
        {
            let _ = carnot_onnx::layers::find(&graph);
        }
    }
}

#[test]
fn graphs_that_contradict_themselves_are_told_by_name() {
    let x = || input("x", &[1, 4]);
    let rows = [
        (
            vec![x(), node("Add", &["x", "b"], &["a"]), node("Relu", &["a"], &["b"]), output("b")],
            "cycle through `a`",
        ),
        (vec![x(), node("Relu", &["nowhere"], &["y"]), output("y")], "`nowhere`, which nothing makes"),
        (vec![x(), node("Relu", &["x"], &["y"]), output("z")], "`z`, which nothing makes"),
        (vec![x(), node("Relu", &["x"], &["y"]), node("Tanh", &["x"], &["y"]), output("y")], "made twice"),
        (vec![x(), tensor("w", &[4, 1 << 40], &[]), output("x")], "the file holds nothing of it"),
        (vec![x(), tensor("w", &[i64::MAX, i64::MAX], &[]), output("x")], "more numbers than can be counted"),
        (vec![x(), tensor("w", &[-4], &[]), output("x")], "has the shape [-4]"),
        (vec![x(), tensor("w", &[4], &field(9, &[0; 8])), output("x")], "holds 8 bytes of it"),
        (vec![x(), node("Relu", &["x"], &["y"])], "no output"),
    ];
    for (graph, expect) in rows {
        let said = told(&graph);
        assert!(said.contains(expect), "{said} | {expect}");
    }
    assert!(open(whole(1, 8), Path::new("empty")).unwrap_err().to_string().contains("no graph"));
}

#[test]
fn messages_in_messages_are_counted_before_anything_is_unpacked() {
    // A million empty nodes are two megabytes here and some hundred in the memory of whoever unpacks them.
    let nodes: Vec<u8> = [0x0a, 0x00].repeat(2_100_000);
    let said = open([whole(1, 8), field(7, &nodes)].concat(), Path::new("many")).unwrap_err().to_string();
    assert!(said.contains("parts of the model"), "{said}");
    let mut graph = Vec::new();
    for _ in 0..200 {
        graph = field(1, &field(5, &field(6, &graph)));
    }
    let said = open([whole(1, 8), field(7, &graph)].concat(), Path::new("deep")).unwrap_err().to_string();
    assert!(said.contains("graphs inside of graphs"), "{said}");
}

#[test]
fn external_data_stay_in_the_folder_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    std::fs::write(folder.path().join("secret.bin"), [0; 64]).unwrap();
    std::fs::write(inside.join("short.bin"), [0; 8]).unwrap();
    std::fs::write(inside.join("fits.bin"), [0; 16]).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("../secret.bin", inside.join("link.bin")).unwrap();
    let read = |location: &str| {
        let weight = tensor("w", &[4], &external(location, "16"));
        let graph = [input("x", &[1, 4]), weight, node("Mul", &["x", "w"], &["y"]), output("y")];
        open(model(&graph), &inside.join("model.onnx"))
    };
    assert!(read("fits.bin").is_ok());
    let rows = [
        ("../secret.bin", "not inside the folder"),
        ("/etc/passwd", "not inside the folder"),
        ("", "not inside the folder"),
        ("gone.bin", "is not there"),
        ("short.bin", "has 8 bytes"),
        #[cfg(unix)]
        ("link.bin", "leaves the folder"),
    ];
    for (location, expect) in rows {
        let said = read(location).unwrap_err().to_string();
        assert!(said.contains(expect), "{location}: {said}");
    }
}

#[test]
fn other_files_are_no_models() {
    for (bytes, expect) in
        [(&b""[..], "empty"), (b"PK\x03\x04", "archive"), (b"\x89PNG", "begin"), (b"{}", "begin")]
    {
        let said = open(bytes.to_vec(), Path::new("other")).unwrap_err().to_string();
        assert!(said.contains(expect), "{said}");
    }
}

/// What gets through the reader and hurts the runtime: absurd shapes.
#[cfg(feature = "tract")]
mod runtime {
    use super::*;
    use carnot_onnx::reading::{Question, guarded, read_source};

    fn run(bytes: Vec<u8>) -> Result<(), OnnxError> {
        let question = Question { samples: Some(4), memory: 1 << 28, ..Question::default() };
        guarded(move || read_source(&Source::of(bytes, Path::new("test.onnx"))?, question).map(|_| ()))
    }

    #[test]
    fn nothing_is_run_that_does_not_fit() {
        let square = || tensor("w", &[4, 4], &field(9, &[0; 64]));
        let large =
            vec![input("x", &[1, 1 << 40]), square(), node("MatMul", &["x", "w"], &["y"]), output("y")];
        let said = run(model(&large)).unwrap_err().to_string();
        assert!(said.contains("may be used"), "{said}");
        // An outer product of a column and a row: small inputs, a large answer.
        let wide = tensor("w", &[1, 40_000], &field(9, &vec![0; 160_000]));
        let outer = vec![input("x", &[1, 40_000, 1]), wide, node("MatMul", &["x", "w"], &["y"]), output("y")];
        let said = run(model(&outer)).unwrap_err().to_string();
        assert!(said.contains("may be used"), "{said}");
    }

    #[test]
    fn what_the_runtime_refuses_is_one_error() {
        let square = || tensor("w", &[4, 4], &field(9, &[0; 64]));
        let wrong = vec![input("x", &[1, 5]), square(), node("MatMul", &["x", "w"], &["y"]), output("y")];
        assert!(matches!(run(model(&wrong)), Err(OnnxError::Refused { .. })));
        let foreign = vec![
            input("x", &[1, 4]),
            square(),
            node("MatMul", &["x", "w"], &["a"]),
            node("Frobnicate", &["a"], &["y"]),
            output("y"),
        ];
        let said = run(model(&foreign)).unwrap_err().to_string();
        assert_eq!(said, "the runtime does not know Frobnicate");
        let bare = vec![input("x", &[1, 4]), node("Relu", &["x"], &["y"]), output("y")];
        assert!(matches!(run(model(&bare)), Err(OnnxError::NoLayers { .. })));
    }
}
