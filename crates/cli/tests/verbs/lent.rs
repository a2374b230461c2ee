//! Scripts as workers of the verbs that work without a server, and of worker hosts.

use std::{
    fs,
    process::{Child, Stdio},
};

use serde_json::{Value, json};

use crate::{
    place::{Place, ended, signal},
    scripts::{LOOP, Served, is_alive, script, until},
};

/// Doubles a number, and answers whether it has a key.
const DOUBLES: &str =
    "n=$(tr -dc 0-9)\necho working on $n\nprintf '{\"twice\":%s,\"key\":\"%s\"}\\n' $((n * 2)) ${OPENAI_API_KEY:-none}";
/// Counts its tasks, and answers its process id.
const COUNTS: &str = r#"
echo $$ >>../counts.pid
echo '{"workers":["counts"]}'
n=0
while read -r line; do
  token=$(printf '%s' "$line" | sed -n 's/.*"lease_token":"\([^"]*\)".*/\1/p')
  n=$((n+1)); printf '{"lease_token":"%s","outcome":"succeed","output":{"n":%s}}\n' "$token" $n
done"#;
const WORKFLOW: &str = "\
name: both
steps:
  first: { worker: doubles, with: { n: 21 } }
  second: { needs: [first], worker: counts, with: { n: '${{ steps.first.output.twice }}' } }
  third: { needs: [second], worker: counts }
outputs: { twice: '${{ steps.first.output.twice }}', key: '${{ steps.first.output.key }}', counted: '${{ steps.third.output.n }}' }
";

fn place() -> Place {
    let place = Place::new();
    script(&place, "doubles", "mode: task\ninput: { type: object, required: ['n'] }", DOUBLES);
    script(&place, "counts", "mode: pool\nready: message", COUNTS);
    script(&place, "other", "mode: pool\nready: message", "touch ../other-ran; while read -r line; do :; done");
    script(&place, "stays", "mode: daemon", &format!("touch ../daemon-ran\n{LOOP}"));
    place.file("both.yaml", WORKFLOW);
    place
}

#[test]
fn scripts_are_steps_of_a_run_without_a_server_and_only_those_that_are_asked_run() {
    let place = place();
    let key = ("OPENAI_API_KEY", "sk-canary-0123456789abcdef");
    let said = place.with(&[key], &["run", "both.yaml", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let outputs = &said.json()["outputs"];
    // The process of the pool took both tasks; without a gateway there is no key.
    assert_eq!(outputs, &json!({ "twice": 42, "key": "none", "counted": 2 }));
    let pids = fs::read_to_string(place.path("counts.pid")).unwrap();
    assert_eq!(pids.lines().count(), 1, "{pids}");
    assert!(pids.lines().all(|pid| !is_alive(pid)), "it ended with the run");
    assert!(!place.path("daemon-ran").exists() && !place.path("other-ran").exists());
    let log = fs::read_to_string(place.path(".kapelle/session.log")).unwrap();
    for part in ["\"event\":\"worker_running\"", "\"event\":\"worker_stopped\"", "\"worker\":\"doubles\""] {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert!(place.kapelle(&["logs", "doubles"]).out.contains("working on 21"));

    let said = place.kapelle(&["submit", "doubles", "--wait", "--input", "n=4"]);
    assert_eq!((said.code, &said.json()["twice"]), (0, &json!(8)), "{said:?}");
    place.kapelle(&["submit", "doubles"]).refused(2, &["n"]);
    let said = place.kapelle(&["submit", "doubles", "--input", "n=5"]);
    assert_eq!(said.code, 0, "{said:?}");
    let said = place.kapelle(&["resume"]);
    assert_eq!(said.code, 0, "{said:?}");
    let task = place.kapelle(&["tasks", "--json"]).json()["tasks"][0].clone();
    assert_eq!((&task["worker"], &task["state"]), (&json!("doubles"), &json!("succeeded")), "{task}");
    assert_eq!(place.kapelle(&["workflows", "validate", "both.yaml"]).code, 0);
    assert!(place.kapelle(&["workers", "show", "doubles"]).out.contains("INPUT"));
    place.kapelle(&["workers", "test", "doubles"]).refused(2, &["is a script", "submit doubles --wait"]);
}

#[test]
fn a_run_whose_script_cannot_work_says_so_at_once() {
    let place = place();
    place
        .with(&[("RUN_WORKERS", "false")], &["run", "both.yaml"])
        .refused(69, &["is a script, and scripts are disabled", "RUN_WORKERS"]);
    script(&place, "doubles", "mode: task\ninterpreter: /no/such/program", DOUBLES);
    place.kapelle(&["run", "both.yaml"]).refused(69, &["`doubles` cannot be started", "/no/such/program"]);
    script(&place, "doubles", "mdoe: task", DOUBLES);
    for arguments in [["run", "both.yaml"], ["submit", "doubles"], ["workflows", "validate"]] {
        let more = if arguments[0] == "workflows" { Some("both.yaml") } else { None };
        let arguments: Vec<&str> = arguments.into_iter().chain(more).collect();
        place.kapelle(&arguments).refused(2, &["`doubles` is a script that cannot be started", "unknown key `mdoe`"]);
    }
    fs::remove_file(place.path("workers/doubles")).unwrap();
    place.kapelle(&["run", "both.yaml"]).refused(2, &["unknown worker `doubles`"]);
}

#[test]
fn a_run_that_was_killed_in_its_script_goes_on_with_resume() {
    let place = Place::new();
    script(
        &place,
        "waits",
        "mode: task",
        "echo $$ >>../pids\nwhile [ ! -e ../go ]; do :; done\nprintf '{\"try\":%s}\\n' $KAPELLE_ATTEMPT",
    );
    place.file("w.yaml", "name: w\nsteps: { a: { worker: waits } }\noutputs: { try: '${{ steps.a.output.try }}' }\n");
    let mut command = place.command(&["run", "w.yaml"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pid = until(|| fs::read_to_string(place.path("pids")).ok().filter(|pids| pids.ends_with('\n')));
    signal(&child, "-KILL");
    ended(&mut child);
    until(|| (!is_alive(pid.trim())).then_some(()));
    place.file("go", "");
    let said = place.kapelle(&["resume", "run_1", "--json"]);
    assert_eq!((said.code, &said.json()["outputs"]["try"]), (0, &json!(2)), "{said:?}");
}

/// A process that is killed when the test ends.
struct Host(Child);

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_host_runs_the_scripts_of_its_project_with_the_tokens_of_the_server() {
    let place = Place::new();
    place.file("kapelle.yaml", "queues: { default: { slots: 0 } }\n");
    let served = Served::start(&place);
    let far = "far";
    place.file(&format!("{far}/kapelle.yaml"), "queues: { default: { slots: 4 } }\n");
    let body = "n=$(tr -dc 0-9)\nprintf '{\"twice\":%s,\"key\":\"%.8s\",\"at\":\"%s\",\"server\":\"%s\"}\\n' \
                $((n * 2)) \"$OPENAI_API_KEY\" \"$OPENAI_BASE_URL\" \"$KAPELLE_URL\"";
    script(&place, &format!("../{far}/workers/doubles"), "mode: task", body);
    script(&place, &format!("../{far}/workers/stays"), "mode: daemon", &format!("touch ../daemon-ran\n{LOOP}"));
    let server = fs::read_to_string(place.path(".kapelle/address")).unwrap().lines().next().unwrap().to_owned();
    let key = place.kapelle(&["keys", "create", "far", "--role", "worker"]).out.trim().to_owned();
    let mut command = place.command(&["host", "--server", &server]);
    command.current_dir(place.path(far)).env("KAPELLE_TOKEN", &key).env("OPENAI_API_KEY", "sk-canary-0123456789");
    let mut host = Host(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let said = until(|| {
        let said = place.kapelle(&["submit", "doubles", "--wait", "--input", "n=21"]);
        (said.code != 3).then_some(said)
    });
    assert_eq!(said.code, 0, "{said:?}");
    let wanted: Value = json!({ "twice": 42, "key": "sk-kapel", "at": format!("{server}/v1"), "server": server });
    assert_eq!(said.json(), wanted);
    assert!(!place.path(&format!("{far}/daemon-ran")).exists(), "daemons are not for hosts");
    signal(&host.0, "-TERM");
    assert_eq!(ended(&mut host.0), Some(143));
    drop(served);
}

#[test]
fn the_answer_of_a_stand_in_is_marked_wherever_it_is_shown() {
    let place = Place::new();
    script(&place, "throws", "mode: task\nfallback: keywords", "echo no >&2; exit 1");
    script(&place, "absent", "mode: task\nfallback: keywords\ninterpreter: /no/such", "exit 1");
    let table = place.kapelle(&["workers", "--json"]).json();
    assert!(table["scripts"].as_array().unwrap().iter().any(|script| script["name"] == "throws"), "{table}");
    for server in [false, true] {
        let _served = server.then(|| Served::start(&place));
        let table = place.kapelle(&["workers"]).out;
        assert_eq!(table.matches("stand-in: keywords").count(), 2, "{table}");
        for (name, why) in [("throws", "exit code 1: no"), ("absent", "`/no/such` does not exist")] {
            let arguments = ["submit", name, "--wait", "--retries", "0", "--input", "text=light and light", "--json"];
            let said = until(|| {
                let said = place.kapelle(&arguments);
                (said.code != 3).then_some(said)
            });
            assert_eq!(said.code, 0, "{said:?}");
            let task = said.json();
            assert_eq!(task["stand_in"], true, "{task}");
            let degraded = task["degraded_reason"].as_str().unwrap_or_else(|| panic!("{task}"));
            assert!(
                degraded.contains(&format!("keywords answered for {name}")) && degraded.contains(why),
                "{degraded}"
            );
            assert!(said.err.contains("the answer is degraded: keywords answered for"), "{said:?}");
        }
    }
}
