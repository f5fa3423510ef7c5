//! W214: a layer without the activation that all others have.

use carnot_report::finding::{Finding, Level, Safety};

use super::{ModelCheck, Said, found};
use crate::explain::CheckPage;
use crate::measured::evidence::{ModelEvidence, Stage};

/// The check.
pub const CHECK: ModelCheck = ModelCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "W214",
    name: "layer-without-activation",
    sees: "One hidden layer of a chain has no activation behind it, or one of another kind, while all others have one, of one kind.",
    matters: "Two linear maps in a row are one linear map: the parameters of one of them buy nothing. It is usually harmless, and usually an \
              oversight.",
    remedy: "Put the activation back, or remove the layer.",
    theory: "W₂(W₁x) = (W₂W₁)x. Only its training dynamics differ from that of one layer (Saxe, McClelland, Ganguli, arXiv:1312.6120).",
    ignore: "The activation is a function that hooks cannot see (torch.relu inside forward), or a norm behind the layer is the nonlinearity.",
};

fn activation<'a>(evidence: &ModelEvidence<'a>, stage: &Stage) -> Option<&'a str> {
    let kinds = (stage.first + 1..=stage.last).map(|at| evidence.layer(at).kind.as_str());
    kinds.into_iter().find(|kind| ACTIVATIONS.contains(kind))
}

const ACTIVATIONS: &[&str] = &[
    "relu",
    "gelu",
    "silu",
    "swish",
    "tanh",
    "sigmoid",
    "elu",
    "selu",
    "celu",
    "leakyrelu",
    "prelu",
    "mish",
    "softplus",
    "hardtanh",
    "hardswish",
    "hardsigmoid",
    "relu6",
    "softsign",
    "sin",
    "erf",
];

fn run(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    if evidence.has_blocks || evidence.stages.len() < 4 {
        return Err("needs a chain of at least four hidden layers".into());
    }
    let kinds: Vec<Option<&str>> = evidence.stages.iter().map(|stage| activation(evidence, stage)).collect();
    let mut known: Vec<&str> = kinds.iter().flatten().copied().collect();
    known.sort_unstable();
    known.dedup();
    if let Some(finding) = other(evidence, &kinds) {
        return Ok(vec![finding]);
    }
    let [kind] = known.as_slice() else { return Err("needs one kind of activation, seen as modules".into()) };
    let bare: Vec<usize> = (0..kinds.len()).filter(|&at| kinds[at].is_none()).collect();
    // The last hidden layer may be a projection that is meant to be linear.
    let [at] = bare.as_slice() else { return Ok(vec![]) };
    if at + 1 == kinds.len() {
        return Ok(vec![]);
    }
    Ok(vec![found(
        &PAGE,
        Said {
            level: Level::Note,
            at: evidence.stages[*at].name.clone(),
            position: Some(evidence.position(*at)),
            saw: format!("no activation behind it; the other {} hidden layers have {kind}", kinds.len() - 1),
            because: "it and the next layer are one linear map".into(),
            action: format!("put {kind} behind it, or remove it"),
            safety: Some(Safety::Safe),
        },
    )])
}

/// One hidden layer with another activation than all others.
fn other(evidence: &ModelEvidence, kinds: &[Option<&str>]) -> Option<Finding> {
    let count = |kind: &str| kinds.iter().flatten().filter(|&&other| other == kind).count();
    let at = kinds.iter().position(|kind| kind.is_some_and(|kind| count(kind) == 1))?;
    let usual = kinds.iter().flatten().find(|&&kind| count(kind) + 1 == kinds.len())?;
    (at + 1 < kinds.len()).then(|| {
        found(
            &PAGE,
            Said {
                level: Level::Note,
                at: evidence.stages[at].name.clone(),
                position: Some(evidence.position(at)),
                saw: format!("{} behind it; the other {} hidden layers have {usual}", kinds[at].unwrap_or(""), kinds.len() - 1),
                because: "it keeps or shrinks signals otherwise than its siblings, for which the initialisation was made".into(),
                action: format!("put {usual} behind it, or initialise it for its own activation"),
                safety: Some(Safety::Unsafe),
            },
        )
    })
}
