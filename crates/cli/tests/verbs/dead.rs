use crate::place::Place;

fn given_up(place: &Place) {
    for _ in 0..3 {
        place.kapelle(&["submit", "translator", "--wait", "--input", "text=a", "--input", "language=French"]);
    }
}

#[test]
fn dead_letters_are_listed_shown_put_back_and_discarded() {
    let place = Place::new();
    given_up(&place);
    let said = place.kapelle(&["dead"]);
    assert!(
        said.out.contains("task_1") && said.out.contains("permanent") && said.out.contains("translator"),
        "{said:?}"
    );
    assert_eq!(place.kapelle(&["dead", "list", "--worker", "log", "--json"]).json()["tasks"], serde_json::json!([]));
    assert!(place.kapelle(&["dead", "show", "task_1"]).out.contains("needs a model"));
    let said = place.kapelle(&["dead", "discard", "task_1", "--reason", "the customer has left"]);
    assert_eq!((said.code, said.out.as_str()), (0, "task_1 is discarded\n"), "{said:?}");
    assert!(place.kapelle(&["tasks", "show", "task_1"]).out.contains("the customer has left"));
    place.kapelle(&["dead", "retry", "task_1"]).refused(5, &["task_1 has already discarded"]);
    let json = place.kapelle(&["dead", "retry", "--all", "--worker", "translator", "--json"]).json();
    assert_eq!(json["tasks"].as_array().unwrap().len(), 2, "{json}");
    let said = place.kapelle(&["dead", "list"]);
    assert!(said.out.is_empty() && said.err.contains("retried or discarded"), "{said:?}");
}

#[test]
fn what_is_wrong_is_told() {
    let place = Place::ran();
    place.kapelle(&["dead", "retry", "task_1"]).refused(5, &["task_1 has already succeeded"]);
    place.kapelle(&["dead", "discard", "task_77"]).refused(3, &["task_77 does not exist"]);
    assert_eq!(place.kapelle(&["dead", "discard"]).code, 2);
}
