//! What counts as the output of a network.

use carnot_kernel::{Engine, Inputs, KernelError, Options};
use carnot_net::hyper::LayerInit;
use carnot_net::network::Network;
use carnot_net::parametrization::Parametrization;
use carnot_net::plan::Plan;

fn engine(layers: &str, input: &str, c_w: f64) -> Engine {
    let network = Network::from_toml(&format!("input = {input}\nlayers = [{layers}]")).unwrap();
    let plan = Plan::new(&network).unwrap();
    let init = vec![LayerInit::normal(c_w, 0.0); plan.weighted];
    let rate = Parametrization::Ntk.rates(&plan, &init);
    Engine::compile(&plan, &init, &rate, Options::default()).unwrap()
}

#[test]
fn a_residual_block_at_the_end_is_the_output_as_a_whole() {
    let engine =
        engine("{ dense = 8 }, { residual = 1.0, block = [{ act = 'relu' }, { dense = 8 }] }", "[2]", 2.0);
    let matrices = engine.gram(Inputs { data: &[1.0, 2.0, -0.5, 1.0], samples: 2 }).unwrap();
    // K₁ = 2 |x|²/2; the block adds C_W K₁/2 = K₁.
    let kernel = matrices.kernel.into_f64();
    assert!((kernel[0] - 10.0).abs() < 1e-13 && (kernel[3] - 2.5).abs() < 1e-13, "{kernel:?}");
}

#[test]
fn positions_that_leave_a_network_are_averaged() {
    let engine = engine("{ conv = 8, kernel = 1 }", "[3, 1]", 1.5);
    let matrices = engine.gram(Inputs { data: &[1.0, 2.0, 3.0], samples: 1 }).unwrap();
    assert!((matrices.kernel.into_f64()[0] - 1.5 * 14.0 / 3.0).abs() < 1e-13);
}

#[test]
fn the_layer_that_has_no_answer_is_named_with_its_reason() {
    let layers = "{ dense = 2 }, { residual = 1.0, block = [{ act = 'exp' }] }, { dense = 8 }";
    let engine = engine(layers, "[2]", 1.0);
    let why = engine.gram(Inputs { data: &[1.0, 2.0], samples: 1 }).unwrap_err();
    assert!(matches!(&why, KernelError::NotKnown { layer, .. } if layer == "residual.1"), "{why}");
}
