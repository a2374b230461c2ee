//! What is asked of a document and what comes out of it.

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
    /// The name for a person.
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

/// How much of a document is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// First and last page, counted from 1, both included. Only a PDF has pages; other formats are one page.
    pub pages: Option<(u32, u32)>,
    /// At most this many pages are read; the rest is reported as truncated.
    pub max_pages: u32,
    /// The text is cut at this many bytes, and the result says so.
    pub max_output_bytes: usize,
    /// A PDF or Word file larger than this is refused; of text and HTML only this much is read.
    pub max_input_bytes: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { pages: None, max_pages: 2_000, max_output_bytes: 16 << 20, max_input_bytes: 128 << 20 }
    }
}

/// Where a page begins in the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageOffset {
    /// The number of the page in the document, counted from 1.
    pub page: u32,
    /// The byte of the text at which the page begins.
    pub offset: usize,
}

/// The text of a document and what is known about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extracted {
    /// The text, paragraphs separated by an empty line.
    pub text: String,
    /// The title that the document gives itself.
    pub title: Option<String>,
    /// How many pages the document has, whether read or not.
    pub pages: u32,
    /// Where each page that was read begins; empty for formats without pages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub page_offsets: Vec<PageOffset>,
    /// Words in the text.
    pub words: u64,
    /// Characters in the text.
    pub characters: u64,
    /// What the document turned out to be.
    pub format: Format,
    /// The character encoding, where the format leaves a choice.
    pub encoding: Option<String>,
    /// Whether there is more in the document than in the text, because a limit was reached.
    pub truncated: bool,
    /// Author, dates and the like, as the document states them.
    pub metadata: BTreeMap<String, String>,
    /// What a reader of the text should know: pages that could not be read, a name that does not fit the content.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl Extracted {
    /// A one-page document of this format, its words and characters counted.
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

/// Why a document gave no text. Each message reads on after the name of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", content = "detail", rename_all = "snake_case")]
pub enum ExtractError {
    /// It is not one of the formats that can be read.
    #[error("cannot be read as a document: {0}")]
    Unsupported(String),
    /// It claims a format and breaks its rules.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// It needs a password.
    #[error("is protected by a password: save a copy without one")]
    Encrypted,
    /// It is, or unpacks to, more than the limits allow.
    #[error("is too large: {0}")]
    TooLarge(String),
    /// It does not have the pages that were asked for.
    #[error("does not have the pages asked for: {0}")]
    NoSuchPages(String),
    /// The file cannot be opened or read.
    #[error("cannot be opened: {0}")]
    Unreadable(String),
}
