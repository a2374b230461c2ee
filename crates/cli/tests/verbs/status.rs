use crate::place::Place;

#[test]
fn everything_one_run_and_one_task() {
    let place = Place::ran();
    let said = place.kapelle(&["status"]);
    assert!(said.code == 0 && said.out.contains("Latest runs") && said.out.contains("run_1  succeeded"), "{said:?}");
    let said = place.kapelle(&["status", "run_1"]);
    assert!(said.out.contains("words") && said.out.contains("STEP"), "{said:?}");
    let said = place.kapelle(&["status", "task_1"]);
    assert!(said.out.contains("input:") && said.out.contains("output:"), "{said:?}");
    let json = place.kapelle(&["status", "--json"]).json();
    assert_eq!(json["latest_runs"][0]["id"], "run_1");
    place.kapelle(&["submit", "log", "--input", "message=x"]);
    let said = place.kapelle(&["status"]);
    assert!(said.out.contains("Open tasks") && said.out.contains("1 ready"), "{said:?}");
}

#[test]
fn ids_that_are_wrong_or_not_there() {
    let place = Place::ran();
    place.kapelle(&["status", "runn_1"]).refused(2, &["is not an id", "did you mean `run_1`?"]);
    place.kapelle(&["status", "run_99"]).refused(3, &["run_99 does not exist"]);
    place.kapelle(&["status", "task_99"]).refused(3, &["task_99 does not exist"]);
    Place::new().kapelle(&["status"]).refused(3, &["no data in"]);
}
