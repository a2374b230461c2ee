//! Runs that wait, are paused, answered, followed, drawn, explained and rerun.

use crate::place::{Place, signal};

const WAITS: &str = "\
name: waits
steps:
  ask: { wait: { approval: 'Send it?', timeout: 24h } }
  go: { needs: [ask], wait: { signal: go } }
  said: { needs: [go], worker: log, with: { message: '${{ steps.go.output.what }}' } }
outputs: { by: '${{ steps.ask.output.claimed_name }}', key: '${{ steps.ask.output.by }}', what: '${{ steps.go.output.what }}' }
";

/// Makes a folder with a run that waits for an approval, and no process that works on it.
fn waiting() -> Place {
    let place = Place::new();
    place.file("waits.yaml", WAITS);
    let (mut child, _lines) = place.started(&["run", "waits.yaml"], "kapelle approvals approve task_1");
    signal(&child, "-INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    place
}

#[test]
fn a_run_is_approved_signalled_and_finished() {
    let place = waiting();
    let asked = place.kapelle(&["approvals", "--json"]).json();
    assert_eq!(
        (&asked["approvals"][0]["id"], &asked["approvals"][0]["question"]),
        (&"task_1".into(), &"Send it?".into())
    );
    let why = place.kapelle(&["runs", "explain", "run_1", "--json"]).json();
    assert_eq!(why["steps"][0]["step"], "ask");
    assert!(why["steps"][1]["why"].as_str().unwrap().contains("needs ask"), "{why}");
    let said = place.kapelle(&["approvals", "approve", "task_1", "--by", "ada", "--comment", "fine"]);
    assert!(said.code == 0 && said.out.contains("task_1 approved by ada"), "{said:?}");
    place.kapelle(&["approvals", "approve", "task_1"]).refused(2, &["does not wait for an approval"]);
    place.kapelle(&["runs", "signal", "run_1", "go", "--payload", "{what: x}"]).refused(2, &["not JSON"]);
    assert_eq!(place.kapelle(&["runs", "signal", "run_1", "go", "--payload", r#"{"what":"it"}"#]).code, 0);
    let said = place.kapelle(&["resume", "run_1"]);
    assert!(
        said.code == 0 && said.out.contains("\"by\": \"ada\"") && said.out.contains("\"key\": \"token\""),
        "{said:?}"
    );
    let said = place.kapelle(&["runs", "watch", "run_1"]);
    assert!(
        said.code == 0 && said.out.contains("waits for the signal go") && said.out.contains("run_1 succeeded"),
        "{said:?}"
    );
    let numbered = place.kapelle(&["runs", "watch", "run_1", "--from", "3", "--json"]).out;
    assert!(numbered.lines().next().unwrap().contains("\"seq\":3"), "{numbered}");
    let svg = place.kapelle(&["runs", "graph", "run_1", "--format", "svg"]).out;
    assert!(svg.starts_with("<svg") && svg.contains("<title>said: succeeded</title>"), "{svg}");
    assert!(place.kapelle(&["runs", "graph", "run_1"]).out.contains("  said succeeded"));
}

#[test]
fn a_refused_approval_fails_its_run() {
    let place = waiting();
    assert_eq!(place.kapelle(&["approvals", "deny", "task_1", "--by", "bob", "--comment", "too dear"]).code, 0);
    let said = place.kapelle(&["resume", "run_1"]);
    assert!(said.code == 1 && said.err.contains("bob said no: too dear"), "{said:?}");
    assert_eq!(place.kapelle(&["approvals"]).err, "nothing waits for an approval\n");
}

#[test]
fn a_paused_run_waits_and_a_run_is_cancelled_once() {
    let place = waiting();
    assert!(place.kapelle(&["runs", "pause", "run_1"]).out.contains("run_1 is running, paused"));
    place.kapelle(&["runs", "pause", "run_1"]).refused(5, &["already paused"]);
    assert!(place.kapelle(&["runs", "resume", "run_1"]).out.contains("run_1 is running"));
    assert!(place.kapelle(&["runs", "cancel", "run_1"]).out.contains("run_1 is cancelled"));
    place.kapelle(&["runs", "cancel", "run_1"]).refused(5, &["run_1 is cancelled"]);
    place.kapelle(&["runs", "pause", "run_9"]).refused(3, &["run_9 does not exist"]);
}

#[test]
fn many_runs_are_counted_and_confirmed_before_they_are_paused_resumed_or_done_again() {
    let place = waiting();
    let ask = |verb: &str, rest: &[&str]| place.kapelle(&[&["runs", verb, "--all"], rest].concat());
    assert_eq!(ask("pause", &["--dry-run"]).out, "1 run to pause\n");
    ask("pause", &[]).refused(2, &["this would pause 1 run", "nothing was done", "--yes"]);
    assert!(ask("pause", &["--workflow", "other", "--yes"]).err.contains("no run to pause"));
    assert_eq!(ask("pause", &["--since", "1h", "--yes"]).out, "paused 1 run\n");
    assert!(ask("pause", &["--yes"]).err.contains("no run to pause"), "it is paused");
    assert_eq!(ask("resume", &["--yes"]).out, "resumed 1 run\n");
    assert!(ask("resume", &["--yes"]).err.contains("no run to resume"));
    assert!(ask("rerun", &["--yes"]).err.contains("no run to rerun"), "it has not ended");
    assert_eq!(ask("cancel", &["--yes"]).out, "cancelled 1 run\n");
    assert!(ask("rerun", &["--yes"]).err.contains("no run to rerun"), "it did not fail");
    assert_eq!(ask("rerun", &["--state", "cancelled", "--dry-run"]).out, "1 run to rerun\n");
    let again = ask("rerun", &["--state", "cancelled", "--yes", "--json"]).json();
    assert_eq!((&again["done"], &again["ids"][0], &again["last"]), (&1.into(), &"run_2".into(), &"run_1".into()));
    for (verb, rest) in [("rerun", &["--from", "ask"][..]), ("rerun", &["--state", "running"]), ("pause", &["run_1"])] {
        assert_eq!(ask(verb, rest).code, 2, "{verb} {rest:?}");
    }
    place.kapelle(&["runs", "resume"]).refused(2, &["required"]);
}

#[test]
fn a_run_is_done_again_from_a_step() {
    let place = Place::ran();
    let again = place.kapelle(&["runs", "rerun", "run_1", "--json"]).json();
    assert_eq!((&again["id"], &again["state"]), (&"run_2".into(), &"succeeded".into()));
    assert_eq!(place.kapelle(&["runs", "rerun", "run_1", "--from", "said"]).code, 0);
    place.kapelle(&["runs", "rerun", "run_1", "--from", "sad"]).refused(2, &["did you mean `said`?"]);
}

#[test]
fn versions_are_listed_compared_rolled_back_and_kept_while_used() {
    let place = Place::new();
    let text = |word: &str| format!("name: reply\nsteps: {{ a: {{ worker: log, with: {{ message: {word} }} }} }}\n");
    for word in ["one", "two"] {
        place.file("workflows/reply.yaml", text(word));
        assert_eq!(place.kapelle(&["run", "reply", "--quiet"]).code, 0);
    }
    let listed = place.kapelle(&["workflows", "versions", "reply", "--json"]).json();
    assert_eq!((&listed["versions"][0]["number"], &listed["versions"][1]["number"]), (&2.into(), &1.into()));
    let diff = place.kapelle(&["workflows", "diff", "reply"]).out;
    assert!(diff.contains("-steps: { a: { worker: log, with: { message: one") && diff.contains("+steps"), "{diff}");
    place.kapelle(&["workflows", "delete", "reply", "1"]).refused(5, &["in use: 1 run on it"]);
    place.kapelle(&["workflows", "delete", "reply", "2"]).refused(5, &["is the newest"]);
    place.kapelle(&["workflows", "delete", "reply", "7"]).refused(3, &["no version 7"]);
    place.kapelle(&["workflows", "versions", "repli"]).refused(3, &["did you mean `reply`?"]);
    let said = place.kapelle(&["workflows", "rollback", "reply", "1"]);
    assert!(
        said.out.contains("version 3 of reply has the text of version 1; written to workflows/reply.yaml"),
        "{said:?}"
    );
    assert_eq!(std::fs::read_to_string(place.path("workflows/reply.yaml")).unwrap(), text("one"));
    assert_eq!(place.kapelle(&["workflows", "source", "reply"]).out.trim_end(), text("one").trim_end());
}
