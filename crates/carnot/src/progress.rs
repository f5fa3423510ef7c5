//! A bar on a terminal, one line a minute elsewhere. Both show the estimate getting better.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use carnot_lab::drive::Event;
use indicatif::{ProgressBar, ProgressStyle};

/// Answers that come sooner show nothing.
const PATIENCE: Duration = Duration::from_millis(400);
/// Where nobody looks all the time.
const BETWEEN_LINES: Duration = Duration::from_secs(60);

/// What is shown while jobs run.
pub struct Progress {
    title: String,
    manner: Manner,
    state: Mutex<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Silent,
    Bar,
    Lines,
}

struct State {
    began: Instant,
    last_line: Instant,
    kept: usize,
    done: usize,
    of: usize,
    words: String,
    step: String,
    share: f64,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Of the run `id`.
    pub fn new(verb: &str, id: &str, quiet: bool) -> Progress {
        let manner = match (quiet, stderr().is_terminal()) {
            (true, _) => Manner::Silent,
            (false, true) => Manner::Bar,
            (false, false) => Manner::Lines,
        };
        let now = Instant::now();
        let state = State {
            began: now,
            last_line: now,
            kept: 0,
            done: 0,
            of: 0,
            words: String::new(),
            step: String::new(),
            share: 0.0,
            bar: None,
        };
        Progress { title: format!("{verb} {id}"), manner, state: Mutex::new(state) }
    }

    /// Takes in what happened.
    pub fn show(&self, event: &Event) {
        let mut state = self.state.lock().expect("nothing panics while it holds this lock");
        if let Event::Cost(words) = event {
            if self.manner != Manner::Silent {
                // Nobody to tell when this fails.
                let _ = writeln!(stderr(), "{}   {words}", self.title);
            }
            return;
        }
        state.take(event);
        match self.manner {
            Manner::Silent => {}
            Manner::Bar => self.draw(&mut state),
            Manner::Lines if state.last_line.elapsed() >= BETWEEN_LINES => {
                state.last_line = Instant::now();
                // Nobody to tell when this fails.
                let _ = writeln!(stderr(), "{}   {}", self.title, state.line());
            }
            Manner::Lines => {}
        }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        let state = self.state.lock().expect("nothing panics while it holds this lock");
        if let Some(bar) = &state.bar {
            bar.finish_and_clear();
        }
    }

    fn draw(&self, state: &mut State) {
        if state.bar.is_none() && state.began.elapsed() < PATIENCE {
            return;
        }
        let (share, line, words) = (state.share, state.line(), state.words.clone());
        let blanks = " ".repeat(self.title.chars().count());
        let bar = state.bar.get_or_insert_with(|| {
            let bar = ProgressBar::new(1000);
            let style =
                ProgressStyle::with_template("{prefix}   {bar:20}  {msg}").expect("the template is right");
            bar.set_style(style.progress_chars("██·"));
            bar.set_prefix(self.title.clone());
            bar
        });
        bar.set_position((share * 1000.0) as u64);
        bar.set_message(if words.is_empty() { line } else { format!("{line}\n{blanks}   {words}") });
    }
}

impl State {
    fn take(&mut self, event: &Event) {
        match event {
            Event::Cost(_) => {}
            Event::Started { kept, of } => {
                (self.kept, self.done, self.of) = (*kept, *kept, *of);
                self.began = Instant::now();
            }
            Event::Landed { done, of, words } => {
                (self.done, self.of) = (*done, *of);
                self.words = words.clone();
                self.step.clear();
            }
            Event::Step(step) => {
                // Steps of many jobs at once would flicker; jobs are counted then.
                if self.of == 1 {
                    self.share = step.done as f64 / step.of.max(1) as f64;
                }
                self.step = format!("{}/{} {}", step.done, step.of, step.what);
            }
        }
        if self.of > 1 || self.done == self.of {
            self.share = self.done as f64 / self.of.max(1) as f64;
        }
    }

    /// `612/1000 jobs   1.9 s each   12 min left`.
    fn line(&self) -> String {
        if self.of == 1 && !self.step.is_empty() {
            return self.step.clone();
        }
        let jobs = format!("{}/{} jobs", self.done, self.of);
        let new = self.done - self.kept;
        if new == 0 {
            return jobs;
        }
        let each = self.began.elapsed().as_secs_f64() / new as f64;
        format!("{jobs}   {} each   {} left", time(each), time(each * (self.of - self.done) as f64))
    }
}

/// Two significant digits in the unit that fits.
fn time(seconds: f64) -> String {
    match seconds {
        s if s < 0.0995 => format!("{:.0} ms", s * 1e3),
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 99.5 => format!("{s:.0} s"),
        s if s < 5970.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}
