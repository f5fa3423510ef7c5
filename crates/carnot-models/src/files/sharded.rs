//! `model.safetensors.index.json`: which shard holds which tensor.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::safetensors;
use super::source::Source;
use crate::checkpoint::Tensor;
use crate::error::ModelError;

/// Longest index read. Chosen: a tensor takes about 100 bytes, so this is enough for half a million of them.
const LONGEST: u64 = 1 << 26;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Opens every shard that the index beside them names, and holds its claims against what they hold.
///
/// # Errors
/// [`ModelError::MissingShard`], [`ModelError::NotInShard`], and what the shards' own reader says.
pub fn open(path: &Path) -> Result<(Vec<Source>, Vec<Tensor>), ModelError> {
    let index = Source::open(path)?;
    if index.length > LONGEST {
        return Err(index.too_much("the length of the index", index.length, LONGEST));
    }
    let text = index.bytes(0, index.length)?;
    let Index { weight_map } = serde_json::from_slice(&text)
        .map_err(|error| index.damaged(format!("this is no index of shards: {error}")))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut names: Vec<&String> = weight_map.values().collect();
    names.sort();
    names.dedup();
    let (mut sources, mut tensors) = (Vec::new(), Vec::new());
    for shard in names {
        let missing = || ModelError::MissingShard { path: path.into(), shard: shard.clone() };
        // An index may name files beside it and nothing else.
        if shard.contains(['/', '\\']) || shard == ".." {
            return Err(missing());
        }
        let source = match Source::open(&folder.join(shard)) {
            Err(ModelError::Missing { .. }) => return Err(missing()),
            other => other?,
        };
        let held = safetensors::tensors(&source, sources.len())?;
        let mut wanted = weight_map.iter().filter(|(_, of)| *of == shard).map(|(name, _)| name);
        if let Some(tensor) = wanted.find(|name| !held.iter().any(|tensor| tensor.name == **name)) {
            return Err(ModelError::NotInShard {
                path: path.into(),
                shard: shard.clone(),
                tensor: tensor.clone(),
            });
        }
        sources.push(source);
        tensors.extend(held);
    }
    Ok((sources, tensors))
}
