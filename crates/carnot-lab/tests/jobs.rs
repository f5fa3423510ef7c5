//! Jobs side by side: one that works in parallel itself does not hold up the others.

#![allow(clippy::result_large_err)]

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use carnot_lab::error::LabError;
use carnot_lab::experiments::question::Question;
use carnot_lab::experiments::{Job, Point, Progress, Tools};
use carnot_lab::jobs::local::{Then, run};
use carnot_report::report::Report;
use serde_json::{Value, json};

/// The first job has a parallel loop, of which one half waits; all others are short.
struct Uneven(Value);

const JOBS: usize = 30;

impl Question for Uneven {
    fn verb(&self) -> &'static str {
        "uneven"
    }

    fn spec(&self) -> &Value {
        &self.0
    }

    fn subject(&self) -> String {
        String::new()
    }

    fn plan(&self) -> Result<Vec<Job>, LabError> {
        Ok((0..JOBS).map(|at| Job::new(format!("job {at}"), at)).collect())
    }

    fn next(&self, _: &[Point]) -> Result<Vec<Job>, LabError> {
        Ok(Vec::new())
    }

    fn cost(&self) -> Result<Option<String>, LabError> {
        Ok(None)
    }

    fn outputs(&self) -> Vec<PathBuf> {
        Vec::new()
    }

    fn run(&self, job: &Job, _: &Tools) -> Result<Value, LabError> {
        let wait = |milliseconds| std::thread::sleep(Duration::from_millis(milliseconds));
        match job.read::<usize>()? {
            0 => drop(rayon::join(|| wait(1), || wait(60))),
            _ => wait(10),
        }
        Ok(json!(null))
    }

    fn progress(&self, _: &[Point]) -> Progress {
        Progress::default()
    }

    fn report(&self, _: &[Point]) -> Result<Report, LabError> {
        Ok(Report::new("uneven", ""))
    }
}

#[test]
fn a_job_that_waits_for_its_own_threads_is_not_given_the_rest_of_the_work() {
    let question = Uneven(json!({}));
    let jobs = question.plan().unwrap();
    let jobs: Vec<&Job> = jobs.iter().collect();
    for _ in 0..10 {
        let mut order = Vec::new();
        let mut landed = |at, answer: Result<Value, LabError>| {
            answer?;
            order.push(at);
            Ok(Then::GoOn)
        };
        run(&question, &jobs, &Tools::silent(), 2, &AtomicBool::new(false), &mut landed).unwrap();
        let place = order.iter().position(|&at| at == 0).unwrap();
        assert_eq!(order.len(), JOBS);
        assert!(place < JOBS - 1, "the first job ended when all others had: {order:?}");
    }
}
