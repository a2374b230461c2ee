//! How text comes out of documents that are not plain text. The reader itself is handed in from outside.

use std::path::Path;

use kapelle_core::{TaskError, worker::BoxFuture};

use crate::{ChildReader, Extracted, Options};

/// Reads PDF, DOCX, HTML and the like.
pub trait DocumentReader: Send + Sync + 'static {
    /// Reads the file. `name` is what the user calls it; with the media type it is a hint to the format, of which the
    /// content has the last word.
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
