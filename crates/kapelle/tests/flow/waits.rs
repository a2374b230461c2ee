//! Waits that hold no slot: signals, approvals, timers, pauses.

use super::*;

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
        Err("step `s` failed: the signal `x` did not arrive in time".into())
    );
    let late = "name: f\nsteps: { s: { wait: { signal: x, timeout: 10ms, on_timeout: continue } } }\noutputs: { s: '${{ steps.s.output }}' }\n";
    assert_eq!(outcome(&kapelle, late, Value::Null).await.0, Ok(json!({ "s": null })));
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
async fn the_time_of_a_run_stands_still_while_it_only_waits() {
    let place = Place::new("still");
    let kapelle = place.open().await;
    let flow = "name: f\ntimeout: 300ms\nsteps:\n\
        \x20 first: { wait: { timer: 400ms } }\n\
        \x20 ask: { needs: [first], wait: { signal: go } }\n\
        \x20 after: { needs: [ask], worker: hang }\n";
    let run = kapelle.start(flow, Value::Null).await.unwrap();
    until(&kapelle, &run, "ask", StateKind::Waiting).await;
    let id = run.id();
    kapelle.close().await;

    let kapelle = place.open().await;
    let row = kapelle.engine().reader().run(TenantId::DEFAULT, id).unwrap().unwrap();
    assert!(
        row.clock_paused.is_some() && row.due_at.unwrap().0 < row.created_at.0 + 700,
        "it rests, and keeps its limit"
    );
    let run = kapelle.run(id);
    run.signal("go", Value::Null).await.unwrap();
    let ended = run.wait().await.unwrap_err().to_string();
    assert!(ended.contains("took longer than its `timeout`"), "what works runs out of time: {ended}");
    let row = kapelle.engine().reader().run(TenantId::DEFAULT, id).unwrap().unwrap();
    let took = row.status.ended_at().unwrap().0 - row.created_at.0;
    assert!(took >= 700, "300 ms of work after 400 ms of waiting, and it took {took} ms");
    kapelle.close().await;
}
