//! The XML of one part of a Word file as text, with the revisions as if all were accepted.

use std::io::BufRead;

use quick_xml::{
    Reader,
    events::{BytesRef, BytesStart, Event},
};

use super::{docx::LABEL_MAX, docx_parts::attribute, model::ExtractError, sink::Sink};

/// Elements whose content is not part of the text: the copy of a drawing for older programs, text that a revision
/// removed, and formatting that a revision replaced.
const GONE: [&str; 10] = [
    "Fallback",
    "del",
    "moveFrom",
    "rPrChange",
    "pPrChange",
    "sectPrChange",
    "tblPrChange",
    "trPrChange",
    "tcPrChange",
    "numberingChange",
];

/// The element whose properties are open. A deletion inside them deletes the whole paragraph mark, row or cell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Properties {
    None,
    Paragraph,
    Row,
    Cell,
}

/// The text read so far, and the reader's position in the part.
pub(super) struct Body {
    sink: Sink,
    root: Option<String>,
    title: Option<String>,
    /// Inside `w:t`, whose characters are the text.
    in_text: bool,
    /// Depth inside an element of [`GONE`], or the levels left of a deleted row or cell.
    gone: u32,
    properties: Properties,
    /// The row or cell whose properties are open is deleted.
    deleted: bool,
    /// The mark at the end of the paragraph is deleted: the next paragraph goes on in it.
    joined: bool,
    cells: u32,
    /// The paragraph is an item of a list.
    item: bool,
    /// The bullet of the item has not been written yet.
    bullet_due: bool,
    /// The paragraph before was an item, so the next gap is the gap between items.
    after_item: bool,
    /// The words of the title, when the paragraph is a title.
    heading: Option<String>,
    /// Parts in other formats that stand in the text.
    embedded: usize,
}

impl Body {
    /// Makes an empty text that takes `limit` bytes.
    pub(super) fn new(limit: usize) -> Body {
        Body {
            sink: Sink::new(limit),
            root: None,
            title: None,
            in_text: false,
            gone: 0,
            properties: Properties::None,
            deleted: false,
            joined: false,
            cells: 0,
            item: false,
            bullet_due: false,
            after_item: false,
            heading: None,
            embedded: 0,
        }
    }

    /// The name of the outermost element; `None` when nothing was read.
    pub(super) fn root(&self) -> Option<&str> {
        self.root.as_deref()
    }

    /// Returns the first heading, if any.
    pub(super) fn title(&mut self) -> Option<String> {
        self.title.take()
    }

    /// Returns how many bytes the text may still grow by.
    pub(super) fn room(&self) -> usize {
        self.sink.room()
    }

    /// Adds a text as paragraphs of its own.
    pub(super) fn append(&mut self, text: &str) {
        self.sink.paragraph();
        self.sink.verbatim(text);
    }

    /// Returns the text, and whether it was cut.
    pub(super) fn finish(self) -> (String, bool) {
        self.sink.finish()
    }

    /// Returns the warning that parts in other formats were left out; `None` without such parts.
    pub(super) fn embedded_warning(&self) -> Option<String> {
        match self.embedded {
            0 => None,
            1 => Some("1 embedded document (`altChunk`) was not read".to_owned()),
            count => Some(format!("{count} embedded documents (`altChunk`) were not read")),
        }
    }

    /// Reads a part.
    ///
    /// # Errors
    /// When its XML is broken or unpacks to too much.
    pub(super) fn read(&mut self, part: impl BufRead) -> Result<(), ExtractError> {
        let mut reader = Reader::from_reader(part);
        let mut buffer = Vec::new();
        while !self.sink.is_full() {
            buffer.clear();
            match reader.read_event_into(&mut buffer).map_err(|error| bad_xml(&error))? {
                Event::Start(tag) => self.open(&tag, false),
                Event::Empty(tag) => self.open(&tag, true),
                Event::End(tag) => self.close(tag.local_name().as_ref()),
                Event::Text(text) => self.text(&text.xml10_content()),
                Event::CData(text) => self.text(&text.xml10_content()),
                Event::GeneralRef(name) => self.text(reference(&name).encode_utf8(&mut [0; 4])),
                Event::DocType(_) => return Err(declares_entities()),
                Event::Eof => return Ok(()),
                _ => {}
            }
        }
        Ok(())
    }

    fn open(&mut self, tag: &BytesStart<'_>, empty: bool) {
        let name = tag.local_name();
        let name = name.as_ref();
        if self.root.is_none() {
            self.root = Some(name.chars().take(LABEL_MAX).collect());
        }
        if self.gone > 0 {
            self.gone = self.gone.saturating_add(u32::from(!empty));
            return;
        }
        if GONE.contains(&name) {
            self.gone = u32::from(!empty);
            match self.properties {
                Properties::Paragraph if matches!(name, "del" | "moveFrom") => self.joined = true,
                Properties::Row if name == "del" => self.deleted = true,
                _ => {}
            }
            return;
        }
        match name {
            "t" => self.in_text = !empty,
            "tab" | "ptab" if self.properties == Properties::None => self.text_now("\t"),
            "br" | "cr" => self.sink.line(),
            "noBreakHyphen" => self.text_now("-"),
            "sym" => self.symbol(tag),
            "tbl" => self.sink.paragraph(),
            "tc" if !empty => self.cells = self.cells.saturating_add(1),
            "p" => self.begin_paragraph(empty),
            "comment" => self.begin_comment(tag),
            "altChunk" => self.embedded += 1,
            "pPr" | "trPr" | "tcPr" if !empty => {
                self.deleted = false;
                self.properties = match name {
                    "pPr" => Properties::Paragraph,
                    "trPr" => Properties::Row,
                    _ => Properties::Cell,
                };
            }
            "cellDel" if self.properties == Properties::Cell => self.deleted = true,
            _ if self.properties == Properties::Paragraph => self.paragraph_property(name, tag),
            _ => {}
        }
    }

    fn begin_paragraph(&mut self, empty: bool) {
        self.item = false;
        self.bullet_due = false;
        if empty {
            self.end_paragraph();
        }
    }

    fn begin_comment(&mut self, tag: &BytesStart<'_>) {
        self.sink.paragraph();
        match attribute(tag, "author").filter(|author| !author.trim().is_empty()) {
            Some(author) => self.sink.flow(&format!("Comment by {author}: ")),
            None => self.sink.flow("Comment: "),
        }
    }

    fn paragraph_property(&mut self, name: &str, tag: &BytesStart<'_>) {
        let value = attribute(tag, "val").unwrap_or_default();
        match name {
            "numPr" => {
                self.item = true;
                self.bullet_due = true;
            }
            // List 0 takes a paragraph out of the list that its style puts it in.
            "numId" if value == "0" => {
                self.item = false;
                self.bullet_due = false;
            }
            "pStyle" if self.title.is_none() && matches!(value.as_str(), "Title" | "Heading1") => {
                self.heading = Some(String::new());
            }
            _ => {}
        }
    }

    /// Adds a character of a symbol font. Characters in the private range have no meaning outside their font.
    fn symbol(&mut self, tag: &BytesStart<'_>) {
        let code = attribute(tag, "char").and_then(|code| u32::from_str_radix(&code, 16).ok());
        let font = attribute(tag, "font").unwrap_or_default();
        let shown = match code {
            Some(code @ 0xf020..=0xf0ff) if font == "Symbol" => symbol_letter(code - 0xf000),
            Some(0xe000..=0xf8ff) | None => None,
            Some(code) => char::from_u32(code),
        };
        self.text_now(shown.unwrap_or('\u{25a1}').encode_utf8(&mut [0; 4]));
    }

    fn close(&mut self, name: &str) {
        if self.gone > 0 {
            self.gone -= 1;
            return;
        }
        match name {
            "t" => self.in_text = false,
            "pPr" => self.properties = Properties::None,
            "trPr" | "tcPr" => {
                self.properties = Properties::None;
                if std::mem::take(&mut self.deleted) {
                    // The end of the row or cell itself ends the gap.
                    self.gone = 1;
                    self.cells = self.cells.saturating_sub(u32::from(name == "tcPr"));
                }
            }
            "p" => self.end_paragraph(),
            "tc" => {
                self.cells = self.cells.saturating_sub(1);
                self.sink.tab();
            }
            "tr" => self.sink.line(),
            "tbl" => self.sink.paragraph(),
            _ => {}
        }
    }

    fn end_paragraph(&mut self) {
        if std::mem::take(&mut self.joined) {
            return;
        }
        self.title = self.title.take().or(self.heading.take().filter(|words| !words.trim().is_empty()));
        match self.cells {
            0 if self.item => self.sink.line(),
            0 => self.sink.paragraph(),
            _ => self.sink.flow(" "),
        }
        self.after_item = self.item;
    }

    fn text(&mut self, text: &str) {
        if self.in_text && self.gone == 0 {
            self.text_now(text);
        }
    }

    fn text_now(&mut self, text: &str) {
        if let Some(heading) = &mut self.heading {
            heading.extend(text.chars().take(LABEL_MAX.saturating_sub(heading.len())));
        }
        if self.after_item && !self.item {
            self.sink.paragraph();
            self.after_item = false;
        }
        if std::mem::take(&mut self.bullet_due) {
            self.sink.flow("- ");
        }
        if text == "\t" { self.sink.tab() } else { self.sink.flow(text) }
    }
}

/// The character that a reference in XML stands for; U+FFFD for one that XML does not know.
pub(super) fn reference(name: &BytesRef<'_>) -> char {
    let character = match name.resolve_char_ref() {
        Ok(Some(character)) => Some(character),
        _ => quick_xml::escape::resolve_predefined_entity(name).and_then(|text| text.chars().next()),
    };
    character.unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Returns the Greek letter at this position of the font `Symbol`; `None` for other characters.
fn symbol_letter(code: u32) -> Option<char> {
    const UPPER: &str = "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ";
    const LOWER: &str = "αβχδεφγηιϕκλμνοπθρστυϖωξψζ";
    match u8::try_from(code).ok()? {
        letter @ b'A'..=b'Z' => UPPER.chars().nth(usize::from(letter - b'A')),
        letter @ b'a'..=b'z' => LOWER.chars().nth(usize::from(letter - b'a')),
        digit @ (b'0'..=b'9' | b'(' | b')' | b'+' | b'=' | b'.' | b',') => Some(char::from(digit)),
        0xb7 => Some('•'),
        0xb0 => Some('°'),
        0xb1 => Some('±'),
        0xa3 => Some('≤'),
        0xb3 => Some('≥'),
        0xae => Some('→'),
        _ => None,
    }
}

/// Returns the refusal of a part that could define entities.
pub(super) fn declares_entities() -> ExtractError {
    ExtractError::Damaged("its XML declares a document type, which Word never does and bombs do".to_owned())
}

/// Translates an error of the XML reader.
pub(super) fn bad_xml(error: &quick_xml::Error) -> ExtractError {
    match error {
        quick_xml::Error::Io(io) if io.kind() == std::io::ErrorKind::FileTooLarge => {
            ExtractError::TooLarge(io.to_string())
        }
        _ => ExtractError::Damaged(format!("its XML is broken ({error})")),
    }
}
