use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Stdio},
};

use crate::place::{Place, TEXT, ended, signal, watched};

/// A server that was started by the verb.
pub struct Served {
    pub child: Child,
    pub address: String,
}

impl Served {
    pub fn start(place: &Place) -> Served {
        Served::start_at(place, "127.0.0.1:0")
    }

    pub fn start_at(place: &Place, address: &str) -> Served {
        Served::of(place.command(&["serve", "--listen", address]))
    }

    /// Starts a server with these variables.
    pub fn with(place: &Place, variables: &[(&str, &str)]) -> Served {
        let mut command = place.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.envs(variables.iter().copied());
        Served::of(command)
    }

    fn of(mut command: std::process::Command) -> Served {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let _watched = watched(&child);
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening=").unwrap().to_owned();
        Served { child, address }
    }

    pub fn end(mut self, with: &str) -> i32 {
        signal(&self.child, with);
        ended(&mut self.child).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_says_where_it_listens_keeps_the_token_out_of_its_log_and_ends_in_good_order() {
    let place = Place::new();
    let (mut child, mut lines) = place.started(&["serve", "--listen", "127.0.0.1:0"], "a token was made");
    signal(&child, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let token = std::fs::read_to_string(place.path(".kapelle/token")).unwrap();
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains(token.trim()), "a token is shown to a terminal alone");
    assert!(!place.path(".kapelle/address").exists());
    let served = Served::start(&place);
    let address = std::fs::read_to_string(place.path(".kapelle/address")).unwrap();
    assert_eq!(address, format!("http://{}\n{}\n", served.address, served.child.id()));
    assert_eq!(std::fs::read_to_string(place.path(".kapelle/token")).unwrap(), token);
    assert_eq!(served.end("-INT"), 130);
}

#[test]
fn what_keeps_it_from_starting_is_told() {
    let place = Place::new();
    place.kapelle(&["serve", "--listen", "nonsense"]).refused(2, &["`nonsense` is not an address"]);
    place.kapelle(&["serve", "--listen", "0.0.0.0:0"]).refused(2, &["other machines", "--insecure"]);
    let served = Served::start(&place);
    place.kapelle(&["serve", "--listen", "127.0.0.1:0"]).refused(5, &["in use by process"]);
    let other = Place::new();
    other
        .kapelle(&["serve", "--listen", &served.address])
        .refused(5, &["is taken: kapelle (process ", &served.child.id().to_string(), "--listen"]);
}

#[test]
fn verbs_ask_the_server_while_it_has_the_folder() {
    let place = Place::plain();
    let served = Served::start(&place);
    let said = place.kapelle(&["run", "plain.yaml", "--input", &format!("text={TEXT}"), "--json"]);
    assert_eq!((said.code, &said.json()["state"]), (0, &"succeeded".into()), "{said:?}");
    let said = place.kapelle(&["submit", "keywords", "--wait", "--input", &format!("text={TEXT}"), "--input", "max=1"]);
    assert_eq!((said.code, said.out.as_str()), (0, "{\n  \"keywords\": [\n    \"reading room\"\n  ]\n}\n"), "{said:?}");
    let said = place.kapelle(&["submit", "log", "--input", "message=a", "--delay", "1h", "--key", "k"]);
    let task = said.out.trim().to_owned();
    place.kapelle(&["submit", "log", "--input", "message=b", "--key", "k"]).refused(5, &["was already used"]);
    let said = place.kapelle(&["tasks", "cancel", &task]);
    assert_eq!((said.code, said.out.trim()), (0, format!("{task} is cancelled").as_str()), "{said:?}");
    place.kapelle(&["tasks", "cancel", &task]).refused(5, &["already"]);
    place.kapelle(&["tasks", "cancel", "task_999"]).refused(3, &["task_999"]);
    let said = place.kapelle(&["submit", "translator", "--wait", "--input", "text=a", "--input", "language=French"]);
    said.refused(69, &["translator needs a model"]);
    assert_eq!(served.end("-TERM"), 143);
    assert_eq!(place.kapelle(&["tasks", "show", &task, "--json"]).json()["state"], "cancelled");
}

#[test]
fn keys_are_made_listed_and_taken_back_and_the_trail_is_whole() {
    let place = Place::new();
    place.kapelle(&["keys", "list"]).refused(3, &["no data in"]);
    let served = Served::start(&place);
    let said = place.kapelle(&["keys", "create", "ci", "--role", "worker", "--json"]);
    let key = said.json()["id"].as_str().unwrap().to_owned();
    assert!(said.json()["secret"].as_str().unwrap().starts_with("kap_"));
    place.kapelle(&["keys", "create", "ci", "--role", "king"]).refused(2, &["role"]);
    assert!(place.kapelle(&["keys"]).out.contains(&key));
    assert_eq!(place.kapelle(&["keys", "revoke", &key]).code, 0);
    place.kapelle(&["keys", "revoke", "key_0"]).refused(3, &["key_0"]);
    let said = place.kapelle(&["audit", "verify", "--json"]);
    let head = said.json()["head"].as_str().unwrap().to_owned();
    assert_eq!((said.code, &said.json()["entries"]), (0, &2.into()));
    assert_eq!(place.kapelle(&["audit", "verify", "--expect", &head]).code, 0);
    place.kapelle(&["audit", "verify", "--expect", "9:00"]).refused(1, &["cut off"]);
    assert!(place.kapelle(&["audit"]).out.contains("key.revoke"));
    drop(served);
}

#[test]
fn a_host_works_on_the_tasks_of_a_server() {
    let place = Place::new();
    let served = Served::start(&place);
    place.file(
        "other/workers/shout.yaml",
        "kind: prompt\nname: shout\nqueue: far\noffline: keywords\nprompt: '{{ text }}'\n",
    );
    let key = place.kapelle(&["keys", "create", "far", "--role", "worker"]).out.trim().to_owned();
    let url = format!("http://{}", served.address);
    let mut command = place.command(&["host", "--server", &url, "--queue", "far", "--slots", "2"]);
    command.current_dir(place.path("other")).env("KAPELLE_TOKEN", &key);
    let mut host = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(host.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("works for") {
        line.clear();
        assert!(lines.read_line(&mut line).unwrap() > 0, "it ended before it had registered");
    }
    // Only the host has that worker.
    let workflow =
        "name: far\nsteps:\n  one: { worker: shout, queue: far, with: { text: 'The reading room needs light.' } }\n";
    place.file("far.yaml", workflow);
    let said = place.kapelle(&["run", "far.yaml", "--json"]);
    assert_eq!((said.code, &said.json()["state"]), (0, &"succeeded".into()), "{said:?}");
    place.kapelle(&["submit", "shuot"]).refused(3, &["did you mean `shout`?"]);
    signal(&host, "-TERM");
    assert_eq!(host.wait().unwrap().code(), Some(143));
    let wrong = place.with(&[("KAPELLE_TOKEN", "kap_wrong")], &["host", "--server", &url]);
    wrong.refused(4, &["unknown here"]);
}

#[test]
fn queues_workers_and_dead_letters_are_dealt_with_by_the_server() {
    let place = Place::new();
    let served = Served::start(&place);
    let said = place.kapelle(&["submit", "translator", "--wait", "--input", "text=a", "--input", "language=French"]);
    said.refused(69, &["needs a model"]);
    assert!(place.kapelle(&["dead"]).out.contains("task_1"));
    let said = place.kapelle(&["dead", "discard", "task_1", "--reason", "seen"]);
    assert_eq!((said.code, said.out.as_str()), (0, "task_1 is discarded\n"), "{said:?}");
    place.kapelle(&["dead", "retry", "task_1"]).refused(5, &["already discarded"]);
    let said = place.kapelle(&["queues", "pause", "default", "--reason", "later"]);
    assert_eq!((said.code, said.out.as_str()), (0, "queue default is paused\n"), "{said:?}");
    assert_eq!(place.kapelle(&["workers", "pause", "log"]).out, "worker log is paused\n");
    assert_eq!(place.kapelle(&["queues", "resume", "default"]).code, 0);
    let task = place.kapelle(&["submit", "log", "--input", "message=a"]).out.trim().to_owned();
    let said = place.kapelle(&["queues", "list"]);
    assert!(said.err.contains("worker `log` is paused") && said.out.contains("LISTENERS"), "{said:?}");
    assert_eq!(place.kapelle(&["tasks", "show", &task, "--json"]).json()["state"], "ready");
    assert_eq!(place.kapelle(&["workers", "resume", "log"]).out, "worker log is resumed\n");
    place.kapelle(&["queues", "pause", "no such"]).refused(2, &["is not a name"]);
    // Commands without a body send none.
    let said = place.kapelle(&["submit", "translator", "--wait", "--input", "text=b", "--input", "language=French"]);
    said.refused(69, &["needs a model"]);
    let failed = place.kapelle(&["dead", "list", "--json"]).json()["tasks"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(place.kapelle(&["dead", "retry", &failed]).code, 0);
    drop(served);
}
