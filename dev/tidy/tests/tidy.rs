//! The checks on the source itself. Each names what is wrong and where.

#![expect(clippy::unwrap_used, reason = "a check ends where it cannot look")]

use std::{collections::BTreeSet, fs};

use kapelle_tidy::{Exceptions, Source, functions::functions, source::root, sources};

/// A file may be longer for a while, if `exceptions.txt` says why; never longer than this.
const FILE_HARD: usize = 600;
const FILE: usize = 400;
const FUNCTION: usize = 70;
const PARAMETERS: usize = 6;
/// Packages of the program, with room for libraries that replace code of our own (`docs/decisions/0011-dependencies.md`).
const PACKAGES: usize = 340;
/// Packages of the library with its default features.
const LIBRARY_PACKAGES: usize = 120;

fn exceptions() -> Exceptions {
    Exceptions::parse(include_str!("../exceptions.txt")).unwrap()
}

/// Compares figures with a limit and the exceptions; an exception that is not needed is a fault too.
fn ratchet(check: &str, limit: usize, figures: impl Iterator<Item = (String, usize)>) {
    let exceptions = exceptions();
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    for (subject, figure) in figures {
        match exceptions.allowed(check, &subject) {
            Some(allowed) => {
                used.insert(subject.clone());
                if figure > allowed {
                    faults.push(format!("{subject}: {figure}, and {allowed} were excused"));
                } else if figure <= limit {
                    faults.push(format!("{subject}: {figure} is within {limit} again: drop its exception"));
                }
            }
            None if figure > limit => faults.push(format!("{subject}: {figure}, and {limit} is the limit")),
            None => {}
        }
    }
    faults
        .extend(exceptions.of(check).filter(|(s, _)| !used.contains(*s)).map(|(s, _)| format!("{s}: no such subject")));
    assert!(faults.is_empty(), "{check}:\n  {}", faults.join("\n  "));
}

fn product() -> Vec<Source> {
    sources().into_iter().filter(|source| !source.is_test()).collect()
}

#[test]
fn files_are_short() {
    let figures: Vec<(String, usize)> =
        product().into_iter().map(|source| (source.path.clone(), source.product_lines().count())).collect();
    let giants: Vec<_> = figures.iter().filter(|(_, lines)| *lines > FILE_HARD).collect();
    assert!(giants.is_empty(), "no file may be longer than {FILE_HARD} lines: {giants:?}");
    ratchet("file", FILE, figures.into_iter());
}

#[test]
fn functions_are_short_and_take_few_parameters() {
    let found: Vec<_> = product()
        .iter()
        .flat_map(|source| {
            let path = source.path.clone();
            functions(source.product_lines())
                .into_iter()
                .map(move |f| (format!("{path}:{}", f.name), f.lines, f.parameters))
        })
        .collect();
    ratchet("function", FUNCTION, found.iter().map(|(subject, lines, _)| (subject.clone(), *lines)));
    ratchet("parameters", PARAMETERS, found.iter().map(|(subject, _, count)| (subject.clone(), *count)));
}

#[test]
fn module_files_only_declare_and_document() {
    let mut faults = Vec::new();
    for source in product() {
        if !(source.path.ends_with("/mod.rs") || source.path.ends_with("/lib.rs")) {
            continue;
        }
        for (number, line) in source.product_lines().enumerate() {
            let line = line.trim_start();
            if ["fn ", "pub fn ", "pub(crate) fn ", "impl ", "impl<"].iter().any(|word| line.starts_with(word)) {
                faults.push(format!("{}:{}: {line}", source.path, number + 1));
            }
        }
    }
    assert!(faults.is_empty(), "code in a module file:\n  {}", faults.join("\n  "));
}

#[test]
fn nothing_is_left_for_later() {
    let marks = ["TO".to_owned() + "DO", "FIX".to_owned() + "ME", "XX".to_owned() + "X", "todo".to_owned() + "!("];
    let mut faults = Vec::new();
    for source in sources() {
        for (number, line) in source.text.lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark.as_str())) {
                faults.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    assert!(faults.is_empty(), "unfinished marks:\n  {}", faults.join("\n  "));
}

#[test]
fn no_test_waits_for_a_while() {
    let sleep = "sleep".to_owned() + "(";
    let figures = sources().into_iter().filter(|source| source.path.starts_with("crates/")).map(|source| {
        let tests = if source.is_test() { source.text.as_str() } else { tests_of(&source.text) };
        (source.path.clone(), tests.lines().filter(|line| line.contains(sleep.as_str())).count())
    });
    ratchet("sleep", 0, figures.collect::<Vec<_>>().into_iter());
}

fn tests_of(text: &str) -> &str {
    text.find("\n#[cfg(test)]\n").map_or("", |at| &text[at..])
}

#[test]
fn no_module_is_a_drawer() {
    let drawers = ["utils", "util", "common", "helpers", "helper", "shared", "misc"];
    let faults: Vec<String> = sources()
        .into_iter()
        .map(|source| source.path)
        .filter(|path| {
            let stem =
                path.trim_end_matches("/mod.rs").trim_end_matches(".rs").rsplit('/').next().unwrap_or("").to_owned();
            drawers.contains(&stem.as_str()) || stem.ends_with("_v2")
        })
        .collect();
    assert!(faults.is_empty(), "name it for what it does: {faults:?}");
}

#[test]
fn the_core_is_pure() {
    let manifest = fs::read_to_string(root().join("crates/core/Cargo.toml")).unwrap();
    let dependencies = manifest.split("[dev-dependencies]").next().unwrap_or_default();
    for banned in ["tokio", "rusqlite", "reqwest", "axum", "hyper", "rand", "getrandom", "chrono"] {
        assert!(!dependencies.lines().any(|line| line.starts_with(banned)), "core must not depend on {banned}");
    }
    // Of jiff the core takes the database of time zones that is inside of the program, and neither clock nor system.
    let forbidden = [
        "std::fs::",
        "std::net::",
        "std::env::var",
        "SystemTime::now",
        "Instant::now",
        "Timestamp::now",
        "Zoned::now",
        "TimeZone::system",
        "tz::db()",
        "from_env()",
        "std::process::Command",
    ];
    for source in product().iter().filter(|source| source.path.starts_with("crates/core/")) {
        for (number, line) in source.product_lines().enumerate() {
            let fault = forbidden.iter().find(|word| line.contains(*word) && !line.trim_start().starts_with("//"));
            assert!(fault.is_none(), "{}:{}: {fault:?} in the core", source.path, number + 1);
        }
    }
}

#[test]
fn only_the_store_speaks_sql() {
    for source in product()
        .iter()
        .filter(|source| source.path.starts_with("crates/") && !source.path.starts_with("crates/store/"))
    {
        for (number, line) in source.product_lines().enumerate() {
            let sql = ["SELECT ", "INSERT INTO", "UPDATE task", "rusqlite"].iter().any(|word| line.contains(word));
            assert!(
                !sql || line.trim_start().starts_with("//"),
                "{}:{}: SQL outside the store",
                source.path,
                number + 1
            );
        }
    }
}

/// The packages that are compiled into `of`, by name and version.
#[expect(clippy::disallowed_methods, reason = "cargo alone knows which packages a build has")]
fn packages(of: &str) -> BTreeSet<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut tree = std::process::Command::new(cargo);
    tree.args(["tree", "--locked", "-p", of, "-e", "normal", "--prefix", "none"]).current_dir(root());
    let told = tree.output().unwrap();
    assert!(told.status.success(), "cargo tree: {}", String::from_utf8_lossy(&told.stderr));
    let text = String::from_utf8(told.stdout).unwrap();
    text.lines().filter(|line| !line.is_empty()).map(|line| line.split(' ').take(2).collect()).collect()
}

/// The rows of the store, which only the application layer maps to what travels.
const ROWS: [&str; 14] = [
    "RunRow",
    "VersionRow",
    "AccountRow",
    "BudgetRow",
    "CallRow",
    "KeptRow",
    "GivenRow",
    "ArtifactRow",
    "AuditRow",
    "HostWorkerRow",
    "SessionRow",
    "KeyRow",
    "AccessKey",
    "LaneCount",
];

/// Whether a line names a command of the engine or a row of the store.
fn reaches_behind_the_application(line: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let code = line.trim_start();
    if code.starts_with("//") {
        return false;
    }
    let commands = code.match_indices("Command::").any(|(at, found)| {
        !code[..at].ends_with(is_word) && code[at + found.len()..].starts_with(|c: char| c.is_ascii_uppercase())
    });
    let commands = commands || ["command::", "engine::command"].iter().any(|words| code.contains(words));
    commands || code.split(|c: char| !is_word(c)).any(|word| ROWS.contains(&word))
}

#[test]
fn only_the_application_sees_commands_and_rows() {
    assert!(reaches_behind_the_application("ask(Command::Cancel { task })"));
    assert!(reaches_behind_the_application("ask(command::Cancel { task })"));
    assert!(reaches_behind_the_application("fn of(row: &RunRow) {"));
    assert!(!reaches_behind_the_application("std::process::Command::new(program)"));
    let faces = ["crates/server/", "crates/cli/", "crates/kapelle/"];
    let figures = product().into_iter().filter(|source| faces.iter().any(|face| source.path.starts_with(face)));
    let figures = figures.map(|source| {
        (source.path.clone(), source.product_lines().filter(|line| reaches_behind_the_application(line)).count())
    });
    ratchet("behind", 0, figures.collect::<Vec<_>>().into_iter());
}

/// Types of the store and the engine that the library hands out on purpose: the layer beneath, its clock, a parsed
/// workflow, and the folder of files.
const HANDED_OUT: [&str; 4] = ["Engine", "Clock", "VersionRef", "Blobs"];

/// Names of the store and the engine that a file imports, as the file calls them.
fn imported(source: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for of in ["use kapelle_store::", "use kapelle_engine::"] {
        for (at, found) in source.match_indices(of) {
            let list = source[at + found.len()..].split(';').next().unwrap_or_default();
            let words = list.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            names.extend(words.filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase())).map(str::to_owned));
        }
    }
    names
}

/// Public signatures, fields and re-exports of a file that name a type of the store or the engine.
fn leaks(source: &str) -> Vec<String> {
    let names = imported(source);
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in source.match_indices("pub ") {
        let line = &source[source[..at].rfind('\n').map_or(0, |end| end + 1)..at];
        if !line.trim().is_empty() {
            continue;
        }
        let item = source[at..].split(['{', ';']).next().unwrap_or_default();
        let field = !["pub fn", "pub async", "pub use", "pub type", "pub const", "pub trait", "pub struct", "pub enum"]
            .iter()
            .any(|word| item.starts_with(word));
        let item = if field { item.split(",\n").next().unwrap_or_default() } else { item };
        // A crate as a whole is the layer beneath, by its own name.
        let whole = item.starts_with("pub use kapelle_") && item.contains(" as ") && !item.contains("::");
        let path = item.contains("kapelle_store::") || item.contains("kapelle_engine::");
        let words = || item.split(|c: char| !is_word(c));
        let named = words().any(|word| names.contains(word) && !HANDED_OUT.contains(&word));
        if !whole && (path || named) {
            found.push(item.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
    found
}

#[test]
fn the_library_hands_out_no_row_of_the_store() {
    let rows = "use kapelle_store::{Blobs, Page};\n";
    assert_eq!(leaks(&format!("{rows}    pub fn dead(\n        &self,\n        page: Page,\n    ) -> u8 {{")).len(), 1);
    assert_eq!(leaks(&format!("{rows}pub struct X {{\n    pub page: Option<Page>,\n    pub to: u8,\n}}")).len(), 1);
    assert_eq!(leaks("pub use kapelle_store::Page;").len(), 1);
    assert_eq!(leaks("pub fn of() -> kapelle_engine::Event {").len(), 1);
    assert!(leaks(&format!("{rows}pub fn files(&self) -> &Blobs {{\n    Page::default();\n}}")).is_empty());
    assert!(leaks(&format!("{rows}pub(crate) fn of(page: Page) {{ }}\nfn own(page: Page) {{")).is_empty());
    assert!(leaks("pub use kapelle_store as store;").is_empty());
    let library = product().into_iter().filter(|source| source.path.starts_with("crates/kapelle/src/"));
    let found: Vec<(String, Vec<String>)> = library.map(|source| (source.path.clone(), leaks(&source.text))).collect();
    assert!(found.len() > 10, "the library has moved: {found:?}");
    let found: Vec<_> = found.into_iter().filter(|(_, leaks)| !leaks.is_empty()).collect();
    assert!(found.is_empty(), "types of the store or the engine in the library's interface: {found:#?}");
}

/// Pairs of a file and a name that a table of ARCHITECTURE.md says to be in it: `path` (`name`).
fn named(table: &str) -> Vec<(String, String)> {
    let mut words = table.split('`').enumerate().filter(|(at, _)| at % 2 == 1).map(|(_, word)| word).peekable();
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        let name = words.peek().filter(|next| word.ends_with(".rs") && !next.contains('/') && !next.ends_with(".rs"));
        if let Some(name) = name {
            let name = name.rsplit("::").next().unwrap_or_default();
            found.push((word.to_owned(), name.to_owned()));
        }
    }
    found
}

#[test]
fn the_files_of_a_cancel_hold_what_the_architecture_says() {
    assert_eq!(named("| a | `x/y.rs` (`stop`), `z.rs` |"), [("x/y.rs".to_owned(), "stop".to_owned())]);
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, rest) = text.split_once("## Four files: what happens when I cancel").unwrap();
    let (table, _) = rest.split_once("\n## ").unwrap();
    for noun in ["a task", "a run", "a model call", "a script process"] {
        assert!(table.contains(&format!("| {noun} |")), "{noun}: no row");
    }
    let named = named(table);
    assert!(named.len() >= 10, "{named:?}");
    for (path, name) in named {
        let code = fs::read_to_string(root().join(&path)).unwrap_or_default();
        let mut words = code.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        assert!(words.any(|word| word == name), "{path}: {name} is not in it");
    }
}

#[test]
fn few_packages_are_compiled() {
    for (of, most) in [("kapelle-cli", PACKAGES), ("kapelle", LIBRARY_PACKAGES)] {
        let count = packages(of).len();
        assert!(
            count <= most,
            "{of}: {count} packages, and {most} is the cap: raise it on purpose or find a leaner way"
        );
    }
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for banned in
        ["openssl-sys", "native-tls", "aws-lc-sys", "serde_yaml", "serde_yml", "evalexpr", "keyword_extraction"]
    {
        assert!(!lock.contains(&format!("name = \"{banned}\"")), "{banned} crept in");
    }
}
