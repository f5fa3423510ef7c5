//! Gradient flow on half the squared distance, for a block of networks at once.

use super::Task;
use crate::measure::root_rates;
use carnot_net::batch::Batch;
use carnot_net::plan::Weights;
use carnot_net::tape::{Mode, Tape, Unwatched};

/// How the flow is followed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stepping {
    /// Gradient descent itself, at a rate η: its distance from the flow is of order η.
    Descent,
    /// The classical Runge–Kutta rule with steps η: its distance from the flow is of order η⁴, at four gradients a step.
    RungeKutta,
}

/// Settings of the flow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FlowSpec {
    /// The rule.
    pub stepping: Stepping,
    /// η: the step in time on ½ Σ (z − y)²; below 2/λ_max of the tangent kernel (2.7/λ_max for Runge–Kutta), > 0.
    pub rate: f64,
    /// Number of steps.
    pub steps: u64,
}

/// Parameters of a block of members on their way, `[members, parameters]`.
pub(super) struct Flow<'a> {
    task: &'a Task<'a>,
    spec: FlowSpec,
    pub(super) parameters: Vec<f64>,
    /// −λ of every parameter.
    lambda: Vec<f64>,
    tape: Tape<f64>,
}

impl<'a> Flow<'a> {
    pub(super) fn new(task: &'a Task<'a>, spec: FlowSpec, parameters: Vec<f64>) -> Flow<'a> {
        let lambda = root_rates::<f64>(task.plan, task.rates).iter().map(|root| -root * root).collect();
        Flow { task, spec, parameters, lambda, tape: Tape::new(Mode::Evaluate) }
    }

    /// Goes all the way.
    pub(super) fn run(&mut self) {
        for _ in 0..self.spec.steps {
            match self.spec.stepping {
                Stepping::Descent => {
                    let slope = self.slope();
                    self.moved(&slope, self.spec.rate);
                }
                Stepping::RungeKutta => self.runge_kutta(),
            }
        }
    }

    fn runge_kutta(&mut self) {
        let (h, start) = (self.spec.rate, self.parameters.clone());
        let mut sum = vec![0.0; start.len()];
        for (reach, weight) in [(0.5, 1.0), (0.5, 2.0), (1.0, 2.0), (0.0, 1.0)] {
            let slope = self.slope();
            for (((sum, slope), now), start) in
                sum.iter_mut().zip(&slope).zip(&mut self.parameters).zip(&start)
            {
                *sum += weight / 6.0 * slope;
                *now = start + reach * h * slope;
            }
        }
        for ((now, start), sum) in self.parameters.iter_mut().zip(&start).zip(&sum) {
            *now = start + h * sum;
        }
    }

    fn moved(&mut self, slope: &[f64], by: f64) {
        self.parameters.iter_mut().zip(slope).for_each(|(now, slope)| *now += by * slope);
    }

    /// dθ/dt = −λ ∂/∂θ ½ Σ (z − y)² of every member.
    fn slope(&mut self) -> Vec<f64> {
        let Task { plan, train, targets, .. } = *self.task;
        let members = self.parameters.len() / plan.parameters;
        let input = Batch::repeated(members, self.task.learned(), &plan.input, train);
        let weights = Weights { data: &self.parameters, stride: plan.parameters };
        let mut outputs = plan.forward(weights, input, &mut self.tape, &mut Unwatched);
        for own in outputs.data.chunks_exact_mut(targets.len()) {
            own.iter_mut().zip(targets).for_each(|(z, y)| *z -= y);
        }
        let mut slope = vec![0.0; self.parameters.len()];
        plan.backward(weights, outputs, &mut slope, &mut self.tape, &mut Unwatched);
        for own in slope.chunks_exact_mut(plan.parameters) {
            own.iter_mut().zip(&self.lambda).for_each(|(slope, lambda)| *slope *= lambda);
        }
        slope
    }
}
