use serde_json::json;

use crate::place::Place;

#[test]
fn recorded_tasks_are_worked_off() {
    let place = Place::new();
    place.kapelle(&["submit", "log", "--input", "message=a"]);
    place.kapelle(&["submit", "log", "--input", "message=b"]);
    let said = place.kapelle(&["resume", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let states: Vec<_> = said.json()["tasks"].as_array().unwrap().iter().map(|task| task["state"].clone()).collect();
    assert_eq!(states, [json!("succeeded"), json!("succeeded")]);
    let said = place.kapelle(&["resume"]);
    assert_eq!((said.code, said.err.as_str()), (0, "nothing is under way\n"));
}

#[test]
fn a_run_that_ended_is_told_again() {
    let place = Place::ran();
    let said = place.kapelle(&["resume", "run_1"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("reading room") && said.err.contains("run_1 has ended already"), "{said:?}");
}

#[test]
fn what_is_not_there_cannot_be_resumed() {
    Place::new().kapelle(&["resume"]).refused(3, &["no data in .kapelle yet", "kapelle run"]);
    let place = Place::ran();
    place.kapelle(&["resume", "run_9"]).refused(3, &["run_9 does not exist"]);
    place.kapelle(&["resume", "9"]).refused(2, &["`9` is not an id", "did you mean `run_9`?"]);
}
