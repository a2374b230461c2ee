//! Every verb's help has an example, and each example works as it stands in a prepared folder.

use std::{fs, path::Path, process::Stdio, time::Duration};

use crate::{
    place::{PLAIN, Place, TEXT, ended, signal, watched},
    serve::Served,
};

const WAITS: &str = "\
name: waits
steps:
  ask: { wait: { approval: 'Send it?', timeout: 24h } }
  go: { needs: [ask], wait: { signal: go } }
  said: { needs: [go], worker: log, with: { message: done } }
";
const DAEMON: &str = "#!/bin/sh\n# ---\n# mode: daemon\n# ---\nwhile :; do read -r line || exit 0; done\n";

/// Verbs without a help of their own, and hidden ones.
const NONE: [&str; 3] = ["help", "__supervise", "__extract"];
/// Verbs that need a server.
const SERVED: [&str; 5] = ["keys", "top", "ui", "workers restart", "workers scale"];
/// Verbs that work until they are asked to end.
const LONG: [&str; 3] = ["serve", "host", "supervise"];
/// Verbs whose example says that something is not as it should be, or waits for a person.
const OTHER_CODES: [(&str, i32); 5] = [
    // The folder has only offline answers.
    ("kapelle calls show call_1", 3),
    // The run waits for a person, so the verb is ended.
    ("kapelle resume", 130),
    ("kapelle resume run_2", 130),
    ("kapelle keys revoke key_0123456789abcdef", 3),
    ("kapelle dead retry --all --worker translator", 0),
];

/// Prepares a folder: `run_1` has ended, `run_2` waits for a person, `task_4` is a dead letter, `task_5` is ready.
fn prepared() -> Place {
    let place = Place::new();
    assert_eq!(place.kapelle(&["init"]).code, 0);
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../workflows/first-look.yaml");
    place.file("workflows/first-look.yaml", fs::read(shipped).unwrap());
    place.file("workflows/plain.yaml", PLAIN);
    place.file("waits.yaml", WAITS);
    place.file("a.txt", TEXT);
    let text = format!("text={TEXT}");
    assert_eq!(place.kapelle(&["run", "plain", "--input", &text]).code, 0);
    let (mut child, _lines) = place.started(&["run", "waits.yaml"], "kapelle approvals approve task_3");
    signal(&child, "-INT");
    assert_eq!(ended(&mut child), Some(130));
    place
        .kapelle(&["submit", "translator", "--wait", "--input", "text=a", "--input", "language=French"])
        .refused(69, &[]);
    // A second version of the workflow, and one without runs.
    let served = Served::start(&place);
    let publish = |source: &str| {
        let client = kapelle_api::Client::new(&format!("http://{}", served.address), &token(&place)).unwrap();
        let request = kapelle_api::Publish { source: source.to_owned(), file: None };
        tokio::runtime::Runtime::new().unwrap().block_on(kapelle_api::Api::publish(&client, request)).unwrap();
    };
    publish(&PLAIN.replace("default: 2", "default: 3"));
    for word in ["one", "two"] {
        publish(&format!("name: unused\nsteps: {{ a: {{ worker: log, with: {{ message: {word} }} }} }}\n"));
    }
    assert_eq!(served.end("-TERM"), 143);
    assert_eq!(place.kapelle(&["budgets", "set", "day", "5"]).code, 0);
    for name in ["nightly", "unused"] {
        let made = ["schedules", "create", name, "--cron", "0 3 * * *", "--workflow", "hello", "--input", "name=Ada"];
        assert_eq!(place.kapelle(&made).code, 0);
    }
    for name in ["ops", "unused-hook"] {
        let made = ["subscriptions", "create", name, "--url", "https://example.com/hooks"];
        assert_eq!(place.kapelle(&made).code, 0);
    }
    assert_eq!(place.kapelle(&["submit", "keywords", "--input", &text]).out, "task_5\n");
    assert_eq!(place.kapelle(&["backup", "backups/first"]).code, 0);
    place
}

fn token(place: &Place) -> String {
    fs::read_to_string(place.path(".kapelle/token")).unwrap().trim().to_owned()
}

fn copied(place: &Place) -> Place {
    let copy = Place::new();
    place.run("cp", &["-r", &format!("{}/.", place.path("").display()), copy.path("").to_str().unwrap()]);
    copy
}

/// Returns the verbs below a path, with their own.
fn verbs(place: &Place, path: &[&str]) -> Vec<Vec<String>> {
    let said = place.kapelle(&[path, &["--help"]].concat());
    assert_eq!(said.code, 0, "{said:?}");
    let mut found = vec![path.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>()];
    let listed = said.out.lines().skip_while(|line| *line != "Commands:").skip(1);
    for line in listed.take_while(|line| !line.is_empty()) {
        let Some(name) = line.strip_prefix("  ").and_then(|line| line.split_whitespace().next()) else { continue };
        if line.starts_with("   ") || NONE.contains(&name) {
            continue;
        }
        found.extend(verbs(place, &[path, &[name]].concat()));
    }
    found
}

/// Splits a line as a shell does: blanks outside of single quotes separate words.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for letter in line.chars() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            other => word.push(other),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

fn is_of(verbs: &[&str], path: &str) -> bool {
    verbs.iter().any(|verb| path == *verb || path.starts_with(&format!("{verb} ")))
}

/// Runs an example that ends by itself. Returns its exit code and output.
fn run(place: &Place, arguments: &[&str], waits: bool) -> (i32, String) {
    if !waits {
        let said = place.kapelle(arguments);
        return (said.code, format!("{said:?}"));
    }
    // It waits for a person: it is asked to end once it says so.
    let (mut child, _lines) = place.started(arguments, "run_2");
    signal(&child, "-INT");
    (ended(&mut child).unwrap_or(-1), String::new())
}

/// Starts an example that works until it is asked to end, and asks it at its first line.
fn run_long(place: &Place, arguments: &[&str]) {
    let mut child = place.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _watched = watched(&child);
    let mut out = child.stdout.take().unwrap();
    let mut err = child.stderr.take().unwrap();
    let (said, told) = std::sync::mpsc::channel();
    let other = said.clone();
    std::thread::spawn(move || said.send(std::io::Read::read(&mut out, &mut [0; 64]).unwrap_or(0)));
    std::thread::spawn(move || other.send(std::io::Read::read(&mut err, &mut [0; 64]).unwrap_or(0)));
    assert!(told.recv_timeout(Duration::from_secs(60)).unwrap() > 0, "{arguments:?} ended without a word");
    signal(&child, "-TERM");
    assert_eq!(ended(&mut child), Some(143), "{arguments:?}");
}

#[test]
fn a_misspelled_verb_gets_suggestions_of_verbs_for_people_only() {
    let place = Place::new();
    let said = place.kapelle(&["serv"]);
    assert!(said.code == 2 && said.err.contains("'serve'") && !said.err.contains("__"), "{said:?}");
}

#[test]
fn every_verb_shows_an_example_and_each_example_works() {
    let place = prepared();
    let all = verbs(&place, &[]);
    assert!(all.len() > 60, "{}", all.len());
    let mut faults = Vec::new();
    for path in all.iter().filter(|path| !path.is_empty()) {
        let arguments: Vec<&str> = path.iter().map(String::as_str).collect();
        let name = arguments.join(" ");
        let help = place.kapelle(&[arguments.as_slice(), &["--help"]].concat()).out;
        let examples = help.lines().skip_while(|line| *line != "Examples:").skip(1);
        let examples: Vec<&str> = examples.map_while(|line| line.strip_prefix("  kapelle ")).collect();
        assert!(!examples.is_empty(), "`kapelle {name} --help` has no example:\n{help}");
        for example in examples {
            let copy = copied(&place);
            let words = words(example);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            if is_of(&LONG, &name) {
                copy.file("kapelle.yaml", "listen: 127.0.0.1:0\n");
                let _served = (name == "host").then(|| Served::start(&copy));
                run_long(
                    &copy,
                    &words
                        .iter()
                        .map(|word| word.replace(":8000", ":0"))
                        .collect::<Vec<_>>()
                        .iter()
                        .map(String::as_str)
                        .collect::<Vec<_>>(),
                );
                continue;
            }
            if name.starts_with("workers re") || name.starts_with("workers sc") {
                let file = copy.file("workers/inbox", DAEMON);
                #[cfg(unix)]
                fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            }
            if name == "runs resume" {
                assert_eq!(copy.kapelle(&["runs", "pause", "run_2"]).code, 0);
            }
            let _served = is_of(&SERVED, &name).then(|| Served::start(&copy));
            let line = format!("kapelle {example}");
            let wanted = OTHER_CODES.iter().find(|(of, _)| *of == line).map_or(0, |(_, code)| *code);
            let (code, said) = run(&copy, &words, wanted == 130);
            // The signal may come before the verb listens, and ends it at once then.
            let ended = wanted == 130 && code == -1;
            if code != wanted && !ended {
                faults.push(format!("{line} ended with {code} and not {wanted}: {said}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
