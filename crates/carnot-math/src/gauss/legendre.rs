//! Gauss–Legendre nodes and weights on [-1, 1].

use std::sync::OnceLock;

/// Orders that the composite rules use.
pub(super) const ORDERS: [usize; 10] = [12, 16, 20, 24, 30, 32, 40, 48, 64, 80];

/// Nodes and weights of one order, computed once.
///
/// # Panics
/// For an order not in [`ORDERS`].
pub(super) fn table(order: usize) -> &'static [(f64, f64)] {
    static TABLES: [OnceLock<Vec<(f64, f64)>>; ORDERS.len()] = [const { OnceLock::new() }; ORDERS.len()];
    let slot = ORDERS.iter().position(|&o| o == order).expect("order is one of ORDERS");
    TABLES[slot].get_or_init(|| nodes(order))
}

/// Newton's method on the three-term recurrence, started from Tricomi's approximation.
fn nodes(order: usize) -> Vec<(f64, f64)> {
    let n = order as f64;
    (0..order)
        .map(|i| {
            let mut x = -(std::f64::consts::PI * (i as f64 + 0.75) / (n + 0.5)).cos();
            for _ in 0..100 {
                let (value, slope) = polynomial(order, x);
                let step = value / slope;
                x -= step;
                if step.abs() < 1e-16 {
                    break;
                }
            }
            let (_, slope) = polynomial(order, x);
            (x, 2.0 / ((1.0 - x * x) * slope * slope))
        })
        .collect()
}

/// Value and derivative of the Legendre polynomial.
fn polynomial(order: usize, x: f64) -> (f64, f64) {
    let (mut before, mut value) = (1.0, x);
    for k in 1..order {
        let k = k as f64;
        (before, value) = (value, ((2.0 * k + 1.0) * x * value - k * before) / (k + 1.0));
    }
    (value, order as f64 * (x * value - before) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_up_to_twice_the_order_are_exact() {
        for order in ORDERS {
            for power in 0..2 * order {
                let sum: f64 = table(order).iter().map(|(x, w)| w * x.powi(power as i32)).sum();
                let exact = if power % 2 == 0 { 2.0 / (power as f64 + 1.0) } else { 0.0 };
                assert!((sum - exact).abs() < 1e-14, "order {order}, x^{power}: {sum}, expected {exact}");
            }
        }
    }
}
