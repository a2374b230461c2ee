//! The output of models while a run is watched, from the server of the folder.

use std::{collections::BTreeMap, time::Duration};

use kapelle::RunId;
use kapelle_api::Client;
use serde_json::Value;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    failure::Failure,
    out::{Out, Tone, paint},
};

/// Interval between two tries to reach the server.
const AGAIN: Duration = Duration::from_millis(500);
/// Pieces that are queued for display.
const PIECES: usize = 64;
/// Letters after which a line is shown before it has ended.
const LINE: usize = 100;

/// The texts of a run, followed from the last position.
pub struct Texts {
    pieces: Option<(mpsc::Receiver<Value>, JoinHandle<()>)>,
    /// Text that was not shown yet, by step.
    lines: BTreeMap<String, String>,
}

impl Drop for Texts {
    fn drop(&mut self) {
        if let Some((_, following)) = &self.pieces {
            following.abort();
        }
    }
}

/// Follows a run over interruptions until the receiver is dropped.
async fn follow(client: Client, path: String, pieces: mpsc::Sender<Value>) {
    let mut last = String::new();
    loop {
        if let Ok(mut stream) = client.follow(&path, &last).await {
            while let Ok(Some(told)) = stream.next().await {
                if !told.id.is_empty() {
                    last = told.id;
                }
                if told.data["event"] == "text" && pieces.send(told.data).await.is_err() {
                    return;
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

impl Texts {
    /// Returns the texts of a run; nothing without a server on the folder.
    pub fn of(client: Option<Client>, run: RunId) -> Texts {
        let pieces = client.map(|client| {
            let (sender, receiver) = mpsc::channel(PIECES);
            let path = format!("/api/v1/runs/{run}/events?texts=true");
            (receiver, tokio::spawn(follow(client, path, sender)))
        });
        Texts { pieces, lines: BTreeMap::new() }
    }

    /// Returns the next piece, if there is a server. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Value> {
        self.pieces.as_mut()?.0.recv().await
    }

    /// Shows a piece: at once as JSON, else line by line.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn show(&mut self, out: Out, piece: &Value) -> Result<(), Failure> {
        if out.json {
            return out.print(&piece.to_string());
        }
        let step = piece["step"].as_str().unwrap_or_default().to_owned();
        if piece["offset"] == 0 && piece["part"].as_u64() > Some(1) {
            self.flush(out, Some(&step))?;
            out.print(&format!("{} restarts", mark(&step)))?;
        }
        let line = self.lines.entry(step.clone()).or_default();
        // Control characters in a model's output must not reach the terminal.
        line.extend(piece["text"].as_str().unwrap_or("").chars().filter(|c| *c == '\n' || !c.is_control()));
        while let Some(end) = end_of_line(line) {
            let shown: String = line.drain(..end).collect();
            out.print(&format!("{} {}", mark(&step), shown.trim_end()))?;
        }
        Ok(())
    }

    /// Shows the text that was held back for the end of its line, of one step or of all.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn flush(&mut self, out: Out, of: Option<&str>) -> Result<(), Failure> {
        for (step, line) in &mut self.lines {
            if of.is_none_or(|of| of == step) && !line.trim().is_empty() {
                out.print(&format!("{} {}", mark(step), line.trim_end()))?;
            }
            if of.is_none_or(|of| of == step) {
                line.clear();
            }
        }
        Ok(())
    }
}

fn mark(step: &str) -> String {
    paint(Tone::Dim, &format!("{step} |"))
}

/// Returns the end of the first line that can be shown: its line break, or a word boundary when it is long.
fn end_of_line(text: &str) -> Option<usize> {
    if let Some(end) = text.find('\n') {
        return Some(end + 1);
    }
    let (long, _) = text.char_indices().nth(LINE)?;
    Some(text[..long].rfind(' ').map_or(long, |space| space + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_they_end_or_at_a_word() {
        assert_eq!(end_of_line("one\ntwo"), Some(4));
        assert_eq!(end_of_line("not yet"), None);
        let long = format!("{} ende", "ä".repeat(98));
        assert_eq!(end_of_line(&long), Some(197));
        assert_eq!(end_of_line(&"é".repeat(150)), Some(200));
    }
}
