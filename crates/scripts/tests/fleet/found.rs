//! Scripts found in the folder, and changes there.

use std::{fs, time::Duration};

use crate::place::*;

#[tokio::test(flavor = "multi_thread")]
async fn files_are_told_apart_and_a_broken_one_stops_no_other() {
    let mut place = Place::new("found");
    place.script("ok", "mode: daemon", &format!("echo ok running with model: $AI_MODEL\n{LOOP}"));
    place.script("typo", "mdoe: daemon", LOOP);
    place.script("off", "mode: daemon\nstart: false", LOOP);
    place.script("gone.sh", "mode: daemon\ninterpreter: /no/such/program", LOOP);
    place.file("plain.py", "print('no SDK')\n");
    place.file("bypass.py", "# ---\n# start: false\n# ---\nURL = 'https://api.openai.com/v1'\n");
    place.file("node_modules/dep/index.js", "import OpenAI from 'openai'\n");
    place.file(".hidden/x.js", "import OpenAI from 'openai'\n");
    place.file("env1/pyvenv.cfg", "");
    place.file("env1/lib/y.py", "import openai\n");
    place.file("missing/sdk.mjs", "import OpenAI from 'openai'\n");
    place.file("beside.py", "print(1)\n");
    place.file("beside.worker.yaml", "start: false\nname: renamed\n");
    let fleet = place.start().await;
    let found: Vec<(String, &str)> = fleet.status().into_iter().map(|s| (s.name, s.standing)).collect();
    let wanted = [
        ("renamed", "not_started"),
        ("bypass", "not_started"),
        ("gone", "cannot_start"),
        ("sdk", "cannot_start"),
        ("off", "not_started"),
        ("ok", "started"),
        ("plain", "not_started"),
        ("typo", "cannot_start"),
    ];
    assert_eq!(found, wanted.map(|(name, standing)| (name.to_owned(), standing)));
    assert!(place.status("typo").why.contains("unknown key `mdoe`"), "{:?}", place.status("typo"));
    assert!(place.status("gone").why.contains("`/no/such/program` does not exist"));
    assert!(place.status("plain").why.contains("it uses no SDK"));
    assert!(place.status("bypass").warnings[0].contains("line 4 names api.openai.com"));
    let sdk = place.status("sdk");
    assert!(sdk.why.contains("npm install openai") || sdk.why.contains("`node`"), "{sdk:?}");
    assert_eq!(sdk.uses, "imports openai");
    place.says("ok", "ok running with model: fast").await;
    place.is("ok", "running").await;
    assert_eq!(fleet.counts().started, 1);
    end(&fleet).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_changed_and_deleted_files_take_effect_in_time() {
    let mut place = Place::new("watch");
    let fleet = place.start().await;
    let mut events = fleet.watch();
    let mut next = async |what: &str| loop {
        // Two seconds are promised; a busy machine may take longer.
        let event = tokio::time::timeout(Duration::from_secs(20), events.recv()).await.expect("in time").unwrap();
        if event.what == what {
            return event;
        }
    };
    place.script("late", "mode: daemon", &format!("echo first\n{LOOP}"));
    let first = next("running").await;
    place.says("late", "first").await;
    place.script("late", "mode: daemon", &format!("echo second\n{LOOP}"));
    next("changed").await;
    let second = next("running").await;
    assert_ne!(first.pid, second.pid);
    place.says("late", "second").await;
    // Other rules need a process that is started from the beginning.
    place.script("late", "mode: daemon\nstop_timeout: 1s", &format!("echo third\n{LOOP}"));
    next("running").await;
    place.says("late", "third").await;
    fs::remove_file(place.folder.join("workers/late")).unwrap();
    next("gone").await;
    next("stopped").await;
    assert!(fleet.status().is_empty());
    end(&fleet).await;
}
