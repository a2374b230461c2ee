//! Scripts in `workers/`: supervised with and without a server, and the built-in samples.

use std::{
    fs,
    io::{BufRead, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::place::{Place, ended, signal, watched};

pub const LOOP: &str = "while :; do read -r line || exit 0; done";

/// Writes a shell script with settings in front.
pub fn script(place: &Place, name: &str, settings: &str, body: &str) {
    let settings: String = settings.lines().map(|line| format!("# {line}\n")).collect();
    let path = place.file(&format!("workers/{name}"), format!("#!/bin/sh\n# ---\n{settings}# ---\n{body}\n"));
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A server that was started by the verb; killed when dropped.
pub struct Served(pub Child);

impl Served {
    pub fn start(place: &Place) -> Served {
        let mut command = place.command(&["serve", "--listen", "127.0.0.1:0"]);
        Served::of(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Wraps it once it listens.
    pub fn of(mut child: Child) -> Served {
        let _watched = watched(&child);
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("listening="), "{line}");
        Served(child)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "what is waited for happens in another process, which cannot tell")]
pub fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "it should have happened by now");
        std::thread::yield_now();
    }
}

pub fn is_alive(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

pub fn scripts(place: &Place) -> Vec<Value> {
    place.kapelle(&["workers", "--json"]).json()["scripts"].as_array().cloned().unwrap_or_default()
}

pub fn found(place: &Place, name: &str) -> Value {
    scripts(place).into_iter().find(|script| script["name"] == name).unwrap_or_default()
}

#[test]
fn a_folder_is_supervised_without_a_server_and_nobody_is_left() {
    let place = Place::new();
    script(&place, "stays", "mode: daemon", &format!("echo stays running with model: $AI_MODEL\n{LOOP}"));
    script(
        &place,
        "stubborn",
        "mode: daemon",
        &format!("trap '' TERM HUP INT\nsetsid sh -c 'while :; do :; done' &\n{LOOP}"),
    );
    script(&place, "broken", "mdoe: daemon", "exit");
    place.kapelle(&["supervise", "nowhere"]).refused(3, &["nowhere"]);
    place.kapelle(&["supervise", "workers", "--every", "often"]).refused(2, &["--every"]);
    let said = place.with(&[("RUN_WORKERS", "false")], &["supervise", "workers"]);
    assert_eq!((said.code, said.err.contains("scripts are disabled")), (0, true), "{said:?}");
    place.with(&[("RUN_WORKERS", "perhaps")], &["supervise", "workers"]).refused(2, &["true or false"]);
    for ending in ["-KILL", "-TERM"] {
        let (mut child, mut lines) = place.started(&["supervise", "workers", "--every", "200ms"], "cannot be started");
        let _watched = watched(&child);
        let mut pids = Vec::new();
        while pids.len() < 2 {
            let mut line = String::new();
            assert!(lines.read_line(&mut line).unwrap() > 0);
            pids.extend(line.trim().split_once(" runs as process ").map(|(_, pid)| pid.to_owned()));
        }
        assert!(pids.iter().all(|pid| is_alive(pid)), "{pids:?}");
        // The status is printed at each interval.
        let (mut out, mut shown) = (BufReader::new(child.stdout.take().unwrap()), 0);
        while shown < 3 {
            let mut line = String::new();
            assert!(out.read_line(&mut line).unwrap() > 0);
            shown += usize::from(line.starts_with("stays") && line.contains("running"));
        }
        signal(&child, ending);
        if ending == "-TERM" {
            signal(&child, ending);
        }
        let code = ended(&mut child);
        assert_eq!(code, if ending == "-TERM" { Some(143) } else { None });
        until(|| pids.iter().all(|pid| !is_alive(pid)).then_some(()));
    }
    let said = place.kapelle(&["logs", "stays"]);
    assert!(said.out.contains("1/out stays running with model: fast"), "{said:?}");
}

#[test]
fn a_server_shows_restarts_scales_and_logs_scripts_and_gives_them_tasks() {
    let place = Place::new();
    script(&place, "stays", "mode: daemon", &format!("echo hello from $KAPELLE_INSTANCE\n{LOOP}"));
    script(&place, "doubles", "mode: task\nqueue: ml", "n=$(tr -dc 0-9); echo \"{\\\"twice\\\": $((n * 2))}\"");
    place.file("workers/plain.py", "print('plain')\n");
    assert_eq!(found(&place, "stays")["standing"], "startable");
    place.kapelle(&["workers", "restart", "stays"]).refused(69, &["no server"]);
    place.kapelle(&["logs", "stays"]).refused(3, &["has a log once"]);
    let served = Served::start(&place);
    let pid = until(|| found(&place, "stays")["processes"][0]["pid"].as_i64());
    let table = place.kapelle(&["workers"]).out;
    for part in ["stays", "running", "doubles", "idle", "not_started", "uses no SDK"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let said = place.kapelle(&["submit", "doubles", "--wait", "--input", "n=21"]);
    assert_eq!((said.code, &said.json()["twice"]), (0, &42.into()), "{said:?}");
    assert_eq!(place.kapelle(&["workers", "restart", "stays"]).out.trim(), "stays is restarted");
    until(|| found(&place, "stays")["processes"][0]["pid"].as_i64().filter(|fresh| *fresh != pid));
    assert_eq!(place.kapelle(&["workers", "scale", "stays", "2"]).code, 0);
    until(|| place.kapelle(&["logs", "stays"]).out.contains("2/out hello from 2").then_some(()));
    place.kapelle(&["workers", "scale", "stays", "99"]).refused(2, &["between 1 and 64"]);
    place.kapelle(&["workers", "restart", "stayz"]).refused(3, &["did you mean `stays`?"]);
    place.kapelle(&["workers", "restart", "plain"]).refused(3, &["plain was not started"]);
    assert_eq!(place.kapelle(&["workers", "restart", "all"]).code, 0);
    let second = found(&place, "stays")["id"].as_str().unwrap().to_owned() + ".2";
    assert_eq!(place.kapelle(&["workers", "restart", &second]).code, 0);
    // Executed requests stand in the trail; refused ones do not.
    let entries = place.kapelle(&["audit", "--json"]).json()["entries"].as_array().unwrap().clone();
    let acts: Vec<String> = entries.iter().map(|act| format!("{} {}", act["action"], act["resource"])).collect();
    let wanted = [
        "script.restart\" \"stays",
        "script.scale\" \"stays 2",
        "script.restart\" \"all",
        "script.restart\" \"stays.2",
    ];
    assert_eq!(acts, wanted.map(|act| format!("\"{act}\"")));
    assert_eq!(place.kapelle(&["audit", "verify"]).code, 0);

    // After a drain it has reported the end of every script too.
    let mut served = served;
    signal(&served.0, "-TERM");
    assert_eq!(ended(&mut served.0), Some(143));
    let log = fs::read_to_string(place.path(".kapelle/session.log")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |event: &str| lines.iter().filter(|line| line["event"] == event && line["worker"] == "stays").count();
    assert!(of("worker_running") >= 4, "{log}");
    // Two processes were restarted once more each, and ended with the server.
    assert_eq!((of("worker_restart_asked"), of("worker_scale_asked")), (1, 1), "{log}");
    let ended = lines.iter().rev().take_while(|line| line["event"] != "server_stopped");
    let stopped = ended.filter(|line| line["event"] == "worker_stopped" && line["worker"] == "stays");
    assert_eq!(stopped.map(|line| line["instance"].as_u64().unwrap()).sum::<u64>(), 3, "{log}");
}

/// Asks the server of a place. Returns the status and what it sent until it closed or had sent `until`.
pub fn ask(place: &Place, (method, path): (&str, &str), token: &str, until: &str) -> (u16, String) {
    let address = fs::read_to_string(place.path(".kapelle/address")).unwrap();
    let host = address.lines().next().unwrap().trim_start_matches("http://").to_owned();
    let mut stream = TcpStream::connect(&host).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let (mut said, mut chunk) = (Vec::new(), [0; 4_096]);
    while let Ok(read) = stream.read(&mut chunk) {
        said.extend_from_slice(&chunk[..read]);
        if read == 0 || !until.is_empty() && String::from_utf8_lossy(&said).contains(until) {
            break;
        }
    }
    let said = String::from_utf8(said).unwrap();
    (said.split(' ').nth(1).unwrap().parse().unwrap(), said)
}

fn environment(pid: i64) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap();
    bytes.split(|byte| *byte == 0).map(|entry| String::from_utf8_lossy(entry).into_owned()).collect()
}

#[test]
fn over_http_scripts_are_shown_followed_and_hidden_from_others_and_have_a_token_but_no_key() {
    let place = Place::new();
    script(
        &place,
        "nosy",
        "mode: daemon\nenvironment: [OPENAI_API_KEY]",
        &format!("echo up\necho sk-abcdefghijklmnopqrstuv\n{LOOP}"),
    );
    let mut command = place.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("OPENAI_API_KEY", "sk-canary-0123456789").env("OPENAI_BASE_URL", "http://127.0.0.1:9/v1");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let _served = Served::of(child);
    let token = fs::read_to_string(place.path(".kapelle/token")).unwrap().trim().to_owned();
    let pid = until(|| found(&place, "nosy")["processes"][0]["pid"].as_i64());
    let id = found(&place, "nosy")["id"].as_str().unwrap().to_owned();

    // The environment of a script, and nothing else.
    let own = until(|| {
        environment(pid).into_iter().find_map(|entry| entry.strip_prefix("OPENAI_API_KEY=").map(str::to_owned))
    });
    assert!(own.starts_with("sk-kapelle-"), "{own}");
    assert!(!environment(pid).iter().any(|entry| entry.contains("canary") || entry.contains(&token)));
    assert_eq!(ask(&place, ("GET", "/v1/models"), &own, "").0, 200);

    let status = ask(&place, ("GET", "/workers/status"), &token, "").1;
    assert!(status.contains(&format!("\"pid\":{pid}")) && status.contains("\"uptime_ms\""), "{status}");
    let health = ask(&place, ("GET", "/health"), "", "").1;
    assert!(health.contains("\"started\":1,\"running\":1,\"crashed\":0"), "{health}");
    let logs = format!("/workers/logs/{id}");
    let said = ask(&place, ("GET", &logs), &token, "").1;
    assert!(said.contains("\"text\":\"up\"") && said.contains("[redacted]") && !said.contains("sk-abc"), "{said}");
    assert_eq!(ask(&place, ("GET", &format!("{logs}?tail=5000")), &token, "").0, 400);
    let (code, followed) = ask(&place, ("GET", &format!("{logs}?follow=true")), &token, "\"text\":\"up\"");
    assert!(code == 200 && followed.contains("text/event-stream") && followed.contains("event: line"), "{followed}");

    // For another tenant the script does not exist, and a viewer changes nothing.
    let key =
        |role: &str, tenant: &str| place.kapelle(&["keys", "create", "k", "--role", role, "--tenant", tenant]).out;
    let (other, viewer) = (key("admin", "2"), key("viewer", "1"));
    for path in [logs.as_str(), "/workers/logs/worker_0", "/workers/logs/..%2f..%2ftoken"] {
        assert_eq!(ask(&place, ("GET", path), other.trim(), "").0, 404, "{path}");
    }
    let restart = format!("/workers/restart/{id}");
    assert_eq!(ask(&place, ("POST", &restart), other.trim(), "").0, 404);
    assert!(!ask(&place, ("GET", "/workers/status"), other.trim(), "").1.contains("nosy"));
    assert_eq!(ask(&place, ("POST", &restart), viewer.trim(), "").0, 403);
    assert_eq!(ask(&place, ("POST", "/workers/restart-all"), viewer.trim(), "").0, 403);

    // A token ends with its process.
    assert_eq!(ask(&place, ("POST", &restart), &token, "").0, 200);
    until(|| found(&place, "nosy")["processes"][0]["pid"].as_i64().filter(|fresh| *fresh != pid));
    assert_eq!(ask(&place, ("GET", "/v1/models"), &own, "").0, 401);
    assert_eq!(ask(&place, ("POST", "/workers/restart-all"), &token, "").0, 200);
    let trail = ask(&place, ("GET", "/api/v1/audit"), &token, "").1;
    for part in [r#""action":"script.restart","resource":"nosy""#, r#""action":"script.restart","resource":"all""#] {
        assert!(trail.contains(part), "{part}: {trail}");
    }
    assert_eq!(trail.matches("script.restart").count(), 2, "what was refused is not in the trail: {trail}");
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn floods_in_every_mode_and_shape_cost_the_server_little() {
    let place = Place::new();
    let served = Served::start(&place);
    let said = place.kapelle(&["submit", "keywords", "--wait", "--input", "text=light"]);
    assert_eq!(said.code, 0, "{said:?}");
    let before = resident_kib(served.0.id());
    // Endless lines, one endless line, bytes that are not text, escapes of a terminal.
    script(&place, "lines", "mode: daemon", "exec yes a line of a flood");
    script(&place, "endless", "mode: daemon", "exec tr '\\0' x </dev/zero");
    script(&place, "binary", "mode: daemon", "exec cat /dev/urandom >&2");
    script(
        &place,
        "escapes",
        "mode: daemon",
        "printf '\\033]0;evil\\007\\033[2J\\n'; exec yes \"$(printf '\\033[31mred')\"",
    );
    script(&place, "answers", "mode: task", "exec yes");
    script(&place, "pooled", "mode: pool", "exec tr '\\0' x </dev/zero");
    let log = |name: &str| place.kapelle(&["logs", name]).out;
    until(|| log("escapes").contains("\\u{1b}[31mred").then_some(()));
    until(|| log("binary").contains('\u{fffd}').then_some(()));
    let said = place.kapelle(&["submit", "answers", "--wait", "--retries", "0"]);
    assert_eq!(said.code, 1, "{said:?}");
    said.refused(1, &["the answer has more than 16 MiB"]);
    assert!(!log("escapes").contains('\u{1b}') && !log("escapes").contains('\u{7}'));
    let mut most = 0;
    let began = tokio::time::Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        most = most.max(resident_kib(served.0.id()));
        std::thread::yield_now();
    }
    assert!(most < before + (32 << 10), "{before} KiB, then {most} KiB");
    // Others are served meanwhile.
    let said = place.kapelle(&["submit", "keywords", "--wait", "--input", "text=light"]);
    assert_eq!(said.code, 0, "{said:?}");
    println!("{before} KiB, then at most {most} KiB");
}

/// Writes the samples of the repository, with a stand-in for the provider's SDK.
fn samples(place: &Place) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../workers");
    for entry in fs::read_dir(from).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if name.ends_with(".mjs") || name.ends_with(".py") || name == "package.json" {
            place.file(&format!("workers/{name}"), fs::read(entry.path()).unwrap());
        }
    }
    place.file("workers/node_modules/openai/package.json", r#"{"name":"openai","main":"index.js"}"#);
    place.file(
        "workers/node_modules/openai/index.js",
        "class OpenAI {\n  constructor() { const create = async () => { throw new Error('no model here'); };\n    \
         this.chat = { completions: { create } }; this.responses = { create }; }\n}\nmodule.exports = OpenAI;\n",
    );
    // The folder where Python searches for packages of a user.
    let said = place.run("python3", &["-c", "import site; print(site.getusersitepackages())"]);
    let site = Path::new(said.trim()).to_owned();
    fs::create_dir_all(site.join("openai-9.dist-info")).unwrap();
    fs::write(site.join("openai-9.dist-info/METADATA"), "Metadata-Version: 2.1\nName: openai\nVersion: 9\n").unwrap();
    let stand_in = "class OpenAIError(Exception): pass\nclass OpenAI:\n    def __init__(self, **_):\n        raise OpenAIError('no model here')\n";
    fs::write(site.join("openai.py"), stand_in).unwrap();
}

#[test]
fn the_samples_start_do_their_work_and_a_broken_one_stops_none() {
    let place = Place::new();
    if !(place.has("node") && place.has("python3")) {
        assert!(std::env::var_os("KAPELLE_TEST_REQUIRE").is_none(), "node and python3 are needed");
        return;
    }
    samples(&place);
    place.file("workers/broken.mjs", "import OpenAI from 'openai';\nthis is no JavaScript\n");
    place.file("workers/tmp/old.txt", "old");
    place.run("touch", &["-d", "3 days ago", place.path("workers/tmp/old.txt").to_str().unwrap()]);
    place.file("workers/tmp/new.txt", "new");
    place.file(
        "workers/goals.json",
        r#"[{"goal":"Write","file":"goals.json"},{"goal":"Rest","file":"x","due":"2020-01-01"}]"#,
    );
    place.file("workers/maintenance.json", r#"[{"chore":"Sweep","every_days":7,"last":"2020-01-01"}]"#);
    let served = Served::start(&place);
    let all = until(|| Some(scripts(&place)).filter(|all| all.len() == 9));
    assert!(all.iter().all(|script| script["standing"] == "started"), "{all:#?}");
    for name in ["memorySync", "goalWatcher", "maintenanceScheduler", "clearTemp", "text_digest"] {
        let wanted = format!("{name} running with model: fast");
        until(|| place.kapelle(&["logs", name]).out.contains(&wanted).then_some(()));
    }
    until(|| place.path("workers/memory.json").exists().then_some(()));
    until(|| place.path("workers/goals.json.status.json").exists().then_some(()));
    until(|| (!place.path("workers/tmp/old.txt").exists()).then_some(()));
    until(|| place.path("workers/maintenance.json.plan.json").exists().then_some(()));
    assert!(place.path("workers/tmp/new.txt").exists());
    assert!(fs::read_to_string(place.path("workers/goals.json.status.json")).unwrap().contains("overdue"));
    until(|| matches!(found(&place, "broken")["state"].as_str(), Some("waiting" | "crashed")).then_some(()));
    script(&place, "misspelt", "mdoe: task", "true");
    until(|| (found(&place, "misspelt")["standing"] == "cannot_start").then_some(()));
    place.kapelle(&["logs", "misspelt"]).refused(3, &["misspelt was not started", "unknown key `mdoe`"]);

    let ask = |worker: &str, input: Value| {
        let file = place.file("input.json", input.to_string());
        let said = place.kapelle(&["submit", worker, "--wait", "--inputs", file.to_str().unwrap()]);
        assert_eq!(said.code, 0, "{said:?}");
        said.json()
    };
    let folder = place.path("workers").to_str().unwrap().to_owned();
    let audit =
        ask("auditProcessor", serde_json::json!({ "entries": [{ "actor": "a", "action": "key.create", "seq": 1 }] }));
    assert_eq!(audit["findings"][0]["seq"], 1);
    assert!(ask("codeImprovement", serde_json::json!({ "folder": folder }))["files"].as_u64().unwrap() >= 8);
    let digest = ask("text_digest", serde_json::json!({ "text": "One. Two. Three.", "sentences": 1 }));
    assert_eq!((&digest["digest"], &digest["by"]), (&"One.".into(), &"first sentences".into()));
    place.file("texts/a.txt", "library library shelves");
    let texts = place.path("texts").to_str().unwrap().to_owned();
    assert_eq!(ask("word_counter", serde_json::json!({ "folder": texts }))["most"][0], "library");
    for name in ["auditProcessor", "codeImprovement", "word_counter"] {
        let wanted = format!("{name} running with model: fast");
        assert!(place.kapelle(&["logs", name]).out.contains(&wanted), "{name}");
    }
    drop(served);
}
