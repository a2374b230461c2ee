//! A server as its operator meets it: backups, the end, the log, metrics, a full disk, the service manager.

use std::{
    fs,
    io::{BufRead, BufReader, Read as _},
    process::{Child, Stdio},
};

use kapelle_api::Client;
use serde_json::{Value, json};

use crate::{
    place::{Place, ended, signal, watched},
    scripts::until,
};

/// A server whose log is kept.
struct Served {
    child: Child,
    base: String,
    log: std::thread::JoinHandle<String>,
}

impl Served {
    fn start(place: &Place, more: &[&str]) -> Served {
        let mut command = place.command(&[&["serve", "--listen", "127.0.0.1:0"], more].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let _watched = watched(&child);
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let base = format!("http://{}", line.trim().strip_prefix("listening=").unwrap());
        Served { child, base, log }
    }

    /// Stops it gracefully. Returns its log.
    fn end(mut self) -> String {
        signal(&self.child, "-TERM");
        assert_eq!(ended(&mut self.child), Some(143));
        self.log.join().unwrap()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn token(place: &Place) -> String {
    fs::read_to_string(place.path(".kapelle/token")).unwrap().trim().to_owned()
}

fn submit(place: &Place, count: usize) {
    submit_to(place, ".kapelle", count);
}

fn submit_to(place: &Place, data: &str, count: usize) {
    for number in 0..count {
        let input = format!("message={number}");
        let said = place.kapelle(&["submit", "log", "--input", &input, "--delay", "1h", "--data", data]);
        assert_eq!(said.code, 0, "{said:?}");
    }
}

/// Returns the numbers of all tasks.
fn ids(runtime: &tokio::runtime::Runtime, client: &Client) -> Vec<i64> {
    let listed: Value = runtime.block_on(client.get("/api/v1/tasks?limit=100")).unwrap();
    let tasks = listed["tasks"].as_array().unwrap().iter();
    tasks.map(|task| task["id"].as_str().unwrap().trim_start_matches("task_").parse().unwrap()).collect()
}

fn tasks(place: &Place, data: &str) -> usize {
    let said = place.kapelle(&["tasks", "list", "--json", "--data", data]);
    said.json()["tasks"].as_array().map_or(0, Vec::len)
}

#[test]
fn a_backup_of_a_working_server_is_restored_whole_and_its_attempts_are_void() {
    let place = Place::new();
    let served = Served::start(&place, &[]);
    submit(&place, 3);
    // A worker host holds a task: its attempt does not outlive the restore.
    let client = Client::new(&served.base, &token(&place)).unwrap();
    let runtime = runtime();
    let post = |path: String, body: Value| -> Value { runtime.block_on(client.post(&path, &body)).unwrap() };
    let host = post("/api/v1/hosts".to_owned(), json!({ "workers": ["far"], "slots": 1 }));
    post("/api/v1/tasks".to_owned(), json!({ "worker": "far" }));
    let claim = format!("/api/v1/hosts/{}/claim", host["id"].as_str().unwrap());
    let claimed = post(claim, json!({ "max_tasks": 1, "wait_ms": 20_000 }));
    let lease = claimed["tasks"][0]["lease_token"].clone();
    let said = place.kapelle(&["backup", "copy", "--json"]);
    assert_eq!((said.code, &said.json()["token"]), (0, &false.into()), "{said:?}");
    place.kapelle(&["backup", "copy"]).refused(2, &["holds files already", "name a new or empty folder"]);
    place.kapelle(&["backup", ".kapelle/inside"]).refused(2, &["lies in the data folder itself"]);
    submit(&place, 2);
    let before = ids(&runtime, &client);
    served.end();

    let said = place.kapelle(&["restore", "copy", "--data", "again", "--json"]);
    let restored = said.json();
    assert_eq!(
        (said.code, &restored["open_tasks"], &restored["voided_attempts"]),
        (0, &4.into(), &1.into()),
        "{said:?}"
    );
    assert_eq!(tasks(&place, "again"), 4, "the tasks of the moment of the backup");
    assert!(!place.path("again/token").exists() && !place.path("again.restoring").exists());
    place.kapelle(&["restore", "copy", "--data", "again"]).refused(2, &["holds files", "--data"]);
    let served = Served::start(&place, &["--data", "again"]);
    let fresh = fs::read_to_string(place.path("again/token")).unwrap();
    let client = Client::new(&served.base, fresh.trim()).unwrap();
    let late = json!({ "lease_token": lease, "output": {} });
    let refused = runtime.block_on(client.post::<Value>("/api/v1/tasks/task_4/succeed", &late));
    assert!(refused.is_err() || refused.as_ref().unwrap().to_string().contains("lease_lost"), "{refused:?}");
    // The tasks made after the backup had ids that the restored folder does not know: it gives none of them again, and
    // neither does a folder that is restored from the same backup later.
    submit_to(&place, "again", 2);
    let after = ids(&runtime, &client);
    let fresh: Vec<&i64> = after.iter().filter(|id| **id > 1_000_000_000).collect();
    assert_eq!((before.len(), after.len(), fresh.len()), (6, 6, 2), "{before:?} {after:?}");
    let host: Value = runtime.block_on(client.post("/api/v1/hosts", &json!({ "workers": ["far"] }))).unwrap();
    let number = host["id"].as_str().unwrap().split('_').nth(1).unwrap().parse::<u32>().unwrap();
    assert!(number > 10_000, "{host}");
    served.end();

    let said = place.kapelle(&["backup", "with", "--with-token"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(place.kapelle(&["restore", "with", "--data", "third"]).code, 0);
    assert_eq!(fs::read_to_string(place.path("third/token")).unwrap().trim(), token(&place));
}

#[test]
fn half_a_backup_and_a_damaged_one_are_refused() {
    let place = Place::ran();
    assert_eq!(place.kapelle(&["backup", "copy"]).code, 0);
    let database = fs::read(place.path("copy/kapelle.db")).unwrap();
    place.file("copy/kapelle.db", [&database[..], b"x"].concat());
    let restore = ["restore", "copy", "--data", "again"];
    place.kapelle(&restore).refused(2, &["kapelle.db: the file differs from the list"]);
    assert!(!place.path("again").exists() && !place.path("again.restoring").exists());
    place.file("copy/kapelle.db", database);
    let list = fs::read_to_string(place.path("copy/manifest.json")).unwrap();
    place.file("copy/manifest.json", list.replace("kapelle.db", "../kapelle.db"));
    place.kapelle(&restore).refused(2, &["is no file of a backup"]);
    fs::remove_file(place.path("copy/manifest.json")).unwrap();
    place.kapelle(&restore).refused(2, &["no complete backup", "manifest.json is missing"]);
    place.file("copy/manifest.json", list);
    assert_eq!(place.kapelle(&restore).code, 0);

    // Killed at any moment: either the backup is complete, or it is refused.
    for round in 0..8 {
        let (copy, data) = (format!("copy{round}"), format!("data{round}"));
        let mut child = place.command(&["backup", &copy]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let folder = place.path(&copy);
        let wanted = ["", "blobs", "kapelle.db", "audit.key"][round % 4];
        while !folder.join(wanted).exists() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        let _ = child.kill();
        child.wait().unwrap();
        let said = place.kapelle(&["restore", &copy, "--data", &data]);
        assert_eq!(said.code == 0, folder.join("manifest.json").exists(), "{said:?}");
        assert!(said.code == 0 || !place.path(&data).exists(), "{said:?}");
    }
}

#[test]
fn after_a_graceful_stop_the_database_alone_is_complete() {
    let place = Place::new();
    let served = Served::start(&place, &[]);
    submit(&place, 5);
    served.end();
    let log = place.path(".kapelle/kapelle.db-wal");
    assert_eq!(fs::metadata(log).map_or(0, |about| about.len()), 0);
    fs::create_dir(place.path("alone")).unwrap();
    fs::copy(place.path(".kapelle/kapelle.db"), place.path("alone/kapelle.db")).unwrap();
    assert_eq!(tasks(&place, "alone"), 5);
}

#[test]
fn every_line_of_the_log_has_time_and_level_and_no_secret() {
    let place = Place::new();
    place.file("kapelle.yaml", "log: { access: true }\n");
    let served = Served::start(&place, &["--log-format", "json"]);
    let client = Client::new(&served.base, &token(&place)).unwrap();
    let asked: Value = runtime().block_on(client.get("/api/v1/tasks?queue=hushhush")).unwrap();
    assert!(asked["tasks"].is_array());
    place.file("kapelle.yaml", "log: { access: true }\nlease: 20s\nbudgets: { day: $1 }\n");
    until(|| {
        place.kapelle(&["budgets", "--json"]).json()["budgets"].as_array().filter(|all| all.len() == 1).map(|_| ())
    });
    let log = served.end();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z') && line["level"].is_string(), "{line}");
    }
    let access = lines.iter().find(|line| line["route"] == "/api/v1/tasks" && line["method"] == "GET").unwrap();
    assert_eq!((&access["status"], &access["tenant"], &access["level"]), (&200.into(), &1.into(), &"INFO".into()));
    assert!(access["duration_ms"].is_u64() && !log.contains("hushhush") && !log.contains(&token(&place)), "{log}");
    assert!(log.contains("only after a restart: lease"), "{log}");
    place.file("kapelle.yaml", "");
    let log = Served::start(&place, &[]).end();
    assert!(log.lines().all(|line| line.starts_with("20") && line.contains("Z ")), "{log}");
    assert!(log.contains(" INFO ready; ") && !log.contains("request"), "{log}");
    let served = Served::start(&place, &["-v"]);
    let client = Client::new(&served.base, &token(&place)).unwrap();
    let _: Value = runtime().block_on(client.get("/health")).unwrap();
    assert!(served.end().contains("DEBUG request method=\"GET\" route=\"/health\" status=200"));
}

#[test]
fn the_token_is_replaced_with_and_without_a_server() {
    let place = Place::new();
    let served = Served::start(&place, &[]);
    let old = token(&place);
    let said = place.kapelle(&["keys", "rotate-token"]);
    assert!(said.code == 0 && !said.out.contains("kap_"), "{said:?}");
    assert_ne!(token(&place), old);
    let ask = |token: &str| runtime().block_on(Client::new(&served.base, token).unwrap().get::<Value>("/api/v1/keys"));
    assert!(ask(&old).is_err() && ask(&token(&place)).is_ok());
    assert!(place.kapelle(&["audit"]).out.contains("token.rotate"));
    served.end();
    let old = token(&place);
    assert_eq!(place.kapelle(&["keys", "rotate-token"]).code, 0);
    assert_ne!(token(&place), old);
}

#[test]
fn prometheus_accepts_the_metrics_and_a_key_reads_nothing_else() {
    let place = Place::new();
    place.file("kapelle.yaml", "budgets: { day: $5, workers: { log: $1 } }\n");
    let served = Served::start(&place, &[]);
    assert_eq!(place.kapelle(&["submit", "log", "--input", "message=a", "--wait"]).code, 0);
    submit(&place, 2);
    let key = place.kapelle(&["keys", "create", "prometheus", "--role", "metrics"]).out.trim().to_owned();
    let read = |path: &str| {
        let (url, bearer) = (format!("{}{path}", served.base), format!("Authorization: Bearer {key}"));
        place.run("curl", &["-sS", "-w", "\n%{http_code}", "-H", &bearer, &url])
    };
    let metrics = read("/metrics");
    for part in [
        "kapelle_tasks_open{tenant=\"1\",queue=\"default\",state=\"scheduled\"} 2",
        "kapelle_oldest_task_age_seconds{tenant=\"1\",queue=\"default\",state=\"scheduled\"}",
        "kapelle_task_wait_seconds_count{queue=\"default\"} 1",
        "kapelle_task_duration_seconds_bucket{worker=\"log\",le=\"+Inf\"} 1",
        "kapelle_budget_limit_dollars{tenant=\"1\",account=\"day\"} 5",
        "kapelle_budget_used_dollars{tenant=\"1\",account=\"worker:log\"} 0",
        "kapelle_store_database_bytes",
        "kapelle_store_disk_free_bytes",
    ] {
        assert!(metrics.contains(part), "{part}: {metrics}");
    }
    assert!(read("/api/v1/tasks").ends_with("403"), "a key of metrics reads metrics");
    if place.has("promtool") {
        let file = place.file("metrics", metrics.rsplit_once('\n').unwrap().0.as_bytes());
        let said = place.run("sh", &["-c", &format!("promtool check metrics < {} 2>&1", file.display())]);
        assert_eq!(said, "", "promtool has no complaint");
    } else {
        assert!(std::env::var_os("KAPELLE_TEST_REQUIRE").is_none(), "promtool is needed (apt: prometheus)");
        println!("skipped: 1 check of the metrics needs promtool");
    }
}

#[test]
fn a_full_disk_makes_the_server_not_ready_until_there_is_room() {
    let place = Place::new();
    let disk = place.path("disk");
    fs::create_dir(&disk).unwrap();
    #[expect(clippy::disallowed_methods, reason = "a small disk is mounted by a program of the machine")]
    let run = |program: &str, words: &[&str]| std::process::Command::new(program).args(words).output();
    let shown = disk.to_str().unwrap().to_owned();
    if !run("mount", &["-t", "tmpfs", "-o", "size=8m", "tmpfs", &shown]).is_ok_and(|done| done.status.success()) {
        println!("skipped: 1 check of a full disk needs the right to mount one");
        return;
    }
    let served = Served::start(&place, &["--data", "disk/data"]);
    let ready = || place.run("curl", &["-s", "-w", "\n%{http_code}", &format!("{}/readyz", served.base)]);
    assert!(ready().ends_with("200"));
    // The file takes what is left; the database then has no room for the large input.
    let _ = run("dd", &["if=/dev/zero", &format!("of={shown}/filler"), "bs=64k"]);
    let large = place.file("large.json", json!({ "message": "x".repeat(400_000) }).to_string());
    until(|| {
        let said = place.kapelle(&["submit", "log", "--inputs", large.to_str().unwrap(), "--data", "disk/data"]);
        (said.code == 75).then_some(())
    });
    let refused = ready();
    assert!(refused.ends_with("503") && refused.contains("the check `disk` fails: the disk is full"), "{refused}");
    fs::remove_file(disk.join("filler")).unwrap();
    until(|| ready().ends_with("200").then_some(()));
    let log = served.end();
    assert_eq!(log.matches("is full: changes are refused").count(), 1, "{log}");
    assert_eq!(log.matches("has room again").count(), 1, "{log}");
    let _ = run("umount", &["-l", &shown]);
}

#[test]
fn the_unit_is_accepted_by_the_service_manager() {
    let place = Place::new();
    if !place.has("systemd-analyze") {
        assert!(std::env::var_os("KAPELLE_TEST_REQUIRE").is_none(), "systemd-analyze is needed (apt: systemd)");
        println!("skipped: 2 checks of the unit need systemd-analyze");
        return;
    }
    let unit = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/kapelle.service"));
    // The program is not installed where the unit expects it.
    let here = unit.replace("/usr/local/bin/kapelle", env!("CARGO_BIN_EXE_kapelle"));
    assert_ne!(here, unit);
    let file = place.file("kapelle.service", here);
    let check = |words: &[&str]| {
        #[expect(clippy::disallowed_methods, reason = "a program of the machine checks the unit")]
        std::process::Command::new("systemd-analyze").args(words).arg(&file).output().unwrap()
    };
    // Unknown keys are only printed.
    let said = check(&["verify"]);
    assert!(said.status.success() && said.stderr.is_empty(), "{said:?}");
    let said = check(&["security", "--offline=true", "--threshold=25"]);
    assert!(said.status.success(), "{said:?}");
}
