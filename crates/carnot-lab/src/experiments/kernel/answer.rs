//! What one job answers, as plain data.

use carnot_math::stats::Estimate;
use serde::{Deserialize, Serialize};

/// Kernels on the data and what follows from them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Training samples N.
    pub train: usize,
    /// Samples kept aside M.
    pub test: usize,
    /// Outputs, or classes.
    pub outputs: usize,
    /// How the kernels were computed: `entrywise`, `spatial`, `general`, or `sampled` from random networks.
    pub route: String,
    /// How sure they are, when they were sampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled: Option<Sampled>,
    /// The covariance K: a Bayesian network.
    pub nngp: Side,
    /// The tangent kernel Θ: a trained network.
    pub ntk: Side,
    /// The matrices themselves, when they are small.
    pub matrices: Option<Small>,
    /// Where they were kept.
    pub saved: Vec<String>,
    /// Remarks on the data: repeated inputs, zero inputs, one sample.
    pub remarks: Vec<String>,
}

/// One kernel and its prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Its spectrum over the training samples; none when it is no kernel.
    pub spectrum: Option<Spectrum>,
    /// What it predicts.
    pub prediction: Option<Prediction>,
    /// Why it predicts nothing, or has no spectrum.
    pub because: Option<String>,
}

/// Eigenvalues over the training samples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spectrum {
    /// Largest, λ_max.
    pub largest: f64,
    /// Smallest as computed; none where only the largest was found.
    pub smallest: Option<f64>,
    /// Number above rounding; none where only the largest was found.
    pub rank: Option<usize>,
    /// λ_max over the smallest eigenvalue above rounding; none for a kernel that is zero.
    pub condition: Option<f64>,
    /// Largest stable rate of full-batch descent on the mean over samples of half the squared error, 2N/λ_max.
    pub largest_rate: f64,
    /// Numbers k, from 1, at which the spectrum is kept.
    pub order: Vec<usize>,
    /// Eigenvalues at these numbers, descending, over N.
    pub values: Vec<f64>,
    /// Share of the squared targets along the first k eigenvectors, for the same k; empty without targets.
    pub power: Vec<f64>,
    /// Alignment with the labels: ⟨K, y yᵀ⟩/(‖K‖‖y yᵀ‖), both centred.
    pub alignment: Option<f64>,
}

/// What a kernel predicts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Variance of the noise on the diagonal.
    pub noise: f64,
    /// Who chose it: `given` or `leave-one-out`.
    pub noise_by: String,
    /// Logarithm of the evidence over samples and outputs, for K only.
    pub log_evidence: Option<f64>,
    /// Why there is none.
    pub no_evidence: Option<String>,
    /// Factor on kernel and noise at which the evidence is largest: the scale of the targets.
    pub amplitude: Option<f64>,
    /// Logarithm of the evidence at that factor.
    pub evidence_at_amplitude: Option<f64>,
    /// From each training sample left out of the others.
    pub left_out: Option<Scores>,
    /// Why that is not known.
    pub no_left_out: Option<String>,
    /// Factor on all variances with which samples left out lie as far off as they should; the scores use it.
    pub bar_scale: Option<Measured>,
    /// On the samples kept aside.
    pub kept_aside: Option<Scores>,
    /// η times at which 50, 90 and 99 % of the power of the targets is learned, for Θ only; none where it never is.
    pub times: Vec<Option<f64>>,
    /// On the samples kept aside at the time for which real networks are trained, for Θ only.
    pub at_networks: Option<Scores>,
    /// Gradient descent on the way: η time, mean squared error and accuracy on the samples kept aside.
    pub curve: Vec<Moment>,
    /// Predictions for the samples kept aside, `[M, outputs]`, when they are few.
    pub mean: Option<Vec<Vec<f64>>>,
    /// Their covariance, `[M, M]`, when they are few.
    pub covariance: Option<Vec<Vec<f64>>>,
}

impl Spectrum {
    /// Where only the largest eigenvalue was found.
    pub fn of_largest(largest: f64, samples: usize) -> Spectrum {
        Spectrum {
            largest,
            smallest: None,
            rank: None,
            condition: None,
            largest_rate: 2.0 * samples as f64 / largest,
            order: vec![1],
            values: vec![largest / samples as f64],
            power: Vec::new(),
            alignment: None,
        }
    }
}

impl Prediction {
    /// Nothing known yet but the noise.
    pub fn blank(noise: f64, noise_by: &str) -> Prediction {
        Prediction {
            noise,
            noise_by: noise_by.into(),
            log_evidence: None,
            no_evidence: None,
            amplitude: None,
            evidence_at_amplitude: None,
            left_out: None,
            no_left_out: None,
            bar_scale: None,
            kept_aside: None,
            times: Vec::new(),
            at_networks: None,
            curve: Vec::new(),
            mean: None,
            covariance: None,
        }
    }
}

/// A moment of gradient descent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Rate times steps on half the summed squared error.
    pub time: f64,
    /// Mean squared error of an output on the samples kept aside.
    pub error: f64,
    /// Share classified correctly.
    pub accuracy: Option<f64>,
}

/// How good a prediction is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Mean squared error of one output.
    pub error: Measured,
    /// Share classified correctly.
    pub accuracy: Option<Measured>,
    /// The squared error expected of one network: that of the mean, plus the spread between networks.
    pub one_error: Option<Measured>,
    /// The accuracy expected of one network: the mean probability that it ranks the right class first.
    pub one_accuracy: Option<Measured>,
    /// Mean negative logarithm of the probability of the right class.
    pub surprise: Option<Measured>,
    /// Mean distance between stated and found probability of the predicted class.
    pub calibration: Option<Measured>,
    /// Share of targets within one standard deviation.
    pub within_one: Option<Measured>,
    /// Share within 1.96.
    pub within_two: Option<Measured>,
}

/// A number and its standard error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The number.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
}

impl From<Estimate> for Measured {
    fn from(estimate: Estimate) -> Measured {
        Measured { value: estimate.value, error: estimate.error }
    }
}

/// Matrices of at most [`SMALL`] rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Small {
    /// K over the training samples.
    pub nngp: Vec<Vec<f64>>,
    /// Θ over the training samples.
    pub ntk: Vec<Vec<f64>>,
    /// K between training (rows) and test samples (columns); empty when there are none.
    pub nngp_test: Vec<Vec<f64>>,
    /// The same of Θ.
    pub ntk_test: Vec<Vec<f64>>,
    /// Standard errors of the entries of K over the training samples, when they were sampled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nngp_error: Vec<Vec<f64>>,
    /// The same of Θ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ntk_error: Vec<Vec<f64>>,
}

/// How sure kernels are that were estimated from random networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sampled {
    /// Networks that were averaged.
    pub members: u64,
    /// Most that were allowed.
    pub most: u64,
    /// Relative error at which sampling stops; 0 for never.
    pub precision: f64,
    /// Root of the summed squared standard errors of all entries of K over its norm.
    pub kernel_error: f64,
    /// The same of Θ.
    pub tangent_error: f64,
    /// K and Θ against infinite width, where it is known.
    pub against: Option<[Against; 2]>,
    /// Why it is not known.
    pub no_theory: Option<String>,
}

/// A sampled kernel against theory at infinite width, on a few samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Against {
    /// Samples.
    pub samples: usize,
    /// Pairs of samples whose entry has an error.
    pub pairs: usize,
    /// Largest distance of an entry from theory in its standard errors.
    pub largest_z: Option<f64>,
    /// Root mean square of these distances: about 1 when nothing but chance differs.
    pub root_mean_square_z: Option<f64>,
    /// Norm of the difference over the norm of theory.
    pub difference: f64,
    /// The same as chance alone would have it.
    pub noise: f64,
}

/// Most samples for which matrices and predictions stand in the report.
pub const SMALL: usize = 64;
