//! Where the numbers lie in a file: NPY and safetensors.

use crate::engine::Precision;

/// One matrix in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// First byte of the numbers.
    pub(super) offset: u64,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) precision: Precision,
}

impl Place {
    pub(super) fn size(&self) -> usize {
        if self.precision == Precision::F32 { 4 } else { 8 }
    }

    /// First byte of an entry.
    pub(super) fn at(&self, row: usize, column: usize) -> u64 {
        self.offset + ((row * self.columns + column) * self.size()) as u64
    }

    pub(super) fn end(&self) -> u64 {
        self.at(self.rows, 0)
    }
}

/// Header of an NPY file (version 1.0), padded so that the numbers begin at a multiple of 64.
pub(super) fn npy_header(rows: usize, columns: usize, precision: Precision) -> Vec<u8> {
    let kind = if precision == Precision::F32 { "<f4" } else { "<f8" };
    let text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let length = (10 + text.len() + 1).next_multiple_of(64) - 10;
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((length as u16).to_le_bytes());
    header.extend(text.as_bytes());
    header.resize(10 + length - 1, b' ');
    header.push(b'\n');
    header
}

/// Reads what [`npy_header`] and NumPy write for C-ordered matrices.
pub(super) fn parse_npy(bytes: &[u8]) -> Option<Place> {
    let length = usize::from(u16::from_le_bytes([*bytes.get(8)?, *bytes.get(9)?]));
    let text = std::str::from_utf8(bytes.get(10..10 + length)?).ok()?;
    let precision = match text.split("'descr':").nth(1)?.trim_start().get(..5)? {
        "'<f4'" => Precision::F32,
        "'<f8'" => Precision::F64,
        _ => return None,
    };
    if !text.contains("'fortran_order': False") || bytes.get(6)? != &1 {
        return None;
    }
    let inside = text.split("'shape': (").nth(1)?.split(')').next()?;
    let sizes: Vec<usize> = inside.split(',').filter_map(|size| size.trim().parse().ok()).collect();
    let [rows, columns] = sizes[..] else { return None };
    Some(Place { offset: 10 + length as u64, rows, columns, precision })
}

/// Header of a safetensors file with the tensors `kernel` and, where wanted, `tangent`.
pub(super) fn safetensors_header(
    rows: usize,
    columns: usize,
    precision: Precision,
    tangent: bool,
) -> Vec<u8> {
    let (kind, size) = if precision == Precision::F32 { ("F32", 4) } else { ("F64", 8) };
    let bytes = rows * columns * size;
    let tensor = |name: &str, start: usize| {
        let end = start + bytes;
        format!(
            "\"{name}\":{{\"dtype\":\"{kind}\",\"shape\":[{rows},{columns}],\"data_offsets\":[{start},{end}]}}"
        )
    };
    let mut tensors = vec![tensor("kernel", 0)];
    if tangent {
        tensors.push(tensor("tangent", bytes));
    }
    let mut text = format!("{{{}}}", tensors.join(","));
    while text.len() % 64 != 56 {
        text.push(' ');
    }
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// Reads a header made by [`safetensors_header`]: the places of `kernel` and `tangent`.
pub(super) fn parse_safetensors(bytes: &[u8]) -> Option<(Place, Option<Place>)> {
    let length = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let text = std::str::from_utf8(bytes.get(8..8usize.checked_add(usize::try_from(length).ok()?)?)?).ok()?;
    let place = |name: &str| {
        let tensor = text.split(&format!("\"{name}\":{{")).nth(1)?.split('}').next()?;
        let precision = if tensor.contains("\"F32\"") { Precision::F32 } else { Precision::F64 };
        let list = |key: &str| {
            let inside = tensor.split(&format!("\"{key}\":[")).nth(1)?.split(']').next()?;
            inside.split(',').map(|x| x.trim().parse::<usize>().ok()).collect::<Option<Vec<usize>>>()
        };
        let (shape, offsets) = (list("shape")?, list("data_offsets")?);
        let [rows, columns] = shape[..] else { return None };
        Some(Place { offset: 8 + length + *offsets.first()? as u64, rows, columns, precision })
    };
    Some((place("kernel")?, place("tangent")))
}
