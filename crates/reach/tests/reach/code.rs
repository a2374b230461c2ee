//! `code_improvement` on a real tree.

use std::{fs, os::unix::fs::symlink};

use kapelle_core::{Category, worker::TaskContext};
use serde_json::{Value, json};

use crate::place::{Place, run};

const FILE: &str =
    "kind: code_improvement\nname: code\nsettings: { root: files, function_lines: 5, max_file_bytes: 5000 }\n";

fn tree() -> Place {
    let place = Place::new();
    let write = |name: &str, text: &str| {
        let path = place.path().join("files").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let secret = format!("token = \"ghp_{}\"\n", "k".repeat(36));
    write("src/main.rs", &format!("fn main() {{\n{}}}\n", "    go();\n".repeat(9)));
    write("src/b.py", &format!("try:\n    go()\nexcept:\n    pass\n{secret}"));
    write(".gitignore", "target/\n*.log\n!keep.log\n");
    write("target/out.py", "except:\n");
    write("a.log", "<<<<<<< HEAD\n");
    write("keep.log", "<<<<<<< HEAD\n");
    write("sub/.gitignore", "made.py\n");
    write("sub/made.py", "except:\n");
    write(".git/config.py", "except:\n");
    write("picture.py", "\0except:\nexcept:\n");
    write("large.py", &"except:\n".repeat(1_000));
    place
}

fn found(output: &Value) -> Vec<(String, u64, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let each = output["findings"].as_array().unwrap().iter();
    each.map(|f| (text(&f["file"]), f["line"].as_u64().unwrap(), text(&f["check"]))).collect()
}

#[tokio::test]
async fn findings_have_file_and_line_and_ignored_files_are_left_out() {
    let place = tree();
    let outside = place.path().join("outside.py");
    fs::write(&outside, "except:\n").unwrap();
    symlink(&outside, place.path().join("files/link.py")).unwrap();
    symlink(place.path(), place.path().join("files/loop")).unwrap();
    let worker = place.worker(FILE).unwrap();
    assert!(worker.spec().effects.is_empty());
    let output = run(&worker, json!({})).await.unwrap();
    let expected = [
        ("src/b.py", 5, "secret"),
        ("keep.log", 1, "conflict"),
        ("src/b.py", 3, "broad_catch"),
        ("src/main.rs", 1, "long_function"),
    ];
    let expected: Vec<_> = expected.map(|(file, line, check)| (file.to_owned(), line, check.to_owned())).into();
    assert_eq!(found(&output), expected, "{output}");
    assert_eq!((&output["skipped"], &output["complete"]), (&json!(2), &json!(true)));
    assert_eq!(output["lines_by_ending"]["rs"], 11);
    let markdown = output["markdown"].as_str().unwrap();
    assert!(markdown.contains("- `src/b.py:3` (broad_catch)") && !markdown.contains("kkkk"), "{markdown}");
    let some = run(&worker, json!({ "path": "src/", "checks": ["broad_catch", "secret"], "limit": 1 })).await.unwrap();
    assert_eq!((found(&some).len(), &some["more"], &some["files"]), (1, &json!(1), &json!(2)));
}

#[tokio::test]
async fn limits_and_bad_input_say_what_to_do() {
    let place = tree();
    let small = place.worker("kind: code_improvement\nname: code\nsettings: { root: files, max_files: 1 }\n").unwrap();
    let output = run(&small, json!({})).await.unwrap();
    assert_eq!((&output["files"], &output["complete"]), (&json!(1), &json!(false)));
    let worker = place.worker(FILE).unwrap();
    let context = TaskContext::detached("task_1");
    context.cancel.raise();
    assert_eq!(worker.execute(&context, json!({})).await.unwrap().value["complete"], false);
    for (input, part) in [
        (json!({ "path": "../.." }), "path: `../..` has the part"),
        (json!({ "path": "/etc" }), "path: `/etc` begins or ends"),
        (json!({ "path": "gone" }), "path: `gone` has no file"),
        (json!({ "path": "target" }), "path: `target` has no file"),
        (json!({ "checks": ["taste"] }), "taste"),
        (json!({ "root": "/" }), "'root'"),
    ] {
        let error = run(&worker, input.clone()).await.unwrap_err();
        assert_eq!((error.category, error.retryable), (Category::InvalidInput, false), "{input}: {error}");
        assert!(error.message.contains(part), "{input}: {error}");
    }
    let gone = place.worker("kind: code_improvement\nname: code\nsettings: { root: gone }\n").unwrap();
    let error = run(&gone, json!({})).await.unwrap_err();
    assert!(error.message.contains("root: the folder") && !error.retryable, "{error}");
    let error = place.worker("kind: code_improvement\nname: code\nsettings: { root: / }\n").err().unwrap();
    assert!(error.contains("settings.root: `/` is not the folder of a source"), "{error}");
}
