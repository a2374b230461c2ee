//! Requests to the document reader and its results.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The formats that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Portable Document Format.
    Pdf,
    /// Word, from 2007 on.
    Docx,
    /// A web page.
    Html,
    /// Plain text in any encoding.
    Text,
}

impl Format {
    /// Returns the name for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Format::Pdf => "PDF",
            Format::Docx => "Word (.docx)",
            Format::Html => "HTML",
            Format::Text => "plain text",
        }
    }
}

/// The part of a document that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// First and last page, counted from 1, both included. Only a PDF has several pages.
    pub pages: Option<(u32, u32)>,
    /// At most this many pages are read; the rest is reported as truncated.
    pub max_pages: u32,
    /// The text is cut at this many bytes, and the result says so.
    pub max_output_bytes: usize,
    /// Size limit: a larger PDF or Word file is refused; of text and HTML only this much is read.
    pub max_input_bytes: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { pages: None, max_pages: 2_000, max_output_bytes: 16 << 20, max_input_bytes: 128 << 20 }
    }
}

/// The position in the text where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageOffset {
    /// The page number, counted from 1.
    pub page: u32,
    /// Byte offset of the page in the text.
    pub offset: usize,
}

/// The text of a document and its properties.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names of the fields say it")]
pub struct Extracted {
    /// The text, paragraphs separated by an empty line.
    pub text: String,
    /// The title that the document gives itself.
    pub title: Option<String>,
    /// The pages of the document, read or not.
    pub pages: u32,
    /// Start of each page that was read; empty for formats without pages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub page_offsets: Vec<PageOffset>,
    /// Words in the text.
    pub words: u64,
    /// Characters in the text.
    pub characters: u64,
    pub format: Format,
    /// The character encoding, where the format leaves a choice.
    pub encoding: Option<String>,
    /// Whether the text is incomplete because a limit was reached.
    pub truncated: bool,
    /// Author, dates and the like, as the document states them.
    pub metadata: BTreeMap<String, String>,
    /// Warnings for a reader of the text: pages that could not be read, a name that does not fit the content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl Extracted {
    /// Makes a one-page document of this format and counts its words and characters.
    pub(super) fn of(format: Format, text: String, truncated: bool) -> Extracted {
        let words = text.split_whitespace().count() as u64;
        let characters = text.chars().count() as u64;
        Extracted {
            text,
            title: None,
            pages: 1,
            page_offsets: Vec::new(),
            words,
            characters,
            format,
            encoding: None,
            truncated,
            metadata: BTreeMap::new(),
            warnings: Vec::new(),
        }
    }
}

/// The reason why a document gave no text. Each message continues the name of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", content = "detail", rename_all = "snake_case")]
pub enum ExtractError {
    /// The format is not supported.
    #[error("cannot be read as a document: {0}")]
    Unsupported(String),
    /// The file claims a format and breaks its rules.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// The file needs a password.
    #[error("is protected by a password: save a copy without one")]
    Encrypted,
    /// The file, or what it unpacks to, exceeds the limits.
    #[error("is too large: {0}")]
    TooLarge(String),
    /// The document lacks the requested pages.
    #[error("does not have the pages asked for: {0}")]
    NoSuchPages(String),
    /// The file cannot be opened or read.
    #[error("cannot be opened: {0}")]
    Unreadable(String),
}
