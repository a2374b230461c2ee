//! Scripts in a folder, found, started, given tasks, changed, broken and stopped. They are written for the shell, so that
//! nothing but it is needed.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where something is not as it should be"
)]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use kapelle_core::{
    Category, Money, Name, TaskError,
    worker::{BoxFuture, Output, TaskContext, Worker, WorkerSpec},
};
use kapelle_supervisor::keeping::Helper;
use kapelle_workers::script::{
    Access, Fleet, FleetOptions, NoTokens, TokenSource,
    environment::Surroundings,
    fleet::{Board, Keeps, ScriptStatus},
};
use serde_json::{Value, json};

#[derive(Default)]
struct Known(Mutex<BTreeMap<Name, Arc<dyn Worker>>>);

impl Board for Known {
    fn put(&self, worker: Arc<dyn Worker>) {
        self.0.lock().unwrap().insert(worker.spec().name.clone(), worker);
    }

    fn take(&self, name: &Name) {
        self.0.lock().unwrap().remove(name);
    }

    fn get(&self, name: &Name) -> Option<Arc<dyn Worker>> {
        self.0.lock().unwrap().get(name).cloned()
    }
}

/// Answers for others.
struct StandIn(WorkerSpec);

impl Worker for StandIn {
    fn spec(&self) -> &WorkerSpec {
        &self.0
    }

    fn execute<'a>(&'a self, _: &'a TaskContext, _: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async { Ok(Output::plain(json!({ "from": "stand-in" }))) })
    }
}

/// Tokens that tell whom they are for, and who has one.
#[derive(Default)]
struct Purse(Mutex<BTreeMap<u64, String>>);

impl Purse {
    fn give(&self, whom: String) -> Option<Access> {
        let mut lent = self.0.lock().unwrap();
        let id = lent.len() as u64 + 1;
        lent.insert(id, whom.clone());
        Some(Access { id, token: format!("token-for-{whom}"), base_url: "http://127.0.0.1:1/v1".to_owned() })
    }
}

impl TokenSource for Purse {
    fn for_task(&self, worker: &WorkerSpec, of: &TaskContext) -> Result<Option<Access>, String> {
        Ok(self.give(format!("{}-{}-{}", worker.name, of.task, of.attempt)))
    }

    fn for_process(&self, worker: &Name, _process: &str, _budget: Option<Money>) -> Result<Option<Access>, String> {
        Ok(self.give(worker.to_string()))
    }

    fn revoke(&self, id: u64) {
        self.0.lock().unwrap().remove(&id);
    }
}

struct Place {
    folder: PathBuf,
    board: Arc<Known>,
    fleet: Option<Fleet>,
    keeps: Keeps,
    /// What was told, in its order: the worker and the state.
    told: Arc<Mutex<Vec<(String, &'static str)>>>,
}

impl Place {
    fn new(name: &str) -> Place {
        let folder = std::env::temp_dir().join(format!("kapelle-scripts-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("workers")).unwrap();
        Place { folder, board: Arc::default(), fleet: None, keeps: Keeps::All, told: Arc::default() }
    }

    /// Writes a script for the shell with settings in front.
    fn script(&self, name: &str, settings: &str, body: &str) {
        let settings: String = settings.lines().map(|line| format!("# {line}\n")).collect();
        self.file(name, &format!("#!/bin/sh\n# ---\n{settings}# ---\n{body}\n"));
    }

    fn file(&self, name: &str, text: &str) {
        let path = self.folder.join("workers").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let fresh = self.folder.join("fresh");
        fs::write(&fresh, text).unwrap();
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(fresh, path).unwrap();
    }

    async fn start(&mut self) -> Fleet {
        self.start_with(Arc::new(NoTokens)).await
    }

    async fn start_with(&mut self, tokens: Arc<dyn TokenSource>) -> Fleet {
        let surroundings = Surroundings {
            lookup: Box::new(|name| match name {
                "OPENAI_API_KEY" | "OTHER_KEY" => Some("sk-canary-0123456789abcdef".to_owned()),
                name => std::env::var(name).ok(),
            }),
            keys: vec!["OTHER_KEY".to_owned()],
            url: Some("http://127.0.0.1:7863".to_owned()),
            model: "fast".to_owned(),
        };
        let told = Arc::clone(&self.told);
        let options = FleetOptions {
            root: self.folder.join("workers"),
            logs: self.folder.join("logs"),
            surroundings,
            path: std::env::var_os("PATH"),
            tokens,
            board: Arc::clone(&self.board) as _,
            now: Arc::new(|| 1_700_000_000_000),
            told: Box::new(move |event| told.lock().unwrap().push((event.worker.clone(), event.what))),
            keeps: self.keeps,
        };
        let fleet = Fleet::start(Helper::start(env!("CARGO_BIN_EXE_extract-child")).unwrap(), options).await;
        self.fleet = Some(fleet.clone());
        fleet
    }

    fn status(&self, name: &str) -> ScriptStatus {
        let all = self.fleet.as_ref().unwrap().status();
        all.into_iter().find(|script| script.name == name).unwrap_or_else(|| panic!("there is no {name}"))
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let log = self.fleet.as_ref().unwrap().log(&self.status(name).id).unwrap();
        log.tail(1_000).0.iter().map(|line| line.text.clone()).collect()
    }

    async fn says(&self, name: &str, part: &str) {
        until(|| self.lines(name).iter().any(|line| line.contains(part))).await;
    }

    async fn is(&self, name: &str, state: &str) {
        until(|| self.status(name).state == state).await;
    }

    async fn ask(&self, name: &str, input: Value) -> Result<Output, TaskError> {
        let worker = self.board.get(&Name::new(name)).expect("a worker");
        worker.execute(&TaskContext::detached("task_7"), input).await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

async fn until(mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), wait).await.expect("in time");
}

const LOOP: &str = "while :; do read -r line || exit 0; done";

#[tokio::test(flavor = "multi_thread")]
async fn files_are_told_apart_and_a_broken_one_stops_no_other() {
    let mut place = Place::new("found");
    place.script("ok", "mode: daemon", &format!("echo ok running with model: $AI_MODEL\n{LOOP}"));
    place.script("typo", "mdoe: daemon", LOOP);
    place.script("off", "mode: daemon\nstart: false", LOOP);
    place.script("gone.sh", "mode: daemon\ninterpreter: /no/such/program", LOOP);
    place.file("plain.py", "print('no SDK')\n");
    place.file("bypass.py", "# ---\n# start: false\n# ---\nURL = 'https://api.openai.com/v1'\n");
    place.file("node_modules/dep/index.js", "import OpenAI from 'openai'\n");
    place.file(".hidden/x.js", "import OpenAI from 'openai'\n");
    place.file("env1/pyvenv.cfg", "");
    place.file("env1/lib/y.py", "import openai\n");
    place.file("missing/sdk.mjs", "import OpenAI from 'openai'\n");
    place.file("beside.py", "print(1)\n");
    place.file("beside.worker.yaml", "start: false\nname: renamed\n");
    let fleet = place.start().await;
    let found: Vec<(String, &str)> = fleet.status().into_iter().map(|s| (s.name, s.standing)).collect();
    let wanted = [
        ("renamed", "not_started"),
        ("bypass", "not_started"),
        ("gone", "cannot_start"),
        ("sdk", "cannot_start"),
        ("off", "not_started"),
        ("ok", "started"),
        ("plain", "not_started"),
        ("typo", "cannot_start"),
    ];
    assert_eq!(found, wanted.map(|(name, standing)| (name.to_owned(), standing)));
    assert!(place.status("typo").why.contains("typo:3:1: unknown key `mdoe`"), "{:?}", place.status("typo"));
    assert!(place.status("gone").why.contains("`/no/such/program` is not there"));
    assert!(place.status("plain").why.contains("does not use the OpenAI SDK"));
    assert!(place.status("bypass").warnings[0].contains("line 4 names api.openai.com"));
    let sdk = place.status("sdk");
    assert!(sdk.why.contains("npm install openai") || sdk.why.contains("`node`"), "{sdk:?}");
    assert_eq!(sdk.uses, "imports openai");
    place.says("ok", "ok running with model: fast").await;
    place.is("ok", "running").await;
    assert_eq!(fleet.counts().started, 1);
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_changed_and_deleted_files_take_effect_in_time() {
    let mut place = Place::new("watch");
    let fleet = place.start().await;
    let mut events = fleet.watch();
    let mut next = async |what: &str| loop {
        // Two seconds are promised; a busy machine may take longer for everything.
        let event = tokio::time::timeout(Duration::from_secs(20), events.recv()).await.expect("in time").unwrap();
        if event.what == what {
            return event;
        }
    };
    place.script("late", "mode: daemon", &format!("echo first\n{LOOP}"));
    let first = next("running").await;
    place.says("late", "first").await;
    place.script("late", "mode: daemon", &format!("echo second\n{LOOP}"));
    next("changed").await;
    let second = next("running").await;
    assert_ne!(first.pid, second.pid);
    place.says("late", "second").await;
    // Other rules need a process that is begun anew.
    place.script("late", "mode: daemon\nstop_timeout: 1s", &format!("echo third\n{LOOP}"));
    next("running").await;
    place.says("late", "third").await;
    fs::remove_file(place.folder.join("workers/late")).unwrap();
    next("gone").await;
    next("stopped").await;
    assert!(fleet.status().is_empty());
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fails_is_tried_again_and_then_left_alone_until_it_is_asked_for() {
    let mut place = Place::new("crash");
    let settings = "mode: daemon\nrestart: { tries: 2, delay: 10ms, multiplier: 1 }";
    place.script("bad", settings, "echo trying >&2\nexit 3");
    place.script("once", "mode: daemon", "echo done");
    let fleet = place.start().await;
    place.is("bad", "crashed").await;
    let status = place.status("bad");
    let process = &status.processes[0];
    assert_eq!((process.restarts, process.failures), (2, 3));
    assert_eq!(process.last_exit.as_ref().unwrap().code, Some(3));
    assert_eq!(place.lines("bad").iter().filter(|line| *line == "trying").count(), 3);
    assert!(place.lines("bad").last().unwrap().contains("it failed 3 times in a row and is given up"));
    let alarms = || place.told.lock().unwrap().iter().filter(|told| **told == ("bad".to_owned(), "crashed")).count();
    until(|| alarms() == 1).await;
    place.is("once", "finished").await;
    assert_eq!((fleet.counts().crashed, fleet.counts().running), (1, 0));
    assert!(
        fleet.restart(&status.id, "a test")
            && !fleet.restart("worker_0", "")
            && !fleet.restart(&format!("{}.9", status.id), "")
    );
    // Asked for, it has its two tries again, and is given up again, which is told once more.
    until(|| place.status("bad").processes[0].restarts == 4 && alarms() == 2).await;
    assert_eq!(fleet.restart_all(""), 2);
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_reaches_a_script_and_secrets_do_not_reach_the_log() {
    let mut place = Place::new("secrets");
    let body = "env | sort\necho key is $OPENAI_API_KEY\necho sk-aaaaaaaaaaaaaaaaaaaaaaaa\nprintf '\\033[31mred\\n'";
    let settings =
        "mode: daemon\nenvironment: { LEVEL: 3, OTHER_KEY: null, OPENAI_API_KEY: null, MY_SECRET: swordfish }";
    place.script("nosy", settings, body);
    let fleet = place.start().await;
    place.is("nosy", "finished").await;
    let said = place.lines("nosy").join("\n");
    for absent in ["canary", "OTHER_KEY", "OPENAI", "swordfish", "sk-aaaa", "\u{1b}"] {
        assert!(!said.contains(absent), "{absent}: {said}");
    }
    for there in
        ["LEVEL=3", "KAPELLE_WORKER=nosy", "AI_MODEL=fast", "TRACEPARENT=00-", "MY_SECRET=[redacted]", "\\u{1b}[31mred"]
    {
        assert!(said.contains(there), "{there}: {said}");
    }
    let file = fs::read_to_string(fleet.log(&place.status("nosy").id).unwrap().path()).unwrap();
    assert!(file.contains("1/out LEVEL=3") && !file.contains("swordfish"), "{file}");
    fleet.stop().await;

    let mut place = Place::new("tokens");
    place.script(
        "daemon",
        "mode: daemon",
        &format!("echo at $OPENAI_BASE_URL\n[ $OPENAI_API_KEY = token-for-daemon ] && echo mine\n{LOOP}"),
    );
    place.script(
        "one",
        "mode: task",
        "cat >/dev/null\n[ $OPENAI_API_KEY = token-for-one-task_7-1 ] && echo '{\"mine\":true}'",
    );
    let purse = Arc::new(Purse::default());
    let fleet = place.start_with(Arc::clone(&purse) as _).await;
    place.says("daemon", "mine").await;
    assert_eq!(purse.0.lock().unwrap().values().collect::<Vec<_>>(), ["daemon"]);
    assert_eq!(place.ask("one", json!({})).await.unwrap().value, json!({ "mine": true }));
    // The token of the attempt has gone with it, that of the process goes with that.
    assert_eq!(purse.0.lock().unwrap().len(), 1);
    fleet.stop().await;
    assert!(purse.0.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_has_a_process_of_its_own() {
    let mut place = Place::new("task");
    place.script(
        "echo",
        "mode: task\nslots: 3\nqueue: ml",
        "echo working\nread -r line; printf '{\"got\":%s,\"try\":\"%s\"}\\n' \"$line\" $KAPELLE_ATTEMPT",
    );
    place.script("fails", "mode: task", "echo what a pity >&2; exit 4");
    place.script(
        "tells",
        "mode: task",
        "echo '{\"error\":{\"category\":\"rate_limited\",\"message\":\"slow\",\"retry_after_ms\":5}}'; exit 1",
    );
    place.script("mute", "mode: task", "echo hello");
    place.script("slow", "mode: task\ntimeout: 200ms", "while :; do :; done");
    place.script(
        "picky",
        "mode: task\ninput: { type: object, required: [a] }\noutput: { type: object, required: [b] }",
        "echo '{\"c\":1}'",
    );
    let fleet = place.start().await;
    let output = place.ask("echo", json!({ "a": [1, 2] })).await.unwrap();
    assert_eq!(output.value, json!({ "got": { "a": [1, 2] }, "try": "1" }));
    place.says("echo", "working").await;
    let spec = place.board.get(&Name::new("echo")).unwrap().spec().clone();
    assert_eq!((spec.slots, spec.queue.as_str()), (3, "ml"));
    for (name, category, part) in [
        ("fails", Category::Crashed, "exit code 4: what a pity"),
        ("tells", Category::RateLimited, "slow"),
        ("mute", Category::InvalidOutput, "its last line is not JSON"),
        ("slow", Category::Timeout, "longer than"),
        ("picky", Category::InvalidOutput, "does not fit the output schema"),
    ] {
        let worker = place.board.get(&Name::new(name)).unwrap();
        let mut context = TaskContext::detached("task_1");
        context.timeout = worker.spec().timeout;
        let error = worker.execute(&context, json!({ "a": 1 })).await.unwrap_err();
        assert_eq!(error.category, category, "{name}: {error}");
        assert!(error.message.contains(part), "{name}: {error}");
    }
    assert_eq!(place.ask("picky", json!({})).await.unwrap_err().category, Category::InvalidInput);
    until(|| place.status("slow").state == "idle").await;
    fleet.stop().await;
}

/// Answers each task with the number of those it had before; `die` kills it, `hang` it never answers.
const POOL: &str = r#"
n=0
echo '{"workers":["pool"]}'
while read -r line; do
  token=$(printf '%s' "$line" | sed -n 's/.*"lease_token":"\([^"]*\)".*/\1/p')
  case "$line" in
    *'"cancel"'*) echo cancelled >&2 ;;
    *'"die"'*) exit 9 ;;
    *'"hang"'*) ;;
    *'"refuse"'*) printf '{"lease_token":"%s","outcome":"fail","error":{"category":"invalid_input","message":"no"}}\n' "$token" ;;
    *) n=$((n+1)); printf '{"lease_token":"%s","outcome":"succeed","output":{"n":%s}}\n' "$token" $n ;;
  esac
done"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_takes_one_task_after_the_other_in_the_same_process() {
    let mut place = Place::new("pool");
    place.script("pool", "mode: pool\nready: message\nrestart: { delay: 10ms }", POOL);
    let fleet = place.start().await;
    for n in 1..=3 {
        assert_eq!(place.ask("pool", json!({})).await.unwrap().value, json!({ "n": n }));
    }
    let error = place.ask("pool", json!({ "do": "refuse" })).await.unwrap_err();
    assert_eq!((error.category, error.message.as_str()), (Category::InvalidInput, "no"));
    let error = place.ask("pool", json!({ "do": "die" })).await.unwrap_err();
    assert_eq!(error.category, Category::Crashed);
    // The next one finds a fresh process.
    assert_eq!(place.ask("pool", json!({})).await.unwrap().value, json!({ "n": 1 }));
    let mut hanging = Box::pin(place.ask("pool", json!({ "do": "hang" })));
    let early = tokio::time::timeout(Duration::from_millis(100), &mut hanging).await;
    assert!(early.is_err());
    drop(hanging);
    place.says("pool", "cancelled").await;
    let id = place.status("pool").id;
    assert!(fleet.scale(&id, 3));
    until(|| place.status("pool").processes.iter().filter(|process| process.state == "running").count() == 3).await;
    assert_eq!(place.board.get(&Name::new("pool")).unwrap().spec().slots, 3);
    let many = futures(6, |_| place.ask("pool", json!({}))).await;
    assert!(many.iter().all(Result::is_ok));
    assert!(fleet.scale(&id, 1));
    assert_eq!(place.status("pool").processes.len(), 1);
    fleet.stop().await;
}

async fn futures<T>(count: usize, make: impl Fn(usize) -> T) -> Vec<T::Output>
where
    T: Future,
{
    let mut all: Vec<_> = (0..count).map(|at| Box::pin(make(at))).collect();
    let mut done = Vec::new();
    for future in &mut all {
        done.push(future.await);
    }
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_one_that_cannot_work_wait_or_go_to_its_stand_in() {
    let mut place = Place::new("fallback");
    place.board.put(Arc::new(StandIn(WorkerSpec::named("deputy"))));
    let crash = "restart: { tries: 0 }";
    place.script("waits", &format!("mode: pool\n{crash}"), "exit 1");
    place.script("falls", &format!("mode: pool\nfallback: deputy\n{crash}"), "exit 1");
    place.script("throws", "mode: task\nfallback: deputy", "exit 1");
    place.script("absent", "mode: task\nfallback: deputy\ninterpreter: /no/such", "exit 1");
    place.script("absent-waits", "mode: task\ninterpreter: /no/such", "exit 1");
    place.script("lost", "mode: task\nfallback: nobody", "exit 1");
    let fleet = place.start().await;
    for name in ["waits", "falls"] {
        place.is(name, "crashed").await;
    }
    let slots = |name: &str| place.board.get(&Name::new(name)).unwrap().spec().slots;
    until(|| slots("waits") == 0).await;
    assert_eq!((slots("absent-waits"), slots("falls"), slots("absent")), (0, 1, 1));
    for name in ["falls", "throws", "absent"] {
        let output = place.ask(name, json!({})).await.unwrap();
        assert!(output.provenance.stand_in, "{name}");
        assert_eq!(output.value, json!({ "from": "stand-in" }));
        assert!(output.provenance.degraded.unwrap().contains("deputy answered for"));
    }
    assert!(place.ask("lost", json!({})).await.unwrap_err().message.contains("`nobody` is not there"));
    assert_eq!(fleet.holds_up("waits").unwrap(), "worker waits has crashed: exit code 1");
    assert!(fleet.holds_up("absent-waits").unwrap().contains("`/no/such` is not there"));
    assert_eq!((fleet.holds_up("falls"), fleet.holds_up("nothing")), (None, None));
    // Mended, it works again, and so do its tasks.
    place.script("waits", "mode: task", "echo 1");
    until(|| slots("waits") == 1).await;
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_is_a_line_or_an_answer_over_http_within_its_time() {
    let mut place = Place::new("ready");
    place.script("line", "mode: daemon\nready: { line: now listening }", &format!("echo now listening at 1\n{LOOP}"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    place.script("http", &format!("mode: daemon\nready: {{ http: 'http://127.0.0.1:{port}/up' }}"), LOOP);
    place.script("never", "mode: daemon\nready: { line: up }\nstart_timeout: 100ms\nrestart: never", LOOP);
    let fleet = place.start().await;
    place.is("line", "running").await;
    place.is("never", "crashed").await;
    assert_eq!(place.status("never").processes[0].last_exit.as_ref().unwrap().word(), "not_ready");
    assert_eq!(place.status("http").state, "starting");
    let answer = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 64];
            let _ = stream.read(&mut request).await;
            assert!(request.starts_with(b"GET /up HTTP/1.1\r\n"));
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    });
    place.is("http", "running").await;
    answer.abort();
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_stays_within_its_log_and_disturbs_nobody() {
    let mut place = Place::new("flood");
    place.script("flood", "mode: daemon\nlimits: { log: 64KiB }", "exec yes a line of a flood");
    place.script("endless", "mode: daemon", &format!("head -c 3000000 /dev/zero >&2; echo >&2\n{LOOP}"));
    place.script("calm", "mode: task", "cat");
    let fleet = place.start().await;
    place.says("endless", "bytes cut]").await;
    let log = fleet.log(&place.status("flood").id).unwrap();
    until(|| log.tail(1).0.first().is_some_and(|line| line.number > 50_000)).await;
    assert_eq!(place.ask("calm", json!({ "a": 1 })).await.unwrap().value, json!({ "a": 1 }));
    fleet.stop().await;
    let of_flood = log.path().file_stem().unwrap().to_str().unwrap().to_owned();
    let files = fs::read_dir(place.folder.join("logs")).unwrap().flatten();
    let files = files.filter(|entry| entry.file_name().to_str().unwrap().starts_with(&of_flood));
    let size: u64 = files.map(|entry| entry.metadata().unwrap().len()).sum();
    assert!((16 << 10..=64 << 10).contains(&size), "{size}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_ends_all_in_good_order_and_those_who_will_not_by_force() {
    let mut place = Place::new("stop");
    place.script("polite", "mode: daemon", "trap 'echo bye; exit 0' TERM\necho up\nwhile :; do read -r x; done");
    place.script("deaf", "mode: daemon\nstop_timeout: 200ms", &format!("trap '' TERM\necho up\n{LOOP}"));
    let fleet = place.start().await;
    place.says("polite", "up").await;
    place.says("deaf", "up").await;
    let logs = ["polite", "deaf"].map(|name| fleet.log(&place.status(name).id).unwrap());
    fleet.stop().await;
    let said = logs.map(|log| log.tail(9).0.iter().map(|line| line.text.clone()).collect::<Vec<_>>().join("\n"));
    assert!(said[0].contains("bye\nstopped: exit code 0"), "{said:?}");
    assert!(said[1].contains("stopped: signal 9"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_only_tasks_are_wanted_nothing_runs_before_there_is_one() {
    let mut place = Place::new("asked");
    place.keeps = Keeps::Asked;
    place.script("pool", "mode: pool\nready: message\ninstances: 2", POOL);
    place.script("stays", "mode: daemon", LOOP);
    place.script("broken", "mode: daemon\ninterpreter: /no/such", LOOP);
    let fleet = place.start().await;
    assert_eq!(place.status("pool").state, "idle");
    assert!(place.status("pool").processes.is_empty());
    assert_eq!(place.board.get(&Name::new("pool")).unwrap().spec().slots, 2);
    assert_eq!(place.ask("pool", json!({})).await.unwrap().value, json!({ "n": 1 }));
    assert_eq!(place.status("pool").processes.len(), 2);
    assert_eq!((place.status("stays").state, fleet.counts().running >= 1), ("-", true));
    // A daemon that takes tasks from now on is a worker from now on, and the other way round.
    place.script("stays", "mode: task", "echo 7");
    until(|| place.board.get(&Name::new("stays")).is_some()).await;
    assert_eq!(place.ask("stays", json!({})).await.unwrap().value, json!(7));
    place.script("pool", "mode: daemon", LOOP);
    until(|| place.board.get(&Name::new("pool")).is_none()).await;
    until(|| place.status("pool").processes.is_empty()).await;
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_stand_in_for_each_other_come_to_an_end_and_a_missing_one_is_told() {
    let mut place = Place::new("circle");
    place.script("one", "mode: task\nfallback: two", "echo 1 >>../ones; exit 1");
    place.script("two", "mode: task\nfallback: one", "exit 2");
    place.script("lost", "mode: task\nfallback: nobody", "exit 1");
    let fleet = place.start().await;
    let error = place.ask("one", json!({})).await.unwrap_err();
    assert!(error.message.contains("exit code 2"), "{error}");
    assert_eq!(fs::read_to_string(place.folder.join("ones")).unwrap(), "1\n");
    assert_eq!(place.status("lost").warnings, ["its fallback, the worker `nobody`, is not there"]);
    assert_eq!((place.status("one").fallback.as_deref(), place.status("one").warnings.len()), (Some("two"), 0));
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_script_was_given_does_not_come_back_in_answers_and_errors() {
    let mut place = Place::new("careless");
    let settings = "environment: { MY_SECRET: swordfish }";
    let says = "read -r how; echo \"$MY_SECRET\" >&2; case $how in *fail*) exit 3;; esac";
    place.script(
        "task",
        &format!("mode: task\n{settings}"),
        &format!("{says}; echo \"{{\\\"a\\\":\\\"$MY_SECRET!\\\"}}\""),
    );
    let reply = r#"
while read -r line; do
  lease=$(printf '%s' "$line" | sed -n 's/.*"lease_token":"\([^"]*\)".*/\1/p')
  token=$(printf '%s' "$line" | sed -n 's/.*"gateway_token":"\([^"]*\)".*/\1/p')
  case "$line" in
    *fail*) printf '{"lease_token":"%s","outcome":"fail","error":{"category":"provider","message":"%s %s"}}\n' "$lease" "$MY_SECRET" "$token" ;;
    *) printf '{"lease_token":"%s","outcome":"succeed","output":["%s %s"]}\n' "$lease" "$MY_SECRET" "$token" ;;
  esac
done"#;
    place.script("pool", &format!("mode: pool\n{settings}"), reply);
    let fleet = place.start_with(Arc::new(Purse::default())).await;
    assert_eq!(place.ask("task", json!("x")).await.unwrap().value, json!({ "a": "[redacted]!" }));
    assert_eq!(place.ask("pool", json!("x")).await.unwrap().value, json!(["[redacted] [redacted]"]));
    for name in ["task", "pool"] {
        let error = place.ask(name, json!("fail")).await.unwrap_err();
        let hidden = !error.message.contains("swordfish") && !error.message.contains("token-for");
        assert!(hidden && error.message.contains("[redacted]"), "{error}");
    }
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_with_fixed_times_waits_for_them_and_shows_the_next() {
    let mut place = Place::new("nightly");
    // The clock of this place stands at 2023-11-14 22:13:20.
    place.script("nightly", "mode: daemon\nschedule: '30 3 * * *'", "echo at work");
    place.script("often", "mode: daemon\nschedule: 1s", "echo at work");
    let fleet = place.start().await;
    place.is("nightly", "waiting").await;
    let process = &place.status("nightly").processes[0];
    let (wanted, found) = (1_700_019_000_000, process.next_start_ms.unwrap());
    assert!((wanted - 60_000..=wanted).contains(&found), "{found}");
    assert_eq!((process.restarts, process.pid), (0, None));
    assert!(place.lines("nightly")[0].starts_with("it is started at its time, in "), "{:?}", place.lines("nightly"));
    assert!(fleet.restart(&place.status("nightly").id, "now"), "who does not want to wait asks for it");
    place.says("nightly", "at work").await;
    place.is("nightly", "waiting").await;
    assert!((wanted - 60_000..=wanted).contains(&place.status("nightly").processes[0].next_start_ms.unwrap()));
    until(|| place.lines("often").iter().filter(|line| *line == "at work").count() >= 2).await;
    fleet.stop().await;
}
