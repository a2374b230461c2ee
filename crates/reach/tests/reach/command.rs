//! `command` with real programs.

use std::fs;

use kapelle_core::Category;
use serde_json::json;

use crate::place::{CANARY, Place, attempt, run};

fn file(settings: &str) -> String {
    format!("kind: command\nname: tool\nsettings: {settings}\n")
}

#[tokio::test]
async fn each_argument_stays_one_and_no_shell_reads_it() {
    let place = Place::new();
    let text = "{ program: /usr/bin/printf, args: ['%s|', 'a{name}b', '{name}', '{n}'], arguments: { name: { type: string }, n: { type: integer, default: -5 } } }";
    let worker = place.worker(&file(text)).unwrap();
    let hostile = "x; touch /tmp/evil $(id) `id` \"'\n*";
    let output = run(&worker, json!({ "name": hostile })).await.unwrap();
    assert_eq!(output["stdout"], format!("a{hostile}b|{hostile}|-5|"));
    for (input, part) in [
        (json!({ "name": "--output=/etc/x" }), "name: it begins with `-`"),
        (json!({ "name": "a\0b" }), "name: it holds a NUL"),
        (json!({}), "\"name\" is a required property"),
        (json!({ "name": "a", "program": "/bin/sh" }), "'program'"),
    ] {
        let error = run(&worker, input.clone()).await.unwrap_err();
        assert_eq!((error.category, error.retryable), (Category::InvalidInput, false), "{input}: {error}");
        assert!(error.message.contains(part), "{input}: {error}");
    }
}

#[tokio::test]
async fn a_secret_is_in_the_environment_and_nowhere_else() {
    let place = Place::new();
    let worker = place.worker(&file("{ program: /usr/bin/env, environment: { KEY: '${secret:token}' } }")).unwrap();
    let output = run(&worker, json!({})).await.unwrap();
    let text = output["stdout"].as_str().unwrap();
    assert!(text.contains("KEY=[secret token]") && !text.contains(CANARY) && text.lines().count() == 2, "{text}");
    for entry in fs::read_dir(place.path().join("state/effects")).unwrap() {
        assert!(!fs::read_to_string(entry.unwrap().path()).unwrap().contains(CANARY));
    }
    let error = place.worker(&file("{ program: /bin/echo, args: ['${secret:token}'] }")).err().unwrap();
    assert!(error.contains("settings.args[0]: a secret is not possible here"), "{error}");
}

#[tokio::test]
async fn ends_of_programs_have_their_category() {
    let place = Place::new();
    for (settings, category, again, part) in [
        ("{ program: /bin/false }", Category::Crashed, false, "exit code 1"),
        ("{ program: /bin/false, retry_codes: [1] }", Category::Crashed, true, "exit code 1"),
        ("{ program: /bin/sleep, args: ['60'], timeout: 200ms }", Category::Timeout, false, "raise `timeout`"),
        ("{ program: /no/such }", Category::Unavailable, false, "correct `program`"),
        ("{ program: /bin/echo, args: [hello], output: json }", Category::InvalidOutput, false, "is not JSON"),
        ("{ program: /usr/bin/yes, max_output: 1000 }", Category::InvalidOutput, false, "raise `max_output`"),
        ("{ program: /bin/true, folder: gone }", Category::Unavailable, false, "folder: "),
    ] {
        let worker = place.worker(&file(settings)).unwrap();
        let error = attempt(&worker, settings, 1, json!({})).await.unwrap_err();
        assert_eq!((error.category, error.retryable), (category, again), "{settings}: {error}");
        assert!(error.message.contains(part), "{settings}: {error}");
    }
    let worker =
        place.worker(&file("{ program: /bin/cat, stdin: text, output: json, arguments: { text: { type: string } } }"));
    assert_eq!(run(&worker.unwrap(), json!({ "text": "[1]" })).await.unwrap()["stdout"], json!([1]));
}

#[tokio::test]
async fn a_start_that_was_cut_off_is_not_repeated() {
    let place = Place::new();
    let (mark, go) = (place.path().join("mark"), place.path().join("go"));
    let made = std::path::Path::new("/usr/bin/mkfifo");
    let fifo = place.worker(&file(&format!("{{ program: {}, args: ['{}'] }}", made.display(), go.display()))).unwrap();
    run(&fifo, json!({})).await.unwrap();
    let script = place.path().join("effect.sh");
    fs::write(&script, format!("echo x >> {}; cat {} ", mark.display(), go.display())).unwrap();
    let text = file(&format!("{{ program: /bin/sh, args: ['{}'], max_file_mb: 1 }}", script.display()));
    let worker = place.worker(&text).unwrap();
    let marked = async {
        while fs::read_to_string(&mark).unwrap_or_default().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        done = attempt(&worker, "task_5", 1, json!({})) => panic!("{done:?}"),
        () = marked => {}
    }
    let restarted = place.worker(&text).unwrap();
    let error = attempt(&restarted, "task_5", 2, json!({})).await.unwrap_err();
    assert!(!error.retryable && error.message.contains("how far it came is unknown"), "{error}");
    assert_eq!(fs::read_to_string(&mark).unwrap(), "x\n");
    // A finished one is answered from its record.
    let once = place.worker(&file("{ program: /bin/echo, args: [done] }")).unwrap();
    let first = attempt(&once, "task_6", 1, json!({})).await.unwrap();
    assert_eq!(attempt(&once, "task_6", 2, json!({})).await.unwrap(), first);
}

#[test]
fn wrong_settings_are_placed() {
    let place = Place::new();
    for (settings, part) in [
        ("{ program: sh }", "w.yaml:3:22: settings.program: `sh` is not an absolute path"),
        ("{ program: /bin/echo, args: ['{x}'] }", "settings.args[0]: `{x}` is not among `arguments`"),
        ("{ program: /bin/echo, stdin: x }", "settings.stdin: `x` is not among `arguments`"),
        ("{ program: /bin/echo, arguments: { x: { type: strnig } } }", "settings.arguments: not a JSON Schema"),
        ("{}", "settings: `program` is missing"),
    ] {
        let error = place.worker(&file(settings)).err().unwrap();
        assert!(error.contains(part), "{settings}: {error}");
    }
}
