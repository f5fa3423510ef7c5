//! Curves with known truth and with noise as trainings have it.

use carnot_math::random::Stream;

use crate::logfile::Line;

/// Entropies of the text of which these curves might be: 64 symbols.
pub const UNIGRAM: f64 = 3.177;
pub const BIGRAM: f64 = 2.45;

/// What a curve is without noise, at a share of the run from 0 to 1.
pub type Shape = fn(f64) -> f64;

/// A log of some length, spacing and noise, all of which the seed chooses.
pub fn log(purpose: &str, seed: u64, shape: Shape) -> Vec<Line> {
    let mut stream = Stream::new(seed, purpose, &[]);
    let every = [1.0, 5.0, 10.0, 50.0][stream.below(4)];
    let points = 150 + stream.below(900);
    let sd = 0.02 + 0.06 * stream.uniform();
    let likeness: f64 = [0.0, 0.4][stream.below(2)];
    let has_tails = stream.below(3) == 0;
    let mut noise = 0.0;
    let mut draw = move || {
        let mut fresh: f64 = stream.normal();
        if has_tails {
            // Student's t with four degrees of freedom, scaled to the same variance.
            let chi2: f64 = (0..4).map(|_| stream.normal::<f64>().powi(2)).sum();
            fresh /= (chi2 / 4.0).sqrt() * 2f64.sqrt();
        }
        noise = likeness * noise + (1.0 - likeness * likeness).sqrt() * fresh;
        noise
    };
    let line = |at: usize| {
        let share = at as f64 / (points - 1) as f64;
        let mean = shape(share);
        // Losses near zero vary less.
        let size = sd * (mean / 3.0).min(1.0);
        Line {
            step: at as f64 * every,
            loss: mean + size * draw(),
            validation: None,
            rate: 1e-3,
            gradient: 0.5 * (0.2 * draw()).exp(),
        }
    };
    (0..points).map(line).collect()
}

/// Falls from ln 64 to `floor` with time constant `tau` in shares of the run.
fn decay(share: f64, floor: f64, tau: f64) -> f64 {
    floor + (64f64.ln() - floor) * (-share / tau).exp()
}

pub fn unigram_plateau(share: f64) -> f64 {
    decay(share, UNIGRAM + 0.03, 0.05)
}

pub fn bigram_plateau(share: f64) -> f64 {
    decay(share, BIGRAM, 0.08)
}

pub fn uniform_plateau(_: f64) -> f64 {
    64f64.ln()
}

pub fn power_law(share: f64) -> f64 {
    1.2 + 2.96 * (1.0 + 60.0 * share).powf(-0.6)
}

/// Shapes of healthy runs.
pub const HEALTHY: &[(&str, Shape)] = &[
    ("constant rate", power_law),
    ("cosine decay", |share| power_law(share) - 0.25 * (1.0 - (std::f64::consts::PI * share).cos())),
    ("step decay", |share| {
        power_law(share) - if share > 0.6 { 0.35 * (1.0 - (-(share - 0.6) / 0.01).exp()) } else { 0.0 }
    }),
    ("warm-up", |share| if share < 0.08 { 64f64.ln() } else { power_law((share - 0.08) / 0.92) }),
    ("plateau, then drop", |share| {
        let high = decay(share, UNIGRAM, 0.03);
        high - (UNIGRAM - 1.0) / (1.0 + (-(share - 0.6) / 0.02).exp())
    }),
    ("to nearly nothing", |share| decay(share, 0.01, 0.12)),
];

/// A run that leaves a healthy curve at some point, for good.
pub fn diverging(seed: u64) -> Vec<Line> {
    let mut all = log("diverging", seed, power_law);
    let mut stream = Stream::new(seed, "where it diverges", &[]);
    let start = all.len() / 4 + stream.below(all.len() / 2);
    let (grows, is_bounded) = (0.05 + 0.2 * stream.uniform(), stream.below(2) == 0);
    for at in start..all.len() {
        let since = (at - start) as f64;
        let rise = 0.05 * ((grows * since).exp() - 1.0);
        all[at].loss = match is_bounded {
            true => (all[at].loss + rise).min(5.5 + 0.3 * (all[at].loss - power_law(1.0))),
            false if all[at].loss + rise > 1e4 => f64::NAN,
            false => all[at].loss + rise,
        };
        all[at].gradient *= 1.0 + rise;
    }
    all
}

/// A healthy run with one spike of half a nat and more, with the gradient rising two points before; and where it is.
pub fn spiked(seed: u64) -> (Vec<Line>, f64) {
    let mut all = log("spiked", seed, power_law);
    let mut stream = Stream::new(seed, "where the spike is", &[]);
    let start = all.len() * 2 / 5 + stream.below(all.len() * 2 / 5);
    let (height, lasts) = (0.5 + stream.uniform(), 5.0 + 10.0 * stream.uniform());
    for at in start - 3..all.len() {
        let since = at as f64 - start as f64;
        if since >= 0.0 {
            all[at].loss += height * (-since / lasts).exp();
        }
        if since < 6.0 {
            all[at].gradient *= 4.0;
        }
    }
    let step = all[start].step;
    (all, step)
}

/// A run whose validation, every twentieth line, turns after a third; and where.
pub fn overfitting(seed: u64) -> (Vec<Line>, f64) {
    let mut all = log("overfitting", seed, |share| decay(share, 0.2, 0.3));
    let mut stream = Stream::new(seed, "validation", &[]);
    let (n, turn) = (all.len(), 0.35);
    let every = (n / 30).max(1);
    for (at, line) in all.iter_mut().enumerate().filter(|(at, _)| at % every == 0) {
        let share = at as f64 / n as f64;
        let noise: f64 = stream.normal();
        line.validation =
            Some(decay(share.min(turn), 1.0, 0.1) + 0.8 * (share - turn).max(0.0) + 0.02 * noise);
    }
    let step = all[(n as f64 * turn) as usize].step;
    (all, step)
}

/// A loss that is the same to the last digit.
pub fn dead(seed: u64) -> Vec<Line> {
    let mut all = log("dead", seed, uniform_plateau);
    all.iter_mut().for_each(|line| line.loss = 4.158_883);
    all
}
