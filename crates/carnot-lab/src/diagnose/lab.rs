//! Settings, runs and the store.

use std::io::ErrorKind;
use std::path::Path;

use carnot_report::diagnostic::Diagnostic;

use super::{Explain, at, flag, meant, network, place, told};
use crate::error::{LabError, Origin};

impl Explain for LabError {
    fn explain(&self) -> Diagnostic {
        let problem = self.to_string();
        match self {
            LabError::Recording(error) => error.explain(),
            LabError::Chain(error) => error.explain(),
            LabError::Log(error) => error.explain(),
            LabError::NoCurve { .. } => told(
                "log/no-curve",
                problem,
                "a loss over the steps is what is diagnosed",
                "carnot diagnose LOG with a CSV, JSON or TensorBoard log of the training",
            ),
            LabError::NothingRuns { .. } => told(
                "load/nothing-runs",
                problem,
                "the separation of classes behind a layer depends on what passes through it",
                "carnot load MODEL.onnx --batch FILE, carnot.load(model, (x, y)) in Python, or carnot phase   trains networks and shows \
                 their curves",
            ),
            LabError::UnknownVerb { nearest, .. } => told(
                "command/unknown",
                problem,
                meant(nearest.as_deref(), "no command has a similar name"),
                nearest
                    .as_ref()
                    .map_or("carnot   lists all commands".into(), |nearest| format!("carnot {nearest}")),
            ),
            LabError::UnknownWord { nearest, .. } => told(
                "explain/unknown-word",
                problem,
                meant(
                    nearest.as_deref(),
                    "codes of findings, symbols, commands, activations and data sets are explained",
                ),
                nearest.as_ref().map_or("carnot explain   lists all words".into(), |nearest| {
                    format!("carnot explain {nearest}")
                }),
            ),
            LabError::UnknownKey { verb, nearest, origin, .. } => placed(
                origin,
                told(
                    "config/unknown-key",
                    problem,
                    meant(nearest.as_deref(), "no key has a similar name"),
                    match crate::experiments::verb(verb) {
                        Ok(_) => format!("carnot new {verb}   prints every key"),
                        Err(_) => format!("carnot {verb} --help   prints every flag"),
                    },
                ),
            ),
            LabError::WrongValue { key, accepts, nearest, origin, .. } => placed(
                origin,
                told(
                    "config/wrong-value",
                    problem,
                    meant(nearest.as_deref(), &format!("{key} takes {accepts}")),
                    match nearest {
                        Some(_) => accepts.clone(),
                        None => format!("carnot explain {key}"),
                    },
                ),
            ),
            LabError::OutOfRange { key, range, .. } => at(
                network::setting(key),
                told(
                    "config/out-of-range",
                    problem,
                    "the value means nothing there",
                    format!("{key} must be {range}"),
                ),
            ),
            LabError::MissingKey { key, verb } => told(
                "config/missing",
                problem,
                format!("the question is about a {key}, and none was given"),
                match *key {
                    "data" => format!("carnot {verb} NETWORK --data digits"),
                    "larger size" => format!("carnot {verb} NETWORK --to-width 512, or --to-depth 24"),
                    _ => format!("carnot {verb} 784-128x50-10"),
                },
            ),
            LabError::ShorthandOnly { key } => at(
                network::setting(key),
                told(
                    "config/shorthand-only",
                    problem,
                    "a network that is written out layer by layer says this itself",
                    format!("leave {key} away, and change the layers in the file"),
                ),
            ),
            LabError::OtherExperiment { found, asked, origin } => placed(
                origin,
                told(
                    "config/other-experiment",
                    problem,
                    "experiments have different keys, so a file belongs to one",
                    format!("carnot {found} FILE, or carnot new {asked} for a file of its own"),
                ),
            ),
            LabError::Toml { origin, .. } => placed(
                origin,
                told(
                    "config/toml",
                    problem,
                    "the file does not follow TOML",
                    "carnot new predict   prints a file that does",
                ),
            ),
            LabError::Spec { verb, .. } => told(
                "config/specification",
                problem,
                "they were written by another version, or changed by hand",
                format!("ask again: carnot {verb} …"),
            ),
            LabError::File { path, error } => told(
                if error.kind() == ErrorKind::NotFound { "config/missing-file" } else { "config/refused" },
                problem,
                "the system did not give the file",
                format!("ls -l {path}"),
            ),
            LabError::NotSettings { .. } => told(
                "config/not-settings",
                problem,
                "settings and networks are short TOML files",
                "carnot new predict > net.toml   writes one",
            ),
            LabError::NoNetwork { nearest, .. } => at(
                flag("NETWORK"),
                told(
                    "network/not-found",
                    problem,
                    meant(nearest.as_deref(), "no file of a similar name is there"),
                    nearest
                        .clone()
                        .unwrap_or_else(|| "widths with dashes between them, as in 784-128x50-10".into()),
                ),
            ),
            LabError::Network { error, file } => network::explain(error, file.as_ref()),
            LabError::Activation(error) => error.explain(),
            LabError::Data(error) => error.explain(),
            LabError::Model(error) => error.explain(),
            LabError::Onnx(error) => error.explain(),
            LabError::NoRuntime { .. } => at(
                flag("NETWORK"),
                told(
                    "onnx/not-built",
                    self.to_string(),
                    "running ONNX models takes a large library, which is not built by default",
                    "cargo install --path crates/carnot --features onnx",
                ),
            ),
            LabError::DataShape { data, sample, network } => told(
                "data/shape",
                problem,
                format!("samples of {data} are {sample:?}, the network was made for {network:?}"),
                match network[..] {
                    // One number at each of some positions: the tokens of a transformer.
                    [tokens, 1] if tokens > 1 => {
                        "give a network of tokens a text: --data FILE.txt, brown or macedonian".to_string()
                    }
                    _ => {
                        let start = sample.iter().product::<usize>();
                        format!("let the network start with {start}, as in {start}-128x10-10")
                    }
                },
            ),
            LabError::Theory(error) => error.explain(),
            LabError::Sim(error) => error.explain(),
            LabError::Answer { .. } => told(
                "store/points",
                problem,
                "the point was written by another version, or changed by hand",
                "repeat the command with --fresh",
            ),
            LabError::Store { path, error, action } => store(problem, action, path, error),
            LabError::Damaged { path, .. } => told(
                "store/damaged",
                problem,
                "its spec.json was cut, changed by hand, or written by another version",
                format!("rm -r {}, then ask again", path.display()),
            ),
            LabError::NoRun { runs: 0, .. } => told(
                "store/no-run",
                problem,
                "there are no runs at all in this folder",
                "carnot predict 784-128x50-10   makes one; --runs DIR looks elsewhere",
            ),
            LabError::NoRun { runs, .. } => told(
                "store/no-run",
                problem,
                format!("none of {runs} runs has that name"),
                "carnot runs   lists them",
            ),
            LabError::AmbiguousRun { matches, .. } => {
                told("store/ambiguous-run", problem, matches.join(", "), "type more characters of its name")
            }
            LabError::JobFile { .. } => told(
                "job/unreadable",
                problem,
                "job files are written by --jobs-to, for one version",
                "carnot ensemble 784-128x50-10 --jobs-to jobs   writes them",
            ),
            LabError::Kernel(error) => error.explain(),
            LabError::TooLarge { fits, .. } => told(
                "kernel/too-large",
                problem,
                "a kernel holds one number for every pair of samples, and its decomposition several",
                fits.clone(),
            ),
            LabError::Output { path, .. } => told(
                "output/refused",
                problem,
                "the system did not take the file; nothing half-written was left behind",
                format!("ls -ld {path}   or another --save"),
            ),
            LabError::Threads { .. } => {
                told("system/threads", problem, "the system allows no more threads", "--threads 1")
            }
        }
    }
}

fn placed(origin: &Origin, diagnostic: Diagnostic) -> Diagnostic {
    Diagnostic { place: place(origin), ..diagnostic }
}

fn store(problem: String, action: &str, path: &Path, error: &std::io::Error) -> Diagnostic {
    let kept = "what was finished before is kept, and the same command goes on from there";
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => told(
            "store/full",
            problem,
            "the disk or the quota is full, or the size of files is limited",
            format!("free some space, or --runs DIR on another disk; {kept}"),
        ),
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => told(
            "store/read-only",
            problem,
            "this folder may not be written to",
            "--runs DIR   keeps results in another folder, such as --runs /tmp/runs",
        ),
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => told(
            "store/not-a-folder",
            problem,
            "something that is no folder has the name of the folder of runs",
            "--runs DIR   keeps results in another folder",
        ),
        _ => told(
            "store/io",
            problem,
            format!("the system refused to {action} it"),
            format!("ls -ld {}; {kept}", path.display()),
        ),
    }
}
