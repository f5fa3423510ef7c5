//! Walking an array in the order of Fortran while writing it in the order of C.

/// Positions in a row-major array, visited with the first index fastest.
pub(super) struct Order {
    shape: Vec<usize>,
    strides: Vec<usize>,
    index: Vec<usize>,
    position: usize,
}

impl Order {
    /// * `shape`: no side zero when [`Order::advance`] is called; product within `usize`
    pub(super) fn column_major(shape: &[usize]) -> Order {
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        Order { shape: shape.to_vec(), strides, index: vec![0; shape.len()], position: 0 }
    }

    /// Row-major position of the next element in column-major order; after the last it starts anew.
    pub(super) fn advance(&mut self) -> usize {
        let current = self.position;
        for axis in 0..self.shape.len() {
            self.index[axis] += 1;
            self.position += self.strides[axis];
            if self.index[axis] < self.shape[axis] {
                break;
            }
            self.position -= self.strides[axis] * self.shape[axis];
            self.index[axis] = 0;
        }
        current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_position_is_visited_once_with_the_first_index_fastest() {
        let mut order = Order::column_major(&[2, 3, 2]);
        let visited: Vec<usize> = (0..12).map(|_| order.advance()).collect();
        assert_eq!(visited, [0, 6, 2, 8, 4, 10, 1, 7, 3, 9, 5, 11]);
        assert_eq!(order.advance(), 0);
    }
}
