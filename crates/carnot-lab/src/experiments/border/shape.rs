//! The same network deeper or wider.

use carnot_net::layers::Layer;
use carnot_net::network::{Named, Network};
use carnot_net::transformer;

use crate::error::LabError;
use crate::settings::within;
use crate::spec::network::{NetworkChoice, NetworkSettings};

/// What a network must have for another depth, in words.
const REPEATED: &str =
    "another axis: only a network with a repeated block, such as 64-32x4-10, has a depth to vary";
/// The same for another width.
const WIDE: &str = "another axis: only a network with hidden layers, such as 64-32x4-10, has a width to vary";

/// Gives the network that many hidden layers, or blocks: the copies of its repeated block, and the layer before them where that is alike.
///
/// # Errors
/// [`LabError::OutOfRange`] for a network without a repeated block.
pub fn deepen(settings: &mut NetworkSettings, depth: usize) -> Result<(), LabError> {
    let mut network = settings.network().clone();
    if let Some(transformer) = transformer::resized(&network, Some(depth), None) {
        *settings =
            NetworkSettings { network: NetworkChoice::Network(transformer), ..NetworkSettings::default() };
        return Ok(());
    }
    let extra = usize::from(is_preceded(&network));
    let Some(times) = repeat(&mut network.layers) else { return within("y", "depth", false, REPEATED) };
    if depth <= extra {
        let least = extra + 1;
        return within(
            "y_from",
            depth,
            false,
            &format!("at least {least}: the layer before the block counts too"),
        );
    }
    *times = depth - extra;
    *settings = NetworkSettings { network: NetworkChoice::Network(network), ..NetworkSettings::default() };
    Ok(())
}

/// Gives the hidden layers that width, and those of twice or four times the width twice or four times as much.
///
/// # Errors
/// [`LabError::OutOfRange`] for a network without hidden layers.
pub fn widen(settings: &mut NetworkSettings, width: usize) -> Result<(), LabError> {
    let mut network = settings.network().clone();
    if let Some(transformer) = transformer::resized(&network, None, Some(width)) {
        *settings =
            NetworkSettings { network: NetworkChoice::Network(transformer), ..NetworkSettings::default() };
        return Ok(());
    }
    let mut widths = Vec::new();
    visit(&mut network.layers, &mut |width| widths.push(*width));
    // The last one is the answer.
    widths.pop();
    let Some(base) = commonest(&widths) else { return within("y", "width", false, WIDE) };
    let mut left = widths.len();
    visit(&mut network.layers, &mut |found| {
        if left > 0 && *found % base == 0 {
            *found = *found / base * width;
        }
        left = left.saturating_sub(1);
    });
    *settings = NetworkSettings { network: NetworkChoice::Network(network), ..NetworkSettings::default() };
    Ok(())
}

/// Hidden layers, or blocks: what [`deepen`] sets; `None` for a network without a repeated block.
#[must_use]
pub fn depth(settings: &NetworkSettings) -> Option<usize> {
    let mut network = settings.network().clone();
    let is_transformer = transformer::resized(&network, None, None).is_some();
    let extra = usize::from(!is_transformer && is_preceded(&network));
    repeat(&mut network.layers).map(|times| *times + extra)
}

/// Width of the hidden layers: what [`widen`] sets; `None` for a network without any.
#[must_use]
pub fn width(settings: &NetworkSettings) -> Option<usize> {
    let mut network = settings.network().clone();
    if transformer::resized(&network, None, None).is_some() {
        return network.layers.iter().find_map(|named| match &named.layer {
            Layer::Embedding(embedding) => Some(embedding.width),
            _ => None,
        });
    }
    let mut widths = Vec::new();
    visit(&mut network.layers, &mut |width| widths.push(*width));
    widths.pop();
    commonest(&widths)
}

/// The commonest width, of equals the first.
fn commonest(widths: &[usize]) -> Option<usize> {
    let count = |width: &usize| widths.iter().filter(|other| *other == width).count();
    widths.iter().rev().max_by_key(|width| count(width)).copied()
}

/// Copies of the first repeated block.
fn repeat(layers: &mut [Named]) -> Option<&mut usize> {
    layers.iter_mut().find_map(|named| match &mut named.layer {
        Layer::Repeat(repeat) => Some(&mut repeat.times),
        _ => None,
    })
}

/// Does a dense layer of the same width stand before the repeated block, as in a shorthand?
fn is_preceded(network: &Network) -> bool {
    network.layers.windows(2).any(|pair| match (&pair[0].layer, &pair[1].layer) {
        (Layer::Dense(dense), Layer::Repeat(repeat)) => last_width(&repeat.block) == Some(dense.width),
        _ => false,
    })
}

fn last_width(block: &[Named]) -> Option<usize> {
    match &block.last()?.layer {
        Layer::Dense(dense) => Some(dense.width),
        Layer::Residual(residual) => last_width(&residual.block),
        _ => None,
    }
}

/// Every width of a layer that has one to choose, in preorder.
fn visit(layers: &mut [Named], change: &mut dyn FnMut(&mut usize)) {
    for named in layers {
        match &mut named.layer {
            Layer::Dense(dense) => change(&mut dense.width),
            Layer::Conv(conv) => change(&mut conv.width),
            Layer::Residual(residual) => visit(&mut residual.block, change),
            Layer::Repeat(repeat) => visit(&mut repeat.block, change),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> NetworkSettings {
        NetworkSettings { network: NetworkChoice::Shorthand(text.into()), ..NetworkSettings::default() }
            .resolve()
            .unwrap()
    }

    fn plan(settings: &NetworkSettings) -> carnot_net::plan::Plan {
        carnot_net::plan::Plan::new(settings.network()).unwrap()
    }

    #[test]
    fn a_deeper_shorthand_is_the_shorthand_written_deeper() {
        for depth in [2, 3, 9] {
            let mut found = settings("64-32x4-10");
            deepen(&mut found, depth).unwrap();
            let expect = plan(&settings(&format!("64-32x{depth}-10")));
            assert_eq!(plan(&found).parameters, expect.parameters);
            assert_eq!(plan(&found).weighted, depth + 1);
        }
        let mut found = settings("deepnorm:2x32");
        deepen(&mut found, 7).unwrap();
        assert_eq!(found.network(), settings("deepnorm:7x32").network());
        assert!(deepen(&mut settings("64-32x4-10"), 1).is_err());
        assert!(deepen(&mut settings("64-32-10"), 4).is_err());
    }

    #[test]
    fn a_wider_shorthand_is_the_shorthand_written_wider() {
        for (text, expect) in [("64-32x4-10", "64-48x4-10"), ("64-32x3-64-10", "64-48x3-96-10")] {
            let mut found = settings(text);
            widen(&mut found, 48).unwrap();
            assert_eq!(plan(&found).parameters, plan(&settings(expect)).parameters);
        }
        assert!(widen(&mut settings("64-10"), 4).is_err());
    }

    #[test]
    fn sizes_are_those_that_were_set() {
        for text in ["64-32x4-10", "deepnorm:3x32", "pre:2x64"] {
            let mut found = settings(text);
            if depth(&found).is_some() {
                deepen(&mut found, 5).unwrap();
                assert_eq!(depth(&found), Some(5), "{text}");
            }
            widen(&mut found, 96).unwrap();
            assert_eq!(width(&found), Some(96), "{text}");
        }
        assert_eq!((depth(&settings("64-32-10")), width(&settings("64-10"))), (None, None));
    }
}
