//! Files of workers and workflows take effect, or are reported, while something runs.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::{fs, path::PathBuf, time::Duration};

use kapelle::{Change, Kapelle};

const WORKER: &str = "kind: prompt\nname: greeter\noffline: summary\nprompt: 'Greet {{ text }}'\n";

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("kapelle-watch-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(folder.join("workers")).unwrap();
    fs::create_dir_all(folder.join("workflows")).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_a_changed_a_broken_and_a_removed_file_are_noticed_in_time() {
    let folder = folder("all");
    let (workers, workflows) = (folder.join("workers"), folder.join("workflows"));
    let kapelle = Kapelle::builder(folder.join("state")).environment(|_| None).open().await.unwrap();
    let (sender, mut changes) = tokio::sync::mpsc::unbounded_channel();
    let watch = kapelle.watch(&workers, &workflows, move |change| {
        let _ = sender.send(change);
    });
    let mut next = async || tokio::time::timeout(Duration::from_secs(2), changes.recv()).await.unwrap().unwrap();

    let file = workers.join("greeter.yaml");
    fs::write(&file, WORKER).unwrap();
    assert_eq!(next().await, Change::Worker { name: "greeter".to_owned(), file: file.clone() });
    assert!(kapelle.engine().has_worker(&"greeter".into()));

    fs::write(&file, WORKER.replace("prompt:", "promt:")).unwrap();
    let Change::Broken { message, .. } = next().await else { panic!("expected a broken file") };
    assert!(message.contains("greeter.yaml:4:1") && message.contains("prompt"), "{message}");
    assert!(kapelle.engine().has_worker(&"greeter".into()), "what was in effect stays in effect");

    fs::remove_file(&file).unwrap();
    assert_eq!(next().await, Change::WorkerGone { name: "greeter".to_owned() });
    assert!(!kapelle.engine().has_worker(&"greeter".into()));

    let file = workflows.join("hello.yaml");
    fs::write(&file, "name: hello\nsteps: { a: { worker: log, needs: [b] } }\n").unwrap();
    let Change::Broken { message, .. } = next().await else { panic!("expected a broken file") };
    assert!(message.contains("hello.yaml:2:"), "{message}");
    fs::write(&file, "name: hello\nsteps: { a: { worker: log, with: { message: hi } } }\n").unwrap();
    assert_eq!(next().await, Change::Workflow { name: "hello".to_owned(), file });

    drop(watch);
    kapelle.close().await;
    fs::remove_dir_all(&folder).unwrap();
}

#[cfg(feature = "reach")]
#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_settings_of_a_shipped_worker_is_reloaded_like_any_other() {
    let folder = folder("settings");
    fs::create_dir_all(folder.join("one")).unwrap();
    let (workers, workflows) = (folder.join("workers"), folder.join("workflows"));
    let kapelle = Kapelle::builder(folder.join("state")).environment(|_| None).open().await.unwrap();
    let (sender, mut changes) = tokio::sync::mpsc::unbounded_channel();
    let watch = kapelle.watch(&workers, &workflows, move |change| {
        let _ = sender.send(change);
    });
    let mut next = async || tokio::time::timeout(Duration::from_secs(5), changes.recv()).await.unwrap().unwrap();
    let list = async || kapelle.submit("files", kapelle::serde_json::json!({ "operation": "list" })).await;

    let hint = list().await.unwrap_err().to_string();
    assert!(hint.contains("files"), "{hint}");
    let file = workers.join("files.yaml");
    fs::write(&file, "kind: storage\nname: files\nsettings: { root: one }\n").unwrap();
    assert_eq!(next().await, Change::Worker { name: "files".to_owned(), file: file.clone() });
    let output = list().await.unwrap().wait().await.unwrap().output;
    assert_eq!(output, kapelle::serde_json::json!({ "objects": [] }));

    fs::write(&file, "kind: storage\nname: files\nsettings: { roots: two }\n").unwrap();
    let Change::Broken { message, .. } = next().await else { panic!("expected a broken file") };
    assert!(message.contains("files.yaml:3:13: settings.roots: unknown key"), "{message}");
    drop(watch);
    kapelle.close().await;
    fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_between_the_start_and_the_watch_is_noticed() {
    let folder = folder("early");
    let (workers, workflows) = (folder.join("workers"), folder.join("workflows"));
    let (kept, gone) = (workers.join("greeter.yaml"), workers.join("gone.yaml"));
    fs::write(&kept, WORKER).unwrap();
    fs::write(&gone, WORKER.replace("greeter", "gone")).unwrap();
    let builder = Kapelle::builder(folder.join("state")).environment(|_| None).workers(&workers).workflows(&workflows);
    let kapelle = builder.open().await.unwrap();
    // The start has read the folders; the watch does not run yet.
    fs::write(&kept, WORKER.replace("Greet", "Greet warmly")).unwrap();
    let hello = workflows.join("hello.yaml");
    fs::write(&hello, "name: hello\nsteps: { a: { worker: log, with: { message: hi } } }\n").unwrap();
    let (sender, mut changes) = tokio::sync::mpsc::unbounded_channel();
    let watch = kapelle.watch(&workers, &workflows, move |change| {
        let _ = sender.send(change);
    });
    let mut next = async || tokio::time::timeout(Duration::from_secs(5), changes.recv()).await.unwrap().unwrap();
    assert_eq!(next().await, Change::Worker { name: "greeter".to_owned(), file: kept });
    assert_eq!(next().await, Change::Workflow { name: "hello".to_owned(), file: hello });
    fs::remove_file(&gone).unwrap();
    assert_eq!(next().await, Change::WorkerGone { name: "gone".to_owned() });
    drop(watch);
    kapelle.close().await;
    fs::remove_dir_all(&folder).unwrap();
}
