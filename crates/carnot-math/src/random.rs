//! Random streams that depend on what they are for, never on when they are drawn.
//!
//! A [`Stream`] is addressed by a seed, a purpose and indices (member, layer, step …). The address is hashed to a key,
//! so that any number of streams can be opened in any order, on any thread, and give the same numbers.

use std::convert::Infallible;

use rand::rand_core::{Rng, SeedableRng, TryRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::scalar::Scalar;

/// Version of the address encoding; changing it changes every random number Carnot ever drew.
const DOMAIN: &str = "carnot-math random stream 1";

/// An independent sequence of random numbers, keyed by (seed, purpose, indices).
///
/// The generator is ChaCha with eight rounds; its 256-bit key is the BLAKE3 derived key of the address. Two addresses that
/// differ anywhere give unrelated streams; the same address gives the same stream on every machine.
///
/// ```
/// use carnot_math::random::Stream;
/// let (mut here, mut there) = (Stream::new(7, "weights", &[3, 1]), Stream::new(7, "weights", &[3, 1]));
/// assert_eq!(here.normal::<f64>(), there.normal::<f64>());
/// assert_ne!(here.uniform(), Stream::new(7, "weights", &[3, 2]).uniform());
/// ```
///
/// Source: Bernstein 2008 (ChaCha); O'Connor et al. 2020 (BLAKE3).
#[derive(Clone, Debug)]
pub struct Stream {
    generator: ChaCha8Rng,
}

impl Stream {
    /// Opens the stream at an address.
    ///
    /// * `seed`: of the whole run, any value
    /// * `purpose`: what the numbers are for, such as `"weights"`
    /// * `at`: indices within the purpose, such as `[member, layer]`; their number is part of the address
    pub fn new(seed: u64, purpose: &str, at: &[u64]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(DOMAIN);
        hasher.update(&seed.to_le_bytes());
        hasher.update(&(purpose.len() as u64).to_le_bytes());
        hasher.update(purpose.as_bytes());
        hasher.update(&(at.len() as u64).to_le_bytes());
        for index in at {
            hasher.update(&index.to_le_bytes());
        }
        Self { generator: ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()) }
    }

    /// A standard normal number (mean 0, variance 1). The same draw in either number type.
    pub fn normal<S: Scalar>(&mut self) -> S {
        let draw: f64 = StandardNormal.sample(&mut self.generator);
        S::from_f64(draw)
    }

    /// Fills a slice with normal numbers of mean 0 and standard deviation `std` ≥ 0.
    pub fn fill_normal<S: Scalar>(&mut self, out: &mut [S], std: f64) {
        for value in out {
            let draw: f64 = StandardNormal.sample(&mut self.generator);
            *value = S::from_f64(std * draw);
        }
    }

    /// A uniform number in [0, 1), a multiple of 2⁻⁵³.
    #[inline]
    pub fn uniform(&mut self) -> f64 {
        (self.generator.next_u64() >> 11) as f64 * (0.5f64).powi(53)
    }

    /// Fills a slice with uniform numbers from `low` to `high` (rounding may reach `high`).
    pub fn fill_uniform<S: Scalar>(&mut self, out: &mut [S], low: f64, high: f64) {
        for value in out {
            *value = S::from_f64(low + (high - low) * self.uniform());
        }
    }

    /// Fills a slice with zeros, each with probability p, and `kept` otherwise, independently. Sixteen random bits decide each: p counts
    /// as the nearest multiple of 2⁻¹⁶, which is returned.
    ///
    /// * `probability`: of a zero, 0 ≤ p ≤ 1
    pub fn fill_kept<S: Scalar>(&mut self, out: &mut [S], probability: f64, kept: impl Fn(f64) -> S) -> f64 {
        let steps = (probability * 65536.0).round().clamp(0.0, 65536.0) as u32;
        let real = f64::from(steps) / 65536.0;
        let kept = kept(real);
        let mut bytes = [0u8; 1024];
        for part in out.chunks_mut(bytes.len() / 2) {
            let own = &mut bytes[..2 * part.len()];
            self.generator.fill_bytes(own);
            for (value, pair) in part.iter_mut().zip(own.chunks_exact(2)) {
                let draw = u32::from(u16::from_le_bytes([pair[0], pair[1]]));
                *value = if draw < steps { S::default() } else { kept };
            }
        }
        real
    }

    /// Marks with 1 what [`Stream::fill_kept`] would drop with the same draws, the rest with 0.
    ///
    /// * `steps`: probability of being dropped, in multiples of 2⁻¹⁶
    pub fn fill_dropped(&mut self, out: &mut [u8], steps: u32) {
        let mut bytes = [0u8; 1024];
        for part in out.chunks_mut(bytes.len() / 2) {
            let own = &mut bytes[..2 * part.len()];
            self.generator.fill_bytes(own);
            for (value, pair) in part.iter_mut().zip(own.chunks_exact(2)) {
                *value = u8::from(u32::from(u16::from_le_bytes([pair[0], pair[1]])) < steps);
            }
        }
    }

    /// A uniform integer in 0..n, without bias.
    ///
    /// # Panics
    /// When `n` is 0: there is nothing to choose from.
    ///
    /// Source: Lemire 2019, *Fast random integer generation in an interval*.
    #[inline]
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "cannot choose one of 0 things");
        let n = n as u64;
        loop {
            let wide = u128::from(self.generator.next_u64()) * u128::from(n);
            // The threshold is below n: its division is rarely needed.
            if wide as u64 >= n || wide as u64 >= n.wrapping_neg() % n {
                return (wide >> 64) as usize;
            }
        }
    }

    /// Puts a slice in a uniformly random order (Fisher–Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// A uniformly random order of 0..n.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }
}

/// Makes a stream usable with every distribution of `rand_distr`.
impl TryRng for Stream {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.generator.next_u32())
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.generator.next_u64())
    }
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.generator.fill_bytes(out);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Moments;

    #[test]
    fn first_numbers_are_the_same_for_ever() {
        let mut stream = Stream::new(42, "weights", &[0, 3]);
        let bits: Vec<u64> = (0..3).map(|_| stream.next_u64()).collect();
        assert_eq!(bits, PINNED, "the address encoding or the generator has changed");
        let mut normals = Stream::new(42, "weights", &[0, 3]);
        let draws: Vec<u64> = (0..3).map(|_| normals.normal::<f64>().to_bits()).collect();
        assert_eq!(draws, PINNED_NORMALS, "the normal sampler has changed");
    }
    const PINNED: [u64; 3] = [15157174262711389730, 16755869524045702032, 3142642494065448074];
    const PINNED_NORMALS: [u64; 3] = [4609534670107239060, 4607930338853432270, 13830264424350716264];

    #[test]
    fn every_part_of_the_address_matters() {
        let first = |seed, purpose: &str, at: &[u64]| Stream::new(seed, purpose, at).next_u64();
        let addresses = [
            first(1, "a", &[]),
            first(2, "a", &[]),
            first(1, "b", &[]),
            first(1, "a", &[0]),
            first(1, "a", &[0, 0]),
            first(1, "a", &[1]),
            first(1, "", &[97]),
        ];
        for i in 0..addresses.len() {
            for j in 0..i {
                assert_ne!(addresses[i], addresses[j], "addresses {i} and {j} collide");
            }
        }
    }

    #[test]
    fn neighbouring_streams_are_uncorrelated() {
        let n = 20_000;
        let (mut a, mut b) = (Stream::new(5, "weights", &[0]), Stream::new(5, "weights", &[1]));
        let mut products = Moments::default();
        for _ in 0..n {
            products.push(a.normal::<f64>() * b.normal::<f64>());
        }
        let z = products.mean() / products.error();
        assert!(z.abs() < 4.0, "correlation {} is {z} standard errors from 0 (seed 5)", products.mean());
    }

    #[test]
    fn normal_numbers_have_normal_moments() {
        let mut draws = vec![0f64; 200_000];
        Stream::new(11, "test", &[]).fill_normal(&mut draws, 3.0);
        let n = draws.len() as f64;
        // Moments of z/3 and their exact standard errors for a normal law: 1, sqrt 2, sqrt 96 over sqrt n.
        for (power, expect, spread) in [(1, 0.0, 1.0), (2, 1.0, 2f64.sqrt()), (4, 3.0, 96f64.sqrt())] {
            let moment = draws.iter().map(|z| (z / 3.0).powi(power)).sum::<f64>() / n;
            let z = (moment - expect) / (spread / n.sqrt());
            assert!(z.abs() < 4.0, "moment {power} is {moment}, expected {expect}, z = {z} (seed 11)");
        }
    }

    #[test]
    fn single_and_double_precision_share_the_draw() {
        let (mut a, mut b) = (Stream::new(1, "x", &[]), Stream::new(1, "x", &[]));
        for _ in 0..100 {
            assert_eq!(a.normal::<f32>(), b.normal::<f64>() as f32);
        }
    }

    #[test]
    fn kept_numbers_are_kept_as_often_as_asked() {
        let (n, p) = (1_000_003, 0.28);
        let mut out = vec![f32::NAN; n];
        let real = Stream::new(5, "kept", &[]).fill_kept(&mut out, p, |p| (1.0 / (1.0 - p)) as f32);
        assert!((real - p).abs() <= 0.5f64.powi(17));
        let kept = out.iter().filter(|&&x| x > 1.0).count() as f64;
        assert_eq!(out.iter().filter(|&&x| x == 0.0).count() as f64, n as f64 - kept);
        let z = (kept / n as f64 - (1.0 - real)) / (real * (1.0 - real) / n as f64).sqrt();
        assert!(z.abs() < 4.0, "{z} (seed 5)");
        assert_eq!(Stream::new(5, "kept", &[]).fill_kept(&mut out, 0.0, |_| 1.0), 0.0);
        assert!(out.iter().all(|&x| x == 1.0));
    }

    #[test]
    fn integers_below_n_are_uniform() {
        let (n, draws) = (7usize, 70_000usize);
        let mut counts = vec![0f64; n];
        let mut stream = Stream::new(3, "below", &[]);
        for _ in 0..draws {
            counts[stream.below(n)] += 1.0;
        }
        let expected = draws as f64 / n as f64;
        let chi_squared: f64 = counts.iter().map(|c| (c - expected).powi(2) / expected).sum();
        let p = crate::stats::chi_squared_tail(chi_squared, (n - 1) as f64);
        assert!(p > 1e-4, "chi squared {chi_squared} for 6 degrees of freedom, p = {p} (seed 3)");
    }

    #[test]
    fn uniform_numbers_stay_in_range() {
        let mut draws = vec![0f32; 10_000];
        Stream::new(9, "uniform", &[]).fill_uniform(&mut draws, -2.0, 0.5);
        assert!(draws.iter().all(|u| (-2.0..=0.5).contains(u)));
        let mean = draws.iter().map(|&u| f64::from(u)).sum::<f64>() / 1e4;
        let z = (mean + 0.75) / (2.5 / 12f64.sqrt() / 100.0);
        assert!(z.abs() < 4.0, "mean {mean}, expected -0.75, z = {z} (seed 9)");
    }

    #[test]
    fn a_permutation_holds_every_index_once() {
        let mut order = Stream::new(2, "order", &[]).permutation(1000);
        assert_ne!(order, (0..1000).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..1000).collect::<Vec<_>>());
    }
}
