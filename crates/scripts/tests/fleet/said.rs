//! The output of scripts, and the secrets that it must not show.

use std::{fs, sync::Arc};

use serde_json::json;

use crate::place::*;

#[tokio::test(flavor = "multi_thread")]
async fn no_key_reaches_a_script_and_secrets_do_not_reach_the_log() {
    let mut place = Place::new("secrets");
    let body = "env | sort\necho key is $OPENAI_API_KEY\necho sk-aaaaaaaaaaaaaaaaaaaaaaaa\nprintf '\\033[31mred\\n'";
    let settings =
        "mode: daemon\nenvironment: { LEVEL: 3, OTHER_KEY: null, OPENAI_API_KEY: null, MY_SECRET: swordfish }";
    place.script("nosy", settings, body);
    let fleet = place.start().await;
    place.is("nosy", "finished").await;
    let said = place.lines("nosy").join("\n");
    for absent in ["canary", "OTHER_KEY", "OPENAI_API", "OPENAI_BASE", "swordfish", "sk-aaaa", "\u{1b}"] {
        assert!(!said.contains(absent), "{absent}: {said}");
    }
    for there in
        ["LEVEL=3", "KAPELLE_WORKER=nosy", "AI_MODEL=fast", "TRACEPARENT=00-", "MY_SECRET=[redacted]", "\\u{1b}[31mred"]
    {
        assert!(said.contains(there), "{there}: {said}");
    }
    let file = fs::read_to_string(fleet.log(&place.status("nosy").id).unwrap().path()).unwrap();
    assert!(file.contains("1/out LEVEL=3") && !file.contains("swordfish"), "{file}");
    end(&fleet).await;

    let mut place = Place::new("tokens");
    place.script(
        "daemon",
        "mode: daemon",
        &format!("echo at $OPENAI_BASE_URL\n[ $OPENAI_API_KEY = token-for-daemon ] && echo mine\n{LOOP}"),
    );
    place.script(
        "one",
        "mode: task",
        "cat >/dev/null\n[ $OPENAI_API_KEY = token-for-one-task_7-1 ] && echo '{\"mine\":true}'",
    );
    let purse = Arc::new(Purse::default());
    let fleet = place.start_with(Arc::clone(&purse) as _).await;
    place.says("daemon", "mine").await;
    assert_eq!(purse.0.lock().unwrap().values().collect::<Vec<_>>(), ["daemon"]);
    assert_eq!(place.ask("one", json!({})).await.unwrap().value, json!({ "mine": true }));
    // The token of the attempt was revoked with it, that of the process ends with the process.
    assert_eq!(purse.0.lock().unwrap().len(), 1);
    end(&fleet).await;
    assert!(purse.0.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_stays_within_its_log_and_disturbs_nobody() {
    let mut place = Place::new("flood");
    place.script("flood", "mode: daemon\nlimits: { log: 64KiB }", "exec yes a line of a flood");
    place.script("endless", "mode: daemon", &format!("head -c 3000000 /dev/zero >&2; echo >&2\n{LOOP}"));
    place.script("calm", "mode: task", "cat");
    let fleet = place.start().await;
    place.says("endless", "bytes cut]").await;
    let log = fleet.log(&place.status("flood").id).unwrap();
    until(|| log.tail(1).0.first().is_some_and(|line| line.number > 50_000)).await;
    assert_eq!(place.ask("calm", json!({ "a": 1 })).await.unwrap().value, json!({ "a": 1 }));
    end(&fleet).await;
    let of_flood = log.path().file_stem().unwrap().to_str().unwrap().to_owned();
    let files = fs::read_dir(place.folder.join("logs")).unwrap().flatten();
    let files = files.filter(|entry| entry.file_name().to_str().unwrap().starts_with(&of_flood));
    let size: u64 = files.map(|entry| entry.metadata().unwrap().len()).sum();
    assert!((16 << 10..=64 << 10).contains(&size), "{size}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_the_folder_and_keys_of_the_user_are_never_told() {
    let mut place = Place::new("curious");
    let token = format!("kap_{}", "0f1e2d3c4b5a6978".repeat(4));
    fs::write(place.folder.join("token"), format!("{token}\n")).unwrap();
    let look = format!("token=$(cat {}); other=kap_{}", place.folder.join("token").display(), "ab".repeat(32));
    let coded = "coded=$(printf 'user:%s' \"$token\" | base64 -w0); half=$(printf '%s' \"$token\" | cut -c1-40)";
    let rest = "rest=$(printf '%s' \"$token\" | cut -c41-)";
    let says = format!("read -r how; {look}; {coded}; {rest}; printf '%s\\n%s\\n' \"$half\" \"$rest\" >&2");
    let answers = "case $how in *fail*) echo \"$token $coded of-the-user-0123456789\" >&2; exit 3;; esac; \
                   printf '{\"a\":\"%s\",\"%s\":1,\"b\":\"%s\",\"c\":\"kap_ is how they begin\"}\\n' \
                   \"$token of-the-user-0123456789\" \"$other\" \"$coded\"";
    place.script("task", "mode: task", &format!("{says}; {answers}"));
    let reply = format!(
        r#"
{look}
while read -r line; do
  lease=$(printf '%s' "$line" | sed -n 's/.*"lease_token":"\([^"]*\)".*/\1/p')
  printf '{{"tasks":[{{"lease_token":"%s","progress":0.5,"message":"at %s"}}]}}\n' "$lease" "$token"
  printf '{{"lease_token":"%s","outcome":"succeed","output":["%s %s"]}}\n' "$lease" "$token" "$other"
done"#
    );
    place.script("pool", "mode: pool", &reply);
    let fleet = place.start_with(Arc::new(Purse::default())).await;
    let answer = place.ask("task", json!("x")).await.unwrap().value;
    assert_eq!(answer["a"], "[redacted] [redacted]", "{answer}");
    assert_eq!((&answer["[redacted]"], &answer["c"]), (&json!(1), &json!("kap_ is how they begin")), "{answer}");
    assert!(answer["b"].as_str().unwrap().contains("[redacted]"), "{answer}");
    assert_eq!(place.ask("pool", json!("x")).await.unwrap().value, json!(["[redacted] [redacted]"]));
    let error = place.ask("task", json!("fail")).await.unwrap_err();
    assert!(!error.message.contains("0f1e2d3c") && !error.message.contains("of-the-user"), "{error}");
    end(&fleet).await;
    for entry in fs::read_dir(place.folder.join("logs")).unwrap().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        assert!(!text.contains("0f1e2d3c4b5a"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_script_was_given_does_not_come_back_in_answers_and_errors() {
    let mut place = Place::new("careless");
    let settings = "environment: { MY_SECRET: swordfish }";
    let says = "read -r how; echo \"$MY_SECRET\" >&2; case $how in *fail*) exit 3;; esac";
    place.script(
        "task",
        &format!("mode: task\n{settings}"),
        &format!("{says}; echo \"{{\\\"a\\\":\\\"$MY_SECRET!\\\"}}\""),
    );
    let reply = r#"
while read -r line; do
  lease=$(printf '%s' "$line" | sed -n 's/.*"lease_token":"\([^"]*\)".*/\1/p')
  token=$(printf '%s' "$line" | sed -n 's/.*"gateway_token":"\([^"]*\)".*/\1/p')
  case "$line" in
    *fail*) printf '{"lease_token":"%s","outcome":"fail","error":{"category":"provider","message":"%s %s"}}\n' "$lease" "$MY_SECRET" "$token" ;;
    *) printf '{"lease_token":"%s","outcome":"succeed","output":["%s %s"]}\n' "$lease" "$MY_SECRET" "$token" ;;
  esac
done"#;
    place.script("pool", &format!("mode: pool\n{settings}"), reply);
    let fleet = place.start_with(Arc::new(Purse::default())).await;
    assert_eq!(place.ask("task", json!("x")).await.unwrap().value, json!({ "a": "[redacted]!" }));
    assert_eq!(place.ask("pool", json!("x")).await.unwrap().value, json!(["[redacted] [redacted]"]));
    for name in ["task", "pool"] {
        let error = place.ask(name, json!("fail")).await.unwrap_err();
        let hidden = !error.message.contains("swordfish") && !error.message.contains("token-for");
        assert!(hidden && error.message.contains("[redacted]"), "{error}");
    }
    end(&fleet).await;
}
