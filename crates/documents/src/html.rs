//! Text out of web pages.

use std::collections::BTreeMap;

use html5gum::{StartTag, State, Token, Tokenizer};

use super::{
    model::{ExtractError, Extracted, Format, Options},
    sink::Sink,
};
use crate::encoding::{Decoded, decode, decode_labelled, looks_binary};

/// The longest title or description, in bytes; a longer one is ignored.
const LABEL_MAX: usize = 1_000;

/// Elements that begin and end a paragraph.
const PARAGRAPHS: [&str; 22] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "body",
    "dl",
    "fieldset",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "main",
    "nav",
    "p",
    "pre",
    "section",
];

/// Elements that begin and end a line.
const LINES: [&str; 12] =
    ["caption", "dd", "details", "div", "dt", "figcaption", "hr", "legend", "li", "option", "summary", "tr"];

/// Elements whose content is never visible.
const HIDDEN: [&str; 11] =
    ["script", "style", "noembed", "noframes", "template", "svg", "math", "iframe", "object", "canvas", "datalist"];

/// Bytes within which a page names its encoding.
const LABEL_WITHIN: usize = 4_096;

/// Reads a page. `cut` says that the file goes on after these bytes.
pub(super) fn extract(bytes: &[u8], cut: bool, options: &Options) -> Result<Extracted, ExtractError> {
    if looks_binary(bytes) {
        return Err(ExtractError::Damaged("HTML by its name, but it holds binary data".to_owned()));
    }
    let Decoded { text: page, encoding, warnings } =
        label(bytes).and_then(|label| decode_labelled(bytes, &label, cut)).unwrap_or_else(|| decode(bytes, cut));
    let mut reader = Reader::new(options.max_output_bytes, page.trim_start().starts_with("<?xml"));
    let mut tokens = Tokenizer::new(page.as_str());
    while let Some(Ok(token)) = tokens.next() {
        if let Token::StartTag(tag) = &token
            && let Some(state) = content_of(&tag.name).filter(|_| !reader.is_closed(tag))
        {
            tokens.set_state(state);
        }
        reader.take(token);
        if reader.sink.is_full() {
            break;
        }
    }
    let title = reader.title().filter(|title| !title.is_empty());
    let (text, full) = reader.sink.finish();
    let mut extracted = Extracted::of(Format::Html, text, cut || full);
    extracted.encoding = Some(encoding.name().to_owned());
    extracted.title = title;
    extracted.metadata = reader.metadata;
    extracted.warnings = warnings;
    Ok(extracted)
}

/// Returns the reader state for an element whose content is not markup. Scripts do not run here, so `noscript` is
/// markup.
fn content_of(name: &[u8]) -> Option<State> {
    match name {
        b"title" | b"textarea" => Some(State::RcData),
        b"script" => Some(State::ScriptData),
        b"style" | b"xmp" | b"iframe" | b"noembed" | b"noframes" => Some(State::RawText),
        b"plaintext" => Some(State::PlainText),
        _ => None,
    }
}

/// Returns the encoding that the page names within its first bytes: in an XML declaration or in a `meta` element.
fn label(bytes: &[u8]) -> Option<String> {
    let start: String = bytes[..bytes.len().min(LABEL_WITHIN)].iter().map(|&byte| char::from(byte)).collect();
    let declared = start.trim_start().strip_prefix("<?xml").and_then(|rest| rest.split_once("?>"));
    if let Some((_, value)) = declared.and_then(|(declaration, _)| declaration.split_once("encoding")) {
        return first_name(value);
    }
    Tokenizer::new(start.as_str()).flatten().find_map(|token| match token {
        Token::StartTag(tag) if *tag.name == b"meta" => match attribute(&tag, "charset") {
            Some(charset) => first_name(&charset),
            None => {
                let content = attribute(&tag, "content")?.to_ascii_lowercase();
                let is_type = attribute(&tag, "http-equiv")?.eq_ignore_ascii_case("content-type");
                content.split_once("charset").filter(|_| is_type).and_then(|(_, value)| first_name(value))
            }
        },
        _ => None,
    })
}

/// The first name of an encoding in a text such as ` = "utf-8"`.
fn first_name(text: &str) -> Option<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "-_:.".contains(c);
    let start = text.find(is_part)?;
    let name = &text[start..];
    Some(name[..name.find(|c| !is_part(c)).unwrap_or(name.len())].to_owned())
}

/// The value of an attribute, its entities replaced.
fn attribute(tag: &StartTag<()>, name: &str) -> Option<String> {
    tag.attributes.get(name.as_bytes()).map(|value| String::from_utf8_lossy(&value.value).into_owned())
}

/// State of reading a page.
struct Reader {
    sink: Sink,
    /// Whether the page is XML, in which any element may close itself.
    is_xml: bool,
    /// The hidden element that is open, and how many of the same name inside it.
    hidden: Option<(String, u32)>,
    preformatted: u32,
    in_title: bool,
    title: Option<String>,
    heading: Option<String>,
    in_heading: bool,
    metadata: BTreeMap<String, String>,
}

impl Reader {
    fn new(limit: usize, is_xml: bool) -> Reader {
        Reader {
            sink: Sink::new(limit),
            is_xml,
            hidden: None,
            preformatted: 0,
            in_title: false,
            title: None,
            heading: None,
            in_heading: false,
            metadata: BTreeMap::new(),
        }
    }

    fn title(&self) -> Option<String> {
        let tidy = |label: &String| label.split_whitespace().collect::<Vec<_>>().join(" ");
        self.title.as_ref().map(tidy).filter(|title| !title.is_empty()).or_else(|| self.heading.as_ref().map(tidy))
    }

    fn take(&mut self, token: Token) {
        match token {
            Token::String(text) => self.text(&String::from_utf8_lossy(&text.value)),
            Token::StartTag(tag) => self.open(&tag),
            Token::EndTag(tag) => self.close(&String::from_utf8_lossy(&tag.name)),
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
    }

    /// Says whether a tag opens nothing. Outside XML only elements of drawings and formulas close themselves.
    fn is_closed(&self, tag: &StartTag<()>) -> bool {
        tag.self_closing && (self.is_xml || matches!(&**tag.name, b"svg" | b"math"))
    }

    fn text(&mut self, text: &str) {
        if self.hidden.is_some() {
            return;
        }
        if self.in_title {
            append(&mut self.title, text);
            return;
        }
        if self.in_heading {
            append(&mut self.heading, text);
        }
        if self.preformatted > 0 { self.sink.verbatim(text) } else { self.sink.flow(text) }
    }

    fn open(&mut self, tag: &StartTag<()>) {
        let name = String::from_utf8_lossy(&tag.name);
        if let Some((hidden, depth)) = &mut self.hidden {
            if *hidden == name {
                *depth = depth.saturating_add(1);
            }
            return;
        }
        if HIDDEN.contains(&&*name) {
            self.hidden = (!self.is_closed(tag)).then(|| (name.into_owned(), 0));
            return;
        }
        self.edge(&name);
        match &*name {
            "title" if !self.is_closed(tag) => self.in_title = self.title.is_none(),
            "h1" => self.in_heading = self.heading.is_none(),
            "pre" => self.preformatted = self.preformatted.saturating_add(1),
            "li" => self.sink.flow("- "),
            "meta" => self.meta(tag),
            "img" => {
                if let Some(words) = attribute(tag, "alt") {
                    self.sink.flow(&format!(" {words} "));
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, name: &str) {
        if let Some((hidden, depth)) = &mut self.hidden {
            if hidden == name {
                match depth.checked_sub(1) {
                    Some(less) => *depth = less,
                    None => self.hidden = None,
                }
            }
            return;
        }
        match name {
            "title" => self.in_title = false,
            "h1" => self.in_heading = false,
            "pre" => self.preformatted = self.preformatted.saturating_sub(1),
            _ => {}
        }
        self.edge(name);
    }

    /// Adds the white space around an element.
    fn edge(&mut self, name: &str) {
        if PARAGRAPHS.contains(&name) || matches!(name, "ul" | "ol" | "table") {
            self.sink.paragraph();
        } else if LINES.contains(&name) || name == "br" {
            self.sink.line();
        } else if matches!(name, "td" | "th") {
            self.sink.tab();
        }
    }

    fn meta(&mut self, tag: &StartTag<()>) {
        let Some(name) = attribute(tag, "name").map(|name| name.to_ascii_lowercase()) else { return };
        if let Some(content) = attribute(tag, "content")
            && matches!(name.as_str(), "author" | "description" | "keywords" | "date" | "generator")
        {
            let value: String = content.chars().filter(|c| !c.is_control()).take(LABEL_MAX).collect();
            self.metadata.insert(name, value);
        }
    }
}

/// Adds to a label, up to its length limit.
fn append(label: &mut Option<String>, text: &str) {
    let label = label.get_or_insert_default();
    let room = LABEL_MAX.saturating_sub(label.len());
    label.extend(text.chars().filter(|c| !c.is_control() || c.is_whitespace()).take(room));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(page: &str) -> Extracted {
        extract(page.as_bytes(), false, &Options::default()).unwrap()
    }

    #[test]
    fn a_page_reads_as_it_looks() {
        let page = "<!doctype html><html><head><title>Price &amp; terms</title><style>p{}</style>\
            <meta name=author content='A. Reader'></head><body><h1>Terms</h1><p>One\n line,<b>bo</b>ld.</p>\
            <ul><li>first</li><li>second</ul><table><tr><td>a</td><td>b</td></tr><tr><td>c<td>d</table>\
            <pre>x\n  y</pre><script>hidden()</script>&eacute;&#8364;&#x80;&unknown;&copy 2&#99999999;</body></html>";
        let read = read(page);
        assert_eq!(
            read.text,
            "Terms\n\nOne line,bold.\n\n- first\n- second\n\na\tb\nc\td\n\nx\n  y\n\né€€&unknown;© 2\u{fffd}"
        );
        assert_eq!(read.title.as_deref(), Some("Price & terms"));
        assert_eq!(read.metadata["author"], "A. Reader");
        assert_eq!(read.encoding.as_deref(), Some("UTF-8"));
    }

    #[test]
    fn the_first_heading_stands_in_for_a_title() {
        assert_eq!(read("<h1>A <i>b</i></h1><h1>c</h1>").title.as_deref(), Some("A b"));
        assert_eq!(read("<p>none").title, None);
    }

    #[test]
    fn a_page_names_its_encoding() {
        let page = b"<html><meta charset=\"iso-8859-2\"><p>\xb3";
        let read = extract(page, false, &Options::default()).unwrap();
        assert_eq!((read.text.as_str(), read.encoding.as_deref()), ("ł", Some("ISO-8859-2")));
    }

    #[test]
    fn a_label_counts_only_where_it_is_one() {
        for (page, name) in [
            (&b"<META CHARSET=koi8-r><p>\xc1"[..], "KOI8-R"),
            (b"<meta http-equiv='Content-Type' content='text/html; charset=windows-1251'><p>\xe0", "windows-1251"),
            (b"<?xml version=\"1.0\" encoding=\"iso-8859-5\"?><html><p>\xd0", "ISO-8859-5"),
        ] {
            let read = extract(page, false, &Options::default()).unwrap();
            assert_eq!((read.text.chars().count(), read.encoding.as_deref()), (1, Some(name)));
        }
        let comment = extract(b"<!-- charset=koi8-r --><p>na\xefve", false, &Options::default()).unwrap();
        assert_eq!(comment.encoding.as_deref(), Some("windows-1252"));
        let wrong = extract(b"<meta charset=utf-8><p>na\xefve", false, &Options::default()).unwrap();
        assert_eq!((wrong.text.as_str(), wrong.warnings.len()), ("naïve", 1));
    }

    #[test]
    fn entities_are_those_of_html() {
        for (source, text) in [
            ("&alpha;&Delta; &sum; &hearts; &forall; &check; &star;", "αΔ ∑ ♥ ∀ ✓ ☆"),
            ("&NotEqualTilde; &fjlig; &ThickSpace;x", "≂̸ fj x"),
            ("&amp;amp; &ampx &ltx &notit; &notin;", "&amp; &x <x ¬it; ∉"),
            ("&#128;&#x80;&#145;&#0;&#xD800;&#x110000;&#x1F600;", "€€‘\u{fffd}\u{fffd}\u{fffd}😀"),
            ("a & b &; &# &#x; &unknown; &Alpha", "a & b &; &# &#x; &unknown; &Alpha"),
        ] {
            assert_eq!(read(&format!("<p>{source}</p>")).text, text, "{source}");
        }
        assert_eq!(read("<img alt='&eacute;&copy=&ampx'>").text, "é&copy=&ampx");
        assert_eq!(read("<title>a &mdash; b</title>").title.as_deref(), Some("a — b"));
    }

    #[test]
    fn markup_is_read_by_the_rules_of_html() {
        for (page, text) in [
            ("1 < 2 <b>x</b><br/>y", "1 < 2 x\ny"),
            ("a<!--> b <!-- c --!> d", "a b d"),
            ("<textarea><b>&lt;</textarea>x", "<b><x"),
            ("<script>'</p>'<!-- <script> </script> --></script>after", "after"),
            ("<noscript><p>shown</p></noscript>", "shown"),
            ("<p title='a>b' hidden>x", "x"),
            ("<script src=a />hidden</script>seen", "seen"),
            ("<?xml version='1.0'?><html><script src='a'/>seen</html>", "seen"),
            ("<style>a</STYLE >seen", "seen"),
            ("x</>y<?php echo ?>z", "xyz"),
        ] {
            assert_eq!(read(page).text, text, "{page}");
        }
    }

    #[test]
    fn hidden_elements_may_nest() {
        assert_eq!(read("<template>a<template>b</template>c</template>d").text, "d");
        assert_eq!(read("<svg/>seen").text, "seen");
    }
}
