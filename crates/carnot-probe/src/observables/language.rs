//! What is asked of language models and of attention. Whoever runs the model computes these, since it takes the model's own head
//! or its queries and keys; here they have their names and their place in the table.

use carnot_math::stats::Estimate;

use super::{Missing, Observable, estimate};
use crate::seen::Seen;

/// $\langle -\ln p_\ell(y)\rangle$, $p_\ell$ = softmax of the model's final norm and head on the stream $h_\ell$: the loss if the stack
/// stopped here. In nats; behind the last block it is the model's loss.
///
/// Source: nostalgebraist 2020 (logit lens); Belrose et al., arXiv:2303.08112.
pub const LENS: Observable = Observable {
    name: "lens_loss",
    symbol: "lens",
    title: "loss if the stack stopped here",
    meaning: "Loss of the model's own head on the stream behind a block, in nats.",
    of: |seen| told(seen, "lens_loss"),
};

/// Fall of the lens loss across a block, with the error of the difference on the same tokens. In nats; the loads add up to what the
/// whole stack gains.
pub const LENS_LOAD: Observable = Observable {
    name: "load_lens",
    symbol: "load_lens",
    title: "load in nats",
    meaning: "Fall of the loss through the model's own head across a block.",
    of: |seen| told(seen, "load_lens"),
};

/// $1-R^2$ of a ridge regression from the stream, each vector normalised, to the one-hot next token, on the half of the samples that it
/// has not seen; tokens with fewer than 20 occurrences left out. Range: 0 to about 1.
///
/// Source: He, Su, arXiv:2408.13442 (law of next-token prediction), with one-hot targets and held out.
pub const TOKENS: Observable = Observable {
    name: "unexplained_token",
    symbol: "1−R²ₜ",
    title: "unexplained share of the next token",
    meaning: "What a linear reader of the stream cannot tell about the next token, on samples that it has not seen.",
    of: |seen| told(seen, "unexplained_token"),
};

/// Fall of $\ln(1-R^2)$ of that reader across a block, with the error of the difference on the same tokens.
pub const TOKENS_LOAD: Observable = Observable {
    name: "load_token",
    symbol: "load_t",
    title: "load for the next token",
    meaning: "Fall of ln(1 − R²) of the next token across a block.",
    of: |seen| told(seen, "load_token"),
};

/// $1-R^2$ of the same reader for the token that stands at the position itself: what the stream has forgotten of it.
pub const CURRENT: Observable = Observable {
    name: "unexplained_current",
    symbol: "1−R²₀",
    title: "unexplained share of the current token",
    meaning: "What a linear reader of the stream cannot tell about the token at its own position.",
    of: |seen| told(seen, "unexplained_current"),
};

/// $-\sum_j a_j\ln a_j/\ln n$ of the attention weights over the n keys that a query may see, mean over queries and heads. Range: 0 (one
/// key) to 1 (all keys alike).
///
/// Source: Zhai et al., arXiv:2303.06296 (attention entropy collapse).
pub const ENTROPY: Observable = Observable {
    name: "attention_entropy",
    symbol: "H_att",
    title: "attention entropy",
    meaning: "Entropy of the attention weights over that of equal weights: 0 looks at one key, 1 at all alike.",
    of: |seen| told(seen, "attention_entropy"),
};

/// Largest $|q\cdot k|/\sqrt{d}$ over queries, keys and heads. Range: ≥ 0; stable models stay below about 50.
///
/// Source: Dehghani et al., arXiv:2302.05442 (logits above 100 precede divergence).
pub const LOGIT: Observable = Observable {
    name: "attention_logit",
    symbol: "max qk",
    title: "largest attention logit",
    meaning: "Largest product of a query with a key, as the softmax of attention sees it.",
    of: |seen| told(seen, "attention_logit"),
};

fn told(seen: &Seen, name: &'static str) -> Result<Estimate, Missing> {
    let found = seen.call.told.iter().find(|(told, ..)| told == name);
    match found.filter(|(_, value, _)| value.is_finite()) {
        Some((_, value, error)) => Ok(estimate(*value, error.unwrap_or(f64::NAN), seen.frame.samples)),
        None => Err(Missing::Kind("streams of language models and attention")),
    }
}
