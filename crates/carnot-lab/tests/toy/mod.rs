//! A small experiment: averages made-up numbers until the mean is known well enough.

// Each test file uses a part of it.
#![allow(dead_code)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use carnot_lab::drive::{Answer, Event, Manner, drive};
use carnot_lab::error::LabError;
use carnot_lab::experiments::question::{Question, Row, Verb};
use carnot_lab::experiments::{Experiment, Group, Job, Point, Progress, Tools};
use carnot_lab::spec::describe;
use carnot_lab::spec::network::NetworkSettings;
use carnot_lab::store::Store;
use carnot_report::report::Report;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Averages made-up numbers.
///
/// This is the long help.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Spec {
    /// Network and activation.
    #[serde(flatten)]
    pub network: NetworkSettings,
    /// Number of jobs, each of ten numbers.
    #[schemars(range(min = 1))]
    pub members: usize,
    /// Relative error at which to stop. Default: never.
    pub until: Option<f64>,
    /// Seed of all numbers.
    pub seed: u64,
    /// Rescaled weight variance.
    pub c_w: f64,
    /// How numbers are drawn.
    pub law: Law,
    /// Repeat backwards.
    pub backwards: bool,
    /// Steps at which to look.
    pub steps: Vec<u32>,
    /// Number of the job that fails, from 0.
    pub fails: Option<usize>,
}

/// A way to draw.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Law {
    /// The bell curve.
    #[default]
    Normal,
    /// All alike.
    Uniform,
}

impl Default for Spec {
    fn default() -> Spec {
        Spec {
            network: NetworkSettings::default(),
            members: 20,
            until: None,
            seed: 7,
            c_w: 1.0,
            law: Law::Normal,
            backwards: false,
            steps: vec![1, 10],
            fails: None,
        }
    }
}

pub struct Toy;

/// Jobs that were really done, in all tests of one process.
pub static DONE: AtomicUsize = AtomicUsize::new(0);

impl Experiment for Toy {
    const VERB: &'static str = "toy";
    const GROUP: Group = Group::Simulate;
    type Spec = Spec;

    fn resolve(spec: Spec) -> Result<Spec, LabError> {
        if spec.members == 0 {
            let range = "at least 1".into();
            return Err(LabError::OutOfRange { key: "members", value: "0".into(), range });
        }
        Ok(Spec { network: spec.network.resolve()?, ..spec })
    }

    fn subject(spec: &Spec) -> String {
        describe::network(spec.network.network())
    }

    fn plan(spec: &Spec) -> Result<Vec<Job>, LabError> {
        Ok((0..spec.members).map(|member| Job::new(format!("member {member}"), member)).collect())
    }

    fn run(spec: &Spec, job: &Job, tools: &Tools) -> Result<Value, LabError> {
        let member: usize = job.read()?;
        if spec.fails == Some(member) {
            let range = format!("anything but {member}");
            return Err(LabError::OutOfRange { key: "fails", value: member.to_string(), range });
        }
        let offset = tools.shared("offset", || Ok(1.0f64))?;
        // Later jobs are faster, so that they land out of order.
        let work = 200_000 / (member as u64 + 1);
        let number = (0..work)
            .fold(spec.seed + member as u64, |x, _| x.wrapping_mul(6364136223846793005).wrapping_add(1));
        tools.step("numbers", 10, 10);
        DONE.fetch_add(1, Ordering::SeqCst);
        Ok(json!({ "mean": *offset + (number % 1000) as f64 / 3000.0 }))
    }

    fn progress(spec: &Spec, points: &[Point]) -> Progress {
        let error = 1.0 / points.len() as f64;
        let is_done = spec.until.is_some_and(|until| error <= until);
        Progress { is_done, words: format!("worst estimate mean ± {:.1} %", 100.0 * error) }
    }

    fn report(spec: &Spec, points: &[Point]) -> Result<Report, LabError> {
        let mut sum = 0.0;
        for point in points {
            sum += point.value["mean"].as_f64().unwrap();
        }
        let mut report = Report::new("toy", &Toy::subject(spec));
        report.extra.insert("mean".into(), json!(sum / points.len() as f64));
        report.extra.insert("points".into(), json!(points.len()));
        Ok(report)
    }
}

pub const VERB: &dyn Verb = &Row::<Toy>::NEW;

/// The resolved question with these settings.
pub fn question(settings: Value) -> Box<dyn Question> {
    let mut all = VERB.defaults();
    all["network"] = json!("8-4-2");
    for (key, value) in settings.as_object().unwrap() {
        all[key] = value.clone();
    }
    VERB.ask(all).unwrap()
}

/// Drives a question in `root`, cancelling after `cancel_after` jobs have landed.
pub fn run(
    question: &dyn Question,
    root: &std::path::Path,
    threads: usize,
    cancel_after: usize,
) -> Result<Answer, LabError> {
    let run = Store::new(root).open(question, "carnot toy 8-4-2")?;
    let (cancel, landed) = (AtomicBool::new(false), AtomicUsize::new(0));
    let watch = |event: &Event| {
        if matches!(event, Event::Landed { .. }) && landed.fetch_add(1, Ordering::SeqCst) + 1 >= cancel_after
        {
            cancel.store(true, Ordering::SeqCst);
        }
    };
    let page = |report: &Report| format!("<p>{}</p>", report.id);
    drive(
        question,
        &run,
        &Manner { threads, is_fresh: false, cancel: &cancel, watch: &watch, page: Some(&page) },
    )
}

/// The bytes of the report in the only run of `root`.
pub fn report_bytes(root: &std::path::Path) -> Vec<u8> {
    let mut folders = std::fs::read_dir(root).unwrap();
    std::fs::read(folders.next().unwrap().unwrap().path().join("report.json")).unwrap()
}
