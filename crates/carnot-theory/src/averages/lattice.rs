//! Averages of smooth functions over two to four correlated Gaussian numbers, many at once.
//!
//! With K = L Lᵀ, z_j = Σ_{i<j} L_ji u_i + L_jj u_j and independent standard normal u: one sum inside another. Each sum is a
//! trapezoid rule, which for functions analytic in a strip of half-width a errs by e^{−2πa/h}, half the exponent of
//! Gauss–Hermite at the same number of nodes. The innermost sum depends on one number, the mean of its z, so with three or
//! more inputs it is tabulated once. A line of the inner sums is shared by all products that end alike.

use super::jets::{Jets, lagrange};
use super::{Factor, factor, key};
use crate::error::TheoryError;
use crate::tensors::Wanted;
use carnot_math::formula::Formula;
use carnot_math::gauss;

/// Nodes reach as far as this many standard deviations in any direction; z⁴ beyond it has weight 1e-8 of ⟨z⁴⟩.
const REACH: f64 = 7.5;
/// Widest mesh in u that the Gaussian itself allows to 1e-12.
const WIDEST: f64 = 0.8;
/// Relative error of known averages that the mesh may have, for 2, 3, 4 inputs.
const TOLERANCE: [f64; 3] = [1e-9, 1e-8, 1e-7];
/// The same where no mesh does better: high derivatives of a sharp bend are not known to more.
const ACCEPTED: f64 = 2e-6;
/// Most nodes of one set of four inputs (outer three directions).
const MOST_NODES: f64 = 3e6;
/// Nodes per unit of z of the tabulated innermost sum.
const FINENESS: f64 = 64.0;
/// Stands for σ⁗' of one factor, which the innermost sum gets from σ⁗ by parts.
const FIFTH: u8 = 5;

pub(super) struct Lattice<'a> {
    jets: Jets,
    kernel: &'a [f64],
    samples: usize,
    /// Mesh in u for 2, 3, 4 inputs.
    mesh: [f64; 3],
}

impl<'a> Lattice<'a> {
    /// * `most`: largest number of inputs in a set
    pub(super) fn new(
        activation: &Formula,
        kernel: &'a [f64],
        samples: usize,
        most: usize,
    ) -> Result<Self, TheoryError> {
        let largest = (0..samples).map(|a| kernel[a * (samples + 1)]).fold(0.0, f64::max);
        let jets = Jets::new(activation, (REACH + 1.0) * largest.sqrt() + 1.0);
        if !jets
            .at(REACH * largest.sqrt())
            .iter()
            .chain(&jets.at(-REACH * largest.sqrt()))
            .all(|x| x.is_finite())
        {
            return Err(TheoryError::NotFinite { kernel: largest });
        }
        let known = Known::new(activation, largest);
        let mut mesh = [WIDEST; 3];
        for (inputs, (mesh, tolerance)) in (2..).zip(mesh.iter_mut().zip(TOLERANCE)).take(most.max(1) - 1) {
            while known.error(&jets, *mesh) > tolerance {
                *mesh *= 0.9;
                let nodes = 4.2 * (REACH / *mesh).powi(inputs - 1);
                if nodes > MOST_NODES || *mesh < 1e-3 {
                    let error = known.error(&jets, *mesh);
                    if error <= ACCEPTED {
                        break;
                    }
                    return Err(TheoryError::NotResolved {
                        samples: inputs as usize,
                        kernel: largest,
                        error,
                    });
                }
            }
        }
        Ok(Self { jets, kernel, samples, mesh })
    }

    /// All averages that `wanted` needs of a set of distinct inputs, each with its [`key`].
    pub(super) fn all(&self, set: &[usize], wanted: Wanted) -> Vec<(u64, f64)> {
        let products = products(set, wanted);
        let mut found = self.averages(set, &products);
        if set.len() == 2 && wanted > Wanted::Kernel {
            // Fifth derivatives are made on the innermost input: once for each of the two.
            for [outer, inner] in [[set[0], set[1]], [set[1], set[0]]] {
                let product = [factor(outer, 1), factor(inner, FIFTH)];
                found.extend(self.averages(&[outer, inner], &[product.to_vec()]));
            }
        }
        found
    }

    fn averages(&self, set: &[usize], products: &[Vec<Factor>]) -> Vec<(u64, f64)> {
        let tree = Tree::new(set, products);
        let sums = Nest::new(self, set, &tree).run();
        let of = |(product, &place): (&Vec<Factor>, &usize)| {
            let mut sorted = product.clone();
            sorted.sort_unstable();
            (key(&sorted), sums[place])
        };
        products.iter().zip(&tree.places).map(of).collect()
    }
}

/// Averages over one input that are known from a rule that adapts, to measure a mesh with.
struct Known {
    deviation: f64,
    values: Vec<f64>,
}

/// Products as rough as the roughest that are needed.
const ROUGH: [fn(&[f64; 5]) -> f64; 4] =
    [|s| s[0].powi(4), |s| s[2] * s[2] * s[1] * s[1], |s| s[3] * s[1].powi(3), |s| s[4] * s[0] + s[3] * s[3]];

impl Known {
    fn new(activation: &Formula, largest: f64) -> Self {
        let rule = gauss::rule(largest, &[]);
        let jets: Vec<[f64; 5]> = rule.z.iter().map(|&z| activation.jet(z)).collect();
        let exact = |f: &fn(&[f64; 5]) -> f64| jets.iter().zip(&rule.w).map(|(s, w)| w * f(s)).sum();
        Self { deviation: largest.sqrt(), values: ROUGH.iter().map(exact).collect() }
    }

    /// Largest error of a mesh and of the same mesh shifted by half, relative to the size of the average's largest term.
    fn error(&self, jets: &Jets, mesh: f64) -> f64 {
        let half = (REACH / mesh) as i64;
        let mut worst: f64 = 0.0;
        for shift in [0.0, 0.5] {
            for (f, exact) in ROUGH.iter().zip(&self.values) {
                let (mut sum, mut size) = (0.0, 0.0);
                for k in -half..=half {
                    let u = (k as f64 + shift) * mesh;
                    let term = mesh * density(u) * f(&jets.at(self.deviation * u));
                    sum += term;
                    size += term.abs();
                }
                if size > 0.0 {
                    worst = worst.max((sum - exact).abs() / size);
                }
            }
        }
        worst
    }
}

fn density(u: f64) -> f64 {
    (-0.5 * u * u).exp() * 0.398_942_280_401_432_7
}

/// Orders of the products of four factors that the tensors need.
fn orders(wanted: Wanted) -> &'static [[u8; 4]] {
    const ALL: [[u8; 4]; 6] =
        [[0, 0, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1], [0, 1, 1, 2], [1, 1, 1, 3], [1, 1, 2, 2]];
    match wanted {
        Wanted::Kernel => &ALL[..1],
        Wanted::Tangent => &ALL[..3],
        Wanted::Differentials => &ALL,
    }
}

/// Every product on exactly the inputs of the set, each once, its factors sorted.
pub(super) fn products(set: &[usize], wanted: Wanted) -> Vec<Vec<Factor>> {
    let d = set.len();
    let mut all = Vec::new();
    if d == 2 {
        let pairs = (0..25u8).map(|k| vec![factor(set[0], k / 5), factor(set[1], k % 5)]);
        all.extend(pairs);
    }
    for four in orders(wanted) {
        for index in 0..d.pow(4) {
            let labels = [0, 1, 2, 3].map(|i| index / d.pow(i) % d);
            if (0..d).all(|a| labels.contains(&a)) {
                let mut product: Vec<Factor> =
                    labels.iter().zip(four).map(|(&a, &order)| factor(set[a], order)).collect();
                product.sort_unstable();
                all.push(product);
            }
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// Products as paths from the outermost input to the innermost, with common ends shared.
struct Tree {
    /// For each input, the functions of it (orders of their factors).
    functions: Vec<Vec<Vec<u8>>>,
    /// For each input but the last, pairs of one of its functions and an end of the input after it.
    ends: Vec<Vec<[usize; 2]>>,
    /// For each product its place among the ends of the first input.
    places: Vec<usize>,
}

impl Tree {
    fn new(set: &[usize], products: &[Vec<Factor>]) -> Self {
        let d = set.len();
        let mut functions: Vec<Vec<Vec<u8>>> = vec![Vec::new(); d];
        let mut ends: Vec<Vec<[usize; 2]>> = vec![Vec::new(); d];
        let mut places = Vec::with_capacity(products.len());
        for product in products {
            let mut end = 0;
            for (level, &sample) in set.iter().enumerate().rev() {
                let mine = product.iter().filter(|f| f.sample as usize == sample);
                let function = place(&mut functions[level], mine.map(|f| f.order).collect());
                end = if level == d - 1 { function } else { place(&mut ends[level], [function, end]) };
            }
            places.push(end);
        }
        Self { functions, ends, places }
    }

    /// Number of sums that a line of some input gives.
    fn count(&self, level: usize) -> usize {
        if level + 1 == self.functions.len() { self.functions[level].len() } else { self.ends[level].len() }
    }
}

/// Place of a value in a list, at whose end it is put when it is new.
fn place<T: PartialEq>(list: &mut Vec<T>, value: T) -> usize {
    list.iter().position(|known| *known == value).unwrap_or_else(|| {
        list.push(value);
        list.len() - 1
    })
}

/// Value of a function of one input from the derivatives there.
#[inline]
fn value(orders: &[u8], jet: &[f64; 5]) -> f64 {
    orders.iter().map(|&order| jet[order as usize]).product()
}

/// The sums, one inside another.
struct Nest<'a> {
    jets: &'a Jets,
    tree: &'a Tree,
    mesh: f64,
    /// Lower triangle L, `[d, d]`.
    root: Vec<f64>,
    d: usize,
    table: Option<Inner>,
}

/// The innermost sums for every mean of their z.
struct Inner {
    start: f64,
    count: usize,
    /// `[means, functions]`
    values: Vec<f64>,
}

impl<'a> Nest<'a> {
    fn new(lattice: &'a Lattice, set: &[usize], tree: &'a Tree) -> Self {
        let d = set.len();
        let root = root(lattice.kernel, lattice.samples, set);
        let mut nest = Self { jets: &lattice.jets, tree, mesh: lattice.mesh[d - 2], root, d, table: None };
        if d > 2 {
            nest.table = Some(nest.tabulate());
        }
        nest
    }

    fn run(&self) -> Vec<f64> {
        let mut levels: Vec<Vec<f64>> = (0..self.d).map(|level| vec![0.0; self.tree.count(level)]).collect();
        let mut values: Vec<Vec<f64>> = self.tree.functions.iter().map(|f| vec![0.0; f.len()]).collect();
        self.line(0, &mut [0.0; 4], REACH * REACH, &mut levels, &mut values);
        levels.swap_remove(0)
    }

    /// Sums over u of one input, given those of the inputs before it (as means of all z) and how far it may go.
    fn line(
        &self,
        level: usize,
        means: &mut [f64; 4],
        room: f64,
        sums: &mut [Vec<f64>],
        values: &mut [Vec<f64>],
    ) {
        let (own, later) = sums.split_first_mut().expect("a level has sums");
        if level + 1 == self.d {
            return self.innermost(means[level], own);
        }
        own.fill(0.0);
        let steps = (room.sqrt() / self.mesh) as i64;
        let before = *means;
        for k in -steps..=steps {
            let u = k as f64 * self.mesh;
            for (j, mean) in means.iter_mut().enumerate().take(self.d).skip(level) {
                *mean = before[j] + self.root[j * self.d + level] * u;
            }
            self.line(level + 1, means, room - u * u, later, values);
            let jet = self.jets.at(means[level]);
            let weight = self.mesh * density(u);
            for (value_of, orders) in values[level].iter_mut().zip(&self.tree.functions[level]) {
                *value_of = weight * value(orders, &jet);
            }
            for (sum, &[function, end]) in own.iter_mut().zip(&self.tree.ends[level]) {
                *sum += values[level][function] * later[0][end];
            }
        }
        *means = before;
    }

    fn innermost(&self, mean: f64, out: &mut [f64]) {
        match &self.table {
            Some(table) => table.at(mean, out),
            None => self.inner(mean, out),
        }
    }

    /// ⟨f(mean + s u)⟩ for every function f of the last input.
    fn inner(&self, mean: f64, out: &mut [f64]) {
        out.fill(0.0);
        let s = self.root[self.d * self.d - 1];
        let steps = (REACH / self.mesh) as i64;
        for k in -steps..=steps {
            let u = k as f64 * self.mesh;
            let jet = self.jets.at(mean + s * u);
            let weight = self.mesh * density(u);
            for (sum, orders) in out.iter_mut().zip(&self.tree.functions[self.d - 1]) {
                *sum += weight * if orders[..] == [FIFTH] { jet[4] * u / s } else { value(orders, &jet) };
            }
        }
    }

    fn tabulate(&self) -> Inner {
        let last = &self.root[(self.d - 1) * self.d..self.d * self.d - 1];
        let reach = REACH * last.iter().map(|l| l * l).sum::<f64>().sqrt();
        let half = (reach * FINENESS).ceil() as i64 + 3;
        let count = self.tree.count(self.d - 1);
        let mut values = vec![0.0; (2 * half + 1) as usize * count];
        for (k, row) in (-half..=half).zip(values.chunks_exact_mut(count)) {
            self.inner(k as f64 / FINENESS, row);
        }
        Inner { start: -half as f64 / FINENESS, count, values }
    }
}

impl Inner {
    fn at(&self, mean: f64, out: &mut [f64]) {
        let place = (mean - self.start) * FINENESS;
        let rows = self.values.len() / self.count;
        let first = ((place as usize).max(2) - 2).min(rows - 6);
        out.fill(0.0);
        let lines = self.values[first * self.count..].chunks_exact(self.count);
        for (row, weight) in lines.zip(lagrange(place - first as f64)) {
            for (sum, value) in out.iter_mut().zip(row) {
                *sum += weight * value;
            }
        }
    }
}

/// Lower triangle L with L Lᵀ = K over the set; a direction that is not there has a column of zeros.
fn root(kernel: &[f64], samples: usize, set: &[usize]) -> Vec<f64> {
    let d = set.len();
    let mut root = vec![0.0; d * d];
    for i in 0..d {
        for j in 0..=i {
            let done: f64 = (0..j).map(|k| root[i * d + k] * root[j * d + k]).sum();
            let left = kernel[set[i] * samples + set[j]] - done;
            let pivot = root[j * d + j];
            root[i * d + j] = match i == j {
                true => left.max(0.0).sqrt(),
                false if pivot > 1e-7 * kernel[set[j] * (samples + 1)].sqrt() => left / pivot,
                false => 0.0,
            };
        }
    }
    root
}
