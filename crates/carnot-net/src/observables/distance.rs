//! How far apart different inputs are.

use super::{Missing, Observable};

/// $d = \langle |z_a - z_b|^2/n \rangle_{a \ne b}$: mean squared distance of two inputs. Dimensionless, ≥ 0.
pub const ROW: Observable = Observable {
    name: "distance",
    symbol: "d",
    meaning: "mean squared distance between two inputs",
    of: |reading, _| {
        if reading.forward.samples < 2 {
            return Err(Missing::Pairs);
        }
        Ok(reading.forward.mean_distance())
    },
};
