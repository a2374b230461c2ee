//! A cloned project never sends a key of the user elsewhere without the user's consent.

use kapelle_testkit::scripted_openai::{Script, ScriptedOpenai};
use tokio::runtime::Runtime;

use crate::place::{Place, Said};

const KEY: &str = "sk-VICTIM-0123456789";
const MINE: (&str, &str) = ("OPENAI_API_KEY", KEY);
const ASKS: &str = "\
name: asks
defaults: { retry: { max_attempts: 1 } }
steps: { one: { worker: asks, with: { text: hi } } }
outputs: { text: '${{ steps.one.output }}' }
";

struct Stage {
    place: Place,
    double: ScriptedOpenai,
    base: String,
    _runtime: Runtime,
}

impl Stage {
    fn new() -> Stage {
        let runtime = Runtime::new().unwrap();
        let script = Script::from_yaml(&format!("key: {KEY}\nrules: [{{ reply: 'Fine.' }}]\n")).unwrap();
        let double = runtime.block_on(ScriptedOpenai::start(script)).unwrap();
        let place = Place::new();
        place.file("asks.yaml", ASKS);
        place.file(
            "workers/asks.yaml",
            "kind: prompt\nname: asks\nmodel: fast\nfallback: false\nprompt: '{{ text }}'\n",
        );
        let base = double.base_url();
        Stage { place, double, base, _runtime: runtime }
    }

    fn project(&self, provider: &str) {
        let provider = provider.replace("AT", &self.base);
        self.place.file("kapelle.yaml", format!("providers:\n  openai: {{ {provider} }}\n"));
    }

    fn run(&self, env: &[(&str, &str)]) -> Said {
        self.place.with(env, &["run", "asks.yaml"])
    }

    fn sent(&self) -> usize {
        self.double.calls().len()
    }
}

#[test]
fn a_project_that_moves_a_known_key_is_refused_until_the_user_agrees() {
    let stage = Stage::new();
    let place = &stage.place;
    stage.project("kind: openai, base_url: 'AT', api_key_env: OPENAI_API_KEY");
    let parts = ["OPENAI_API_KEY", stage.base.as_str(), "kapelle config trust"];
    stage.run(&[MINE]).refused(2, &parts);
    place.with(&[MINE], &["serve", "--listen", "127.0.0.1:0"]).refused(2, &parts);
    place.with(&[MINE], &["submit", "asks", "--input", "text=x", "--wait"]).refused(2, &parts);
    assert_eq!(stage.sent(), 0);
    let doctor = place.with(&[MINE], &["doctor"]).out;
    let line = doctor.lines().find(|line| line.contains("OPENAI_API_KEY -> ")).unwrap();
    assert!(line.contains("fail") && line.contains(&stage.base), "{doctor}");
    let shown = place.with(&[MINE], &["config", "show", "--origin"]).out;
    assert!(shown.contains("the project, not trusted"), "{shown}");
    assert_eq!(stage.run(&[]).code, 1, "without a key nothing is sent, and nothing is asked");

    let agreed = place.with(&[MINE], &["config", "trust"]);
    assert!(agreed.code == 0 && agreed.out.contains(&stage.base), "{agreed:?}");
    assert_eq!(stage.run(&[MINE]).code, 0);
    assert_eq!(stage.sent(), 1);
    let shown = place.with(&[MINE], &["config", "show", "--origin"]).out;
    assert!(shown.contains("the project, trusted") && !shown.contains(KEY), "{shown}");
    // Another setting changes nothing; another address does.
    place.file("kapelle.yaml", std::fs::read_to_string(place.path("kapelle.yaml")).unwrap() + "ageing: 5s\n");
    assert_eq!(stage.run(&[MINE]).code, 0);
    stage.project("kind: openai, base_url: 'AT/other', api_key_env: OPENAI_API_KEY");
    stage.run(&[MINE]).refused(2, &["kapelle config trust"]);
    stage.project("kind: openai, base_url: 'AT', api_key_env: OPENAI_API_KEY");
    assert_eq!(place.with(&[MINE], &["config", "trust", "--revoke"]).code, 0);
    stage.run(&[MINE]).refused(2, &["kapelle config trust"]);
}

#[test]
fn every_way_in_which_a_project_says_an_address_counts() {
    let stage = Stage::new();
    let base = stage.base.clone();
    let openai = "kind: openai, base_url_env: OPENAI_BASE_URL, api_key_env: OPENAI_API_KEY";
    for (provider, dotenv) in [
        (openai, format!("OPENAI_BASE_URL={base}\n")),
        ("kind: openai, base_url_env: ELSEWHERE, api_key_env: OPENAI_API_KEY", format!("ELSEWHERE={base}\n")),
        ("kind: compatible, base_url: 'AT', api_key_env: OPENAI_API_KEY", String::new()),
        ("kind: azure, base_url: 'AT', api_key_env: OPENAI_API_KEY", String::new()),
        ("kind: anthropic, base_url: 'AT', api_key_env: OPENAI_API_KEY", String::new()),
        ("kind: azure, resource: 'evil.example/', api_key_env: OPENAI_API_KEY", String::new()),
    ] {
        stage.project(provider);
        stage.place.file(".env", &dotenv);
        stage.run(&[MINE]).refused(2, &["OPENAI_API_KEY -> http", "kapelle config trust"]);
    }
    stage.place.file(
        "kapelle.yaml",
        "providers:\n  openai: { kind: openai, base_url: 'https://api.openai.com/v1', api_key_env: OPENAI_API_KEY }\n",
    );
    stage.place.file(".env", format!("KAPELLE_PROVIDERS__OPENAI__BASE_URL={base}\n"));
    stage.run(&[MINE]).refused(2, &["OPENAI_API_KEY -> http"]);
    // A file of the user that the project names counts as a key of the user, too.
    stage.place.file(".env", "");
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("key"), KEY).unwrap();
    stage.project(&format!(
        "kind: compatible, base_url: 'AT', api_key_file: '{}'",
        outside.path().join("key").display()
    ));
    stage.run(&[]).refused(2, &["kapelle config trust"]);
    assert_eq!(stage.sent(), 0);
    // A project's `.env` cannot replace the user's configuration, nor agree for the user.
    stage.place.file(
        "evil/kapelle/kapelle.yaml",
        format!("providers:\n  openai: {{ kind: openai, base_url: '{base}', api_key_env: OPENAI_API_KEY }}\n"),
    );
    stage.place.file(".env", "XDG_CONFIG_HOME=evil\n");
    stage.place.file("kapelle.yaml", "");
    let shown = stage.place.with(&[MINE], &["config", "show"]).out;
    assert!(!shown.contains(&base), "{shown}");
}

#[test]
fn what_is_the_users_own_or_the_projects_own_needs_no_word() {
    let stage = Stage::new();
    let base = stage.base.clone();
    let own = format!("OPENAI_API_KEY={KEY}\n");
    stage.place.file("inside.key", KEY);
    for (provider, dotenv, env) in [
        ("kind: openai, base_url: 'AT', api_key_env: OPENAI_API_KEY", own.as_str(), vec![]),
        (
            "kind: openai, base_url_env: OPENAI_BASE_URL, api_key_env: OPENAI_API_KEY",
            "",
            vec![MINE, ("OPENAI_BASE_URL", base.as_str())],
        ),
        ("kind: compatible, base_url: 'AT', api_key_env: LOCAL_KEY", "", vec![("LOCAL_KEY", KEY)]),
        ("kind: compatible, base_url: 'AT', api_key_file: inside.key", "", vec![]),
    ] {
        stage.project(provider);
        stage.place.file(".env", dotenv);
        let said = stage.run(&env);
        assert_eq!(said.code, 0, "{provider}: {said:?}");
    }
    assert_eq!(stage.sent(), 4);
    // The user's own configuration file counts as consent.
    stage.place.file(".env", "");
    std::fs::remove_file(stage.place.path("kapelle.yaml")).unwrap();
    let user = format!("providers:\n  openai: {{ kind: openai, base_url: '{base}', api_key_env: OPENAI_API_KEY }}\n");
    stage.place.file(".config/kapelle/kapelle.yaml", user);
    assert_eq!(stage.run(&[MINE]).code, 0);
}

#[test]
fn plain_http_to_another_machine_needs_a_word() {
    let place = Place::new();
    let at = |more: &str| {
        let provider = format!("kind: compatible, base_url: 'http://llm.example.internal/v1'{more}");
        place.file("kapelle.yaml", format!("providers: {{ local: {{ {provider} }} }}\n"));
        place.kapelle(&["doctor"])
    };
    let refused = at("");
    assert!(refused.code == 1 && refused.out.contains("plain http to another machine"), "{refused:?}");
    let taken = at(", insecure: true, api_key_env: LOCAL_KEY");
    assert!(!taken.out.contains("plain http to another machine"), "{taken:?}");
    let said = place.with(&[("LOCAL_KEY", KEY)], &["doctor"]);
    let line = said.out.lines().find(|line| line.contains("LOCAL_KEY -> ")).unwrap();
    assert!(line.contains("warn") && said.out.contains("can be read on the way"), "{said:?}");
}
