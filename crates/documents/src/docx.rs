//! Text out of Word files: the paragraphs of the main part, its tables, then its notes, comments, headers and footers.

use std::{collections::BTreeMap, io::BufRead};

use quick_xml::{Reader, events::Event};

use super::{
    docx_body::{Body, bad_xml, declares_entities, reference},
    docx_parts::{main_part, relationships},
    docx_zip::Parts,
    model::{ExtractError, Extracted, Format, Options},
};

/// The longest title or author's name, in bytes; a longer one is cut.
pub(super) const LABEL_MAX: usize = 1_000;

/// The parts that a Word file shows beside its main part: the kind of their relationship and the name for people, in
/// the order in which they are read.
const BESIDE: [(&str, &str); 6] = [
    ("footnotes", "footnotes"),
    ("endnotes", "endnotes"),
    ("comments", "comments"),
    ("diagramData", "diagram"),
    ("header", "header"),
    ("footer", "footer"),
];

/// Reads a Word file.
pub(super) fn extract(bytes: &[u8], options: &Options) -> Result<Extracted, ExtractError> {
    let mut parts = Parts::open(bytes)?;
    let main = main_part(&mut parts).ok_or_else(|| ExtractError::Unsupported(without_main(&parts)))?;
    let mut body = Body::new(options.max_output_bytes);
    if let Some(part) = parts.part(&main)? {
        body.read(part)?;
    }
    if body.root() != Some("document") {
        return Err(ExtractError::Unsupported(without_main(&parts)));
    }
    let mut warnings = body.embedded_warning().into_iter().collect();
    read_beside(&mut parts, &main, &mut body, &mut warnings);
    let mut metadata = properties(&mut parts);
    let title = metadata.remove("title").filter(|title| !title.trim().is_empty()).or(body.title());
    let (text, full) = body.finish();
    let mut extracted = Extracted::of(Format::Docx, text, full);
    extracted.title = title;
    extracted.pages = metadata.remove("pages").and_then(|pages| pages.parse().ok()).unwrap_or(1).max(1);
    extracted.metadata = metadata;
    extracted.warnings = warnings;
    Ok(extracted)
}

/// Adds the notes, comments, headers and footers. One that cannot be read costs a warning and not the document.
fn read_beside(parts: &mut Parts<'_>, main: &str, body: &mut Body, warnings: &mut Vec<String>) {
    let related = relationships(parts, main);
    let mut seen: Vec<String> = Vec::new();
    for (kind, label) in BESIDE {
        let mut targets: Vec<String> =
            related.iter().filter(|to| to.kind == kind).map(|to| to.target.clone()).collect();
        // Files that other programs wrote may lack the list.
        if related.is_empty() {
            targets.push(format!("word/{kind}.xml"));
        }
        targets.dedup();
        for target in targets {
            let mut own = Body::new(body.room());
            let read = parts.part(&target).and_then(|part| part.map_or(Ok(()), |part| own.read(part)));
            if let Err(error) = read {
                warnings.push(format!("the {label} could not be read (`{target}` {error})"));
            }
            let (text, _) = own.finish();
            // The headers of the first, the odd and the even pages often repeat one text.
            if !text.is_empty() && !seen.contains(&text) {
                body.append(&text);
                seen.push(text);
            }
        }
    }
}

/// Returns what the file says about itself. A file whose text can be read is not refused over its properties.
fn properties(parts: &mut Parts<'_>) -> BTreeMap<String, String> {
    let related = relationships(parts, "");
    let named = |kinds: [&str; 2], usual: &str| {
        let found = related.iter().find(|to| kinds.contains(&to.kind.as_str()));
        found.map_or_else(|| usual.to_owned(), |to| to.target.clone())
    };
    let names = [
        named(["core-properties", "coreProperties"], "docProps/core.xml"),
        named(["extended-properties", "extendedProperties"], "docProps/app.xml"),
    ];
    let mut metadata = BTreeMap::new();
    for name in names {
        if let Ok(Some(part)) = parts.part(&name) {
            let _ = read_properties(part, &mut metadata);
        }
    }
    metadata
}

fn without_main(parts: &Parts<'_>) -> String {
    let known = [
        ("xl/", "it is an Excel workbook: export the sheet as CSV or PDF"),
        ("ppt/", "it is a PowerPoint presentation: export it as PDF"),
        ("META-INF/", "it is an OpenDocument file, an e-book or a Java archive: save it as .docx or PDF"),
    ];
    let found = known.iter().find(|(folder, _)| parts.any_under(folder)).map(|(_, what)| (*what).to_owned());
    found.unwrap_or_else(|| {
        "it is a ZIP archive in which no main part of a Word document was found, so not a Word document".to_owned()
    })
}

/// The properties that are kept, by the names that the result gives them.
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

/// Adds to a property, up to its length limit.
fn add(into: &mut BTreeMap<String, String>, name: Option<&str>, text: &str) {
    if let Some(name) = name {
        let value = into.entry(name.to_owned()).or_default();
        let room = LABEL_MAX.saturating_sub(value.len());
        value.extend(text.chars().filter(|c| !c.is_control()).take(room));
    }
}

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
            Event::Text(text) => add(into, inside, &text.xml10_content()),
            Event::CData(text) => add(into, inside, &text.xml10_content()),
            Event::GeneralRef(name) => add(into, inside, reference(&name).encode_utf8(&mut [0; 4])),
            Event::End(_) => inside = None,
            Event::DocType(_) => return Err(declares_entities()),
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}
