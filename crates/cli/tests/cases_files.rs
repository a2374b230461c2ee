//! Faults found in use, about files that people write: YAML, scripts, inputs and `.env`. Each case is a small input in
//! `cases/`, given to the real binary.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is not as it should be")]
#![allow(dead_code, reason = "the place is shared with the tests of the verbs")]

#[path = "verbs/place.rs"]
mod place;

use std::{io::Write as _, path::Path, process::Stdio};

use place::{Place, Said};
use serde_json::{Value, json};

/// A workflow that takes a file and a text.
const INPUTS: &str = "\
name: inp
inputs: { type: object, properties: { doc: { type: object, format: file }, other: { type: object, format: file }, text: { type: string } } }
steps:
  read: { if: inputs.doc is defined, worker: extract_text, with: { document: '${{ inputs.doc }}' } }
  say: { worker: log, with: { message: '${{ inputs.text }}' } }
outputs: { read: '${{ steps.read.output.text if inputs.doc is defined else 0 }}', text: '${{ inputs.text }}' }
";

fn case(number: &str, file: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    std::fs::read(folder.join(number).join(file)).unwrap()
}

/// Makes a folder with files of a case.
fn with(files: &[(&str, &str, &str)]) -> Place {
    let place = Place::new();
    for (number, file, to) in files {
        place.file(to, case(number, file));
    }
    place
}

fn piped(place: &Place, arguments: &[&str], input: &[u8]) -> Said {
    let mut command = place.command(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _watched = place::watched(&child);
    let _ = child.stdin.take().unwrap().write_all(input);
    Said::of(&child.wait_with_output().unwrap())
}

#[test]
fn worker_files_are_the_yaml_of_workflows() {
    let place = with(&[("021", "geo.yaml", "workers/geo.yaml"), ("021", "pt.yaml", "workers/pt.yaml")]);
    let input = |name: &str| place.kapelle(&["workers", "show", name, "--json"]).json()["input"].clone();
    assert_eq!(input("geo")["properties"]["c"]["enum"], json!(["no", "se", "dk"]));
    assert_eq!(input("geo")["properties"]["sw"]["default"], "off");
    assert_eq!(input("geo")["properties"]["t"]["default"], "12:30");
    assert_eq!(input("pt")["required"], json!(["x", "y"]));
    place.file("workers/bad.yaml", "kind: prompt\nname: bad\nprompt: x\nretries: 3\nslots: many\n");
    let said = place.kapelle(&["workers", "list"]);
    assert!(
        said.err.contains("bad.yaml:4:1: retries: unknown key `retries` (write `retry: { max_attempts: N }`"),
        "{said:?}"
    );
    assert!(said.err.contains("bad.yaml:5:8: slots: expected a whole number"), "{said:?}");
}

#[test]
fn hints_go_by_meaning_before_spelling() {
    let place = with(&[("026", "retries.yaml", "retries.yaml")]);
    let said = place.kapelle(&["run", "retries.yaml"]);
    assert!(said.code == 2 && said.err.contains("write `retry: { max_attempts: N }`"), "{said:?}");
    for (key, advice) in [
        ("depends_on: [b]", "write `needs: [step, ...]`"),
        ("dependsOn: b", "write `needs: [step, ...]`"),
        ("when: x", "write `if:`"),
        ("condition: x", "write `if:`"),
        ("foreach: [1]", "write `for_each:`"),
        ("loop: [1]", "write `for_each:`"),
        ("with_items: [1]", "write `for_each:`"),
        ("parallelism: 2", "write `max_parallel: N`"),
        ("env: {}", "a step has no environment"),
        ("uses: x", "write `worker: NAME`|name what does the work with `worker: NAME`"),
        ("inputs: {}", "write `with: { name: value }`"),
        ("timeout_seconds: 3", "`timeout: 30s`"),
        ("wroker: log", "did you mean `worker`?"),
    ] {
        place.file("w.yaml", format!("name: t\nsteps:\n  a:\n    worker: log\n    {key}\n"));
        let said = place.kapelle(&["run", "w.yaml"]);
        assert!(said.code == 2 && advice.split('|').any(|advice| said.err.contains(advice)), "{key}: {said:?}");
    }
}

#[test]
fn the_configuration_takes_plain_numbers_and_places_its_faults() {
    let place = with(&[("027", "kapelle.yaml", "kapelle.yaml")]);
    let said = place.kapelle(&["config", "show", "--json"]);
    assert_eq!(said.json()["prices.openai/x.input"], "0.15", "{said:?}");
    place.file("kapelle.yaml", "budgets: { day: 10 }\nqueues: { default: { slots: 3 } }\n");
    assert_eq!(place.kapelle(&["config", "show", "--json"]).json()["budgets.day"], "10");
    for (text, parts) in [
        (
            "budgets:\n  day: ten\n",
            &["error: `ten` is not an amount of money", "--> kapelle.yaml:2:8 (budgets.day)"][..],
        ),
        ("queues:\n  default: 3\n", &["kapelle.yaml:2:12 (queues.default)", "expected a map with the keys slots"]),
        (
            "quees: {}\nfallback: no\n",
            &["did you mean `queues`?", "kapelle.yaml:2:11 (fallback)", "write true or false"],
        ),
        (
            "models:\n  fast: { chain: [nope/x] }\n",
            &["kapelle.yaml:2:19 (models.fast.chain[0])", "there is no provider `nope`"],
        ),
        ("openai_api_key: sk-very-secret\n", &["set the variable OPENAI_API_KEY"]),
    ] {
        place.file("kapelle.yaml", text);
        let said = place.kapelle(&["config", "show"]);
        assert!(said.code == 2 && parts.iter().all(|part| said.err.contains(part)), "{text}: {said:?}");
        assert!(!said.err.contains("sk-very-secret"), "{said:?}");
    }
    place.file("kapelle.yaml", "# nothing yet\nproviders:\n");
    assert_eq!(place.kapelle(&["config", "show"]).code, 0);
}

#[test]
fn an_env_file_of_the_project_stops_nothing() {
    for (number, set) in [("029", true), ("030", true), ("031", false)] {
        let place = with(&[(number, "dotenv.txt", ".env")]);
        let said = place.kapelle(&["config", "show", "--json"]);
        assert_eq!(
            (said.code, &said.json()["OPENAI_API_KEY"]),
            (0, &json!(if set { "set" } else { "not set" })),
            "{said:?}"
        );
    }
    let place = Place::new();
    place.file(".env", "AI_MODEL='m1' # x\nnot ours\nX=\"open\n");
    let said = place.kapelle(&["config", "show", "--json"]);
    assert!(said.json()["AI_MODEL"] == "m1" && said.err.contains(".env:2: not `NAME=value`"), "{said:?}");
    let place = Place::new();
    std::fs::create_dir(place.path(".env")).unwrap();
    assert_eq!(place.kapelle(&["config", "show"]).code, 0);
    let place = Place::new();
    place.file(".env", [0xff, 0xfe, b'A', 0, b'=', 0]);
    let said = place.kapelle(&["config", "show"]);
    assert!(said.code == 0 && said.err.contains("skipped"), "{said:?}");
}

/// Returns the outputs of a run, which are printed as JSON.
fn outputs(said: &Said) -> Value {
    assert_eq!(said.code, 0, "{said:?}");
    said.json()["outputs"].clone()
}

#[test]
fn a_byte_order_mark_is_taken_off_text() {
    let place = with(&[("033", "bom.json", "bom.json")]);
    place.file("inp.yaml", format!("\u{feff}{INPUTS}"));
    let said = place.kapelle(&["run", "inp.yaml", "--inputs", "bom.json", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    place.file("text.txt", "\u{feff}hello");
    assert_eq!(outputs(&place.kapelle(&["run", "inp.yaml", "--input", "text=@text.txt", "--json"]))["text"], "hello");
    let all = piped(&place, &["run", "inp.yaml", "--inputs", "-", "--json"], "\u{feff}{\"text\": \"hi\"}".as_bytes());
    assert_eq!(outputs(&all)["text"], "hi");
    let utf16: Vec<u8> = "\u{feff}{\"text\": \"hé\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(outputs(&piped(&place, &["run", "inp.yaml", "--inputs", "-", "--json"], &utf16))["text"], "hé");
}

#[test]
fn pipes_and_standard_input_are_files_too() {
    let place = Place::new();
    place.file("inp.yaml", INPUTS);
    let run = ["run", "inp.yaml", "--json", "--input", "text=x", "--input"];
    let from = |doc: &'static str| [&run[..], &[doc]].concat();
    assert_eq!(outputs(&piped(&place, &from("doc=@-"), b"piped text"))["read"], "piped text");
    assert_eq!(outputs(&piped(&place, &from("doc=@/dev/stdin"), b"piped text"))["read"], "piped text");
    if place.has("bash") && place.has("mkfifo") {
        let kapelle = env!("CARGO_BIN_EXE_kapelle");
        let line = format!("{kapelle} run inp.yaml --json --input text=x --input doc=@<(echo from a process)");
        let said: Value = serde_json::from_str(&place.run("bash", &["-c", &line])).unwrap();
        assert_eq!(said["outputs"]["read"], "from a process");
        let line = format!(
            "mkfifo ff; (echo from a pipe > ff &); timeout 100 {kapelle} run inp.yaml --json --input text=x --input doc=@ff"
        );
        let said: Value = serde_json::from_str(&place.run("bash", &["-c", &line])).unwrap();
        assert_eq!(said["outputs"]["read"], "from a pipe");
    }
    let twice = piped(&place, &["run", "inp.yaml", "--input", "doc=@-", "--input", "other=@-"], b"x");
    assert!(
        twice.code == 2 && twice.err.contains("standard input is used twice: by --input doc and by --input other"),
        "{twice:?}"
    );
    for (given, part) in [("doc=@.", "is a folder"), ("doc=@none", "No such file"), ("doc=@/dev/zero", "is a device")] {
        let said = place.kapelle(&["run", "inp.yaml", "--input", given]);
        assert!(said.code != 0 && said.err.contains(part), "{given}: {said:?}");
    }
    let tested = piped(&place, &["workers", "test", "extract_text", "--json", "--input", "document=@-"], b"tested");
    assert_eq!(tested.json()["output"]["text"], "tested", "{tested:?}");
}

#[test]
fn all_inputs_can_be_one_object() {
    let place = Place::plain();
    let said = place.kapelle(&[
        "submit",
        "keywords",
        "--wait",
        "--json",
        "--input",
        r#"{"text": "a reading room", "max": 1}"#,
    ]);
    assert_eq!(said.code, 0, "{said:?}");
    let said = place.kapelle(&["run", "plain.yaml", "--json", "--input", r#"{"text": "a room"}"#, "--input", "n=1"]);
    assert_eq!(said.code, 0, "{said:?}");
    let said = place.kapelle(&["workers", "test", "keywords", "--input", r#"{"text": "a room"}"#]);
    assert_eq!(said.code, 0, "{said:?}");
    let said = place.kapelle(&["run", "plain.yaml", "--input", r#"{"text": }"#]);
    assert!(said.code == 2 && said.err.contains("not JSON"), "{said:?}");
}

/// Returns the scripts of a folder by their file.
fn scripts(place: &Place) -> Vec<Value> {
    place.kapelle(&["workers", "--json"]).json()["scripts"].as_array().cloned().unwrap_or_default()
}

#[test]
#[cfg(target_os = "linux")]
fn any_file_name_makes_a_worker_and_helpers_are_none() {
    let place = with(&[("092", "01_ingest.py", "workers/01_ingest.py"), ("092", "_helpers.py", "workers/_helpers.py")]);
    let body = "# ---\n# mode: task\n# ---\nprint(1)\n";
    for file in ["my worker.py", "übersicht.py", "a/one.py", "b/one.py"] {
        place.file(&format!("workers/{file}"), body);
    }
    place.file("workers/404.py", "import helpers\nfrom openai import OpenAI\n");
    place.file("workers/helpers.py", "from openai import OpenAI\n");
    place.file("workers/pkg/__init__.py", "from openai import OpenAI\n");
    place.file("workers/pkg/inner.py", "from openai import OpenAI\n");
    let all = scripts(&place);
    let of = |file: &str| all.iter().find(|script| script["file"] == file).cloned().unwrap_or_default();
    let name = |file: &str| of(file)["name"].as_str().map(str::to_owned).unwrap_or_default();
    for (file, wanted) in [
        ("01_ingest.py", "script_01_ingest"),
        ("404.py", "script_404"),
        ("my worker.py", "my_worker"),
        ("übersicht.py", "uebersicht"),
    ] {
        assert_eq!(name(file), wanted, "{all:?}");
        assert!(!of(file).to_string().contains("already"), "{all:?}");
    }
    let why = |file: &str| of(file)["why"].as_str().map(str::to_owned).unwrap_or_else(|| of(file).to_string());
    for (file, part) in [
        ("_helpers.py", "begins with `_`"),
        ("helpers.py", "404.py imports it"),
        ("pkg/__init__.py", "begins with `_`"),
        ("pkg/inner.py", "module of a package"),
        ("b/one.py", "a/one.py and b/one.py both have the name `one`"),
    ] {
        assert!(why(file).contains(part), "{file}: {}", why(file));
    }
    let said = place.kapelle(&["submit", "my_worker", "--wait", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_comment_is_no_settings_and_a_list_of_packages_stops_no_script() {
    let place = with(&[("093", "deco.py", "workers/deco.py"), ("095", "requirements.txt", "workers/requirements.txt")]);
    place.file("workers/app.py", "# ---\n# mode: task\n# ---\nprint(3)\n");
    place.file("workers/bad.py", "# ---\n# mode: task\n# slotz: 2\n# ---\nprint(3)\n");
    let all = Value::Array(scripts(&place)).to_string();
    assert!(!all.contains("mapping") && !all.contains(" is not installed: run ` "), "{all}");
    assert!(all.contains("bad.py:3:3: slotz: unknown key `slotz` (did you mean `slots`?)"), "{all}");
    let said = place.kapelle(&["submit", "app", "--wait", "--json"]);
    assert!(said.code == 0 && said.out.contains('3'), "{said:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_script_is_told_why_its_answer_is_none_and_sends_no_traces() {
    let place = with(&[("102", "nan.py", "workers/nan.py"), ("097", "traces.py", "workers/traces.py")]);
    let said = place.kapelle(&["submit", "nan", "--wait"]);
    assert!(said.code != 0 && said.err.contains("`NaN` is not a JSON number"), "{said:?}");
    assert!(said.err.contains("column 11: {\"score\": NaN"), "{said:?}");
    let said = place.kapelle(&["submit", "traces", "--wait", "--json"]);
    assert!(said.code == 0 && said.json()["output"] == 1, "{said:?}");
    place
        .file("workers/traces.worker.yaml", "mode: task\nenvironment: { OPENAI_AGENTS_DISABLE_TRACING: 0, A: 1.10 }\n");
    let said = place.kapelle(&["submit", "traces", "--wait", "--json"]);
    assert!(said.code == 0 && said.json()["output"] == 0, "{said:?}");
}

/// Returns a pool in Python whose report is what `report` makes of a task `t`.
#[cfg(target_os = "linux")]
fn pool(report: &str) -> String {
    format!(
        "# ---\n# mode: pool\n# timeout: 60s\n# ---\nimport json, sys\nfor line in sys.stdin:\n    \
         for t in json.loads(line).get('tasks', []):\n        print({report}, flush=True)\n"
    )
}

#[test]
#[cfg(target_os = "linux")]
fn a_report_of_a_pool_that_is_none_fails_its_attempt_at_once() {
    let place = Place::new();
    let report = |outcome: &str, output: &str| {
        format!("{{'lease_token': t['lease_token'], 'outcome': '{outcome}', 'output': {output}}}")
    };
    for (name, report, part) in [
        (
            "nan",
            format!("json.dumps({})", report("succeed", "float('nan')")),
            "its report is not JSON: `NaN` is not a JSON number",
        ),
        ("repr", report("succeed", "1"), "its report is not JSON: `'`: strings need double quotes"),
        (
            "word",
            format!("json.dumps({})", report("success", "1")),
            "its report is not understood: unknown variant `success`",
        ),
    ] {
        place.file(&format!("workers/{name}.py"), pool(&report));
        let said = place.kapelle(&["submit", name, "--wait", "--retries", "0"]);
        assert!(said.code == 1 && said.err.contains(part), "{name}: {said:?}");
    }
}

#[test]
fn what_was_spent_names_the_other_views() {
    let place = Place::ran();
    let said = place.kapelle(&["cost"]);
    assert!(said.code == 0 && said.err.contains("no model calls yet"), "{said:?}");
}
