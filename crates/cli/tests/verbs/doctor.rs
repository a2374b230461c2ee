use crate::{
    place::{Place, until},
    serve::Served,
};

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

#[test]
fn tasks_that_wait_for_somebody_are_told_with_what_ends_the_wait() {
    let place = Place::ran();
    assert_eq!(place.kapelle(&["queues", "pause", "default"]).code, 0);
    assert_eq!(place.kapelle(&["submit", "log", "--input", "message=a"]).code, 0);
    let said = place.kapelle(&["doctor"]);
    assert!(said.code == 0 && said.out.contains("warn tasks       1 task waits: "), "{said:?}");
    let _served = Served::start(&place);
    let said = place.kapelle(&["doctor"]);
    let told = ["1 task waits: queue `default` is paused", "-> kapelle queues resume default"];
    assert!(told.iter().all(|part| said.out.contains(part)), "{said:?}");
    assert_eq!(place.kapelle(&["queues", "resume", "default"]).code, 0);
    assert_eq!(place.kapelle(&["submit", "log", "--input", "message=b", "--wait"]).code, 0);
    until("the end of the wait", || place.kapelle(&["doctor"]).out.contains("ok   tasks       0 tasks wait"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_script_that_does_not_start_is_told_with_its_output_and_the_cause() {
    let place = Place::new();
    let body = "echo \"ModuleNotFoundError: No module named 'torch'\" >&2\nexit 1";
    crate::scripts::script(&place, "trains", "mode: pool\nqueue: ml", body);
    let _served = Served::start(&place);
    let told =
        ["warn process     trains has ", "No module named 'torch'", "-> install it", "kapelle workers restart trains"];
    until("the failure", || {
        let said = place.kapelle(&["doctor"]);
        told.iter().all(|part| said.out.contains(part))
    });
}

#[test]
fn a_provider_that_fails_and_what_was_given_up_are_told() {
    let place = Place::new();
    let provider = "providers: { p: { kind: compatible, base_url: \"http://127.0.0.1:1/v1\" } }\n";
    place.file("kapelle.yaml", format!("models: {{ fast: {{ chain: [p/x] }} }}\n{provider}"));
    let worker = "kind: prompt\nname: asks\nmodel: fast\nretry: { max_attempts: 1 }\nprompt: hi\n";
    place.file("workers/asks.yaml", worker);
    let _served = Served::start(&place);
    assert_ne!(place.kapelle(&["submit", "asks", "--wait"]).code, 0);
    let said = place.kapelle(&["doctor"]);
    for part in [
        "warn provider    p/x: some calls fail",
        "-> check its address",
        "warn dead        asks was given up on 1 task",
    ] {
        assert!(said.code == 0 && said.out.contains(part), "{part}: {said:?}");
    }
}
