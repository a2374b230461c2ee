//! Documents from use that were once read wrongly, through the binary as a person starts it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail where it stands")]

use std::{path::Path, process::Command};

use kapelle_testkit::children;
use serde_json::Value;

/// Returns the answer of `extract_text` for a file below `tests/cases`.
#[expect(clippy::disallowed_methods, reason = "the process under test is started here")]
fn read(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(file);
    children::limit(children::AGE_MOST);
    let place = tempfile::tempdir().unwrap();
    let document = format!("document=@{}", path.display());
    let said = Command::new(env!("CARGO_BIN_EXE_kapelle"))
        .args(["workers", "test", "extract_text", "--json", "--input", &document])
        .current_dir(place.path())
        .output()
        .unwrap();
    assert!(said.status.success(), "{file}: {}", String::from_utf8_lossy(&said.stderr));
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    said["output"].clone()
}

/// Returns the text of a file, its words one blank apart, and its warnings.
fn text(file: &str) -> (String, Vec<String>) {
    let read = read(file);
    let words: Vec<&str> = read["text"].as_str().unwrap().split_whitespace().collect();
    let warnings = read["warnings"].as_array().into_iter().flatten();
    (words.join(" "), warnings.map(|warning| warning.as_str().unwrap().to_owned()).collect())
}

#[test]
fn documents_read_as_they_look() {
    const FERRY: &str = "The quick harbour ferry leaves at noon. Second line about Larkhill library.";
    const RUN: &str = "Run length encoded words here.";
    for (file, right) in [
        ("039/badxref.pdf", FERRY),
        ("039/noeof.pdf", RUN),
        ("039/noxref.pdf", FERRY),
        ("039/xrefentry.pdf", RUN),
        ("039/xrefoff1.pdf", RUN),
        ("040/bomhead.pdf", RUN),
        ("040/junkhead.pdf", FERRY),
        ("040/junktail.pdf", FERRY),
        ("040/nlhead.pdf", RUN),
        ("040/tail1k.pdf", RUN),
        ("042/quote.pdf", "First by Tj Second by quote Third by dquote Fourth by Tstar"),
        ("043/mu_china-s.pdf", "图书馆九点开门。"),
        ("043/rl_HeiseiMin-W3.pdf", "図書館は九時に開きます。"),
        ("043/rl_sjis.pdf", "図書館は九時に開きます。"),
        ("046/mu_freetext.pdf", "Body text Free text note by reviewer"),
        ("046/rl_form.pdf", "Application form Name: Ada Lovelace"),
        ("048/lig.pdf", "Specifications of fluid, different efficient fields, flow, flow, That"),
        ("053/moved.docx", "Middle. MOVED sentence."),
        ("055/otherpart.docx", "Main part elsewhere."),
        ("062/x_ent.html", "αβΔ ∑ √ ♠ ♥ ◊ ∀ ∈ ⇒ Ω ƒ ˆ ˜ \u{200e} ‾ ⁄ ℑ ℵ ⌈ ⟨ ✓ ☆ x"),
    ] {
        assert_eq!(text(file), (right.to_owned(), Vec::new()), "{file}");
    }
}

#[test]
fn nearly_valid_utf8_stays_utf8_and_says_what_is_broken() {
    for (file, part, warning) in [
        ("058/x_cututf8.txt", "", "it ends in the middle of a character"),
        ("058/x_emoji_cut.txt", "Very good 😀", "it ends in the middle of a character"),
        ("058/x_onebad.txt", "Die Bibliothek öffnet um neun Uhr.", "not valid UTF-8"),
    ] {
        let read = read(file);
        assert_eq!(read["encoding"], "UTF-8", "{file}");
        assert!(read["text"].as_str().unwrap().contains(part), "{file}");
        assert!(read["warnings"][0].as_str().unwrap().contains(warning), "{file}: {}", read["warnings"]);
    }
}
