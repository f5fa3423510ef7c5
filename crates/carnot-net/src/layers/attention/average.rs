//! Averages over the weights of attention, n → ∞.

use super::Weighting;
use crate::error::Unknown;
use crate::kernel::{Gram, Kernel, Positions};
use carnot_math::gauss;

/// Most tokens over which a softmax of random logits is averaged: four logit differences of two tokens.
const TOKENS: usize = 3;
/// Nodes of the rule in each direction, for one or two and for three or four directions: 1e-12 and 1e-8 for logits
/// of unit variance.
const ORDERS: (usize, usize) = (140, 32);

/// Kernel and tangent kernel of $\sum_s\Omega_{ts}v_s$.
type Mixed = (Gram, Option<Gram>);

/// Ω of logits that are certain, `[N, P, P]`.
pub(super) fn weights(weighting: Weighting, key: &Kernel) -> Vec<f64> {
    let p = key.forward.positions;
    let logit = |i: usize| {
        let sample = i / (p * p);
        key.forward.covariance(sample * p + i / p % p, sample * p + i % p).expect("all pairs are kept")
    };
    let mut all: Vec<f64> = (0..key.forward.samples * p * p).map(logit).collect();
    all.chunks_exact_mut(p).for_each(|row| weighed(weighting, row));
    all
}

/// Logits of one query become weights, in place.
pub(super) fn weighed(weighting: Weighting, row: &mut [f64]) {
    match weighting {
        Weighting::Identity => {}
        Weighting::Relu => row.iter_mut().for_each(|g| *g = g.max(0.0)),
        Weighting::Abs => row.iter_mut().for_each(|g| *g = g.abs()),
        Weighting::Softmax => {
            let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            row.iter_mut().for_each(|g| *g = (*g - largest).exp());
            let total: f64 = row.iter().sum();
            row.iter_mut().for_each(|g| *g /= total);
        }
    }
}

/// Linear scaling: $K'_{at,bt'} = \sum_{ss'}\Omega_{at,s}\Omega_{bt',s'}K_{as,bs'}$, and the same for Θ, since the path through
/// the logits vanishes like one over the width.
pub(super) fn certain(weighting: Weighting, key: &Kernel, value: &Kernel) -> Mixed {
    let omega = weights(weighting, key);
    (mixed(&value.forward, &omega), value.tangent.as_ref().map(|tangent| mixed(tangent, &omega)))
}

/// Gram of sums with the weights Ω, from distances: with row sums r,
/// $|\sum_s w_s z_s|^2 = r\sum_s w_s v_s - \frac12\sum_{ss'} w_s w_{s'} d_{ss'}$ and
/// $|x - y|^2 = (r_x - r_y)(A_x - A_y) + T_{xy} - \frac12 T_{xx} - \frac12 T_{yy}$, $A = \sum_s w_s v_s$, T the weighted sums of d.
fn mixed(gram: &Gram, omega: &[f64]) -> Gram {
    let (n, p) = (gram.samples, gram.positions);
    let block = |a: usize| &omega[a * p * p..(a + 1) * p * p];
    let d = |a: usize, s: usize, b: usize, t: usize| gram.distance_of(a * p + s, b * p + t).expect("kept");
    // T between two samples: Ω_a D_ab Ω_bᵀ.
    let sums = |a: usize, b: usize| {
        let (left, right) = (block(a), block(b));
        let mut half = vec![0.0; p * p];
        for s in 0..p {
            for t in 0..p {
                half[s * p + t] = (0..p).map(|u| d(a, s, b, u) * right[t * p + u]).sum();
            }
        }
        let mut all = vec![0.0; p * p];
        for s in 0..p {
            for t in 0..p {
                all[s * p + t] = (0..p).map(|u| left[s * p + u] * half[u * p + t]).sum();
            }
        }
        all
    };
    let rows: Vec<f64> = omega.chunks_exact(p).map(|row| row.iter().sum()).collect();
    let weight = |site: usize, s: usize| omega[site * p + s];
    let sizes: Vec<f64> = (0..n * p)
        .map(|site| (0..p).map(|s| weight(site, s) * gram.variance[site / p * p + s]).sum())
        .collect();
    let own: Vec<f64> = (0..n)
        .flat_map(|a| {
            let all = sums(a, a);
            (0..p).map(move |t| all[t * p + t] / 2.0)
        })
        .collect();
    let mut out = Gram::zeros(n, p, Positions::Full);
    for site in 0..n * p {
        out.variance[site] = rows[site] * sizes[site] - own[site];
    }
    let mut at = (usize::MAX, usize::MAX);
    let mut between = Vec::new();
    let mut pairs: Vec<(usize, usize)> = out.pairs().collect();
    pairs.sort_unstable_by_key(|&(x, y)| (x / p, y / p));
    for (x, y) in pairs {
        if at != (x / p, y / p) {
            at = (x / p, y / p);
            between = sums(at.0, at.1);
        }
        let apart = (rows[x] - rows[y]) * (sizes[x] - sizes[y]);
        let value = (apart + between[x % p * p + y % p] - own[x] - own[y]).max(0.0);
        for (i, j) in [(x, y), (y, x)] {
            let index = out.index(i, j).expect("all pairs are kept");
            out.distance[index] = value;
        }
    }
    out
}

/// Square-root scaling. With $g_{at,s}$ the logits, $G = K_q K_k$ their covariance and $\Theta_G = \Theta_q K_k + K_q\Theta_k$,
///
/// $$ K' = \sum_{ss'}\langle\Omega_s\Omega'_{s'}\rangle K_{ss'},\qquad
///    \Theta' = \sum_{ss'}\langle\Omega_s\Omega'_{s'}\rangle\Theta_{ss'} + \sum_{ss'uu'}
///    \langle\partial_u\Omega_s\,\partial_{u'}\Omega'_{s'}\rangle\,\Theta_G(u,u')\,K_{ss'} $$
pub(super) fn random(
    weighting: Weighting,
    query: &Kernel,
    key: &Kernel,
    value: &Kernel,
    name: &str,
) -> Result<Mixed, Unknown> {
    let p = value.forward.positions;
    let unknown = |what: &str| Unknown::NoFormula { what: what.into(), layer: name.to_string() };
    match weighting {
        Weighting::Softmax if p > TOKENS => {
            return Err(unknown(
                "average of a softmax over more than three tokens with logits that stay random (scaling = \"linear\" has one)",
            ));
        }
        Weighting::Relu | Weighting::Abs => {
            return Err(unknown("average of this weighting of random logits (scaling = \"linear\" has one)"));
        }
        Weighting::Softmax | Weighting::Identity => {}
    }
    let sites = value.forward.sites();
    let mut covariance = vec![0.0; sites * sites];
    let mut tangent = vec![0.0; sites * sites];
    for x in 0..sites {
        for y in x..sites {
            let pair = Pair::of(query, key, value, x, y);
            let (k, theta) = match weighting {
                Weighting::Identity => pair.identity(),
                _ => pair.softmax(x == y).ok_or_else(|| unknown("average of a softmax of these logits"))?,
            };
            for at in [x * sites + y, y * sites + x] {
                (covariance[at], tangent[at]) = (k, theta);
            }
        }
    }
    let gram = |all: &[f64]| {
        let flat = Gram::of_covariance(all, sites);
        let shape = Gram::zeros(value.forward.samples, p, Positions::Full);
        Gram { variance: flat.variance, distance: flat.distance, ..shape }
    };
    Ok((gram(&covariance), value.tangent.as_ref().map(|_| gram(&tangent))))
}

/// Everything the average over the logits of two queries needs; matrices are `[P, P]` over the tokens of either sample.
struct Pair {
    tokens: usize,
    /// $K_q$ between the two queries, and of each with itself.
    query: [f64; 3],
    query_tangent: f64,
    /// $K_k$ between the samples, and of each with itself.
    key: [Vec<f64>; 3],
    key_tangent: Vec<f64>,
    value: Vec<f64>,
    value_tangent: Vec<f64>,
}

impl Pair {
    fn of(query: &Kernel, key: &Kernel, value: &Kernel, x: usize, y: usize) -> Pair {
        let tokens = value.forward.positions;
        let at = |gram: &Gram, a: usize, b: usize| gram.covariance(a, b).expect("all pairs are kept");
        let block = |gram: &Gram, x: usize, y: usize| -> Vec<f64> {
            let (a, b) = (x / tokens * tokens, y / tokens * tokens);
            (0..tokens * tokens).map(|i| at(gram, a + i / tokens, b + i % tokens)).collect()
        };
        let tangent = |kernel: &Kernel| kernel.tangent.as_ref().map_or(Vec::new(), |gram| block(gram, x, y));
        Pair {
            tokens,
            query: [(x, y), (x, x), (y, y)].map(|(a, b)| at(&query.forward, a, b)),
            query_tangent: query.tangent.as_ref().map_or(0.0, |gram| at(gram, x, y)),
            key: [(x, y), (x, x), (y, y)].map(|(a, b)| block(&key.forward, a, b)),
            key_tangent: tangent(key),
            value: block(&value.forward, x, y),
            value_tangent: tangent(value),
        }
    }

    /// $\Theta_G$, empty when no tangent kernel is wanted.
    fn logit_tangent(&self) -> Vec<f64> {
        let pairs = self.key[0].iter().zip(&self.key_tangent);
        pairs.map(|(k, theta)| self.query_tangent * k + self.query[0] * theta).collect()
    }

    /// $\langle\Omega_s\Omega'_{s'}\rangle = G_{ss'}$ and $\partial_u\Omega_s = \delta_{us}$.
    fn identity(&self) -> (f64, f64) {
        let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let kernel = self.query[0] * sum(&self.key[0], &self.value);
        let values = self.query[0] * sum(&self.key[0], &self.value_tangent);
        (kernel, values + sum(&self.logit_tangent(), &self.value))
    }

    /// By quadrature over the differences of the logits to the first.
    fn softmax(&self, same: bool) -> Option<(f64, f64)> {
        let d = self.tokens - 1;
        if d == 0 {
            return Some((self.value[0], self.value_tangent.first().copied().unwrap_or(0.0)));
        }
        let n = if same { d } else { 2 * d };
        let entry = |i: usize| {
            let (i, j) = (i / n, i % n);
            let which = match (i < d, j < d) {
                (true, true) => 1,
                (false, false) => 2,
                _ => 0,
            };
            let (s, t) = if i < d { (i % d + 1, j % d + 1) } else { (j % d + 1, i % d + 1) };
            let k = |s: usize, t: usize| self.key[which][s * self.tokens + t];
            self.query[which] * (k(s, t) - k(s, 0) - k(0, t) + k(0, 0))
        };
        let covariance: Vec<f64> = (0..n * n).map(entry).collect();
        let grid = gauss::grid(&covariance, if n <= 2 { ORDERS.0 } else { ORDERS.1 }).ok()?;
        let logits = self.logit_tangent();
        let [kernel, tangent] = grid.average(|z| {
            let left = softmax(&z[..d]);
            let right = softmax(&z[n - d..]);
            self.at(&left, &right, &logits)
        });
        Some((kernel, tangent))
    }

    /// Both sums for given weights, with $\partial_u\Omega_s = \Omega_s(\delta_{us} - \Omega_u)$.
    fn at(&self, left: &[f64], right: &[f64], logits: &[f64]) -> [f64; 2] {
        let p = self.tokens;
        let both =
            |of: &dyn Fn(usize) -> f64| (0..p * p).map(|i| left[i / p] * right[i % p] * of(i)).sum::<f64>();
        let kernel = both(&|i| self.value[i]);
        if logits.is_empty() {
            return [kernel, 0.0];
        }
        let from_left = |u: usize| (0..p).map(|s| left[s] * self.value[s * p + u]).sum::<f64>();
        let from_right = |u: usize| (0..p).map(|s| right[s] * self.value[u * p + s]).sum::<f64>();
        let through = both(&|i| logits[i] * (self.value[i] - from_right(i / p) - from_left(i % p) + kernel));
        [kernel, both(&|i| self.value_tangent[i]) + through]
    }
}

/// Softmax of (0, differences).
fn softmax(differences: &[f64]) -> Vec<f64> {
    let mut row: Vec<f64> = std::iter::once(0.0).chain(differences.iter().copied()).collect();
    weighed(Weighting::Softmax, &mut row);
    row
}
