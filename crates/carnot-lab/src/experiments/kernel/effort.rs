//! What real networks cost, counted in multiplications before anything is done.

use carnot_net::plan::Plan;

/// Multiplications with addition a second of one core in the products that networks are made of, in double precision.
/// Measured on a server core in November 2026: 1500 samples of a network of width 128 take 0.37 s; the words say "about".
const A_SECOND: f64 = 1e10;

/// One sample forwards through all layers.
pub fn pass(plan: &Plan) -> f64 {
    let of = |site: &&carnot_net::plan::Site| {
        (site.output.positions() * site.output.width() * site.fan_in()) as f64
    };
    plan.weighted_sites().iter().map(of).sum()
}

/// Tangent kernel of one network over so many samples: passes for every output, and two Gram matrices for every layer,
/// of which half is computed.
pub fn kernels(plan: &Plan, samples: f64) -> f64 {
    let outputs = plan.output().len() as f64;
    let pair = |site: &&carnot_net::plan::Site| {
        let (p, m, n) = (site.output.positions() as f64, site.fan_in() as f64, site.output.width() as f64);
        let grams = p * p * (m + outputs * n);
        // A convolution of many positions goes by its gradients.
        if p > 1.0 { grams.min(outputs * m * n) } else { grams }
    };
    let pairs: f64 = plan.weighted_sites().iter().map(pair).sum();
    0.5 * samples * samples * pairs + samples * pass(plan) * (1.0 + outputs)
}

/// Bytes of what is kept of the layers for that.
pub fn kernel_bytes(plan: &Plan, samples: f64, number: f64) -> f64 {
    let outputs = plan.output().len() as f64;
    let of = |site: &&carnot_net::plan::Site| {
        let p = site.output.positions() as f64;
        p * (site.fan_in() as f64 + outputs * site.output.width() as f64)
    };
    number * samples * plan.weighted_sites().iter().map(of).sum::<f64>()
}

/// `about 40 s on one core`.
pub fn words(multiplications: f64) -> String {
    let seconds = multiplications / A_SECOND;
    match seconds {
        ..1.0 => "about a second on one core".into(),
        ..120.0 => format!("about {seconds:.0} s on one core"),
        ..7200.0 => format!("about {:.0} min on one core", seconds / 60.0),
        _ => format!("about {:.0} h on one core", seconds / 3600.0),
    }
}
