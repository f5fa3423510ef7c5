//! The format of PyTorch since 1.6: a zip archive with `data.pkl` and one stored member for each storage.

use std::collections::HashMap;
use std::io::Read;

use flate2::read::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use super::pickle;
use super::state::{self, Kept};
use crate::checkpoint::Tensor;
use crate::error::ModelError;
use crate::files::source::Source;

/// Longest pickle read: it holds names and shapes, about 200 bytes a tensor.
const LONGEST_PICKLE: u64 = 1 << 26;

/// Weights hardly shrink when they are deflated. A member that shrank more than this is a bomb, unless it is small: zeros do shrink.
const MOST_INFLATION: u64 = 100;
const SMALL: u64 = 1 << 26;

/// A member of an archive.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its path inside.
    pub name: String,
    /// Where its bytes start in the file.
    pub offset: u64,
    /// Bytes in the file.
    pub stored: u64,
    /// Bytes when inflated.
    pub inflated: u64,
    /// How it is compressed.
    pub method: CompressionMethod,
}

/// The members of an archive, held against the length of the file.
///
/// # Errors
/// [`ModelError::Damaged`], [`ModelError::Bomb`], [`ModelError::Truncated`].
pub fn members(source: &Source) -> Result<Vec<Member>, ModelError> {
    let failed = |error| source.damaged(format!("the archive cannot be read: {error}"));
    let stream = std::io::BufReader::new(source.stream(0, source.length));
    let mut archive = ZipArchive::new(stream).map_err(failed)?;
    let mut members = Vec::with_capacity(archive.len());
    for at in 0..archive.len() {
        let found = archive.by_index_raw(at).map_err(failed)?;
        if found.is_dir() {
            continue;
        }
        let name = found.name().map_err(failed)?.into_owned();
        let offset = found
            .data_start()
            .ok_or_else(|| source.damaged(format!("`{name}` has no place in the archive")))?;
        let member = Member {
            name,
            offset,
            stored: found.compressed_size(),
            inflated: found.size(),
            method: found.compression(),
        };
        source.within(&format!("`{}`", member.name), member.offset, member.stored)?;
        let Member { name, stored, inflated, .. } = &member;
        if *inflated > SMALL && inflated / MOST_INFLATION > *stored {
            let (member, path) = (name.clone(), source.path.clone());
            return Err(ModelError::Bomb { path, member, stored: *stored, inflated: *inflated });
        }
        if member.method == CompressionMethod::Stored && stored != inflated {
            return Err(source.damaged(format!("`{name}` is stored, and its two lengths differ")));
        }
        members.push(member);
    }
    Ok(members)
}

/// The tensors of an archive.
///
/// # Errors
/// [`ModelError::Code`] for a pickle that wants something called, [`ModelError::Damaged`], [`ModelError::Truncated`].
pub fn tensors(source: &Source) -> Result<Vec<Tensor>, ModelError> {
    let members = members(source)?;
    let pickle = members.iter().find(|member| member.name.ends_with("data.pkl"));
    let Some(pickle) = pickle else {
        let script = members.iter().any(|member| member.name.contains("/code/"));
        return Err(source.damaged(match script {
            true => "this is a TorchScript archive without data.pkl",
            false => "the archive holds neither data.pkl nor arrays",
        }));
    };
    let folder = pickle.name.trim_end_matches("data.pkl").to_string();
    let order = members.iter().find(|member| member.name == format!("{folder}byteorder"));
    if let Some(order) = order
        && contents(source, order)? != b"little"
    {
        return Err(source.damaged("the numbers are not little-endian"));
    }
    let bytes = contents(source, pickle)?;
    let (walked, _) = pickle::walk(&bytes).map_err(|fault| fault.of(source))?;
    let storages: HashMap<String, Kept> = members
        .iter()
        .filter(|member| member.method == CompressionMethod::Stored)
        .filter_map(|member| {
            let key = member.name.strip_prefix(&folder)?.strip_prefix("data/")?;
            Some((key.to_string(), Kept { offset: member.offset, bytes: member.stored }))
        })
        .collect();
    state::tensors(source, &walked, &storages)
}

/// All of a short member.
fn contents(source: &Source, member: &Member) -> Result<Vec<u8>, ModelError> {
    if member.inflated > LONGEST_PICKLE {
        let what = format!("the length of `{}`", member.name);
        return Err(source.too_much(what, member.inflated, LONGEST_PICKLE));
    }
    match member.method {
        CompressionMethod::Stored => source.bytes(member.offset, member.stored),
        CompressionMethod::Deflated => {
            let mut bytes = Vec::new();
            let stream = std::io::BufReader::new(source.stream(member.offset, member.stored));
            // The member's own claim is no bound on what comes out.
            let read = DeflateDecoder::new(stream).take(LONGEST_PICKLE + 1).read_to_end(&mut bytes);
            read.map_err(|error| source.damaged(format!("`{}` cannot be inflated: {error}", member.name)))?;
            if bytes.len() as u64 > LONGEST_PICKLE {
                let what = format!("the length of `{}`", member.name);
                return Err(source.too_much(what, bytes.len() as u64, LONGEST_PICKLE));
            }
            Ok(bytes)
        }
        other => Err(source.damaged(format!("`{}` is compressed by {other}", member.name))),
    }
}
