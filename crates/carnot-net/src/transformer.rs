//! The shorthand for transformers: `post:16x64,heads=4`, from the place of the norms and the sizes.

use crate::activation::Activation;
use crate::dataset::{CONTEXT, VOCABULARY};
use crate::error::{LARGEST_WIDTH, NetworkError, ShorthandFault};
use crate::layers::Layer;
use crate::layers::activate::Activate;
use crate::layers::attention::{Attention, Scaling, Weighting};
use crate::layers::dense::Dense;
use crate::layers::embedding::Embedding;
use crate::layers::norm::{Kind, Norm};
use crate::layers::positional::Positional;
use crate::layers::repeat::Repeat;
use crate::layers::residual::Residual;
use crate::layers::unembedding::Unembedding;
use crate::network::{Named, Network};
use crate::shape::Shape;

/// A way to put norms and skips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Design {
    /// `norm(x + f(x))`.
    Post,
    /// `x + f(norm(x))`, and a norm before the head.
    Pre,
    /// `norm(α x + f(x))` with small values, outputs and MLPs (Wang et al., arXiv:2203.00555).
    DeepNorm,
    /// `x + norm(f(norm(x)))`, and a norm before the head.
    Sandwich,
}

/// What a user types, the design, and whether a token sees only those before it.
const DESIGNS: &[(&str, Design, bool)] = &[
    ("post", Design::Post, true),
    ("pre", Design::Pre, true),
    ("deepnorm", Design::DeepNorm, true),
    ("sandwich", Design::Sandwich, true),
    ("gpt", Design::Pre, true),
    ("bert", Design::Post, false),
];

/// Settings after the sizes.
const KEYS: &[&str] = &["heads", "ffn", "tokens", "vocabulary", "causal", "qk-norm", "tied"];

/// True when a text looks like a transformer rather than a file name: `name:…` with the name of a design.
#[must_use]
pub fn looks_like(text: &str) -> bool {
    text.split_once(':').is_some_and(|(design, _)| DESIGNS.iter().any(|(name, ..)| *name == design))
}

/// The shorthand of a network, and its activation; `None` for a network that no shorthand of a transformer gives.
#[must_use]
pub fn shorthand_of(network: &Network) -> Option<(String, String)> {
    let (name, sizes, activation, is_causal) = sizes_of(network)?;
    Some((sizes.text(name, is_causal), activation.name))
}

/// The same transformer with other sizes: the number of blocks, or the width with MLP and heads in proportion; `None` for a network
/// that no shorthand of a transformer gives. DeepNorm's factors follow the depth.
#[must_use]
pub fn resized(network: &Network, depth: Option<usize>, width: Option<usize>) -> Option<Network> {
    let (_, mut sizes, activation, _) = sizes_of(network)?;
    sizes.depth = depth.unwrap_or(sizes.depth);
    if let Some(width) = width {
        let part = |n: usize| (n * width / sizes.width).max(1);
        (sizes.ffn, sizes.heads) = (part(sizes.ffn), part(sizes.heads));
        sizes.width = width;
        if !width.is_multiple_of(sizes.heads) {
            sizes.heads = Sizes::usual(sizes.design, 1, width, true).heads;
        }
    }
    Some(sizes.network(&activation))
}

/// Name of the design, sizes, activation, and whether the name is that of a causal one.
fn sizes_of(network: &Network) -> Option<(&'static str, Sizes, Activation, bool)> {
    let [embedding, _, blocks, .., _] = &network.layers[..] else { return None };
    let (Layer::Embedding(embedding), Layer::Repeat(blocks)) = (&embedding.layer, &blocks.layer) else {
        return None;
    };
    let flat: Vec<&Layer> = blocks.block.iter().flat_map(inside).collect();
    let attention = flat.iter().find_map(|layer| match layer {
        Layer::Attention(attention) => Some(attention),
        _ => None,
    })?;
    let activation = flat.iter().find_map(|layer| match layer {
        Layer::Activate(activate) => Some(activate.activation.clone()),
        _ => None,
    })?;
    let ffn = flat.iter().find_map(|layer| match layer {
        Layer::Dense(dense) => Some(dense.width),
        _ => None,
    })?;
    // A name that is usually as causal as this network comes first.
    let (like, unlike): (Vec<_>, Vec<_>) =
        DESIGNS.iter().partition(|(.., is_causal)| *is_causal == attention.causal);
    like.into_iter().chain(unlike).find_map(|&(name, design, is_causal)| {
        let sizes = Sizes {
            design,
            depth: blocks.times,
            width: embedding.width,
            heads: attention.heads,
            ffn,
            tokens: network.input.positions(),
            vocabulary: embedding.vocabulary,
            is_causal: attention.causal,
            has_qk_norm: attention.qk_norm,
            is_tied: network.layers.last().is_some_and(|last| matches!(last.layer, Layer::Unembedding(_))),
        };
        (sizes.network(&activation) == *network).then(|| (name, sizes, activation.clone(), is_causal))
    })
}

/// The same sizes in another design and depth, as a shorthand; `None` where `text` is none.
#[must_use]
pub fn other(text: &str, design: &str, depth: usize) -> Option<String> {
    if !looks_like(text) {
        return None;
    }
    let mut sizes = sizes(text).ok()?;
    let &(name, wanted, is_causal) = DESIGNS.iter().find(|(name, ..)| *name == design)?;
    (sizes.design, sizes.depth) = (wanted, depth);
    Some(sizes.text(name, is_causal))
}

/// A shorthand of the same sizes, with its norms in the same place, and the activation, for a transformer that is written out; `None` for
/// what is none. How it is drawn may be another way.
#[must_use]
pub fn like(network: &Network) -> Option<(String, String)> {
    let (mut attention, mut activation, mut ffn, mut embedding) = (None, None, None, None);
    let (mut depth, mut sums, mut followed) = (0, 0, 0);
    let mut pile: Vec<(&[Named], usize, bool)> = vec![(&network.layers, 1, false)];
    while let Some((layers, times, in_branch)) = pile.pop() {
        for (at, named) in layers.iter().enumerate() {
            match &named.layer {
                Layer::Embedding(found) => embedding = embedding.or(Some(found)),
                Layer::Repeat(repeat) => pile.push((&repeat.block, times * repeat.times, in_branch)),
                Layer::Residual(residual) => {
                    let is_followed =
                        layers.get(at + 1).is_some_and(|next| matches!(next.layer, Layer::Norm(_)));
                    sums += times;
                    followed += if is_followed { times } else { 0 };
                    pile.push((&residual.block, times, true));
                }
                Layer::Branches(branches) => {
                    pile.extend(branches.of.iter().map(|of| (&of[..], times, in_branch)))
                }
                Layer::Attention(found) => {
                    attention = attention.or(Some(found));
                    depth += times;
                }
                Layer::Activate(found) if in_branch => activation = activation.or(Some(found)),
                Layer::Dense(found) if in_branch => ffn = ffn.max(Some(found.width)),
                _ => {}
            }
        }
    }
    let (attention, embedding) = (attention?, embedding?);
    let name = if 2 * followed > sums { "post" } else { "pre" };
    let &(_, design, is_causal) = DESIGNS.iter().find(|(known, ..)| *known == name)?;
    let sizes = Sizes {
        heads: attention.heads,
        ffn: ffn?,
        tokens: network.input.positions(),
        vocabulary: embedding.vocabulary,
        is_causal: attention.causal,
        has_qk_norm: attention.qk_norm,
        is_tied: network.layers.last().is_some_and(|last| matches!(last.layer, Layer::Unembedding(_))),
        ..Sizes::usual(design, depth, embedding.width, is_causal)
    };
    let fits = embedding.width.is_multiple_of(sizes.heads);
    fits.then(|| Some((sizes.text(name, is_causal), activation?.activation.name.clone())))?
}

fn inside(named: &Named) -> Vec<&Layer> {
    match &named.layer {
        Layer::Residual(residual) => residual.block.iter().map(|named| &named.layer).collect(),
        layer => vec![layer],
    }
}

struct Sizes {
    design: Design,
    depth: usize,
    width: usize,
    heads: usize,
    ffn: usize,
    tokens: usize,
    vocabulary: usize,
    is_causal: bool,
    has_qk_norm: bool,
    is_tied: bool,
}

/// Reads `DESIGN:LxD[,heads=H][,ffn=F][,tokens=T][,vocabulary=V][,causal=0|1][,qk-norm=0|1][,tied=0|1]`: L blocks of attention and MLP on a stream
/// of width D.
///
/// Weights are Xavier's (variance 2/(fan-in + fan-out)), embeddings of variance 1, positions of 0.01, biases 0, whatever an initialisation
/// scheme says; a tied head is the table of the embedding, over √D; DeepNorm multiplies values, outputs and both matrices of the MLP by β. Default: heads of 64 but at least four, F = 4 D, 24
/// tokens of 64 kinds.
///
/// # Errors
/// [`NetworkError::Shorthand`] with the bytes that could not be read.
pub fn parse(text: &str, activation: &Activation) -> Result<Network, NetworkError> {
    Ok(sizes(text)?.network(activation))
}

fn sizes(text: &str) -> Result<Sizes, NetworkError> {
    let fault = |at: std::ops::Range<usize>, why| NetworkError::Shorthand { text: text.to_string(), at, why };
    let name = text.split(':').next().unwrap_or_default();
    let known = DESIGNS.iter().find(|(known, ..)| *known == name);
    let &(_, design, is_causal) = known.expect("looks_like() was asked");
    let number = |from: usize, digits: &str, most: usize| {
        let why = match digits.parse::<usize>() {
            Ok(n) if (1..=most).contains(&n) => return Ok(n),
            Ok(0) => ShorthandFault::Zero,
            Ok(_) => ShorthandFault::TooLarge(digits.to_string()),
            Err(_) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => {
                ShorthandFault::TooLarge(digits.to_string())
            }
            Err(_) => ShorthandFault::NotAWidth(digits.to_string()),
        };
        Err(fault(from..from + digits.len(), why))
    };
    let mut start = name.len() + 1;
    let mut pieces = text[start..].split(',');
    let first = pieces.next().unwrap_or_default();
    let Some((depth, width)) = first.split_once('x') else {
        return Err(fault(start..text.len(), ShorthandFault::NotAWidth(first.to_string())));
    };
    let depth_number = number(start, depth, 10_000)?;
    let width = number(start + depth.len() + 1, width, LARGEST_WIDTH)?;
    let mut sizes = Sizes::usual(design, depth_number, width, is_causal);
    start += first.len() + 1;
    for piece in pieces {
        let at = start..start + piece.len();
        start = at.end + 1;
        let (key, digits) = piece.split_once('=').unwrap_or((piece, ""));
        let value_at = at.start + key.len() + 1;
        let count = |most| number(value_at.min(text.len()), digits, most);
        let yes = || match digits {
            "0" | "1" => Ok(digits == "1"),
            _ => Err(fault(at.clone(), ShorthandFault::NotASwitch(key.to_string()))),
        };
        match key {
            "heads" => sizes.heads = count(width)?,
            "ffn" => sizes.ffn = count(LARGEST_WIDTH)?,
            "tokens" => sizes.tokens = count(65_536)?,
            "vocabulary" => sizes.vocabulary = count(LARGEST_WIDTH)?,
            "causal" => sizes.is_causal = yes()?,
            "qk-norm" => sizes.has_qk_norm = yes()?,
            "tied" => sizes.is_tied = yes()?,
            _ => {
                let nearest = crate::network::nearest(key, KEYS);
                return Err(fault(at, ShorthandFault::UnknownKey { key: key.to_string(), nearest }));
            }
        }
    }
    if !sizes.width.is_multiple_of(sizes.heads) {
        return Err(fault(0..text.len(), ShorthandFault::Heads { width: sizes.width, heads: sizes.heads }));
    }
    Ok(sizes)
}

impl Sizes {
    /// What the design has when nothing else is said.
    fn usual(design: Design, depth: usize, width: usize, is_causal: bool) -> Sizes {
        let heads = (width / 64).max(if width.is_multiple_of(4) { 4 } else { 1 });
        let heads = if width.is_multiple_of(heads) { heads } else { 1 };
        let (tokens, vocabulary) = (CONTEXT, VOCABULARY);
        let ffn = width.saturating_mul(4).min(LARGEST_WIDTH);
        let (has_qk_norm, is_tied) = (false, false);
        Sizes { design, depth, width, heads, ffn, tokens, vocabulary, is_causal, has_qk_norm, is_tied }
    }

    /// As a user types it, under the name of a design that is usually causal or not.
    fn text(&self, name: &str, is_causal: bool) -> String {
        let plain = Sizes::usual(self.design, self.depth, self.width, is_causal);
        let mut text = format!("{name}:{}x{}", self.depth, self.width);
        for (key, is, usual) in [
            ("heads", self.heads, plain.heads),
            ("ffn", self.ffn, plain.ffn),
            ("tokens", self.tokens, plain.tokens),
            ("vocabulary", self.vocabulary, plain.vocabulary),
            ("causal", usize::from(self.is_causal), usize::from(plain.is_causal)),
            ("qk-norm", usize::from(self.has_qk_norm), 0),
            ("tied", usize::from(self.is_tied), 0),
        ] {
            if is != usual {
                text += &format!(",{key}={is}");
            }
        }
        text
    }

    fn network(&self, activation: &Activation) -> Network {
        let mut layers: Vec<Named> = vec![
            Layer::Embedding(Embedding { width: self.width, vocabulary: self.vocabulary, c_w: Some(1.0) })
                .into(),
            Layer::Positional(Positional { positional: (), decay: None, c_w: Some(0.01) }).into(),
        ];
        let mut block = self.half(self.attention());
        let mlp = [
            self.dense(self.ffn, self.width, self.beta()),
            Layer::Activate(Activate { activation: activation.clone() }).into(),
            self.dense(self.width, self.ffn, self.beta()),
        ];
        block.extend(self.half(mlp.into()));
        layers.push(Layer::Repeat(Repeat { times: self.depth, block }).into());
        if matches!(self.design, Design::Pre | Design::Sandwich) {
            layers.push(norm());
        }
        layers.push(match self.is_tied {
            true => Layer::Unembedding(Unembedding { vocabulary: self.vocabulary, scale: None }).into(),
            false => self.dense(self.vocabulary, self.width, 1.0),
        });
        let input = Shape::from_sizes(&[self.tokens, 1]).expect("a few tokens");
        Network { input, layers }
    }

    /// A branch with its skip and its norms.
    fn half(&self, branch: Vec<Named>) -> Vec<Named> {
        let around = |skip: f64, block: Vec<Named>| {
            Named::from(Layer::Residual(Residual { skip, branch: 1.0, block }))
        };
        let before = || std::iter::once(norm());
        match self.design {
            Design::Post => vec![around(1.0, branch), norm()],
            Design::DeepNorm => vec![around((2.0 * self.depth as f64).powf(0.25), branch), norm()],
            Design::Pre => vec![around(1.0, before().chain(branch).collect())],
            Design::Sandwich => vec![around(1.0, before().chain(branch).chain(before()).collect())],
        }
    }

    /// Factor of the standard deviations of values, outputs and MLP.
    fn beta(&self) -> f64 {
        if self.design == Design::DeepNorm { (8.0 * self.depth as f64).powf(-0.25) } else { 1.0 }
    }

    fn attention(&self) -> Vec<Named> {
        let small = Some(self.beta().powi(2));
        let attention = Attention {
            width: self.width,
            heads: self.heads,
            key: None,
            value: None,
            weighting: Weighting::Softmax,
            scaling: Scaling::Sqrt,
            causal: self.is_causal,
            qk_norm: self.has_qk_norm,
            bias: true,
            positions: None,
            c_w: Some(1.0),
            c_query: None,
            c_key: None,
            c_value: small,
            c_out: small,
            c_b: Some(0.0),
        };
        vec![Layer::Attention(attention).into()]
    }

    /// Xavier's variance, times β².
    fn dense(&self, width: usize, fan_in: usize, beta: f64) -> Named {
        let c_w = beta * beta * 2.0 * fan_in as f64 / (fan_in + width) as f64;
        Layer::Dense(Dense { c_w: Some(c_w), c_b: Some(0.0), ..Dense::of_width(width) }).into()
    }
}

fn norm() -> Named {
    Layer::Norm(Norm { kind: Kind::Layer, epsilon: 1e-5, axes: Vec::new(), affine: true }).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    fn relu() -> Activation {
        Activation::parse("relu").unwrap()
    }

    #[test]
    fn a_shorthand_has_the_parameters_of_its_transformer() {
        for (text, depth, d, f, v, norms) in
            [("post:2x64", 2, 64, 256, 64, 2), ("pre:3x32,ffn=48,vocabulary=100,heads=2", 3, 32, 48, 100, 2)]
        {
            let plan = Plan::new(&parse(text, &relu()).unwrap()).unwrap();
            let block = 4 * d * d + d + 2 * d * f + d + f + norms * 2 * d;
            let last = if text.starts_with("pre") { 2 * d } else { 0 };
            let tied = Plan::new(&parse(&format!("{text},tied=1"), &relu()).unwrap()).unwrap();
            assert_eq!(tied.parameters, plan.parameters - v * d - v, "{text}");
            assert_eq!(plan.parameters, v * d + 24 * d + depth * block + last + v * d + v, "{text}");
            assert_eq!(plan.output().sizes(), [24, v]);
        }
        for text in [
            "post:2x64",
            "bert:3x48,ffn=64",
            "deepnorm:5x32,heads=2,causal=0",
            "sandwich:2x8,qk-norm=1",
            "pre:2x8,tied=1",
        ] {
            assert_eq!(shorthand_of(&parse(text, &relu()).unwrap()), Some((text.into(), "relu".into())));
        }
        let of = |text: &str| parse(text, &relu()).unwrap();
        assert_eq!(resized(&of("deepnorm:4x32"), Some(9), None), Some(of("deepnorm:9x32")));
        assert_eq!(resized(&of("pre:4x32,ffn=64"), None, Some(48)), Some(of("pre:4x48,ffn=96,heads=6")));
        assert_eq!(resized(&of("post:4x64"), Some(2), Some(128)), Some(of("post:2x128,heads=8")));
        for text in ["post:2x64", "pre:3x48,ffn=64,causal=0", "post:1x32,heads=2", "pre:2x8,qk-norm=1,tied=1"]
        {
            assert_eq!(like(&of(text)), Some((text.into(), "relu".into())));
        }
        assert_eq!(like(&of("deepnorm:2x64")).unwrap().0, "post:2x64");
        let drawn = of("post:2x64").to_toml().replace("c_w = 1.0", "c_w = 0.9");
        let drawn = Network::from_toml(&drawn).unwrap();
        assert_eq!((shorthand_of(&drawn), like(&drawn).unwrap().0), (None, "post:2x64".into()));
        assert!(looks_like("bert:12x768") && !looks_like("model.toml") && !looks_like("c:12"));
    }

    #[test]
    fn what_cannot_be_read_is_shown_with_its_place() {
        for (text, place) in [
            ("post:", 5..5),
            ("post:2", 5..6),
            ("post:0x64", 5..6),
            ("post:2x", 7..7),
            ("post:2x64,head=2", 10..16),
            ("post:2x64,heads=a", 16..17),
            ("post:2x64,heads", 15..15),
            ("post:2x64,causal=2", 10..18),
            ("post:2x64,heads=5", 0..17),
            ("post:99999999999999999999x64", 5..25),
        ] {
            match parse(text, &relu()) {
                Err(NetworkError::Shorthand { at, .. }) => assert_eq!(at, place, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
