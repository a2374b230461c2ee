use std::{fs, io::Read};

use serde_json::json;

use crate::place::{Place, TEXT, signal};

#[test]
fn outputs_are_printed_as_json_and_progress_goes_elsewhere() {
    let place = Place::plain();
    let said = place.kapelle(&["run", "plain.yaml", "--input", &format!("text={TEXT}")]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.out, "{\n  \"keywords\": [\n    \"reading room\"\n  ]\n}\n");
    for part in ["run_1 plain: 2 steps", "words  succeeded", "said   succeeded", "run_1 succeeded in"] {
        assert!(said.err.contains(part), "{}", said.err);
    }
    assert!(place.path(".kapelle/kapelle.db").is_file());
}

#[test]
fn one_json_object_tells_all_of_a_run() {
    let place = Place::plain();
    let said = place.kapelle(&[
        "run",
        "plain.yaml",
        "--json",
        "--quiet",
        "--input",
        &format!("text={TEXT}"),
        "--input",
        "n=1",
    ]);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let run = said.json();
    assert_eq!((&run["id"], &run["state"], &run["workflow"]), (&json!("run_1"), &json!("succeeded"), &json!("plain")));
    assert_eq!(run["outputs"], json!({ "keywords": ["reading room"] }));
    let step = &run["steps"][0];
    assert_eq!(
        (&step["step"], &step["state"], &step["attempt"], &step["degraded"]),
        (&json!("words"), &json!("succeeded"), &json!(1), &json!(false))
    );
    assert!(step["started_at"].is_string() && step["cost_nanousd"] == 0, "{step}");
}

#[test]
fn inputs_come_from_a_file_and_arguments_win() {
    let place = Place::plain();
    place.file("in.json", json!({ "text": TEXT, "n": 5 }).to_string());
    let said = place.kapelle(&["run", "plain.yaml", "--json", "--inputs", "in.json", "--input", "n=1"]);
    assert_eq!(said.json()["outputs"]["keywords"], json!(["reading room"]));
    place.file("text.txt", TEXT);
    let said = place.kapelle(&["run", "plain.yaml", "--json", "--input", "text=@text.txt", "--input", "n=1"]);
    assert_eq!(said.json()["outputs"]["keywords"], json!(["reading room"]));
}

#[test]
fn a_document_becomes_a_report_that_says_what_is_degraded() {
    let place = Place::new();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
    for (from, to) in [
        ("workflows/first-look.yaml", "workflows/first-look.yaml"),
        ("samples/annual-review.txt", "samples/annual-review.txt"),
    ] {
        place.file(to, fs::read(format!("{shipped}{from}")).unwrap());
    }
    // Named without its folder, with the workflow's own sample.
    let said = place.kapelle(&["run", "first-look", "--out", "out"]);
    assert_eq!(said.code, 0, "{said:?}");
    for part in [
        "# First look: annual-review.txt",
        "## Summary",
        "## Sentiment",
        "## Keywords",
        "| offline |",
        "no OPENAI_API_KEY",
    ] {
        assert!(said.out.contains(part), "`{part}` is not in {}", said.out);
    }
    assert!(said.err.contains("warning: no OPENAI_API_KEY"), "{}", said.err);
    assert_eq!(fs::read_to_string(place.path("out/run_1/report.md")).unwrap(), said.out);
    let run: serde_json::Value = serde_json::from_slice(&fs::read(place.path("out/run_1/run.json")).unwrap()).unwrap();
    assert_eq!(run["steps"][1]["degraded_reason"], "no OPENAI_API_KEY");
}

#[test]
fn a_default_file_is_found_beside_a_workflow_that_is_named_without_a_folder() {
    let place = Place::new();
    place.file(
        "own.yaml",
        "name: own\ninputs: { type: object, properties: { letter: { type: object, format: file, default: \"@data/letter.txt\" } } }\n\
         steps: { read: { worker: extract_text, with: { document: \"${{ inputs.letter }}\" } } }\n\
         outputs: { text: \"${{ steps.read.output.text }}\" }\n",
    );
    place.file("data/letter.txt", TEXT);
    for named in ["own.yaml", "./own.yaml", place.path("own.yaml").to_str().unwrap()] {
        let said = place.kapelle(&["run", named, "--json"]);
        assert_eq!(said.code, 0, "{named}: {said:?}");
        assert!(said.json()["outputs"]["text"].as_str().unwrap().contains("reading room"), "{named}: {said:?}");
    }
}

#[test]
fn six_specialists_and_a_translation_that_says_what_it_needs() {
    let place = Place::new();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
    place.file("complete.yaml", fs::read(format!("{shipped}workflows/complete-analysis.yaml")).unwrap());
    place.file("a.html", fs::read(format!("{shipped}samples/ticket-policy.html")).unwrap());
    let said =
        place.kapelle(&["run", "complete.yaml", "--input", "document=@a.html", "--input", "translate_to=French"]);
    assert_eq!(said.code, 0, "{said:?}");
    for part in
        ["## Summary in French", "Not translated. translator needs a model", "## Questions and answers", "## Category"]
    {
        assert!(said.out.contains(part), "`{part}` is not in {}", said.out);
    }
}

#[test]
fn without_fallback_a_missing_key_is_a_failure_with_advice() {
    let place = Place::new();
    place.file("w.yaml", "name: w\nsteps:\n  s: { worker: summarizer, with: { text: some words } }\n");
    let said = place.kapelle(&["run", "w.yaml", "--no-fallback"]);
    said.refused(1, &["step `s` failed", "OPENAI_API_KEY", "help: "]);
    let said = place.kapelle(&["run", "w.yaml", "--no-fallback", "--json"]);
    assert_eq!((said.code, &said.json()["state"]), (1, &json!("failed")));
}

#[test]
fn a_file_that_is_wrong_is_shown_with_its_place() {
    let place = Place::new();
    for (text, parts) in [
        ("name: w\nsteps:\n  s: { wroker: log }\n", &["w.yaml:3:8", "wroker", "did you mean `worker`?", "^"][..]),
        (
            "name: w\nsteps:\n  a: { worker: log, needs: [b] }\n  b: { worker: log, needs: [a] }\n",
            &["w.yaml:", "a", "b"],
        ),
        (
            "name: w\nsteps:\n  s: { worker: sumarizer }\n",
            &["w.yaml:3:16", "unknown worker `sumarizer`", "did you mean `summarizer`?"],
        ),
        ("name: w\nsteps:\n  s: { worker: log, with: { message: '${{ inputs.x' } }\n", &["w.yaml:3"]),
        ("nonsense: [", &["w.yaml"]),
        ("", &["w.yaml"]),
    ] {
        place.file("w.yaml", text);
        place.kapelle(&["run", "w.yaml"]).refused(2, parts);
    }
    place.file("w.yaml", b"name: \xff\xfe\nsteps: {}\n");
    place.kapelle(&["run", "w.yaml"]).refused(2, &["w.yaml", "UTF-8"]);
    assert!(!place.path(".kapelle").exists(), "nothing is made for a file that is wrong");
}

#[test]
fn an_input_that_is_wrong_is_named() {
    let place = Place::plain();
    place.file("bad.json", "{");
    place.file("latin.txt", b"caf\xe9");
    for (arguments, code, parts) in [
        (&["--input", "txt=x"][..], 2, &["unknown input `txt`", "did you mean `text`?"][..]),
        (&["--input", "text=x", "--input", "n=many"], 2, &["n=many", "expected integer"]),
        (&[], 2, &["text", "required", "it takes --input text=..."]),
        (&["--input", "text"], 2, &["there is no `=`"]),
        (&["--input", "text=@gone.txt"], 3, &["gone.txt"]),
        (&["--input", "text=@latin.txt"], 2, &["latin.txt: not UTF-8 text"]),
        (&["--inputs", "bad.json"], 2, &["bad.json"]),
        (&["--inputs", "gone.json"], 3, &["gone.json"]),
    ] {
        let said = place.kapelle(&[&["run", "plain.yaml"][..], arguments].concat());
        said.refused(code, parts);
    }
    assert!(!place.path(".kapelle").exists(), "nothing is made for inputs that are wrong");
    place.kapelle(&["run", "plian"]).refused(3, &["there is no workflow plian"]);
    place.kapelle(&["run", "."]).refused(2, &["is a folder"]);
}

#[test]
fn a_folder_in_use_is_refused_and_can_still_be_read() {
    let place = Place::ran();
    let lock = fs::File::options().read(true).write(true).open(place.path(".kapelle/lock")).unwrap();
    lock.lock().unwrap();
    let said = place.kapelle(&["run", "plain.yaml", "--input", "text=x"]);
    said.refused(5, &["is in use", "help: "]);
    let said = place.kapelle(&["--json", "run", "plain.yaml", "--input", "text=x"]);
    assert_eq!(said.json()["error"]["exit_code"], 5);
    for arguments in
        [&["status"][..], &["runs"], &["runs", "show", "run_1"], &["logs", "run_1"], &["tasks", "list", "--steps"]]
    {
        assert_eq!(place.kapelle(arguments).code, 0, "{arguments:?}");
    }
}

#[test]
fn the_first_interrupt_drains_and_tells_how_to_go_on() {
    let place = Place::new();
    let step =
        |name: &str, ms: u32, needs: &str| format!("  {name}: {{ {needs}worker: sleep, with: {{ ms: {ms} }} }}\n");
    let text = format!("name: w\nsteps:\n{}{}", step("first", 1_500, ""), step("second", 10, "needs: [first], "));
    place.file("w.yaml", text);
    let (mut child, mut rest) = place.started(&["run", "w.yaml"], "run_1 w: 2 steps");
    signal(&child, "-INT");
    let mut err = String::new();
    rest.read_to_string(&mut err).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{err}");
    assert!(err.contains("press Ctrl-C again"), "{err}");
    assert!(err.contains("kapelle resume run_1"), "{err}");
    let said = place.kapelle(&["resume", "run_1"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.err.contains("run_1 succeeded"), "{}", said.err);
}

#[test]
fn the_second_interrupt_ends_at_once() {
    let place = Place::new();
    place.file("w.yaml", "name: w\nsteps:\n  s: { worker: sleep, with: { ms: 60000 } }\n");
    let (mut child, mut rest) = place.started(&["run", "w.yaml"], "run_1 w: 1 step");
    signal(&child, "-TERM");
    let mut line = String::new();
    while !line.contains("press Ctrl-C again") {
        line.clear();
        assert!(std::io::BufRead::read_line(&mut rest, &mut line).unwrap() > 0);
    }
    signal(&child, "-INT");
    let mut err = String::new();
    rest.read_to_string(&mut err).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{err}");
    let said = place.kapelle(&["runs", "cancel", "run_1"]);
    assert_eq!((said.code, said.out.as_str()), (0, "run_1 is cancelled\n"), "{said:?}");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let place = Place::plain();
    let mut command = place.command(&["run", "plain.yaml", "--json", "--input", &format!("text={}", TEXT.repeat(500))]);
    let mut child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{err}");
    assert!(!err.contains("panicked"), "{err}");
}
