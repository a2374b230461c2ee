//! The logs of scripts: rotating files, the last lines in memory, and subscribers.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;
use tokio::sync::broadcast;

use super::redact::Redactor;

/// Bytes of a line that are kept.
const LINE_MAX: usize = 8 << 10;
/// Lines that are kept in memory.
const KEPT: usize = 1_000;
/// Files of one script's log.
const FILES: u64 = 4;

/// The origin of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
    /// Kapelle itself: starts, ends, restarts.
    Kapelle,
}

impl Stream {
    /// Returns the word in files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Stream::Out => "out",
            Stream::Err => "err",
            Stream::Kapelle => "kapelle",
        }
    }
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Its number since the log was opened.
    pub number: u64,
    /// Time in RFC 3339.
    pub at: String,
    /// The number of the script's process.
    pub instance: u32,
    /// The stream it came from.
    pub stream: Stream,
    /// The text. Control characters are written as `\u{1b}`.
    pub text: String,
}

impl Line {
    /// Returns the line as the file has it.
    #[must_use]
    pub fn in_file(&self) -> String {
        format!("{} {}/{} {}", self.at, self.instance, self.stream.as_str(), self.text)
    }
}

/// The log of one script.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file_max: u64,
    state: Mutex<State>,
    followers: broadcast::Sender<Arc<Line>>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<File>,
    size: u64,
    next: u64,
    kept: VecDeque<Arc<Line>>,
    /// Lines that could not be written to the disk.
    unwritten: u64,
}

impl Log {
    /// Opens the log at that path. Together with its older files it takes at most `max` bytes.
    #[must_use]
    pub fn open(path: &Path, max: u64) -> Log {
        let (followers, _) = broadcast::channel(KEPT);
        let size = fs::metadata(path).map_or(0, |about| about.len());
        let state = Mutex::new(State { size, ..State::default() });
        Log { path: path.to_owned(), file_max: max / FILES, state, followers }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line.
    pub(super) fn add(&self, at_ms: i64, instance: u32, stream: Stream, text: String) {
        self.add_all(at_ms, instance, stream, vec![text]);
    }

    /// Adds lines that came together: they cost one look at the clock and one write.
    pub(super) fn add_all(&self, at_ms: i64, instance: u32, stream: Stream, texts: Vec<String>) {
        if texts.is_empty() {
            return;
        }
        let at = jiff::Timestamp::from_millisecond(at_ms).map_or_else(|_| at_ms.to_string(), |at| format!("{at:.3}"));
        let mut state = self.lock();
        let first = state.next;
        state.next += texts.len() as u64;
        let line = |(number, text)| Arc::new(Line { number, at: at.clone(), instance, stream, text });
        let lines: Vec<Arc<Line>> = (first..).zip(texts).map(line).collect();
        if state.write(&self.path, self.file_max, &lines).is_err() {
            state.unwritten += lines.len() as u64;
            state.file = None;
        }
        state.kept.extend(lines.iter().cloned());
        let beyond = state.kept.len().saturating_sub(KEPT);
        state.kept.drain(..beyond);
        drop(state);
        if self.followers.receiver_count() > 0 {
            for line in lines {
                let _ = self.followers.send(line);
            }
        }
    }

    /// Returns the last `most` lines, and a subscription to the lines after them.
    #[must_use]
    pub fn tail(&self, most: usize) -> (Vec<Arc<Line>>, broadcast::Receiver<Arc<Line>>) {
        let state = self.lock();
        let skip = state.kept.len().saturating_sub(most);
        (state.kept.iter().skip(skip).cloned().collect(), self.followers.subscribe())
    }
}

impl State {
    fn write(&mut self, path: &Path, file_max: u64, lines: &[Arc<Line>]) -> std::io::Result<()> {
        let mut text = String::new();
        for line in lines {
            let line = line.in_file();
            if self.size + (text.len() + line.len()) as u64 >= file_max {
                self.flush(path, &text)?;
                text.clear();
                self.rotate(path);
            }
            text.push_str(&line);
            text.push('\n');
        }
        self.flush(path, &text)
    }

    fn rotate(&mut self, path: &Path) {
        self.file = None;
        for number in (1..FILES).rev() {
            let older = if number == 1 { path.to_owned() } else { numbered(path, number - 1) };
            let _ = fs::rename(older, numbered(path, number));
        }
        self.size = 0;
    }

    fn flush(&mut self, path: &Path, text: &str) -> std::io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        // A file that was removed or moved is created again, so that cleaning up by hand is harmless.
        if self.file.is_none() || !path.exists() {
            if let Some(folder) = path.parent() {
                let mut made = fs::DirBuilder::new();
                made.recursive(true);
                #[cfg(unix)]
                std::os::unix::fs::DirBuilderExt::mode(&mut made, 0o700);
                made.create(folder)?;
            }
            let mut open = OpenOptions::new();
            open.create(true).append(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut open, 0o600);
            let file = open.open(path)?;
            self.size = file.metadata().map_or(0, |about| about.len());
            self.file = Some(file);
        }
        if let Some(file) = &mut self.file {
            file.write_all(text.as_bytes())?;
            self.size += text.len() as u64;
        }
        Ok(())
    }
}

fn numbered(path: &Path, number: u64) -> PathBuf {
    path.with_extension(format!("{number}.log"))
}

/// Splits a stream of bytes into lines, long ones shortened.
#[derive(Debug)]
pub(super) struct Lines {
    begun: Vec<u8>,
    beyond: u64,
    most: usize,
}

impl Default for Lines {
    fn default() -> Lines {
        Lines::of(LINE_MAX)
    }
}

impl Lines {
    /// Makes a splitter for lines of at most `most` bytes.
    pub(super) fn of(most: usize) -> Lines {
        Lines { begun: Vec::new(), beyond: 0, most }
    }

    /// Takes bytes and returns the complete lines.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.keep(&bytes[..end]);
            lines.extend(self.finish());
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
        lines
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.most.saturating_sub(self.begun.len()).min(bytes.len());
        self.begun.extend_from_slice(&bytes[..room]);
        self.beyond += (bytes.len() - room) as u64;
    }

    /// Returns the incomplete last line, if any.
    pub(super) fn finish(&mut self) -> Option<String> {
        // A long line is not held twice.
        let mut text = String::from_utf8(std::mem::take(&mut self.begun))
            .unwrap_or_else(|odd| String::from_utf8_lossy(odd.as_bytes()).into_owned());
        if self.beyond > 0 {
            text.push_str(&format!(" [{} bytes cut]", std::mem::take(&mut self.beyond)));
        }
        text.truncate(text.trim_end_matches('\r').len());
        (!text.is_empty()).then_some(text)
    }
}

/// Returns a line as it is kept: without secrets, of limited length, and without control characters for a terminal.
pub(super) fn presentable(text: &str, redactor: &Redactor) -> String {
    let end = (0..=LINE_MAX.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    if end < text.len() && !text.ends_with(" bytes cut]") {
        return format!("{} [{} bytes cut]", presentable(&text[..end], redactor), text.len() - end);
    }
    let mut shown = String::with_capacity(text.len());
    for c in redactor.clean(text).chars() {
        if c == '\t' || !c.is_control() { shown.push(c) } else { shown.extend(c.escape_unicode()) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_and_odd_bytes_do_no_harm() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"one\r\n\ntw"), ["one"]);
        assert_eq!(lines.take(b"o\n\xff\x1b[31mred\n"), ["two", "\u{fffd}\u{1b}[31mred"]);
        let long = vec![b'x'; LINE_MAX + 5];
        assert!(lines.take(&long).is_empty());
        let cut = lines.take(b"yy\n").remove(0);
        assert!(cut.len() < LINE_MAX + 40 && cut.ends_with("x [7 bytes cut]"), "{}", &cut[LINE_MAX - 4..]);
        assert_eq!(presentable("\u{1b}]0;evil\u{7}", &Redactor::default()), "\\u{1b}]0;evil\\u{7}");
    }

    #[test]
    fn files_rotate_within_their_bounds_and_one_that_was_taken_away_is_made_anew() {
        let folder = std::env::temp_dir().join(format!("kapelle-log-{}", std::process::id()));
        let log = Log::open(&folder.join("a.log"), 4_096);
        for number in 0..500 {
            log.add(0, 1, Stream::Out, format!("line {number} {}", "x".repeat(50)));
        }
        let size: u64 = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
        assert!((2_048..=4_096).contains(&size), "{size}");
        assert_eq!(log.tail(3).0.last().unwrap().number, 499);
        fs::remove_dir_all(&folder).unwrap();
        log.add(0, 1, Stream::Err, "again".to_owned());
        let text = fs::read_to_string(log.path()).unwrap();
        assert_eq!(text, "1970-01-01T00:00:00.000Z 1/err again\n");
        fs::remove_dir_all(&folder).unwrap();
    }
}
