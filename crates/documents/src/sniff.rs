//! Detection of a file's format: by its first bytes, then by its name, then by the media type it came with.

use super::model::{ExtractError, Format};

/// Bytes from the start that are read.
pub(super) const SAMPLE: usize = 8 * 1024;

/// The detected format of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sniffed {
    /// The format.
    pub format: Format,
    /// The format that its name suggests, when that differs.
    pub mismatch: Option<String>,
}

/// Formats that are recognised in order to refuse them by name.
const REFUSED: [(&[u8], &str); 14] = [
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "it is an old or encrypted Office file: save it as .docx without a password"),
    (b"{\\rtf", "it is an RTF file: save it as .docx or PDF"),
    (b"\x89PNG", "it is a PNG image, and images hold no text to read"),
    (b"\xff\xd8\xff", "it is a JPEG image, and images hold no text to read"),
    (b"GIF8", "it is a GIF image, and images hold no text to read"),
    (b"II*\0", "it is a TIFF image, and images hold no text to read"),
    (b"MM\0*", "it is a TIFF image, and images hold no text to read"),
    (b"%!PS", "it is a PostScript file: convert it to PDF"),
    (b"\x1f\x8b", "it is a gzip archive: unpack it first"),
    (b"7z\xbc\xaf", "it is a 7-Zip archive: unpack it first"),
    (b"Rar!", "it is a RAR archive: unpack it first"),
    (b"BZh", "it is a bzip2 archive: unpack it first"),
    (b"\x7fELF", "it is a program"),
    (b"MZ\x90\0", "it is a program"),
];

/// Decides how to read a file from the start of its content, its name and its media type.
///
/// # Errors
/// When the format holds no text or cannot be read.
pub fn sniff(start: &[u8], name: &str, media_type: Option<&str>) -> Result<Sniffed, ExtractError> {
    let start = &start[..start.len().min(SAMPLE)];
    let claimed = claim(name, media_type);
    let found = by_content(start)?;
    let format = match (found, claimed) {
        (Some(format), _) => format,
        // HTML has no certain mark, so the claimed type counts. PDF and Word files always have their marks.
        (None, Some(Format::Html)) => Format::Html,
        // A file whose beginning was lost, or that has more than usual before its mark.
        (None, Some(Format::Pdf)) if contains(start, b"%PDF-") || contains(start, b" 0 obj") => Format::Pdf,
        (None, Some(claimed @ (Format::Pdf | Format::Docx))) => {
            let why = if start.is_empty() { "the file is empty" } else { "it does not start as such a file must" };
            return Err(ExtractError::Damaged(format!("{} by its name, but {why}", claimed.label())));
        }
        (None, _) => Format::Text,
    };
    let mismatch = claimed
        .filter(|&claimed| claimed != format)
        .map(|claimed| format!("the name or media type says {}, the content is {}", claimed.label(), format.label()));
    Ok(Sniffed { format, mismatch })
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn by_content(start: &[u8]) -> Result<Option<Format>, ExtractError> {
    if start.windows(5).take(1_024).any(|window| window == b"%PDF-") {
        return Ok(Some(Format::Pdf));
    }
    if start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06") {
        return Ok(Some(Format::Docx));
    }
    if let Some((_, why)) = REFUSED.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Err(ExtractError::Unsupported((*why).to_owned()));
    }
    Ok(opens_as_html(start).then_some(Format::Html))
}

/// Says whether the first thing in the file, after comments and an XML declaration, is a tag that only web pages have.
fn opens_as_html(start: &[u8]) -> bool {
    let text = String::from_utf8_lossy(start).to_ascii_lowercase();
    let mut rest = text.trim_start_matches('\u{feff}').trim_start();
    loop {
        let end = match rest {
            _ if rest.starts_with("<!--") => rest.find("-->").map(|at| at + 3),
            _ if rest.starts_with("<?xml") => rest.find('>').map(|at| at + 1),
            _ => break,
        };
        match end {
            Some(end) => rest = rest[end..].trim_start(),
            None => return false,
        }
    }
    ["<!doctype html", "<html", "<head", "<body"].iter().any(|tag| rest.starts_with(tag))
}

fn claim(name: &str, media_type: Option<&str>) -> Option<Format> {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let by_name = extension.and_then(|extension| match extension.as_str() {
        "pdf" => Some(Format::Pdf),
        "docx" | "docm" | "dotx" => Some(Format::Docx),
        "html" | "htm" | "xhtml" => Some(Format::Html),
        "txt" | "text" | "md" | "csv" | "log" => Some(Format::Text),
        _ => None,
    });
    let media_type = media_type.map(|whole| whole.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    by_name.or_else(|| match media_type?.as_str() {
        "application/pdf" => Some(Format::Pdf),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document" => Some(Format::Docx),
        "text/html" | "application/xhtml+xml" => Some(Format::Html),
        "text/plain" | "text/markdown" | "text/csv" => Some(Format::Text),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(start: &[u8], name: &str) -> Format {
        sniff(start, name, None).unwrap().format
    }

    #[test]
    fn content_comes_before_the_name() {
        assert_eq!(format(b"junk\n%PDF-1.4", "a.txt"), Format::Pdf);
        assert_eq!(format(b"PK\x03\x04", "a.pdf"), Format::Docx);
        assert_eq!(format("\u{feff}<!-- hi --> <!DOCTYPE html>".as_bytes(), "a"), Format::Html);
        assert_eq!(format(b"\n\n1 0 obj\n<< /Type /Catalog >>", "a.pdf"), Format::Pdf);
        assert_eq!(format(&[&[b' '; 4_000][..], b"%PDF-1.4"].concat(), "a.pdf"), Format::Pdf);
        let lie = sniff(b"<html>", "a.pdf", None).unwrap();
        assert_eq!(lie.mismatch.unwrap(), "the name or media type says PDF, the content is HTML");
    }

    #[test]
    fn the_name_decides_where_the_content_cannot() {
        assert_eq!(format(b"<p>hi", "a.HTM"), Format::Html);
        assert_eq!(format(b"<p>hi", "a.txt"), Format::Text);
        assert_eq!(sniff(b"<p>hi", "a", Some("text/html; charset=utf-8")).unwrap().format, Format::Html);
    }

    #[test]
    fn refuses_by_name() {
        let error = sniff(b"\x89PNG\r\n", "a.pdf", None).unwrap_err();
        assert!(error.to_string().contains("PNG image"), "{error}");
        let error = sniff(b"", "a.pdf", None).unwrap_err();
        assert_eq!(error.to_string(), "is damaged: PDF by its name, but the file is empty");
        assert!(matches!(sniff(b"plain words", "a.docx", None), Err(ExtractError::Damaged(_))));
    }
}
