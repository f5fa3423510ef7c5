//! Every number of `tests/golden/effective-theory.json` against the public functions, one test for each section.

mod after_data;
mod architectures;
mod entry;
mod measured;
mod one_input;
mod several_inputs;

use entry::{Entry, entries};

/// Disagreements of one entry with the theory.
type Handler = fn(&Entry) -> Vec<String>;

/// Every section with the function that reproduces it.
const SECTIONS: &[(&str, Handler)] = &[
    ("moments1d", one_input::moments1d),
    ("moments2d", several_inputs::moments2d),
    ("criticality", one_input::critical),
    ("phase_boundary", one_input::phase_boundary),
    ("depth_scales", one_input::depth_scales),
    ("single_tables", one_input::single_tables),
    ("pair_tables", several_inputs::pair_tables),
    ("pair_tensors", several_inputs::pair_tensors),
    ("finite_angle", one_input::finite_angle),
    ("deep_linear", one_input::deep_linear),
    ("ntk_scale_invariant", one_input::ntk_scale_invariant),
    ("ntk_lr_scaling", one_input::ntk_lr_scaling),
    ("gram", several_inputs::gram),
    ("bayes_infinite", after_data::bayes_infinite),
    ("kernel_gd", after_data::kernel_gd),
    ("bayes_finite", after_data::bayes_finite),
    ("train_finite", after_data::train_finite),
    ("information", architectures::information),
    ("residual", architectures::residual),
    ("preln", architectures::pre_norm),
    ("transformer", architectures::transformer),
    ("batchnorm", architectures::batch_norm),
    ("isometry", architectures::isometry),
    ("parametrization", architectures::parametrization),
    ("mc_isometry", measured::isometry),
    ("mc_batchnorm", measured::batch_norm),
    ("mc_preln", measured::pre_norm),
    ("mc_bayes", measured::bayes),
    ("mc_train1", measured::train_one),
    ("mc_train2", measured::train_two),
    ("mc_forward", measured::forward),
    ("mc_residual", measured::residual),
    ("mc_tensors", measured::tensors),
    ("mc_ntk_mean", measured::tangent_mean),
];

fn run(section: &str) {
    let handler = SECTIONS.iter().find(|(name, _)| *name == section).expect("the section has a handler").1;
    let all = entries();
    let mine: Vec<&Entry> = all.iter().filter(|entry| entry.section == section).collect();
    assert!(!mine.is_empty(), "no entry in section {section}");
    let failures: Vec<String> = mine
        .iter()
        .flat_map(|entry| handler(entry).into_iter().map(|f| format!("{}: {f}", entry.id)))
        .collect();
    assert!(failures.is_empty(), "{} disagreements\n{}", failures.len(), failures.join("\n"));
}

macro_rules! sections {
    ($($name:ident),*) => { $(#[test] fn $name() { run(stringify!($name)); })* };
}

sections!(
    moments1d,
    moments2d,
    criticality,
    phase_boundary,
    depth_scales,
    single_tables,
    pair_tables,
    pair_tensors,
    finite_angle,
    deep_linear,
    ntk_scale_invariant,
    ntk_lr_scaling,
    gram,
    bayes_infinite,
    kernel_gd,
    bayes_finite,
    train_finite,
    information,
    residual,
    preln,
    transformer,
    batchnorm,
    isometry,
    parametrization,
    mc_isometry,
    mc_batchnorm,
    mc_preln,
    mc_bayes,
    mc_train1,
    mc_train2,
    mc_forward,
    mc_residual,
    mc_tensors,
    mc_ntk_mean
);

#[test]
fn every_entry_has_a_handler() {
    let known: Vec<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
    let orphans: Vec<String> = entries()
        .into_iter()
        .filter(|entry| !known.contains(&entry.section.as_str()))
        .map(|entry| entry.id)
        .collect();
    assert!(orphans.is_empty(), "entries without a handler: {orphans:?}");
}
