//! Plan → skip what is there → run → report: resume, caching, early stop and partial reports, for every experiment.
//!
//! The report is made from jobs 0 … k in the order of the plan, whatever the order in which they landed. Whether the
//! asked precision is reached is decided on such a prefix alone, so the number of jobs that enter a report does not
//! depend on timing: the same question gives the same bits for any number of threads, interrupted or not.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use carnot_report::report::{Headline, Line, Report, Tone};
use serde_json::{Value, json};

use crate::error::LabError;
use crate::experiments::question::Question;
use crate::experiments::{Job, Point, Progress, Step, Tools};
use crate::jobs::local::{self, Then};
use crate::store::points::Appender;
use crate::store::run::Run;

/// How to run.
pub struct Manner<'a> {
    /// Number of threads, at least 1.
    pub threads: usize,
    /// Forget what is there and do it again.
    pub is_fresh: bool,
    /// Set from outside to finish the jobs in hand and stop.
    pub cancel: &'a AtomicBool,
    /// Told of everything that happens.
    pub watch: &'a (dyn Fn(&Event) + Sync),
    /// Makes the page from a report; `None` when no page is wanted.
    pub page: Option<&'a dyn Fn(&Report) -> String>,
}

/// What happens while jobs run.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// What the work will cost, before it begins.
    Cost(String),
    /// Work begins.
    Started {
        /// Points that were there already.
        kept: usize,
        /// Jobs of the plan.
        of: usize,
    },
    /// A job has landed.
    Landed {
        /// Points that are there.
        done: usize,
        /// Jobs of the plan.
        of: usize,
        /// How good the answer is, in words; may be empty.
        words: String,
    },
    /// A job says how far it is.
    Step(Step),
}

/// The answer, finished or not.
#[derive(Debug)]
pub struct Answer {
    /// Made from all points that count.
    pub report: Report,
    /// Nothing more is to be done.
    pub is_finished: bool,
    /// Points that are there.
    pub done: usize,
    /// Jobs of the plan.
    pub of: usize,
}

/// Answers a question, from what its run holds already as far as possible.
///
/// # Errors
/// What planning, a job, the report or the store says. Points that landed before stay.
pub fn drive(question: &dyn Question, run: &Run, manner: &Manner) -> Result<Answer, LabError> {
    let is_complete = question.outputs().iter().all(|path| path.exists());
    if manner.is_fresh || !is_complete {
        run.clear()?;
    } else if let Some(answer) = finished(question, run, manner)? {
        return Ok(answer);
    }
    let mut work = Work::new(question, run)?;
    let (kept, of) = (work.done(), work.jobs.len());
    if !work.is_complete() {
        if let Some(words) = question.cost()? {
            (manner.watch)(&Event::Cost(words));
        }
        (manner.watch)(&Event::Started { kept, of });
        let began = Instant::now();
        let worked = work.run_missing(question, run, manner);
        let (new, seconds) = (work.done() - kept, began.elapsed().as_secs_f64());
        run.log(
            &json!({ "version": version(), "threads": manner.threads, "points": new, "seconds": seconds }),
        );
        worked?;
    }
    let answer = work.answer(question, run)?;
    if answer.is_finished {
        run.keep(&answer.report, manner.page.map(|page| page(&answer.report)).as_deref())?;
    }
    Ok(answer)
}

/// The answer from what is there, without running anything.
///
/// # Errors
/// What planning, the report or the store says.
pub fn look(question: &dyn Question, run: &Run) -> Result<Answer, LabError> {
    Work::new(question, run)?.answer(question, run)
}

/// Points that are there, and jobs planned so far.
///
/// # Errors
/// What planning or the store says.
pub fn extent(question: &dyn Question, run: &Run) -> Result<(usize, usize), LabError> {
    let work = Work::new(question, run)?;
    Ok((work.done(), work.jobs.len()))
}

/// The kept report, unless another version of Carnot made it: reports are made anew from points after an upgrade.
fn finished(question: &dyn Question, run: &Run, manner: &Manner) -> Result<Option<Answer>, LabError> {
    let Some(report) = run.report().filter(|report| report.provenance.version == version()) else {
        return Ok(None);
    };
    if let Some(page) = manner.page.filter(|_| !run.page().exists()) {
        run.keep(&report, Some(&page(&report)))?;
    }
    let of = question.plan()?.len();
    Ok(Some(Answer { report, is_finished: true, done: of, of }))
}

fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// The plan with the rounds that follow from what is there, the points, and how long the prefix without gaps is.
struct Work {
    jobs: Vec<Job>,
    points: Vec<Option<Point>>,
    prefix: Vec<Point>,
    progress: Progress,
    /// Points of jobs that are not planned yet.
    spare: HashMap<String, Point>,
    names: HashSet<String>,
    /// No round follows.
    is_last: bool,
}

impl Work {
    fn new(question: &dyn Question, run: &Run) -> Result<Work, LabError> {
        let spare = run.points()?.into_iter().map(|point| (point.job.clone(), point)).collect();
        let mut work = Work {
            jobs: Vec::new(),
            points: Vec::new(),
            prefix: Vec::new(),
            progress: Progress::default(),
            spare,
            names: HashSet::new(),
            is_last: false,
        };
        work.add(question.plan()?);
        work.grow(question)?;
        Ok(work)
    }

    /// Plans more jobs, some of which may be done. Points of jobs that nobody plans (another version's, by hand) are left alone.
    fn add(&mut self, jobs: Vec<Job>) {
        for job in jobs {
            assert!(self.names.insert(job.id.clone()), "the names of jobs are unique: {}", job.id);
            self.points.push(self.spare.remove(&job.id));
            self.jobs.push(job);
        }
    }

    /// Lengthens the prefix as far as points are there and needed, and the plan when a round has ended.
    fn grow(&mut self, question: &dyn Question) -> Result<(), LabError> {
        while !self.progress.is_done && !self.is_last {
            if self.prefix.len() == self.jobs.len() {
                let more = question.next(&self.prefix)?;
                self.is_last = more.is_empty();
                self.add(more);
            } else if let Some(point) = &self.points[self.prefix.len()] {
                self.prefix.push(point.clone());
                self.progress = question.progress(&self.prefix);
            } else {
                return Ok(());
            }
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.progress.is_done || self.is_last
    }

    fn done(&self) -> usize {
        self.points.iter().flatten().count()
    }

    /// Does what is missing, round after round.
    fn run_missing(&mut self, question: &dyn Question, run: &Run, manner: &Manner) -> Result<(), LabError> {
        let mut appender = run.append()?;
        let step = |step: &Step| (manner.watch)(&Event::Step(step.clone()));
        let tools = Tools::new(&step);
        while !self.is_complete() && !manner.cancel.load(Ordering::Relaxed) {
            self.run_round(question, &tools, &mut appender, manner)?;
        }
        Ok(())
    }

    fn run_round(
        &mut self,
        question: &dyn Question,
        tools: &Tools,
        appender: &mut Appender,
        manner: &Manner,
    ) -> Result<(), LabError> {
        let jobs = self.jobs.clone();
        let missing: Vec<usize> = (0..jobs.len()).filter(|at| self.points[*at].is_none()).collect();
        let wanted: Vec<&Job> = missing.iter().map(|at| &jobs[*at]).collect();
        let mut failed: Option<(usize, LabError)> = None;
        let mut landed = |at: usize, answer: Result<Value, LabError>| {
            let at = missing[at];
            match answer {
                Ok(value) => {
                    let point = appender.add(&Point { job: jobs[at].id.clone(), value })?;
                    self.points[at] = Some(point);
                    self.grow(question)?;
                    let words = self.progress.words.clone();
                    (manner.watch)(&Event::Landed { done: self.done(), of: self.jobs.len(), words });
                }
                // Of several failures the first in order counts, which does not depend on timing.
                Err(error) if failed.as_ref().is_none_or(|(first, _)| at < *first) => {
                    failed = Some((at, error))
                }
                Err(_) => {}
            }
            Ok(if self.progress.is_done { Then::Stop } else { Then::GoOn })
        };
        local::run(question, &wanted, tools, manner.threads, manner.cancel, &mut landed)?;
        match failed {
            // A job after the stop would not have been run by fewer threads, so its failure does not count.
            Some((_, error)) if !self.progress.is_done => Err(error),
            _ => Ok(()),
        }
    }

    /// The report from the prefix when it is complete, from all points otherwise.
    fn answer(&self, question: &dyn Question, run: &Run) -> Result<Answer, LabError> {
        let is_finished = self.is_complete();
        let points: Vec<Point> =
            if is_finished { self.prefix.clone() } else { self.points.iter().flatten().cloned().collect() };
        let mut report = if points.is_empty() && !self.jobs.is_empty() {
            nothing_yet(question)
        } else {
            question.report(&points)?
        };
        let (done, of) = (self.done(), self.jobs.len());
        stamp(&mut report, question, run);
        if !is_finished {
            let resume = format!("carnot resume {}", run.id());
            report
                .next
                .insert(0, Line::new("continue", resume).with_note(format!("{done} of {of} jobs are done")));
            report.extra.insert("progress".into(), json!({ "done": done, "of": of }));
        }
        Ok(Answer { report, is_finished, done, of })
    }
}

/// What can be said before the first job has landed.
fn nothing_yet(question: &dyn Question) -> Report {
    let mut report = Report::new(question.verb(), &question.subject());
    report.headline = Some(Headline { text: "NO ANSWER YET".into(), tone: Tone::Plain });
    report
}

/// What is the same for every experiment: name, version, seed, device, command.
fn stamp(report: &mut Report, question: &dyn Question, run: &Run) {
    report.id = run.id().into();
    report.command = question.verb().into();
    if report.subject.is_empty() {
        report.subject = question.subject();
    }
    let provenance = &mut report.provenance;
    provenance.version = version().into();
    provenance.command = run.header.command.clone();
    provenance.seed = provenance.seed.or_else(|| question.spec()["seed"].as_u64());
    if provenance.device.is_empty() {
        provenance.device = "cpu".into();
    }
    provenance.spec.get_or_insert_with(|| question.spec().clone());
}

/// Number of threads when nothing is asked for: all that this process may use.
pub fn all_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
