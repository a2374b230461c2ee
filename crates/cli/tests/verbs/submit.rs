use crate::place::{Place, TEXT};

#[test]
fn a_task_is_recorded_and_nothing_more() {
    let place = Place::new();
    let said = place.kapelle(&["submit", "keywords", "--input", &format!("text={TEXT}"), "--priority", "-5"]);
    assert_eq!((said.code, said.out.as_str()), (0, "task_1\n"), "{said:?}");
    let task = place.kapelle(&["tasks", "show", "task_1", "--json"]).json();
    assert_eq!((&task["state"], &task["attempt"], &task["priority"]), (&"ready".into(), &0.into(), &(-5).into()));
}

#[test]
fn waiting_prints_the_answer() {
    let place = Place::new();
    let said = place.kapelle(&["submit", "keywords", "--wait", "--input", &format!("text={TEXT}"), "--input", "max=1"]);
    assert_eq!((said.code, said.out.as_str()), (0, "{\n  \"keywords\": [\n    \"reading room\"\n  ]\n}\n"), "{said:?}");
}

#[test]
fn a_key_makes_it_the_same_task_and_another_body_a_conflict() {
    let place = Place::new();
    for _ in 0..2 {
        let said = place.kapelle(&["submit", "log", "--input", "message=a", "--key", "k"]);
        assert_eq!(said.out, "task_1\n");
    }
    place.kapelle(&["submit", "log", "--input", "message=b", "--key", "k"]).refused(5, &["was already used"]);
}

#[test]
fn delay_is_kept_and_a_failure_has_its_own_code() {
    let place = Place::new();
    let said = place.kapelle(&["submit", "log", "--input", "message=a", "--delay", "1h", "--json"]);
    assert_eq!(said.json()["state"], "scheduled");
    let said = place.kapelle(&["submit", "translator", "--wait", "--input", "text=a", "--input", "language=French"]);
    said.refused(69, &["translator needs a model", "help: "]);
    let said =
        place.kapelle(&["submit", "sleep", "--wait", "--input", "ms=5000", "--timeout", "50ms", "--retries", "0"]);
    said.refused(124, &["timeout"]);
}

#[test]
fn what_is_wrong_is_told() {
    let place = Place::new();
    place
        .kapelle(&["submit", "keyword", "--input", "text=a"])
        .refused(3, &["unknown worker `keyword`", "did you mean `keywords`?"]);
    place.kapelle(&["submit", "keywords"]).refused(2, &["text", "required", "kapelle workers show keywords"]);
    place.kapelle(&["submit", "log", "--input", "message=a", "--delay", "5"]).refused(2, &["is not a duration"]);
    place.kapelle(&["submit", "log", "--input", "message=a", "--priority", "101"]).refused(2, &["101"]);
    place.kapelle(&["submit", "log", "--input", "message=a", "--queue", "no such"]).refused(2, &["is not a name"]);
}
