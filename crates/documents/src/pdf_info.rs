//! Properties of a PDF, and its content beside the pages.

use std::collections::BTreeMap;

use hayro_interpret::hayro_syntax::{
    Pdf,
    object::{DateTime, Dict, Object},
};

use super::pdf::catalog;

/// Returns the properties of the document, by the names that the result gives them. Empty ones are left out.
pub(super) fn metadata(pdf: &Pdf) -> BTreeMap<String, String> {
    let info = pdf.metadata();
    let texts = [
        ("title", &info.title),
        ("author", &info.author),
        ("subject", &info.subject),
        ("keywords", &info.keywords),
        ("application", &info.creator),
        ("producer", &info.producer),
    ];
    let texts = texts.into_iter().filter_map(|(name, bytes)| Some((name.to_owned(), label(bytes.as_deref()?)?)));
    let dates = [("created", &info.creation_date), ("modified", &info.modification_date)];
    let dates = dates.into_iter().filter_map(|(name, date)| Some((name.to_owned(), timestamp(date.as_ref()?))));
    texts.chain(dates).collect()
}

/// Returns warnings about visible content that the pages do not hold: dynamic forms and files inside the file.
pub(super) fn beyond_pages(pdf: &Pdf) -> Vec<String> {
    let mut out = Vec::new();
    let Some(catalog) = catalog(pdf) else { return out };
    if catalog.get::<Dict<'_>>(b"AcroForm").is_some_and(|form| form.get::<Object<'_>>(b"XFA").is_some()) {
        out.push("it holds an XFA form, which is not read; only what its pages show is".to_owned());
    }
    let attached = catalog.contains_key(b"AF")
        || catalog.get::<Dict<'_>>(b"Names").is_some_and(|names| names.contains_key(b"EmbeddedFiles"));
    if attached {
        out.push("files are attached to it, and they are not read".to_owned());
    }
    out
}

fn label(bytes: &[u8]) -> Option<String> {
    let text: String = text_string(bytes).chars().filter(|c| !c.is_control()).take(1_000).collect();
    (!text.trim().is_empty()).then(|| text.trim().to_owned())
}

/// Formats a date as ISO 8601.
fn timestamp(date: &DateTime) -> String {
    let DateTime { year, month, day, hour, minute, second, utc_offset_hour, utc_offset_minute } = date;
    let day = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
    match (utc_offset_hour, utc_offset_minute) {
        (0, 0) => format!("{day}Z"),
        (hours, minutes) => format!("{day}{hours:+03}:{minutes:02}"),
    }
}

/// Decodes a text string of a PDF: UTF-16 or UTF-8 by its mark, else PDFDocEncoding.
pub(super) fn text_string(bytes: &[u8]) -> String {
    match bytes {
        [0xfe, 0xff, rest @ ..] => encoding_rs::UTF_16BE.decode_without_bom_handling(rest).0.into_owned(),
        [0xff, 0xfe, rest @ ..] => encoding_rs::UTF_16LE.decode_without_bom_handling(rest).0.into_owned(),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => bytes.iter().map(|&byte| doc_encoding(byte)).collect(),
    }
}

/// PDFDocEncoding is Latin-1 but for these two ranges.
fn doc_encoding(byte: u8) -> char {
    const ACCENTS: &str = "˘ˇˆ˙˝˛˚˜";
    const SIGNS: &str = "•†‡…—–ƒ⁄‹›−‰„“”‘’‚™ﬁﬂŁŒŠŸŽıłœšž\u{fffd}€";
    let from =
        |signs: &str, first: u8| signs.chars().nth(usize::from(byte - first)).unwrap_or(char::REPLACEMENT_CHARACTER);
    match byte {
        0x18..=0x1f => from(ACCENTS, 0x18),
        0x80..=0xa0 => from(SIGNS, 0x80),
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_strings_have_four_encodings() {
        assert_eq!(text_string(b"\xfe\xff\x00a\x20\xac"), "a€");
        assert_eq!(text_string(b"\xff\xfea\0"), "a");
        assert_eq!(text_string(b"\xef\xbb\xbf\xc3\xa9"), "é");
        assert_eq!(text_string(b"caf\xe9 \x80 \x8d\x8e \xa0 \x1f"), "café • “” € ˜");
    }

    #[test]
    fn dates_are_iso_dates() {
        let date = |utc_offset_hour, utc_offset_minute| DateTime {
            year: 2024,
            month: 3,
            day: 9,
            hour: 8,
            minute: 7,
            second: 6,
            utc_offset_hour,
            utc_offset_minute,
        };
        assert_eq!(timestamp(&date(0, 0)), "2024-03-09T08:07:06Z");
        assert_eq!(timestamp(&date(-5, 30)), "2024-03-09T08:07:06-05:30");
    }
}
