//! `kapelle run --each`: one workflow over many files.

use std::{fs, io::BufRead, path::Path};

use serde_json::json;

use crate::place::{PLAIN, Place};

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples");
const WORKFLOWS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../workflows");

/// Writes four formats, `each` times, two of them damaged.
fn documents(place: &Place, each: usize) {
    let folder = place.path("documents");
    fs::create_dir_all(&folder).unwrap();
    for sample in ["annual-report.pdf", "service-review.docx", "ticket-policy.html", "annual-review.txt"] {
        let bytes = fs::read(Path::new(SAMPLES).join(sample)).unwrap();
        let (stem, ending) = sample.split_once('.').unwrap();
        for number in 0..each {
            fs::write(folder.join(format!("{stem}-{number}.{ending}")), &bytes).unwrap();
        }
    }
    fs::write(folder.join("annual-report-0.pdf"), [&b"%PDF-1.7\n"[..], &[0x13, 0x37].repeat(700)].concat()).unwrap();
    fs::write(folder.join("service-review-0.docx"), [0x13, 0x37].repeat(700)).unwrap();
}

#[test]
fn two_hundred_documents_give_198_reports_and_two_clear_failures() {
    let place = Place::new();
    documents(&place, 50);
    let workflow = format!("{WORKFLOWS}/complete-analysis.yaml");
    let said = place.kapelle(&["run", &workflow, "--each", "document=documents", "--out", "out", "--json"]);
    assert_eq!(said.code, 1, "{said:?}");
    let told = said.json();
    assert_eq!((&told["files"], &told["succeeded"], &told["failed"]), (&json!(200), &json!(198), &json!(2)));
    let reports =
        fs::read_dir(place.path("out")).unwrap().flatten().filter(|run| run.path().join("report.md").is_file());
    assert_eq!(reports.count(), 198);
    for (file, why) in [("annual-report-0.pdf", "is damaged"), ("service-review-0.docx", "is damaged")] {
        let line = said.err.lines().find(|line| line.starts_with("  failed") && line.contains(file)).unwrap();
        assert!(line.contains("step `read` failed") && line.contains(why), "{line}");
    }
    assert!(said.err.contains("200 files: 198 succeeded, 2 failed"), "{}", said.err);
}

#[test]
fn wrong_uses_are_refused_before_anything_starts() {
    let place = Place::plain();
    fs::create_dir_all(place.path("empty")).unwrap();
    place.file("a.txt", "Light and room.");
    for (arguments, part) in [
        (vec!["--each", "text"], "there is no `=`"),
        (vec!["--each", "txt=a.txt"], "unknown input `txt`"),
        (vec!["--each", "text=nowhere"], "No such file"),
        (vec!["--each", "text=empty"], "there is no file"),
        (vec!["--each", "text=a.txt", "--each", "n=a.txt"], "names both"),
    ] {
        let said = place.kapelle(&[&["run", "plain.yaml"][..], &arguments].concat());
        assert!(said.code != 0 && said.err.contains(part), "{arguments:?}: {said:?}");
        assert!(!place.path(".kapelle/kapelle.db").exists());
    }
}

#[test]
fn another_strategy_than_the_files_own_runs_one_step_at_a_time() {
    let place = Place::new();
    let steps: String = (0..6).map(|n| format!("  s{n}: {{ worker: sleep, with: {{ ms: 5 }} }}\n")).collect();
    place.file("wide.yaml", format!("name: wide\nsteps:\n{steps}"));
    let said = place.kapelle(&["run", "wide.yaml", "--strategy", "sequential", "--json", "--quiet"]);
    assert_eq!(said.code, 0, "{said:?}");
    let logs = place.kapelle(&["logs", "run_1"]).out;
    let ended: Vec<usize> = (0..6).map(|n| logs.find(&format!("s{n} ")).unwrap_or_default()).collect();
    assert!(ended.windows(2).all(|pair| pair[0] < pair[1]), "{logs}");
}

#[test]
fn a_changed_worker_file_is_told_while_something_runs() {
    let place = Place::new();
    place.file("slow.yaml", "name: slow\nsteps: { wait: { worker: sleep, with: { ms: 2500 } } }\n");
    place.file("workers/one.yaml", "kind: prompt\nname: one\nprompt: hi\n");
    let (mut child, lines) = place.started(&["run", "slow.yaml"], "run_1 slow");
    let lines = lines.lines().map_while(Result::ok);
    place.file("workers/two.yaml", "kind: prompt\nname: two\nprompt: hi\n");
    place.file("workers/one.yaml", "kind: prompt\nname: one\nprompt: '{{ broken'\n");
    let rest: Vec<String> = lines.collect();
    assert!(child.wait().unwrap().success());
    let rest = rest.join("\n");
    assert!(rest.contains("worker `two` is in effect"), "{rest}");
    assert!(rest.contains("a changed file is not in effect") && rest.contains("one.yaml:3"), "{rest}");
}

#[test]
fn plain_inputs_and_each_go_together() {
    let place = Place::new();
    place.file("plain.yaml", PLAIN);
    place.file("texts/a.txt", "The reading room needs light. The reading room has none.");
    place.file("texts/b.txt", "The mobile library came late. The mobile library was full.");
    let said = place.kapelle(&["run", "plain.yaml", "--each", "text=texts", "--input", "n=1", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.json()["succeeded"], 2);
}
