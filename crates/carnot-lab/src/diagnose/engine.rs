//! Kernels on data without an answer.

use carnot_kernel::KernelError;
use carnot_report::diagnostic::Diagnostic;

use super::{Explain, told};

impl Explain for KernelError {
    fn explain(&self) -> Diagnostic {
        let problem = self.to_string();
        match self {
            KernelError::NotKnown { .. } => told(
                "kernel/not-known",
                problem,
                "theory has no formula for this layer at infinite width",
                "--sampled 100   estimates the kernels from random networks; or another layer",
            ),
            KernelError::Inputs { width, .. } => told(
                "kernel/inputs",
                problem,
                "the data and the network disagree about the size of a sample",
                format!("give samples of {width} numbers"),
            ),
            KernelError::NotFinite { .. } => told(
                "kernel/not-finite",
                problem,
                "a kernel of it would be NaN everywhere",
                "remove the sample, or fill the gap",
            ),
            KernelError::TooLarge { .. } => told(
                "kernel/too-large",
                problem,
                "the matrix grows with the square of the number of samples",
                "fewer samples, --float float32, K without the tangent kernel, or tiles to disk",
            ),
            KernelError::File { .. } => told(
                "kernel/file",
                problem,
                "nothing is left half-written",
                "another folder, or more room on the disk",
            ),
            KernelError::Overflow { .. } | KernelError::Grows { .. } => told(
                "kernel/overflow",
                problem,
                "the signal grows in every layer: chaotic phase, or an activation that grows faster than its input",
                "--init critical, a smaller --c-w, or --float float64",
            ),
        }
    }
}
