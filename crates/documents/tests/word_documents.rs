//! Word files as programs write them: revisions, parts under any name, notes and comments, and content that is left
//! out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail where it stands")]

use std::io::Write;

use kapelle_documents::{ExtractError, Extracted, Options, extract};
use zip::{ZipWriter, write::SimpleFileOptions};

const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const STRICT: &str = "http://purl.oclc.org/ooxml/officeDocument/relationships";
const WORD: &str = "xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\" xmlns:r=\"r\"";

fn archive(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn relationships(family: &str, targets: &[(&str, &str)]) -> String {
    let list: String = targets
        .iter()
        .enumerate()
        .map(|(at, (kind, target))| {
            format!("<Relationship Id=\"rId{at}\" Type=\"{family}/{kind}\" Target=\"{target}\"/>")
        })
        .collect();
    format!(
        "<Relationships xmlns=\"http://schemas.openxmlformats.org/package/2006/relationships\">{list}</Relationships>"
    )
}

fn part(root: &str, body: &str) -> String {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><w:{root} {WORD}>{body}</w:{root}>")
}

fn document(body: &str) -> String {
    part("document", &format!("<w:body>{body}</w:body>"))
}

fn read(bytes: &[u8]) -> Result<Extracted, ExtractError> {
    extract(bytes, "a.docx", None, &Options::default())
}

/// Returns the text of a file whose main part has this body.
fn text(body: &str) -> String {
    read(&archive(&[("word/document.xml", document(body).as_bytes())])).unwrap().text
}

fn run(text: &str) -> String {
    format!("<w:r><w:t xml:space=\"preserve\">{text}</w:t></w:r>")
}

fn paragraph(content: &str) -> String {
    format!("<w:p>{content}</w:p>")
}

#[test]
fn revisions_read_as_if_they_were_accepted() {
    let gone = "<w:r><w:delText>gone</w:delText></w:r>";
    for (content, right) in [
        (format!("{}<w:del w:id=\"1\">{gone}</w:del><w:ins w:id=\"2\">{}</w:ins>", run("a "), run("b")), "a b"),
        (format!("<w:del>{}</w:del>{}", run("old text in w:t"), run("kept")), "kept"),
        (format!("<w:moveFrom>{}</w:moveFrom>{}<w:moveTo>{}</w:moveTo>", run("M."), run(" x "), run("M.")), "x M."),
        (format!("<w:ins><w:del>{gone}{}</w:del>{}</w:ins>", run("gone"), run("kept")), "kept"),
        (format!("<w:moveTo><w:del>{}</w:del><w:ins>{}</w:ins></w:moveTo>", run("gone"), run("kept")), "kept"),
        (format!("<w:moveFrom><w:ins>{}</w:ins></w:moveFrom>{}", run("gone"), run("kept")), "kept"),
        (format!("<w:hyperlink><w:del>{}</w:del>{}</w:hyperlink>", run("gone"), run("kept")), "kept"),
        (
            format!("<w:sdt><w:sdtContent><w:moveFrom>{}</w:moveFrom>{}</w:sdtContent></w:sdt>", run("no"), run("yes")),
            "yes",
        ),
        (format!("<w:moveFromRangeStart w:id=\"1\"/>{}<w:moveFromRangeEnd w:id=\"1\"/>", run("kept")), "kept"),
        (
            format!(
                "<w:r><w:rPr><w:b/><w:rPrChange><w:rPr><w:i/></w:rPr></w:rPrChange></w:rPr><w:t>bold</w:t></w:r>{}",
                run("!")
            ),
            "bold!",
        ),
        (
            format!(
                "<w:pPr><w:pPrChange><w:pPr><w:numPr><w:numId w:val=\"3\"/></w:numPr></w:pPr></w:pPrChange></w:pPr>{}",
                run("no item")
            ),
            "no item",
        ),
        (format!("<w:pPr><w:numPr><w:numId w:val=\"3\"/></w:numPr></w:pPr><w:del>{gone}</w:del>"), ""),
    ] {
        assert_eq!(text(&paragraph(&content)), right, "{content}");
    }
}

#[test]
fn deleted_paragraph_marks_rows_and_cells_are_gone() {
    for mark in ["<w:del w:id=\"1\"/>", "<w:moveFrom w:id=\"1\"/>", "<w:del w:id=\"1\"></w:del>"] {
        let first = format!("<w:pPr><w:rPr>{mark}</w:rPr></w:pPr>{}", run("one "));
        assert_eq!(
            text(&format!("{}{}{}", paragraph(&first), paragraph(&run("line")), paragraph(&run("next")))),
            "one line\n\nnext"
        );
    }
    let cell = |content: &str, properties: &str| format!("<w:tc>{properties}{}</w:tc>", paragraph(&run(content)));
    let table = format!(
        "<w:tbl><w:tr>{}{}</w:tr><w:tr><w:trPr><w:del w:id=\"1\"/></w:trPr>{}{}</w:tr><w:tr>{}{}{}</w:tr></w:tbl>{}",
        cell("a", ""),
        cell("b", ""),
        cell("gone", ""),
        cell("gone", ""),
        cell("c", ""),
        cell("gone", "<w:tcPr><w:cellDel w:id=\"2\"/></w:tcPr>"),
        cell("d", "<w:tcPr><w:cellIns w:id=\"3\"/></w:tcPr>"),
        paragraph(&run("after")),
    );
    assert_eq!(text(&table), "a\tb\nc\td\n\nafter");
}

#[test]
fn the_main_part_is_found_by_its_relationship() {
    let main = document(&paragraph(&run("found")));
    let types = "<Types><Override PartName=\"/word/other.xml\" ContentType=\"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml\"/></Types>";
    for (family, target, name) in [
        (OFFICE, "word/document2.xml", "word/document2.xml"),
        (OFFICE, "/word/document.xml", "word/document.xml"),
        (OFFICE, "./doc/../word/main.xml", "word/main.xml"),
        (OFFICE, "/Word/Document.xml", "word/document.xml"),
        (OFFICE, "word/my%20document.xml", "word/my document.xml"),
        (OFFICE, "word/document.xml", "word\\document.xml"),
        (OFFICE, "main.xml", "main.xml"),
        (STRICT, "word/document.xml", "word/document.xml"),
        (STRICT, "/body/text.xml", "body/text.xml"),
        (OFFICE, "word/lost.xml", "word/document.xml"),
        (OFFICE, "word/lost.xml", "word/other.xml"),
    ] {
        let list = relationships(family, &[("officeDocument", target)]);
        let parts: [(&str, &[u8]); 3] =
            [("[Content_Types].xml", types.as_bytes()), ("_rels/.rels", list.as_bytes()), (name, main.as_bytes())];
        assert_eq!(read(&archive(&parts)).unwrap().text, "found", "{target} {name}");
    }
    assert_eq!(read(&archive(&[("word/document.xml", main.as_bytes())])).unwrap().text, "found");
}

#[test]
fn other_office_files_are_refused_by_their_kind_and_not_as_damaged() {
    for (main, root, part) in [
        ("xl/workbook.xml", "workbook", "Excel workbook"),
        ("ppt/presentation.xml", "presentation", "PowerPoint"),
        ("a/b.xml", "other", "no main part of a Word document"),
    ] {
        let list = relationships(OFFICE, &[("officeDocument", main)]);
        let body = format!("<{root} xmlns=\"x\"/>");
        let error = read(&archive(&[("_rels/.rels", list.as_bytes()), (main, body.as_bytes())])).unwrap_err();
        assert!(matches!(&error, ExtractError::Unsupported(why) if why.contains(part)), "{error}");
    }
}

/// Reads a file with these parts beside a main part that says `body`.
fn with_parts(targets: &[(&str, &str)], parts: &[(&str, String)]) -> Extracted {
    let (top, list) = (relationships(OFFICE, &[("officeDocument", "word/d.xml")]), relationships(OFFICE, targets));
    let main = document(&paragraph(&run("body")));
    let mut all: Vec<(&str, &[u8])> = vec![
        ("_rels/.rels", top.as_bytes()),
        ("word/d.xml", main.as_bytes()),
        ("word/_rels/d.xml.rels", list.as_bytes()),
    ];
    all.extend(parts.iter().map(|(name, content)| (*name, content.as_bytes())));
    read(&archive(&all)).unwrap()
}

#[test]
fn notes_comments_headers_and_footers_are_read_with_their_revisions() {
    let revised = |kept: &str| {
        paragraph(&format!(
            "<w:moveFrom>{}</w:moveFrom><w:del>{}</w:del><w:ins>{}</w:ins>",
            run("gone"),
            run("gone"),
            run(kept)
        ))
    };
    let note = |kept: &str| format!("<w:footnote w:id=\"2\">{}</w:footnote>", revised(kept));
    let comment = format!("<w:comment w:id=\"1\" w:author=\"Ann &amp; Bo\">{}</w:comment>", revised("a remark"));
    let read = with_parts(
        &[
            ("footnotes", "notes/f.xml"),
            ("comments", "/word/c.xml"),
            ("header", "h1.xml"),
            ("header", "h2.xml"),
            ("footer", "g.xml"),
        ],
        &[
            ("word/notes/f.xml", part("footnotes", &note("a note"))),
            ("word/c.xml", part("comments", &comment)),
            ("word/h1.xml", part("hdr", &revised("a header"))),
            ("word/h2.xml", part("hdr", &revised("a header"))),
            ("word/g.xml", part("ftr", &revised("a footer"))),
        ],
    );
    assert_eq!(read.text, "body\n\na note\n\nComment by Ann & Bo: a remark\n\na header\n\na footer");
    assert!(read.warnings.is_empty(), "{:?}", read.warnings);
}

#[test]
fn a_part_that_cannot_be_read_costs_a_warning() {
    let read = with_parts(
        &[("footnotes", "f.xml"), ("footer", "g.xml")],
        &[
            ("word/f.xml", "<w:footnotes><w:p></w:footnotes>".to_owned()),
            ("word/g.xml", part("ftr", &paragraph(&run("foot")))),
        ],
    );
    assert_eq!(read.text, "body\n\nfoot");
    assert!(
        read.warnings[0].starts_with("the footnotes could not be read (`word/f.xml` is damaged"),
        "{:?}",
        read.warnings
    );
    let embedded = archive(&[(
        "word/document.xml",
        document(&format!("{}<w:altChunk r:id=\"rId1\"/>", paragraph(&run("a")))).as_bytes(),
    )]);
    assert_eq!(read_warnings(&embedded), ["1 embedded document (`altChunk`) was not read"]);
}

fn read_warnings(bytes: &[u8]) -> Vec<String> {
    read(bytes).unwrap().warnings
}

#[test]
fn characters_are_those_that_the_xml_means() {
    assert_eq!(
        text(&paragraph("<w:r><w:t>a &amp; b &lt;c&gt; &#233;&#x2014;&apos;&quot; <![CDATA[<&d>]]></w:t></w:r>")),
        "a & b <c> é—'\" <&d>"
    );
    let symbols = "<w:r><w:sym w:font=\"Symbol\" w:char=\"F061\"/><w:sym w:font=\"Wingdings\" w:char=\"F0FC\"/><w:sym w:font=\"Arial\" w:char=\"20AC\"/></w:r>";
    assert_eq!(text(&paragraph(symbols)), "α□€");
    let tabs = "<w:pPr><w:tabs><w:tab w:val=\"left\" w:pos=\"720\"/></w:tabs></w:pPr><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t></w:r>";
    assert_eq!(text(&paragraph(tabs)), "a\tb");
    for big in [false, true] {
        let main = document(&paragraph(&run("größer"))).replace("UTF-8", "UTF-16");
        let units = std::iter::once(0xfeff).chain(main.encode_utf16());
        let bytes: Vec<u8> = units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect();
        assert_eq!(read(&archive(&[("word/document.xml", &bytes)])).unwrap().text, "größer");
    }
    let core = "<cp:coreProperties xmlns:cp=\"c\" xmlns:dc=\"d\"><dc:title>Fish &amp; chips &#169;</dc:title></cp:coreProperties>";
    let main = document(&paragraph(&run("x")));
    let titled = archive(&[("word/document.xml", main.as_bytes()), ("docProps/core.xml", core.as_bytes())]);
    assert_eq!(read(&titled).unwrap().title.as_deref(), Some("Fish & chips ©"));
}
