//! `clear_temp` on a real folder.

use std::{
    fs::{self, File},
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::Path,
    time::{Duration, SystemTime},
};

use kapelle_core::{
    Category,
    worker::{Effect, TaskContext},
};
use serde_json::{Value, json};

use crate::place::{NOW_S, Place, run};

const FILE: &str = "kind: clear_temp\nname: clean\nsettings: { root: files, older_than: 1h }\n";

/// Makes a file that was last changed some seconds ago.
fn file(path: &Path, content: &str, age_s: i64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    touch(path, age_s);
}

fn touch(path: &Path, age_s: i64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(NOW_S - age_s).unwrap());
    File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

fn names(output: &Value) -> Vec<&str> {
    let mut names: Vec<&str> =
        output["files"].as_array().unwrap().iter().map(|file| file["file"].as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn expired_files_are_deleted_and_a_dry_run_only_tells() {
    let place = Place::new();
    let files = place.path().join("files");
    file(&files.join("old"), "12345", 3_601);
    file(&files.join("deep/er/old"), "1", 90_000);
    file(&files.join("deep/young"), "12", 3_600);
    file(&files.join("future"), "1", -90_000);
    file(&files.join(".kapelle-task_1-1"), "left by a crash", 90_000);
    let odd = files.join(std::ffi::OsStr::from_bytes(b"\xff\n; rm -rf $(id)"));
    file(&odd, "1", 90_000);
    let worker = place.worker(FILE).unwrap();
    assert_eq!(worker.spec().effects, [Effect::Files]);
    let told = run(&worker, json!({ "dry_run": true })).await.unwrap();
    assert_eq!(told["deleted"], json!({ "files": 4, "bytes": 22 }), "{told}");
    assert!(files.join("old").exists() && odd.exists());
    let done = run(&worker, json!({})).await.unwrap();
    assert_eq!((&done["deleted"], &done["kept"]), (&told["deleted"], &json!({ "files": 2, "bytes": 3 })));
    assert_eq!(names(&done), [".kapelle-task_1-1", "deep/er/old", "old", "\u{fffd}\n; rm -rf $(id)"]);
    assert_eq!((&done["complete"], &done["faults"], &done["skipped"]), (&json!(true), &json!([]), &json!(0)));
    assert!(files.join("deep/young").exists() && files.join("future").exists() && !files.join("deep/er").exists());
    let again = run(&worker, json!({})).await.unwrap();
    assert_eq!(again["deleted"], json!({ "files": 0, "bytes": 0 }));
}

#[tokio::test]
async fn links_are_not_followed_and_nothing_outside_is_deleted() {
    let place = Place::new();
    let (files, outside) = (place.path().join("files"), place.path().join("outside"));
    file(&outside.join("precious"), "keep", 900_000);
    file(&files.join("a/old"), "x", 900_000);
    symlink(&outside, files.join("folder")).unwrap();
    symlink(outside.join("precious"), files.join("link")).unwrap();
    symlink("../../outside", files.join("a/up")).unwrap();
    fs::hard_link(outside.join("precious"), files.join("second name")).unwrap();
    let done = run(&place.worker(FILE).unwrap(), json!({})).await.unwrap();
    assert_eq!((names(&done), &done["skipped"]), (vec!["a/old", "second name"], &json!(3)));
    assert_eq!(fs::read_to_string(outside.join("precious")).unwrap(), "keep");
    assert!(files.join("link").is_symlink() && files.join("a/up").is_symlink());
}

#[tokio::test]
async fn the_total_size_is_limited_oldest_first() {
    let place = Place::new();
    let files = place.path().join("files");
    for (name, age) in [("a", 500), ("b", 400), ("c", 300), ("d", 30)] {
        file(&files.join(name), "1234567890", age);
    }
    let text = "kind: clear_temp\nname: clean\nsettings: { root: files, older_than: 7d, max_bytes: 25 }\n";
    let done = run(&place.worker(text).unwrap(), json!({})).await.unwrap();
    assert_eq!((names(&done), &done["files"][0]["reason"]), (vec!["a", "b"], &json!("total_size")));
    // A file of the last minute may still be written, so it stays.
    let text = "kind: clear_temp\nname: clean\nsettings: { root: files, older_than: 7d, max_bytes: 0 }\n";
    assert_eq!(names(&run(&place.worker(text).unwrap(), json!({})).await.unwrap()), ["c"]);
    assert!(files.join("d").exists());
}

#[tokio::test]
async fn an_attempt_that_ended_in_the_middle_is_completed_by_the_next() {
    let place = Place::new();
    let files = place.path().join("files");
    for name in ["a", "b", "sub/c"] {
        file(&files.join(name), "x", 90_000);
    }
    let worker = place.worker(FILE).unwrap();
    let context = TaskContext::detached("task_1");
    context.cancel.raise();
    let cut = worker.execute(&context, json!({})).await.unwrap().value;
    assert_eq!((&cut["complete"], &cut["deleted"]["files"]), (&json!(false), &json!(0)));
    fs::remove_file(files.join("a")).unwrap();
    let done = run(&worker, json!({})).await.unwrap();
    assert_eq!((names(&done), &done["complete"]), (vec!["b", "sub/c"], &json!(true)));
    assert_eq!(fs::read_dir(&files).unwrap().count(), 0);
}

#[tokio::test]
async fn bad_settings_and_input_say_what_to_do() {
    let place = Place::new();
    let file = |root: &str| format!("kind: clear_temp\nname: clean\nsettings: {{ root: '{root}', older_than: 1h }}\n");
    let project = place.path().display().to_string();
    symlink(place.path(), place.path().join("self")).unwrap();
    for (root, part) in [
        ("/", "it is the root of the file system"),
        (".", "it holds the project itself"),
        ("files/..", "it holds the project itself"),
        ("..", "it holds the project itself"),
        ("self", "it holds the project itself"),
        (project.as_str(), "it holds the project itself"),
        ("state", "folder of the state"),
        ("state/effects", "folder of the state"),
        ("files/../state/blobs", "folder of the state"),
    ] {
        let error = place.worker(&file(root)).err().unwrap();
        assert!(error.contains("settings.root: ") && error.contains(part), "{root}: {error}");
    }
    let error = place.worker("kind: clear_temp\nname: clean\nsettings: { root: files }\n").err().unwrap();
    assert!(error.contains("settings: `older_than` is missing"), "{error}");
    let worker = place.worker(FILE).unwrap();
    for input in [json!({ "root": "/etc" }), json!({ "dry_run": "no" }), json!([])] {
        let error = run(&worker, input.clone()).await.unwrap_err();
        assert_eq!((error.category, error.retryable), (Category::InvalidInput, false), "{input}: {error}");
    }
    let gone = place.worker(&file("gone")).unwrap();
    let error = run(&gone, json!({})).await.unwrap_err();
    assert!(error.message.contains("root: the folder") && error.message.contains("make it"), "{error}");
    symlink(place.path(), place.path().join("gone")).unwrap();
    let error = run(&gone, json!({})).await.unwrap_err();
    assert!(error.message.contains("it holds the project itself") && !error.retryable, "{error}");
}
