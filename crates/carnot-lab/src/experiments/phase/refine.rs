//! Spending runs where the picture changes: rectangles whose corners differ are divided, the others are read between their corners.

use std::collections::BTreeSet;

/// A cell: row and column.
pub type Place = (usize, usize);

/// A rectangle of cells, ends included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Block {
    rows: (usize, usize),
    columns: (usize, usize),
}

/// What is known of a cell: nothing yet, or its value, which may not exist (a run that diverged).
pub type Known<'a> = &'a dyn Fn(Place) -> Option<Option<f64>>;

impl Block {
    /// The whole diagram.
    pub fn whole(rows: usize, columns: usize) -> Block {
        Block { rows: (0, rows - 1), columns: (0, columns - 1) }
    }

    fn corners(self) -> BTreeSet<Place> {
        let [rows, columns] = [self.rows, self.columns];
        [rows.0, rows.1]
            .into_iter()
            .flat_map(|row| [columns.0, columns.1].map(|column| (row, column)))
            .collect()
    }

    fn holds(self, (row, column): Place) -> bool {
        (self.rows.0..=self.rows.1).contains(&row) && (self.columns.0..=self.columns.1).contains(&column)
    }

    fn parts(self) -> Vec<Block> {
        let cut = |(a, b): (usize, usize)| {
            if b > a + 1 { vec![(a, a.midpoint(b)), (a.midpoint(b), b)] } else { vec![(a, b)] }
        };
        let columns = cut(self.columns);
        cut(self.rows)
            .into_iter()
            .flat_map(|rows| columns.iter().map(move |&columns| Block { rows, columns }))
            .collect()
    }

    fn is_whole(self) -> bool {
        self.rows.1 <= self.rows.0 + 1 && self.columns.1 <= self.columns.0 + 1
    }
}

/// Cells to train next, and the rectangles that need no more: those whose corners differ by at most `detail`. The whole diagram is
/// divided once in any case. Depends on what is known alone.
pub fn refine(block: Block, detail: f64, known: Known) -> (BTreeSet<Place>, Vec<Block>) {
    let (mut wanted, mut leaves) = (BTreeSet::new(), Vec::new());
    walk(block, detail, known, true, &mut wanted, &mut leaves);
    (wanted, leaves)
}

fn walk(
    block: Block,
    detail: f64,
    known: Known,
    is_first: bool,
    wanted: &mut BTreeSet<Place>,
    leaves: &mut Vec<Block>,
) {
    let missing: Vec<Place> = block.corners().into_iter().filter(|&at| known(at).is_none()).collect();
    wanted.extend(&missing);
    let differs = || {
        let values: Vec<Option<f64>> = block.corners().into_iter().filter_map(known).collect();
        let numbers = || values.iter().flatten();
        let (low, high) =
            numbers().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &x| (l.min(x), h.max(x)));
        // Where some diverged and others did not, a border runs through.
        let is_border = values.iter().any(Option::is_none) && values.iter().any(Option::is_some);
        detail == 0.0 || is_border || high - low > detail
    };
    if block.is_whole() || !is_first && (!missing.is_empty() || !differs()) {
        leaves.push(block);
        return;
    }
    for part in block.parts() {
        walk(part, detail, known, false, wanted, leaves);
    }
}

/// The value of a cell that was not trained: between the corners of its rectangle, linear along both sides. `None` where a corner has
/// no value.
pub fn between(leaves: &[Block], at: Place, known: Known) -> Option<f64> {
    let block = leaves.iter().find(|block| block.holds(at))?;
    let share = |(a, b): (usize, usize), x: usize| if b > a { (x - a) as f64 / (b - a) as f64 } else { 0.0 };
    let (down, along) = (share(block.rows, at.0), share(block.columns, at.1));
    let mut value = 0.0;
    for (row, of_row) in [(block.rows.0, 1.0 - down), (block.rows.1, down)] {
        for (column, of_column) in [(block.columns.0, 1.0 - along), (block.columns.1, along)] {
            if of_row * of_column > 0.0 {
                value += of_row * of_column * known((row, column))??;
            }
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Refines until nothing is wanted, and returns what was trained.
    fn trained(
        rows: usize,
        columns: usize,
        detail: f64,
        truth: &dyn Fn(Place) -> Option<f64>,
    ) -> (BTreeMap<Place, Option<f64>>, Vec<Block>) {
        let mut known: BTreeMap<Place, Option<f64>> = BTreeMap::new();
        loop {
            let of = |at: Place| known.get(&at).copied();
            let (wanted, leaves) = refine(Block::whole(rows, columns), detail, &of);
            if wanted.is_empty() {
                return (known, leaves);
            }
            assert!(wanted.iter().all(|at| !known.contains_key(at)));
            known.extend(wanted.into_iter().map(|at| (at, truth(at))));
        }
    }

    #[test]
    fn every_cell_is_trained_when_no_difference_is_allowed() {
        for (rows, columns) in [(1, 1), (1, 6), (2, 2), (5, 3), (6, 8)] {
            let (known, _) =
                trained(rows, columns, 0.0, &|(row, column)| Some(row as f64 + 10.0 * column as f64));
            assert_eq!(known.len(), rows * columns, "{rows} × {columns}");
        }
    }

    #[test]
    fn a_step_is_found_and_the_plains_beside_it_are_left() {
        let truth = |(_, column): Place| Some(if column < 11 { 0.0 } else { 1.0 });
        let (known, leaves) = trained(17, 33, 0.1, &truth);
        assert!(known.len() < 17 * 33 / 3, "{} cells", known.len());
        let of = |at: Place| known.get(&at).copied();
        for row in 0..17 {
            for column in 0..33 {
                let value = of((row, column)).flatten().or_else(|| between(&leaves, (row, column), &of));
                assert_eq!(value, truth((row, column)), "({row}, {column})");
            }
        }
    }

    #[test]
    fn a_slope_that_is_even_is_read_between_its_corners() {
        let truth = |(row, column): Place| Some(0.01 * row as f64 - 0.02 * column as f64);
        let (known, leaves) = trained(9, 9, 1.0, &truth);
        assert_eq!(known.len(), 9, "corners, and the middles of the first division");
        let of = |at: Place| known.get(&at).copied();
        for at in (0..81).map(|at| (at / 9, at % 9)) {
            assert!((between(&leaves, at, &of).unwrap() - truth(at).unwrap()).abs() < 1e-12);
        }
    }

    #[test]
    fn the_border_of_what_diverges_is_found() {
        let truth = |(row, column): Place| (row + column < 9).then_some(0.0);
        let (known, leaves) = trained(9, 9, 0.1, &truth);
        for row in 1..9 {
            assert!(known.contains_key(&(row, 8 - row)) && known.contains_key(&(row, 9 - row)), "row {row}");
        }
        let of = |at: Place| known.get(&at).copied();
        assert_eq!(between(&leaves, (8, 8), &of), None);
    }
}
