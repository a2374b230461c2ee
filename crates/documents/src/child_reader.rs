//! The parent's side: reads a document in a child under limits.

use std::path::{Path, PathBuf};

use kapelle_core::{Category, TaskError};
use kapelle_supervisor::{ChildError, ChildInput, ChildOutput, LimitedChild, Limits};

use super::{
    child::{Answer, CHILD_VERB, Request},
    model::{Extracted, Options},
};

/// Reads documents in a child process, so that a hostile file fails its own task only.
#[derive(Debug, Clone)]
pub struct ChildReader {
    helper: Option<PathBuf>,
    limits: Limits,
}

impl ChildReader {
    /// Makes a reader that starts this program, which must call [`child_main`](super::child_main) for its hidden verb.
    /// Usually the program is the running binary itself; with `None`, every document is refused as `unavailable`.
    #[must_use]
    pub fn new(helper: Option<PathBuf>) -> ChildReader {
        ChildReader { helper, limits: Limits::default() }
    }

    /// Replaces the limits. The defaults: 512 MiB of memory, 30 s, 64 MiB of output.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> ChildReader {
        self.limits = limits;
        self
    }

    /// Reads a document. `name` stands in messages and, with `media_type`, is a hint to its format.
    ///
    /// # Errors
    /// `invalid_input` when the document is at fault and `timeout` when reading takes too long, both permanent;
    /// `unavailable` when the child cannot be started, `crashed` when it ended without an answer through no fault of
    /// the document.
    pub async fn read(
        &self,
        path: &Path,
        name: &str,
        media_type: Option<&str>,
        options: Options,
    ) -> Result<Extracted, TaskError> {
        let request = Request {
            path: path.to_path_buf(),
            name: name.to_owned(),
            media_type: media_type.map(ToOwned::to_owned),
            options,
        };
        let child = self.child(&request)?;
        let output = child.run().await.map_err(|error| explain(&error, name))?;
        match answer(&output)? {
            Answer::Read(extracted) => Ok(*extracted),
            Answer::Refused(error) => Err(TaskError::new(Category::InvalidInput, format!("`{name}` {error}"))),
        }
    }

    fn child(&self, request: &Request) -> Result<LimitedChild, TaskError> {
        let helper = self.helper.as_ref().ok_or_else(|| {
            TaskError::new(Category::Unavailable, "documents cannot be read: the program for it is not set").permanent()
        })?;
        let mut line = serde_json::to_vec(request).map_err(|_| {
            TaskError::new(Category::InvalidInput, format!("the path of `{}` is not valid UTF-8", request.name))
        })?;
        line.push(b'\n');
        let mut child = LimitedChild::new(helper);
        child.args.push(CHILD_VERB.into());
        child.stdin = ChildInput::Bytes(line);
        child.limits = self.limits.clone();
        // One heap instead of one per thread: each reserves 64 MiB of the address space that is limited.
        child.env.push(("MALLOC_ARENA_MAX".into(), "1".into()));
        Ok(child)
    }
}

fn answer(output: &ChildOutput) -> Result<Answer, TaskError> {
    let said = output.stdout.trim_ascii_end();
    let last = said.rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    serde_json::from_slice(last).map_err(|error| {
        TaskError::new(Category::Internal, format!("the program that reads documents did not answer ({error})"))
            .permanent()
    })
}

fn explain(error: &ChildError, name: &str) -> TaskError {
    match error {
        ChildError::TimedOut { limit, .. } => {
            let seconds = limit.as_secs_f64();
            TaskError::new(Category::Timeout, format!("`{name}` takes more than {seconds} s to read")).permanent()
        }
        ChildError::OutOfMemory { limit } => {
            let mib = limit >> 20;
            TaskError::new(Category::InvalidInput, format!("`{name}` needs more than {mib} MiB of memory to read"))
        }
        ChildError::TooMuchOutput { limit } => {
            let mib = limit >> 20;
            TaskError::new(Category::InvalidInput, format!("`{name}` holds more than {mib} MiB of text"))
        }
        ChildError::Crashed { signal: Some(_), .. } => {
            TaskError::new(Category::InvalidInput, format!("`{name}` is damaged: its structure crashes the reader"))
        }
        ChildError::Crashed { .. } => {
            TaskError::new(Category::Crashed, format!("reading `{name}`: {error}")).permanent()
        }
        ChildError::CannotStart { .. } => {
            TaskError::new(Category::Unavailable, format!("`{name}` cannot be read: {error}"))
        }
        ChildError::Io(_) => TaskError::new(Category::Crashed, format!("reading `{name}`: {error}")),
    }
}
