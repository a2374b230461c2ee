//! Ends of steps and runs: failures, handlers, time limits, reruns, restarts.

use super::*;

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
    assert_eq!(seen["on_error.tell"].1, json!({ "m": "step `a` failed: no" }));
    assert_eq!(seen["finally.clean"].1, json!({ "was": "failed" }));

    let run = kapelle.start(&flow("wait: { signal: go }"), Value::Null).await.unwrap();
    until(&kapelle, &run, "a", StateKind::Waiting).await;
    run.cancel("enough").await.unwrap();
    assert!(run.wait().await.unwrap_err().to_string().contains("enough"));
    let ended = place::states(&kapelle, &run);
    assert_eq!(ended, ["a cancelled", "finally.clean succeeded", "on_cancel.undo succeeded"]);
    kapelle.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_and_a_step_that_take_too_long_end() {
    let place = Place::new("times");
    let kapelle = place.open().await;
    let flow = "name: f\ntimeout: 20ms\nsteps: { a: { worker: hang } }\nfinally: { steps: { c: { worker: echo } } }\n";
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
