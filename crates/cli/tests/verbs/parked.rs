//! A script whose money is used up waits for more, and goes on by itself.

use serde_json::Value;

use crate::{
    money::Stage,
    scripts::{found, until},
};

const ASKS: &str = "\
# ---
# mode: daemon
# ---
import json, os, signal, urllib.request
request = urllib.request.Request(
    os.environ['OPENAI_BASE_URL'] + '/chat/completions',
    json.dumps({'model': 'openai/gpt-4o', 'messages': [{'role': 'user', 'content': 'hi'}]}).encode(),
    {'Authorization': 'Bearer ' + os.environ['OPENAI_API_KEY'], 'Content-Type': 'application/json'},
)
print(json.load(urllib.request.urlopen(request))['choices'][0]['message']['content'], flush=True)
signal.pause()
";

fn stage() -> Option<Stage> {
    let stage = Stage::new("[{ reply: hello, usage: { prompt_tokens: 9, completion_tokens: 5 } }]");
    if !stage.place.has("python3") {
        assert!(std::env::var_os("KAPELLE_TEST_REQUIRE").is_none(), "python3 is needed");
        return None;
    }
    Some(stage)
}

fn state(stage: &Stage) -> Value {
    found(&stage.place, "asks")["processes"][0]["state"].clone()
}

#[test]
fn a_daemon_without_money_is_parked_and_goes_on_when_the_budget_is_raised() {
    let Some(stage) = stage() else { return };
    stage.place.file("kapelle.yaml", "budgets: { day: $0.000001 }\n");
    stage.place.file("workers/asks.py", ASKS);
    let _served = stage.serve();
    until(|| (state(&stage) == "parked").then_some(()));
    let script = found(&stage.place, "asks");
    assert_eq!((&script["state"], &script["processes"][0]["failures"]), (&"parked".into(), &0.into()), "{script}");
    let why = script["processes"][0]["parked"].as_str().unwrap().to_owned();
    assert!(why.starts_with("no money: this day needs up to") && why.contains("after 00:00 UTC"), "{why}");
    assert!(stage.place.kapelle(&["workers"]).out.contains("no money: this day"));
    assert_eq!(stage.place.kapelle(&["budgets", "set", "day", "5"]).code, 0);
    let listed = stage.place.kapelle(&["budgets"]).out;
    assert!(listed.contains("FROM") && listed.contains("by hand, token, 20"), "{listed}");
    for (account, advice) in [("worker:askss", "did you mean `asks`?"), ("queue:defaul", "did you mean `default`?")] {
        let said = stage.place.kapelle(&["budgets", "set", account, "5"]);
        assert!(said.code == 0 && said.err.contains(advice), "{said:?}");
    }
    stage.place.kapelle(&["budgets", "set", "tenant:2", "5"]).refused(2, &["tenant --tenant 2"]);
    stage.asked(1);
    until(|| (state(&stage) == "running").then_some(()));
    let said = stage.place.kapelle(&["budgets", "reset", "day", "--json"]);
    assert_eq!((said.code, &said.json()["limit_nanousd"]), (0, &1_000.into()), "{said:?}");
    assert!(stage.place.kapelle(&["budgets"]).out.contains("kapelle.yaml"));
    stage.place.kapelle(&["budgets", "reset", "queue:none"]).refused(3, &["budget of queue none"]);
}

#[test]
fn a_limit_that_pays_for_no_call_is_refused_with_the_number() {
    let Some(stage) = stage() else { return };
    stage
        .place
        .file("workers/asks.py", ASKS.replace("daemon\n", "daemon\n# model: openai/gpt-4o\n# max_cost: $0.0002\n"));
    let _served = stage.serve();
    let script = until(|| Some(found(&stage.place, "asks")).filter(|script| script["standing"] == "cannot_start"));
    let why = script["why"].as_str().unwrap();
    assert!(
        why.contains("max_cost: $0.0002 pays for no call of openai/gpt-4o") && why.contains("expected $0.04"),
        "{why}"
    );
}
