//! Intervals from the profile of the distance: one parameter held, the other (and scale and offset) at their best.

use carnot_math::solve::root;
use rayon::prelude::*;

use super::atlas::{Distance, NODES, node_place};
use super::search::{Point, descend};

/// Range of one axis, in places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub low: f64,
    pub high: f64,
    pub is_open_below: bool,
    pub is_open_above: bool,
}

/// How exactly the ends are found: 1e-4 of the axis is 0.07 % of a friction or noise.
const END: f64 = 1e-4;

/// Where the profile of an axis lies below a level, from its first to its last such place; and the lowest point met.
///
/// The profile may have several valleys, so that all rows of the atlas are tried before the ends are searched for.
pub(super) fn range(distance: &Distance, best: Point, axis: usize, level: f64) -> (Range, Point) {
    let rows: Vec<Point> = (0..NODES)
        .into_par_iter()
        .map(|at| lowest_of_row(distance, axis, node_place(at), best, level))
        .collect();
    let inside: Vec<usize> = (0..NODES).filter(|&at| rows[at].chi2 <= level).collect();
    let here = best.place[axis];
    let above = |at: f64| lowest_of_row(distance, axis, at, best, level).chi2 - level;
    let end = |inner: f64, outer: f64| root(above, inner, outer, END).unwrap_or(outer);
    let (first, last) = (inside.first().copied(), inside.last().copied());
    let lowest_inside = first.map_or(here, |at| node_place(at).min(here));
    let highest_inside = last.map_or(here, |at| node_place(at).max(here));
    let before = (lowest_inside * (NODES - 1) as f64).ceil() as usize;
    let behind = (highest_inside * (NODES - 1) as f64).floor() as usize;
    let (is_open_below, is_open_above) = (lowest_inside == 0.0, highest_inside == 1.0);
    let low = if is_open_below { 0.0 } else { end(lowest_inside, node_place(before - 1)) };
    let high = if is_open_above { 1.0 } else { end(highest_inside, node_place(behind + 1)) };
    let lowest = rows.into_iter().fold(best, |low, row| if row.chi2 < low.chi2 { row } else { low });
    (Range { low, high, is_open_below, is_open_above }, lowest)
}

/// A low point with one coordinate held, the lowest unless one below the level was found: from the two best valleys of the
/// nearest row of nodes, and from where the best point lies.
fn lowest_of_row(distance: &Distance, axis: usize, held: f64, best: Point, level: f64) -> Point {
    let row = (held * (NODES - 1) as f64).round() as usize;
    let node = |at: usize| if axis == 0 { distance.node(row, at) } else { distance.node(at, row) };
    let chi2: Vec<f64> = (0..NODES).map(node).collect();
    let is_valley =
        |at: &usize| (at.saturating_sub(1)..(at + 2).min(NODES)).all(|beside| chi2[*at] <= chi2[beside]);
    let mut valleys: Vec<usize> = (0..NODES).filter(is_valley).collect();
    valleys.sort_by(|a, b| chi2[*a].total_cmp(&chi2[*b]));
    let mut starts: Vec<f64> = valleys.into_iter().take(2).map(node_place).collect();
    starts.push(best.place[1 - axis]);
    let mut lowest: Option<Point> = None;
    for start in starts {
        let (mut place, mut is_free) = ([held; 2], [true; 2]);
        place[1 - axis] = start;
        is_free[axis] = false;
        let point = descend(distance, place, is_free, level);
        if lowest.is_none_or(|lowest| point.chi2 < lowest.chi2) {
            lowest = Some(point);
        }
        if point.chi2 <= level {
            break;
        }
    }
    lowest.expect("a start")
}
