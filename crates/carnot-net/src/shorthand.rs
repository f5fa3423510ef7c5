//! The shorthand for multilayer perceptrons: `784-128x50-10`, with an activation and optionally skips and norms; and the way to that for
//! transformers.

use crate::activation::Activation;
use crate::error::{LARGEST_WIDTH, NetworkError, ShorthandFault};
use crate::layers::Layer;
use crate::layers::activate::Activate;
use crate::layers::dense::Dense;
use crate::layers::norm::{Kind, Norm};
use crate::layers::repeat::Repeat;
use crate::layers::residual::Residual;
use crate::network::{Named, Network};
use crate::shape::Shape;
use crate::transformer;

/// How the hidden layers of a shorthand are built.
#[derive(Clone, Debug)]
pub struct Style {
    /// Activation after every hidden layer.
    pub activation: Activation,
    /// γ of a skip around every hidden layer that keeps the width: $z' = W\sigma(z) + b + \gamma z$.
    pub residual: Option<f64>,
    /// Norm in front of every activation.
    pub norm: Option<Kind>,
}

/// True when a text looks like a shorthand rather than a file name.
#[must_use]
pub fn looks_like(text: &str) -> bool {
    let is_perceptron =
        text.contains('-') && text.chars().all(|c| c.is_ascii_digit() || c == '-' || c == 'x');
    is_perceptron || transformer::looks_like(text)
}

/// Reads `input-width[xcount]-…-output`: dense layers with the activation between them; or a transformer, see
/// [`transformer::parse`].
///
/// # Errors
/// [`NetworkError::Shorthand`] with the bytes that could not be read.
pub fn parse(text: &str, style: &Style) -> Result<Network, NetworkError> {
    if transformer::looks_like(text) {
        return transformer::parse(text, &style.activation);
    }
    let parts = split(text)?;
    let mut layers: Vec<Named> = Vec::new();
    let mut width_before = None;
    let (first, rest) = parts.split_first().expect("split() returns at least two parts");
    let (last, hidden) = rest.split_last().expect("split() returns at least two parts");
    for &(width, count) in hidden {
        let mut alike = count;
        if width_before != Some(width) {
            // A change of width cannot be skipped, so its activation stands outside a residual block.
            if width_before.is_some() {
                layers.extend(activation(style));
            }
            layers.push(dense(width));
            alike -= 1;
        }
        push_hidden(&mut layers, width, alike, style);
        width_before = Some(width);
    }
    if width_before.is_some() {
        layers.extend(activation(style));
    }
    layers.push(dense(last.0));
    Ok(Network { input: Shape::features(first.0), layers })
}

fn dense(width: usize) -> Named {
    Layer::Dense(Dense::of_width(width)).into()
}

fn activation(style: &Style) -> Vec<Named> {
    let norm = style
        .norm
        .map(|kind| Layer::Norm(Norm { kind, epsilon: 1e-5, axes: Vec::new(), affine: true }).into());
    norm.into_iter()
        .chain([Layer::Activate(Activate { activation: style.activation.clone() }).into()])
        .collect()
}

fn push_hidden(layers: &mut Vec<Named>, width: usize, times: usize, style: &Style) {
    let mut block = activation(style);
    block.push(dense(width));
    if let Some(skip) = style.residual {
        block = vec![Layer::Residual(Residual { skip, branch: 1.0, block }).into()];
    }
    match times {
        0 => {}
        1 => layers.extend(block),
        _ => layers.push(Layer::Repeat(Repeat { times, block }).into()),
    }
}

fn split(text: &str) -> Result<Vec<(usize, usize)>, NetworkError> {
    let fault = |at: std::ops::Range<usize>, why| NetworkError::Shorthand { text: text.to_string(), at, why };
    let mut parts = Vec::new();
    let mut start = 0;
    let pieces: Vec<&str> = text.split('-').collect();
    if pieces.len() < 2 {
        return Err(fault(0..text.len(), ShorthandFault::TooFewParts));
    }
    for (i, piece) in pieces.iter().enumerate() {
        let at = start..start + piece.len();
        start = at.end + 1;
        let (width, count) = piece.split_once('x').unwrap_or((piece, "1"));
        let number = |digits: &str, most: usize| {
            if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) {
                return Err(ShorthandFault::NotAWidth(piece.to_string()));
            }
            match digits.parse::<usize>() {
                Ok(0) => Err(ShorthandFault::Zero),
                Ok(n) if n <= most => Ok(n),
                _ => Err(ShorthandFault::TooLarge(digits.to_string())),
            }
        };
        let width = number(width, LARGEST_WIDTH).map_err(|why| fault(at.clone(), why))?;
        let count = number(count, 100_000).map_err(|why| fault(at.clone(), why))?;
        if count > 1 && (i == 0 || i + 1 == pieces.len()) {
            return Err(fault(at, ShorthandFault::RepeatedEnd));
        }
        parts.push((width, count));
    }
    Ok(parts)
}
