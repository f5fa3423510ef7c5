//! Hermite coefficients of an activation as functions of the variance, tabulated once and interpolated.
//!
//! ln K is cut into panels of a factor 2; on each, every coefficient is interpolated from Chebyshev nodes. What the
//! interpolation misses is measured at a variance kept aside.

use super::series::{FIRST, Parity, TERMS};
use carnot_math::gauss;
use carnot_math::gauss::hermite::{Hermite, coefficients};
use carnot_net::activation::Activation;
use carnot_net::error::Unknown;
use std::collections::BTreeMap;
use std::f64::consts::{LN_2, PI};
use std::sync::{Arc, Mutex, OnceLock};

/// Highest orders of the expansion, tried in turn.
const ORDERS: [usize; 5] = [40, 80, 160, 480, 1000];
/// Chebyshev nodes of a panel, tried in turn.
const NODES: [usize; 3] = [10, 14, 20];
/// Interpolation error that is good enough at any tolerance: more nodes cost next to nothing.
const INTERPOLATION: f64 = 1e-13;
/// Variance from which on the structure of an activation is narrower than the shared quadrature resolves.
const FAR: f64 = 8.0;

/// Averages of one activation over single numbers, as a function of their variance.
#[derive(Debug)]
pub(crate) struct Table {
    activation: Activation,
    kinks: Vec<f64>,
    pub(crate) parity: Parity,
    pub(crate) tolerance: f64,
    panels: Mutex<BTreeMap<i32, Arc<Panel>>>,
}

/// One variance.
#[derive(Clone, Debug)]
pub(crate) struct Single {
    pub(crate) mean: f64,
    pub(crate) square: f64,
    pub(crate) slope_square: f64,
    /// a₀, a₁, …
    pub(crate) coefficients: Vec<f64>,
}

#[derive(Debug)]
struct Panel {
    nodes: Vec<f64>,
    known: Vec<Single>,
    /// What the interpolation misses, relative to ⟨σ²⟩ and ⟨σ′²⟩; measured.
    error: f64,
    /// Mass beyond the highest order, relative to ⟨σ²⟩ and ⟨σ′²⟩.
    tail: f64,
}

/// How good the averages at a variance are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quality {
    /// Largest error relative to ⟨σ²⟩ and ⟨σ′²⟩ for correlations up to `reach`.
    pub(crate) error: f64,
    /// Largest |c| at which the expansion is good enough; 1 for smooth functions.
    pub(crate) reach: f64,
}

fn hermite(order: usize) -> &'static Hermite {
    static ALL: [OnceLock<Hermite>; ORDERS.len()] = [const { OnceLock::new() }; ORDERS.len()];
    ALL[order].get_or_init(|| Hermite::new(ORDERS[order], &[0.0]))
}

impl Table {
    pub(crate) fn new(activation: &Activation, tolerance: f64) -> Table {
        let kinks = activation.formula.kinks().iter().map(|kink| kink.at).collect();
        let parity = parity(activation);
        let (activation, panels) = (activation.clone(), Mutex::default());
        Table { activation, kinks, parity, tolerance, panels }
    }

    /// Averages at a variance, from the panel it lies in, and the panel's error.
    ///
    /// # Errors
    /// [`Unknown::Average`] when an average does not converge.
    pub(crate) fn single(&self, variance: f64) -> Result<(Single, Quality), Unknown> {
        let x = variance.ln();
        let place = (x / LN_2).floor() as i32;
        let known = self.panels.lock().expect("no panic while a panel is stored").get(&place).cloned();
        let panel = match known {
            Some(panel) => panel,
            None => {
                let panel = Arc::new(self.panel(place)?);
                self.panels.lock().expect("no panic while a panel is stored").insert(place, panel.clone());
                panel
            }
        };
        // Beyond the highest order n, what is left out falls at least as c^n.
        let excess = panel.tail / (0.2 * self.tolerance);
        let order = (panel.known[0].coefficients.len() - 1) as f64;
        let reach = if excess <= 1.0 { 1.0 } else { excess.powf(-1.0 / order) };
        let error = panel.error + panel.tail * reach.powf(order);
        Ok((panel.at(x), Quality { error, reach }))
    }

    fn panel(&self, place: i32) -> Result<Panel, Unknown> {
        let (low, high) = (f64::from(place) * LN_2, f64::from(place + 1) * LN_2);
        let top = high.exp();
        // With a kink the mass falls as a power of the order: the lower ones would be tried in vain.
        let mut order = if self.kinks.is_empty() { 0 } else { ORDERS.len() - 1 };
        while order + 1 < ORDERS.len() && self.exact(top, order)?.1 > 0.1 * self.tolerance {
            order += 1;
        }
        let mut panel = None;
        for count in NODES {
            let angle = |i: usize| (PI * (i as f64 + 0.5) / count as f64).cos();
            let nodes: Vec<f64> = (0..count).map(|i| (low + high + (high - low) * angle(i)) / 2.0).collect();
            let mut known = Vec::new();
            let mut tail = 0.0f64;
            for x in &nodes {
                let (single, missed) = self.exact(x.exp(), order)?;
                known.push(single);
                tail = tail.max(missed);
            }
            let tried = panel.insert(Panel { nodes, known, error: 0.0, tail });
            let aside = low + 0.37 * (high - low);
            let missed = distance(&tried.at(aside), &self.exact(aside.exp(), order)?.0);
            tried.error = missed;
            if missed < INTERPOLATION {
                break;
            }
        }
        let mut panel = panel.expect("at least one count of nodes");
        panel.cut(0.1 * self.tolerance);
        Ok(panel)
    }

    /// Averages at one variance by quadrature, and the mass beyond the order.
    fn exact(&self, variance: f64, order: usize) -> Result<(Single, f64), Unknown> {
        let formula = &self.activation.formula;
        let at = |z: &[f64]| {
            let (mut value, mut slope) = (vec![0.0; z.len()], vec![0.0; z.len()]);
            formula.values_and_slopes(z, &mut value, &mut slope);
            (value, slope)
        };
        let rule = gauss::rule(variance, &self.kinks);
        let (value, slope) = at(&rule.z);
        let sum = |f: &dyn Fn(usize) -> f64| (0..rule.w.len()).map(|i| rule.w[i] * f(i)).sum::<f64>();
        let mean = sum(&|i| value[i]);
        let square = sum(&|i| value[i] * value[i]);
        let slope_square = sum(&|i| slope[i] * slope[i]);
        let edge = rule.w.last().zip(value.last()).map_or(0.0, |(w, s)| w * s * s);
        if !(square.is_finite() && slope_square.is_finite()) || edge > 1e-10 * square {
            let (activation, variance) = (self.activation.name.clone(), variance);
            return Err(Unknown::Average { activation, variance });
        }
        let slopes = if variance > FAR || self.kinks.iter().any(|kink| *kink != 0.0) {
            let slope_at = |z: f64| {
                let mut slope = [0.0];
                formula.values_and_slopes(&[z], &mut [0.0], &mut slope);
                slope[0]
            };
            coefficients(slope_at, variance, &self.kinks, ORDERS[order])
        } else {
            let hermite = hermite(order);
            let z: Vec<f64> = hermite.nodes().iter().map(|u| variance.sqrt() * u).collect();
            hermite.coefficients(&at(&z).1)
        };
        // a_{k+1} = √(K/(k+1)) s_k by Stein's lemma: exact where a_k itself would be noise beside a₀.
        let stein = |(k, s): (usize, &f64)| (variance / (k as f64 + 1.0)).sqrt() * s;
        let coefficients: Vec<f64> =
            std::iter::once(mean).chain(slopes.iter().enumerate().map(stein)).collect();
        let mass: f64 = coefficients.iter().map(|a| a * a).sum();
        let slope_mass: f64 = slopes.iter().map(|s| s * s).sum();
        let part = |captured: f64, all: f64| if all > 0.0 { (all - captured).max(0.0) / all } else { 0.0 };
        let tail = part(mass, square).max(part(slope_mass, slope_square));
        Ok((Single { mean, square, slope_square, coefficients }, tail))
    }
}

impl Panel {
    /// Barycentric interpolation at Chebyshev nodes of the first kind.
    fn at(&self, x: f64) -> Single {
        if let Some(i) = self.nodes.iter().position(|&node| node == x) {
            return self.known[i].clone();
        }
        let n = self.nodes.len() as f64;
        let weight = |(i, node): (usize, &f64)| {
            let sign = if i % 2 == 0 { 1.0 } else { -1.0 };
            sign * (PI * (i as f64 + 0.5) / n).sin() / (x - node)
        };
        let mut weights: Vec<f64> = self.nodes.iter().enumerate().map(weight).collect();
        let total: f64 = weights.iter().sum();
        weights.iter_mut().for_each(|w| *w /= total);
        let mut coefficients = vec![0.0; self.known[0].coefficients.len()];
        for (w, single) in weights.iter().zip(&self.known) {
            coefficients.iter_mut().zip(&single.coefficients).for_each(|(sum, a)| *sum += w * a);
        }
        let mix = |of: fn(&Single) -> f64| weights.iter().zip(&self.known).map(|(w, s)| w * of(s)).sum();
        let (mean, square, slope_square) = (mix(|s| s.mean), mix(|s| s.square), mix(|s| s.slope_square));
        Single { mean, square, slope_square, coefficients }
    }

    /// Drops the highest orders as long as they hold less than a part of ⟨σ²⟩ and ⟨σ′²⟩.
    fn cut(&mut self, part: f64) {
        let needed = |single: &Single| {
            let a = &single.coefficients;
            let slopes: f64 = a.iter().enumerate().map(|(k, a)| k as f64 * a * a).sum();
            let (mut left, mut slope_left) = (0.0, 0.0);
            let mut length = a.len();
            while length > 1 {
                let last = a[length - 1].powi(2);
                left += last;
                slope_left += (length - 1) as f64 * last;
                if left > part * single.square || slope_left > part * slopes {
                    break;
                }
                length -= 1;
            }
            length
        };
        let length = self.known.iter().map(needed).max().unwrap_or(1);
        self.known.iter_mut().for_each(|single| single.coefficients.truncate(length));
    }
}

/// How far two expansions are apart, relative to ⟨σ²⟩ and ⟨σ′²⟩.
fn distance(a: &Single, b: &Single) -> f64 {
    let pairs = || a.coefficients.iter().zip(&b.coefficients).enumerate();
    let value: f64 = pairs().map(|(_, (x, y))| (x - y) * (x - y)).sum();
    let slope: f64 = pairs().map(|(k, (x, y))| k as f64 * (x - y) * (x - y)).sum();
    let slopes: f64 = b.coefficients.iter().enumerate().map(|(k, b)| k as f64 * b * b).sum();
    let relative = |d: f64, all: f64| if all > 0.0 { (d / all).sqrt() } else { 0.0 };
    // An error of size ε in the direction of the coefficients costs up to 2ε in a product of two.
    2.0 * relative(value, b.square).max(relative(slope, slopes))
}

/// Odd up to a constant, even up to a straight line, or neither; told from the values.
fn parity(activation: &Activation) -> Parity {
    let f = |z: f64| activation.formula.value(z);
    let all = [0.013, 0.21, 0.5, 0.77, 1.3, 2.1, 3.7, 6.1, 11.0];
    let scale = |z: f64| 1e-14 * (f(z).abs() + f(-z).abs() + f(0.0).abs());
    if all.iter().all(|&z| (f(z) + f(-z) - 2.0 * f(0.0)).abs() <= scale(z)) {
        return Parity::Odd;
    }
    let slope = (f(1.3) - f(-1.3)) / 2.6;
    if all.iter().all(|&z| (f(z) - f(-z) - 2.0 * slope * z).abs() <= scale(z)) {
        return Parity::Even;
    }
    Parity::Neither
}

/// The constants of one point in the order of [`SeriesLine`](super::series::SeriesLine): slope factor, lone term, terms.
pub(crate) fn constants(parity: Parity, variance: f64, single: &Single) -> Vec<f64> {
    let root = single.square.sqrt();
    let unit = if root > 0.0 { 1.0 / root } else { 0.0 };
    let a = |k: usize| single.coefficients.get(k).map_or(0.0, |a| a * unit);
    let mut all = vec![root / variance.sqrt(), parity.lone().map_or(0.0, a)];
    let mut m = 0;
    while parity.order(m) < single.coefficients.len() {
        all.push(a(parity.order(m)));
        m += 1;
    }
    // One term by itself, then whole passes.
    let terms = all.len().saturating_sub(FIRST + 1).next_multiple_of(TERMS);
    all.resize(FIRST + 1 + terms, 0.0);
    all
}
