//! Extraction of a file's text, whatever its format.

use std::{
    fs::File,
    io::{Read, Seek},
    path::Path,
};

use super::{
    docx, html,
    model::{ExtractError, Extracted, Format, Options},
    pdf,
    sniff::{SAMPLE, Sniffed, sniff},
    text,
};

/// Reads a document from memory. `name` and `media_type` help where the content leaves doubt.
///
/// Meant to run in a child process under limits: nothing here bounds the time that a hostile file can take.
///
/// # Errors
/// When the document cannot be read; the message says what is wrong with it.
pub fn extract(
    bytes: &[u8],
    name: &str,
    media_type: Option<&str>,
    options: &Options,
) -> Result<Extracted, ExtractError> {
    let sniffed = sniff(bytes, name, media_type)?;
    let cut = bytes.len() as u64 > options.max_input_bytes;
    if cut && is_whole(sniffed.format) {
        return Err(too_large(bytes.len() as u64, options));
    }
    let used = if cut { &bytes[..usize::try_from(options.max_input_bytes).unwrap_or(bytes.len())] } else { bytes };
    read(used, cut, sniffed, options)
}

/// Reads a document from a file, and no more of it than the limits need.
///
/// # Errors
/// When the file or the document cannot be read; the message says what is wrong with it.
pub fn extract_file(
    path: &Path,
    name: &str,
    media_type: Option<&str>,
    options: &Options,
) -> Result<Extracted, ExtractError> {
    let unreadable = |error: std::io::Error| ExtractError::Unreadable(error.to_string());
    let kind = std::fs::metadata(path).map_err(unreadable)?;
    if !kind.is_file() {
        return Err(ExtractError::Unreadable("it is not a file".to_owned()));
    }
    let mut file = File::open(path).map_err(unreadable)?;
    let mut start = Vec::new();
    file.by_ref().take(SAMPLE as u64).read_to_end(&mut start).map_err(unreadable)?;
    let sniffed = sniff(&start, name, media_type)?;
    if is_whole(sniffed.format) && kind.len() > options.max_input_bytes {
        return Err(too_large(kind.len(), options));
    }
    let limit = wanted(sniffed.format, options);
    let mut bytes = Vec::with_capacity(usize::try_from(kind.len().min(limit)).unwrap_or(0));
    file.rewind().map_err(unreadable)?;
    file.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    read(&bytes, kind.len() > limit, sniffed, options)
}

/// Says whether a file of this format is worthless unless it is complete.
fn is_whole(format: Format) -> bool {
    matches!(format, Format::Pdf | Format::Docx)
}

/// Returns how many bytes of a file can matter: no encoding takes more than two bytes for one byte of UTF-8.
fn wanted(format: Format, options: &Options) -> u64 {
    let text = (options.max_output_bytes as u64).saturating_mul(2).saturating_add(16);
    if format == Format::Text { text.min(options.max_input_bytes) } else { options.max_input_bytes }
}

fn too_large(size: u64, options: &Options) -> ExtractError {
    ExtractError::TooLarge(format!("{} MiB, and at most {} MiB are read", size >> 20, options.max_input_bytes >> 20))
}

fn read(bytes: &[u8], cut: bool, sniffed: Sniffed, options: &Options) -> Result<Extracted, ExtractError> {
    if let Some((first, last)) = options.pages
        && (first == 0 || first > last)
    {
        return Err(ExtractError::NoSuchPages(format!("{first} to {last} is not a range of pages")));
    }
    if sniffed.format != Format::Pdf && options.pages.is_some_and(|(first, _)| first > 1) {
        return Err(ExtractError::NoSuchPages(format!("{} has no pages to choose from", sniffed.format.label())));
    }
    let mut extracted = match sniffed.format {
        Format::Pdf => pdf::extract(bytes, options)?,
        Format::Docx => docx::extract(bytes, options)?,
        Format::Html => html::extract(bytes, cut, options)?,
        Format::Text => text::extract(bytes, cut, options)?,
    };
    extracted.warnings.extend(sniffed.mismatch);
    Ok(extracted)
}
