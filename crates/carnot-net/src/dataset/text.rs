//! Text as tokens: windows of a few dozen, and at each position the one to tell.

use std::collections::HashMap;
use std::io::Read;

use carnot_math::random::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::array::Source;
use super::error::{At, DataError};
use super::options::Options;
use super::pairs;
use super::set::{Dataset, Exact, IGNORED, Targets};

/// What a text is cut into.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tokens {
    /// Characters: the commonest, and one token for all others.
    #[default]
    Characters,
    /// Bytes of UTF-8, 256 tokens.
    Bytes,
    /// Byte pairs learned from the text itself (BPE), as many as the vocabulary has room for.
    Pairs,
}

/// Tokens of a window when nothing else is said.
pub const CONTEXT: usize = 24;
/// Tokens of a vocabulary of characters when nothing else is said.
pub const VOCABULARY: usize = 64;
/// Tokens of a vocabulary of byte pairs when nothing else is said.
const PAIRS: usize = 512;
/// Most tokens of a window, and most of a vocabulary.
const MOST: usize = 65_536;

/// Reads a text file.
pub(super) fn read(source: Source<'_>, options: &Options) -> Result<Dataset, DataError> {
    let path = source.path.clone();
    let mut bytes = Vec::new();
    let room = options.limit_bytes / 4;
    let mut reader = source.reader.take(room + 1);
    reader.read_to_end(&mut bytes).map_err(|source| DataError::Io { path: path.clone(), source })?;
    if bytes.len() as u64 > room {
        let needed = 4 * bytes.len() as u64;
        return Err(DataError::TooLarge { path, at: At::Whole, needed, limit: options.limit_bytes });
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let tokens = match options.tokens {
        Tokens::Bytes => Tokenised { ids: bytes.iter().map(|&byte| u32::from(byte)).collect(), kinds: 256 },
        Tokens::Characters | Tokens::Pairs => {
            let text = String::from_utf8(bytes).map_err(|error| {
                let at = At::Byte(error.utf8_error().valid_up_to() as u64);
                DataError::NotText { path: path.clone(), at }
            })?;
            cut(&name, &text, options)?
        }
    };
    windows(&name, tokens, options)
}

/// A text that is already here.
pub(super) fn of(name: &str, text: &str, options: &Options) -> Result<Dataset, DataError> {
    windows(name, cut(name, text, options)?, options)
}

fn cut(name: &str, text: &str, options: &Options) -> Result<Tokenised, DataError> {
    match options.tokens {
        Tokens::Bytes => Ok(Tokenised { ids: text.bytes().map(u32::from).collect(), kinds: 256 }),
        Tokens::Characters => characters(text, options),
        Tokens::Pairs => {
            let kinds = options.vocabulary.unwrap_or(PAIRS);
            if !(pairs::LEAST..=MOST).contains(&kinds) {
                let range = "from 257 to 65536 for pairs of bytes, as in post:2x64,vocabulary=512";
                return Err(DataError::Parameter { name: "vocabulary", value: kinds as f64, range });
            }
            let ids =
                pairs::pairs(text, kinds).map_err(|why| DataError::Tokenizer { path: name.into(), why })?;
            Ok(Tokenised { ids, kinds })
        }
    }
}

/// Numbers of tokens, and how many kinds there are.
struct Tokenised {
    ids: Vec<u32>,
    kinds: usize,
}

/// The commonest characters in order of their number (equal ones by code point); the last token is every other one.
fn characters(text: &str, options: &Options) -> Result<Tokenised, DataError> {
    let kinds = options.vocabulary.unwrap_or(VOCABULARY);
    if !(2..=MOST).contains(&kinds) {
        let range = "from 2 to 65536";
        return Err(DataError::Parameter { name: "vocabulary", value: kinds as f64, range });
    }
    let mut counts: HashMap<char, usize> = HashMap::new();
    text.chars().for_each(|c| *counts.entry(c).or_default() += 1);
    let mut order: Vec<(char, usize)> = counts.into_iter().collect();
    order.sort_unstable_by_key(|&(c, count)| (std::cmp::Reverse(count), c));
    let known: HashMap<char, u32> =
        order.iter().take(kinds - 1).zip(0..).map(|(&(c, _), id)| (c, id)).collect();
    let other = (kinds - 1) as u32;
    let ids = text.chars().map(|c| known.get(&c).copied().unwrap_or(other)).collect();
    Ok(Tokenised { ids, kinds })
}

/// Windows one after another. Next token: the label of a position is the token behind it. Masked: some tokens are replaced by one more
/// kind, the mask, and only these are asked for.
fn windows(name: &str, tokens: Tokenised, options: &Options) -> Result<Dataset, DataError> {
    let context = options.context.unwrap_or(CONTEXT);
    if !(1..=MOST).contains(&context) {
        let range = "from 1 to 65536";
        return Err(DataError::Parameter { name: "context", value: context as f64, range });
    }
    let Tokenised { ids, kinds } = tokens;
    let count = ids.len().saturating_sub(1) / context;
    if count == 0 {
        return Err(DataError::TooShort { path: name.into(), found: ids.len(), needed: context + 1 });
    }
    let cut = &ids[..count * context];
    let mut inputs: Vec<f32> = cut.iter().map(|&id| id as f32).collect();
    let (labels, classes) = match options.masked {
        0.0 => (ids[1..=count * context].to_vec(), kinds),
        share if share > 0.0 && share < 1.0 => {
            let mut stream = Stream::new(options.seed, "dataset/masked", &[]);
            let mut labels = vec![IGNORED; cut.len()];
            for ((input, label), &id) in inputs.iter_mut().zip(&mut labels).zip(cut) {
                if stream.uniform() < share {
                    (*input, *label) = (kinds as f32, id);
                }
            }
            (labels, kinds + 1)
        }
        value => {
            return Err(DataError::Parameter { name: "masked", value, range: "at least 0, below 1" });
        }
    };
    let what = match options.tokens {
        Tokens::Characters => "characters",
        Tokens::Bytes => "bytes",
        Tokens::Pairs => "byte pairs",
    };
    Ok(Dataset {
        name: name.into(),
        shape: vec![context, 1],
        inputs,
        targets: Targets::Positions { labels, classes, positions: context },
        exact: Exact::default(),
        source: format!("{name}, {} {what} of {kinds} kinds in windows of {context}", ids.len()),
    })
}
