//! Text out of documents: PDF, Word, HTML and plain text.
//!
//! Documents come from strangers, so they are read in a child process under limits: [`ChildReader`] starts the binary
//! with a hidden verb, [`child_main`] is that verb, and [`extract`] does the work inside. A file that is damaged,
//! encrypted, endless or made to explode fails its own task with a message that says what is wrong with it.

mod child;
mod docx;
mod docx_body;
mod docx_parts;
mod docx_zip;
mod extract;
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
mod reader;
mod sink;
mod sniff;
mod text;

pub use child::{CHILD_VERB, child_main};
pub use extract::{extract, extract_file};
pub use model::{ExtractError, Extracted, Format, Options, PageOffset};
pub use reader::ChildReader;
pub use sniff::{Sniffed, sniff};
