//! Two tokens of a text, and one token of two texts, as mean squares and distances.

use super::softmax::agility;
use super::squeeze::Squeeze;
use super::{Stream, participation};

/// Mean squares of a number, and half the squared distances per number, so that nothing is lost when they are small.
#[derive(Clone, Copy)]
pub(super) struct State {
    /// q: mean square over all tokens.
    pub(super) size: f64,
    /// q (1 − ρ): of two tokens of a text.
    pub(super) apart: f64,
    /// Mean square of the last token, which sees all others: behind causal attention less than that of the first ones.
    pub(super) last: f64,
    /// Of the last token in two texts that differ in it.
    pub(super) own: f64,
}

impl State {
    pub(super) fn stream(&self) -> Stream {
        let of = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        let similarity = 1.0 - of(self.apart, self.size);
        Stream { similarity, information: of(self.own, self.last), size: self.size }
    }

    pub(super) fn times(self, factor: f64) -> State {
        State {
            size: self.size * factor,
            apart: self.apart * factor,
            last: self.last * factor,
            own: self.own * factor,
        }
    }

    pub(super) fn plus(self, other: State) -> State {
        State {
            size: self.size + other.size,
            apart: self.apart + other.apart,
            last: self.last + other.last,
            own: self.own + other.own,
        }
    }

    /// The same constant added to all.
    pub(super) fn shifted(self, square: f64) -> State {
        State { size: self.size + square, last: self.last + square, ..self }
    }

    /// Behind a norm: of size one exactly, so that equal layers are met with equal numbers.
    pub(super) fn normalised(self) -> State {
        State { size: 1.0, apart: self.apart / self.size, last: 1.0, own: self.own / self.last }
    }

    /// Behind an activation (or an MLP) of Gaussian numbers of variance `size`.
    pub(super) fn bent(self, squeeze: &Squeeze) -> State {
        let size = squeeze.mean_square;
        let own = squeeze.apart(self.own / self.last);
        State { size, apart: squeeze.apart(self.apart / self.size), last: size, own }
    }

    /// Behind attention with C_V C_O = 1.
    ///
    /// * `logits`: variance of the logits of unit vectors, C_Q C_K
    pub(super) fn attended(self, logits: f64, tokens: usize, is_causal: bool) -> State {
        let seen = if is_causal { positions(tokens, EACH) } else { vec![(tokens, 1.0)] };
        let places: Vec<usize> = seen.iter().map(|(t, _)| *t).collect();
        let (apart, own) = (self.apart / self.size, self.own / self.last);
        let same = participation(logits * apart, &places);
        let weights: f64 = seen.iter().map(|(_, weight)| weight).sum();
        let s1 = coincidence(tokens, is_causal);
        let s2 = same.iter().zip(&seen).map(|(s, (_, weight))| s * weight).sum::<f64>() / weights;
        let (share, last) = (1.0 / tokens as f64, same[same.len() - 1]);
        let common = share + (1.0 - own) * (last - share);
        State {
            size: 1.0 - apart * (1.0 - s2),
            apart: apart * (s2 - s1),
            last: 1.0 - apart * (1.0 - last),
            own: own * (apart * (last - share) + common * share),
        }
        .times(self.size)
    }
}

/// s₂, s₁, and the agility J of a softmax over logits of that variance.
pub(super) fn attention_means(variance: f64, tokens: usize, is_causal: bool) -> [f64; 3] {
    let seen = if is_causal { positions(tokens, FEW) } else { vec![(tokens, 1.0)] };
    let places: Vec<usize> = seen.iter().map(|(t, _)| *t).collect();
    let weights: f64 = seen.iter().map(|(_, weight)| weight).sum();
    let mean = |of: &[f64]| of.iter().zip(&seen).map(|(x, (_, weight))| x * weight).sum::<f64>() / weights;
    let (twice, agility) = (participation(variance, &places), agility(variance, &places));
    [mean(&twice), coincidence(tokens, is_causal), mean(&agility)]
}

/// Positions at which the weights of a causal softmax are averaged, and how many each stands for: all of a few hundred, beyond that groups
/// that grow with the position, of which the middle is taken. The last is always there.
fn positions(tokens: usize, each: usize) -> Vec<(usize, f64)> {
    let mut all = Vec::new();
    let mut from = 1;
    while from < tokens {
        let half = (from / each).min((tokens - 1 - from) / 2);
        all.push((from + half, (2 * half + 1) as f64));
        from += 2 * half + 1;
    }
    all.push((tokens, 1.0));
    all
}

/// Positions that are taken one by one.
const EACH: usize = 256;
/// The same where a thousandth is enough.
const FEW: usize = 32;

/// s₁: chance that two different tokens, looking at random, look at the same one: 1/t, t being what the later one sees.
fn coincidence(tokens: usize, is_causal: bool) -> f64 {
    let all = tokens as f64;
    if !is_causal || tokens == 1 {
        return 1.0 / all;
    }
    // Of the pairs, t − 1 have t as the later one.
    let sum: f64 = (2..=tokens).map(|t| (t as f64 - 1.0) / t as f64).sum();
    sum / (all * (all - 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups of positions give what all of them give.
    #[test]
    fn long_texts_are_averaged_in_groups() {
        for tokens in [1, 2, 255, 256, 257, 259, 700, 5000] {
            let groups = positions(tokens, EACH);
            assert_eq!(groups.iter().map(|(_, weight)| weight).sum::<f64>(), tokens as f64);
            assert_eq!(groups.last().unwrap().0, tokens);
        }
        let places: Vec<usize> = (1..=5000).collect();
        let exact = participation(0.8, &places).iter().sum::<f64>() / 5000.0;
        let start = State { size: 1.0, apart: 1.0, last: 1.0, own: 1.0 };
        let [few, ..] = attention_means(0.8, 5000, true);
        assert!((few / exact - 1.0).abs() < 2e-3, "{few} and {exact}");
        let found = start.attended(0.8, 5000, true).size;
        assert!((found / exact - 1.0).abs() < 1e-4, "{found} and {exact}");
    }
}
