//! How text comes out of documents that are not plain text. The reader itself is handed in from outside.

use std::path::Path;

use kapelle_core::{TaskError, worker::BoxFuture};

/// The text of a document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    /// The text, paragraphs apart by an empty line.
    pub text: String,
    /// How many pages it has, where the format knows pages.
    pub pages: Option<u32>,
    /// Its title, where it names one.
    pub title: Option<String>,
    /// Pages or text beyond a limit were left out.
    pub truncated: bool,
}

/// Reads PDF, DOCX, HTML and the like.
pub trait DocumentReader: Send + Sync + 'static {
    /// Whether this media type can be read.
    fn reads(&self, media_type: &str) -> bool;

    /// Reads the file. `name` is what the user calls it, for messages.
    fn read<'a>(
        &'a self,
        path: &'a Path,
        media_type: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Document, TaskError>>;
}
