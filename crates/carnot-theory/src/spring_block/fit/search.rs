//! The nearest curve: from the best nodes of the atlas downhill by Levenberg and Marquardt, inside the map.

use super::atlas::{Distance, NODES, Place, node_place};
use super::measured::dot;

/// A place with its distance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub place: Place,
    pub chi2: f64,
}

/// Step of differences along the axes: their error, about a tenth of it relative, slows the descent and moves no minimum.
const DIFFERENCE: f64 = 1e-4;
/// Steps downhill before giving up; ten are usual.
const MOST_STEPS: usize = 40;
/// Valleys of the atlas that are followed.
const VALLEYS: usize = 4;

/// The lowest point of the whole map.
pub(super) fn lowest(distance: &Distance) -> Point {
    let chi2: Vec<f64> = (0..NODES * NODES).map(|at| distance.node(at / NODES, at % NODES)).collect();
    let is_valley = |at: &usize| {
        let (row, column) = (at / NODES, at % NODES);
        let rows = row.saturating_sub(1)..(row + 2).min(NODES);
        let mut beside = rows.flat_map(|row| {
            (column.saturating_sub(1)..(column + 2).min(NODES)).map(move |c| row * NODES + c)
        });
        beside.all(|other| chi2[*at] <= chi2[other])
    };
    let mut valleys: Vec<usize> = (0..NODES * NODES).filter(is_valley).collect();
    valleys.sort_by(|a, b| chi2[*a].total_cmp(&chi2[*b]));
    let starts = valleys.into_iter().take(VALLEYS);
    let ends =
        starts.map(|at| descend(distance, [node_place(at / NODES), node_place(at % NODES)], [true; 2], 0.0));
    // Every map has a lowest node, which is a valley.
    ends.min_by(|a, b| a.chi2.total_cmp(&b.chi2)).expect("a valley")
}

/// Goes downhill along the free axes, as far as it goes or until the level `wanted` is out of reach.
pub(super) fn descend(distance: &Distance, start: Place, is_free: [bool; 2], wanted: f64) -> Point {
    let (mut place, mut laid) = (start, distance.at(start));
    let (mut chi2, mut damping, mut taken) = (laid.chi2(), 1e-3, 0);
    for _ in 0..MOST_STEPS {
        let slopes = [0, 1].map(|axis| is_free[axis].then(|| slope(distance, place, axis, &laid.residual)));
        let Some(next) = step(place, &laid.residual, &slopes, damping) else { break };
        let trial = distance.at(next);
        let gain = chi2 - trial.chi2();
        if gain > 0.0 {
            (place, laid) = (next, trial);
            chi2 = laid.chi2();
            damping = (damping * 0.1).max(1e-9);
            taken += 1;
            // Steps of Newton's kind gain less each time, once they have found the valley: where ten more like this are too
            // few, so are all.
            let is_hopeless = wanted > 0.0 && taken > 2 && chi2 - 10.0 * gain > wanted;
            if gain < 1e-7 * (1.0 + chi2) || is_hopeless {
                break;
            }
        } else {
            damping *= 10.0;
            if damping > 1e6 {
                break;
            }
        }
    }
    Point { place, chi2 }
}

/// Change of the residual along one axis, per unit of the axis.
fn slope(distance: &Distance, place: Place, axis: usize, residual: &[f64]) -> Vec<f64> {
    let (beside, by) = moved(place, axis);
    let other = distance.at(beside).residual;
    other.iter().zip(residual).map(|(other, here)| (other - here) / by).collect()
}

/// The place a little further along an axis, or back at the end of the map; and how far.
fn moved(mut place: Place, axis: usize) -> (Place, f64) {
    let by = if place[axis] + DIFFERENCE > 1.0 { -DIFFERENCE } else { DIFFERENCE };
    place[axis] += by;
    (place, by)
}

/// Change of the model's curve, at a given scale and in units of the errors, along one axis.
pub(super) fn curve_slope(distance: &Distance, place: Place, axis: usize, scale: f64) -> Vec<f64> {
    let (beside, by) = moved(place, axis);
    let (here, there) = (distance.atlas.curve(place), distance.atlas.curve(beside));
    let change: Vec<f64> = there.iter().zip(&here).map(|(there, here)| scale * (there - here) / by).collect();
    distance.white.of(&change)
}

/// The damped Gauss–Newton step, kept inside the map; `None` when there is nowhere to go.
fn step(place: Place, residual: &[f64], slopes: &[Option<Vec<f64>>; 2], damping: f64) -> Option<Place> {
    let gradient = |axis: usize| slopes[axis].as_ref().map_or(0.0, |slope| dot(slope, residual));
    let product =
        |a: usize, b: usize| slopes[a].as_ref().zip(slopes[b].as_ref()).map_or(0.0, |(a, b)| dot(a, b));
    // At an edge of the map an axis that leads out of it is not free.
    let is_free = |axis: usize| {
        let g = gradient(axis);
        slopes[axis].is_some() && !(place[axis] <= 0.0 && g >= 0.0) && !(place[axis] >= 1.0 && g <= 0.0)
    };
    let free = [is_free(0), is_free(1)];
    let floor = damping * product(0, 0).max(product(1, 1));
    let diagonal = [product(0, 0) + floor, product(1, 1) + floor];
    let g = [gradient(0), gradient(1)];
    let by = match free {
        [false, false] => return None,
        [true, false] => [-g[0] / diagonal[0], 0.0],
        [false, true] => [0.0, -g[1] / diagonal[1]],
        [true, true] => {
            let beside = product(0, 1);
            let determinant = diagonal[0] * diagonal[1] - beside * beside;
            [
                -(g[0] * diagonal[1] - g[1] * beside) / determinant,
                -(g[1] * diagonal[0] - g[0] * beside) / determinant,
            ]
        }
    };
    let next = [0, 1].map(|axis| (place[axis] + by[axis]).clamp(0.0, 1.0));
    (next.iter().all(|x| x.is_finite()) && next != place).then_some(next)
}
