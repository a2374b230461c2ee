//! Planted secrets, searched for everywhere afterwards: keys of providers in the environment of the server, secrets in
//! the environment of scripts, and the tokens of attempts, which scripts write wherever they can.

use std::{collections::BTreeSet, fs, path::Path, process::Stdio};

use kapelle_testkit::scripted_openai::{Script, ScriptedOpenai};
use serde_json::Value;

use crate::{
    place::{Place, Said, ended, signal},
    scripts::{Served, ask, found, script, until},
};

const PROVIDER: &str = "sk-canary-provider-0123456789abcdef";
const OTHER: &str = "canary-other-0123456789";
const OWN: &str = "canary-own-0123456789";

/// A script that is careless with its secrets: it writes them down, answers with them and fails with them. A copy of
/// its token is kept where only the test looks.
const CARELESS: &str = r#"
input=$(cat)
env
echo "$MY_SECRET and $OPENAI_API_KEY"
echo "$MY_SECRET and $OPENAI_API_KEY" >&2
printf '%s\n' "$OPENAI_API_KEY" >>../tokens
case "$input" in
  *answer*) printf '{"said":["%s"],"%s":"%s"}\n' "$OPENAI_API_KEY" "$MY_SECRET" "x $MY_SECRET" ;;
  *tell*) printf '{"error":{"category":"invalid_input","message":"%s %s"}}\n' "$OPENAI_API_KEY" "$MY_SECRET"; exit 1 ;;
  *odd*) printf '{"wrong":"%s"}\n' "$MY_SECRET" ;;
  *) echo "no $MY_SECRET $OPENAI_API_KEY" >&2; exit 3 ;;
esac"#;
const CARELESS_POOL: &str = r#"
env
echo '{"workers":["pooled"]}'
while read -r line; do
  lease=$(printf '%s' "$line" | sed -n 's/.*"lease_token":"\([^"]*\)".*/\1/p')
  token=$(printf '%s' "$line" | sed -n 's/.*"gateway_token":"\([^"]*\)".*/\1/p')
  printf '%s\n' "$token" >>../tokens
  echo "$line $MY_SECRET" >&2
  printf '{"tasks":[{"lease_token":"%s","progress":0.5,"message":"%s %s"}]}\n' "$lease" "$MY_SECRET" "$token"
  case "$line" in
    *answer*) printf '{"lease_token":"%s","outcome":"succeed","output":{"said":"%s %s"}}\n' "$lease" "$MY_SECRET" "$token" ;;
    *) printf '{"lease_token":"%s","outcome":"fail","error":{"category":"invalid_input","message":"%s %s"}}\n' "$lease" "$MY_SECRET" "$token" ;;
  esac
done"#;
const DAEMON: &str = "env\nprintf '%s\\n' \"$OPENAI_API_KEY\" >>../tokens\necho $MY_SECRET; echo $MY_SECRET >&2\nwhile read -r line; do :; done";

/// Returns the processes below one, by their ids.
fn below(pid: u32) -> BTreeSet<u32> {
    let names = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let parents: Vec<(u32, u32)> = names
        .filter_map(|name| {
            let stat = fs::read_to_string(format!("/proc/{name}/stat")).ok()?;
            let parent = stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()?;
            Some((name.parse().ok()?, parent))
        })
        .collect();
    let mut found = BTreeSet::from([pid]);
    loop {
        let more: Vec<u32> = parents
            .iter()
            .filter(|(pid, parent)| found.contains(parent) && !found.contains(pid))
            .map(|(p, _)| *p)
            .collect();
        if more.is_empty() {
            found.remove(&pid);
            return found;
        }
        found.extend(more);
    }
}

/// Returns every file below a folder, with its bytes.
fn files(folder: &Path, all: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, all);
        } else if let Ok(bytes) = fs::read(&path) {
            all.push((path.display().to_string(), bytes));
        }
    }
}

fn holds(bytes: &[u8], canary: &str) -> bool {
    bytes.windows(canary.len()).any(|window| window == canary.as_bytes())
}

/// Returns every answer that needs no id, and those about each task and script.
fn answers(place: &Place, token: &str, tasks: &[String]) -> Vec<(String, Vec<u8>)> {
    let said = ask(place, ("GET", "/openapi.json"), "", "").1;
    let description: Value = serde_json::from_str(said.split_once("\r\n\r\n").unwrap().1).unwrap();
    let paths = description["paths"].as_object().unwrap();
    let endless = |path: &str| path.ends_with("/events") || path.ends_with("/ws");
    let plain = paths.iter().filter(|(path, of)| !of["get"].is_null() && !path.contains('{') && !endless(path));
    let mut wanted: Vec<String> = plain.map(|(path, _)| path.clone()).collect();
    assert!(wanted.len() > 20, "{wanted:?}");
    wanted.push("/api/v1/tasks?limit=1000".to_owned());
    wanted.extend(tasks.iter().map(|task| format!("/api/v1/tasks/{task}")));
    for name in ["careless", "pooled", "stays"] {
        wanted.push(format!("/workers/logs/{}?tail=1000", found(place, name)["id"].as_str().unwrap()));
        wanted.push(format!("/api/v1/workers/{name}"));
    }
    let answer = |path: String| {
        let said = ask(place, ("GET", &path), token, "").1.into_bytes();
        (path, said)
    };
    wanted.into_iter().map(answer).collect()
}

/// Runs the careless scripts in every way, and a prompt worker whose provider repeats the key that it refuses.
fn play(place: &Place) -> Vec<String> {
    let mut tasks = Vec::new();
    for (worker, how) in [
        ("careless", "answer"),
        ("careless", "fail"),
        ("careless", "tell"),
        ("careless", "odd"),
        ("pooled", "answer"),
        ("pooled", "fail"),
        ("summarizer", "It leaks."),
    ] {
        let field = if worker == "summarizer" { "text" } else { "how" };
        let arguments = ["submit", worker, "--wait", "--retries", "1", "--json", "--input"];
        let said: Said = place.kapelle(&[arguments.as_slice(), &[&format!("{field}={how}")]].concat());
        assert!([0, 1, 2, 69].contains(&said.code), "{worker} {how}: {said:?}");
        let told = said.json();
        tasks.push(told["id"].as_str().unwrap_or_else(|| panic!("{told}")).to_owned());
    }
    tasks
}

#[test]
fn planted_secrets_are_nowhere_afterwards() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    // It refuses every key, and repeats it.
    let script_of_double = Script::from_yaml("key: sk-another\n").unwrap();
    let double = runtime.block_on(ScriptedOpenai::start(script_of_double)).unwrap();
    let place = Place::new();
    place.file(
        "kapelle.yaml",
        "providers:\n  openai: { kind: openai, base_url_env: OPENAI_BASE_URL, api_key_env: OPENAI_API_KEY }\n  \
         other: { kind: openai, base_url_env: OTHER_URL, api_key_env: OTHER_KEY }\n  offline: { kind: offline }\n\
         models: { fast: { chain: [openai/gpt-4o-mini, other/gpt-4o-mini, offline] } }\n",
    );
    let settings = format!("environment: {{ MY_SECRET: {OWN}, OPENAI_API_KEY: null, OTHER_KEY: null }}");
    let output = "output: { type: object, properties: { wrong: { type: integer } } }";
    script(&place, "careless", &format!("mode: task\n{output}\n{settings}"), CARELESS);
    script(&place, "pooled", &format!("mode: pool\nready: message\n{settings}"), CARELESS_POOL);
    script(&place, "stays", &format!("mode: daemon\n{settings}"), DAEMON);
    let errors = fs::File::create(place.path("errors")).unwrap();
    let mut command = place.command(&["serve", "-v", "--listen", "127.0.0.1:0"]);
    command.env("OPENAI_API_KEY", PROVIDER).env("OTHER_KEY", OTHER);
    command.env("OPENAI_BASE_URL", double.base_url()).env("OTHER_URL", double.base_url());
    let mut served = Served::of(command.stdout(Stdio::piped()).stderr(errors).spawn().unwrap());
    let token = fs::read_to_string(place.path(".kapelle/token")).unwrap().trim().to_owned();
    until(|| found(&place, "stays")["processes"][0]["pid"].as_i64());
    until(|| found(&place, "pooled")["processes"][0]["pid"].as_i64());
    let tasks = play(&place);
    assert!(double.calls().len() >= 2, "both providers were asked");

    let given = fs::read_to_string(place.path("tokens")).unwrap();
    let tokens: BTreeSet<&str> = given.lines().filter(|line| !line.is_empty()).collect();
    assert!(tokens.len() >= 8 && tokens.iter().all(|token| token.starts_with("sk-kapelle-")), "{tokens:?}");
    let planted: Vec<&str> = [PROVIDER, OTHER, OWN].into_iter().chain(tokens.iter().copied()).collect();
    let sweep = |what: &str, all: &[(String, Vec<u8>)]| {
        for (name, bytes) in all {
            for canary in &planted {
                assert!(!holds(bytes, canary), "{what} {name} holds {canary}");
            }
        }
    };
    let said = answers(&place, &token, &tasks);
    assert!(said.iter().any(|(_, bytes)| holds(bytes, "[redacted]")), "what was taken out shows");
    sweep("the answer of", &said);
    let mut kept = Vec::new();
    files(&place.path(".kapelle"), &mut kept);
    assert!(kept.iter().any(|(name, bytes)| name.ends_with("kapelle.db-wal") && !bytes.is_empty()));
    sweep("the file", &kept);

    // Each child has its own token, and none has a key of a provider or the token of the folder.
    let children = below(served.0.id());
    assert!(children.len() >= 3, "{children:?}");
    let mut seen = 0;
    for pid in &children {
        let of = |what: &str| fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
        let (environment, line) = (of("environ"), of("cmdline"));
        seen += usize::from(holds(&environment, OWN));
        for canary in [PROVIDER, OTHER, token.as_str()] {
            assert!(!holds(&environment, canary), "process {pid} was given {canary}");
        }
        for canary in planted.iter().copied().chain([token.as_str()]) {
            assert!(!holds(&line, canary), "the command line of process {pid} holds {canary}");
        }
    }
    assert!(seen >= 2, "the environment of scripts can be looked at");

    signal(&served.0, "-TERM");
    assert_eq!(ended(&mut served.0), Some(143));
    let mut kept = vec![("errors".to_owned(), fs::read(place.path("errors")).unwrap())];
    files(&place.path(".kapelle"), &mut kept);
    sweep("the file", &kept);
    // The session log records the failures without the secrets.
    let log = fs::read_to_string(place.path(".kapelle/session.log")).unwrap();
    assert!(log.contains("[redacted]") && log.contains("worker_stopped"), "{log}");
}
