//! Text out of documents: PDF, Word, HTML and plain text.
//!
//! Documents come from strangers, so they are read in a child process under limits: [`ChildReader`] starts the binary
//! with a hidden verb, [`child_main`] is that verb, and [`extract`] does the work inside. A file that is damaged,
//! encrypted, endless or made to explode fails its own task with a message that says what is wrong with it.

mod child;
mod child_reader;
mod document_reader;
mod docx;
mod docx_body;
mod docx_parts;
mod docx_zip;
mod encoding;
mod extract;
mod extract_text;
mod html;
mod model;
mod pdf;
mod pdf_direction;
mod pdf_fields;
mod pdf_fonts;
mod pdf_glyphs;
mod pdf_info;
mod pdf_layout;
mod pdf_page;
mod pdf_repair;
mod pdf_warnings;
mod plain_text;
mod sink;
mod sniff;
mod text;

pub use child::{CHILD_VERB, child_main};
pub use child_reader::ChildReader;
pub use document_reader::DocumentReader;
pub use extract::{extract, extract_file};
pub use extract_text::{ExtractText, media_type_of};
pub use model::{ExtractError, Extracted, Format, Options, PageOffset};
pub use plain_text::{PlainText, decode};
pub use sniff::{Sniffed, sniff};
