use crate::place::Place;

#[test]
fn everything_is_checked_and_explained() {
    let place = Place::ran();
    let said = place.kapelle(&["doctor", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let checks = said.json();
    let state = |name: &str| {
        let found = checks["checks"].as_array().unwrap().iter().find(|check| check["check"] == name);
        found.unwrap_or_else(|| panic!("{name} is not checked"))["state"].as_str().unwrap().to_owned()
    };
    for name in ["version", "sqlite", "data", "writer", "database", "config", "workers", "documents"] {
        assert_eq!(state(name), "ok", "{name}: {checks}");
    }
    assert_eq!(state("model"), "warn");
    let said = place.kapelle(&["doctor"]);
    assert!(said.out.contains("-> no OPENAI_API_KEY"), "{}", said.out);
}

#[test]
fn what_is_wrong_fails() {
    let place = Place::new();
    place.file("kapelle.yaml", "nonsense: 1\n");
    let said = place.kapelle(&["doctor"]);
    assert!(said.code == 1 && said.out.contains("fail config") && said.out.contains("nonsense"), "{said:?}");
    let place = Place::ran();
    // The log of changes alone could still restore every page.
    let _ = std::fs::remove_file(place.path(".kapelle/kapelle.db-wal"));
    place.file(".kapelle/kapelle.db", "this is no database, and it is long enough to be read as one".repeat(200));
    let said = place.kapelle(&["doctor"]);
    assert!(said.code == 1 && said.out.contains("fail database"), "{said:?}");
}

#[test]
fn who_writes_is_named() {
    let place = Place::ran();
    let lock = std::fs::File::options().read(true).write(true).open(place.path(".kapelle/lock")).unwrap();
    lock.lock().unwrap();
    let said = place.kapelle(&["doctor"]);
    assert!(said.code == 0 && said.out.contains("writes to it"), "{said:?}");
}
