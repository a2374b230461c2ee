use crate::place::{Place, TEXT};

#[test]
fn runs_are_listed_newest_first() {
    let place = Place::ran();
    place.kapelle(&["run", "plain.yaml", "--input", &format!("text={TEXT}")]);
    let said = place.kapelle(&["runs", "--limit", "1"]);
    assert!(said.out.contains("run_2") && !said.out.contains("run_1 "), "{said:?}");
    let runs = place.kapelle(&["runs", "list", "--json"]).json();
    assert_eq!((&runs["runs"][0]["id"], &runs["runs"][1]["id"]), (&"run_2".into(), &"run_1".into()));
    let said = place.kapelle(&["runs", "list", "--open"]);
    assert_eq!((said.code, said.err.as_str()), (0, "no runs\n"));
    let said = place.kapelle(&["runs", "list", "--before", "run_2"]);
    assert!(said.out.contains("run_1") && !said.out.contains("run_2"), "{said:?}");
}

#[test]
fn a_run_is_shown_with_its_steps() {
    let place = Place::ran();
    let said = place.kapelle(&["runs", "show", "run_1"]);
    for part in ["run_1 succeeded in", "workflow plain", "words", "said", "outputs:", "reading room"] {
        assert!(said.out.contains(part), "{}", said.out);
    }
    assert_eq!(place.kapelle(&["runs", "show", "run_1", "--json"]).json()["inputs"]["n"], 2);
}

#[test]
fn what_has_ended_cannot_be_cancelled() {
    let place = Place::ran();
    place.kapelle(&["runs", "cancel", "run_1"]).refused(5, &["run_1 is succeeded"]);
    place.kapelle(&["runs", "cancel", "run_2"]).refused(3, &["run_2 does not exist"]);
    place.kapelle(&["runs", "show", "task_1"]).refused(2, &["is not an id"]);
    place.kapelle(&["runs", "show"]).refused(2, &["<RUN>"]);
}
