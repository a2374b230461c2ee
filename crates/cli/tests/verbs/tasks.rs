use crate::place::Place;

#[test]
fn tasks_of_their_own_and_steps() {
    let place = Place::ran();
    let said = place.kapelle(&["tasks"]);
    assert!(said.code == 0 && said.out.is_empty() && said.err.contains("--steps"), "{said:?}");
    let said = place.kapelle(&["tasks", "list", "--steps", "--state", "succeeded"]);
    assert!(said.out.contains("task_1") && said.out.contains("task_2") && said.out.contains("run_1"), "{said:?}");
    let json = place.kapelle(&["tasks", "list", "--steps", "--worker", "log", "--json"]).json();
    assert_eq!((json["tasks"].as_array().unwrap().len(), &json["tasks"][0]["worker"]), (1, &"log".into()));
}

#[test]
fn a_task_is_shown_cancelled_and_put_back() {
    let place = Place::new();
    place.kapelle(&["submit", "log", "--input", "message=a"]);
    let said = place.kapelle(&["tasks", "cancel", "task_1", "--reason", "not wanted"]);
    assert_eq!((said.code, said.out.as_str()), (0, "task_1 is cancelled\n"), "{said:?}");
    let said = place.kapelle(&["tasks", "show", "task_1"]);
    assert!(said.out.contains("not wanted"), "{said:?}");
    place.kapelle(&["tasks", "cancel", "task_1"]).refused(5, &["task_1 has already cancelled"]);

    place.kapelle(&["submit", "translator", "--wait", "--input", "text=a", "--input", "language=French"]);
    let said = place.kapelle(&["tasks", "retry", "task_2"]);
    assert_eq!((said.code, said.out.as_str()), (0, "task_2 is ready\n"), "{said:?}");
}

#[test]
fn many_tasks_are_counted_and_confirmed_before_they_are_cancelled() {
    let place = Place::new();
    for message in ["a", "b", "c"] {
        place.kapelle(&["submit", "log", "--input", &format!("message={message}")]);
    }
    place.kapelle(&["submit", "keywords", "--input", "text=a"]);
    let all = ["tasks", "cancel", "--all", "--worker", "log"];
    let counted = place.kapelle(&[&all[..], &["--dry-run"]].concat());
    assert_eq!((counted.code, counted.out.as_str()), (0, "3 tasks to cancel\n"), "{counted:?}");
    place.kapelle(&all).refused(2, &["this would cancel 3 tasks", "nothing was done", "--yes"]);
    let done = place.kapelle(&[&all[..], &["--yes"]].concat());
    assert_eq!((done.code, done.out.as_str()), (0, "cancelled 3 tasks\n"), "{done:?}");
    let again = place.kapelle(&[&all[..], &["--yes"]].concat());
    assert!(again.code == 0 && again.err.contains("no task to cancel"), "{again:?}");
    let left = place.kapelle(&["tasks", "--json"]).json();
    let open = left["tasks"].as_array().unwrap().iter().filter(|task| task["state"] == "ready");
    assert_eq!(open.map(|task| task["worker"].as_str().unwrap()).collect::<Vec<_>>(), ["keywords"]);
    place.kapelle(&["tasks", "cancel"]).refused(2, &["required"]);
    place.kapelle(&["tasks", "cancel", "task_1", "--all"]).refused(2, &["cannot be used with"]);
}

#[test]
fn what_is_wrong_is_told() {
    let place = Place::ran();
    place.kapelle(&["tasks", "list", "--state", "done"]).refused(2, &["there are: scheduled, ready"]);
    place.kapelle(&["tasks", "show", "task_77"]).refused(3, &["task_77 does not exist"]);
    place.kapelle(&["tasks", "retry", "run_1"]).refused(2, &["is not an id"]);
    place.kapelle(&["tasks", "retry", "task_1"]).refused(5, &["task_1 has already succeeded"]);
}
