//! Structures of steps: blocks, branches, fan-outs, loops, orders.

use super::*;

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
