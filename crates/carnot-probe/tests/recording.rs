//! A recording survives its writer, and strangers' files are refused.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use carnot_probe::call::Call;
use carnot_probe::error::ProbeError;
use carnot_probe::reading::StepReading;
use carnot_probe::recording::{Header, Probe, Reader, Recording, Writer, is_recording, read};
use carnot_probe::session::{Session, Settings};

fn readings(n: u64) -> Vec<StepReading> {
    let mut session = Session::new(Some(vec![0, 0, 0, 1, 1, 1]), 6, Settings::default()).unwrap();
    let make = |step: u64| {
        let features: Vec<f32> = (0..18).map(|i| ((i as f32) * 0.7 + step as f32).sin()).collect();
        let mut builder = session.step(step, Some(2.0 / (1.0 + step as f64)));
        builder.add(&Call::vectors("fc.0", "linear", &features, 3)).unwrap();
        builder.add(&Call::vectors("fc.1", "relu", &features, 3)).unwrap();
        builder.end()
    };
    (0..n).map(make).collect()
}

fn header() -> Header {
    Header::new("toy", Probe { samples: 6, classes: 2, has_labels: true })
}

fn written(steps: &[StepReading]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("toy.carnot");
    let mut writer = Writer::create(&path, &header()).unwrap();
    steps.iter().for_each(|step| writer.write(step).unwrap());
    (folder, path)
}

fn of_bytes(bytes: &[u8]) -> Result<Recording, ProbeError> {
    Reader::new(Cursor::new(bytes), Path::new("toy.carnot"))?.collect(4_000_000)
}

#[test]
fn what_was_written_is_read() {
    let steps = readings(3);
    let (_folder, path) = written(&steps);
    assert!(is_recording(&path));
    let back = read(&path).unwrap();
    assert_eq!((back.header, back.thinned, back.is_torn), (header(), 1, false));
    assert_eq!(back.steps.len(), 3);
    for (back, step) in back.steps.iter().zip(&steps) {
        for (a, b) in back.layers.iter().zip(&step.layers) {
            assert_eq!((&a.missing, a.values.len()), (&b.missing, b.values.len()));
            for (name, number) in &b.values {
                let got = a.values[name].value;
                assert!(
                    (got - number.value).abs() <= 1e-6 * number.value.abs(),
                    "{name}: {got}, {}",
                    number.value
                );
            }
        }
    }
}

#[test]
fn a_writer_killed_at_any_byte_of_a_record_loses_that_record_alone() {
    let steps = readings(3);
    let (_folder, path) = written(&steps);
    let bytes = fs::read(&path).unwrap();
    let before = bytes[..bytes.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    for end in before..bytes.len() {
        let back = of_bytes(&bytes[..end]).unwrap();
        assert_eq!((back.steps.len(), back.is_torn), (2, end > before), "cut at byte {end}");
    }
    assert_eq!(of_bytes(&bytes).unwrap().steps.len(), 3);
}

#[test]
fn a_torn_recording_goes_on() {
    let steps = readings(3);
    let (_folder, path) = written(&steps[..2]);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 30]).unwrap();
    let mut writer = Writer::resume(&path).unwrap();
    writer.write(&steps[1]).unwrap();
    writer.write(&steps[2]).unwrap();
    drop(writer);
    let back = read(&path).unwrap();
    assert_eq!(back.steps.iter().map(|step| step.step).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(fs::read(&path).unwrap().starts_with(&whole), "what was whole is kept bit by bit");
    assert!(matches!(Writer::create(&path, &header()), Err(ProbeError::File { .. })), "never overwritten");
}

#[test]
fn hostile_files_are_one_clear_error() {
    let (_folder, path) = written(&readings(3));
    let good = fs::read(&path).unwrap();
    let lines: Vec<&[u8]> = good.split_inclusive(|&byte| byte == b'\n').collect();
    let mut flipped = good.clone();
    let middle = lines[0].len() + 40;
    flipped[middle] ^= 1;
    let deep = format!("{{\"schema\":\"carnot.recording/1\",\"model\":{}\n", "[".repeat(100_000));
    let other = good.clone().into_iter().collect::<Vec<u8>>();
    let other = String::from_utf8(other).unwrap().replacen("recording/1", "recording/9", 1);
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("nothing", vec![], "no end"),
        ("zeros", vec![0; 1000], "no end"),
        ("not JSON", b"PK\x03\x04 archive\n".to_vec(), "not JSON"),
        ("other JSON", b"{\"schema\":\"other\"}\n".to_vec(), "does not say"),
        ("deep JSON", deep.into_bytes(), "not JSON"),
        ("other version", other.into_bytes(), "carnot.recording/9"),
        ("a flipped bit", flipped, "record 1"),
        ("an endless line", [lines[0], &vec![b'x'; (16 << 20) + 2]].concat(), "longer than"),
    ];
    for (what, bytes, says) in cases {
        let error = of_bytes(&bytes).expect_err(what).to_string();
        assert!(error.contains(says), "{what}: {error}");
    }
}

#[test]
fn a_long_recording_is_thinned_and_keeps_its_ends() {
    let steps = readings(40);
    let (_folder, path) = written(&steps);
    let bytes = fs::read(&path).unwrap();
    let one: usize = steps[0].layers.iter().map(|layer| layer.values.len() + layer.missing.len() + 10).sum();
    let back = Reader::new(Cursor::new(&bytes), &path).unwrap().collect(12 * one).unwrap();
    let kept: Vec<u64> = back.steps.iter().map(|step| step.step).collect();
    assert!(back.thinned > 1 && kept.len() < 16, "{kept:?}");
    assert_eq!((kept[0], kept[kept.len() - 1]), (0, 39));
    assert!(kept.windows(2).all(|pair| pair[0] < pair[1]), "{kept:?}");
}
