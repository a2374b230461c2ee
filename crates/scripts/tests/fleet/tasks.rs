//! Tasks: the worker that does them, and the fallback.

use std::{fs, sync::Arc, time::Duration};

use kapelle_core::{
    Category, Name, TenantId,
    worker::{TaskContext, WorkerSpec},
};
use kapelle_scripts::fleet::{Keeps, WorkerSink as _};
use serde_json::json;

use crate::place::*;

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
    let spec = place.worker_sink.get(TenantId::DEFAULT, &Name::new("echo")).unwrap().spec().clone();
    assert_eq!((spec.slots, spec.queue.as_str()), (3, "ml"));
    for (name, category, part) in [
        ("fails", Category::Internal, "the script failed with exit code 4: what a pity"),
        ("tells", Category::RateLimited, "slow"),
        ("mute", Category::InvalidOutput, "its last line is not JSON: expected value at line 1, column 1: hello"),
        ("slow", Category::Timeout, "longer than"),
        ("picky", Category::InvalidOutput, "does not fit the output schema"),
    ] {
        let worker = place.worker_sink.get(TenantId::DEFAULT, &Name::new(name)).unwrap();
        let mut context = TaskContext::detached("task_1");
        context.timeout = worker.spec().timeout;
        let error = worker.execute(&context, json!({ "a": 1 })).await.unwrap_err();
        assert_eq!(error.category, category, "{name}: {error}");
        assert!(error.message.contains(part), "{name}: {error}");
    }
    assert_eq!(place.ask("picky", json!({})).await.unwrap_err().category, Category::InvalidInput);
    until(|| place.status("slow").state == "idle").await;
    end(&fleet).await;
}

/// A pool that answers each task with the number of tasks before it; `die` kills it, `hang` is never answered.
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
    // The next task finds a fresh process.
    assert_eq!(place.ask("pool", json!({})).await.unwrap().value, json!({ "n": 1 }));
    let mut hanging = Box::pin(place.ask("pool", json!({ "do": "hang" })));
    let early = tokio::time::timeout(Duration::from_millis(100), &mut hanging).await;
    assert!(early.is_err());
    drop(hanging);
    place.says("pool", "cancelled").await;
    let id = place.status("pool").id;
    assert!(fleet.scale(&id, 3));
    until(|| place.status("pool").processes.iter().filter(|process| process.state == "running").count() == 3).await;
    assert_eq!(place.worker_sink.get(TenantId::DEFAULT, &Name::new("pool")).unwrap().spec().slots, 3);
    let many = together((0..6).map(|_| place.ask("pool", json!({})))).await;
    assert!(many.iter().all(Result::is_ok));
    assert!(fleet.scale(&id, 1));
    assert_eq!(place.status("pool").processes.len(), 1);
    end(&fleet).await;
}

/// Waits for all of them at once.
async fn together<F: Future>(many: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut open: Vec<_> = many.map(|future| Some(Box::pin(future))).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        for place in &mut open {
            if let Some(std::task::Poll::Ready(output)) = place.as_mut().map(|future| future.as_mut().poll(context)) {
                done.push(output);
                *place = None;
            }
        }
        if open.iter().all(Option::is_none) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_one_that_cannot_work_wait_or_go_to_its_stand_in() {
    let mut place = Place::new("fallback");
    place.worker_sink.put(Arc::new(StandIn(WorkerSpec::named("deputy"))));
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
    let slots = |name: &str| place.worker_sink.get(TenantId::DEFAULT, &Name::new(name)).unwrap().spec().slots;
    until(|| slots("waits") == 0).await;
    assert_eq!((slots("absent-waits"), slots("falls"), slots("absent")), (0, 1, 1));
    for name in ["falls", "throws", "absent"] {
        let output = place.ask(name, json!({})).await.unwrap();
        assert!(output.provenance.stand_in, "{name}");
        assert_eq!(output.value, json!({ "from": "stand-in" }));
        assert!(output.provenance.degraded.unwrap().contains("deputy answered for"));
    }
    assert!(place.ask("lost", json!({})).await.unwrap_err().message.contains("`nobody` does not exist"));
    assert_eq!(fleet.holds_up(TenantId::DEFAULT, "waits").unwrap(), "worker waits has crashed: exit code 1");
    assert!(fleet.holds_up(TenantId::DEFAULT, "absent-waits").unwrap().contains("`/no/such` does not exist"));
    assert_eq!(
        (fleet.holds_up(TenantId::DEFAULT, "falls"), fleet.holds_up(TenantId::DEFAULT, "nothing")),
        (None, None)
    );
    // Repaired, it works again, and so do its tasks.
    place.script("waits", "mode: task", "echo 1");
    until(|| slots("waits") == 1).await;
    end(&fleet).await;
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
    assert_eq!(place.worker_sink.get(TenantId::DEFAULT, &Name::new("pool")).unwrap().spec().slots, 2);
    assert_eq!(place.ask("pool", json!({})).await.unwrap().value, json!({ "n": 1 }));
    assert_eq!(place.status("pool").processes.len(), 2);
    assert_eq!((place.status("stays").state, fleet.counts().running >= 1), ("-", true));
    // A daemon whose mode is changed to take tasks becomes a worker, and the other way round.
    place.script("stays", "mode: task", "echo 7");
    until(|| place.worker_sink.get(TenantId::DEFAULT, &Name::new("stays")).is_some()).await;
    assert_eq!(place.ask("stays", json!({})).await.unwrap().value, json!(7));
    place.script("pool", "mode: daemon", LOOP);
    until(|| place.worker_sink.get(TenantId::DEFAULT, &Name::new("pool")).is_none()).await;
    until(|| place.status("pool").processes.is_empty()).await;
    end(&fleet).await;
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
    assert_eq!(place.status("lost").warnings, ["its fallback worker `nobody` does not exist"]);
    assert_eq!((place.status("one").fallback.as_deref(), place.status("one").warnings.len()), (Some("two"), 0));
    end(&fleet).await;
}
