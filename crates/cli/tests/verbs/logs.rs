use crate::place::Place;

#[test]
fn the_journal_of_a_run_line_by_line() {
    let place = Place::ran();
    let said = place.kapelle(&["logs", "run_1"]);
    let lines: Vec<&str> = said.out.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    let expected = [
        "run_1 started: plain",
        "step words is ready (task_1)",
        "step words succeeded",
        "step said is ready (task_2)",
        "step said succeeded",
        "run_1 succeeded",
    ];
    assert_eq!(lines, expected);
    let said = place.kapelle(&["logs", "run_1", "--json"]);
    let first: serde_json::Value = serde_json::from_str(said.out.lines().next().unwrap()).unwrap();
    assert_eq!((&first["seq"], &first["event"]), (&0.into(), &"started".into()));
}

#[test]
fn a_task_with_its_attempts() {
    let place = Place::new();
    place.kapelle(&["submit", "translator", "--wait", "--input", "text=a", "--input", "language=French"]);
    let said = place.kapelle(&["logs", "task_1"]);
    for part in ["submitted for translator", "attempt 1 began", "attempt 1 failed: model_required", "task_1 failed"] {
        assert!(said.out.contains(part), "{}", said.out);
    }
    place.kapelle(&["logs", "task_9"]).refused(3, &["task_9 does not exist"]);
    place.kapelle(&["logs", "nine"]).refused(2, &["is not an id"]);
}
