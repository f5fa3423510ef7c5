//! Small files of every format, written by hand.

use std::io::Write;

/// A safetensors file of single-precision tensors.
pub fn safetensors(tensors: &[(&str, &[usize], Vec<f32>)]) -> Vec<u8> {
    let mut entries = Vec::new();
    let mut data = Vec::new();
    for (name, shape, values) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        entries.push(format!(
            "\"{name}\":{{\"dtype\":\"F32\",\"shape\":{shape:?},\"data_offsets\":[{start},{}]}}",
            data.len()
        ));
    }
    let header = format!("{{{}}}", entries.join(","));
    raw_safetensors(&header, &data)
}

/// A safetensors file with that header, whatever it says.
pub fn raw_safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// A zip archive of stored or deflated members.
pub fn archive(members: &[(&str, &[u8])], is_deflated: bool) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let method = if is_deflated { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in members {
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// NumPy's format.
pub fn npy(descr: &str, is_fortran: bool, shape: &str, data: &[u8]) -> Vec<u8> {
    let order = if is_fortran { "True" } else { "False" };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
    header += &" ".repeat(63 - (10 + header.len()) % 64);
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(b'X');
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
}

fn numbers(bytes: &mut Vec<u8>, numbers: &[u32]) {
    bytes.push(b'(');
    for number in numbers {
        bytes.push(b'J');
        bytes.extend(number.to_le_bytes());
    }
    bytes.push(b't');
}

/// A tensor of a pickle: name, its storage's key and length, offset, sides, strides.
pub type Pickled<'a> = (&'a str, &'a str, u32, u32, &'a [u32], &'a [u32]);

/// The pickle of a dictionary of single-precision tensors.
pub fn state(tensors: &[Pickled]) -> Vec<u8> {
    let mut bytes = vec![0x80, 2];
    bytes.extend(b"ccollections\nOrderedDict\n)Rq\x00(");
    for (name, key, count, offset, sides, strides) in tensors {
        text(&mut bytes, name);
        bytes.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut bytes, "storage");
        bytes.extend(b"ctorch\nFloatStorage\n");
        text(&mut bytes, key);
        text(&mut bytes, "cpu");
        bytes.push(b'J');
        bytes.extend(count.to_le_bytes());
        bytes.extend(b"tQJ");
        bytes.extend(offset.to_le_bytes());
        numbers(&mut bytes, sides);
        numbers(&mut bytes, strides);
        bytes.extend(b"\x89ccollections\nOrderedDict\n)RtR");
    }
    bytes.extend(b"u.");
    bytes
}

/// A GGUF file of single-precision and Q8_0 tensors: name, sides (fastest first), type, data.
pub fn gguf(tensors: &[(&str, &[u64], u32, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3u32.to_le_bytes());
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend(2u64.to_le_bytes());
    let string = |bytes: &mut Vec<u8>, text: &str| {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    };
    string(&mut bytes, "general.architecture");
    bytes.extend(8u32.to_le_bytes());
    string(&mut bytes, "llama");
    string(&mut bytes, "tokenizer.ggml.tokens");
    bytes.extend(9u32.to_le_bytes());
    bytes.extend(8u32.to_le_bytes());
    bytes.extend(2u64.to_le_bytes());
    string(&mut bytes, "a");
    string(&mut bytes, "bc");
    let mut data = Vec::new();
    for (name, sides, kind, numbers) in tensors {
        string(&mut bytes, name);
        bytes.extend((sides.len() as u32).to_le_bytes());
        sides.iter().for_each(|side| bytes.extend(side.to_le_bytes()));
        bytes.extend(kind.to_le_bytes());
        bytes.extend((data.len() as u64).to_le_bytes());
        data.extend(numbers);
        data.resize(data.len().div_ceil(32) * 32, 0);
    }
    bytes.resize(bytes.len().div_ceil(32) * 32, 0);
    bytes.extend(data);
    bytes
}

pub fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
