//! From a plan to the segments of a spatial program.

use super::program::{Op, POINT, Pooling, Segment, Weights};
use carnot_net::activation::Activation;
use carnot_net::hyper::{LayerInit, LayerRate};
use carnot_net::layers::dropout::Dropout;
use carnot_net::layers::norm::{Kind, Norm};
use carnot_net::layers::pool::{Pool, Reduce};
use carnot_net::layers::residual::Residual;
use carnot_net::layers::window::Slide;
use carnot_net::layers::{Layer, LayerRule};
use carnot_net::plan::{Plan, Site};
use carnot_net::shape::Shape;
use carnot_net::tape::Mode;

/// Reads a plan layer by layer.
pub(crate) struct Reader<'a> {
    init: &'a [LayerInit],
    rate: &'a [LayerRate],
    mode: Mode,
    segments: Vec<Segment>,
    /// The activations, in the order of their numbers.
    pub activations: Vec<Activation>,
    /// Whether what leaves is Gaussian, and whether its mean over features is zero.
    is_gaussian: bool,
    is_centred: bool,
}

fn sizes(shape: &Shape) -> [usize; 2] {
    match *shape.axes() {
        [] => [1, 1],
        [columns] => [1, columns],
        [rows, columns] => [rows, columns],
        _ => unreachable!("shapes have at most two position axes"),
    }
}

fn both(slides: Vec<Slide>) -> Option<[Slide; 2]> {
    match slides[..] {
        [columns] => Some([POINT, columns]),
        [rows, columns] => Some([rows, columns]),
        _ => None,
    }
}

/// The segments of a plan and its activations; `None` when a layer does not keep diagonals apart or has no kernel.
pub(crate) fn read<'a>(
    plan: &Plan,
    init: &'a [LayerInit],
    rate: &'a [LayerRate],
    mode: Mode,
) -> Option<(Vec<Segment>, Vec<Activation>)> {
    let mut reader = Reader {
        init,
        rate,
        mode,
        segments: Vec::new(),
        activations: Vec::new(),
        is_gaussian: false,
        is_centred: false,
    };
    reader.open(&plan.input);
    for site in &plan.sites {
        match &site.layer {
            Layer::Pool(pool) => reader.pool(site, pool)?,
            Layer::Flatten(_) if site.input.axes().is_empty() => {}
            Layer::Flatten(_) => {
                reader.close(Pooling::Flatten, &site.output);
                reader.is_gaussian &= site.input.positions() == 1;
            }
            _ => reader.layer(site)?,
        }
    }
    // What positions are left at the output are averaged, as everywhere.
    reader.segments.last_mut()?.end = Pooling::Flatten;
    Some((reader.segments, reader.activations))
}

impl Reader<'_> {
    fn open(&mut self, shape: &Shape) {
        let (ops, names) = (Vec::new(), Vec::new());
        self.segments.push(Segment { ops, names, sizes: vec![sizes(shape)], end: Pooling::Flatten });
    }

    fn close(&mut self, end: Pooling, after: &Shape) {
        self.segments.last_mut().expect("one is open").end = end;
        self.is_centred = false;
        self.open(after);
    }

    fn push(&mut self, site: &Site, op: Op) {
        let segment = self.segments.last_mut().expect("one is open");
        segment.ops.push(op);
        segment.names.push(site.name.clone());
        segment.sizes.push(sizes(&site.output));
    }

    fn weights(&self, site: &Site, bias: bool) -> Option<Weights> {
        let at = site.weighted?;
        let rate = self.rate.get(at).copied().unwrap_or(LayerRate { lambda_w: 0.0, lambda_b: 0.0 });
        let (c_b, lambda_b) = if bias { (self.init[at].c_b, rate.lambda_b) } else { (0.0, 0.0) };
        Some(Weights { c_w: self.init[at].c_w, c_b, lambda_w: rate.lambda_w, lambda_b })
    }

    fn weighed(&mut self, site: &Site, op: Op) {
        self.push(site, op);
        (self.is_gaussian, self.is_centred) = (true, true);
    }

    fn window(&mut self, site: &Site, slides: Vec<Slide>, is_local: bool, bias: bool) -> Option<()> {
        let weights = self.weights(site, bias)?;
        self.weighed(site, Op::Window { slides: both(slides)?, is_local, weights });
        Some(())
    }

    fn layer(&mut self, site: &Site) -> Option<()> {
        match &site.layer {
            Layer::Dense(dense) => {
                let weights = self.weights(site, dense.bias)?;
                self.weighed(site, Op::Weigh(weights));
            }
            Layer::Conv(conv) => self.window(site, conv.slides(&site.input), false, conv.bias)?,
            Layer::ConvTransposed(conv) => self.window(site, conv.slides(&site.input), false, conv.bias)?,
            Layer::ConvLocal(conv) => self.window(site, conv.slides(&site.input), true, conv.bias)?,
            Layer::Activate(activate) if self.is_gaussian => {
                self.activations.push(activate.activation.clone());
                self.push(site, Op::Activate(self.activations.len() - 1));
                (self.is_gaussian, self.is_centred) = (false, false);
            }
            // Whole patterns: a layer that learns a new key is not read here before somebody has thought about it.
            Layer::Norm(Norm { kind, epsilon, axes, affine: _ })
                if axes.is_empty() && (self.is_centred || *kind == Kind::Rms) =>
            {
                self.push(site, Op::Norm(*epsilon));
            }
            Layer::Dropout(Dropout { probability }) if self.mode == Mode::Evaluate || *probability == 0.0 => {
            }
            Layer::Residual(Residual { skip, branch, block: _ }) => {
                self.residual(site, skip * skip, branch * branch)?;
            }
            _ => return None,
        }
        Some(())
    }

    fn residual(&mut self, site: &Site, skip: f64, branch: f64) -> Option<()> {
        let last = site.inside.iter().rev().find(|inner| !matches!(inner.layer, Layer::Dropout(_)))?;
        if !last.layer.has_weights() {
            return None;
        }
        let (is_gaussian, is_centred) = (self.is_gaussian, self.is_centred);
        let segment = self.segments.last_mut().expect("one is open");
        segment.ops.push(Op::Save);
        segment.names.push(site.name.clone());
        segment.sizes.push(sizes(&site.input));
        for inner in &site.inside {
            self.layer(inner)?;
        }
        self.push(site, Op::Mix { branch, skip });
        self.is_gaussian &= is_gaussian;
        self.is_centred &= is_centred;
        Some(())
    }

    fn pool(&mut self, site: &Site, pool: &Pool) -> Option<()> {
        let Some(slides) = pool.slides(&site.input) else {
            let share = if pool.reduce == Reduce::Sum { 1.0 } else { 1.0 / site.input.positions() as f64 };
            self.close(Pooling::Global(share * share), &site.output);
            return Some(());
        };
        let slides = both(slides)?;
        let share = |slide: &Slide, p: usize| {
            let inside = (0..slide.window).filter(|&tap| slide.at(p, tap).is_some()).count();
            match (pool.reduce, pool.normalize_edges) {
                (Reduce::Sum, _) => 1.0,
                (Reduce::Average, true) => 1.0 / inside.max(1) as f64,
                (Reduce::Average, false) => 1.0 / slide.window as f64,
            }
        };
        let shares = slides.map(|slide| (0..slide.after()).map(|p| share(&slide, p)).collect());
        self.close(Pooling::Windows { slides, shares }, &site.output);
        Some(())
    }
}
