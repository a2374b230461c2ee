//! Text that models are writing for tasks: kept in memory while it arrives, read by offset, dropped afterwards.
//!
//! The text is not stored; the answer is. A late or slow reader gets the text from the beginning, or its last part when
//! it is long. Each text is kept once, whatever the number and pace of readers.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use kapelle_core::{RunId, TaskId, worker::TextSink};
use tokio::sync::watch;

use crate::id_map::IdMap;

/// Size limit of one text in bytes; of a longer one, at least half of this is kept.
const TEXT_MAX: usize = 64 << 10;
/// Limit of texts at one time; further ones are not followed.
const TEXTS_MAX: usize = 1_024;
/// Limit of ended texts among them, kept for slow readers.
const ENDED_MAX: usize = 64;

/// Texts in progress.
#[derive(Debug)]
pub struct LiveOutputs {
    kept: Mutex<Kept>,
    changed: watch::Sender<()>,
    /// Listeners to tasks outside of runs.
    single: AtomicUsize,
}

/// A listener to tasks outside of runs.
#[derive(Debug)]
pub struct SingleTexts(Arc<LiveOutputs>);

impl Drop for SingleTexts {
    fn drop(&mut self) {
        self.0.single.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Kept {
    texts: IdMap<TaskId, Arc<LiveOutput>>,
    ended: VecDeque<(TaskId, u32)>,
}

/// Text of one attempt of a task.
#[derive(Debug)]
pub struct LiveOutput {
    /// The task.
    pub task: TaskId,
    /// Its run, if it is a step of one.
    pub run: Option<RunId>,
    /// Path of the step.
    pub step: Option<Arc<str>>,
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

/// Position of a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The attempt.
    pub attempt: u32,
    /// Number of the text in the attempt, from 1. A worker that calls again begins another.
    pub part: u32,
    /// Offset in bytes.
    pub offset: usize,
}

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// Position of its beginning. After the reader's position when the part between is no longer kept.
    pub place: Place,
    /// Text of the piece.
    pub text: String,
    /// Whether the attempt is over.
    pub ended: bool,
}

impl Excerpt {
    /// Returns the position of the next piece.
    #[must_use]
    pub fn next(&self) -> Place {
        Place { offset: self.place.offset + self.text.len(), ..self.place }
    }
}

impl Default for LiveOutputs {
    fn default() -> LiveOutputs {
        LiveOutputs { kept: Mutex::default(), changed: watch::Sender::new(()), single: AtomicUsize::new(0) }
    }
}

impl LiveOutputs {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the texts of a run, including recently ended ones.
    #[must_use]
    pub fn of_run(&self, run: RunId) -> Vec<Arc<LiveOutput>> {
        let mut texts: Vec<_> = self.lock().texts.values().filter(|text| text.run == Some(run)).cloned().collect();
        texts.sort_unstable_by_key(|text| text.task);
        texts
    }

    /// Returns the text of a task, also if it ended recently; `None` when its model writes nothing.
    #[must_use]
    pub fn of_task(&self, task: TaskId) -> Option<Arc<LiveOutput>> {
        self.lock().texts.get(&task).cloned()
    }

    /// Says whether texts of tasks outside of runs are collected, too. A watched call asks its provider for a stream, which
    /// costs more than an answer in one piece.
    #[must_use]
    pub fn takes_single(&self) -> bool {
        self.single.load(Ordering::Relaxed) > 0
    }

    /// Collects texts of tasks outside of runs, too, for attempts that begin while the returned value lives.
    #[must_use]
    pub fn take_single(self: &Arc<Self>) -> SingleTexts {
        self.single.fetch_add(1, Ordering::Relaxed);
        SingleTexts(Arc::clone(self))
    }

    /// Returns a channel that changes whenever a text grows.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Tells whether anybody reads the texts of a step of a run, or of another task.
    #[must_use]
    pub fn is_read(&self, of_run: bool) -> bool {
        if of_run { self.changed.receiver_count() > 0 } else { self.takes_single() }
    }

    /// Returns a sink for an attempt that calls models from outside, such as one on a worker host. Its text ends when
    /// the sink is dropped.
    #[must_use]
    pub fn sink(self: &Arc<Self>, attempt: (TaskId, u32), step: Option<(RunId, &str)>) -> Arc<dyn TextSink> {
        Arc::new(Speaker::new(self, attempt, step))
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

    /// Tells whether the attempt is over.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// Returns the current end.
    #[must_use]
    pub fn end(&self) -> Place {
        let said = self.lock();
        Place { attempt: self.attempt, part: said.part, offset: said.dropped + said.text.len() }
    }

    /// Returns the text after that position, if there is any. A reader with an unknown position begins at the
    /// beginning.
    #[must_use]
    pub fn since(&self, place: Option<Place>) -> Option<Excerpt> {
        let said = self.lock();
        let same = place.filter(|place| place.attempt == self.attempt && place.part == said.part);
        let read = same.and_then(|place| place.offset.checked_sub(said.dropped));
        // An unknown position, or one within a letter, gets all of the text again.
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

/// Sink of an attempt. Its text ends when it is dropped.
pub(crate) struct Speaker {
    texts: Arc<LiveOutputs>,
    task: TaskId,
    step: Option<(RunId, Arc<str>)>,
    attempt: u32,
    /// Made with the first text: most attempts write none.
    text: OnceLock<Arc<LiveOutput>>,
}

impl Speaker {
    pub(crate) fn new(
        texts: &Arc<LiveOutputs>,
        (task, attempt): (TaskId, u32),
        step: Option<(RunId, &str)>,
    ) -> Speaker {
        let step = step.map(|(run, path)| (run, Arc::from(path)));
        Speaker { texts: Arc::clone(texts), task, step, attempt, text: OnceLock::new() }
    }

    fn text(&self) -> &LiveOutput {
        self.text.get_or_init(|| {
            let text = Arc::new(LiveOutput {
                task: self.task,
                run: self.step.as_ref().map(|(run, _)| *run),
                step: self.step.as_ref().map(|(_, path)| Arc::clone(path)),
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
        Speaker::new(texts, (TaskId(task), 2), Some((RunId(7), "one")))
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
        // Invalid positions: within a letter, after the end, in another attempt.
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
    fn a_single_task_is_found_by_its_id_and_only_while_somebody_listens() {
        let texts = Arc::new(LiveOutputs::default());
        assert!(!texts.takes_single());
        let listener = texts.take_single();
        assert!(texts.takes_single());
        let speaker = Speaker::new(&texts, (TaskId(9), 1), None);
        speaker.begin();
        speaker.add("hello");
        let text = texts.of_task(TaskId(9)).unwrap();
        assert_eq!((text.run, text.step.as_deref(), text.since(None).unwrap().text.as_str()), (None, None, "hello"));
        assert!(texts.of_task(TaskId(8)).is_none() && texts.of_run(RunId(7)).is_empty());
        drop(listener);
        assert!(!texts.takes_single());
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
