//! Single-input Gaussian averages of an activation: everything that the one-input recursions need, from one pass.
//!
//! Derivatives of kinked activations are never averaged as they stand: they are moved onto Hermite weights by
//! integration by parts, so that no delta function appears. An average that is truly infinite is [`Unknown`].

use crate::error::{TheoryError, Unknown, check};
use carnot_math::formula::Formula;
use carnot_math::gauss;

/// Averages ⟨F(z)⟩ over z ~ N(0, K) for one activation σ at one variance K.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Variance K of the preactivation, > 0.
    pub kernel: f64,
    /// ⟨σ⟩
    pub mean: f64,
    /// ⟨σ²⟩
    pub square: f64,
    /// ⟨σ⁴⟩
    pub fourth: f64,
    /// ⟨zσσ'⟩/K = ⟨(σ²)''⟩/2 = d⟨σ²⟩/dK
    pub radial: f64,
    /// ⟨(σ²)''''⟩ = 4 d²⟨σ²⟩/dK²
    pub square_fourth_derivative: f64,
    /// Averages with slopes; not known where σ jumps.
    pub slope: Result<SlopeMoments, Unknown>,
    /// Averages with two curvatures; not known where σ' jumps.
    pub curvature: Result<CurvatureMoments, Unknown>,
}

/// Averages that contain σ', kink-safe.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlopeMoments {
    /// ⟨σ'²⟩
    pub square: f64,
    /// ⟨σ'⁴⟩
    pub fourth: f64,
    /// ⟨σ²σ'²⟩
    pub with_value: f64,
    /// ⟨(σ'²)''⟩ = 2 d⟨σ'²⟩/dK
    pub square_second_derivative: f64,
    /// ⟨(σ'²)''''⟩
    pub square_fourth_derivative: f64,
    /// ⟨σ''σ⟩ = ⟨zσσ'⟩/K − ⟨σ'²⟩
    pub bend: f64,
    /// ⟨σ''σ'σ'σ⟩ = ⟨zσσ'³⟩/(3K) − ⟨σ'⁴⟩/3
    pub bend_slope_square: f64,
}

/// Averages that contain two curvatures or a third derivative, finite when σ' does not jump.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvatureMoments {
    /// ⟨σ''²⟩
    pub square: f64,
    /// ⟨σ''²σ'²⟩
    pub with_slope: f64,
    /// ⟨σ'''σ'⟩ = ⟨(σ'²)''⟩/2 − ⟨σ''²⟩
    pub third_slope: f64,
    /// ⟨σ'''σ'³⟩ = ⟨(σ'⁴)''⟩/4 − 3⟨σ''²σ'²⟩
    pub third_slope_cubed: f64,
}

/// The lowest derivative of the activation that jumps anywhere, with the place of that jump.
pub fn roughest_kink(activation: &Formula) -> Option<(u8, f64)> {
    activation.kinks().iter().map(|kink| (kink.order, kink.at)).min_by(|a, b| a.0.cmp(&b.0))
}

/// Places of all kinks, for splitting quadrature panels.
pub fn kink_places(activation: &Formula) -> Vec<f64> {
    activation.kinks().iter().map(|kink| kink.at).collect()
}

/// All averages of one activation at variance K.
///
/// $$ \langle F(z) \rangle_K = \int \frac{dz}{\sqrt{2\pi K}}\, e^{-z^2/2K} F(z) $$
///
/// * `kernel`: variance K of one preactivation, > 0
///
/// # Errors
/// [`TheoryError::OutOfRange`] for K ≤ 0; [`TheoryError::NotFinite`] when the activation grows too fast.
///
/// Source: Roberts, Yaida, Hanin, *The Principles of Deep Learning Theory*, ch. 4–5, 8, 11. Checked by `tests/golden.rs`.
pub fn moments(activation: &Formula, kernel: f64) -> Result<Moments, TheoryError> {
    check("kernel", kernel, kernel > 0.0, "> 0")?;
    let kinks = kink_places(activation);
    let rule = gauss::rule(kernel, &kinks);
    let nodes = Nodes::new(activation, kernel, &rule.z, &rule.w);
    nodes.check_tails()?;
    let roughest = roughest_kink(activation);
    let result = match roughest {
        None => nodes.smooth(),
        Some((order, at)) => nodes.kinked(order, at),
    };
    if result.is_finite() { Ok(result) } else { Err(TheoryError::NotFinite { kernel }) }
}

impl Moments {
    fn is_finite(&self) -> bool {
        let slope = self.slope.as_ref().map_or(0.0, |s| s.fourth + s.with_value + s.square_fourth_derivative);
        let curvature = self.curvature.as_ref().map_or(0.0, |c| c.with_slope + c.third_slope_cubed);
        (self.fourth + self.square_fourth_derivative + slope + curvature).is_finite()
    }
}

struct Nodes<'a> {
    kernel: f64,
    z: &'a [f64],
    weight: &'a [f64],
    jets: Vec<[f64; 5]>,
}

impl<'a> Nodes<'a> {
    fn new(activation: &Formula, kernel: f64, z: &'a [f64], weight: &'a [f64]) -> Self {
        let jets = z.iter().map(|&z| activation.jet(z)).collect();
        Self { kernel, z, weight, jets }
    }

    fn average(&self, f: impl Fn(f64, &[f64; 5]) -> f64) -> f64 {
        let nodes = self.z.iter().zip(self.weight).zip(&self.jets);
        nodes.map(|((&z, &weight), jet)| weight * f(z, jet)).sum()
    }

    /// Average of g times the Hermite polynomial of even degree, over K^{degree/2}: the average of a derivative of g.
    /// The mean of g is taken off first, since Hermite polynomials have mean zero and rounding does not.
    fn derivative(&self, degree: usize, g: impl Fn(&[f64; 5]) -> f64) -> f64 {
        let mean = self.average(|_, jet| g(jet));
        let hermite = |x: f64| match degree {
            2 => x - 1.0,
            4 => (x - 6.0) * x + 3.0,
            _ => ((x - 15.0) * x + 45.0) * x - 15.0,
        };
        self.average(|z, jet| (g(jet) - mean) * hermite(z * z / self.kernel))
            / self.kernel.powi(degree as i32 / 2)
    }

    /// Refuses when what lies beyond twelve standard deviations still matters: the panels end at thirteen.
    fn check_tails(&self) -> Result<(), TheoryError> {
        let size = |jet: &[f64; 5]| jet[0].powi(4) + jet[1].powi(4);
        let all = self.average(|z, jet| size(jet) * (1.0 + (z * z / self.kernel).powi(2)));
        let far = 144.0 * self.kernel;
        let tail =
            self.average(
                |z, jet| if z * z > far { size(jet) * (1.0 + (z * z / self.kernel).powi(2)) } else { 0.0 },
            );
        if all.is_finite() && tail <= 1e-11 * all {
            Ok(())
        } else {
            Err(TheoryError::NotFinite { kernel: self.kernel })
        }
    }

    fn smooth(&self) -> Moments {
        let mut result = self.kinked(u8::MAX, 0.0);
        result.square_fourth_derivative =
            2.0 * self.average(|_, s| s[0] * s[4] + 4.0 * s[1] * s[3] + 3.0 * s[2] * s[2]);
        if let (Ok(slope), Ok(curvature)) = (&mut result.slope, &mut result.curvature) {
            curvature.third_slope = self.average(|_, s| s[3] * s[1]);
            curvature.third_slope_cubed = self.average(|_, s| s[3] * s[1].powi(3));
            slope.square_second_derivative = 2.0 * (curvature.square + curvature.third_slope);
            slope.square_fourth_derivative = self.derivative(2, |s| 2.0 * (s[2] * s[2] + s[1] * s[3]));
            slope.bend = self.average(|_, s| s[2] * s[0]);
            slope.bend_slope_square = self.average(|_, s| s[2] * s[1] * s[1] * s[0]);
        }
        result
    }

    fn kinked(&self, order: u8, at: f64) -> Moments {
        let slope = if order == 0 { Err(Unknown::ValueJumps { at }) } else { Ok(self.slopes()) };
        let curvature = match (&slope, order) {
            (Err(unknown), _) => Err(unknown.clone()),
            (Ok(_), 1) => Err(Unknown::SlopeJumps { at }),
            (Ok(slope), _) => Ok(self.curvatures(slope)),
        };
        let radial = if order == 0 {
            self.derivative(2, |s| s[0] * s[0]) / 2.0
        } else {
            self.average(|z, s| z * s[0] * s[1]) / self.kernel
        };
        Moments {
            kernel: self.kernel,
            mean: self.average(|_, s| s[0]),
            square: self.average(|_, s| s[0] * s[0]),
            fourth: self.average(|_, s| s[0].powi(4)),
            radial,
            square_fourth_derivative: self.derivative(4, |s| s[0] * s[0]),
            slope,
            curvature,
        }
    }

    fn slopes(&self) -> SlopeMoments {
        let square = self.average(|_, s| s[1] * s[1]);
        let fourth = self.average(|_, s| s[1].powi(4));
        SlopeMoments {
            square,
            fourth,
            with_value: self.average(|_, s| (s[0] * s[1]).powi(2)),
            square_second_derivative: self.derivative(2, |s| s[1] * s[1]),
            square_fourth_derivative: self.derivative(4, |s| s[1] * s[1]),
            bend: self.average(|z, s| z * s[0] * s[1]) / self.kernel - square,
            bend_slope_square: self.average(|z, s| z * s[0] * s[1].powi(3)) / (3.0 * self.kernel)
                - fourth / 3.0,
        }
    }

    fn curvatures(&self, slope: &SlopeMoments) -> CurvatureMoments {
        let square = self.average(|_, s| s[2] * s[2]);
        let with_slope = self.average(|_, s| (s[2] * s[1]).powi(2));
        CurvatureMoments {
            square,
            with_slope,
            third_slope: slope.square_second_derivative / 2.0 - square,
            third_slope_cubed: self.derivative(2, |s| s[1].powi(4)) / 4.0 - 3.0 * with_slope,
        }
    }
}

/// The averages that a scan over kernels needs, from values and slopes alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scan {
    /// ⟨σ²⟩
    pub square: f64,
    /// ⟨zσσ'⟩/K
    pub radial: f64,
    /// ⟨σ'²⟩
    pub slope_square: f64,
}

/// As [`moments`], ten times faster; `radial` and `slope_square` only for activations that do not jump.
pub(crate) fn scan(activation: &Formula, kernel: f64) -> Result<Scan, TheoryError> {
    check("kernel", kernel, kernel > 0.0, "> 0")?;
    let rule = gauss::rule(kernel, &kink_places(activation));
    let n = rule.z.len();
    let (mut value, mut slope) = (vec![0.0; n], vec![0.0; n]);
    activation.values_and_slopes(&rule.z, &mut value, &mut slope);
    let (mut sums, mut tail) = ([0.0; 3], 0.0);
    for i in 0..n {
        let (z, w, s, p) = (rule.z[i], rule.w[i], value[i], slope[i]);
        let terms = [w * s * s, w * z * s * p / kernel, w * p * p];
        sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
        if z * z > 144.0 * kernel {
            tail += terms.iter().map(|term| term.abs()).sum::<f64>();
        }
    }
    let [square, radial, slope_square] = sums;
    let size = square + radial.abs() + slope_square;
    let resolved = size.is_finite() && tail <= 1e-11 * size;
    if resolved { Ok(Scan { square, radial, slope_square }) } else { Err(TheoryError::NotFinite { kernel }) }
}

/// Second and third derivative of ⟨σ²⟩ and first of ⟨σ'²⟩ with respect to K: how the kernel map bends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bends {
    /// d²⟨σ²⟩/dK² / 2
    pub second: f64,
    /// d³⟨σ²⟩/dK³ / 6
    pub third: f64,
    /// d⟨σ'²⟩/dK
    pub slope: f64,
}

/// Taylor coefficients of the kernel map around K, from Hermite weights.
///
/// $$ \frac{d^k \langle\sigma^2\rangle}{dK^k} = \frac{1}{2^k K^k} \langle \sigma^2 He_{2k}(z/\sqrt K) \rangle $$
///
/// # Errors
/// As [`moments`]; [`TheoryError::Unknown`] when the activation jumps.
pub fn bends(activation: &Formula, kernel: f64) -> Result<Bends, TheoryError> {
    let all = moments(activation, kernel)?;
    let slope = all.slope?;
    let rule = gauss::rule(kernel, &kink_places(activation));
    let nodes = Nodes::new(activation, kernel, &rule.z, &rule.w);
    Ok(Bends {
        second: all.square_fourth_derivative / 8.0,
        third: nodes.derivative(6, |s| s[0] * s[0]) / 48.0,
        slope: slope.square_second_derivative / 2.0,
    })
}

/// Averages ⟨σ² he_q(z/√K)⟩ for q = 0..=highest, he_q the Hermite polynomial normalised to ⟨he_q²⟩ = 1.
///
/// # Errors
/// As [`moments`].
pub fn square_hermite(activation: &Formula, kernel: f64, highest: usize) -> Result<Vec<f64>, TheoryError> {
    check("kernel", kernel, kernel > 0.0, "> 0")?;
    let square = |z: f64| activation.value(z).powi(2);
    let result = gauss::hermite::coefficients(square, kernel, &kink_places(activation), highest);
    if result.iter().all(|x| x.is_finite()) { Ok(result) } else { Err(TheoryError::NotFinite { kernel }) }
}
