//! `extract_text`: the text of a document that is given as a file, or as text already.

use std::{fs::File, io::Read, path::PathBuf, sync::Arc};

use kapelle_core::{
    Category, TaskError,
    worker::{BoxFuture, Output, TaskContext, Worker, WorkerSpec},
};
use serde_json::{Value, json};

use crate::{
    DocumentReader,
    model::{Extracted, Format, Options},
    plain_text::{self, PlainText},
};

/// The largest plain text, in bytes; a larger one is refused.
const FILE_MAX: u64 = 64 << 20;

/// Media types by the ending of a file's name.
const ENDINGS: &[(&str, &str)] = &[
    ("csv", "text/csv"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("json", "application/json"),
    ("log", "text/plain"),
    ("markdown", "text/markdown"),
    ("md", "text/markdown"),
    ("pdf", "application/pdf"),
    ("text", "text/plain"),
    ("txt", "text/plain"),
    ("xhtml", "application/xhtml+xml"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
];

/// Reads documents.
pub struct ExtractText {
    spec: WorkerSpec,
    reader: Option<Arc<dyn DocumentReader>>,
}

struct FileRef {
    sha256: String,
    name: String,
    media_type: Option<String>,
}

impl ExtractText {
    /// Makes the worker with a reader for PDF, DOCX and the like. Without a reader it accepts plain text only.
    #[must_use]
    pub fn new(reader: Option<Arc<dyn DocumentReader>>) -> ExtractText {
        let mut spec = WorkerSpec::named("extract_text");
        spec.description = "Read the text of a document (plain text in any encoding, PDF, DOCX, HTML)".to_owned();
        spec.input = Some(json!({
            "type": "object", "required": [], "additionalProperties": false, "properties": {
                "document": { "type": ["object", "string"], "format": "file" }, "text": { "type": "string" },
                "pages": { "type": ["string", "integer"], "description": "A page or a range of a PDF: 3 or 2-5" },
            }, "minProperties": 1,
        }));
        spec.output = Some(json!({
            "type": "object", "required": ["text", "words", "characters"], "additionalProperties": false, "properties": {
                "text": { "type": "string" }, "words": { "type": "integer" }, "characters": { "type": "integer" },
                "encoding": { "type": "string" }, "pages": { "type": "integer" }, "title": { "type": "string" },
                "name": { "type": "string" }, "truncated": { "type": "boolean" }, "format": { "type": "string" },
                "metadata": { "type": "object" }, "warnings": { "type": "array", "items": { "type": "string" } }, "page_offsets": { "type": "array" },
            },
        }));
        ExtractText { spec, reader }
    }

    async fn run(&self, ctx: &TaskContext, input: Value) -> Result<Output, TaskError> {
        match (input.get("document"), input.get("text").and_then(Value::as_str)) {
            (Some(document), _) if document.is_object() => {
                self.file(ctx, FileRef::read(document)?, page_range(&input)?).await
            }
            (Some(Value::String(text)), _) => Ok(Output::plain(of_plain(PlainText::of(text.clone(), "UTF-8")?, None))),
            (None, Some(text)) => Ok(Output::plain(of_plain(PlainText::of(text.to_owned(), "UTF-8")?, None))),
            _ => Err(invalid("give a file as `document`, or its words as `text`")),
        }
    }

    async fn file(&self, ctx: &TaskContext, file: FileRef, options: Options) -> Result<Output, TaskError> {
        let path = ctx.files.path(&file.sha256).ok_or_else(|| {
            let message = format!("the file `{}` (sha256:{}) is not in the store", file.name, file.sha256);
            TaskError::new(Category::InvalidInput, message)
        })?;
        let media_type = file.media_type.clone().or_else(|| media_type_of(&file.name).map(str::to_owned));
        if media_type.as_deref().map_or(self.reader.is_none(), is_plain) {
            let name = file.name.clone();
            let read = tokio::task::spawn_blocking(move || read_plain(path, &name)).await;
            let read = read.map_err(|error| TaskError::new(Category::Crashed, format!("reading ended: {error}")))?;
            return Ok(Output::plain(of_plain(read?, Some(&file.name))));
        }
        let Some(reader) = &self.reader else {
            let what = media_type.unwrap_or_default();
            let message = format!("`{}` is {what}, and no reader for documents is part of this program", file.name);
            return Err(TaskError::new(Category::Unavailable, message).permanent());
        };
        let extracted = reader.read(&path, &file.name, media_type.as_deref(), options).await?;
        Ok(Output::plain(of_document(extracted, &file.name)?))
    }
}

/// Reads `3` or `2-5`, counted from 1.
fn page_range(input: &Value) -> Result<Options, TaskError> {
    let mut options = Options::default();
    let Some(pages) = input.get("pages") else { return Ok(options) };
    let text = pages.as_str().map_or_else(|| pages.to_string(), str::to_owned);
    let (first, last) = text.split_once('-').unwrap_or((&text, &text));
    let range = (first.trim().parse::<u32>().ok()).zip(last.trim().parse::<u32>().ok());
    match range {
        Some((first, last)) if first >= 1 && first <= last => options.pages = Some((first, last)),
        _ => return Err(invalid(&format!("`pages` is `{text}`: write a page or a range, such as 3 or 2-5"))),
    }
    Ok(options)
}

impl FileRef {
    fn read(value: &Value) -> Result<FileRef, TaskError> {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let sha256 = text("$file").and_then(|reference| reference.strip_prefix("sha256:")).unwrap_or("");
        // The digits become a file's name, so nothing else may pass.
        if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(invalid("`document` is not a file: write {\"$file\": \"sha256:<64 hex digits>\"}"));
        }
        let name: String = text("name").unwrap_or("document").chars().filter(|c| !c.is_control()).take(200).collect();
        Ok(FileRef { sha256: sha256.to_lowercase(), name, media_type: text("media_type").and_then(known_type) })
    }
}

/// Returns the media type without parameters. `application/octet-stream` counts as unknown.
fn known_type(text: &str) -> Option<String> {
    let plain = text.split(';').next().unwrap_or("").trim().to_lowercase();
    (!plain.is_empty() && plain != "application/octet-stream").then_some(plain)
}

/// Returns the media type for the ending of a file's name.
#[must_use]
pub fn media_type_of(name: &str) -> Option<&'static str> {
    let ending = name.rsplit_once('.')?.1.to_lowercase();
    ENDINGS.iter().find(|(known, _)| *known == ending).map(|(_, media_type)| *media_type)
}

fn is_plain(media_type: &str) -> bool {
    let text = media_type.strip_prefix("text/").is_some_and(|kind| kind != "html" && kind != "rtf");
    text || matches!(media_type, "application/json" | "application/yaml" | "application/x-yaml" | "application/toml")
}

fn read_plain(path: PathBuf, name: &str) -> Result<PlainText, TaskError> {
    let unreadable = |error: std::io::Error| TaskError::new(Category::Unavailable, format!("`{name}`: {error}"));
    let file = File::open(&path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(invalid(&format!("`{name}` is longer than {} MiB: split it", FILE_MAX >> 20)));
    }
    plain_text::decode(&bytes).map_err(|error| invalid(&format!("`{name}`: {}", error.message)))
}

fn of_plain(read: PlainText, name: Option<&str>) -> Value {
    let PlainText { text, encoding, words, characters, warnings } = read;
    let mut value = json!({
        "text": text, "words": words, "characters": characters, "encoding": encoding, "format": "text", "pages": 1,
        "truncated": false,
    });
    if let Some(name) = name {
        value["name"] = json!(name);
    }
    if !warnings.is_empty() {
        value["warnings"] = json!(warnings);
    }
    value
}

fn of_document(extracted: Extracted, name: &str) -> Result<Value, TaskError> {
    if extracted.words == 0 {
        return Err(invalid(&without_text(&extracted, name)));
    }
    let mut value = serde_json::to_value(extracted)
        .map_err(|error| TaskError::new(Category::Internal, format!("`{name}`: {error}")))?;
    value["name"] = json!(name);
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, field| !field.is_null());
    }
    Ok(value)
}

/// Explains why a document gave no text, and what to do about it.
fn without_text(extracted: &Extracted, name: &str) -> String {
    let is_reason = |warning: &&str| !warning.ends_with("probably a scan") && *warning != "its pages hold no text";
    let reasons: Vec<&str> = extracted.warnings.iter().map(String::as_str).filter(is_reason).collect();
    match extracted.format {
        Format::Pdf if reasons.is_empty() => {
            format!("`{name}` has no text: it may be a scan, which needs character recognition first")
        }
        Format::Pdf => format!("`{name}` has no readable text: {}", reasons.join("; ")),
        _ => format!("`{name}` is empty"),
    }
}

fn invalid(message: &str) -> TaskError {
    TaskError::new(Category::InvalidInput, message)
}

impl Worker for ExtractText {
    fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    fn execute<'a>(&'a self, ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(self.run(ctx, input))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kapelle_core::worker::FileSource;
    use std::path::Path;

    struct Samples;

    impl FileSource for Samples {
        fn path(&self, sha256: &str) -> Option<PathBuf> {
            let name = match &sha256[..1] {
                "a" => "annual-review.txt",
                "b" => "note-shift-jis.txt",
                _ => return None,
            };
            Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples").join(name))
        }
    }

    struct Fake;

    impl DocumentReader for Fake {
        fn read<'a>(
            &'a self,
            _path: &'a Path,
            _name: &'a str,
            _media_type: Option<&'a str>,
            options: Options,
        ) -> BoxFuture<'a, Result<Extracted, TaskError>> {
            let pages = options.pages.map_or(3, |(first, last)| last - first + 1);
            let extracted = json!({
                "text": "Out of a PDF", "title": null, "pages": pages, "words": 4, "characters": 12, "format": "pdf",
                "encoding": null, "truncated": false, "metadata": {},
            });
            Box::pin(std::future::ready(Ok(serde_json::from_value(extracted).unwrap())))
        }
    }

    fn file(digit: &str, name: &str) -> Value {
        json!({ "document": { "$file": format!("sha256:{}", digit.repeat(64)), "name": name } })
    }

    async fn run(reader: Option<Arc<dyn DocumentReader>>, input: Value) -> Result<Value, TaskError> {
        let mut ctx = TaskContext::detached("task_1");
        ctx.files = Arc::new(Samples);
        ExtractText::new(reader).execute(&ctx, input).await.map(|output| output.value)
    }

    #[tokio::test]
    async fn plain_text_is_read_in_its_encoding() {
        let read = run(None, file("a", "annual-review.txt")).await.unwrap();
        assert_eq!((&read["encoding"], &read["name"]), (&json!("UTF-8"), &json!("annual-review.txt")));
        assert!(read["words"].as_u64().unwrap() > 1_500);
        assert_eq!(run(None, file("b", "note")).await.unwrap()["encoding"], "Shift_JIS");
        assert_eq!(run(None, json!({ "text": "two words" })).await.unwrap()["words"], 2);
    }

    #[tokio::test]
    async fn other_formats_go_to_the_reader() {
        let read = run(Some(Arc::new(Fake)), file("a", "x.pdf")).await.unwrap();
        assert_eq!((&read["text"], &read["pages"]), (&json!("Out of a PDF"), &json!(3)));
        let error = run(None, file("a", "x.pdf")).await.unwrap_err();
        assert_eq!((error.category, error.retryable), (Category::Unavailable, false));
        let mut some = file("a", "x.pdf");
        some["pages"] = json!("2-3");
        assert_eq!(run(Some(Arc::new(Fake)), some.clone()).await.unwrap()["pages"], 2);
        some["pages"] = json!("3-2");
        assert!(run(Some(Arc::new(Fake)), some).await.unwrap_err().message.contains("write a page or a range"));
    }

    #[tokio::test]
    async fn a_wrong_reference_is_refused() {
        for (input, part) in [
            (json!({}), "give a file as `document`"),
            (json!({ "document": { "$file": "sha256:../../etc/passwd" } }), "is not a file"),
            (file("c", "gone.txt"), "is not in the store"),
            (json!({ "text": " " }), "the document is empty"),
        ] {
            let error = run(None, input).await.unwrap_err();
            assert!(error.category == Category::InvalidInput && error.message.contains(part), "{error}");
        }
    }
}
