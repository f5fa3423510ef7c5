//! Jobs on the threads of this process.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use serde_json::Value;

use crate::error::LabError;
use crate::experiments::question::Question;
use crate::experiments::{Job, Tools};

/// What the caller wants after a job has landed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The next jobs.
    GoOn,
    /// No further jobs; those in hand are finished.
    Stop,
}

/// Runs `jobs` in order on `threads` threads and hands each answer, with its number, to `landed` as it comes.
///
/// Jobs start in order, so when the job of some number has landed, all before it have at least been started. After
/// `cancel`, `Then::Stop` or a failed job, jobs in hand are finished and handed over, and no others are started.
///
/// # Errors
/// [`LabError::Threads`] when the threads cannot be started, and what `landed` returns.
pub fn run(
    question: &dyn Question,
    jobs: &[&Job],
    tools: &Tools,
    threads: usize,
    cancel: &AtomicBool,
    landed: &mut dyn FnMut(usize, Result<Value, LabError>) -> Result<Then, LabError>,
) -> Result<(), LabError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| LabError::Threads { threads, message: error.to_string() })?;
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    // Bounded, so that workers do not run ahead of what is kept and of the decision to stop.
    let (sender, answers) = mpsc::sync_channel(threads);
    let work = |sender: mpsc::SyncSender<_>| {
        while !stop.load(Ordering::Relaxed) && !cancel.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(at) else { break };
            let answer = pool.install(|| question.run(job, tools));
            if answer.is_err() {
                stop.store(true, Ordering::Relaxed);
            }
            // The receiver lives until all senders are gone.
            let _ = sender.send((at, answer));
        }
    };
    // These threads only wait for the pool. On its own threads, a job that waits inside of a parallel loop could be given the loop of
    // another worker to run, and would not end before all jobs have.
    std::thread::scope(|scope| {
        for _ in 0..threads.min(jobs.len()) {
            let (sender, work) = (sender.clone(), &work);
            scope.spawn(move || work(sender));
        }
        drop(sender);
        let mut first_wrong = None;
        for (at, answer) in answers {
            match landed(at, answer) {
                Ok(Then::GoOn) => {}
                Ok(Then::Stop) => stop.store(true, Ordering::Relaxed),
                Err(error) => {
                    stop.store(true, Ordering::Relaxed);
                    first_wrong.get_or_insert(error);
                }
            }
        }
        first_wrong.map_or(Ok(()), Err)
    })
}
