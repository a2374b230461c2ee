//! What a workflow can say, each through the library over a real folder.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use kapelle::{
    Category, Error, Kapelle, Run, TaskError, TaskId,
    core::{
        TenantId,
        run::{RunEvent, StatusKind, StepOrder},
        task::{StateKind, Task, TaskState, WaitFor},
    },
    engine::EventKind,
    serde_json::{Value, json},
};

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let folder = std::env::temp_dir().join(format!("kapelle-flow-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Place(folder)
    }

    /// `echo` gives back its input, `fail` fails, `flip` fails every second time, `count` numbers its calls.
    async fn open(&self) -> Kapelle {
        let kapelle = Kapelle::builder(&self.0).environment(|_| None).open().await.unwrap();
        workers(&kapelle);
        // Events are made only while somebody listens: so that none is missed between a look at the rows and listening,
        // somebody always does.
        std::mem::forget(kapelle.engine().watch());
        kapelle
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn workers(kapelle: &Kapelle) {
    kapelle.register("echo", async |input| Ok(input)).unwrap();
    kapelle
        .register("fail", async |input: Value| {
            let why = input["why"].as_str().unwrap_or("no").to_owned();
            Err(TaskError::new(Category::InvalidInput, why).permanent())
        })
        .unwrap();
    kapelle
        .register("odd", async |input: Value| match input["n"].as_u64() {
            Some(n) if n % 2 == 1 => Ok(json!(n)),
            n => Err(TaskError::new(Category::InvalidInput, format!("{n:?} is even")).permanent()),
        })
        .unwrap();
    let calls = Arc::new(AtomicU32::new(0));
    kapelle
        .register("count", move |_| {
            let number = calls.fetch_add(1, Ordering::SeqCst) + 1;
            async move { Ok(json!(number)) }
        })
        .unwrap();
}

/// The steps of a run by path: state and output, and the error of what failed.
fn steps(kapelle: &Kapelle, run: &Run) -> BTreeMap<String, (StateKind, Value)> {
    let mut found = BTreeMap::new();
    let mut after = TaskId(0);
    loop {
        let page = kapelle.engine().reader().steps(run.id(), after, 1_000).unwrap();
        let Some(last) = page.last() else { return found };
        after = last.id;
        for task in page {
            let value = match &task.state {
                TaskState::Succeeded { output, .. } => kapelle.engine().value(output).unwrap(),
                TaskState::Failed { error, .. } => json!(error.message),
                TaskState::Skipped { reason, .. } | TaskState::Cancelled { reason, .. } => json!(**reason),
                _ => Value::Null,
            };
            let path = task.origin.as_ref().unwrap().path.to_string();
            assert!(found.insert(path.clone(), (task.state.kind(), value)).is_none(), "{path} has two rows");
        }
    }
}

fn states(kapelle: &Kapelle, run: &Run) -> Vec<String> {
    steps(kapelle, run).iter().map(|(path, (state, _))| format!("{path} {}", state.as_str())).collect()
}

async fn outcome(kapelle: &Kapelle, workflow: &str, inputs: Value) -> (Result<Value, String>, Vec<String>) {
    let run = kapelle.start(workflow, inputs).await.unwrap();
    let ended = run.wait().await;
    let ended = ended.map(|result| result.outputs).map_err(|error| match error {
        Error::Failed { error, .. } => error.message,
        other => other.to_string(),
    });
    (ended, states(kapelle, &run))
}

/// Waits until the run has a step in that state at that path, told by events and not by time.
async fn until(kapelle: &Kapelle, run: &Run, path: &str, state: StateKind) -> Task {
    let mut events = kapelle.engine().watch();
    loop {
        let page = kapelle.engine().reader().steps(run.id(), TaskId(0), 1_000).unwrap();
        let here = |task: &&Task| task.origin.as_ref().is_some_and(|origin| &*origin.path == path);
        if let Some(task) = page.iter().find(here).filter(|task| task.state.kind() == state) {
            return task.clone();
        }
        events.recv().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_of_steps_gives_their_outputs_by_name() {
    let place = Place::new("block");
    let kapelle = place.open().await;
    let flow = "name: f\nsteps:\n\
        \x20 a: { steps: { x: { worker: echo, with: { v: 1 } }, y: { needs: [x], worker: echo, with: { v: '${{ steps.x.output.v + 1 }}' } } } }\n\
        outputs: { all: '${{ steps.a.output }}' }\n";
    let (ended, states) = outcome(&kapelle, flow, Value::Null).await;
    assert_eq!(ended, Ok(json!({ "all": { "x": { "v": 1 }, "y": { "v": 2 } } })));
    assert_eq!(states, ["a succeeded", "a.x succeeded", "a.y succeeded"]);
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_is_chosen_by_its_condition_and_joined_after() {
    let place = Place::new("branch");
    let kapelle = place.open().await;
    let flow = "name: f\ninputs: { type: object, properties: { n: { type: integer } } }\nsteps:\n\
        \x20 pick: { if: inputs.n > 1, then: { steps: { big: { worker: echo, with: { was: big } } } }, else: { steps: { small: { worker: echo, with: { was: small } } } } }\n\
        \x20 none: { if: inputs.n > 100, then: { steps: { huge: { worker: echo } } } }\n\
        \x20 join: { needs: [pick, none], worker: echo, with: { pick: '${{ steps.pick.output }}', none: '${{ steps.none.output }}' } }\n\
        outputs: { v: '${{ steps.join.output }}' }\n";
    let (ended, states) = outcome(&kapelle, flow, json!({ "n": 2 })).await;
    assert_eq!(ended, Ok(json!({ "v": { "pick": { "big": { "was": "big" } }, "none": null } })));
    assert_eq!(states, ["join succeeded", "none skipped", "pick succeeded", "pick.big succeeded"]);
    let (ended, states) = outcome(&kapelle, flow, json!({ "n": 1 })).await;
    assert_eq!(ended, Ok(json!({ "v": { "pick": { "small": { "was": "small" } }, "none": null } })));
    assert_eq!(states[3], "pick.small succeeded");
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fan_out_keeps_the_order_of_its_items_and_nests() {
    let place = Place::new("fan");
    let kapelle = place.open().await;
    let flow = "name: f\ninputs: { type: object, properties: { rows: { type: array } } }\nsteps:\n\
        \x20 rows:\n\
        \x20   for_each: ${{ inputs.rows }}\n\
        \x20   max_parallel: 2\n\
        \x20   steps:\n\
        \x20     cells: { for_each: '${{ item }}', worker: echo, with: { c: '${{ item }}', i: '${{ index }}' } }\n\
        \x20     size: { needs: [cells], worker: echo, with: { n: '${{ steps.cells.output | length }}', row: '${{ index }}' } }\n\
        outputs: { sizes: \"${{ steps.rows.output | map(attribute='size') | map(attribute='n') | list }}\", first: '${{ steps.rows.output[1].cells[0] }}' }\n";
    let (ended, states) = outcome(&kapelle, flow, json!({ "rows": [[1, 2, 3], [4], []] })).await;
    assert_eq!(ended, Ok(json!({ "sizes": [3, 1, 0], "first": { "c": 4, "i": 0 } })));
    assert_eq!(states.len(), 1 + 3 * 3 + 4);
    assert!(states.contains(&"rows[0].cells[2] succeeded".to_owned()), "{states:?}");
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_with_failures_is_collected_or_fails() {
    let place = Place::new("collect");
    let kapelle = place.open().await;
    let flow = |policy: &str| {
        format!(
            "name: f\nsteps:\n\
            \x20 all: {{ for_each: [1, 2, 3], max_parallel: 1, {policy} worker: odd, with: {{ n: '${{{{ item }}}}' }} }}\n\
            outputs: {{ v: '${{{{ steps.all.output }}}}' }}\n"
        )
    };
    let (ended, _) = outcome(&kapelle, &flow("on_item_error: collect,"), Value::Null).await;
    let failed = json!({ "error": { "category": "invalid_input", "message": "Some(2) is even" } });
    assert_eq!(ended, Ok(json!({ "v": [1, failed, 3] })));
    let (ended, states) = outcome(&kapelle, &flow(""), Value::Null).await;
    assert_eq!(ended, Err("step `all[1]` failed: Some(2) is even".to_owned()));
    assert_eq!(states, ["all failed", "all[0] succeeded", "all[1] failed"], "no item after the one that failed");
    let (ended, _) =
        outcome(&kapelle, "name: f\nsteps: { a: { for_each: '${{ 5 }}', worker: echo } }\n", Value::Null).await;
    assert!(ended.unwrap_err().contains("`for_each` needs a list, and this is a number"));
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_takes_turns_until_its_condition_holds_or_it_has_taken_the_most() {
    let place = Place::new("loop");
    let kapelle = place.open().await;
    let flow = "name: f\nsteps:\n\
        \x20 refine:\n\
        \x20   repeat: { until: steps.score.output >= 3, max: 10 }\n\
        \x20   steps: { draft: { worker: echo, with: { d: x } }, score: { needs: [draft], worker: count } }\n\
        \x20 few: { needs: [refine], repeat: { max: 2 }, worker: echo, with: { v: 7 } }\n\
        \x20 own: { needs: [few], repeat: { until: 'steps.own.output > 4', max: 9 }, worker: count }\n\
        outputs: { score: '${{ steps.refine.output.score }}', few: '${{ steps.few.output }}', own: '${{ steps.own.output }}' }\n";
    let (ended, states) = outcome(&kapelle, flow, Value::Null).await;
    assert_eq!(ended, Ok(json!({ "score": 3, "few": { "v": 7 }, "own": 5 })));
    let turns = |name: &str| states.iter().filter(|state| state.starts_with(&format!("{name}["))).count();
    assert_eq!((turns("refine"), turns("few"), turns("own")), (3 + 6, 2, 2), "{states:?}");
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_knows_its_number_and_what_the_one_before_gave() {
    let place = Place::new("turns");
    let kapelle = place.open().await;
    let flow = "name: f\nsteps:\n\
        \x20 sum:\n\
        \x20   repeat: { max: 4 }\n\
        \x20   steps: { add: { worker: echo, with: { n: '${{ (previous.add.n if previous else 0) + turn }}' } } }\n\
        outputs: { n: '${{ steps.sum.output.add.n }}' }\n";
    assert_eq!(outcome(&kapelle, flow, Value::Null).await.0, Ok(json!({ "n": 6 })));
    let outside =
        kapelle.start("name: f\nsteps: { a: { worker: echo, with: { n: '${{ turn }}' } } }\n", Value::Null).await;
    assert!(outside.unwrap_err().to_string().contains("only there in a step with `repeat`"));
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_gives_an_earlier_answer_to_the_same_question_when_it_may() {
    let place = Place::new("cache");
    let kapelle = place.open().await;
    let flow = |cache: &str, n: u32| {
        format!(
            "name: f\nsteps: {{ a: {{ worker: count, {cache} with: {{ n: {n} }} }} }}\noutputs: {{ n: '${{{{ steps.a.output }}}}' }}\n"
        )
    };
    let ran = |text: String| {
        let kapelle = &kapelle;
        async move { outcome(kapelle, &text, Value::Null).await.0.unwrap()["n"].clone() }
    };
    let first = ran(flow("cache: 1h,", 1)).await;
    assert_eq!(ran(flow("cache: 1h,", 1)).await, first, "the same question");
    assert_ne!(ran(flow("cache: 1h,", 2)).await, first, "another question");
    assert_ne!(ran(flow("", 1)).await, first, "a step that did not ask for it");
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_handled_by_the_step_that_is_named_for_it() {
    let place = Place::new("handled");
    let kapelle = place.open().await;
    let flow = |handler: &str| {
        format!(
            "name: f\nsteps:\n\
            \x20 get: {{ worker: fail, with: {{ why: gone }}, on_error: {{ run: mend }} }}\n\
            \x20 mend: {{ worker: {handler}, with: {{ why: '${{{{ error.message }}}}' }} }}\n\
            \x20 after: {{ needs: [get], worker: echo, with: {{ state: '${{{{ steps.get.state }}}}' }} }}\n\
            outputs: {{ mended: '${{{{ steps.mend.output.why }}}}', after: '${{{{ steps.after.output.state }}}}' }}\n"
        )
    };
    let (ended, states) = outcome(&kapelle, &flow("echo"), Value::Null).await;
    assert_eq!(ended, Ok(json!({ "mended": "gone", "after": "failed" })));
    assert_eq!(states, ["after succeeded", "get failed", "mend(get) succeeded"]);
    let (ended, states) = outcome(&kapelle, &flow("fail"), Value::Null).await;
    assert_eq!(ended, Err("step `mend(get)` failed: gone".to_owned()));
    assert_eq!(states, ["after skipped", "get failed", "mend(get) failed"]);
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_at_the_end_runs_after_success_failure_and_cancel() {
    let place = Place::new("tails");
    let kapelle = place.open().await;
    let flow = |worker: &str| {
        format!(
            "name: f\nsteps: {{ a: {{ {worker} }} }}\n\
            on_error: {{ steps: {{ tell: {{ worker: echo, with: {{ m: '${{{{ error.message }}}}' }} }} }} }}\n\
            on_cancel: {{ steps: {{ undo: {{ worker: echo }} }} }}\n\
            finally: {{ steps: {{ clean: {{ worker: echo, with: {{ was: '${{{{ steps.a.state }}}}' }} }} }} }}\n\
            outputs: {{ a: '${{{{ steps.a.output }}}}' }}\n"
        )
    };
    let (ended, states) = outcome(&kapelle, &flow("worker: echo, with: { v: 1 }"), Value::Null).await;
    assert_eq!(ended, Ok(json!({ "a": { "v": 1 } })));
    assert_eq!(states, ["a succeeded", "finally.clean succeeded"]);

    let run = kapelle.start(&flow("worker: fail"), Value::Null).await.unwrap();
    assert!(run.wait().await.unwrap_err().to_string().contains("step `a` failed: no"));
    let seen = steps(&kapelle, &run);
    assert_eq!(seen["on_error.tell"].1, json!({ "m": "no" }));
    assert_eq!(seen["finally.clean"].1, json!({ "was": "failed" }));

    let run = kapelle.start(&flow("wait: { signal: go }"), Value::Null).await.unwrap();
    until(&kapelle, &run, "a", StateKind::Waiting).await;
    run.cancel("enough").await.unwrap();
    assert!(run.wait().await.unwrap_err().to_string().contains("enough"));
    let states = states_of(&kapelle, &run);
    assert_eq!(states, ["a cancelled", "finally.clean succeeded", "on_cancel.undo succeeded"]);
    kapelle.close().await;
}

fn states_of(kapelle: &Kapelle, run: &Run) -> Vec<String> {
    states(kapelle, run)
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_and_approvals_wait_across_a_restart_and_hold_no_slot() {
    let place = Place::new("waits");
    let kapelle = place.open().await;
    let flow = "name: f\nsteps:\n\
        \x20 go: { wait: { signal: go } }\n\
        \x20 early: { needs: [go], wait: { signal: early } }\n\
        \x20 ask: { needs: [early], wait: { approval: 'Send ${{ steps.go.output.what }}?' } }\n\
        \x20 nap: { needs: [ask], wait: { timer: '${{ 0.01 }}' } }\n\
        outputs: { what: '${{ steps.go.output.what }}', early: '${{ steps.early.output }}', by: '${{ steps.ask.output.by }}' }\n";
    let run = kapelle.start(flow, Value::Null).await.unwrap();
    let id = run.id();
    until(&kapelle, &run, "go", StateKind::Waiting).await;
    run.signal("early", json!(7)).await.unwrap();
    kapelle.close().await;

    let kapelle = place.open().await;
    let run = kapelle.run(id);
    run.signal("go", json!({ "what": "it" })).await.unwrap();
    let ask = until(&kapelle, &run, "ask", StateKind::Waiting).await;
    assert!(matches!(&ask.state, TaskState::Waiting(WaitFor::Approval { .. })));
    assert_eq!(kapelle.engine().value(&ask.input).unwrap(), json!("Send it?"));
    kapelle.approve(ask.id, true, "ada", "").await.unwrap();
    let again = kapelle.approve(ask.id, true, "ada", "").await.unwrap_err().to_string();
    assert!(again.contains("does not wait for an approval"), "{again}");
    assert_eq!(run.wait().await.unwrap().outputs, json!({ "what": "it", "early": 7, "by": "ada" }));
    let late = run.signal("go", Value::Null).await.unwrap_err().to_string();
    assert!(late.contains("is succeeded"), "{late}");
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_approval_and_a_wait_that_is_too_long_fail_their_step() {
    let place = Place::new("refused");
    let kapelle = place.open().await;
    let run = kapelle.start(
        "name: f\nsteps: { ask: { wait: { approval: ok? } }, b: { needs: [ask], worker: echo } }\n",
        Value::Null,
    );
    let run = run.await.unwrap();
    let ask = until(&kapelle, &run, "ask", StateKind::Waiting).await;
    kapelle.approve(ask.id, false, "bob", "too dear").await.unwrap();
    assert!(run.wait().await.unwrap_err().to_string().contains("step `ask` failed: bob said no: too dear"));
    let late = "name: f\nsteps: { s: { wait: { signal: x, timeout: 10ms } } }\n";
    assert_eq!(
        outcome(&kapelle, late, Value::Null).await.0,
        Err("step `s` failed: the signal `x` did not come in time".into())
    );
    let late = "name: f\nsteps: { s: { wait: { signal: x, timeout: 10ms, on_timeout: continue } } }\noutputs: { s: '${{ steps.s.output }}' }\n";
    assert_eq!(outcome(&kapelle, late, Value::Null).await.0, Ok(json!({ "s": null })));
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_starts_another_and_waits_for_it_and_cancel_goes_down() {
    let place = Place::new("children");
    let kapelle = place.open().await;
    let child = "name: child\ninputs: { type: object, required: [n], properties: { n: { type: integer } } }\n\
        steps: { a: { worker: echo, with: { n: '${{ inputs.n * 2 }}' } } }\noutputs: { n: '${{ steps.a.output.n }}' }\n";
    kapelle.register_workflow(child).unwrap();
    let flow = "name: f\nsteps:\n\
        \x20 all: { for_each: [1, 2], workflow: child, with: { n: '${{ item }}' } }\n\
        \x20 aside: { workflow: child, with: { n: 9 }, wait: false }\n\
        outputs: { v: '${{ steps.all.output }}', aside: '${{ steps.aside.output.run }}' }\n";
    let run = kapelle.start(flow, Value::Null).await.unwrap();
    let outputs = run.wait().await.unwrap().outputs;
    assert_eq!(outputs["v"], json!([{ "n": 2 }, { "n": 4 }]));
    let aside = kapelle.run(outputs["aside"].as_str().unwrap().parse().unwrap());
    assert_eq!(aside.wait().await.unwrap().outputs, json!({ "n": 18 }));

    let wrong = "name: f\nsteps: { a: { workflow: child, with: { n: x } } }\n";
    let (ended, _) = outcome(&kapelle, wrong, Value::Null).await;
    assert!(ended.unwrap_err().contains("the inputs of `child`"));
    let unknown = "name: f\nsteps: { a: { workflow: nobody } }\n";
    assert!(outcome(&kapelle, unknown, Value::Null).await.0.unwrap_err().contains("there is no workflow `nobody`"));

    kapelle.register_workflow("name: ping\nsteps: { a: { workflow: pong } }\n").unwrap();
    kapelle.register_workflow("name: pong\nsteps: { a: { workflow: ping } }\n").unwrap();
    let circle = outcome(&kapelle, "name: f\nsteps: { a: { workflow: ping } }\n", Value::Null).await.0;
    assert!(circle.unwrap_err().contains("is there a circle?"));

    kapelle.register_workflow("name: slow\nsteps: { w: { wait: { signal: never } } }\n").unwrap();
    let run = kapelle.start("name: f\nsteps: { a: { workflow: slow } }\n", Value::Null).await.unwrap();
    let step = until(&kapelle, &run, "a", StateKind::Waiting).await;
    let TaskState::Waiting(WaitFor::Run(slow)) = step.state else { unreachable!("{step:?}") };
    run.cancel("stop").await.unwrap();
    assert!(run.wait().await.is_err());
    assert!(kapelle.run(slow).wait().await.unwrap_err().to_string().contains("was ended"));
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_run_begins_nothing_until_it_is_resumed() {
    let place = Place::new("pause");
    let kapelle = place.open().await;
    let flow = "name: f\nsteps: { a: { wait: { signal: go } }, b: { needs: [a], worker: echo } }\n";
    let run = kapelle.start(flow, Value::Null).await.unwrap();
    until(&kapelle, &run, "a", StateKind::Waiting).await;
    run.pause().await.unwrap();
    assert!(run.pause().await.unwrap_err().to_string().contains("already paused"));
    run.signal("go", Value::Null).await.unwrap();
    until(&kapelle, &run, "a", StateKind::Succeeded).await;
    assert_eq!(states(&kapelle, &run), ["a succeeded"]);
    let id = run.id();
    kapelle.close().await;
    let kapelle = place.open().await;
    let run = kapelle.run(id);
    assert_eq!(states(&kapelle, &run), ["a succeeded"]);
    run.resume().await.unwrap();
    run.wait().await.unwrap();
    assert!(run.resume().await.is_err());
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rerun_takes_over_what_succeeded_and_does_the_rest() {
    let place = Place::new("rerun");
    let kapelle = place.open().await;
    let broken = Arc::new(AtomicU32::new(1));
    let calls = Arc::new(Mutex::new(Vec::new()));
    let (state, seen) = (Arc::clone(&broken), Arc::clone(&calls));
    kapelle
        .register("sometimes", move |input: Value| {
            seen.lock().unwrap().push(input["n"].as_u64().unwrap());
            let fails = input["n"] == json!(2) && state.load(Ordering::SeqCst) == 1;
            async move {
                if fails {
                    Err(TaskError::new(Category::InvalidInput, "2").permanent())
                } else {
                    Ok(input["n"].clone())
                }
            }
        })
        .unwrap();
    let flow = "name: f\nsteps:\n\
        \x20 first: { worker: sometimes, with: { n: 10 } }\n\
        \x20 all: { needs: [first], for_each: [1, 2, 3], on_item_error: collect, worker: sometimes, with: { n: '${{ item }}' } }\n\
        \x20 check: { needs: [all], if: \"steps.all.output | selectattr('error', 'defined') | list | length > 0\", worker: fail }\n\
        outputs: { all: '${{ steps.all.output }}' }\n";
    let run = kapelle.start(flow, Value::Null).await.unwrap();
    assert!(run.wait().await.is_err());
    broken.store(0, Ordering::SeqCst);
    calls.lock().unwrap().clear();
    let again = run.rerun(None).await.unwrap();
    assert_eq!(again.wait().await.unwrap().outputs, json!({ "all": [1, 2, 3] }));
    assert_eq!(*calls.lock().unwrap(), [2], "only what had failed is done again");
    calls.lock().unwrap().clear();
    again.rerun(Some("all")).await.unwrap().wait().await.unwrap();
    let mut called = calls.lock().unwrap().clone();
    called.sort_unstable();
    assert_eq!(called, [1, 2, 3], "from the step that was named on");
    let unknown = again.rerun(Some("al")).await.unwrap_err().to_string();
    assert!(unknown.contains("did you mean `all`?"), "{unknown}");
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_and_a_step_that_take_too_long_end() {
    let place = Place::new("times");
    let kapelle = place.open().await;
    let flow = "name: f\ntimeout: 20ms\nsteps: { a: { wait: { signal: never } } }\nfinally: { steps: { c: { worker: echo } } }\n";
    let (ended, states) = outcome(&kapelle, flow, Value::Null).await;
    assert!(ended.unwrap_err().contains("took longer than its `timeout`"));
    assert_eq!(states, ["a cancelled", "finally.c succeeded"]);
    let flow = "name: f\nsteps: { a: { timeout: 20ms, steps: { w: { wait: { signal: never } } } } }\n";
    let (ended, states) = outcome(&kapelle, flow, Value::Null).await;
    assert!(ended.unwrap_err().contains("step `a` failed: the deadline passed"));
    assert_eq!(states, ["a failed", "a.w cancelled"]);
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn priorities_decide_the_order_and_what_a_failure_does() {
    let place = Place::new("priority");
    let kapelle = place.open().await;
    let flow = |at: i32| {
        format!(
            "name: f\nstrategy: {{ priority: {{ fail_fast_at: {at} }} }}\nsteps:\n\
            \x20 bad: {{ worker: fail, priority: 5 }}\n\
            \x20 slow: {{ wait: {{ timer: 30ms }} }}\n\
            \x20 then: {{ needs: [slow], worker: echo }}\n"
        )
    };
    let (ended, states) = outcome(&kapelle, &flow(5), Value::Null).await;
    assert_eq!(ended, Err("step `bad` failed: no".into()));
    assert_eq!(states, ["bad failed", "slow cancelled"], "a failure at the threshold ends the run at once");
    let (ended, states) = outcome(&kapelle, &flow(6), Value::Null).await;
    assert_eq!(ended, Err("step `bad` failed: no".into()));
    assert_eq!(states, ["bad failed", "slow succeeded", "then succeeded"], "below it the others go on");
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_run_starts_another_when_its_condition_holds() {
    let place = Place::new("triggers");
    let kapelle = place.open().await;
    let on = |status: &str| {
        format!(
            "name: after_{status}\ninputs: {{ type: object, properties: {{ n: {{ type: integer }} }} }}\n\
            on: {{ completed: {{ workflow: first, status: {status}, if: completed.inputs.n > 1, with: {{ n: '${{{{ completed.inputs.n }}}}' }} }} }}\n\
            steps: {{ a: {{ worker: echo, with: {{ n: '${{{{ inputs.n }}}}' }} }} }}\n"
        )
    };
    kapelle.register_workflow(&on("succeeded")).unwrap();
    kapelle.register_workflow(&on("failed")).unwrap();
    kapelle
        .register_workflow("name: forever\non: { completed: { workflow: forever } }\nsteps: { a: { worker: echo } }\n")
        .unwrap();
    let first = |worker: &str| {
        format!(
            "name: first\ninputs: {{ type: object, properties: {{ n: {{ type: integer }} }} }}\nsteps: {{ a: {{ worker: {worker} }} }}\n"
        )
    };
    let started = |run: &Run| {
        let journal = kapelle.engine().reader().journal(run.id(), 0, 1_000).unwrap();
        let found = journal.iter().filter_map(|entry| match &entry.event {
            RunEvent::Triggered { workflow, run, .. } => Some((workflow.to_string(), *run)),
            _ => None,
        });
        found.collect::<Vec<_>>()
    };
    let run = kapelle.start(&first("echo"), json!({ "n": 2 })).await.unwrap();
    run.wait().await.unwrap();
    let found = started(&run);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "after_succeeded");
    let next = kapelle.run(found[0].1.unwrap());
    next.wait().await.unwrap();
    assert_eq!(steps(&kapelle, &next)["a"].1, json!({ "n": 2 }));

    let run = kapelle.start(&first("echo"), json!({ "n": 1 })).await.unwrap();
    run.wait().await.unwrap();
    assert_eq!(started(&run), [], "its condition does not hold");
    let run = kapelle.start(&first("fail"), json!({ "n": 5 })).await.unwrap();
    assert!(run.wait().await.is_err());
    assert_eq!(started(&run)[0].0, "after_failed");

    let mut run = kapelle.start("name: forever\nsteps: { a: { worker: echo } }\n", Value::Null).await.unwrap();
    let mut count = 0;
    loop {
        run.wait().await.unwrap();
        count += 1;
        match started(&run)[0].1 {
            Some(next) => run = kapelle.run(next),
            None => break,
        }
    }
    assert_eq!(count, 17, "a circle ends");
    kapelle.close().await;
}

/// Begins the steps of a block in the order of their names, one at a time.
#[derive(Debug)]
struct ByName;

impl StepOrder for ByName {
    fn rank(&self, _at: kapelle::core::definition::StepIx, step: &kapelle::core::definition::StepDef) -> i64 {
        i64::from(step.name.as_str().as_bytes()[0])
    }

    fn at_once(&self) -> u32 {
        1
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strategy_of_ones_own_is_registered_by_name() {
    let place = Place::new("custom");
    let builder = Kapelle::builder(&place.0).environment(|_| None).strategy("by_name", Arc::new(ByName));
    let kapelle = builder.open().await.unwrap();
    workers(&kapelle);
    let mut events = kapelle.engine().watch();
    let flow = |strategy: &str| {
        format!(
            "name: f\nstrategy: {strategy}\nsteps: {{ c: {{ worker: echo }}, a: {{ worker: echo }}, b: {{ worker: echo }} }}\n"
        )
    };
    let run = kapelle.start(&flow("by_name"), Value::Null).await.unwrap();
    run.wait().await.unwrap();
    let mut order = Vec::new();
    while order.len() < 3 {
        let event = events.recv().await.unwrap();
        if matches!(event.kind, EventKind::AttemptStarted { .. }) {
            order.extend(event.step);
        }
    }
    assert_eq!(order, ["a", "b", "c"]);
    let unknown = kapelle.start(&flow("by_nam"), Value::Null).await.unwrap_err().to_string();
    assert!(unknown.contains("there is no strategy `by_nam`"), "{unknown}");
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_of_everything_loses_and_repeats_nothing() {
    let place = Place::new("restart");
    let flow = "name: f\nsteps:\n\
        \x20 all:\n\
        \x20   for_each: [0, 1, 2, 3, 4]\n\
        \x20   max_parallel: 2\n\
        \x20   steps:\n\
        \x20     turn: { repeat: { max: 2 }, steps: { w: { wait: { signal: go } }, e: { needs: [w], worker: echo, with: { i: '${{ index }}' } } } }\n\
        outputs: { v: \"${{ steps.all.output | map(attribute='turn') | map(attribute='e') | map(attribute='i') | list }}\" }\n";
    let kapelle = place.open().await;
    let id = kapelle.start(flow, Value::Null).await.unwrap().id();
    kapelle.close().await;
    for _ in 0..10 {
        let kapelle = place.open().await;
        kapelle.run(id).signal("go", Value::Null).await.unwrap();
        kapelle.close().await;
    }
    let kapelle = place.open().await;
    let run = kapelle.run(id);
    assert_eq!(run.wait().await.unwrap().outputs, json!({ "v": [0, 1, 2, 3, 4] }));
    assert_eq!(states(&kapelle, &run).len(), 1 + 5 * (1 + 1 + 2 * 3));
    let row = kapelle.engine().reader().run(TenantId::DEFAULT, id).unwrap().unwrap();
    assert_eq!(row.status.kind(), StatusKind::Succeeded);
    kapelle.close().await;
}
