//! Text out of Word files: the paragraphs of the main part, its tables, then its notes.

use std::{collections::BTreeMap, io::BufRead};

use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};

use super::{
    docx_zip::Parts,
    model::{ExtractError, Extracted, Format, Options},
    sink::Sink,
};

const MAIN: &str = "word/document.xml";

/// A title or an author's name longer than this is cut.
const LABEL_MAX: usize = 1_000;

/// Reads a Word file.
pub(super) fn extract(bytes: &[u8], options: &Options) -> Result<Extracted, ExtractError> {
    let mut parts = Parts::open(bytes)?;
    let mut body = Body::new(options.max_output_bytes);
    if !parts.has(MAIN) {
        return Err(ExtractError::Unsupported(without_main(&parts)));
    }
    if let Some(part) = parts.part(MAIN)? {
        body.read(part)?;
    }
    for notes in ["word/footnotes.xml", "word/endnotes.xml"] {
        body.sink.paragraph();
        if let Some(part) = parts.part(notes)? {
            body.read(part)?;
        }
    }
    let mut metadata = BTreeMap::new();
    for properties in ["docProps/core.xml", "docProps/app.xml"] {
        // Properties are a courtesy: a file whose text can be read is not refused over them.
        if let Ok(Some(part)) = parts.part(properties) {
            let _ = read_properties(part, &mut metadata);
        }
    }
    let title = metadata.remove("title").filter(|title| !title.trim().is_empty()).or(body.title);
    let (text, full) = body.sink.finish();
    let mut extracted = Extracted::of(Format::Docx, text, full);
    extracted.title = title;
    extracted.pages = metadata.remove("pages").and_then(|pages| pages.parse().ok()).unwrap_or(1).max(1);
    extracted.metadata = metadata;
    Ok(extracted)
}

fn without_main(parts: &Parts<'_>) -> String {
    let known = [
        ("xl/", "it is an Excel workbook: export the sheet as CSV or PDF"),
        ("ppt/", "it is a PowerPoint presentation: export it as PDF"),
        ("META-INF/", "it is an OpenDocument file, an e-book or a Java archive: save it as .docx or PDF"),
    ];
    let found = known.iter().find(|(folder, _)| parts.any_under(folder)).map(|(_, what)| (*what).to_owned());
    found.unwrap_or_else(|| format!("it is a ZIP archive without `{MAIN}`, so not a Word document"))
}

/// The text read so far, and where in the part we are.
struct Body {
    sink: Sink,
    title: Option<String>,
    /// Inside `w:t`, whose characters are the text.
    in_text: bool,
    /// Levels inside the copy that Word keeps of a drawing for older programs.
    fallback: u32,
    cells: u32,
    /// The paragraph is an item of a list.
    item: bool,
    /// The paragraph before was one, so that the gap due is that between items.
    after_item: bool,
    /// The paragraph is a title, and these are its words.
    heading: Option<String>,
}

impl Body {
    fn new(limit: usize) -> Body {
        Body {
            sink: Sink::new(limit),
            title: None,
            in_text: false,
            fallback: 0,
            cells: 0,
            item: false,
            after_item: false,
            heading: None,
        }
    }

    fn read(&mut self, part: impl BufRead) -> Result<(), ExtractError> {
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
                Event::GeneralRef(name) => {
                    let character = match name.resolve_char_ref() {
                        Ok(Some(character)) => Some(character),
                        _ => quick_xml::escape::resolve_predefined_entity(&name).and_then(|text| text.chars().next()),
                    };
                    self.text(&character.unwrap_or(char::REPLACEMENT_CHARACTER).to_string());
                }
                Event::DocType(_) => return Err(declares_entities()),
                Event::Eof => return Ok(()),
                _ => {}
            }
        }
        Ok(())
    }

    fn open(&mut self, tag: &BytesStart<'_>, empty: bool) {
        let name = tag.local_name();
        if self.fallback > 0 || name.as_ref() == "Fallback" {
            self.fallback = self.fallback.saturating_add(u32::from(!empty));
            return;
        }
        match name.as_ref() {
            "t" => self.in_text = !empty,
            "tab" | "ptab" => self.text_now("\t"),
            "br" | "cr" => self.sink.line(),
            "noBreakHyphen" => self.text_now("-"),
            "tbl" => self.sink.paragraph(),
            "tc" if !empty => self.cells = self.cells.saturating_add(1),
            "p" => self.item = false,
            "numPr" => {
                self.item = true;
                self.sink.flow("- ");
            }
            "pStyle" => {
                let style = value(tag).unwrap_or_default();
                if self.title.is_none() && matches!(style.as_str(), "Title" | "Heading1") {
                    self.heading = Some(String::new());
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        if self.fallback > 0 {
            self.fallback -= 1;
            return;
        }
        match name {
            "t" => self.in_text = false,
            "p" => {
                self.title = self.title.take().or(self.heading.take().filter(|words| !words.trim().is_empty()));
                match self.cells {
                    0 if self.item => self.sink.line(),
                    0 => self.sink.paragraph(),
                    _ => self.sink.flow(" "),
                }
                self.after_item = self.item;
            }
            "tc" => {
                self.cells = self.cells.saturating_sub(1);
                self.sink.tab();
            }
            "tr" => self.sink.line(),
            "tbl" => self.sink.paragraph(),
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        if self.in_text && self.fallback == 0 {
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
        if text == "\t" { self.sink.tab() } else { self.sink.flow(text) }
    }
}

/// The `w:val` of an element.
fn value(tag: &BytesStart<'_>) -> Option<String> {
    let found = tag.attributes().flatten().find(|attribute| attribute.key.local_name().as_ref() == "val")?;
    Some(found.value.to_string())
}

/// The properties worth keeping, by the names they are given here.
const PROPERTIES: [(&str, &str); 10] = [
    ("title", "title"),
    ("creator", "author"),
    ("subject", "subject"),
    ("keywords", "keywords"),
    ("description", "description"),
    ("lastModifiedBy", "last_modified_by"),
    ("created", "created"),
    ("modified", "modified"),
    ("Application", "application"),
    ("Pages", "pages"),
];

fn read_properties(part: impl BufRead, into: &mut BTreeMap<String, String>) -> Result<(), ExtractError> {
    let mut reader = Reader::from_reader(part);
    let mut buffer = Vec::new();
    let mut inside: Option<&str> = None;
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer).map_err(|error| bad_xml(&error))? {
            Event::Start(tag) => {
                let name = tag.local_name();
                inside = PROPERTIES.iter().find(|(known, _)| *known == name.as_ref()).map(|(_, ours)| *ours);
            }
            Event::Text(text) => {
                if let Some(name) = inside {
                    let value = into.entry(name.to_owned()).or_default();
                    let room = LABEL_MAX.saturating_sub(value.len());
                    value.extend(text.xml10_content().chars().filter(|c| !c.is_control()).take(room));
                }
            }
            Event::End(_) => inside = None,
            Event::DocType(_) => return Err(declares_entities()),
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

fn declares_entities() -> ExtractError {
    ExtractError::Damaged("its XML declares a document type, which Word never does and bombs do".to_owned())
}

fn bad_xml(error: &quick_xml::Error) -> ExtractError {
    match error {
        quick_xml::Error::Io(io) if io.kind() == std::io::ErrorKind::FileTooLarge => {
            ExtractError::TooLarge(io.to_string())
        }
        _ => ExtractError::Damaged(format!("its XML is broken ({error})")),
    }
}
