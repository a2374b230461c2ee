//! Text out of web pages.

use std::collections::BTreeMap;

use super::{
    decode::{decode, decode_labelled},
    html_token::{Token, Tokens, attribute},
    model::{ExtractError, Extracted, Format, Options},
    sink::Sink,
    text::looks_binary,
};

/// A title or a description longer than this is none.
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

/// Elements whose content nobody reads.
const HIDDEN: [&str; 10] =
    ["script", "style", "noembed", "template", "svg", "math", "iframe", "object", "canvas", "datalist"];

/// Reads a page. `cut` says that the file goes on after these bytes.
pub(super) fn extract(bytes: &[u8], cut: bool, options: &Options) -> Result<Extracted, ExtractError> {
    if looks_binary(bytes) {
        return Err(ExtractError::Damaged("HTML by its name, but it holds binary data".to_owned()));
    }
    let (page, encoding) =
        label(bytes).and_then(|label| decode_labelled(bytes, &label)).unwrap_or_else(|| decode(bytes));
    let mut reader = Reader::new(options.max_output_bytes);
    for token in Tokens::of(&page) {
        if reader.sink.is_full() {
            break;
        }
        reader.take(token);
    }
    let title = reader.title().filter(|title| !title.is_empty());
    let (text, full) = reader.sink.finish();
    let mut extracted = Extracted::of(Format::Html, text, cut || full);
    extracted.encoding = Some(encoding.to_owned());
    extracted.title = title;
    extracted.metadata = reader.metadata;
    Ok(extracted)
}

/// The encoding that the page names within its first kilobyte.
fn label(bytes: &[u8]) -> Option<String> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") || bytes.starts_with(b"\xef\xbb\xbf") {
        return None;
    }
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(1_024)]).to_ascii_lowercase();
    let after = start.split_once("charset")?.1.trim_start().strip_prefix('=')?.trim_start();
    let value = after.trim_start_matches(['"', '\'']);
    let end = value.find(|c: char| !(c.is_ascii_alphanumeric() || "-_:.".contains(c))).unwrap_or(value.len());
    Some(value[..end].to_owned())
}

/// What has been read of a page.
struct Reader {
    sink: Sink,
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
    fn new(limit: usize) -> Reader {
        Reader {
            sink: Sink::new(limit),
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

    fn take(&mut self, token: Token<'_>) {
        match token {
            Token::Text(text) => self.text(text),
            Token::Open(name, attributes) => self.open(name, attributes),
            Token::Close(name) => self.close(&name),
        }
    }

    fn text(&mut self, text: &str) {
        if self.hidden.is_some() {
            return;
        }
        let text = unescape(text);
        if self.in_title {
            append(&mut self.title, &text);
            return;
        }
        if self.in_heading {
            append(&mut self.heading, &text);
        }
        if self.preformatted > 0 { self.sink.verbatim(&text) } else { self.sink.flow(&text) }
    }

    fn open(&mut self, name: String, attributes: &str) {
        if let Some((hidden, depth)) = &mut self.hidden {
            if *hidden == name {
                *depth = depth.saturating_add(1);
            }
            return;
        }
        if HIDDEN.contains(&name.as_str()) {
            // `<svg/>` and its like are closed already.
            self.hidden = (!attributes.ends_with('/')).then_some((name, 0));
            return;
        }
        self.edge(&name);
        match name.as_str() {
            "title" => self.in_title = self.title.is_none(),
            "h1" => self.in_heading = self.heading.is_none(),
            "pre" => self.preformatted = self.preformatted.saturating_add(1),
            "li" => self.sink.flow("- "),
            "meta" => self.meta(attributes),
            "img" => {
                if let Some(words) = attribute(attributes, "alt") {
                    self.sink.flow(&format!(" {} ", unescape(words)));
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

    /// The white space that an element has around it.
    fn edge(&mut self, name: &str) {
        if PARAGRAPHS.contains(&name) || matches!(name, "ul" | "ol" | "table") {
            self.sink.paragraph();
        } else if LINES.contains(&name) || name == "br" {
            self.sink.line();
        } else if matches!(name, "td" | "th") {
            self.sink.tab();
        }
    }

    fn meta(&mut self, attributes: &str) {
        let Some(name) = attribute(attributes, "name").map(str::to_ascii_lowercase) else { return };
        if let Some(content) = attribute(attributes, "content")
            && matches!(name.as_str(), "author" | "description" | "keywords" | "date" | "generator")
        {
            let value: String = unescape(content).chars().filter(|c| !c.is_control()).take(LABEL_MAX).collect();
            self.metadata.insert(name, value);
        }
    }
}

/// Adds to a label as far as it may grow.
fn append(label: &mut Option<String>, text: &str) {
    let label = label.get_or_insert_default();
    let room = LABEL_MAX.saturating_sub(label.len());
    label.extend(text.chars().filter(|c| !c.is_control() || c.is_whitespace()).take(room));
}

/// Replaces entities by their characters; what is none stays as it stands.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let end = after.bytes().take(32).position(|byte| !(byte.is_ascii_alphanumeric() || byte == b'#'));
        let end = end.unwrap_or(after.len().min(32));
        match after.get(..end).and_then(entity) {
            Some(character) => {
                out.push(character);
                rest = after[end..].strip_prefix(';').unwrap_or(&after[end..]);
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => number.parse(),
        };
        // A number too large for any type is as unknown as one that names no character.
        return Some(code.ok().and_then(windows_1252).unwrap_or(char::REPLACEMENT_CHARACTER))
            .filter(|_| !number.is_empty());
    }
    if let Some(at) = LATIN.iter().position(|known| *known == name) {
        return u32::try_from(at).ok().and_then(|at| char::from_u32(0xa0 + at));
    }
    NAMED.iter().find(|(known, _)| *known == name).map(|(_, character)| *character)
}

/// A numeric entity; pages mean Windows characters by the numbers that Unicode gives to controls.
fn windows_1252(code: u32) -> Option<char> {
    match u8::try_from(code) {
        Ok(byte @ 0x80..=0x9f) => encoding_rs::WINDOWS_1252.decode(&[byte]).0.chars().next(),
        _ => char::from_u32(code),
    }
}

/// The entities of U+00A0 to U+00FF, in order.
const LATIN: [&str; 96] = [
    "nbsp", "iexcl", "cent", "pound", "curren", "yen", "brvbar", "sect", "uml", "copy", "ordf", "laquo", "not", "shy",
    "reg", "macr", "deg", "plusmn", "sup2", "sup3", "acute", "micro", "para", "middot", "cedil", "sup1", "ordm",
    "raquo", "frac14", "frac12", "frac34", "iquest", "Agrave", "Aacute", "Acirc", "Atilde", "Auml", "Aring", "AElig",
    "Ccedil", "Egrave", "Eacute", "Ecirc", "Euml", "Igrave", "Iacute", "Icirc", "Iuml", "ETH", "Ntilde", "Ograve",
    "Oacute", "Ocirc", "Otilde", "Ouml", "times", "Oslash", "Ugrave", "Uacute", "Ucirc", "Uuml", "Yacute", "THORN",
    "szlig", "agrave", "aacute", "acirc", "atilde", "auml", "aring", "aelig", "ccedil", "egrave", "eacute", "ecirc",
    "euml", "igrave", "iacute", "icirc", "iuml", "eth", "ntilde", "ograve", "oacute", "ocirc", "otilde", "ouml",
    "divide", "oslash", "ugrave", "uacute", "ucirc", "uuml", "yacute", "thorn", "yuml",
];

/// Other entities that pages use.
const NAMED: [(&str, char); 44] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("ndash", '–'),
    ("mdash", '—'),
    ("hellip", '…'),
    ("lsquo", '‘'),
    ("rsquo", '’'),
    ("sbquo", '‚'),
    ("ldquo", '“'),
    ("rdquo", '”'),
    ("bdquo", '„'),
    ("lsaquo", '‹'),
    ("rsaquo", '›'),
    ("euro", '€'),
    ("bull", '•'),
    ("trade", '™'),
    ("dagger", '†'),
    ("Dagger", '‡'),
    ("permil", '‰'),
    ("prime", '′'),
    ("Prime", '″'),
    ("larr", '←'),
    ("uarr", '↑'),
    ("rarr", '→'),
    ("darr", '↓'),
    ("harr", '↔'),
    ("ne", '≠'),
    ("le", '≤'),
    ("ge", '≥'),
    ("asymp", '≈'),
    ("minus", '−'),
    ("infin", '∞'),
    ("ensp", ' '),
    ("emsp", ' '),
    ("thinsp", ' '),
    ("zwnj", '\u{200c}'),
    ("zwj", '\u{200d}'),
    ("OElig", 'Œ'),
    ("oelig", 'œ'),
    ("Scaron", 'Š'),
    ("scaron", 'š'),
];

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
    fn hidden_elements_may_nest() {
        assert_eq!(read("<template>a<template>b</template>c</template>d").text, "d");
        assert_eq!(read("<svg/>seen").text, "seen");
    }
}
