use crate::place::Place;

#[test]
fn a_paused_queue_stays_paused_until_it_is_resumed() {
    let place = Place::new();
    let said = place.kapelle(&["queues", "pause", "default", "--reason", "maintenance"]);
    assert_eq!((said.code, said.out.as_str()), (0, "queue default is paused\n"), "{said:?}");
    place.kapelle(&["submit", "log", "--input", "message=a"]);
    let said = place.kapelle(&["queues"]);
    assert!(said.out.contains("1 ready") && said.out.contains("paused: maintenance"), "{said:?}");
    let json = place.kapelle(&["queues", "list", "--json"]).json();
    assert_eq!((&json["queues"][0]["paused"], &json["queues"][0]["tasks"]["ready"]), (&true.into(), &1.into()));
    let said = place.kapelle(&["queues", "resume", "default"]);
    assert_eq!((said.code, said.out.as_str()), (0, "queue default is resumed\n"), "{said:?}");
    let said = place.kapelle(&["submit", "log", "--wait", "--input", "message=b"]);
    assert_eq!(said.code, 0, "{said:?}");
    place.kapelle(&["queues", "pause", "no such"]).refused(2, &["is not a name"]);
}

#[test]
fn a_worker_is_paused_and_resumed() {
    let place = Place::new();
    assert_eq!(place.kapelle(&["workers", "pause", "log"]).out, "worker log is paused\n");
    let said = place.kapelle(&["workers", "list"]);
    assert!(said.out.contains("paused"), "{said:?}");
    assert_eq!(place.kapelle(&["workers", "resume", "log", "--json"]).json()["paused"], false);
    place.kapelle(&["workers", "pause", "lgo"]).refused(3, &["did you mean `log`?"]);
}

#[test]
fn tasks_that_nobody_serves_are_told() {
    let place = Place::new();
    place.file("workers/mine.yaml", "kind: prompt\nname: mine\nprompt: Say {{ text }}\n");
    place.kapelle(&["submit", "mine", "--input", "text=a"]);
    std::fs::remove_file(place.path("workers/mine.yaml")).unwrap();
    let said = place.kapelle(&["queues"]);
    assert!(said.err.contains("worker `mine` is not served"), "{said:?}");
}
