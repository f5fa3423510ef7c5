//! A network in a few words: `784-128x50-10, tanh`.

use carnot_net::layers::Layer;
use carnot_net::layers::norm::Kind;
use carnot_net::network::{Named, Network};

/// Widths from input to output with repeats, activations, and what else is remarkable.
///
/// A network that a shorthand describes is described by that shorthand.
pub fn network(network: &Network) -> String {
    if let Some((shorthand, activation)) = carnot_net::transformer::shorthand_of(network) {
        return format!("{shorthand}, {activation}");
    }
    let mut words = Words::default();
    let mut runs = words.runs(&network.layers);
    split_output(&mut runs);
    let mut text = network.input.to_string();
    if !runs.is_empty() {
        text += &format!("-{}", joined(&runs));
    }
    for word in words.activations.iter().map(String::as_str).chain(words.others) {
        text += &format!(", {word}");
    }
    text
}

/// What is said after the widths, each once, in order of appearance.
#[derive(Default)]
struct Words {
    activations: Vec<String>,
    others: Vec<&'static str>,
}

type Run = (String, usize);

impl Words {
    /// Labels of the layers with weights and how often each follows itself.
    fn runs(&mut self, layers: &[Named]) -> Vec<Run> {
        let mut runs = Vec::new();
        for named in layers {
            runs.extend(self.layer(&named.layer));
        }
        merged(runs)
    }

    fn layer(&mut self, layer: &Layer) -> Vec<Run> {
        match layer {
            Layer::Dense(dense) => vec![(dense.width.to_string(), 1)],
            Layer::Conv(conv) => vec![(format!("conv{}", conv.width), 1)],
            Layer::ConvTransposed(conv) => vec![(format!("transposed{}", conv.width), 1)],
            Layer::ConvLocal(conv) => vec![(format!("local{}", conv.width), 1)],
            Layer::Activate(activate) => {
                once(&mut self.activations, activate.activation.name.clone());
                Vec::new()
            }
            Layer::Norm(norm) => {
                once(&mut self.others, if norm.kind == Kind::Layer { "layer norm" } else { "rms norm" });
                Vec::new()
            }
            Layer::BatchNorm(_) => {
                once(&mut self.others, "batch norm");
                Vec::new()
            }
            Layer::Dropout(_) => {
                once(&mut self.others, "dropout");
                Vec::new()
            }
            Layer::Pool(_) | Layer::Flatten(_) => Vec::new(),
            Layer::Residual(residual) => {
                once(&mut self.others, "residual");
                self.runs(&residual.block)
            }
            Layer::Attention(attention) => vec![(format!("attention{}", attention.width), 1)],
            Layer::Embedding(embedding) => vec![(format!("embedding{}", embedding.width), 1)],
            Layer::Unembedding(_) => {
                once(&mut self.others, "tied head");
                Vec::new()
            }
            Layer::Positional(_) => {
                once(&mut self.others, "positional embedding");
                Vec::new()
            }
            Layer::ExpNormalized(kernel) => {
                once(&mut self.activations, format!("exp_normalized({})", kernel.gamma));
                Vec::new()
            }
            Layer::Branches(branches) => {
                once(&mut self.others, "branches");
                branches.of.iter().flat_map(|chain| self.runs(chain)).collect()
            }
            Layer::Repeat(repeat) => repeated(self.runs(&repeat.block), repeat.times),
        }
    }
}

fn once<T: PartialEq>(words: &mut Vec<T>, word: T) {
    if !words.contains(&word) {
        words.push(word);
    }
}

fn repeated(runs: Vec<Run>, times: usize) -> Vec<Run> {
    match runs.as_slice() {
        [] => Vec::new(),
        [(label, count)] => vec![(label.clone(), count.saturating_mul(times))],
        _ => vec![(format!("({})", joined(&runs)), times)],
    }
}

fn merged(runs: Vec<Run>) -> Vec<Run> {
    let mut merged: Vec<Run> = Vec::new();
    for (label, count) in runs {
        match merged.last_mut() {
            Some((last, so_far)) if *last == label => *so_far += count,
            _ => merged.push((label, count)),
        }
    }
    merged
}

/// A shorthand's output stands alone, even when it is as wide as the layer before it.
fn split_output(runs: &mut Vec<Run>) {
    if let Some((label, count)) =
        runs.last_mut().filter(|(label, count)| *count > 1 && !label.starts_with('('))
    {
        *count -= 1;
        let output = (label.clone(), 1);
        runs.push(output);
    }
}

fn joined(runs: &[Run]) -> String {
    let write = |(label, count): &Run| if *count == 1 { label.clone() } else { format!("{label}x{count}") };
    runs.iter().map(write).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnot_net::activation::Activation;
    use carnot_net::shorthand::{Style, parse};

    #[test]
    fn a_shorthand_is_described_by_itself() {
        for text in ["784-10", "784-128x50-10", "64-64-64x3-64", "8-16-4x2-8x3-1", "128-128x10-128"] {
            let style = Style { activation: Activation::parse("tanh").unwrap(), residual: None, norm: None };
            let said = super::network(&parse(text, &style).unwrap());
            let said = said.split(',').next().unwrap();
            let again = super::network(&parse(said, &style).unwrap());
            assert_eq!(said, again.split(',').next().unwrap(), "{text}");
        }
    }

    #[test]
    fn what_is_remarkable_is_said_once() {
        let text = "input = [8]\nlayers = [{ repeat = 3, block = [{ dense = 8 }, { act = 'tanh' }, { dense = 4 }] }]";
        assert_eq!(super::network(&Network::from_toml(text).unwrap()), "8-(8-4)x3, tanh");
    }
}
