//! W216: a block that is not made as its siblings are.

use std::collections::{BTreeMap, BTreeSet};

use carnot_report::finding::{Finding, Level};

use super::{ModelCheck, Said, found};
use crate::explain::CheckPage;
use crate::measured::evidence::ModelEvidence;

/// The check.
pub const CHECK: ModelCheck = ModelCheck { page: &PAGE, run };

const PAGE: CheckPage = CheckPage {
    code: "W216",
    name: "unlike-its-siblings",
    sees: "Of four or more numbered parts of a model (blocks.0, blocks.1, …) all but one make the same calls, and that one makes fewer: no \
           attention, no norm, no addition of its skip, another activation; or it is not called at all.",
    matters: "A block without its skip cuts the stream; one without attention mixes no positions; one that is not called is paid for and never used. \
              The loss of a deep model barely shows it.",
    remedy: "Compare the part with its neighbours: a condition in its forward, an index that starts at 1, a module that was replaced.",
    theory: "No theory: a comparison of what was called. The sheet's transformers lost at most 0.012 nats by such faults (spring-block theory, 11.5).",
    ignore: "The part differs on purpose, as the last layer of a stage or one that keeps full attention.",
};

/// Numbered parts: parent → number → what is called in it, with how often.
type Parts = BTreeMap<String, BTreeMap<u64, BTreeMap<String, usize>>>;

fn run(evidence: &ModelEvidence) -> Result<Vec<Finding>, String> {
    let mut parts = Parts::new();
    for layer in &evidence.now().layers {
        for (parent, number, rest) in numbered(&layer.name) {
            let called = parts.entry(parent).or_default().entry(number).or_default();
            *called.entry(format!("{rest} {}", layer.kind)).or_insert(0) += 1;
        }
    }
    for module in &evidence.run.header.modules {
        for (parent, number, _) in numbered(&module.name) {
            if let Some(numbers) = parts.get_mut(&parent) {
                numbers.entry(number).or_default();
            }
        }
    }
    let all: Vec<_> = parts.iter().filter(|(_, numbers)| numbers.len() >= 4).collect();
    if all.is_empty() {
        return Err("needs four numbered parts of one parent".into());
    }
    Ok(all.into_iter().filter_map(|(parent, numbers)| odd(parent, numbers)).take(1).collect())
}

/// `(blocks, 3, attn.qkv)` of `blocks.3.attn.qkv`, one for each number in a path.
fn numbered(path: &str) -> Vec<(String, u64, String)> {
    let parts: Vec<&str> = path.split('.').collect();
    let of = |at: usize| {
        let number = parts[at].parse().ok()?;
        Some((parts[..at].join("."), number, parts[at + 1..].join(".")))
    };
    (0..parts.len()).filter_map(of).collect()
}

fn odd(parent: &str, numbers: &BTreeMap<u64, BTreeMap<String, usize>>) -> Option<Finding> {
    let mut same: BTreeMap<&BTreeMap<String, usize>, Vec<u64>> = BTreeMap::new();
    numbers.iter().for_each(|(number, called)| same.entry(called).or_default().push(*number));
    let mut kinds: Vec<_> = same.into_iter().collect();
    kinds.sort_by_key(|(_, numbers)| numbers.len());
    // Siblings are blocks of several calls: a list of single layers is a chain, of which no two are alike.
    let [(own, alone), (usual, most)] = kinds.as_slice() else { return None };
    if alone.len() != 1 || most.len() < 3 || (usual.len() < 2 && !own.is_empty()) {
        return None;
    }
    let names = |calls: &BTreeMap<String, usize>, other: &BTreeMap<String, usize>| -> Vec<String> {
        let more = |(name, count): (&String, &usize)| {
            (*count > other.get(name).copied().unwrap_or(0)).then(|| name.trim().to_string())
        };
        calls.iter().filter_map(more).collect::<BTreeSet<_>>().into_iter().collect()
    };
    let (lacks, has) = (names(usual, own), names(own, usual));
    // One that has more than its siblings is where a stage or a stack begins.
    if lacks.is_empty() || has.len() > lacks.len() {
        return None;
    }
    let list = |names: &[String]| match names {
        [] => String::new(),
        [first, rest @ ..] if rest.len() > 2 => format!("{first} and {} more", rest.len()),
        names => names.join(", "),
    };
    let at = if parent.is_empty() { alone[0].to_string() } else { format!("{parent}.{}", alone[0]) };
    let (saw, because) = match own.is_empty() {
        true => ("it is never called".to_string(), "the forward pass goes around it".to_string()),
        false => {
            let has = if has.is_empty() { String::new() } else { format!(", but makes {}", list(&has)) };
            (
                format!("it does not make the call {}{has}", list(&lacks)),
                "it is not made, or not run, as the others are".to_string(),
            )
        }
    };
    Some(found(
        &PAGE,
        Said {
            level: Level::Costs,
            at,
            position: Some(format!("one of {}", most.len() + 1)),
            saw: format!("{saw}; its {} siblings do", most.len()),
            because,
            action: "compare it with its neighbours".into(),
            safety: None,
        },
    ))
}
