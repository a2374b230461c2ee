//! Protocol on the pipe to the child that reads documents, and the child's side of it.
//!
//! One line of JSON in, one line of JSON out. A library may print to the same pipe, so the answer is the last line.

use std::{
    io::{BufRead, Read, Write},
    panic,
    path::PathBuf,
    process::ExitCode,
    thread,
};

use serde::{Deserialize, Serialize};

use super::{
    extract::extract_file,
    model::{ExtractError, Extracted, Options},
    pdf::last_words,
};

/// The verb, hidden from help, under which the binary must call [`child_main`] before it starts anything else.
pub const CHILD_VERB: &str = "__extract";

/// The longest request, in bytes: a path and a few numbers.
const REQUEST_MAX: u64 = 64 << 10;

/// The stack of the parser's thread, in bytes. Parsers recurse with the file; this is deep enough for any honest file
/// and small beside the memory limit.
const STACK: usize = 32 << 20;

/// A request to the child.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub path: PathBuf,
    pub name: String,
    pub media_type: Option<String>,
    pub options: Options,
}

/// An answer of the child.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Read(Box<Extracted>),
    Refused(ExtractError),
}

/// Reads one request from standard input, answers on standard output. Exit code 0 means that there is an answer, also
/// when the answer is that the document cannot be read.
#[must_use]
pub fn child_main() -> ExitCode {
    // A panic becomes an answer; its trace would only hide that answer.
    panic::set_hook(Box::new(|_| {}));
    match serve(std::io::stdin().lock(), &mut std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; no other channel is left.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(input: impl Read, output: &mut impl Write) -> std::io::Result<()> {
    let mut line = String::new();
    std::io::BufReader::new(input).take(REQUEST_MAX).read_line(&mut line)?;
    let request: Request = serde_json::from_str(&line)?;
    let work = thread::Builder::new()
        .stack_size(STACK)
        .spawn(move || extract_file(&request.path, &request.name, request.media_type.as_deref(), &request.options))?;
    let outcome = work.join().unwrap_or_else(|panic| Err(ExtractError::Damaged(last_words(panic.as_ref()))));
    let answer = match outcome {
        Ok(extracted) => Answer::Read(Box::new(extracted)),
        Err(error) => Answer::Refused(error),
    };
    output.write_all(b"\n")?;
    let mut output = std::io::BufWriter::new(output);
    serde_json::to_writer(&mut output, &answer)?;
    output.write_all(b"\n")?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_a_request_and_refuses_nonsense() {
        let ask = r#"{"path":"/no/such/file","name":"x.pdf","media_type":null,"options":{"max_pages":3}}"#;
        let mut said = Vec::new();
        serve(ask.as_bytes(), &mut said).unwrap();
        let answer: Answer = serde_json::from_slice(said.trim_ascii()).unwrap();
        assert!(matches!(answer, Answer::Refused(ExtractError::Unreadable(_))));
        assert!(serve(&b"{}"[..], &mut Vec::new()).is_err());
    }
}
