//! What is being done, on a terminal; nothing in a pipe.

use indicatif::{ProgressBar, ProgressStyle};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// A bar on standard error, if that is a terminal.
pub fn counted(total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {per_sec}, {eta} to go");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// Phases of a long piece of work, and how long each took.
pub struct Progress {
    bar: ProgressBar,
    phase: Option<(&'static str, Instant)>,
    /// Seconds by phase.
    pub seconds: BTreeMap<&'static str, f64>,
}

impl Progress {
    /// Shows itself on standard error if that is a terminal.
    pub fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_style(
            ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, phase: None, seconds: BTreeMap::new() }
    }

    /// Begins a phase; the one before ends.
    pub fn begin(&mut self, phase: &'static str, what: &str) {
        self.end();
        self.phase = Some((phase, Instant::now()));
        self.say(what);
    }

    /// What is happening within the phase.
    pub fn say(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }

    /// Ends the phase.
    pub fn end(&mut self) {
        if let Some((phase, since)) = self.phase.take() {
            let seconds = (since.elapsed().as_secs_f64() * 100.0).round() / 100.0;
            self.seconds.insert(phase, seconds);
            self.bar.suspend(|| eprintln!("  {phase:<12} {seconds:>6.1} s"));
        }
    }

    /// Ends the last phase and clears the line.
    pub fn finish(mut self) -> BTreeMap<&'static str, f64> {
        self.end();
        self.bar.finish_and_clear();
        self.seconds
    }
}
