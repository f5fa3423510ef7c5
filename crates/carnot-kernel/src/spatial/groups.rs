//! Which pairs of samples stand side by side, and how their numbers get there.
//!
//! Samples are kept in tiles of [`LANES`], place by place: `[places, LANES]`. A group that pairs a whole tile with one sample
//! reads the tile as it is and spreads the sample over the lanes, which costs next to nothing.

use carnot_math::device::cpu::places::LANES;
use std::borrow::Cow;

/// Pairs of samples, at most [`LANES`].
pub(crate) type Group = Vec<(usize, usize)>;

/// Pairs of a set with itself, each once: first every sample with itself, then a ≠ b.
pub(crate) fn of_one_set(samples: usize) -> Vec<Group> {
    let mut groups = chunks((0..samples).map(|a| (a, a)));
    for start in (0..samples).step_by(LANES) {
        let size = LANES.min(samples - start);
        let around = move |step: usize| {
            let half = step * 2 == size;
            let pair = move |i: usize| (start + i, start + (i + step) % size);
            (0..if half { step } else { size }).map(pair)
        };
        groups.extend(chunks((1..=size / 2).flat_map(around)));
        groups.extend((start + size..samples).map(|b| (start..start + size).map(|a| (a, b)).collect()));
    }
    groups
}

/// Pairs of a set of `first` samples with the `second` ones that follow.
pub(crate) fn of_two_sets(first: usize, second: usize) -> Vec<Group> {
    let whole = first / LANES * LANES;
    let rows = |a: usize| (first..first + second).map(move |b| (a..a + LANES).map(|a| (a, b)).collect());
    let mut groups: Vec<Group> = (0..whole).step_by(LANES).flat_map(rows).collect();
    // Tiles do not begin with the second set, but with the first.
    let begin = (first.next_multiple_of(LANES)).min(first + second);
    let end = ((first + second) / LANES * LANES).max(begin);
    for a in whole..first {
        groups.extend((begin..end).step_by(LANES).map(|b| (b..b + LANES).map(|b| (a, b)).collect()));
    }
    let rest = (first..begin).chain(end..first + second);
    let rest: Vec<usize> = rest.collect();
    groups.extend(chunks((whole..first).flat_map(|a| rest.iter().map(move |&b| (a, b)))));
    groups
}

/// The same pairs, of one set or of two, always as a tile with one sample.
pub(crate) fn tiles_with_samples(first: usize, second: Option<usize>) -> Vec<Group> {
    let starts = (0..first).step_by(LANES);
    let tile = |start: usize| start..(start + LANES).min(first);
    match second {
        None => {
            let group = |start: usize, b: usize| tile(start).filter(|a| *a <= b).map(|a| (a, b)).collect();
            starts.flat_map(|start| (start..first).map(move |b| group(start, b))).collect()
        }
        Some(second) => {
            let group = |start: usize, b: usize| tile(start).map(|a| (a, b)).collect();
            starts.flat_map(|start| (first..first + second).map(move |b| group(start, b))).collect()
        }
    }
}

fn chunks(pairs: impl Iterator<Item = (usize, usize)>) -> Vec<Group> {
    let pairs: Vec<(usize, usize)> = pairs.collect();
    pairs.chunks(LANES).map(<[(usize, usize)]>::to_vec).collect()
}

/// Where the numbers of one side of a group are found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Lanes {
    /// A tile as it is (the lanes beyond the group are not looked at).
    Tile(usize),
    /// One sample for all lanes: its tile and its place in it.
    Spread(usize, usize),
    /// Any samples: tile and place for every lane.
    Any(Box<[(usize, usize); LANES]>),
}

impl Lanes {
    /// Of the samples on one side of a group.
    pub fn of(samples: impl Iterator<Item = usize>) -> Lanes {
        let samples: Vec<usize> = samples.collect();
        let sample = |lane: usize| samples[lane.min(samples.len() - 1)];
        let place = |sample: usize| (sample / LANES, sample % LANES);
        let (tile, first) = place(sample(0));
        if samples.iter().enumerate().all(|(lane, &sample)| place(sample) == (tile, lane)) {
            return Lanes::Tile(tile);
        }
        if samples.iter().all(|&sample| place(sample) == (tile, first)) {
            return Lanes::Spread(tile, first);
        }
        Lanes::Any(Box::new(std::array::from_fn(|lane| place(sample(lane)))))
    }

    /// The same for the second side, where one sample is spread over the lanes even if there is one lane only.
    pub fn of_columns(samples: impl Iterator<Item = usize>) -> Lanes {
        let samples: Vec<usize> = samples.collect();
        if samples.iter().all(|sample| *sample == samples[0]) {
            return Lanes::Spread(samples[0] / LANES, samples[0] % LANES);
        }
        Lanes::of(samples.into_iter())
    }

    /// The tile of the first lane.
    pub fn first_tile(&self) -> usize {
        match self {
            Lanes::Tile(tile) | Lanes::Spread(tile, _) => *tile,
            Lanes::Any(places) => places[0].0,
        }
    }

    /// The numbers side by side, out of those of all tiles.
    ///
    /// * `values`: `[places, LANES]` of a tile
    pub fn take<'a, S: Copy + Default>(
        &self,
        values: impl Fn(usize) -> &'a [S],
        buffer: Vec<S>,
    ) -> Cow<'a, [S]> {
        let mut out = buffer;
        match self {
            Lanes::Tile(tile) => return Cow::Borrowed(values(*tile)),
            Lanes::Spread(tile, lane) => {
                let from = values(*tile);
                out.resize(from.len(), S::default());
                for (to, from) in out.chunks_exact_mut(LANES).zip(from.chunks_exact(LANES)) {
                    to.fill(from[*lane]);
                }
            }
            Lanes::Any(places) => {
                let sources: [&[S]; LANES] = places.map(|(tile, _)| values(tile));
                out.resize(sources[0].len(), S::default());
                for (at, to) in out.chunks_exact_mut(LANES).enumerate() {
                    for lane in 0..LANES {
                        to[lane] = sources[lane][at * LANES + places[lane].1];
                    }
                }
            }
        }
        Cow::Owned(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_one_set_is_in_one_group() {
        for samples in [1, 2, 5, 16, 17, 36, 48] {
            for groups in [of_one_set(samples), tiles_with_samples(samples, None)] {
                let mut all: Vec<(usize, usize)> =
                    groups.iter().flatten().map(|&(a, b)| (a.min(b), a.max(b))).collect();
                all.sort_unstable();
                let expect: Vec<(usize, usize)> =
                    (0..samples).flat_map(|a| (a..samples).map(move |b| (a, b))).collect();
                assert_eq!(all, expect, "{samples} samples");
                assert!(groups.iter().all(|group| group.len() <= LANES));
            }
        }
    }

    #[test]
    fn every_pair_of_two_sets_is_in_one_group() {
        for (first, second) in [(1, 1), (3, 40), (40, 3), (16, 16), (20, 37)] {
            for groups in [of_two_sets(first, second), tiles_with_samples(first, Some(second))] {
                let mut all: Vec<(usize, usize)> = groups.into_iter().flatten().collect();
                all.sort_unstable();
                let expect: Vec<(usize, usize)> =
                    (0..first).flat_map(|a| (first..first + second).map(move |b| (a, b))).collect();
                assert_eq!(all, expect, "{first} and {second} samples");
            }
        }
    }

    #[test]
    fn lanes_hold_the_samples_they_are_asked_for() {
        let tile = |tile: usize| -> Vec<usize> {
            (0..3).flat_map(|at| (0..LANES).map(move |lane| 1000 * at + tile * LANES + lane)).collect()
        };
        let tiles = [tile(0), tile(1), tile(2)];
        let rotated: Vec<usize> = (0..LANES).map(|i| LANES + (i + 3) % LANES).collect();
        for samples in [(16..32).collect::<Vec<_>>(), vec![20; 5], rotated, vec![0, 17, 33], vec![2]] {
            let lanes = Lanes::of(samples.iter().copied());
            let found = lanes.take(|tile| &tiles[tile][..], Vec::new());
            for (at, place) in found.chunks_exact(LANES).enumerate() {
                for (lane, sample) in samples.iter().enumerate() {
                    assert_eq!(place[lane], 1000 * at + sample, "{lanes:?}");
                }
            }
        }
    }
}
