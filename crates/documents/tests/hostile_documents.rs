//! Documents made to hurt: each fails its own task, in time, with a message that says what is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail where it stands")]

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use kapelle_core::{Category, TaskError};
use kapelle_documents::{ChildReader, Extracted, Format, Options};
use zip::{ZipWriter, write::SimpleFileOptions};

fn reader() -> ChildReader {
    ChildReader::new(Some(env!("CARGO_BIN_EXE_extract-child").into()))
}

fn place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Reads these bytes as a file of this name. A minute is far beyond every limit.
async fn read(name: &str, bytes: &[u8]) -> Result<Extracted, TaskError> {
    let path = place(name);
    std::fs::write(&path, bytes).unwrap();
    let reader = reader();
    let outcome = tokio::time::timeout(Duration::from_secs(60), reader.read(&path, name, None, Options::default()));
    let outcome = outcome.await.expect("reading must end by itself");
    std::fs::remove_file(&path).unwrap();
    outcome
}

/// Returns the message of the refusal, which must be permanent and name the file.
async fn refused(name: &str, bytes: &[u8]) -> String {
    let error = match read(name, bytes).await {
        Ok(read) => panic!("`{name}` was read: {:?}", read.text.chars().take(200).collect::<String>()),
        Err(error) => error,
    };
    check(name, &error);
    error.message
}

/// Checks that a document failed by its own fault or by the clock, and never for a retry.
fn check(name: &str, error: &TaskError) {
    assert!(matches!(error.category, Category::InvalidInput | Category::Timeout), "{error}");
    assert!(!error.retryable, "{error}");
    assert!(error.message.starts_with(&format!("`{name}` ")), "{error}");
}

fn sample(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples").join(name)).unwrap()
}

/// Builds a PDF of these objects, the first of which is the catalog, with a correct table.
fn pdf(objects: impl Iterator<Item = String>) -> Vec<u8> {
    let mut out = b"%PDF-1.4\n".to_vec();
    let mut offsets = Vec::new();
    for (at, object) in objects.enumerate() {
        offsets.push(out.len());
        write!(out, "{} 0 obj\n{object}\nendobj\n", at + 1).unwrap();
    }
    let xref = out.len();
    write!(out, "xref\n0 {}\n0000000000 65535 f \n", offsets.len() + 1).unwrap();
    for offset in &offsets {
        writeln!(out, "{offset:010} 00000 n ").unwrap();
    }
    write!(out, "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{xref}\n%%EOF\n", offsets.len() + 1).unwrap();
    out
}

const CATALOG: &str = "<< /Type /Catalog /Pages 2 0 R >>";
const FONT: &str = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>";

fn stream(content: &str) -> String {
    format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len())
}

/// Builds a PDF with one page that draws this.
fn page(content: &str, more_resources: &str) -> Vec<u8> {
    let objects = [
        CATALOG.to_owned(),
        "<< /Type /Pages /Count 1 /Kids [3 0 R] >>".to_owned(),
        format!(
            "<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> {more_resources} >> >>"
        ),
        stream(content),
        FONT.to_owned(),
        format!(
            "<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << {more_resources} >> /Length 7 >>\nstream\n/X Do  \nendstream"
        ),
    ];
    pdf(objects.into_iter())
}

fn archive(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn word(body: &str) -> Vec<u8> {
    let namespace = "http://schemas.openxmlformats.org/wordprocessingml/2006/main";
    let document = format!("<w:document xmlns:w=\"{namespace}\"><w:body>{body}</w:body></w:document>");
    archive(&[("word/document.xml", document.as_bytes())])
}

/// A small generator, so that a failing seed can be run again.
fn numbers(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 16).unwrap_or(0) % below
    }
}

#[tokio::test]
async fn the_samples_read_well() {
    let report = read("report.pdf", &sample("annual-report.pdf")).await.unwrap();
    assert_eq!((report.format, report.pages, report.truncated), (Format::Pdf, 26, false));
    assert_eq!(report.title.as_deref(), Some("Tarn Valley Library Network: Annual report"));
    assert!(report.words > 6_000 && report.warnings.is_empty(), "{:?}", report.warnings);
    assert!(report.text.contains("founded forty-one years ago, its first director was asked what a library network"));
    assert!(report.text.contains("Physical loans\t1,911,400\t1,968,900\t-2.9 %\n"));
    assert!(report.page_offsets.iter().all(|page| report.text.is_char_boundary(page.offset)));
    let review = read("review.docx", &sample("service-review.docx")).await.unwrap();
    assert_eq!(review.title.as_deref(), Some("Service review: the help desk in its second year"));
    assert!(review.text.contains("- 22 did not know whether their case was closed.\n- The remaining"));
    let policy = read("policy.html", &sample("ticket-policy.html")).await.unwrap();
    assert_eq!(policy.title.as_deref(), Some("How we handle tickets"));
    assert!(policy.text.contains("up to €80 on your own") && !policy.text.contains("dataset"));
}

#[tokio::test]
async fn every_word_of_the_report_survives_the_way_through_the_pdf() {
    let source = String::from_utf8(sample("source/annual-report.txt")).unwrap();
    let text = read("words.pdf", &sample("annual-report.pdf")).await.unwrap().text;
    let words = |text: &str| -> std::collections::HashSet<String> {
        text.split_whitespace().map(|word| word.trim_matches(['#', '|']).to_owned()).collect()
    };
    let found = words(&text);
    let lost: Vec<String> =
        words(&source).into_iter().filter(|word| !found.contains(word) && !word.is_empty()).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[tokio::test]
async fn pages_can_be_chosen() {
    let path = place("pages.pdf");
    std::fs::write(&path, sample("annual-report.pdf")).unwrap();
    let options = |pages, max_pages| Options { pages: Some(pages), max_pages, ..Options::default() };
    let some = reader().read(&path, "pages.pdf", None, options((3, 9), 2)).await.unwrap();
    assert!(some.text.starts_with("Foreword") && some.truncated && some.pages == 26);
    assert_eq!(some.page_offsets.iter().map(|page| page.page).collect::<Vec<_>>(), [3, 4]);
    let error = reader().read(&path, "pages.pdf", None, options((27, 30), 9)).await.unwrap_err();
    check("pages.pdf", &error);
    let error = reader().read(&path, "pages.pdf", None, options((0, 1), 9)).await.unwrap_err();
    assert!(error.message.contains("0 to 1 is not a range"), "{error}");
}

#[tokio::test]
async fn a_cut_pdf_is_refused_or_read_and_never_hangs() {
    let whole = sample("annual-report.pdf");
    for share in 0..40 {
        let cut = &whole[..whole.len() * share / 40];
        if let Err(error) = read("cut.pdf", cut).await {
            check("cut.pdf", &error);
        }
    }
    assert_eq!(refused("empty.pdf", b"").await, "`empty.pdf` is damaged: PDF by its name, but the file is empty");
    assert!(refused("head.pdf", &whole[..400]).await.starts_with("`head.pdf` is damaged: "));
}

#[tokio::test]
async fn two_hundred_damaged_pdfs_are_refused_or_read() {
    let whole = sample("annual-report.pdf");
    let mut refusals = 0;
    for seed in 1..=200 {
        let mut next = numbers(seed);
        let mut bytes = whole.clone();
        for _ in 0..1 + next(60) {
            let at = next(bytes.len());
            bytes[at] = u8::try_from(next(256)).unwrap();
        }
        if let Err(error) = read("flipped.pdf", &bytes).await {
            assert!(!error.retryable, "seed {seed}: {error}");
            check("flipped.pdf", &error);
            refusals += 1;
        }
    }
    assert!(refusals < 200, "one bad page must not cost the others");
}

#[tokio::test]
async fn a_million_objects_cost_no_more_than_the_limits() {
    let padding = (0..1_000_000).map(|at| format!("<< /N {at} >>"));
    let start = [
        CATALOG.to_owned(),
        "<< /Type /Pages /Count 1 /Kids [3 0 R] >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>".to_owned(),
        stream("BT /F1 12 Tf 10 10 Td (found) Tj ET"),
        FONT.to_owned(),
    ];
    let bytes = pdf(start.into_iter().chain(padding));
    match read("million.pdf", &bytes).await {
        Ok(read) => assert_eq!(read.text, "found"),
        Err(error) => check("million.pdf", &error),
    }
}

#[tokio::test]
async fn page_trees_that_run_in_circles_end() {
    let loops = ["[2 0 R]", "[2 0 R 2 0 R 3 0 R 3 0 R]", "[4 0 R 4 0 R]"];
    for kids in loops {
        let objects = [
            CATALOG.to_owned(),
            format!("<< /Type /Pages /Count 9 /Kids {kids} >>"),
            "<< /Type /Pages /Count 9 /Kids [4 0 R 2 0 R] >>".to_owned(),
            "<< /Type /Pages /Count 9 /Kids [3 0 R 4 0 R] >>".to_owned(),
        ];
        assert!(refused("circle.pdf", &pdf(objects.into_iter())).await.contains("no pages"));
    }
    let upwards =
        [CATALOG, "<< /Type /Pages /Parent 2 0 R /Count 1 /Kids [3 0 R] >>", "<< /Type /Page /Parent 2 0 R >>"];
    let up = read("up.pdf", &pdf(upwards.into_iter().map(ToOwned::to_owned))).await.unwrap();
    assert_eq!((up.pages, up.words), (1, 0));
}

#[tokio::test]
async fn a_drawing_that_contains_itself_is_damaged() {
    let bytes = page("/X Do", "/XObject << /X 6 0 R >>");
    match read("self.pdf", &bytes).await {
        Ok(read) => assert_eq!(read.text, ""),
        Err(error) => check("self.pdf", &error),
    }
}

#[tokio::test]
async fn a_page_without_text_says_so() {
    let read = read("scan.pdf", &page("0 0 10 10 re f", "")).await.unwrap();
    assert_eq!((read.text.as_str(), read.words), ("", 0));
    assert_eq!(read.warnings, ["its pages hold no text"]);
    let image = "q 10 0 0 10 0 0 cm BI /W 2 /H 2 /CS /G /BPC 8 ID abcd EI Q";
    let scan = crate::read("image.pdf", &page(image, "")).await.unwrap();
    assert_eq!(scan.warnings, ["page 1: no text but images; probably a scan"]);
}

#[tokio::test]
async fn an_encrypted_pdf_asks_for_a_copy_without_password() {
    assert_eq!(
        refused("locked.pdf", &corpus("locked.pdf")).await,
        "`locked.pdf` is protected by a password: save a copy without one"
    );
    let cut = corpus("locked.pdf");
    let cut = &cut[..cut.len() - 60];
    assert!(refused("locked-cut.pdf", cut).await.contains("protected by a password"));
    // Protected against printing only: anybody may open it.
    let open = read("open.pdf", &corpus("mu-save-aes-256.pdf")).await.unwrap();
    assert!(open.words > 20 && open.warnings.is_empty(), "{:?}", open.warnings);
}

#[tokio::test]
async fn what_a_pdf_lacks_is_said_with_its_page() {
    let lost = pdf([
        CATALOG.to_owned(),
        "<< /Type /Pages /Count 2 /Kids [3 0 R 6 0 R] >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>".to_owned(),
        stream("BT /F1 12 Tf 10 10 Td (found) Tj ET"),
        FONT.to_owned(),
        "<< /Type /Page /Parent 2 0 R /Contents 7 0 R >>".to_owned(),
        "<< /Length 3 /Filter /NoSuchFilter >>\nstream\nabc\nendstream".to_owned(),
    ]
    .into_iter());
    let some = read("lost.pdf", &lost).await.unwrap();
    assert_eq!((some.text.trim(), some.pages), ("found", 2));
    assert_eq!(some.warnings, ["page 2 was left out: its content is packed in a way that is not supported"]);
    let message =
        refused("all.pdf", &String::from_utf8(lost).unwrap().replace("[3 0 R 6 0 R]", "[6 0 R 6 0 R]").into_bytes())
            .await;
    assert!(message.contains("cannot be read as a document: no page can be read"), "{message}");
    let font = "<< /Type /Font /Subtype /Type0 /BaseFont /F /Encoding /No-Such-Map-H /DescendantFonts [] >>";
    let odd = String::from_utf8(page("BT /F1 12 Tf 10 10 Td <81408140> Tj ET", "")).unwrap().replace(FONT, font);
    let odd = read("odd.pdf", odd.as_bytes()).await.unwrap();
    assert!(odd.warnings[0].starts_with("page 1: a font cannot be read"), "{:?}", odd.warnings);
}

fn corpus(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pdf-corpus").join(name)).unwrap()
}

#[tokio::test]
async fn a_gigabyte_of_zeros_is_a_bomb() {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("word/document.xml", SimpleFileOptions::default()).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..1_024 {
        zip.write_all(&zeros).unwrap();
    }
    let bomb = zip.finish().unwrap().into_inner();
    assert!(
        refused("bomb.docx", &bomb).await.contains("is too large: its part `word/document.xml` unpacks to 1024 MiB")
    );
    // The size in the directory may lie; the bytes do not.
    let mut liar = bomb.clone();
    for at in 0..liar.len() - 28 {
        if liar[at..].starts_with(b"PK\x01\x02") {
            liar[at + 24..at + 28].copy_from_slice(&1_000u32.to_le_bytes());
        }
    }
    let message = refused("liar.docx", &liar).await;
    assert!(message.contains("is damaged") || message.contains("is too large"), "{message}");
    let nested = refused("nested.docx", &archive(&[("inner.docx", &bomb)])).await;
    assert!(nested.contains("not a Word document"), "{nested}");
}

#[tokio::test]
async fn text_that_packs_too_well_is_cut_or_refused() {
    let row = "<w:p><w:r><w:t>the same words again and again</w:t></w:r></w:p>";
    let message = refused("packed.docx", &word(&row.repeat(2_000_000))).await;
    assert!(message.contains("is too large"), "{message}");
}

#[tokio::test]
async fn what_is_no_word_file_is_refused_by_its_name() {
    let none = refused("none.docx", &archive(&[("a.txt", b"a")])).await;
    assert!(none.contains("no main part of a Word document"), "{none}");
    let sheet = refused("sheet.docx", &archive(&[("xl/workbook.xml", b"<a/>")])).await;
    assert!(sheet.contains("Excel workbook"), "{sheet}");
    let broken = refused("broken.docx", &sample("service-review.docx")[..2_000]).await;
    assert!(broken.starts_with("`broken.docx` is damaged: "), "{broken}");
    let old = refused("old.doc", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1rest").await;
    assert!(old.contains("save it as .docx"), "{old}");
}

#[tokio::test]
async fn entities_are_not_expanded() {
    let bomb = "<!DOCTYPE d [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]><w:document><w:t>&b;</w:t></w:document>";
    let message = refused("entities.docx", &archive(&[("word/document.xml", bomb.as_bytes())])).await;
    assert!(message.contains("declares a document type"), "{message}");
    let known = read("known.docx", &word("<w:p><w:r><w:t>a &amp; b &#233; &no;</w:t></w:r></w:p>")).await.unwrap();
    assert_eq!(known.text, "a & b é \u{fffd}");
    let unclosed = refused("open.docx", &word("<w:p><w:r></w:p>")).await;
    assert!(unclosed.contains("its XML is broken"), "{unclosed}");
}

#[tokio::test]
async fn deep_word_files_end() {
    let deep = format!("{}{}", "<w:tbl>".repeat(300_000), "</w:tbl>".repeat(300_000));
    match read("deep.docx", &word(&deep)).await {
        Ok(read) => assert_eq!(read.text, ""),
        Err(error) => check("deep.docx", &error),
    }
}

#[tokio::test]
async fn a_million_nested_elements_are_flat() {
    let deep = format!("<html><body>{}deep</body>", "<div>".repeat(1_000_000));
    assert_eq!(read("deep.html", deep.as_bytes()).await.unwrap().text, "deep");
    for open in ["<svg>", "<a href='", "<!-- ", "<script>", "</", "<title>", "&amp", "<b x=\"\" y='"] {
        let endless = format!("<html><p>seen</p>{}", open.repeat(1_000_000));
        let read = read("endless.html", endless.as_bytes()).await.unwrap();
        assert!(read.text.starts_with("seen"), "{open}");
    }
}

#[tokio::test]
async fn a_hundred_megabytes_are_cut() {
    let page = format!("<html>{}", "<p>Words and <b>more</b> words &amp; so on.</p>\n".repeat(2_200_000));
    assert!(page.len() > 100 << 20);
    let read_page = read("long.html", page.as_bytes()).await.unwrap();
    assert!(read_page.truncated && read_page.text.len() <= 16 << 20);
    let text = "Zeilen über Zeilen, immer weiter.\n".repeat(3_100_000);
    assert!(text.len() > 100 << 20);
    let read_text = read("long.txt", text.as_bytes()).await.unwrap();
    assert!(read_text.truncated && read_text.text.len() <= 16 << 20 && read_text.text.len() > 15 << 20);
}

#[tokio::test]
async fn what_is_not_text_is_not_read_as_text() {
    let binary: Vec<u8> = (0..100_000u32).map(|at| u8::try_from(at * 7 % 256).unwrap()).collect();
    assert!(refused("data.txt", &binary).await.contains("binary data"));
    assert!(refused("data.html", &binary).await.contains("binary data"));
    assert!(refused("image.txt", b"\x89PNG\r\n\x1a\n").await.contains("PNG image"));
    assert_eq!(read("empty.txt", b"").await.unwrap().text, "");
    assert_eq!(read("empty.html", b"").await.unwrap().text, "");
    let lie = read("page.pdf", b"<!doctype html><p>hello").await.unwrap();
    assert_eq!((lie.text.as_str(), lie.format), ("hello", Format::Html));
    assert_eq!(lie.warnings, ["the name or media type says PDF, the content is HTML"]);
}

#[tokio::test]
async fn limits_are_named_when_they_are_hit() {
    use kapelle_supervisor::Limits;
    let path = place("limits.pdf");
    std::fs::write(&path, sample("annual-report.pdf")).unwrap();
    let with = |limits| reader().with_limits(limits);
    let tight = with(Limits { memory: 64 << 20, ..Limits::default() });
    let endless = "BT /F1 12 Tf 10 10 Td (some words) Tj ET\n".repeat(200_000);
    let heavy = place("heavy.pdf");
    std::fs::write(&heavy, page(&endless, "")).unwrap();
    let error = tight.read(&heavy, "heavy.pdf", None, Options::default()).await.unwrap_err();
    assert_eq!(error.message, "`heavy.pdf` needs more than 64 MiB of memory to read");
    check("heavy.pdf", &error);
    let hurried = with(Limits { wall: Duration::from_millis(1), ..Limits::default() });
    let error = hurried.read(&path, "limits.pdf", None, Options::default()).await.unwrap_err();
    assert_eq!((error.category, error.retryable), (Category::Timeout, false), "{error}");
    let short = with(Limits { output: 1_000, ..Limits::default() });
    let error = short.read(&path, "limits.pdf", None, Options::default()).await.unwrap_err();
    check("limits.pdf", &error);
    let nobody = ChildReader::new(None).read(&path, "limits.pdf", None, Options::default()).await.unwrap_err();
    assert_eq!((nobody.category, nobody.retryable), (Category::Unavailable, false), "{nobody}");
    let gone = reader().read(Path::new("/no/such/file"), "gone.pdf", None, Options::default()).await.unwrap_err();
    check("gone.pdf", &gone);
    let folder = reader().read(Path::new("/"), "folder", None, Options::default()).await.unwrap_err();
    assert_eq!(folder.message, "`folder` cannot be opened: it is not a file");
}
