//! What is said, and where: results on standard output, everything else on standard error.

use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use crate::failure::{Code, Failure};

/// How this process speaks.
#[derive(Debug, Clone, Copy)]
pub struct Out {
    /// JSON on standard output instead of text.
    pub json: bool,
    /// Nothing but results and errors.
    pub quiet: bool,
}

/// Styles with a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Bold,
    Dim,
    Good,
    Warn,
    Bad,
}

impl Out {
    /// Prints a result.
    ///
    /// # Errors
    /// When standard output is closed, which ends the program quietly.
    pub fn print(self, text: &str) -> Result<(), Failure> {
        let mut stdout = anstream::stdout().lock();
        let end = if text.ends_with('\n') || text.is_empty() { "" } else { "\n" };
        let done = write!(stdout, "{text}{end}").and_then(|()| stdout.flush());
        done.map_err(|error| match error.kind() {
            // Whoever reads has seen enough, as with `kapelle runs list | head`.
            io::ErrorKind::BrokenPipe => Failure::silent(Code::Ok),
            _ => Failure::new(Code::Failed, format!("standard output: {error}")),
        })
    }

    /// Prints a result as JSON.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn print_json(self, value: &Value) -> Result<(), Failure> {
        self.print(&format!("{value:#}"))
    }

    /// Says something to the person at the terminal, unless asked to be quiet.
    pub fn note(self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }

    /// Says something that matters, but ends nothing.
    pub fn warn(self, text: &str) {
        if !self.quiet {
            say(&format!("{}: {text}", paint(Tone::Warn, "warning")));
        }
    }

    /// Says what ended the program.
    pub fn fail(self, failure: &Failure) {
        if failure.silent {
            return;
        }
        if self.json && !failure.json_told {
            let _ = self.print_json(&failure.json());
        }
        match &failure.rendered {
            Some(text) => say(text.trim_end()),
            None => say(&format!("{}: {}", paint(Tone::Bad, "error"), failure.message)),
        }
        if let Some(help) = &failure.help {
            say(&format!("{}: {help}", paint(Tone::Good, "help")));
        }
    }
}

/// Whether standard output is a terminal with room for more than text.
pub fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether lines on standard error can be drawn again.
pub fn stderr_is_terminal() -> bool {
    io::stderr().is_terminal()
}

fn say(text: &str) {
    // With standard error closed there is nobody left to tell.
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Text in a style. Where colours are not wanted, the stream takes them out again.
pub fn paint(tone: Tone, text: &str) -> String {
    let style = match tone {
        Tone::Bold => Style::new().bold(),
        Tone::Dim => Style::new().dimmed(),
        Tone::Good => Style::new().fg_color(Some(AnsiColor::Green.into())),
        Tone::Warn => Style::new().fg_color(Some(AnsiColor::Yellow.into())),
        Tone::Bad => Style::new().bold().fg_color(Some(AnsiColor::Red.into())),
    };
    format!("{style}{text}{style:#}")
}
