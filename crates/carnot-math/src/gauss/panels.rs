//! Where to cut the real line so that Gauss–Legendre converges fast on every piece.

/// Sorted, distinct break points between two ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Panels {
    breaks: Vec<f64>,
}

impl Panels {
    /// Breaks at both ends and in steps of at most `step`, symmetric about the middle.
    pub(super) fn reset(&mut self, low: f64, high: f64, step: f64) {
        let n = ((high - low) / step).ceil().max(1.0) as usize;
        self.breaks.clear();
        self.breaks.extend((0..=n).map(|i| low + (high - low) * i as f64 / n as f64));
    }

    /// Adds one break, if inside.
    pub(super) fn cut(&mut self, at: f64) {
        let (low, high) = (self.breaks[0], self.breaks[self.breaks.len() - 1]);
        if at > low && at < high {
            self.breaks.push(at);
            let last = self.breaks.len() - 1;
            self.breaks.swap(last - 1, last); // the upper end stays last
        }
    }

    /// Adds a break at a point and others at distances `scale`, 2 `scale`, 4 `scale` … on both sides up to 1/2: a function with
    /// a singularity or structure of size `scale` near the point is then smooth on every panel.
    pub(super) fn grade(&mut self, at: f64, scale: f64) {
        self.cut(at);
        // Below 1e-9 a panel holds less than the rounding of the answer for any function that is bounded there.
        let mut distance = scale.max(1e-9);
        while distance < 0.75 {
            self.cut(at - distance);
            self.cut(at + distance);
            distance *= 2.0;
        }
    }

    /// Sorts, and drops breaks so close to others that no number lies between. Call once after all cuts.
    pub(super) fn finish(&mut self) -> &[f64] {
        self.breaks.sort_unstable_by(f64::total_cmp);
        self.breaks.dedup_by(|later, earlier| *later - *earlier <= 1e-14 * (1.0 + earlier.abs()));
        &self.breaks
    }

    /// Halves every panel.
    pub(super) fn halve(&mut self) {
        let middles: Vec<f64> = self.breaks.windows(2).map(|pair| 0.5 * (pair[0] + pair[1])).collect();
        self.breaks.extend(middles);
        self.breaks.sort_unstable_by(f64::total_cmp);
    }

    /// The breaks as they stand.
    pub(super) fn breaks(&self) -> &[f64] {
        &self.breaks
    }
}

/// Density of the standard normal law.
pub(super) fn density(u: f64) -> f64 {
    (-0.5 * u * u).exp() * 0.398_942_280_401_432_7
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breaks_are_sorted_distinct_and_keep_their_ends() {
        let mut panels = Panels::default();
        panels.reset(-13.0, 13.0, 1.0);
        panels.grade(0.3, 0.01);
        panels.cut(0.3 + 1e-16);
        panels.cut(99.0);
        let breaks = panels.finish();
        assert_eq!((breaks[0], breaks[breaks.len() - 1]), (-13.0, 13.0));
        assert!(breaks.windows(2).all(|pair| pair[1] > pair[0]));
        assert!(breaks.contains(&0.3));
    }
}
