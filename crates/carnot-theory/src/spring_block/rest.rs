//! Where a chain without noise stops: a parabola, exactly.

use super::chain::Chain;

/// A chain at rest.
#[derive(Clone, Debug, PartialEq)]
pub struct Rest {
    /// Loads d_1 … d_{L+1} of all springs, `[L+1]` (length); their sum is y.
    pub loads: Vec<f64>,
    /// Number q of stretched springs, 1 ..= L+1, counted from the end: the others have load 0 and their blocks never move.
    pub stretched: usize,
}

/// Final state of the overdamped chain without noise that starts with all blocks at the wall.
///
/// $$ d_{l+1} - d_l = \mu_{\to,l}/k \ \text{ where block } l \text{ has moved}, \qquad \sum_l d_l = |y| $$
///
/// With one friction for all, a = μ_→/k, the loads of the q stretched springs are y/q − a(q−1)/2 + a j, j = 0 … q−1, where q
/// is the smallest number with a q(q+1)/2 ≥ y, at most L+1; the load curve is a concave parabola. All blocks move iff
/// a < 2y/(L(L+1)). μ_← plays no part for y > 0 (for y < 0 the two frictions change places, and loads are negative). Exact
/// for any frictions and for any step with 2kη/γ ≤ 1, because the map is monotone: no block overshoots.
///
/// * returns: loads, lengths
///
/// Source: the rest state of a monotone map; uniform case in Carnot's sheet on the chain, checked by
/// `tests/spring_block/golden.rs`, frictions per block by simulation in `tests/spring_block/claims.rs`.
pub fn rest(chain: &Chain) -> Rest {
    let (n_springs, pulled) = (chain.n_blocks() + 1, chain.end().abs());
    let friction = if chain.end() < 0.0 { chain.friction_left() } else { chain.friction_right() };
    // Stretch one spring more, from the end backwards, while the one that was last pulls its block over.
    let (mut stretched, mut base, mut above) = (1, pulled, vec![0.0]);
    while stretched < n_springs {
        let step = friction[n_springs - stretched - 1] / chain.stiffness();
        if base <= step {
            break;
        }
        // `above[j]` is the load of the j-th stretched spring above that of the first.
        above.iter_mut().for_each(|load| *load += step);
        above.insert(0, 0.0);
        stretched += 1;
        base = (pulled - above.iter().sum::<f64>()) / stretched as f64;
    }
    let sign = if chain.end() < 0.0 { -1.0 } else { 1.0 };
    let loads = std::iter::repeat_n(0.0, n_springs - stretched)
        .chain(above.iter().map(|above| sign * (base + above)))
        .collect();
    Rest { loads, stretched }
}
