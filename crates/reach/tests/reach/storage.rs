//! `storage` on a real folder.

use std::{fs, os::unix::fs::symlink, sync::Arc};

use kapelle_core::{
    Category,
    worker::{FileSource, TaskContext},
};
use serde_json::{Value, json};

use crate::place::{Place, attempt, run};

const FILE: &str = "kind: storage\nname: files\nsettings: { root: files, max_bytes: 1000, max_read: 500 }\n";

#[tokio::test]
async fn objects_are_put_read_listed_and_deleted() {
    let place = Place::new();
    let worker = place.worker(FILE).unwrap();
    for (key, content) in [
        ("a/1.txt", json!({ "text": "one" })),
        ("a/2.json", json!({ "json": [2] })),
        ("b", json!({ "base64": "//4=" })),
    ] {
        let mut input = json!({ "operation": "put", "key": key });
        input.as_object_mut().unwrap().extend(content.as_object().unwrap().clone());
        assert_eq!(run(&worker, input).await.unwrap()["key"], key);
    }
    let got = run(&worker, json!({ "operation": "get", "key": "a/1.txt" })).await.unwrap();
    assert_eq!((&got["text"], &got["size"]), (&json!("one"), &json!(3)));
    assert_eq!(run(&worker, json!({ "operation": "get", "key": "b" })).await.unwrap()["base64"], "//4=");
    let keys = |page: &Value| page["objects"].as_array().unwrap().iter().map(|o| o["key"].clone()).collect::<Vec<_>>();
    let page = run(&worker, json!({ "operation": "list", "limit": 2 })).await.unwrap();
    assert_eq!((keys(&page), &page["next"]), (vec![json!("a/1.txt"), json!("a/2.json")], &json!("a/2.json")));
    let page = run(&worker, json!({ "operation": "list", "after": "a/2.json" })).await.unwrap();
    assert_eq!((keys(&page), page.get("next")), (vec![json!("b")], None));
    let page = run(&worker, json!({ "operation": "list", "prefix": "a/1" })).await.unwrap();
    assert_eq!(keys(&page), [json!("a/1.txt")]);
    for expected in [true, false] {
        let output = run(&worker, json!({ "operation": "delete", "key": "a/1.txt" })).await.unwrap();
        assert_eq!(output["deleted"], expected);
    }
    run(&worker, json!({ "operation": "delete", "key": "a/2.json" })).await.unwrap();
    assert!(!place.path().join("files/a").exists() && place.path().join("files").exists());
}

#[tokio::test]
async fn nothing_outside_of_the_root_is_read_written_or_deleted() {
    let place = Place::new();
    let (files, outside) = (place.path().join("files"), place.path().join("outside"));
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "keep").unwrap();
    symlink(&outside, files.join("out")).unwrap();
    symlink(outside.join("precious"), files.join("link")).unwrap();
    symlink("../outside/precious", files.join("relative")).unwrap();
    let worker = place.worker(FILE).unwrap();
    for key in [
        "../outside/precious",
        "/etc/passwd",
        "a/../../outside/precious",
        "out/precious",
        "out/new",
        "..",
        "a\0b",
        ".kapelle-x",
        "out",
    ] {
        for operation in ["get", "put", "delete"] {
            let mut input = json!({ "operation": operation, "key": key });
            if operation == "put" {
                input["text"] = json!("evil");
            }
            // A link of the root itself is one of its entries: it is deleted or replaced, and not followed.
            if key == "out" && operation != "get" {
                continue;
            }
            let error = run(&worker, input).await.unwrap_err();
            assert_eq!(
                (error.category, error.retryable),
                (Category::InvalidInput, false),
                "{operation} {key}: {error}"
            );
            assert!(error.message.starts_with("key: ") && !error.message.contains("root:"), "{error}");
        }
    }
    for key in ["link", "relative"] {
        assert!(run(&worker, json!({ "operation": "get", "key": key })).await.is_err());
    }
    run(&worker, json!({ "operation": "put", "key": "link", "text": "own" })).await.unwrap();
    run(&worker, json!({ "operation": "delete", "key": "relative" })).await.unwrap();
    let page = run(&worker, json!({ "operation": "list" })).await.unwrap();
    assert_eq!(page["objects"].as_array().unwrap().len(), 1, "{page}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(outside.join("precious")).unwrap(), "keep");
}

struct OneFile(std::path::PathBuf);

impl FileSource for OneFile {
    fn path(&self, sha256: &str) -> Option<std::path::PathBuf> {
        sha256.starts_with("aa").then(|| self.0.clone())
    }
}

#[tokio::test]
async fn a_file_of_the_store_is_put_and_a_missing_one_leaves_nothing() {
    let place = Place::new();
    fs::write(place.path().join("blob"), "from the store").unwrap();
    let worker = place.worker(FILE).unwrap();
    let files = Arc::new(OneFile(place.path().join("blob")));
    let context = TaskContext { files, ..TaskContext::detached("task_1") };
    let input = |digit: &str| json!({ "operation": "put", "key": "x", "file": { "$file": format!("sha256:{}", digit.repeat(64)) } });
    let output = worker.execute(&context, input("a")).await.unwrap().value;
    assert_eq!(output["size"], 14);
    let error = worker.execute(&context, input("b")).await.unwrap_err();
    assert!(error.message.contains("is not in the store") && !error.retryable, "{error}");
    fs::remove_file(place.path().join("blob")).unwrap();
    let error = worker.execute(&context, input("a")).await.unwrap_err();
    assert!(error.category == Category::Unavailable && error.message.contains("cannot be read"), "{error}");
    assert_eq!(fs::read_to_string(place.path().join("files/x")).unwrap(), "from the store");
    assert_eq!(fs::read_dir(place.path().join("files")).unwrap().count(), 1);
}

#[tokio::test]
async fn an_attempt_that_was_cut_off_loses_nothing_and_leaves_nothing() {
    let place = Place::new();
    let worker = place.worker(FILE).unwrap();
    let files = place.path().join("files");
    fs::write(files.join("x"), "old").unwrap();
    // A crash in the middle of a write: a part of the content beside the object.
    fs::write(files.join(".kapelle-task_7-1"), "ne").unwrap();
    let page = run(&worker, json!({ "operation": "list" })).await.unwrap();
    assert_eq!(page["objects"].as_array().unwrap().len(), 1);
    assert_eq!(run(&worker, json!({ "operation": "get", "key": "x" })).await.unwrap()["text"], "old");
    attempt(&worker, "task_7", 2, json!({ "operation": "put", "key": "x", "text": "new" })).await.unwrap();
    assert_eq!(fs::read_dir(&files).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(files.join("x")).unwrap(), "new");
    // A crash between the write and its report: the next attempt finds its own content.
    let absent = |text: &str| json!({ "operation": "put", "key": "y", "text": text, "if_absent": true });
    for number in [1, 2] {
        attempt(&worker, "task_8", number, absent("mine")).await.unwrap();
    }
    let error = attempt(&worker, "task_9", 1, absent("other")).await.unwrap_err();
    assert!(error.message.contains("key: `y` exists already"), "{error}");
    assert_eq!(fs::read_to_string(files.join("y")).unwrap(), "mine");
    assert_eq!(fs::read_dir(&files).unwrap().count(), 2);
}

#[tokio::test]
async fn bad_input_and_settings_say_what_to_do() {
    let place = Place::new();
    let worker = place.worker(FILE).unwrap();
    for (input, part) in [
        (json!({ "operation": "move" }), "/operation: "),
        (json!({ "operation": "get" }), "key: get needs the name"),
        (json!({ "operation": "get", "key": "none" }), "key: there is no object `none`"),
        (json!({ "operation": "put", "key": "a" }), "put needs exactly one"),
        (json!({ "operation": "put", "key": "a", "text": "x", "json": 1 }), "put needs exactly one"),
        (json!({ "operation": "put", "key": "a", "base64": "*" }), "base64: "),
        (json!({ "operation": "put", "key": "a", "text": "x".repeat(1_001) }), "`max_bytes` of the settings is 1000"),
        (json!({ "operation": "put", "key": "a", "file": { "$file": "../../x" } }), "file: not a file"),
    ] {
        let error = run(&worker, input.clone()).await.unwrap_err();
        assert_eq!((error.category, error.retryable), (Category::InvalidInput, false), "{input}: {error}");
        assert!(error.message.contains(part), "{input}: {error}");
    }
    fs::write(place.path().join("files/big"), "x".repeat(501)).unwrap();
    let error = run(&worker, json!({ "operation": "get", "key": "big" })).await.unwrap_err();
    assert!(error.message.contains("raise `max_read`"), "{error}");
    assert_eq!(fs::read_dir(place.path().join("files")).unwrap().count(), 1);

    let reader = place.worker("kind: storage\nname: r\nsettings: { root: files, read_only: true }\n").unwrap();
    let error = run(&reader, json!({ "operation": "delete", "key": "big" })).await.unwrap_err();
    assert!(error.message.contains("read_only") && reader.spec().effects.is_empty(), "{error}");
    let nowhere = place.worker("kind: storage\nname: n\nsettings: { root: nowhere }\n").unwrap();
    let error = run(&nowhere, json!({ "operation": "list" })).await.unwrap_err();
    assert!(error.message.contains("root: the folder") && !error.retryable, "{error}");
    let error = place.worker("kind: storage\nname: n\nsettings: { root: / }\n").err().unwrap();
    assert!(error.contains("w.yaml:3:19: settings.root: `/` is not a folder of its own"), "{error}");
}
