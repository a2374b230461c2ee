//! The relationships of a Word file, which say where its parts are.
//!
//! A Word file is a package: `_rels/.rels` names the main part, and the main part names its notes, headers and
//! comments. The usual names (`word/document.xml`) are one program's convention, not a rule.

use std::io::BufRead;

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};

use super::{docx_zip::Parts, model::ExtractError};

/// The most relationships that are read.
const RELATIONSHIPS_MAX: usize = 20_000;

/// One part that another part refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relationship {
    /// The last segment of its type, which the transitional and the strict form of the format share.
    pub kind: String,
    /// The name of the part in the package.
    pub target: String,
}

/// The parts that `source` refers to, in the order of the file; with an empty `source`, those of the package itself.
/// Empty when the list is missing or cannot be read.
pub(super) fn relationships(parts: &mut Parts<'_>, source: &str) -> Vec<Relationship> {
    let (folder, name) = source.rsplit_once('/').map_or(("", source), |(folder, name)| (folder, name));
    let list = if folder.is_empty() { format!("_rels/{name}.rels") } else { format!("{folder}/_rels/{name}.rels") };
    match parts.part(&list) {
        Ok(Some(part)) => read_elements(part, "Relationship", |tag| {
            let inside = attribute(tag, "TargetMode").is_none_or(|mode| !mode.eq_ignore_ascii_case("External"));
            let kind = attribute(tag, "Type")?.rsplit('/').next().map(str::to_owned);
            let target = attribute(tag, "Target").filter(|_| inside)?;
            Some(Relationship { kind: kind?, target: resolve(folder, &target) })
        })
        .unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// The name of the main part: by the relationships of the package, then by its content types, then the usual one.
pub(super) fn main_part(parts: &mut Parts<'_>) -> Option<String> {
    const USUAL: &str = "word/document.xml";
    let related = relationships(parts, "").into_iter().filter(|to| to.kind == "officeDocument").map(|to| to.target);
    let related: Vec<String> = related.filter(|target| parts.has(target)).collect();
    if let Some(main) = related.into_iter().next() {
        return Some(main);
    }
    let typed = match parts.part("[Content_Types].xml") {
        Ok(Some(part)) => read_elements(part, "Override", |tag| {
            let kind = attribute(tag, "ContentType")?;
            let is_main = kind.contains("word") && kind.ends_with(".main+xml");
            attribute(tag, "PartName").filter(|_| is_main).map(|name| resolve("", &name))
        })
        .unwrap_or_default(),
        _ => Vec::new(),
    };
    typed.into_iter().chain([USUAL.to_owned()]).find(|name| parts.has(name))
}

/// Calls `take` for each element of this name and collects the results.
fn read_elements<T>(
    part: impl BufRead,
    name: &str,
    take: impl Fn(&BytesStart<'_>) -> Option<T>,
) -> Result<Vec<T>, ExtractError> {
    let mut reader = Reader::from_reader(part);
    let mut buffer = Vec::new();
    let mut found = Vec::new();
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(tag) | Event::Empty(tag)) if tag.local_name().as_ref() == name => found.extend(take(&tag)),
            Ok(Event::DocType(_)) | Err(_) => {
                return Err(ExtractError::Damaged("its list of parts is broken".to_owned()));
            }
            Ok(Event::Eof) => return Ok(found),
            Ok(_) => {}
        }
        if found.len() >= RELATIONSHIPS_MAX {
            return Ok(found);
        }
    }
}

/// The value of an attribute by its local name, its entities replaced.
pub(super) fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = tag.attributes().flatten().find(|attribute| attribute.key.local_name().as_ref() == name)?;
    let value =
        found.normalized_value(XmlVersion::Implicit1_0).map_or_else(|_| found.value.to_string(), |v| v.to_string());
    Some(value)
}

/// The name of the part that `target` means inside `folder`.
fn resolve(folder: &str, target: &str) -> String {
    let target = target.split(['#', '?']).next().unwrap_or_default().replace('\\', "/");
    let mut path: Vec<&str> = match target.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => folder.split('/').filter(|step| !step.is_empty()).collect(),
    };
    for step in target.split('/') {
        match step {
            "" | "." => {}
            ".." => {
                path.pop();
            }
            step => path.push(step),
        }
    }
    unescape(&path.join("/"))
}

/// Replaces `%20` and its like.
fn unescape(name: &str) -> String {
    let bytes = name.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code =
            bytes.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match code {
            Some(code) if bytes[at] == b'%' => {
                out.push(code);
                at += 3;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_absolute_or_relative_to_their_source() {
        for (folder, target, name) in [
            ("", "word/document2.xml", "word/document2.xml"),
            ("word", "/word/document.xml", "word/document.xml"),
            ("word", "notes/footnotes.xml", "word/notes/footnotes.xml"),
            ("word", "../customXml/a%20b.xml", "customXml/a b.xml"),
            ("", "./word\\document.xml#x", "word/document.xml"),
            ("", "../../etc/passwd", "etc/passwd"),
            ("", "100%", "100%"),
        ] {
            assert_eq!(resolve(folder, target), name);
        }
    }
}
