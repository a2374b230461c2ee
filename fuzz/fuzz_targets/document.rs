//! Documents, read in process: web pages, plain text, Word files as they come and as the XML inside of them.
//! PDF is left out: its reader may panic, which the child process is there to hold.
#![no_main]

use std::io::{Cursor, Write};

use kapelle_fuzz::stack;
use kapelle_documents::{Extracted, Format, Options, extract, sniff};
use libfuzzer_sys::fuzz_target;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// More text than this is cut.
const OUTPUT: usize = 16 << 10;

fuzz_target!(init: stack::report_overflow(), |bytes: &[u8]| {
    let mut seen = Vec::new();
    for name in ["page.html", "letter.docx", "note.txt", ""] {
        let format = sniff(bytes, name, None).map(|sniffed| sniffed.format);
        if !matches!(format, Ok(Format::Pdf)) && !seen.contains(&format) {
            read(bytes, name);
            seen.push(format);
        }
    }
    if bytes.contains(&b'<') {
        read(&word_file(bytes), "letter.docx");
    }
});

fn read(bytes: &[u8], name: &str) {
    let options = Options { max_output_bytes: OUTPUT, ..Options::default() };
    match extract(bytes, name, None, &options) {
        Ok(extracted) => whole(&extracted),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn whole(extracted: &Extracted) {
    assert!(extracted.text.len() <= OUTPUT, "{} bytes of text", extracted.text.len());
    assert_eq!(extracted.characters, extracted.text.chars().count() as u64);
    assert_eq!(extracted.pages, 1);
}

/// A Word file around the XML of its main part, with the same as its properties.
fn word_file(xml: &[u8]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for name in ["word/document.xml", "word/footnotes.xml", "docProps/core.xml"] {
        archive.start_file(name, stored).expect("a name of a part");
        archive.write_all(xml).expect("room in memory");
    }
    archive.finish().expect("room in memory").into_inner()
}
