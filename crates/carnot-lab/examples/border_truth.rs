//! Borders found with few short runs against the truth on a fine grid of full ones: `cargo run --release --example border_truth -- [FAMILY…]`.
//!
//! Of each family every cell of a grid of rates and values of the second setting is trained to its full length, and the largest rate that
//! learns refined to a fortieth of a decade. Then the search of `carnot border`, random places, a search for
//! the best rate in the manner of TPE, and a quad-tree look for it with the same short runs, in the same box, with ten search seeds. Prints error of the
//! border in decades, runs and steps. With `--keep FOLDER` truths are kept there, as JSON, and read again. With `--whole` the search of `carnot border` alone, with runs of the
//! full length: what is left of its error is not owed to early verdicts. Over three settings the searches have twice the runs, and TPE and the quad-tree are left out.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use carnot_lab::experiments::border::foretell::{Predicted, predict};
use carnot_lab::experiments::border::run::{Done, Shared, outcome, whole};
use carnot_lab::experiments::border::search::{Search, foretold, rows};
use carnot_lab::experiments::border::{Across, Border, BorderSpec};
use carnot_lab::experiments::{Experiment, Point};
use carnot_math::random::Stream;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Values of the rate in the grid of the truth; the box is 3 decades or a little more.
const GRID: usize = 28;
const SEEDS: u64 = 10;
/// Networks of each cell of the truth, and among which the runs of a search alternate.
const NETWORKS: usize = 4;
/// The same of transformers on text, which take thirty times as long a step; of rates they have [`GRID_OF_TEXT`].
const NETWORKS_OF_TEXT: usize = 2;
const GRID_OF_TEXT: usize = 24;
/// Runs after which errors are read, of two settings and of three; the last are what each method may spend.
const CHECKPOINTS: [[usize; 2]; 2] = [[15, 25], [25, 50]];

/// A search with a seed: the settings it is read with, and its runs in order.
type Method<'a> = dyn Fn(u64) -> (BorderSpec, Vec<Done>) + 'a;
/// What is read of a search: median error and that of 90 %, steps, runs.
type Read = ((f64, f64), u64, usize);

fn families() -> Vec<(&'static str, serde_json::Value)> {
    let base = |network: &str, activation: &str, more: serde_json::Value| {
        let mut all = json!({ "network": network, "activation": activation, "data": "digits", "length": 400, "batch": 32, "init": "critical", "optimizer": "sgd", "seeds": NETWORKS });
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    };
    let depth = json!({ "y": "depth", "y_from": 2, "y_to": 13 });
    let width = json!({ "y": "width", "y_from": 8, "y_to": 128 });
    let c_w = |low: f64, high: f64| json!({ "y": "c-w", "y_from": low, "y_to": high });
    let adam = |more: &serde_json::Value| {
        let mut more = more.clone();
        more["optimizer"] = json!("adam");
        more
    };
    let mut momentum = width.clone();
    momentum["optimizer"] = json!("momentum");
    let both = |from: u32, to: u32, optimizer: &str| json!({ "y": "depth", "y_from": 2, "y_to": 8, "z": "width", "z_from": from, "z_to": to, "optimizer": optimizer, "budget": 50 });
    // The text must be installed: see the table of data sets.
    let text = |network: &str, deepest: usize| {
        json!({ "network": network, "data": "macedonian", "length": 400, "batch": 6, "init": "xavier", "optimizer": "adam", "seeds": NETWORKS_OF_TEXT,
            "y": "depth", "y_from": 1, "y_to": deepest })
    };
    vec![
        ("tanh-depth", base("64-24x4-10", "tanh", depth.clone())),
        ("tanh-width", base("64-24x4-10", "tanh", width.clone())),
        ("tanh-cw", base("64-24x4-10", "tanh", c_w(0.5, 5.0))),
        ("relu-depth", base("64-24x4-10", "relu", depth.clone())),
        ("relu-width", base("64-24x4-10", "relu", width.clone())),
        ("relu-cw", base("64-24x4-10", "relu", c_w(1.0, 5.0))),
        ("adam-tanh-depth", base("64-24x4-10", "tanh", adam(&depth))),
        ("adam-relu-width", base("64-24x4-10", "relu", adam(&width))),
        // The next three, tanh by width and ReLU by C_W were not looked at while the search was made.
        ("gelu-depth", base("64-24x4-10", "gelu", depth.clone())),
        ("momentum-tanh-width", base("64-24x4-10", "tanh", momentum)),
        ("relu-batch", base("64-24x4-10", "relu", json!({ "y": "batch", "y_from": 8, "y_to": 256 }))),
        // And these when all before had been.
        ("swish-width", base("64-24x4-10", "swish", width.clone())),
        (
            "relu-depth-momentum",
            base(
                "64-24x4-10",
                "relu",
                json!({ "optimizer": "momentum", "y": "depth", "y_from": 2, "y_to": 13 }),
            ),
        ),
        ("adam-gelu-cw", base("64-24x4-10", "gelu", adam(&c_w(1.0, 5.0)))),
        ("tanh-depth-width", base("64-24x4-10", "tanh", both(8, 96, "sgd"))),
        ("relu-depth-width", base("64-24x4-10", "relu", both(8, 96, "sgd"))),
        (
            "tanh-depth-cw",
            base(
                "64-24x4-10",
                "tanh",
                json!({ "y": "depth", "y_from": 2, "y_to": 8, "z": "c-w", "z_from": 0.5, "z_to": 5.0, "budget": 50 }),
            ),
        ),
        ("adam-gelu-depth-width", base("64-24x4-10", "gelu", both(8, 96, "adam"))),
        ("post-depth", text("post:2x32", 6)),
        ("pre-depth", text("pre:2x32", 8)),
        ("deepnorm-depth", text("deepnorm:2x32", 8)),
    ]
}

/// The truth of one family: of each row the upper edge (decades), where it lies in the box, and mislabelled cells at the best edge.
#[derive(Serialize, Deserialize)]
struct Truth {
    edges: Vec<Option<f64>>,
    rough: usize,
    steps: u64,
    /// Full-length and short verdicts of the grid: agree, short says good and full does not, the reverse.
    early: [usize; 3],
    early_steps: u64,
    /// Standard deviation of the edges of networks of one row.
    spread: f64,
}

/// The split of a row (good below, bad above) that mislabels least, among those above the lowest good cell: (cells below it, mislabelled).
fn split(good: &[bool]) -> Option<(usize, usize)> {
    let first = good.iter().position(|&good| good)?;
    let wrong = |cut: usize| {
        good[first..cut].iter().filter(|&&g| !g).count() + good[cut..].iter().filter(|&&g| g).count()
    };
    (first + 1..=good.len()).map(|cut| (cut, wrong(cut))).min_by_key(|(_, wrong)| *wrong)
}

/// The kept truth of a family, or a new one.
fn kept(name: &str, folder: Option<&Path>, make: impl Fn() -> Truth) -> Truth {
    let Some(path) = folder.map(|folder| folder.join(format!("{name}.truth.json"))) else { return make() };
    if let Ok(text) = fs::read_to_string(&path) {
        return serde_json::from_str(&text).unwrap();
    }
    let truth = make();
    fs::write(path, serde_json::to_string(&truth).unwrap()).unwrap();
    truth
}

fn truth(spec: &BorderSpec, shared: &Shared, (low, high): (f64, f64)) -> Truth {
    let networks = spec.seeds as usize;
    let grid = if networks == NETWORKS_OF_TEXT { GRID_OF_TEXT } else { GRID };
    let height = |i: usize| low + (high - low) * i as f64 / (grid - 1) as f64;
    let row = |y: Across, network: usize| {
        let cell = |i: usize| {
            let x = 10f64.powf(height(i));
            let short = outcome(spec, shared, network, x, y, &mut |_, _| {}).unwrap();
            (whole(spec, shared, network, x, y).unwrap(), short)
        };
        let cells: Vec<(Done, Done)> = (0..grid).map(cell).collect();
        let good: Vec<bool> = cells.iter().map(|(full, _)| full.verdict.fate.is_good()).collect();
        let at =
            |height: f64| whole(spec, shared, network, 10f64.powf(height), y).unwrap().verdict.fate.is_good();
        let edge = split(&good).filter(|(cut, _)| *cut < grid).map(|(cut, _)| {
            // Three cells between the last good and the first bad one, split again.
            let (a, b) = (height(cut - 1), height(cut));
            let inner = (1..4).map(|k| a + (b - a) * f64::from(k) / 4.0);
            let fine: Vec<bool> = [true].into_iter().chain(inner.map(at)).chain([false]).collect();
            let cut = split(&fine).map_or(1, |(cut, _)| cut);
            a + (b - a) * (cut as f64 - 0.5) / 4.0
        });
        let wrong = split(&good).map_or(0, |(_, wrong)| wrong);
        (cells, edge, wrong)
    };
    let mut truth =
        Truth { edges: Vec::new(), rough: 0, steps: 0, early: [0; 3], early_steps: 0, spread: 0.0 };
    let mut squares = Vec::new();
    for y in rows(spec) {
        let of_networks: Vec<_> = (1..=networks).into_par_iter().map(|network| row(y, network)).collect();
        // The mean over networks, of a row where most have an edge.
        let edges: Vec<f64> = of_networks.iter().filter_map(|(_, edge, _)| *edge).collect();
        let mean = edges.iter().sum::<f64>() / edges.len() as f64;
        squares.extend(edges.iter().map(|edge| (edge - mean).powi(2)));
        truth.edges.push((2 * edges.len() > networks).then_some(mean));
        for (cells, _, wrong) in &of_networks {
            truth.rough += wrong;
            for (full, short) in cells {
                truth.steps += spec.length;
                truth.early_steps += short.verdict.steps;
                let kind = match (full.verdict.fate.is_good(), short.verdict.fate.is_good()) {
                    (false, true) => 1,
                    (true, false) => 2,
                    _ => 0,
                };
                truth.early[kind] += 1;
            }
        }
        let letter = |good: bool| if good { '#' } else { '.' };
        let line = |of: &dyn Fn(&(Done, Done)) -> bool| {
            of_networks[0].0.iter().map(|cell| letter(of(cell))).collect::<String>()
        };
        eprintln!(
            "{}  {}  {} edge {mean:.3}",
            line(&|c| c.0.verdict.fate.is_good()),
            line(&|c| c.1.verdict.fate.is_good()),
            spec.words(y)
        );
    }
    truth.spread = (squares.iter().sum::<f64>() * networks as f64
        / (squares.len().max(1) * (networks - 1)) as f64)
        .sqrt();
    truth
}

/// Error along the border: median, and what 90 % of it keeps to.
fn errors(found: &[Option<f64>], truth: &Truth) -> (f64, f64) {
    let pairs = found.iter().zip(&truth.edges).filter_map(|(found, edge)| Some((*found, (*edge)?)));
    let mut all: Vec<f64> =
        pairs.map(|(found, edge)| found.map_or(9.9, |found| (found - edge).abs())).collect();
    if all.is_empty() {
        return (f64::NAN, f64::NAN);
    }
    all.sort_by(f64::total_cmp);
    let quantile = |share: f64| all[((share * all.len() as f64).ceil() as usize).clamp(1, all.len()) - 1];
    (quantile(0.5), quantile(0.9))
}

/// Short runs that were made before are not made again; their steps count all the same.
struct Bench<'a> {
    spec: &'a BorderSpec,
    shared: &'a Shared,
    known: RefCell<HashMap<(u64, u64, u64, usize), Done>>,
    theory: Vec<Point>,
    /// Whether runs go to their full length.
    is_whole: bool,
}

impl Bench<'_> {
    /// The run of that number: runs take networks in turn.
    fn run(&self, number: usize, x: f64, across: Across) -> Done {
        let z = across.z.unwrap_or(0.0);
        let key = (x.to_bits(), across.y.to_bits(), z.to_bits(), number % self.spec.seeds as usize);
        if let Some(done) = self.known.borrow().get(&key) {
            return *done;
        }
        let done = match self.is_whole {
            true => {
                let mut done = whole(self.spec, self.shared, number + 1, x, across).unwrap();
                // Nothing is in doubt at the end of a run.
                done.verdict.margin = if done.verdict.fate.is_good() { 1.0 } else { -1.0 };
                done
            }
            false => outcome(self.spec, self.shared, number + 1, x, across, &mut |_, _| {}).unwrap(),
        };
        self.known.borrow_mut().insert(key, done);
        done
    }

    /// The edges that a search reads off some runs.
    fn edges(&self, spec: &BorderSpec, runs: &[Done]) -> Vec<Option<f64>> {
        let point = |(at, done): (usize, &Done)| Point {
            job: format!("run {at}"),
            value: serde_json::to_value(done).unwrap(),
        };
        let theory = self.theory.iter().filter(|_| spec.theory).cloned();
        let points: Vec<Point> = theory.chain(runs.iter().enumerate().map(point)).collect();
        Search::of(spec, &points).unwrap().rays().iter().map(|ray| ray.upper.map(|edge| edge.at)).collect()
    }

    /// The intervals that a search gives after some runs.
    fn rays(&self, spec: &BorderSpec, runs: &[Done]) -> Vec<Option<(f64, f64)>> {
        let point = |(at, done): (usize, &Done)| Point {
            job: format!("run {at}"),
            value: serde_json::to_value(done).unwrap(),
        };
        let points: Vec<Point> =
            self.theory.iter().cloned().chain(runs.iter().enumerate().map(point)).collect();
        let search = Search::of(spec, &points).unwrap();
        search.rays().iter().map(|ray| ray.upper.map(|edge| (edge.low, edge.high))).collect()
    }

    /// The search of the command: its runs in order, and where it would have stopped.
    fn straddle(&self, spec: &BorderSpec) -> Vec<Done> {
        let mut runs: Vec<Done> = Vec::new();
        loop {
            let point = |(at, done): (usize, &Done)| Point {
                job: format!("run {at}"),
                value: serde_json::to_value(done).unwrap(),
            };
            let theory = self.theory.iter().filter(|_| spec.theory).cloned();
            let points: Vec<Point> = theory.chain(runs.iter().enumerate().map(point)).collect();
            let next = Search::of(spec, &points).unwrap().next();
            if next.is_empty() {
                return runs;
            }
            let first = runs.len();
            runs.extend(next.into_iter().enumerate().map(|(at, (x, y))| self.run(first + at, x, y)));
        }
    }

    fn random(&self, (low, high): (f64, f64), seed: u64, count: usize) -> Vec<Done> {
        let (rows, mut stream) = (rows(self.spec), Stream::new(seed, "random places", &[]));
        let mut place =
            || (10f64.powf(low + (high - low) * stream.uniform()), rows[stream.below(rows.len())]);
        (0..count).map(|at| (at, place())).map(|(at, (x, y))| self.run(at, x, y)).collect()
    }

    /// In the manner of TPE (Bergstra et al. 2011): ten random runs, then of 24 draws around the best quarter the one with the largest ratio of the
    /// densities of the best quarter and of the others. It looks for the least loss.
    fn tpe(&self, (low, high): (f64, f64), seed: u64, count: usize) -> Vec<Done> {
        let (rows, mut runs) = (rows(self.spec), self.random((low, high), seed, 10));
        let mut stream = Stream::new(seed, "tree of densities", &[]);
        let last = (rows.len() - 1) as f64;
        let unit = |done: &Done| {
            let row = rows.iter().position(|&row| row == done.across).unwrap();
            [(done.x.log10() - low) / (high - low), row as f64 / last]
        };
        while runs.len() < count {
            let mut sorted = runs.clone();
            sorted.sort_by(|a, b| b.verdict.margin.total_cmp(&a.verdict.margin));
            let (best, others) = sorted.split_at(sorted.len().div_ceil(4));
            let width = 0.2;
            let density = |all: &[Done], at: [f64; 2]| {
                let of = |done: &Done| {
                    let own = unit(done);
                    (-((own[0] - at[0]).powi(2) + (own[1] - at[1]).powi(2)) / (2.0 * width * width)).exp()
                };
                0.05 + all.iter().map(of).sum::<f64>() / all.len() as f64
            };
            let draws: Vec<[f64; 2]> = (0..24)
                .map(|_| {
                    let around = unit(&best[stream.below(best.len())]);
                    around.map(|u| (u + width * stream.normal::<f64>()).clamp(0.0, 1.0))
                })
                .collect();
            let ratio = |at: &[f64; 2]| density(best, *at) / density(others, *at);
            let at = draws.into_iter().max_by(|a, b| ratio(a).total_cmp(&ratio(b))).unwrap();
            runs.push(self.run(
                runs.len(),
                10f64.powf(low + (high - low) * at[0]),
                rows[(at[1] * last).round() as usize],
            ));
        }
        runs
    }

    /// Cells whose corners disagree are divided, the largest first; from 3 × 3 corners, moved by the seed.
    fn quad_tree(&self, (low, high): (f64, f64), seed: u64, count: usize) -> Vec<Done> {
        let rows = rows(self.spec);
        let (mut runs, mut seen) = (Vec::new(), HashMap::new());
        let moved = 0.2 * (Stream::new(seed, "lattice", &[]).uniform() - 0.5);
        let last = (rows.len() - 1) as f64;
        let mut label = |u: f64, v: f64, runs: &mut Vec<Done>| -> bool {
            let row = (v * last).round() as usize;
            let inner = if u > 0.0 && u < 1.0 { u + moved * u * (1.0 - u) } else { u };
            *seen.entry((u.to_bits(), row)).or_insert_with(|| {
                let done = self.run(runs.len(), 10f64.powf(low + (high - low) * inner), rows[row]);
                runs.push(done);
                done.verdict.fate.is_good()
            })
        };
        let mut cells: Vec<(f64, f64, f64)> =
            vec![(0.0, 0.0, 0.5), (0.5, 0.0, 0.5), (0.0, 0.5, 0.5), (0.5, 0.5, 0.5)];
        while runs.len() < count && !cells.is_empty() {
            let mut smaller = Vec::new();
            for (u, v, side) in cells {
                let corners = [(u, v), (u + side, v), (u, v + side), (u + side, v + side)]
                    .map(|(u, v)| label(u, v, &mut runs));
                if corners.iter().any(|&good| good != corners[0]) && side > 1.0 / 128.0 {
                    let half = side / 2.0;
                    smaller.extend([
                        (u, v, half),
                        (u + half, v, half),
                        (u, v + half, half),
                        (u + half, v + half, half),
                    ]);
                }
            }
            cells = smaller;
        }
        runs.truncate(count);
        runs
    }
}

fn quartiles(mut all: Vec<f64>) -> String {
    if all.is_empty() {
        return "none".into();
    }
    all.sort_by(f64::total_cmp);
    let at = |share: f64| all[((all.len() - 1) as f64 * share).round() as usize];
    format!("{:.2} ({:.2} to {:.2})", at(0.5), at(0.25), at(0.75))
}

/// The row nearest to a place across.
fn nearest(search: &Search, rows: &[Across], at: Across) -> Across {
    let distance = |row: &Across| {
        let (own, there) = (search.shares(*row), search.shares(at));
        (own[0] - there[0]).hypot(own[1] - there[1])
    };
    *rows.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).expect("a border has rows")
}

fn family(name: &str, settings: serde_json::Value, folder: Option<&Path>, is_whole: bool) {
    let spec = Border::resolve(serde_json::from_value(settings).unwrap()).unwrap();
    let shared = Shared::of(&spec).unwrap();
    // At rows of the truth, so that brackets can be held against them.
    let all = rows(&spec);
    let count = foretold(&spec).len();
    let values: Vec<Across> = match spec.z {
        None => (0..count).map(|i| all[i * (all.len() - 1) / (count - 1)]).collect(),
        // The nearest row of each place: both have the corners.
        Some(_) => foretold(&spec)
            .into_iter()
            .map(|at| nearest(&Search::of(&spec, &[]).unwrap(), &all, at))
            .collect(),
    };
    let predicted: Vec<Predicted> = values.par_iter().map(|&y| predict(&spec, &shared, y).unwrap()).collect();
    let theory = predicted.iter().map(|p| Point {
        job: format!("theory {}", spec.words(p.across)),
        value: serde_json::to_value(p).unwrap(),
    });
    let theory: Vec<Point> = theory.collect();
    let search = Search::of(&spec, &theory).unwrap();
    let ends = search.ends();
    let truth = kept(name, folder, || truth(&spec, &shared, ends));
    let boxed =
        BorderSpec { x_from: Some(10f64.powf(ends.0)), x_to: Some(10f64.powf(ends.1)), ..spec.clone() };
    let bench = Bench { spec: &boxed, shared: &shared, known: RefCell::default(), theory, is_whole };
    let [agree, hopeful, gloomy] = truth.early;
    println!(
        "\n## {name}: box {:.2} to {:.2}, {} of {} rows have an edge, {} cells off a clean edge, networks of a row differ by {:.3}",
        ends.0,
        ends.1,
        truth.edges.iter().flatten().count(),
        truth.edges.len(),
        truth.rough,
        truth.spread
    );
    println!(
        "early verdicts: {agree} agree, {hopeful} called good and fail, {gloomy} called bad and learn; {} steps against {}",
        truth.early_steps, truth.steps
    );
    let mut inside = 0;
    let known: Vec<(&Predicted, f64)> = predicted
        .iter()
        .filter_map(|p| Some((p, truth.edges[rows(&spec).iter().position(|&row| row == p.across)?]?)))
        .collect();
    for (p, edge) in &known {
        inside +=
            usize::from(p.bracket.is_some_and(|(low, high)| (low.log10()..=high.log10()).contains(edge)));
    }
    let off: Vec<f64> = truth
        .edges
        .iter()
        .zip(rows(&spec))
        .filter_map(|(edge, y)| Some((*edge)? - search.centre(y)?))
        .collect();
    println!(
        "no run: true edge less the predicted line {} decades; inside the bracket at {inside} of {}",
        quartiles(off),
        known.len()
    );
    // How often the interval of 95 % holds the true edge, of all rows and search seeds, when the runs are spent.
    let mut covered = (0, 0);
    for seed in 0..SEEDS {
        let own = BorderSpec { search_seed: seed, ..boxed.clone() };
        let rays = bench.rays(&own, &bench.straddle(&own));
        for (ray, edge) in rays.iter().zip(&truth.edges) {
            let (Some((low, high)), Some(edge)) = (ray, edge) else { continue };
            covered.0 += usize::from((low..=high).contains(&edge));
            covered.1 += 1;
        }
    }
    println!("intervals: {} of {} hold the true edge", covered.0, covered.1);
    let mut signed = vec![Vec::new(); truth.edges.len()];
    for seed in 0..SEEDS {
        let own = BorderSpec { search_seed: seed, ..boxed.clone() };
        let found = bench.edges(&own, &bench.straddle(&own));
        for (row, (found, edge)) in found.iter().zip(&truth.edges).enumerate() {
            if let (Some(found), Some(edge)) = (found, edge) {
                signed[row].push(found - edge)
            }
        }
    }
    println!(
        "found less true, mean of the search seeds, by row: {}",
        signed
            .iter()
            .map(|all| format!("{:.2}", all.iter().sum::<f64>() / all.len() as f64))
            .collect::<Vec<_>>()
            .join(" ")
    );
    let checkpoints = CHECKPOINTS[usize::from(spec.z.is_some())];
    let spent = checkpoints[1];
    let methods: [(&str, &Method); 4] = [
        ("carnot border", &|seed| {
            let own = BorderSpec { search_seed: seed, ..boxed.clone() };
            let runs = bench.straddle(&own);
            (own, runs)
        }),
        ("random", &|seed| (BorderSpec { theory: false, ..boxed.clone() }, bench.random(ends, seed, spent))),
        ("tpe-like", &|seed| (BorderSpec { theory: false, ..boxed.clone() }, bench.tpe(ends, seed, spent))),
        ("quad-tree", &|seed| {
            (BorderSpec { theory: false, ..boxed.clone() }, bench.quad_tree(ends, seed, spent))
        }),
    ];
    for (method, search) in methods.into_iter().take(if is_whole {
        1
    } else if spec.z.is_some() {
        2
    } else {
        methods.len()
    }) {
        let of = |seed: u64| {
            let (own, runs) = search(seed);
            let at = |count: usize| {
                let some = &runs[..count.min(runs.len())];
                let steps: u64 = some.iter().map(|run| run.verdict.steps).sum();
                (errors(&bench.edges(&own, some), &truth), steps, some.len())
            };
            checkpoints.map(at)
        };
        let all: Vec<_> = (0..SEEDS).map(of).collect();
        for (i, &count) in checkpoints.iter().enumerate() {
            if all.iter().all(|one| one[i].2 < count)
                && i > 0
                && all.iter().all(|one| one[i].2 == one[i - 1].2)
            {
                continue;
            }
            let list = |f: fn(&Read) -> f64| all.iter().map(|one| f(&one[i])).collect::<Vec<_>>();
            println!(
                "{method:15} {count:4} runs (made {}): median error {}, 90 % within {}, steps {}",
                quartiles(list(|o| o.2 as f64)),
                quartiles(list(|o| o.0.0)),
                quartiles(list(|o| o.0.1)),
                quartiles(list(|o| o.1 as f64))
            );
        }
    }
}

fn main() {
    let (mut asked, mut folder, mut is_whole) = (Vec::new(), None, false);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--keep" => folder = Some(PathBuf::from(words.next().expect("a folder follows --keep"))),
            "--whole" => is_whole = true,
            _ => asked.push(word),
        }
    }
    for (name, settings) in families() {
        if asked.is_empty() || asked.iter().any(|word| word == name) {
            family(name, settings, folder.as_deref(), is_whole);
        }
    }
}
