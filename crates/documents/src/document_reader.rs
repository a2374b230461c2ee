//! The interface to readers of documents that are not plain text. The reader itself is passed in by the caller.

use std::path::Path;

use kapelle_core::{TaskError, worker::BoxFuture};

use crate::{ChildReader, Extracted, Options};

/// Reads PDF, DOCX, HTML and the like.
pub trait DocumentReader: Send + Sync + 'static {
    /// Reads the file. `name` is the user's name for it; with the media type it is a hint to the format, but the
    /// content decides.
    fn read<'a>(
        &'a self,
        path: &'a Path,
        name: &'a str,
        media_type: Option<&'a str>,
        options: Options,
    ) -> BoxFuture<'a, Result<Extracted, TaskError>>;
}

impl DocumentReader for ChildReader {
    fn read<'a>(
        &'a self,
        path: &'a Path,
        name: &'a str,
        media_type: Option<&'a str>,
        options: Options,
    ) -> BoxFuture<'a, Result<Extracted, TaskError>> {
        Box::pin(ChildReader::read(self, path, name, media_type, options))
    }
}
