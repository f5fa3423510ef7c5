//! The table of optimizers. To add one: write a file with a struct that implements [`Rule`], and add its row below.

pub mod adam;
pub mod adamw;
pub mod momentum;
pub mod sgd;

use crate::error::SimError;
use carnot_math::scalar::Scalar;
use serde::{Deserialize, Serialize};

/// A run of one member's parameters at one step.
pub struct Step<'a, S> {
    /// Number of this step, from 1.
    pub step: u64,
    /// Learning rate of this run, ≥ 0.
    pub rate: f64,
    /// Parameters, updated.
    pub weights: &'a mut [S],
    /// Gradient of the loss.
    pub gradient: &'a [S],
    /// First memory; of the run's length where [`Rule::memories`] ≥ 1, else empty. Starts at zero.
    pub first: &'a mut [S],
    /// Second memory; of the run's length where [`Rule::memories`] = 2, else empty. Starts at zero.
    pub second: &'a mut [S],
}

/// How parameters follow their gradients.
pub trait Rule {
    /// Numbers remembered per parameter, 0 to 2.
    fn memories(&self) -> usize;

    /// Checks the ranges of the settings.
    ///
    /// # Errors
    /// [`SimError::Range`].
    fn check(&self) -> Result<(), SimError>;

    /// Updates the parameters and the memories.
    fn step<S: Scalar>(&self, step: Step<S>);
}

/// Makes the enum, its names and the dispatch from one list.
macro_rules! optimizers {
    ($( $variant:ident : $module:ident = $name:literal ; )*) => {
        /// An optimizer with its settings, as data: `{ name = "adam", beta1 = 0.9 }`.
        #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(tag = "name", rename_all = "lowercase", deny_unknown_fields)]
        pub enum Optimizer { $(
            #[doc = concat!("`", $name, "`")]
            #[serde(rename = $name)]
            $variant($module::$variant),
        )* }

        /// Names of all optimizers.
        pub const NAMES: &[&str] = &[$($name),*];

        impl Optimizer {
            /// The optimizer of that name with its usual settings.
            #[must_use]
            pub fn named(name: &str) -> Option<Optimizer> {
                match name {
                    $( $name => Some(Optimizer::$variant($module::$variant::default())), )*
                    _ => None,
                }
            }

            /// Its name.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self { $( Optimizer::$variant(_) => $name, )* }
            }
        }

        impl Rule for Optimizer {
            fn memories(&self) -> usize {
                match self { $( Optimizer::$variant(rule) => rule.memories(), )* }
            }
            fn check(&self) -> Result<(), SimError> {
                match self { $( Optimizer::$variant(rule) => rule.check(), )* }
            }
            fn step<S: Scalar>(&self, step: Step<S>) {
                match self { $( Optimizer::$variant(rule) => rule.step(step), )* }
            }
        }
    };
}

optimizers! {
    Sgd: sgd = "sgd";
    Momentum: momentum = "momentum";
    Adam: adam = "adam";
    AdamW: adamw = "adamw";
}

/// A decay of a running mean, in [0, 1).
fn check_decay(name: &'static str, value: f64) -> Result<(), SimError> {
    if (0.0..1.0).contains(&value) {
        return Ok(());
    }
    Err(SimError::Range { name, value, range: "from 0 to below 1" })
}

/// A number that is finite and not negative.
fn check_positive(name: &'static str, value: f64) -> Result<(), SimError> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(SimError::Range { name, value, range: "a finite number ≥ 0" })
}
