//! The corpus of PDF files, whose words are known: what is read of it, beside what pypdf and MuPDF read.
//! `dev/pdf-corpus/README.md` says how the files were made and the others measured.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail where it stands")]

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use kapelle_documents::{ExtractError, Options, extract};
use serde::Deserialize;

/// One file of the corpus.
#[derive(Deserialize)]
struct Entry {
    maker: String,
    truth: String,
    /// Words of the truth, words read, words common to both.
    mupdf: [usize; 3],
    pypdf: [usize; 3],
}

/// Words of the truth, words read, words common to both.
type Score = [usize; 3];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pdf-corpus")
}

/// Returns the words as `measure.py` counts them: letters and digits in a row, each character of Chinese and Japanese,
/// each sign.
fn words(text: &str) -> HashMap<String, usize> {
    let mut found = HashMap::new();
    let mut word = String::new();
    let is_ideograph = |c: char| matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}');
    let mut add = |word: &mut String| {
        if !word.is_empty() {
            *found.entry(std::mem::take(word)).or_insert(0) += 1;
        }
    };
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() && !is_ideograph(c) {
            word.push(c);
            continue;
        }
        add(&mut word);
        if !c.is_whitespace() && c != '\u{ad}' && c != '_' {
            word.push(c);
            add(&mut word);
        }
    }
    add(&mut word);
    found
}

fn score(truth: &str, text: &str) -> Score {
    let (truth, read) = (words(truth), words(text));
    let common = truth.iter().map(|(word, count)| (*count).min(read.get(word).copied().unwrap_or(0))).sum();
    [truth.values().sum(), read.values().sum(), common]
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

fn add(to: &mut Score, score: Score) {
    to.iter_mut().zip(score).for_each(|(sum, count)| *sum += count);
}

#[test]
fn the_corpus_reads_as_well_as_by_mupdf() {
    let list = fs::read_to_string(folder().join("truth.json")).unwrap();
    let entries: BTreeMap<String, Entry> = serde_json::from_str(&list).unwrap();
    assert!(entries.len() >= 200, "{}", entries.len());
    let mut totals: BTreeMap<String, [Score; 3]> = BTreeMap::new();
    let mut faults = Vec::new();
    for (name, entry) in &entries {
        let bytes = fs::read(folder().join(name)).unwrap();
        let read = match extract(&bytes, name, None, &Options::default()) {
            Ok(read) => read.text,
            Err(ExtractError::Damaged(why)) if entry.mupdf[2] > 0 => {
                faults.push(format!("{name} is damaged: {why}"));
                String::new()
            }
            Err(error) => {
                faults.push(format!("{name} {error}"));
                String::new()
            }
        };
        let ours = score(&entry.truth, &read);
        if percent(ours[2], ours[0]) + 1.0 < percent(entry.mupdf[2], entry.mupdf[0]) {
            println!("{name}: {ours:?}, MuPDF {:?}", entry.mupdf);
        }
        for key in [entry.maker.as_str(), "all"] {
            let sums = totals.entry(key.to_owned()).or_default();
            add(&mut sums[0], ours);
            add(&mut sums[1], entry.mupdf);
            add(&mut sums[2], entry.pypdf);
        }
    }
    for (maker, sums) in &totals {
        let figures: Vec<String> = sums
            .iter()
            .map(|[truth, read, common]| format!("{:6.2} {:6.2}", percent(*common, *truth), percent(*common, *read)))
            .collect();
        println!("{maker:12} kapelle {}  mupdf {}  pypdf {}", figures[0], figures[1], figures[2]);
    }
    assert!(faults.is_empty(), "{faults:#?}");
    let [ours, mupdf, _] = totals["all"];
    assert!(percent(ours[2], ours[0]) >= percent(mupdf[2], mupdf[0]) - 1.0, "recall");
    assert!(percent(ours[2], ours[1]) >= percent(mupdf[2], mupdf[1]) - 1.0, "precision");
    for (maker, [ours, mupdf, _]) in &totals {
        assert!(percent(ours[2], ours[0]) >= percent(mupdf[2], mupdf[0]) - 1.0, "recall of files by {maker}");
    }
}
