//! `kapelle schedules` on the real binary, with a server that fires every second and is killed.

use std::{collections::BTreeMap, thread::sleep, time::Duration};

use serde_json::Value;

use crate::{place::Place, scripts::until, serve::Served};

const EVERY_SECOND: &str = "* * * * * *";

/// The planned times of a schedule that were started, in milliseconds, with the run or task of each.
type Started = BTreeMap<i64, String>;

/// Adds the times of a schedule that were started.
fn add_started(place: &Place, name: &str, started: &mut Started) {
    let shown = place.kapelle(&["schedules", "show", name, "--json"]).json();
    for fire in shown["fires"].as_array().unwrap() {
        assert_eq!(fire["state"], "started", "{fire}");
        let at: jiff::Timestamp = fire["scheduled_at"].as_str().unwrap().parse().unwrap();
        let work = fire["task"].as_str().or(fire["run"].as_str()).unwrap().to_owned();
        let known = started.entry(at.as_millisecond()).or_insert_with(|| work.clone());
        assert_eq!(*known, work, "{fire} was started twice");
    }
}

/// Checks that every second has its start.
fn is_whole(started: &Started, least: u64) {
    assert!(started.len() as u64 >= least, "{started:?}");
    let times: Vec<i64> = started.keys().copied().collect();
    let gaps = times.windows(2).filter(|pair| pair[1] - pair[0] != 1_000).count();
    assert_eq!(gaps, 0, "a time was lost: {times:?}");
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
    // A schedule of a workflow file, with equal rules.
    place.file(
        "workflows/tick.yaml",
        "name: tick\non: { schedule: { cron: '* * * * * *', catch_up: all, overlap: allow } }\n\
         steps: { a: { worker: log, with: { message: tick } } }\n",
    );
    let (mut started, mut of_file) = (Started::new(), Started::new());
    for round in 0..rounds {
        let served = Served::start(&place);
        // Spread over a second, so that some kills hit the commit of a fire. A kill needs real time.
        sleep(Duration::from_millis(400 + round * 137 % 1_000));
        // The end of its life is SIGKILL.
        drop(served);
        add_started(&place, "beat", &mut started);
        add_started(&place, "tick", &mut of_file);
    }
    let served = Served::start(&place);
    sleep(Duration::from_millis(1_500));
    served.end("-TERM");
    add_started(&place, "beat", &mut started);
    add_started(&place, "tick", &mut of_file);
    is_whole(&started, rounds / 2);
    is_whole(&of_file, rounds / 2);
    // A task that no fire names would be a second start.
    let listed = place.kapelle(&["tasks", "list", "--json", "--limit", "1000"]).json();
    let tasks = listed["tasks"].as_array().unwrap();
    let own = tasks.iter().filter(|task| task["run"].is_null()).count();
    assert!(own == started.len() || tasks.len() == 1_000, "{own} tasks, {} fires", started.len());
    let runs = place.kapelle(&["runs", "list", "--json", "--limit", "1000"]).json();
    assert_eq!(runs["runs"].as_array().unwrap().len().min(1_000), of_file.len().min(1_000));
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
    let keyed = ["schedules", "fire", "nightly", "--idempotency-key", "k", "--json"];
    assert_eq!(place.kapelle(&keyed).json(), place.kapelle(&keyed).json());
    let range = ["schedules", "backfill", "nightly", "--from", "2026-03-01T00:00:00Z", "--to", "2026-03-03T00:00:00Z"];
    let listed = place.kapelle(&[&range[..], &["--dry-run"]].concat());
    assert_eq!(listed.out.lines().collect::<Vec<_>>(), ["2026-03-01T02:30:00+01:00", "2026-03-02T02:30:00+01:00"]);
    place
        .kapelle(&[
            "schedules",
            "backfill",
            "nightly",
            "--from",
            "2026-03-03T00:00:00Z",
            "--to",
            "2026-03-01T00:00:00Z",
        ])
        .refused(2, &["from: later than `to`"]);
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

/// Waits until the list of schedules shows a text, or no longer shows it.
fn listed(place: &Place, text: &str, shows: bool) -> String {
    until(|| Some(place.kapelle(&["schedules"]).out).filter(|out| out.contains(text) == shows))
}

#[test]
fn a_schedule_of_a_workflow_file_changes_with_the_file() {
    let place = Place::new();
    assert_eq!(place.kapelle(&["init"]).code, 0);
    let flow = |on: &str| {
        format!(
            "name: report\non: {on}\ninputs: {{ type: object, properties: {{ day: {{ type: string }} }} }}\nsteps: {{ a: {{ worker: log, with: {{ message: hi }} }} }}\n"
        )
    };
    place.file("workflows/report.yaml", flow("{ schedule: { cron: 30 2 * * *, with: { day: 1 } } }"));
    place.kapelle(&["workflows", "validate", "workflows/report.yaml"]).refused(2, &["report.yaml:2:", "day"]);
    let good = "[{ schedule: { cron: 30 2 * * *, timezone: Asia/Tokyo, with: { day: \"${{ fire.date }}\" } } }]";
    place.file("workflows/report.yaml", flow(good));
    let served = Served::start(&place);
    assert!(listed(&place, "workflows/report.yaml", true).contains("Asia/Tokyo"));
    place.kapelle(&["schedules", "delete", "report"]).refused(5, &["belongs to workflows/report.yaml"]);
    let keyed = ["schedules", "fire", "report", "--idempotency-key", "k", "--json"];
    assert_eq!(place.kapelle(&keyed).json(), place.kapelle(&keyed).json());
    assert_eq!(place.kapelle(&["schedules", "pause", "report", "--reason", "holiday"]).code, 0);
    place.file("workflows/report.yaml", flow(&good.replace("Asia/Tokyo", "Asia/Seoul")));
    assert!(listed(&place, "Asia/Seoul", true).contains("holiday"), "the pause stays");
    let shown = place.kapelle(&["schedules", "show", "report"]).out;
    assert!(shown.contains("made by workflows/report.yaml") && shown.contains("paused: holiday"), "{shown}");
    // A broken file keeps what it said, also for the next server.
    place.file("workflows/report.yaml", "name: report\nsteps: 7\n");
    served.end("-TERM");
    let served = Served::start(&place);
    assert!(place.kapelle(&["schedules"]).out.contains("Asia/Seoul"));
    place.file("workflows/report.yaml", flow("{ schedule: { name: night, cron: 1h } }"));
    assert!(listed(&place, "report.night", true).contains("1h"));
    std::fs::remove_file(place.path("workflows/report.yaml")).unwrap();
    listed(&place, "report", false);
    served.end("-TERM");
}

/// Library that moves the clock of a process, of the package `faketime`.
const CLOCK: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// Starts a server at a time in UTC.
fn served_at(place: &Place, time: &str) -> Served {
    let time = format!("@{time}");
    let clock = [("LD_PRELOAD", CLOCK), ("FAKETIME", &time), ("FAKETIME_DONT_FAKE_MONOTONIC", "1"), ("TZ", "UTC")];
    Served::with(place, &clock)
}

/// Returns the planned times of a schedule with their states, earliest first, once there are `count`.
fn fires(place: &Place, name: &str, count: usize) -> Vec<String> {
    until(|| {
        let shown = place.kapelle(&["schedules", "show", name, "--json"]).json();
        let fires = shown["fires"].as_array()?.iter().rev();
        let text = |fire: &Value| format!("{} {}", fire["scheduled_at"], fire["state"]).replace('"', "");
        Some(fires.map(text).collect()).filter(|fires: &Vec<String>| fires.len() >= count)
    })
}

#[test]
fn a_server_that_was_down_while_clocks_changed_fires_as_documented() {
    if !std::path::Path::new(CLOCK).exists() {
        return;
    }
    let place = Place::new();
    assert_eq!(place.kapelle(&["init"]).code, 0);
    let flow = |name: &str, schedule: &str| {
        let steps = "steps: { a: { worker: log, with: { message: hi } } }";
        place.file(
            &format!("workflows/{name}.yaml"),
            format!("name: {name}\non: {{ schedule: {{ {schedule}, overlap: allow }} }}\n{steps}\n"),
        );
    };
    for rule in ["skip", "one", "all"] {
        flow(rule, &format!("cron: '@hourly', catch_up: {rule}"));
    }
    for (name, zone) in [("berlin", "Europe/Berlin"), ("york", "America/New_York"), ("howe", "Australia/Lord_Howe")] {
        flow(name, &format!("cron: 30 2 * * *, catch_up: all, timezone: {zone}"));
    }
    // Down from 18:30 to 01:05 in UTC. Meanwhile the clock of Berlin skips 02:00 to 03:00.
    drop(served_at(&place, "2026-03-28 18:30:00"));
    let served = served_at(&place, "2026-03-29 01:05:00");
    let hour = |day: u32, hour: u32| format!("2026-03-{day}T{hour:02}:00:00+00:00 started");
    let all: Vec<String> = (19..24).map(|at| hour(28, at)).chain([hour(29, 0), hour(29, 1)]).collect();
    assert_eq!(fires(&place, "all", 7), all);
    assert_eq!(fires(&place, "one", 2), ["2026-03-28T19:00:00+00:00 missed".to_owned(), hour(29, 1)]);
    assert_eq!(fires(&place, "skip", 1), ["2026-03-28T19:00:00+00:00 missed"]);
    assert_eq!(fires(&place, "berlin", 1), ["2026-03-29T03:00:00+02:00 started"]);
    let next = |name: &str| place.kapelle(&["schedules", "next", name, "--count", "1"]).out.trim().to_owned();
    assert_eq!(
        (next("york"), next("berlin")),
        ("2026-03-29T02:30:00-04:00".into(), "2026-03-30T02:30:00+02:00".into())
    );
    // Lord Howe leaves summer time a week later, by half an hour: 02:30 is 15:30 of the day before in UTC.
    assert_eq!(next("howe"), "2026-03-30T02:30:00+11:00");
    served.end("-TERM");
    let served = served_at(&place, "2026-04-05 12:00:00");
    let howe = fires(&place, "howe", 7);
    let day = |day: &str, offset: &str| format!("2026-{day}T02:30:00{offset} started");
    assert_eq!((howe[5].clone(), howe[6].clone()), (day("04-04", "+11:00"), day("04-05", "+10:30")));
    served.end("-TERM");
}
