//! NPY, one numpy array in a file: a magic, a version, a Python dictionary with type, order and shape, the numbers.
//!
//! The dictionary is read by the scanner below and not by `ndarray-npy`, whose reader allocates whatever header length
//! the file claims, up to 4 GiB, and returns a whole array of the stored type, so that making it single precision
//! would hold the data twice. The tests write with it.
//!
//! Source: *numpy.lib.format*, versions 1.0 to 3.0.

use std::path::Path;

use super::array::{Array, Element, Layout, Source};
use super::assemble::assemble;
use super::error::{At, DataError};
use super::options::Options;
use super::set::Dataset;

/// Longest header read. Numpy pads to 64 bytes and warns above 10,000.
const LONGEST_HEADER: usize = 1 << 16;

/// Reads inputs `[samples, …]` and, if there are any, targets.
pub fn read(inputs: Source, targets: Option<Source>, options: &Options) -> Result<Dataset, DataError> {
    let path = inputs.path.clone();
    let source = match &targets {
        Some(targets) => format!("{} with {}", path.display(), targets.path.display()),
        None => format!("{}, no targets", path.display()),
    };
    let inputs = array(inputs, "")?;
    let targets = targets.map(|targets| {
        let name = targets.path.display().to_string();
        array(targets, &name)
    });
    assemble(&path, inputs, targets.transpose()?, options, source)
}

/// Opens a file, and the targets beside it if `options.label` names them.
pub(super) fn open(path: &Path, options: &Options) -> Result<Dataset, DataError> {
    let targets = match &options.label {
        None => None,
        Some(label) => {
            let targets = path.with_file_name(label);
            if !targets.exists() {
                return Err(super::open::missing(&targets));
            }
            Some(Source::open(&targets, options.limit_bytes)?)
        }
    };
    read(Source::open(path, options.limit_bytes)?, targets, options)
}

/// Reads one array that the source holds and nothing else.
pub(super) fn array(mut source: Source, name: &str) -> Result<Array, DataError> {
    let layout = header(&mut source, name)?;
    let array = source.array(&layout)?;
    source.finish(&layout)?;
    Ok(array)
}

fn header(source: &mut Source, name: &str) -> Result<Layout, DataError> {
    let at = if name.is_empty() { At::Whole } else { At::Array(name.to_string()) };
    let wrong = |missing| DataError::Header { path: source.path.clone(), at: at.clone(), missing };
    let (cut, version, long) =
        (wrong("its own length"), wrong("a version from 1 to 3"), wrong("a length below 64 KiB"));
    let mut start = [0; 8];
    source.header(&mut start, "NPY file", &at)?;
    if &start[..6] != b"\x93NUMPY" {
        let (path, found) = (source.path.clone(), start.to_vec());
        return Err(DataError::Magic { path, at, format: "NPY file", found });
    }
    let mut length = [0; 4];
    let digits = match start[6] {
        1 => 2,
        2 | 3 => 4,
        _ => return Err(version),
    };
    source.header(&mut length[..digits], "NPY file", &at).map_err(|_| cut)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > LONGEST_HEADER {
        return Err(long);
    }
    let mut text = vec![0; length];
    let cut = DataError::Header { path: source.path.clone(), at: at.clone(), missing: "all it announces" };
    source.header(&mut text, "NPY file", &at).map_err(|_| cut)?;
    let wrong = |missing| DataError::Header { path: source.path.clone(), at: at.clone(), missing };
    let fields = Scanner { text: &text, at: 0 }.dictionary().map_err(wrong)?;
    let descr = fields.descr.ok_or_else(|| wrong("the type of its numbers (descr)"))?;
    let (element, is_big_endian) = element(&descr).ok_or_else(|| DataError::ElementType {
        path: source.path.clone(),
        at: at.clone(),
        found: descr.chars().take(40).collect(),
    })?;
    Ok(Layout {
        name: name.to_string(),
        element,
        is_big_endian,
        dimensions: fields.shape.ok_or_else(|| wrong("the shape of its array"))?,
        fortran: fields.fortran.ok_or_else(|| wrong("the order of its array (fortran_order)"))?,
    })
}

/// Numpy's type string: byte order, kind, bytes.
fn element(descr: &str) -> Option<(Element, bool)> {
    let is_big_endian = descr.starts_with('>');
    let element = match descr.trim_start_matches(['<', '>', '|', '=']) {
        "b1" | "?" => Element::Bool,
        "u1" => Element::U8,
        "i1" => Element::I8,
        "u2" => Element::U16,
        "i2" => Element::I16,
        "u4" => Element::U32,
        "i4" => Element::I32,
        "u8" => Element::U64,
        "i8" => Element::I64,
        "f2" => Element::F16,
        "f4" => Element::F32,
        "f8" => Element::F64,
        _ => return None,
    };
    Some((element, is_big_endian))
}

#[derive(Default)]
struct Fields {
    descr: Option<String>,
    fortran: Option<bool>,
    shape: Option<Vec<u64>>,
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`; no other Python.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn dictionary(mut self) -> Result<Fields, &'static str> {
        let mut fields = Fields::default();
        self.expect(b'{', "a dictionary")?;
        while !self.accept(b'}') {
            let key = self.quoted().ok_or("a quoted key")?;
            self.expect(b':', "a value for every key")?;
            match key.as_str() {
                "descr" => fields.descr = Some(self.quoted().unwrap_or_else(|| self.rest())),
                "fortran_order" => fields.fortran = Some(self.boolean()?),
                "shape" => fields.shape = Some(self.tuple()?),
                _ => return Err("only the keys descr, fortran_order and shape"),
            }
            if fields.descr.as_deref().is_some_and(|descr| element(descr).is_none()) {
                // A structured type nests; what follows it cannot be told apart, and the type is refused anyway.
                (fields.fortran, fields.shape) = (Some(false), Some(Vec::new()));
                return Ok(fields);
            }
            if !self.accept(b',') {
                self.expect(b'}', "a comma or the end of its dictionary")?;
                break;
            }
        }
        Ok(fields)
    }

    fn boolean(&mut self) -> Result<bool, &'static str> {
        self.skip_spaces();
        for (word, value) in [(&b"True"[..], true), (b"False", false)] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err("True or False for fortran_order")
    }

    fn tuple(&mut self) -> Result<Vec<u64>, &'static str> {
        let mut sides = Vec::new();
        self.expect(b'(', "its shape as a tuple")?;
        while !self.accept(b')') {
            sides.push(self.number()?);
            if !self.accept(b',') {
                self.expect(b')', "a comma or the end of its shape")?;
                break;
            }
        }
        Ok(sides)
    }

    fn number(&mut self) -> Result<u64, &'static str> {
        self.skip_spaces();
        let digits = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = std::str::from_utf8(&self.text[self.at..self.at + digits]).unwrap_or_default();
        self.at += digits;
        // Python 2 wrote long integers with an L.
        if self.text.get(self.at) == Some(&b'L') {
            self.at += 1;
        }
        text.parse().map_err(|_| "dimensions that are whole numbers below 2^64")
    }

    fn quoted(&mut self) -> Option<String> {
        self.skip_spaces();
        let quote = *self.text.get(self.at).filter(|byte| matches!(byte, b'\'' | b'"'))?;
        let start = self.at + 1;
        let length = self.text[start..].iter().position(|&byte| byte == quote)?;
        self.at = start + length + 1;
        Some(String::from_utf8_lossy(&self.text[start..start + length]).into_owned())
    }

    fn rest(&self) -> String {
        String::from_utf8_lossy(&self.text[self.at..]).trim().chars().take(40).collect()
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), &'static str> {
        if self.accept(byte) { Ok(()) } else { Err(what) }
    }

    fn accept(&mut self, byte: u8) -> bool {
        self.skip_spaces();
        let found = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn skip_spaces(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }
}
