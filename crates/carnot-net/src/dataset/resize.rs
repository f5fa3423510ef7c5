//! Images made smaller or larger: a triangle as wide as a pixel of the smaller grid, as bilinear resizing with antialiasing does.

use super::error::DataError;
use super::set::Dataset;

impl Dataset {
    /// The same images at `side` × `side` pixels. Each new pixel is the mean of the old ones under a triangle whose half width is one
    /// pixel of the coarser of the two grids, along each axis in turn.
    ///
    /// Samples are `[h, w]`, `[h, w, channels]`, or a row of h² numbers, which is a square image.
    ///
    /// # Errors
    /// [`DataError::NotImages`] when samples are no images, or `side` is 0.
    pub fn resized(&self, side: usize) -> Result<Dataset, DataError> {
        let refused = || DataError::NotImages { name: self.name.clone(), shape: self.shape.clone(), side };
        let (height, width, channels) = match *self.shape.as_slice() {
            _ if side == 0 => return Err(refused()),
            [h, w] => (h, w, 1),
            [h, w, c] => (h, w, c),
            [flat] if flat.isqrt().pow(2) == flat => (flat.isqrt(), flat.isqrt(), 1),
            _ => return Err(refused()),
        };
        let (rows, columns) = (triangles(height, side), triangles(width, side));
        let mut inputs = Vec::with_capacity(self.len() * side * side * channels);
        let mut narrow = vec![0.0; height * side * channels];
        for sample in self.inputs.chunks_exact(height * width * channels) {
            for (from, to) in
                sample.chunks_exact(width * channels).zip(narrow.chunks_exact_mut(side * channels))
            {
                for (pixel, shares) in to.chunks_exact_mut(channels).zip(&columns) {
                    for (channel, value) in pixel.iter_mut().enumerate() {
                        *value = shares
                            .iter()
                            .map(|&(at, share)| share * f64::from(from[at * channels + channel]))
                            .sum();
                    }
                }
            }
            for shares in &rows {
                let value = |at: usize| {
                    shares.iter().map(|&(row, share)| share * narrow[row * side * channels + at]).sum::<f64>()
                };
                inputs.extend((0..side * channels).map(|at| value(at) as f32));
            }
        }
        let shape = if self.shape.len() == 1 {
            vec![side * side]
        } else {
            [&[side, side], &self.shape[2..]].concat()
        };
        let source = format!("{}; resized to {side} × {side}", self.source);
        Ok(Dataset {
            shape,
            inputs,
            source,
            exact: Default::default(),
            name: self.name.clone(),
            targets: self.targets.clone(),
        })
    }
}

/// For each new pixel the old ones that it sees, with their shares.
fn triangles(old: usize, new: usize) -> Vec<Vec<(usize, f64)>> {
    let scale = old as f64 / new as f64;
    let half = scale.max(1.0);
    let of = |at: usize| {
        let centre = (at as f64 + 0.5) * scale;
        let weight = |pixel: usize| (1.0 - ((pixel as f64 + 0.5 - centre) / half).abs()).max(0.0);
        let sum: f64 = (0..old).map(weight).sum();
        (0..old).map(|pixel| (pixel, weight(pixel) / sum)).filter(|(_, share)| *share > 0.0).collect()
    };
    (0..new).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{self, Options};

    #[test]
    fn a_ramp_keeps_its_slope_and_its_mean_and_a_flat_image_stays_flat() {
        let digits = dataset::open("digits", &Options::default()).unwrap();
        let ramp: Vec<f32> = (0..64).map(|i| (i % 8) as f32 + 10.0 * (i / 8) as f32).collect();
        let one =
            Dataset { inputs: [ramp, vec![3.5; 64]].concat(), targets: dataset::Targets::None, ..digits };
        let small = one.resized(4).unwrap();
        assert_eq!(small.shape, [16]);
        // Inside, a triangle over a ramp is the ramp at its centre: pixel (1, 1) looks at 2.5 of both axes.
        assert!((small.inputs[5] - (2.5 + 25.0)).abs() < 1e-5, "{}", small.inputs[5]);
        assert!(small.inputs[16..].iter().all(|x| (x - 3.5).abs() < 1e-6));
        assert_eq!(one.resized(8).unwrap().inputs, one.inputs);
        assert!(one.resized(0).is_err());
    }
}
