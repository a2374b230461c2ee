use serde_json::{Value, json};

use crate::{place::Place, serve::Served};

#[test]
fn every_layer_lies_over_the_one_below() {
    let place = Place::new();
    place.file(".config/kapelle/kapelle.yaml", "ageing: 5s\nretention: { tasks: 1d, runs: 2d }\n");
    place.file("kapelle.yaml", "retention: { tasks: 3d, runs: 2d }\nqueues: { openai: { slots: 2 } }\n");
    place.file(".env", "KAPELLE_QUEUES__ML__SLOTS=4\nKAPELLE_LISTEN=127.0.0.1:1\nOPENAI_API_KEY=sk-secret\n");
    let said = place.with(&[("KAPELLE_LISTEN", "127.0.0.1:2")], &["config", "show", "--origin", "--json"]);
    let config = said.json();
    for (setting, value, origin) in [
        ("ageing", "5s", ".config/kapelle/kapelle.yaml"),
        ("retention.tasks", "3d", "kapelle.yaml"),
        ("listen", "127.0.0.1:2", "environment KAPELLE_LISTEN"),
        ("OPENAI_API_KEY", "set", ".env"),
        ("data", ".kapelle", "default"),
    ] {
        assert_eq!(
            (&config[setting]["value"], &config[setting]["origin"]),
            (&value.into(), &origin.into()),
            "{setting}"
        );
    }
    assert_eq!(
        (&config["queues.openai.slots"]["value"], &config["queues.default.slots"]["origin"]),
        (&2.into(), &"default".into())
    );
    assert_eq!(
        (&config["queues.ml.slots"]["value"], &config["queues.ml.slots"]["origin"]),
        (&4.into(), &".env KAPELLE_QUEUES__ML__SLOTS".into())
    );
    assert!(!said.out.contains("sk-secret"));
    let said = place.kapelle(&["config", "show"]);
    assert!(said.code == 0 && said.out.contains("SETTING") && !said.out.contains("ORIGIN"), "{said:?}");
    assert_eq!(place.kapelle(&["config"]).out, said.out, "as the other nouns do");
}

#[test]
fn the_settings_of_a_working_server_are_told_from_those_of_the_shell() {
    let place = Place::new();
    let served = Served::start(&place);
    let said = place.kapelle(&["config", "show"]);
    assert!(said.code == 0 && said.err.contains(&format!("the server at http://{}", served.address)), "{said:?}");
    drop(served);
}

#[test]
fn prices_say_where_they_come_from_and_which_nobody_checked() {
    let place = Place::new();
    place.file(
        "kapelle.yaml",
        "prices:\n  'local/*': { input: $0, output: $0 }\n  p/m: { input: $1, output: $2, long_prompts: { above: 9, input: $3, output: $4 } }\n",
    );
    let said = place.kapelle(&["config", "prices", "--json"]);
    let prices = said.json();
    let of = |model: &str| prices.as_array().unwrap().iter().find(|row| row["model"] == model).unwrap().clone();
    let mini = of("gpt-4o-mini");
    assert_eq!(
        (&mini["input"], &mini["cached_input"], &mini["output"]),
        (&"$0.15".into(), &"$0.075".into(), &"$0.60".into())
    );
    assert!(mini["source"].as_str().unwrap().contains("LiteLLM") && mini["checked"].is_string(), "{mini}");
    let tuned = of("ft:gpt-4o-mini");
    assert!(tuned["source"].as_str().unwrap().contains("from memory") && tuned["checked"].is_null(), "{tuned}");
    assert_eq!((&prices[0]["model"], &prices[0]["source"]), (&"local/*".into(), &"the configuration".into()));
    assert_eq!(of("any other")["output"], "$20.00");
    let long = json!({ "above": 200_000, "input": "$2.50", "cached_input": "$0.25", "output": "$15.00" });
    assert_eq!((&of("gemini-2.5-pro")["long_prompts"], &mini["long_prompts"]), (&long, &Value::Null));
    let long = json!({ "above": 9, "input": "$3", "cached_input": "$3", "output": "$4" });
    assert_eq!(of("p/m")["long_prompts"], long);
    let said = place.kapelle(&["config", "prices"]);
    assert!(said.code == 0 && said.out.contains("CHECKED") && said.out.contains("not checked"), "{said:?}");
    assert!(
        said.out.contains("prompts above 272000 tokens") && said.out.contains("prompts above 9 tokens"),
        "{said:?}"
    );
    place.file(
        "kapelle.yaml",
        "prices: { p/m: { input: $2, output: $2, long_prompts: { above: 9, input: $1, output: $4 } } }\n",
    );
    let said = place.kapelle(&["doctor"]);
    assert!(
        said.code == 1 && said.out.contains("prices.p/m.long_prompts.input: a long prompt cannot be cheaper"),
        "{said:?}"
    );
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let place = Place::new();
    place.file("kapelle.yaml", "queues:\n  openai: { slotz: 2 }\n");
    place.kapelle(&["config", "show"]).refused(2, &["kapelle.yaml", "slotz"]);
    place.file("kapelle.yaml", "retention: { tasks: soon }\n");
    place.kapelle(&["config", "show"]).refused(2, &["kapelle.yaml", "soon"]);
    place.file("kapelle.yaml", "");
    place
        .with(&[("KAPELLE_QUEUES__ML__SLOTS", "many")], &["config", "show"])
        .refused(2, &["KAPELLE_QUEUES__ML__SLOTS", "whole number"]);
    let said = place.with(&[("KAPELLE_LISTN", "x")], &["config", "show"]);
    assert!(said.code == 0 && said.err.contains("unknown setting KAPELLE_LISTN"), "{said:?}");
    place.file(".env", "nonsense !\n");
    let said = place.kapelle(&["config", "show"]);
    assert!(said.code == 0 && said.err.contains(".env:1: not `NAME=value`"), "{said:?}");
}

#[test]
fn every_fault_is_reported_at_once_and_the_check_has_an_exit_code() {
    let place = Place::new();
    place.file("kapelle.yaml", "budgets: { workers: { keywrods: $1 } }\n");
    let said = place.kapelle(&["config", "check"]);
    assert!(said.code == 0 && said.out.contains("kapelle.yaml: no faults"), "{said:?}");
    assert!(said.err.contains("no worker or script is called `keywrods`; did you mean `keywords`?"), "{said:?}");
    place.file("kapelle.yaml", "quues: {}\nbudgets: { day: ten }\nretention: { tasks: forever }\n");
    place.kapelle(&["config", "check"]).refused(2, &["did you mean `queues`", "ten", "forever", ":2:", ":3:"]);
    place.file("kapelle.yaml", "lease: 1h\nmodels: { fast: { chain: [nobody/x] } }\n");
    place.kapelle(&["config", "check"]).refused(2, &["lease", "10m", "nobody", "kapelle.yaml:1", "kapelle.yaml:2"]);
}

/// `STYLE_WRITE=1` writes the page.
#[test]
fn the_reference_of_the_configuration_is_current() {
    let page = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guides/configuration.md"));
    let said = Place::new().kapelle(&["config", "reference"]);
    if std::env::var_os("STYLE_WRITE").is_some() {
        std::fs::write(page, &said.out).unwrap();
    }
    let written = std::fs::read_to_string(page).unwrap();
    assert!(written == said.out, "write it with `kapelle config reference > docs/guides/configuration.md`");
}

#[test]
fn the_data_is_where_flag_variable_or_project_say() {
    let place = Place::new();
    place.file("kapelle.yaml", "");
    place.file("deep/er/x", "");
    let submit = ["submit", "log", "--input", "message=a"];
    let output = place.command(&submit).current_dir(place.path("deep/er")).output().unwrap();
    assert!(output.status.success() && place.path(".kapelle/kapelle.db").is_file());
    place.with(&[("KAPELLE_DATA", "by-variable")], &submit);
    assert!(place.path("by-variable/kapelle.db").is_file());
    place.with(&[("KAPELLE_DATA", "by-variable")], &[&submit[..], &["--data", "by-flag"]].concat());
    assert!(place.path("by-flag/kapelle.db").is_file());
}
