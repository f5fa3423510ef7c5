use super::*;
use crate::gauss;

/// Name, function.
pub(super) fn all() -> Vec<(&'static str, Pieces)> {
    let piece = |constant: f64, slope: f64, curve: f64| Piece { constant, slope, curve };
    let of = |name, kinks: &[f64], pieces: &[Piece], rate| (name, Pieces::new(kinks, pieces, rate).unwrap());
    // Where the exponential pieces meet at 0.3.
    let meet = 0.6 - 0.2 * ((-0.18f64).exp_m1() + 0.18) / 0.36;
    vec![
        of(
            "hard_tanh",
            &[-1.0, 1.0],
            &[piece(-1.0, 0.0, 0.0), piece(0.0, 1.0, 0.0), piece(1.0, 0.0, 0.0)],
            0.0,
        ),
        of("relu6", &[0.0, 6.0], &[piece(0.0, 0.0, 0.0), piece(0.0, 1.0, 0.0), piece(6.0, 0.0, 0.0)], 0.0),
        of(
            "hard_swish",
            &[-3.0, 3.0],
            &[piece(0.0, 0.0, 0.0), piece(0.0, 0.5, 1.0 / 3.0), piece(0.0, 1.0, 0.0)],
            0.0,
        ),
        of("elu", &[0.0], &[piece(0.0, 1.0, 1.0), piece(0.0, 1.0, 0.0)], 1.0),
        of("selu", &[0.0], &[piece(0.0, 1.758, 1.758), piece(0.0, 1.05, 0.0)], 1.0),
        of("exponential both sides", &[0.3], &[piece(0.0, 1.0, 0.5), piece(meet, -1.0, 0.7)], -0.6),
        of(
            "hard shrink",
            &[-0.5, 0.5],
            &[piece(0.0, 1.0, 0.0), piece(0.0, 0.0, 0.0), piece(0.0, 1.0, 0.0)],
            0.0,
        ),
        of(
            "steps, bends and curves",
            &[-0.7, 0.2, 1.5],
            &[piece(1.0, 0.3, 0.4), piece(0.2, -1.0, 0.3), piece(0.0, 0.5, -0.2), piece(1.0, 0.0, 0.1)],
            0.0,
        ),
    ]
}

/// ((1 − cos θ′, 1 + cos θ′), ⟨ss⟩) of one pair by lines.
fn pair(pieces: &Pieces, a: f64, b: f64, u: f64, w: f64) -> [f64; 3] {
    let [row, column] = [a, b].map(|k| pieces.constants(k, &pieces.single(k, pieces.at(0.0)[1])));
    let columns: Vec<&[f64]> = column.iter().map(std::slice::from_ref).collect();
    let (mut u, mut w, mut slope) = ([u], [w], [f64::NAN]);
    pieces.line(&row, &columns, &mut u, &mut w, &mut slope);
    [u[0], w[0], slope[0]]
}

const VARIANCES: [(f64, f64); 10] = [
    (1.0, 1.0),
    (1.0, 1.001),
    (0.5, 0.8),
    (2.0, 0.1),
    (1e-4, 1e-4),
    (0.02, 1.2),
    (9.0, 11.0),
    (33.0, 29.0),
    (1e3, 1e3),
    (5e5, 100.0),
];
const ANGLES: [f64; 12] = [1.9999, 1.7, 1.2, 1.0, 0.7, 0.3, 0.05, 3e-3, 1e-4, 2e-6, 3e-7, 1e-9];

#[test]
fn pairs_agree_with_quadrature_in_two_dimensions() {
    for (name, pieces) in all() {
        for (a, b) in VARIANCES {
            // Where the function grows exponentially, the range of the quadrature is too short.
            if !(pieces.holds_at(a) && pieces.holds_at(b)) || (pieces.rate() < 0.0 && a > 5.0) {
                continue;
            }
            let singles = [a, b].map(|k| pieces.single(k, 0.0));
            let scale = (singles[0].square * singles[1].square).sqrt();
            let slope_scale = (singles[0].slope_square * singles[1].slope_square).sqrt();
            if scale == 0.0 {
                // The function is 0 within 13 standard deviations.
                assert_eq!(pair(&pieces, a, b, 0.3, 1.7), [0.0, 2.0, 0.0]);
                continue;
            }
            let gap = ((a - b) / (a.sqrt() + b.sqrt())).powi(2);
            for u in ANGLES {
                let got = pair(&pieces, a, b, u, 2.0 - u);
                let d = gap + 2.0 * (a * b).sqrt() * u;
                let [value, slope] = gauss::pair_average(a, b, d, pieces.kinks(), |x, y| {
                    let (x, y) = (pieces.at(x), pieces.at(y));
                    [x[0] * y[0], x[1] * y[1]]
                });
                // The quadrature knows the angle only as well as a distance tells it.
                let angle = f64::EPSILON * (1.0 + d / (a * b).sqrt()) / u.sqrt();
                let off = [(1.0 - got[0] - value / scale).abs(), (got[2] - slope).abs()];
                let allowed = [1e-13 + angle, (1e-13 + angle) * slope_scale];
                assert!(
                    off[0] <= allowed[0] && off[1] <= allowed[1],
                    "{name}, K = {a}, {b}, 1 - cos = {u}: off by {off:?}, allowed {allowed:?}"
                );
            }
        }
    }
}

/// P(x > h, y > k) where it is known exactly: from Sheppard 1899 at h = k = 0, and for ρ = 0 and 1.
#[test]
fn quadrants_have_their_known_probabilities() {
    use std::f64::consts::PI;
    let quadrant = |h: f64, k: f64, rho: f64| {
        // A step at 1 seen by variances 1/h² and 1/k².
        let step = Pieces::new(&[1.0], &[Piece::default(), Piece { constant: 1.0, ..Piece::default() }], 0.0);
        let step = step.unwrap();
        let singles = [h, k].map(|h| step.single(1.0 / (h * h), 0.0));
        let got = pair(&step, 1.0 / (h * h), 1.0 / (k * k), 1.0 - rho, 1.0 + rho);
        (1.0 - got[0]) * (singles[0].square * singles[1].square).sqrt()
    };
    // At h, k → 0: 1/4 + arcsin ρ/2π.
    for rho in [-0.99f64, -0.5, 0.0, 0.3, 0.9, 0.9999] {
        let exact = 0.25 + rho.asin() / (2.0 * PI);
        let got = quadrant(1e-9, 1e-9, rho);
        assert!((got - exact).abs() < 1e-9, "{rho}: {got} and {exact}");
    }
    // Independent, and the same number twice.
    let tail = |h: f64| 0.5 * libm::erfc(h / 2f64.sqrt());
    for (h, k) in [(0.5, 0.5), (1.0, 2.0), (3.0, 0.1), (2.5, 2.0)] {
        let (apart, same) = (quadrant(h, k, 0.0), quadrant(h, k, 1.0));
        assert!((apart / (tail(h) * tail(k)) - 1.0).abs() < 1e-12, "{h}, {k}: {apart}");
        assert!((same / tail(h.max(k)) - 1.0).abs() < 1e-12, "{h}, {k}: {same}");
    }
}

/// ⟨σσ⟩ and ⟨ss⟩ against a million pairs drawn with a fixed seed.
#[test]
fn averages_are_those_of_random_numbers() {
    use rand::SeedableRng;
    use rand_distr::{Distribution, StandardNormal};
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(11);
    let (a, b, rho) = (1.3f64, 0.6f64, 0.7f64);
    let draws: Vec<[f64; 2]> = (0..1_000_000)
        .map(|_| {
            let (x, y): (f64, f64) = (StandardNormal.sample(&mut random), StandardNormal.sample(&mut random));
            [a.sqrt() * x, b.sqrt() * (rho * x + (1.0 - rho * rho).sqrt() * y)]
        })
        .collect();
    for (name, pieces) in all() {
        let singles = [a, b].map(|k| pieces.single(k, 0.0));
        let got = pair(&pieces, a, b, 1.0 - rho, 1.0 + rho);
        let got = [(1.0 - got[0]) * (singles[0].square * singles[1].square).sqrt(), got[2]];
        for (which, expect) in got.into_iter().enumerate() {
            let of = |[x, y]: &[f64; 2]| pieces.at(*x)[which] * pieces.at(*y)[which];
            let n = draws.len() as f64;
            let mean = draws.iter().map(of).sum::<f64>() / n;
            let variance = draws.iter().map(|draw| (of(draw) - mean).powi(2)).sum::<f64>() / n;
            let z = (mean - expect) / (variance / n).sqrt();
            assert!(z.abs() < 4.0, "{name}, part {which}: {mean} drawn, {expect} expected, z = {z}, seed 11");
        }
    }
}
