use std::process::Stdio;

use crate::place::Place;

#[test]
fn help_names_every_verb_and_a_typo_is_mended() {
    let place = Place::new();
    let said = place.kapelle(&["--help"]);
    assert_eq!(said.code, 0);
    for verb in [
        "run",
        "resume",
        "serve",
        "host",
        "keys",
        "audit",
        "status",
        "submit",
        "runs",
        "tasks",
        "logs",
        "workers",
        "workflows",
        "config",
        "doctor",
        "init",
        "completions",
        "man",
        "version",
    ] {
        assert!(said.out.contains(&format!("  {verb} ")), "{verb}");
    }
    assert!(!said.out.contains("__extract"));
    place.kapelle(&["rnu"]).refused(2, &["run"]);
    place.kapelle(&["run", "x", "--inptu", "a=b"]).refused(2, &["--input"]);
    assert_eq!(place.kapelle(&[]).code, 2);
}

#[test]
fn colours_are_for_terminals() {
    let place = Place::ran();
    for arguments in [&["status"][..], &["doctor"], &["status", "--no-color"]] {
        assert!(!place.kapelle(arguments).out.contains('\u{1b}'), "{arguments:?}");
    }
    assert!(place.with(&[("CLICOLOR_FORCE", "1")], &["status"]).out.contains('\u{1b}'));
    assert!(!place.with(&[("CLICOLOR_FORCE", "1")], &["status", "--no-color"]).out.contains('\u{1b}'));
    assert!(!place.with(&[("NO_COLOR", "1")], &["status"]).out.contains('\u{1b}'));
}

#[test]
fn the_reading_child_answers_nonsense_with_an_error() {
    let place = Place::new();
    let output = place.command(&["__extract"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"));
}
