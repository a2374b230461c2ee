use crate::place::{PLAIN, Place};

#[test]
fn files_are_listed_with_those_that_are_wrong() {
    let place = Place::new();
    place.file("workflows/a.yaml", PLAIN);
    place.file("workflows/b.yaml", "name: b\nstepz: {}\n");
    let said = place.kapelle(&["workflows"]);
    assert!(said.code == 0 && said.out.contains("plain") && said.out.contains("wrong: "), "{said:?}");
    assert_eq!(place.kapelle(&["workflows", "list", "--json"]).json()["workflows"][1]["valid"], false);
    assert!(Place::new().kapelle(&["workflows"]).err.contains("kapelle init"));
}

#[test]
fn a_workflow_is_shown_checked_and_drawn() {
    let place = Place::plain();
    let said = place.kapelle(&["workflows", "show", "plain.yaml"]);
    assert!(
        said.out.contains("text") && said.out.contains("required") && said.out.contains("2 said (log) after words"),
        "{said:?}"
    );
    let said = place.kapelle(&["workflows", "validate", "plain.yaml"]);
    assert_eq!((said.code, said.out.as_str()), (0, "plain.yaml: plain is valid, 2 steps\n"));
    let said = place.kapelle(&["workflows", "graph", "plain.yaml", "--format", "mermaid"]);
    assert!(said.out.starts_with("flowchart TD\n") && said.out.contains("-->"), "{said:?}");
    let said = place.kapelle(&["workflows", "graph", "plain.yaml"]);
    assert_eq!(said.out, "plain\n  1 words (keywords)\n  2 said (log) after words\n");
}

#[test]
fn every_problem_of_every_file_is_shown() {
    let place = Place::plain();
    place.file("bad.yaml", "name: b\nsteps:\n  s: { worker: lgo }\n  t: { worker: kewords }\n");
    place.file("worse.yaml", "name: b\nstepz: {}\n");
    let said = place.kapelle(&["workflows", "validate", "plain.yaml", "bad.yaml", "worse.yaml"]);
    said.refused(2, &["bad.yaml:3:16", "did you mean `log`?", "bad.yaml:4:16", "worse.yaml:2", "stepz"]);
    assert!(said.out.contains("plain.yaml: plain is valid"));
    place.kapelle(&["workflows", "validate", "gone.yaml"]).refused(3, &["there is no workflow gone.yaml"]);
    place.kapelle(&["workflows", "graph", "plain.yaml", "--format", "dot"]).refused(2, &["mermaid"]);
}
