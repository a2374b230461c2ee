//! The child as the reader that `extract_text` asks.

use std::path::Path;

use kapelle_core::{TaskError, worker::BoxFuture};

use super::{ChildReader, Format, Options};
use crate::reader::{Document, DocumentReader};

const READ: [&str; 4] = [
    "application/pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/xhtml+xml",
    "text/html",
];

impl DocumentReader for ChildReader {
    fn reads(&self, media_type: &str) -> bool {
        READ.contains(&media_type)
    }

    fn read<'a>(
        &'a self,
        path: &'a Path,
        media_type: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Document, TaskError>> {
        Box::pin(async move {
            let read = ChildReader::read(self, path, name, Some(media_type), Options::default()).await?;
            let pages = (read.format == Format::Pdf).then_some(read.pages);
            Ok(Document { text: read.text, pages, title: read.title, truncated: read.truncated })
        })
    }
}
