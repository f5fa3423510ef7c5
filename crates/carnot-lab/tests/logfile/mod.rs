//! Writers for the three kinds of files that logs come in.

use std::fs;
use std::path::{Path, PathBuf};

use carnot_log::read::record::masked;

/// One line of a log.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line {
    pub step: f64,
    pub loss: f64,
    pub validation: Option<f64>,
    pub rate: f64,
    pub gradient: f64,
}

/// A file format that logs come in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Format {
    Csv,
    JsonLines,
    Events,
}

pub const FORMATS: [Format; 3] = [Format::Csv, Format::JsonLines, Format::Events];

/// Writes a log; returns its path.
pub fn write(folder: &Path, name: &str, lines: &[Line], format: Format) -> PathBuf {
    let (path, bytes) = match format {
        Format::Csv => (folder.join(format!("{name}.csv")), csv(lines).into_bytes()),
        Format::JsonLines => (folder.join(format!("{name}.jsonl")), json(lines).into_bytes()),
        Format::Events => (folder.join(format!("events.out.tfevents.{name}")), events(lines)),
    };
    fs::write(&path, bytes).unwrap();
    path
}

pub fn csv(lines: &[Line]) -> String {
    let mut text = String::from("step,loss,val_loss,lr,grad_norm\n");
    for line in lines {
        let validation = line.validation.map_or(String::new(), |loss| format!("{loss:.5}"));
        text +=
            &format!("{},{:.5},{validation},{:e},{:.4}\n", line.step, line.loss, line.rate, line.gradient);
    }
    text
}

/// As Python writes it, NaN and all.
pub fn json(lines: &[Line]) -> String {
    let number = |value: f64| match value {
        _ if value.is_nan() => "NaN".into(),
        _ if value.is_infinite() => "Infinity".into(),
        _ => format!("{value:.5}"),
    };
    let mut text = String::new();
    for line in lines {
        let (loss, gradient) = (number(line.loss), number(line.gradient));
        text += &format!("{{\"step\": {}, \"train\": {{\"loss\": {loss}}}, ", line.step);
        text += &format!("\"lr\": {}, \"grad_norm\": {gradient}}}\n", line.rate);
        if let Some(loss) = line.validation {
            text += &format!("{{\"step\": {}, \"eval_loss\": {loss:.5}}}\n", line.step);
        }
    }
    text
}

/// Event files: half of the scalars as `simple_value`, half as tensors.
pub fn events(lines: &[Line]) -> Vec<u8> {
    let mut file = record(&[&[9][..], &1e9f64.to_le_bytes(), &bytes(3, b"brain.Event:2")].concat());
    for line in lines {
        let mut values = vec![
            simple("train/loss", line.loss),
            tensor("lr", line.rate),
            simple("grad_norm", line.gradient),
        ];
        values.extend(line.validation.map(|loss| tensor("val/loss", loss)));
        let summary: Vec<u8> = values.iter().flat_map(|value| bytes(1, value)).collect();
        let event =
            [&[9][..], &1e9f64.to_le_bytes(), &[16], &varint(line.step as u64), &bytes(5, &summary)].concat();
        file.extend(record(&event));
    }
    file
}

fn simple(tag: &str, value: f64) -> Vec<u8> {
    [bytes(1, tag.as_bytes()), vec![0x15], (value as f32).to_le_bytes().to_vec()].concat()
}

/// TensorFlow 2 and Keras: a scalar tensor of floats.
fn tensor(tag: &str, value: f64) -> Vec<u8> {
    let tensor = [&[8, 1][..], &bytes(2, &[]), &bytes(4, &(value as f32).to_le_bytes())].concat();
    [bytes(1, tag.as_bytes()), bytes(8, &tensor)].concat()
}

fn bytes(field: u64, data: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(data.len() as u64), data.to_vec()].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked(&length).to_le_bytes(), data, &masked(data).to_le_bytes()].concat()
}
