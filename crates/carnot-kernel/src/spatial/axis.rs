//! Pairs of positions along one axis, sorted by how far apart they are.
//!
//! A convolution moves both positions of a pair together, so it never leaves a diagonal: what is on the diagonal q − p = δ
//! comes from one diagonal of the layer before. Diagonals are therefore carried through many layers one by one.

use carnot_math::device::cpu::places::Taps;
use carnot_net::layers::window::Slide;

/// Positions along an axis, and how the difference of two is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Axis {
    /// Number of positions n.
    pub size: usize,
    /// Counted around (δ modulo n, every diagonal has n pairs) or along a line (−n < δ < n, n − |δ| pairs).
    pub is_ring: bool,
}

impl Axis {
    /// All differences.
    pub fn offsets(self) -> Vec<isize> {
        let n = self.size as isize;
        if self.is_ring { (0..n).collect() } else { (1 - n..n).collect() }
    }

    /// The difference of a pair.
    pub fn offset(self, p: usize, q: usize) -> isize {
        let difference = q as isize - p as isize;
        if self.is_ring { difference.rem_euclid(self.size as isize) } else { difference }
    }

    /// Number of pairs with this difference.
    pub fn pairs(self, offset: isize) -> usize {
        if self.is_ring { self.size } else { self.size - offset.unsigned_abs() }
    }

    /// The pair at place `i` of a diagonal.
    pub fn pair(self, offset: isize, i: usize) -> (usize, usize) {
        if self.is_ring {
            return (i, (i + offset as usize) % self.size);
        }
        ((i as isize + (-offset).max(0)) as usize, (i as isize + offset.max(0)) as usize)
    }

    /// Place of a pair on its diagonal.
    pub fn place(self, p: usize, q: usize) -> usize {
        if self.is_ring { p } else { p.min(q) }
    }

    /// Stretches of a diagonal on which both positions go up by one: (first place, length).
    pub fn stretches(self, offset: isize) -> Vec<(usize, usize)> {
        let n = self.pairs(offset);
        if !self.is_ring || offset == 0 {
            return vec![(0, n)];
        }
        let first = n - offset as usize;
        vec![(0, first), (first, n - first)]
    }
}

/// Where the sums over a window on one diagonal come from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Link {
    /// Nowhere: no tap of both windows is inside.
    Nothing,
    /// One diagonal of the layer before.
    Diagonal {
        /// Its difference.
        offset: isize,
        /// For every pair, the places of its taps.
        taps: Taps,
    },
}

impl Link {
    /// The taps that both windows of each pair on the diagonal `offset` of `after` have inside `before`; `None` when they lie
    /// on several diagonals.
    pub fn through(slide: &Slide, before: Axis, after: Axis, offset: isize) -> Option<Link> {
        let mut taps = Taps { starts: vec![0], from: Vec::new() };
        let mut source = None;
        for i in 0..after.pairs(offset) {
            let (p, q) = after.pair(offset, i);
            for tap in 0..slide.window {
                if let Some((p, q)) = slide.at(p, tap).zip(slide.at(q, tap)) {
                    let found = before.offset(p, q);
                    if *source.get_or_insert(found) != found {
                        return None;
                    }
                    taps.from.push(before.place(p, q) as u32);
                }
            }
            taps.starts.push(taps.from.len() as u32);
        }
        Some(source.map_or(Link::Nothing, |offset| Link::Diagonal { offset, taps }))
    }
}

/// What one diagonal adds to the diagonals behind a pool.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Shares {
    /// Places of the target, in the order of `taps`.
    pub targets: Vec<u32>,
    /// For every target, the places that are added.
    pub taps: Taps,
    /// The share of each tap.
    pub shares: Vec<f64>,
}

/// Everything wanted of one diagonal behind a pool: target place, source diagonal, source place, share.
pub(crate) type Contribution = (usize, isize, usize, f64);

/// Contributions to the diagonal `offset` behind a pool whose targets begin at `base`.
///
/// * `share`: of one position in the window of an output position
pub(crate) fn pooled(
    slide: &Slide,
    before: Axis,
    after: Axis,
    offset: isize,
    base: usize,
    share: impl Fn(usize) -> f64,
) -> Vec<Contribution> {
    let mut all = Vec::new();
    for i in 0..after.pairs(offset) {
        let (p, q) = after.pair(offset, i);
        let both = share(p) * share(q);
        let inside = |p: usize| (0..slide.window).filter_map(move |tap| slide.at(p, tap));
        for x in inside(p) {
            all.extend(inside(q).map(|y| (base + i, before.offset(x, y), before.place(x, y), both)));
        }
    }
    all
}

impl Shares {
    /// Those contributions that come from one diagonal.
    pub fn from_diagonal(all: &[Contribution], offset: isize) -> Shares {
        let mut sorted: Vec<&Contribution> = all.iter().filter(|one| one.1 == offset).collect();
        sorted.sort_by_key(|one| (one.0, one.2));
        let mut out = Shares { taps: Taps { starts: vec![0], from: Vec::new() }, ..Shares::default() };
        for &&(target, _, from, share) in &sorted {
            if out.targets.last() != Some(&(target as u32)) {
                if !out.targets.is_empty() {
                    out.taps.starts.push(out.taps.from.len() as u32);
                }
                out.targets.push(target as u32);
            }
            out.taps.from.push(from as u32);
            out.shares.push(share);
        }
        if !out.targets.is_empty() {
            out.taps.starts.push(out.taps.from.len() as u32);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use carnot_net::layers::window::Padding;

    #[test]
    fn every_pair_has_one_place() {
        for axis in [Axis { size: 4, is_ring: false }, Axis { size: 4, is_ring: true }] {
            let mut seen = Vec::new();
            for offset in axis.offsets() {
                for i in 0..axis.pairs(offset) {
                    let (p, q) = axis.pair(offset, i);
                    assert_eq!((axis.offset(p, q), axis.place(p, q)), (offset, i));
                    seen.push((p, q));
                }
                let stretched: usize = axis.stretches(offset).iter().map(|s| s.1).sum();
                assert_eq!(stretched, axis.pairs(offset));
            }
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), 16);
        }
    }

    #[test]
    fn windows_stay_on_one_diagonal() {
        let slide = |padding, stride| Slide { size: 6, window: 3, stride, padding, is_transposed: false };
        let line = |size| Axis { size, is_ring: false };
        let ring = |size| Axis { size, is_ring: true };
        let link = Link::through(&slide(Padding::Same, 1), line(6), line(6), 2).unwrap();
        let taps = Taps { starts: vec![0, 2, 5, 8, 10], from: vec![0, 1, 0, 1, 2, 1, 2, 3, 2, 3] };
        assert_eq!(link, Link::Diagonal { offset: 2, taps });
        let strided = Link::through(&slide(Padding::Same, 2), line(6), line(3), -1).unwrap();
        assert!(matches!(strided, Link::Diagonal { offset: -2, .. }));
        assert!(Link::through(&slide(Padding::Circular, 1), line(6), line(6), 2).is_none());
        assert!(Link::through(&slide(Padding::Circular, 2), ring(6), ring(3), 2).is_some());
    }

    #[test]
    fn pools_gather_all_pairs_of_two_windows() {
        let slide = Slide { size: 4, window: 2, stride: 2, padding: Padding::Valid, is_transposed: false };
        let (before, after) = (Axis { size: 4, is_ring: false }, Axis { size: 2, is_ring: false });
        let all = pooled(&slide, before, after, 1, 0, |_| 0.5);
        assert_eq!(all.len(), 4);
        let shares = Shares::from_diagonal(&all, 2);
        assert_eq!(
            (shares.targets, shares.taps.from, shares.shares),
            (vec![0], vec![0, 1], vec![0.25, 0.25])
        );
    }
}
