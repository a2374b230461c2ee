//! What models are writing right now for steps of runs: kept in memory while it comes, read by offset, gone after it.
//!
//! Nothing of it is stored: the answer is, once it is there. Whoever reads late or slowly finds the text from the
//! beginning, or its last part when it is long; however many read and however slowly, each text is kept once.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use kapelle_core::{RunId, TaskId, worker::TextSink};
use tokio::sync::watch;

use crate::id_map::IdMap;

/// Bytes of one text that are kept; of a longer one, at least half as many of its last.
const TEXT_MAX: usize = 64 << 10;
/// Outputs that are kept at once; further ones are not followed.
const TEXTS_MAX: usize = 1_024;
/// Of those, the last that have ended, for readers who are not through with them.
const ENDED_MAX: usize = 64;

/// The texts under way.
#[derive(Debug)]
pub struct LiveOutputs {
    kept: Mutex<Kept>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Kept {
    texts: IdMap<TaskId, Arc<LiveOutput>>,
    ended: VecDeque<(TaskId, u32)>,
}

/// The text of one attempt of a step.
#[derive(Debug)]
pub struct LiveOutput {
    /// The step's task.
    pub task: TaskId,
    /// The run.
    pub run: RunId,
    /// The path of the step.
    pub step: Arc<str>,
    /// The attempt.
    pub attempt: u32,
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    part: u32,
    /// Bytes of this part that are no longer kept.
    dropped: usize,
    text: String,
    ended: bool,
}

/// How far somebody has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The attempt.
    pub attempt: u32,
    /// Which text of the attempt: 1 for the first. A worker that asks again begins another.
    pub part: u32,
    /// Bytes of it.
    pub offset: usize,
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// Where it begins. Beyond where the reader was when what lay between is no longer kept.
    pub place: Place,
    /// The piece.
    pub text: String,
    /// The attempt is over.
    pub ended: bool,
}

impl Excerpt {
    /// Where the next one begins.
    #[must_use]
    pub fn next(&self) -> Place {
        Place { offset: self.place.offset + self.text.len(), ..self.place }
    }
}

impl Default for LiveOutputs {
    fn default() -> LiveOutputs {
        LiveOutputs { kept: Mutex::default(), changed: watch::Sender::new(()) }
    }
}

impl LiveOutputs {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The texts of a run, those that ended a moment ago among them.
    #[must_use]
    pub fn of_run(&self, run: RunId) -> Vec<Arc<LiveOutput>> {
        let mut texts: Vec<_> = self.lock().texts.values().filter(|text| text.run == run).cloned().collect();
        texts.sort_unstable_by_key(|text| text.task);
        texts
    }

    /// Changes whenever a text goes on.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn keep(&self, text: &Arc<LiveOutput>) {
        let mut kept = self.lock();
        if kept.texts.len() < TEXTS_MAX || kept.texts.contains_key(&text.task) {
            kept.texts.insert(text.task, Arc::clone(text));
        }
    }

    fn over(&self, text: &LiveOutput) {
        text.lock().ended = true;
        let mut kept = self.lock();
        kept.ended.push_back((text.task, text.attempt));
        if kept.ended.len() > ENDED_MAX
            && let Some((task, attempt)) = kept.ended.pop_front()
            && kept.texts.get(&task).is_some_and(|text| text.attempt == attempt)
        {
            kept.texts.remove(&task);
        }
        drop(kept);
        self.changed.send_replace(());
    }
}

impl LiveOutput {
    fn lock(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the attempt is over.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// Where it ends now.
    #[must_use]
    pub fn end(&self) -> Place {
        let said = self.lock();
        Place { attempt: self.attempt, part: said.part, offset: said.dropped + said.text.len() }
    }

    /// What follows that place; nothing when nothing does. Who was elsewhere begins at the beginning.
    #[must_use]
    pub fn since(&self, place: Option<Place>) -> Option<Excerpt> {
        let said = self.lock();
        let same = place.filter(|place| place.attempt == self.attempt && place.part == said.part);
        let read = same.and_then(|place| place.offset.checked_sub(said.dropped));
        // Who names a place that there is not, or one within a letter, gets all of it again.
        let from = read.filter(|at| said.text.is_char_boundary(*at)).unwrap_or(0);
        let text = said.text.get(from..).unwrap_or_default();
        let nothing_new = text.is_empty() && (same.is_some() || said.part == 0);
        (!nothing_new).then(|| Excerpt {
            place: Place { attempt: self.attempt, part: said.part, offset: said.dropped + from },
            text: text.to_owned(),
            ended: said.ended,
        })
    }

    fn begin(&self) {
        let mut said = self.lock();
        *said = Said { part: said.part + 1, ..Said::default() };
    }

    fn add(&self, piece: &str) {
        let mut said = self.lock();
        said.text.push_str(piece);
        if said.text.len() > TEXT_MAX {
            let mut cut = said.text.len() - TEXT_MAX / 2;
            while !said.text.is_char_boundary(cut) {
                cut += 1;
            }
            said.text.drain(..cut);
            said.dropped += cut;
        }
    }
}

/// What an attempt of a step writes into. Its text is over when it is dropped.
pub(crate) struct Speaker {
    texts: Arc<LiveOutputs>,
    task: TaskId,
    run: RunId,
    step: Arc<str>,
    attempt: u32,
    /// Made when something is said: most attempts say nothing.
    text: OnceLock<Arc<LiveOutput>>,
}

impl Speaker {
    pub(crate) fn new(texts: &Arc<LiveOutputs>, (task, attempt): (TaskId, u32), (run, step): (RunId, &str)) -> Speaker {
        Speaker { texts: Arc::clone(texts), task, run, step: Arc::from(step), attempt, text: OnceLock::new() }
    }

    fn text(&self) -> &LiveOutput {
        self.text.get_or_init(|| {
            let text = Arc::new(LiveOutput {
                task: self.task,
                run: self.run,
                step: Arc::clone(&self.step),
                attempt: self.attempt,
                said: Mutex::default(),
            });
            self.texts.keep(&text);
            text
        })
    }
}

impl TextSink for Speaker {
    fn begin(&self) {
        self.text().begin();
        self.texts.changed.send_replace(());
    }

    fn add(&self, piece: &str) {
        self.text().add(piece);
        self.texts.changed.send_replace(());
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        if let Some(text) = self.text.get() {
            self.texts.over(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speaker(texts: &Arc<LiveOutputs>, task: i64) -> Speaker {
        Speaker::new(texts, (TaskId(task), 2), (RunId(7), "one"))
    }

    fn place(part: u32, offset: usize) -> Place {
        Place { attempt: 2, part, offset }
    }

    #[test]
    fn a_reader_goes_on_where_it_was_and_begins_anew_with_another_text() {
        let texts = Arc::new(LiveOutputs::default());
        let speaker = speaker(&texts, 1);
        assert!(texts.of_run(RunId(7)).is_empty(), "nothing was said");
        speaker.begin();
        speaker.add("Grüße");
        let text = texts.of_run(RunId(7)).remove(0);
        let first = text.since(None).unwrap();
        assert_eq!((first.place, first.text.as_str()), (place(1, 0), "Grüße"));
        assert_eq!(text.since(Some(first.next())), None);
        speaker.add(", Welt");
        assert_eq!(text.since(Some(first.next())).unwrap().text, ", Welt");
        // Elsewhere: within a letter, beyond the end, in another attempt.
        for odd in [place(1, 3), place(1, 900), Place { attempt: 1, ..place(1, 2) }] {
            assert_eq!(text.since(Some(odd)).unwrap().text, "Grüße, Welt");
        }
        speaker.begin();
        let again = text.since(Some(first.next())).unwrap();
        assert_eq!((again.place, again.text.as_str()), (place(2, 0), ""), "what was said before does not count");
        drop(speaker);
        assert!(text.has_ended() && texts.of_run(RunId(8)).is_empty());
    }

    #[test]
    fn memory_is_bounded_in_a_text_and_in_their_number() {
        let texts = Arc::new(LiveOutputs::default());
        let long = speaker(&texts, 0);
        long.begin();
        for _ in 0..3 * TEXT_MAX {
            long.add("é");
        }
        let text = texts.of_run(RunId(7)).remove(0);
        let late = text.since(Some(place(1, 5))).unwrap();
        assert!(late.text.len() >= TEXT_MAX / 2 && late.text.len() <= TEXT_MAX);
        assert_eq!(late.next(), place(1, 6 * TEXT_MAX), "the offset says how much is missing");
        drop(long);
        for task in 1..=200 {
            speaker(&texts, task).begin();
        }
        assert_eq!(texts.of_run(RunId(7)).len(), ENDED_MAX);
        let many: Vec<Speaker> = (1_000..1_000 + 2 * TEXTS_MAX as i64).map(|task| speaker(&texts, task)).collect();
        many.iter().for_each(TextSink::begin);
        assert_eq!(texts.of_run(RunId(7)).len(), TEXTS_MAX);
    }
}
