//! Byte pairs: a vocabulary learned from the text itself, as GPT-2 cuts its own (Sennrich et al., arXiv:1508.07909).

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, TokenizerImpl};

/// Fewest kinds: every byte, and one pair.
pub(super) const LEAST: usize = 257;

type Tokenizer = TokenizerImpl<BPE, NormalizerWrapper, ByteLevel, PostProcessorWrapper, DecoderWrapper>;

/// Numbers of the tokens of a text: the 256 bytes, and the pairs of tokens that were the commonest when each was joined, up to `kinds` of both;
/// pairs never reach over the end of a word. The same text and number give the same tokens.
///
/// # Errors
/// What the tokenizer says.
pub(super) fn pairs(text: &str, kinds: usize) -> Result<Vec<u32>, String> {
    // Lines are read one by one: what stands in a line does not depend on the others but by the vocabulary.
    let lines = || text.split_inclusive('\n');
    let said = |error: tokenizers::Error| error.to_string();
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, false, true)));
    let mut trainer = BpeTrainer::builder()
        .vocab_size(kinds)
        .min_frequency(2)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    tokenizer.train(&mut trainer, lines().map(str::to_owned)).map_err(said)?;
    let mut ids = Vec::new();
    for line in lines() {
        ids.extend_from_slice(tokenizer.encode(line, false).map_err(said)?.get_ids());
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_pairs_become_one_token_and_rare_bytes_stay() {
        let text = "abab abab abab\nabab ξ\n".repeat(3);
        // Room for three pairs: a and b, two of those, and a space before them.
        let ids = pairs(&text, 259).unwrap();
        assert_eq!(ids, pairs(&text, 259).unwrap());
        assert!(ids.iter().all(|id| *id < 259), "{ids:?}");
        let line = &ids[..ids.len() / 3];
        // abab, ␣abab twice, newline, abab, space, two bytes of ξ, newline.
        assert_eq!(line.len(), 9, "{line:?}");
        assert_eq!((line[1], line[2]), (258, 258), "{line:?}");
        assert_eq!(line[0], line[4], "{line:?}");
        assert!(line[6] < 256 && line[7] < 256, "{line:?}");
    }

    #[test]
    fn without_room_for_pairs_there_are_bytes() {
        let ids = pairs("Здраво\n", 256).unwrap();
        assert_eq!(ids.len(), 13);
    }
}
