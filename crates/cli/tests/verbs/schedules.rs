//! `kapelle schedules` on the real binary, with a server that fires every second and is killed.

use std::{collections::BTreeMap, thread::sleep, time::Duration};

use serde_json::Value;

use crate::{place::Place, serve::Served};

const EVERY_SECOND: &str = "* * * * * *";

/// Adds the planned times that were started, in milliseconds, with their tasks.
fn add_started(place: &Place, started: &mut BTreeMap<i64, String>) {
    let shown = place.kapelle(&["schedules", "show", "beat", "--json"]).json();
    for fire in shown["fires"].as_array().unwrap() {
        assert_eq!(fire["state"], "started", "{fire}");
        let at: jiff::Timestamp = fire["scheduled_at"].as_str().unwrap().parse().unwrap();
        let task = fire["task"].as_str().unwrap().to_owned();
        let known = started.entry(at.as_millisecond()).or_insert_with(|| task.clone());
        assert_eq!(*known, task, "{fire} was started twice");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a harness of faults kills a real process at moments of real time")]
fn kills_around_fires_neither_lose_nor_double_one() {
    let rounds: u64 = std::env::var("KAPELLE_FIRE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    let place = Place::new();
    assert_eq!(place.kapelle(&["init"]).code, 0);
    let made = place.kapelle(&[
        "schedules",
        "create",
        "beat",
        "--cron",
        EVERY_SECOND,
        "--worker",
        "log",
        "--input",
        "message=${{ fire.scheduled }}",
        "--catch-up",
        "all",
        "--overlap",
        "allow",
    ]);
    assert_eq!(made.code, 0, "{made:?}");
    let mut started = BTreeMap::new();
    for round in 0..rounds {
        let served = Served::start(&place);
        // Spread over a second, so that some kills hit the commit of a fire. A kill needs real time.
        sleep(Duration::from_millis(400 + round * 137 % 1_000));
        // The end of its life is SIGKILL.
        drop(served);
        add_started(&place, &mut started);
    }
    let served = Served::start(&place);
    sleep(Duration::from_millis(1_500));
    served.end("-TERM");
    add_started(&place, &mut started);
    assert!(started.len() as u64 >= rounds / 2, "{started:?}");
    let times: Vec<i64> = started.keys().copied().collect();
    let gaps = times.windows(2).filter(|pair| pair[1] - pair[0] != 1_000).count();
    assert_eq!(gaps, 0, "a time was lost: {times:?}");
    // A task that no fire names would be a second start.
    let listed = place.kapelle(&["tasks", "list", "--json", "--limit", "1000"]).json();
    assert_eq!(listed["tasks"].as_array().unwrap().len().min(1_000), started.len().min(1_000));
}

#[test]
fn a_schedule_is_made_shown_changed_and_deleted() {
    let place = Place::new();
    assert_eq!(place.kapelle(&["init"]).code, 0);
    let create = |rest: &[&str]| place.kapelle(&[&["schedules", "create", "nightly"], rest].concat());
    let good = ["--cron", "30 2 * * *", "--timezone", "Europe/Berlin", "--workflow", "hello", "--input", "name=Ada"];
    for (rest, code, parts) in [
        (&["--cron", "61 * * * *", "--worker", "log"][..], 2, &["cron: `61` is not a minute"][..]),
        (&["--cron", "soon", "--worker", "log"], 2, &["cron: `soon` is not a schedule", "MINUTE HOUR DAY"]),
        (&["--cron", "@daily", "--timezone", "Mars", "--worker", "log"], 2, &["timezone: `Mars` is not a time zone"]),
        (&["--cron", "@daily", "--worker", "nobody"], 3, &["unknown worker `nobody`"]),
        (&["--cron", "@daily", "--workflow", "nothing"], 2, &["nothing"]),
        (
            &["--cron", "@daily", "--worker", "log", "--input", "message=${{ fire.when }}"],
            2,
            &["`fire.when` is unknown"],
        ),
        (&["--cron", "@daily", "--worker", "log", "--jitter", "2h"], 2, &["jitter_ms: 7200000; expected at most"]),
    ] {
        create(rest).refused(code, parts);
    }
    let made = create(&[&good[..], &["--json"]].concat()).json();
    assert_eq!((&made["timezone"], &made["catch_up"]), (&Value::from("Europe/Berlin"), &Value::from("skip")));
    assert_eq!(made["next"].as_array().unwrap().len(), 5);
    assert!(made["next"][0].as_str().unwrap().contains("T02:30:00+0"), "{made}");
    create(&good).refused(5, &["nightly exists already"]);
    assert_eq!(create(&[&good[..], &["--replace", "--overlap", "queue"]].concat()).code, 0);
    let paused = place.kapelle(&["schedules", "pause", "nightly", "--reason", "upgrade"]);
    assert_eq!(paused.out.trim(), "schedule nightly is paused");
    assert!(place.kapelle(&["schedules"]).out.contains("paused: upgrade"));
    let fired = place.kapelle(&["schedules", "fire", "nightly", "--json"]).json();
    assert_eq!(
        (&fired["state"], &fired["kind"], &fired["run"]),
        (&"started".into(), &"manual".into(), &"run_1".into())
    );
    let again = place.kapelle(&["schedules", "fire", "nightly"]);
    assert_eq!(again.out.trim(), "waits for the end of run_1");
    let shown = place.kapelle(&["schedules", "show", "nightly"]);
    for part in ["paused: upgrade", "open ones: queue", "started run_1", "waits for the end of run_1"] {
        assert!(shown.out.contains(part), "{part}: {shown:?}");
    }
    // A server works on the first, and starts the second.
    let served = Served::start(&place);
    let run = place.kapelle(&["runs", "show", "run_1", "--json"]);
    assert_eq!(run.code, 0, "{run:?}");
    served.end("-TERM");
    place.kapelle(&["schedules", "show", "nothing"]).refused(3, &["schedule nothing does not exist"]);
    let audit = place.kapelle(&["audit"]).out;
    for act in ["schedule.create", "schedule.pause", "schedule.fire"] {
        assert!(audit.contains(act), "{act}: {audit}");
    }
    assert_eq!(place.kapelle(&["schedules", "delete", "nightly"]).code, 0);
    place.kapelle(&["schedules", "next", "nightly"]).refused(3, &["does not exist"]);
}
