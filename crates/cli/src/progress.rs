//! Progress of a run: lines that are redrawn on a terminal, plain lines elsewhere.

use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use kapelle::{
    App, RunId,
    core::definition::Definition,
    engine::{Event, EventKind},
};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use crate::{
    describe::{StepView, tone},
    out::{Out, Tone, paint, stderr_is_terminal},
    shown,
};

/// The most steps with a redrawn line each.
const LINES_MAX: usize = 40;
/// Interval at which a waiting line is redrawn.
const TICK: Duration = Duration::from_millis(120);

/// The display of one run.
pub struct Progress {
    out: Out,
    run: RunId,
    /// Set before every line when several runs are watched.
    prefix: String,
    width: usize,
    drawn: Option<Drawn>,
    /// Steps that had ended when the display began; their events may still come.
    before: RefCell<HashSet<String>>,
}

struct Drawn {
    all: MultiProgress,
    bars: HashMap<String, ProgressBar>,
}

impl Progress {
    /// Shows the steps of a run. `alone` when no other run is shown.
    pub fn new(out: Out, run: RunId, definition: Option<&Definition>, alone: bool) -> Progress {
        let names: Vec<String> = definition
            .map(|definition| {
                definition.block(definition.root).steps.iter().map(|step| step.name.to_string()).collect()
            })
            .unwrap_or_default();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).clamp(6, 32);
        let prefix = if alone { String::new() } else { format!("{run} ") };
        let wanted = alone && !out.quiet && stderr_is_terminal() && names.len() <= LINES_MAX;
        let drawn = wanted.then(|| Drawn::new(&names, width));
        Progress { out, run, prefix, width, drawn, before: RefCell::default() }
    }

    /// Shows a step that had ended before the display began.
    pub fn ended_before(&self, step: &StepView) {
        if matches!(step.state(), "succeeded" | "skipped" | "failed") {
            self.before.borrow_mut().insert(step.name.clone());
            self.ended(step);
        }
    }

    /// Shows an event of that application.
    pub fn event(&self, app: &App, event: &Event) {
        if event.run != self.run {
            return;
        }
        let Some(step) = event.step.as_deref() else { return };
        match &event.kind {
            EventKind::StepReady { .. } => self.draw(step, "waiting for a slot", false),
            EventKind::StepWaiting { .. } => self.draw(step, "waiting", false),
            EventKind::AttemptStarted { attempt, .. } => {
                let text = if *attempt > 1 { format!("running, attempt {attempt}") } else { "running".to_owned() };
                if *attempt > 1 && self.drawn.is_none() {
                    self.line(step, "retrying", &format!("attempt {attempt}"));
                }
                self.draw(step, &text, true);
            }
            EventKind::StepEnded { .. } | EventKind::StepSkipped { .. } if self.before.borrow_mut().remove(step) => {}
            EventKind::StepEnded { task } => self.ended(&StepView::of(app.shown(task))),
            EventKind::StepSkipped { reason } => self.end(step, "skipped", reason),
            EventKind::RunStarted | EventKind::RunEnded { .. } => {}
        }
    }

    fn ended(&self, step: &StepView) {
        let mut parts = Vec::new();
        parts.extend(step.duration().map(shown::duration));
        if let Some(task) = &step.task {
            if task.attempt > 1 {
                parts.push(format!("attempt {}", task.attempt));
            }
            parts.extend(task.provenance.provider.clone());
            let cost = kapelle::Money(task.provenance.cost_nanousd);
            if cost != kapelle::Money::ZERO {
                parts.push(cost.to_string());
            }
        }
        let note = step.note();
        if !note.is_empty() {
            parts.push(note);
        }
        self.end(&step.name, step.state(), &parts.join("  "));
    }

    fn end(&self, step: &str, state: &str, text: &str) {
        match self.drawn.as_ref().and_then(|drawn| drawn.bars.get(step)) {
            Some(bar) => {
                bar.set_style(style("{prefix} {wide_msg}"));
                bar.finish_with_message(format!(
                    "{} {}",
                    paint(tone(state), &format!("{state:<9}")),
                    paint(Tone::Dim, text)
                ));
            }
            None => self.line(step, state, text),
        }
    }

    fn line(&self, step: &str, state: &str, text: &str) {
        let state = paint(tone(state), &format!("{state:<9}"));
        let line = format!("{}{step:<width$} {state} {text}", self.prefix, width = self.width);
        self.out.note(line.trim_end());
    }

    fn draw(&self, step: &str, text: &str, running: bool) {
        let Some(bar) = self.drawn.as_ref().and_then(|drawn| drawn.bars.get(step)) else { return };
        bar.set_message(text.to_owned());
        if running {
            bar.set_style(style("{prefix} {spinner} {msg} {elapsed}"));
            bar.reset_elapsed();
            bar.enable_steady_tick(TICK);
        }
    }

    /// Removes lines of steps that never began.
    pub fn close(self) {
        if let Some(drawn) = self.drawn {
            for bar in drawn.bars.values().filter(|bar| !bar.is_finished()) {
                bar.finish_and_clear();
            }
        }
    }

    /// Prints a text above the lines.
    pub fn say(&self, text: &str) {
        match &self.drawn {
            Some(drawn) => {
                let _ = drawn.all.println(text);
            }
            None => self.out.note(text),
        }
    }
}

impl Drawn {
    fn new(names: &[String], width: usize) -> Drawn {
        let all = MultiProgress::new();
        let bar = |name: &String| {
            let bar = all.add(ProgressBar::new_spinner().with_style(style("{prefix} {msg}")));
            bar.set_prefix(format!("{name:<width$}"));
            bar.set_message(paint(Tone::Dim, "pending"));
            bar.tick();
            (name.clone(), bar)
        };
        let bars = names.iter().map(bar).collect();
        Drawn { all, bars }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// Returns the next event; `None` when the engine has ended.
pub async fn next(events: &mut Receiver<Event>) -> Option<Event> {
    loop {
        match events.recv().await {
            Ok(event) => return Some(event),
            // Progress is for display only; missed events are in the journal.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return None,
        }
    }
}
