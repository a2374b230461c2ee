//! Runs that start others.

use super::*;

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
