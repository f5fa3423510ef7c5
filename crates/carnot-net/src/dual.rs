//! The dual of an activation: what it does to a Gaussian kernel.
//!
//! $$ v'_a = \langle\sigma_a^2\rangle, \quad d'_{ab} = \langle(\sigma_a - \sigma_b)^2\rangle, \quad
//!    m'_a = \langle\sigma_a\rangle, \quad \Theta'_{ab} = \langle\sigma'_a\sigma'_b\rangle\,\Theta_{ab} $$
//!
//! Three ways to the pair averages, tried in this order: a closed form where the activation has one; the
//! expansion in Hermite polynomials (a whole batch costs one expansion per variance), where the expansion
//! converges; two-dimensional quadrature split at the kinks. All three take the squared distance d and never
//! subtract nearly equal numbers, so merged inputs keep their relative accuracy.

use crate::activation::Activation;
use crate::error::Unknown;
use crate::kernel::{Gram, Kernel};
use carnot_math::gauss;
use carnot_math::gauss::hermite::Hermite;
use std::collections::BTreeMap;

/// Highest order of the Hermite expansion. Twice this order changes tanh at K = 1 by less than 1e-16.
const ORDER: usize = 160;
/// Mass of the expansion beyond [`ORDER`], relative to ⟨σ²⟩, up to which the expansion is used.
const TAIL: f64 = 1e-9;

/// An activation, ready to average.
pub struct Dual<'a> {
    activation: &'a Activation,
    kinks: Vec<f64>,
}

/// Averages over one Gaussian of variance K.
#[derive(Clone, Debug)]
struct Single {
    mean: f64,
    square: f64,
    slope_square: f64,
    /// Coefficients of σ and σ′; empty when not wanted.
    value: Vec<f64>,
    slope: Vec<f64>,
    /// What the expansions leave out, relative to their squares; infinite when there is none.
    tail: f64,
}

/// Averages over two Gaussians.
#[derive(Clone, Copy, Debug)]
struct Pair {
    /// ⟨(σ_a − σ_b)²⟩
    distance: f64,
    /// ⟨(σ′_a − σ′_b)²⟩
    slope_distance: f64,
}

impl<'a> Dual<'a> {
    /// Prepares an activation.
    #[must_use]
    pub fn of(activation: &'a Activation) -> Dual<'a> {
        Dual { activation, kinks: activation.formula.kinks().iter().map(|kink| kink.at).collect() }
    }

    /// ⟨σ′²⟩ averaged over sites of the given variances.
    ///
    /// # Errors
    /// [`Unknown::Average`] when the average does not converge.
    pub fn mean_squared_slope(&self, variances: &[f64]) -> Result<f64, Unknown> {
        let mut known = BTreeMap::new();
        let mut sum = 0.0;
        for &variance in variances {
            let single = self.single(variance, None, &mut known)?;
            sum += single.slope_square;
        }
        Ok(sum / variances.len() as f64)
    }

    /// The kernel after the activation; the one that enters must be Gaussian.
    ///
    /// # Errors
    /// [`Unknown::Average`] when an average does not converge.
    pub fn propagate(&self, kernel: &Kernel) -> Result<Kernel, Unknown> {
        let gram = &kernel.forward;
        let closed = self.activation.closed.is_some();
        let several = gram.pairs().next().is_some();
        let hermite = (!closed && several && self.kinks.iter().all(|&k| k == 0.0))
            .then(|| Hermite::new(ORDER, &self.kinks));
        let mut known = BTreeMap::new();
        for &variance in &gram.variance {
            self.single(variance, hermite.as_ref(), &mut known)?;
        }
        let single = |site: usize| &known[&gram.variance[site].to_bits()];
        let mut forward = Gram::zeros(gram.samples, gram.positions, gram.keep);
        let mut slope_distance = forward.clone();
        for site in 0..gram.sites() {
            forward.variance[site] = single(site).square;
        }
        let mut lost = None;
        let mut seen: BTreeMap<[u64; 3], Pair> = BTreeMap::new();
        let want_slope = kernel.tangent.is_some();
        forward.fill_pairs(|a, b| {
            let d = gram.distance_of(a, b).expect("same pairs");
            let (va, vb) = (gram.variance[a], gram.variance[b]);
            let pair = *seen
                .entry([va.to_bits(), vb.to_bits(), d.to_bits()])
                .or_insert_with(|| self.pair(va, vb, d, single(a), single(b), want_slope));
            if !pair.distance.is_finite() {
                lost = Some(va.max(vb));
            }
            for at in [slope_distance.index(a, b), slope_distance.index(b, a)] {
                slope_distance.distance[at.expect("same pairs")] = pair.slope_distance;
            }
            pair.distance
        });
        if let Some(variance) = lost {
            return Err(self.unknown(variance));
        }
        let tangent = kernel.tangent.as_ref().map(|tangent| {
            let p = |a: usize| single(a).slope_square;
            let t = |a: usize| tangent.variance[a];
            tangent.map(
                |a, value| p(a) * value,
                |a, b, d| {
                    // ⟨σ'aσ'b⟩ d + ½ ⟨(σ'a−σ'b)²⟩ (Θa+Θb) + ½ (pa−pb)(Θa−Θb): exact, and every term small when a, b merge.
                    let apart = slope_distance.distance_of(a, b).expect("same pairs");
                    let together = (p(a) + p(b) - apart) / 2.0;
                    together * d + (apart * (t(a) + t(b)) + (p(a) - p(b)) * (t(a) - t(b))) / 2.0
                },
            )
        });
        let mean = (0..gram.sites()).map(|site| single(site).mean).collect();
        Ok(Kernel { forward, mean, gaussian: false, tangent })
    }

    fn single<'m>(
        &self,
        variance: f64,
        hermite: Option<&Hermite>,
        known: &'m mut BTreeMap<u64, Single>,
    ) -> Result<&'m Single, Unknown> {
        use std::collections::btree_map::Entry;
        match known.entry(variance.to_bits()) {
            Entry::Occupied(found) => Ok(found.into_mut()),
            Entry::Vacant(empty) => {
                let single = self.average(variance, hermite)?;
                Ok(empty.insert(single))
            }
        }
    }

    fn average(&self, variance: f64, hermite: Option<&Hermite>) -> Result<Single, Unknown> {
        if !(variance.is_finite() && variance >= 0.0) {
            return Err(self.unknown(variance));
        }
        let rule = gauss::rule(variance, &self.kinks);
        let (value, slope) = self.at(&rule.z);
        let sum = |f: &dyn Fn(usize) -> f64| (0..rule.w.len()).map(|i| rule.w[i] * f(i)).sum::<f64>();
        let mut single = Single {
            mean: sum(&|i| value[i]),
            square: sum(&|i| value[i] * value[i]),
            slope_square: sum(&|i| slope[i] * slope[i]),
            value: Vec::new(),
            slope: Vec::new(),
            tail: f64::INFINITY,
        };
        // The integrand must have died out at the ends of the range, or the average does not exist.
        let edge = rule.w.last().zip(value.last()).map_or(0.0, |(w, s)| w * s * s);
        if !(single.square.is_finite() && single.slope_square.is_finite()) || edge > 1e-10 * single.square {
            return Err(self.unknown(variance));
        }
        if let Some(hermite) = hermite {
            let z: Vec<f64> = hermite.nodes().iter().map(|u| variance.sqrt() * u).collect();
            let (value, slope) = self.at(&z);
            let (value, slope) = (hermite.expand(&value), hermite.expand(&slope));
            single.tail = (value.tail / single.square).max(slope.tail / single.slope_square);
            (single.value, single.slope) = (value.coefficients, slope.coefficients);
        }
        Ok(single)
    }

    /// Values and slopes at points.
    fn at(&self, z: &[f64]) -> (Vec<f64>, Vec<f64>) {
        z.iter().map(|&z| self.activation.formula.jet(z)).map(|jet| (jet[0], jet[1])).unzip()
    }

    fn pair(&self, va: f64, vb: f64, d: f64, a: &Single, b: &Single, want_slope: bool) -> Pair {
        if d == 0.0 && va == vb {
            return Pair { distance: 0.0, slope_distance: 0.0 };
        }
        let closed = self.activation.closed.as_ref();
        if let Some(distance) = closed.and_then(|closed| closed.distance(va, vb, d)) {
            let together = if want_slope { closed.and_then(|closed| closed.pair_at_distance(va, vb, d)) } else { None };
            match together {
                // Slopes of merging inputs differ only near kinks; their distance may round to zero, the kernel's not.
                Some(pair) => {
                    let slope_distance = (a.slope_square + b.slope_square - 2.0 * pair.pp).max(0.0);
                    return Pair { distance, slope_distance };
                }
                None if !want_slope => return Pair { distance, slope_distance: 0.0 },
                None => {}
            }
        }
        if a.tail.max(b.tail) < TAIL && va > 0.0 && vb > 0.0 {
            let root = (va * vb).sqrt();
            let apart = ((d - (va.sqrt() - vb.sqrt()).powi(2)).max(0.0) / (2.0 * root)).min(2.0);
            let slope_distance = if want_slope { expanded(&a.slope, &b.slope, apart) } else { 0.0 };
            return Pair { distance: expanded(&a.value, &b.value, apart), slope_distance };
        }
        let [distance, slope_distance] = gauss::pair_average(va, vb, d, &self.kinks, |z1, z2| {
            let (value, slope) = self.difference(z1, z2);
            [value * value, slope * slope]
        });
        Pair { distance, slope_distance }
    }

    /// σ(z₁) − σ(z₂) and σ′(z₁) − σ′(z₂), from the derivatives half-way when the points are close.
    fn difference(&self, z1: f64, z2: f64) -> (f64, f64) {
        let (step, middle) = (z1 - z2, (z1 + z2) / 2.0);
        let clear = self.kinks.iter().all(|kink| (z1 - kink) * (z2 - kink) > 0.0);
        if step.abs() < 1e-3 && clear {
            let jet = self.activation.formula.jet(middle);
            return (jet[1] * step + jet[3] * step.powi(3) / 24.0, jet[2] * step + jet[4] * step.powi(3) / 24.0);
        }
        let (a, b) = (self.activation.formula.jet(z1), self.activation.formula.jet(z2));
        (a[0] - b[0], a[1] - b[1])
    }

    fn unknown(&self, variance: f64) -> Unknown {
        Unknown::Average { activation: self.activation.name.clone(), variance }
    }
}

/// $\sum_k (a_k - b_k)^2 + 2 a_k b_k (1 - \rho^k)$, with $1 - \rho^k$ from $1 - \rho$ = `apart`.
fn expanded(a: &[f64], b: &[f64], apart: f64) -> f64 {
    let rho = 1.0 - apart;
    let close = apart < 0.5;
    let log = if close { (-apart).ln_1p() } else { 0.0 };
    let mut power = 1.0;
    let mut sum = 0.0;
    for (k, (x, y)) in a.iter().zip(b).enumerate() {
        let lost = if close { -(k as f64 * log).exp_m1() } else { 1.0 - power };
        sum += (x - y).powi(2) + 2.0 * x * y * lost;
        power *= rho;
    }
    sum
}
