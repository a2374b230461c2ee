//! `extract_text`: the text of a document that is given as a file, or as text already.

use std::{fs::File, io::Read, path::PathBuf, sync::Arc};

use kapelle_core::{
    Category, TaskError,
    worker::{BoxFuture, Output, TaskContext, Worker, WorkerSpec},
};
use serde_json::{Value, json};

use crate::{
    reader::{Document, DocumentReader},
    schema::object,
    text::{self, PlainText},
};

/// A plain text longer than this is refused.
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
    /// With a reader for PDF, DOCX and the like; without one, only plain text is read.
    #[must_use]
    pub fn new(reader: Option<Arc<dyn DocumentReader>>) -> ExtractText {
        let mut spec = WorkerSpec::named("extract_text");
        spec.description = "Read the text of a document (plain text in any encoding, PDF, DOCX, HTML)".to_owned();
        let mut input = object(
            &[],
            json!({ "document": { "type": ["object", "string"], "format": "file" }, "text": { "type": "string" } }),
        );
        input["minProperties"] = json!(1);
        spec.input = Some(input);
        spec.output = Some(object(
            &["text", "words", "characters"],
            json!({
                "text": { "type": "string" }, "words": { "type": "integer" }, "characters": { "type": "integer" },
                "encoding": { "type": "string" }, "pages": { "type": "integer" }, "title": { "type": "string" },
                "name": { "type": "string" }, "truncated": { "type": "boolean" },
            }),
        ));
        ExtractText { spec, reader }
    }

    async fn run(&self, ctx: &TaskContext, input: Value) -> Result<Output, TaskError> {
        match (input.get("document"), input.get("text").and_then(Value::as_str)) {
            (Some(document), _) if document.is_object() => self.file(ctx, FileRef::read(document)?).await,
            (Some(Value::String(text)), _) => Ok(Output::plain(of_plain(PlainText::of(text.clone(), "UTF-8")?, None))),
            (None, Some(text)) => Ok(Output::plain(of_plain(PlainText::of(text.to_owned(), "UTF-8")?, None))),
            _ => Err(invalid("give a file as `document`, or its words as `text`")),
        }
    }

    async fn file(&self, ctx: &TaskContext, file: FileRef) -> Result<Output, TaskError> {
        let path = ctx.files.path(&file.sha256).ok_or_else(|| {
            let message = format!("the file `{}` (sha256:{}) is not in the store", file.name, file.sha256);
            TaskError::new(Category::InvalidInput, message)
        })?;
        let media_type = match file.media_type.clone().or_else(|| media_type_of(&file.name).map(str::to_owned)) {
            Some(media_type) => media_type,
            None => sniff(&path),
        };
        if is_plain(&media_type) {
            let name = file.name.clone();
            let read = tokio::task::spawn_blocking(move || read_plain(path, &name)).await;
            let read = read.map_err(|error| TaskError::new(Category::Crashed, format!("reading ended: {error}")))?;
            return Ok(Output::plain(of_plain(read?, Some(&file.name))));
        }
        let Some(reader) = &self.reader else {
            let message =
                format!("`{}` is {media_type}, and no reader for documents is part of this program", file.name);
            return Err(TaskError::new(Category::Unavailable, message).permanent());
        };
        if !reader.reads(&media_type) {
            let message = format!("`{}` is {media_type}: give plain text, PDF, DOCX or HTML", file.name);
            return Err(invalid(&message));
        }
        let document = reader.read(&path, &media_type, &file.name).await?;
        Ok(Output::plain(of_document(document, &file.name)?))
    }
}

impl FileRef {
    fn read(value: &Value) -> Result<FileRef, TaskError> {
        let text = |key: &str| value.get(key).and_then(Value::as_str);
        let sha256 = text("$file").and_then(|reference| reference.strip_prefix("sha256:")).unwrap_or("");
        // The digits become a file's name, so that nothing else may pass.
        if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(invalid("`document` is no file: write {\"$file\": \"sha256:<64 hex digits>\"}"));
        }
        let name: String = text("name").unwrap_or("document").chars().filter(|c| !c.is_control()).take(200).collect();
        Ok(FileRef { sha256: sha256.to_lowercase(), name, media_type: text("media_type").and_then(known_type) })
    }
}

/// The media type without parameters; `application/octet-stream` says nothing.
fn known_type(text: &str) -> Option<String> {
    let plain = text.split(';').next().unwrap_or("").trim().to_lowercase();
    (!plain.is_empty() && plain != "application/octet-stream").then_some(plain)
}

/// The media type that the ending of a file's name tells.
#[must_use]
pub fn media_type_of(name: &str) -> Option<&'static str> {
    let ending = name.rsplit_once('.')?.1.to_lowercase();
    ENDINGS.iter().find(|(known, _)| *known == ending).map(|(_, media_type)| *media_type)
}

fn is_plain(media_type: &str) -> bool {
    let text = media_type.strip_prefix("text/").is_some_and(|kind| kind != "html" && kind != "rtf");
    text || matches!(media_type, "application/json" | "application/yaml" | "application/x-yaml" | "application/toml")
}

/// The media type by the first bytes, for a file without a name or type.
fn sniff(path: &PathBuf) -> String {
    let mut head = [0u8; 512];
    let length = File::open(path).and_then(|mut file| file.read(&mut head)).unwrap_or(0);
    let head = &head[..length];
    let start = String::from_utf8_lossy(head).trim_start().to_lowercase();
    if head.starts_with(b"%PDF-") {
        "application/pdf".to_owned()
    } else if head.starts_with(b"PK\x03\x04") {
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document".to_owned()
    } else if start.starts_with("<!doctype html") || start.starts_with("<html") {
        "text/html".to_owned()
    } else {
        "text/plain".to_owned()
    }
}

fn read_plain(path: PathBuf, name: &str) -> Result<PlainText, TaskError> {
    let unreadable = |error: std::io::Error| TaskError::new(Category::Unavailable, format!("`{name}`: {error}"));
    let file = File::open(&path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(invalid(&format!("`{name}` is longer than {} MiB: split it", FILE_MAX >> 20)));
    }
    text::decode(&bytes).map_err(|error| invalid(&format!("`{name}`: {}", error.message)))
}

fn of_plain(read: PlainText, name: Option<&str>) -> Value {
    let PlainText { text, encoding, words, characters } = read;
    let mut value = json!({ "text": text, "words": words, "characters": characters, "encoding": encoding });
    if let Some(name) = name {
        value["name"] = json!(name);
    }
    value
}

fn of_document(document: Document, name: &str) -> Result<Value, TaskError> {
    let counted = PlainText::of(document.text, "UTF-8").map_err(|_| {
        invalid(&format!("`{name}` holds no text: it may be a scan, which needs character recognition first"))
    })?;
    let mut value = json!({
        "text": counted.text, "words": counted.words, "characters": counted.characters, "name": name,
        "truncated": document.truncated,
    });
    if let Some(pages) = document.pages {
        value["pages"] = json!(pages);
    }
    if let Some(title) = document.title {
        value["title"] = json!(title);
    }
    Ok(value)
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
        fn reads(&self, media_type: &str) -> bool {
            media_type == "application/pdf"
        }

        fn read<'a>(
            &'a self,
            _path: &'a Path,
            _media_type: &'a str,
            _name: &'a str,
        ) -> BoxFuture<'a, Result<Document, TaskError>> {
            let document = Document { text: "Out of a PDF".to_owned(), pages: Some(3), ..Document::default() };
            Box::pin(std::future::ready(Ok(document)))
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
        let error = run(Some(Arc::new(Fake)), file("a", "x.docx")).await.unwrap_err();
        assert!(error.message.contains("give plain text, PDF"), "{error}");
    }

    #[tokio::test]
    async fn a_wrong_reference_is_refused() {
        for (input, part) in [
            (json!({}), "give a file as `document`"),
            (json!({ "document": { "$file": "sha256:../../etc/passwd" } }), "is no file"),
            (file("c", "gone.txt"), "is not in the store"),
            (json!({ "text": " " }), "the document is empty"),
        ] {
            let error = run(None, input).await.unwrap_err();
            assert!(error.category == Category::InvalidInput && error.message.contains(part), "{error}");
        }
    }
}
