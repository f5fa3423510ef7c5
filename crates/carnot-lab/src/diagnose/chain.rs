//! The chain of blocks and springs without an answer.

use carnot_report::diagnostic::Diagnostic;
use carnot_theory::spring_block::chain::ChainError;

use super::{Explain, told};

impl Explain for ChainError {
    fn explain(&self) -> Diagnostic {
        let problem = self.to_string();
        let (code, cause, remedy) = match self {
            ChainError::OutOfRange { what, range, .. } => {
                ("chain/out-of-range", "the model means nothing there", format!("{what} must be {range}"))
            }
            ChainError::Length { expected, .. } => (
                "chain/length",
                "every block has a friction of its own",
                format!("give {expected} numbers, or one for all"),
            ),
            ChainError::StepTooLong { longest, .. } => (
                "chain/step",
                "each step overshoots more than the one before",
                format!("a step of at most {longest}"),
            ),
            ChainError::NotFinite { .. } => (
                "chain/not-finite",
                "forces or noise are too large for the step",
                "smaller noise, or a shorter step".into(),
            ),
            ChainError::Frozen { .. } => {
                ("chain/frozen", "friction is far above the noise", "more noise, or less friction".into())
            }
            ChainError::NoFriction => {
                ("chain/no-friction", "nothing holds the blocks", "a friction above 0".into())
            }
            ChainError::TooShort { needed, .. } => (
                "chain/too-short",
                "the slowest motion of the chain takes longer",
                format!("a time of at least {needed}"),
            ),
        };
        told(code, problem, cause, remedy)
    }
}
