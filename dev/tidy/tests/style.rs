//! The English of the repository: faults are counted for each crate and document, and a count may only go down.
//!
//! `STYLE_LIST=crates/core cargo test -p kapelle-tidy --test style -- --nocapture` prints the faults of the paths that
//! begin so (`STYLE_LIST=.` prints all); `STYLE_WRITE=1` writes the counts to `style.txt`.

#![expect(clippy::unwrap_used, reason = "a check ends where it cannot look")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
};

use kapelle_tidy::{
    blocks,
    source::{documents, paths, root},
    sources,
    style::{Fault, Style},
};

type Counts = BTreeMap<(String, u8), usize>;

const COUNTS: &str = "dev/tidy/style.txt";
const HEAD: &str = "\
# subject | rule | faults
# A count may only go down. `STYLE_WRITE=1 cargo test -p kapelle-tidy --test style` writes this file.
";

/// Finds all faults, each with its path.
fn faults() -> Vec<(String, Fault)> {
    let style = Style::new(paths()).unwrap();
    let mut found = Vec::new();
    // The words of a check are not a fault of the check.
    for source in sources().iter().filter(|source| !source.path.starts_with("dev/tidy/")) {
        for block in blocks::rust(source) {
            found.extend(style.check(&block).into_iter().map(|fault| (source.path.clone(), fault)));
        }
    }
    for source in documents() {
        for block in blocks::markdown(&source.text) {
            found.extend(style.check(&block).into_iter().map(|fault| (source.path.clone(), fault)));
        }
    }
    found
}

/// Returns the crate of a Rust file, or the path of a document.
fn subject(path: &str) -> String {
    let depth = if path.starts_with("crates/") || path.starts_with("dev/") { 2 } else { 1 };
    if path.ends_with(".rs") { path.split('/').take(depth).collect::<Vec<_>>().join("/") } else { path.to_owned() }
}

fn recorded() -> Counts {
    let text = fs::read_to_string(root().join(COUNTS)).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let parts: Vec<&str> = line.split('|').map(str::trim).collect();
            ((parts[0].to_owned(), parts[1].parse().unwrap()), parts[2].parse().unwrap())
        })
        .collect()
}

fn write(counts: &Counts) {
    let lines = counts.iter().map(|((subject, rule), count)| format!("{subject} | {rule} | {count}\n"));
    fs::write(root().join(COUNTS), format!("{HEAD}{}", lines.collect::<String>())).unwrap();
}

#[test]
fn english_gets_plainer_and_never_worse() {
    let faults = faults();
    if let Ok(prefix) = env::var("STYLE_LIST") {
        for (path, fault) in faults.iter().filter(|(path, _)| prefix == "." || path.starts_with(&prefix)) {
            println!("{path}:{}: rule {}: {}", fault.line, fault.rule, fault.words);
        }
    }
    let mut counts = Counts::new();
    for (path, fault) in &faults {
        *counts.entry((subject(path), fault.rule)).or_default() += 1;
    }
    if env::var_os("STYLE_WRITE").is_some() {
        write(&counts);
    }
    let recorded = recorded();
    let total =
        |of: &Counts, rule: u8| of.iter().filter(|((_, r), _)| *r == rule).map(|(_, count)| count).sum::<usize>();
    // Text that moves into a new crate or document brings its faults along: the total must not rise then.
    let moved = |(subject, rule): &(String, u8)| {
        !recorded.keys().any(|(known, _)| known == subject) && total(&counts, *rule) <= total(&recorded, *rule)
    };
    let risen: BTreeSet<_> = counts
        .iter()
        .filter(|(of, count)| **count > recorded.get(of).copied().unwrap_or(0))
        .map(|(of, _)| of)
        .filter(|of| !moved(of))
        .collect();
    let shown = |(path, fault): &(String, Fault)| {
        risen
            .contains(&(subject(path), fault.rule))
            .then(|| format!("{path}:{}: rule {}: {}", fault.line, fault.rule, fault.words))
    };
    let lines: Vec<String> = faults.iter().filter_map(shown).collect();
    assert!(
        risen.is_empty(),
        "the English got worse: {risen:?}; the faults of these subjects (mend one, or all):\n  {}",
        lines.join("\n  ")
    );
    let fallen: Vec<_> = recorded
        .iter()
        .filter(|(of, allowed)| counts.get(of).copied().unwrap_or(0) < **allowed)
        .map(|((subject, rule), _)| format!("{subject} rule {rule}"))
        .collect();
    if !fallen.is_empty() {
        println!("fewer faults than recorded: {fallen:?}; lower {COUNTS} with STYLE_WRITE=1");
    }
}
