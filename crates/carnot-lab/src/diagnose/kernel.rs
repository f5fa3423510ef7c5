//! Kernels over data, or targets on them, without an answer.

use carnot_report::diagnostic::Diagnostic;
use carnot_theory::regression::fault::KernelFault;

use super::{Explain, told};

impl Explain for KernelFault {
    fn explain(&self) -> Diagnostic {
        let problem = self.to_string();
        match self {
            KernelFault::NotFinite { .. } => told(
                "kernel/not-finite",
                problem,
                "the signal of a chaotic network has left the range of its numbers, or an input is not finite",
                "an initialisation that keeps the signal: --init critical, or numbers of more range: float64",
            ),
            KernelFault::NotSymmetric { .. } => told(
                "kernel/not-symmetric",
                problem,
                "the two triangles come from different computations, or the file holds another kind of matrix",
                "the average of the matrix and its transpose",
            ),
            KernelFault::NegativeVariance { .. } => told(
                "kernel/negative-variance",
                problem,
                "a variance cannot be negative: this is no kernel of any network",
                "a matrix of covariances",
            ),
            KernelFault::Zero { .. } => told(
                "kernel/zero",
                problem,
                "all inputs are zero and there is no bias, or the signal dies on the way",
                "a bias variance: --c-b 0.1, or --init critical",
            ),
            KernelFault::Indefinite { smallest, largest, .. } => told(
                "kernel/indefinite",
                problem,
                if *smallest > -1e-4 * largest {
                    "it was computed in single precision or by a coarse quadrature"
                } else {
                    "its formula is wrong, or it belongs to no network"
                },
                format!(
                    "the kernel in float64, or a ridge that covers the error: --noise {:.1e}",
                    -2.0 * smallest
                ),
            ),
            KernelFault::NoModes { .. } => told(
                "kernel/no-modes",
                problem,
                "the eigenvalues lie too close together or span too many decades",
                "a ridge: --noise 1e-6, and the iterative solver",
            ),
            KernelFault::Contradiction { first, second, ridge, .. } => told(
                "kernel/contradiction",
                problem,
                "the kernel makes their outputs proportional, whatever the weights",
                format!(
                    "noise in the targets: --noise {ridge:.1e}, or data without sample {first} or {second}"
                ),
            ),
            KernelFault::OutOfReach { ridge, .. } => told(
                "kernel/out-of-reach",
                problem,
                "the network cannot represent these targets, or the kernel is smooth beyond double precision",
                format!("noise in the targets: --noise {ridge:.1e} or more"),
            ),
            KernelFault::Singular { ridge, .. } => told(
                "kernel/singular",
                problem,
                "inputs are repeated, or some follow from others",
                format!("noise in the targets: --noise {ridge:.1e} or more"),
            ),
            KernelFault::TooFew { .. } => told(
                "kernel/too-few",
                problem,
                "nothing is left when one sample is left out",
                "more data, or the choice by evidence",
            ),
            KernelFault::Diverges { largest, .. } => told(
                "kernel/diverges",
                problem,
                "the fastest mode overshoots by more than its distance in every step",
                format!("a rate below {largest:.2e}"),
            ),
            KernelFault::Stalled { .. } => told(
                "kernel/stalled",
                problem,
                "the kernel spans more decades than the iteration can resolve in so many steps",
                "a larger ridge, a preconditioner of larger rank, or more iterations",
            ),
            KernelFault::Unreadable { .. } => told(
                "kernel/unreadable",
                problem,
                "the file was moved, cut short or made for other data",
                "the kernel computed again",
            ),
        }
    }
}
