#![expect(
    clippy::disallowed_methods,
    reason = "processes are killed by the system's own `kill`, and no test waits for ever"
)]

use std::{
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    place::{Place, signal},
    serve::Served,
};

/// Time limit for every test here, on any machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The server itself runs no tasks, and a silent host is lost soon.
const NOTHING_HERE: &str = "\
lease: 2s
queues: { default: { slots: 0 }, ml: { slots: 0 }, openai: { slots: 0 } }
";

/// A process that is killed when the test ends.
struct Started(Child);

impl Started {
    fn host(place: &Place, more: &[&str]) -> Started {
        let arguments = [["host"].as_slice(), more].concat();
        Started(place.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn place() -> Place {
    let place = Place::new();
    place.file("kapelle.yaml", NOTHING_HERE);
    place
}

/// Returns the server's list of its hosts, once it satisfies `wanted`.
fn hosts(place: &Place, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let began = Instant::now();
    loop {
        let said = place.kapelle(&["top", "--json"]);
        assert_eq!(said.code, 0, "{said:?}");
        let hosts = said.json()["workers"]["hosts"].as_array().unwrap().clone();
        if wanted(&hosts) {
            return hosts;
        }
        assert!(began.elapsed() < PATIENCE, "{hosts:?}");
    }
}

fn alive(hosts: &[Value]) -> usize {
    hosts.iter().filter(|host| host["alive"] == true).count()
}

/// Writes a workflow of sleeps, `count` in each of these queues.
fn sleeps(place: &Place, queues: &[&str], count: usize, ms: u64) -> &'static str {
    let items: Vec<String> = (0..count).map(|item| item.to_string()).collect();
    let steps = queues.iter().map(|queue| {
        format!(
            "  {queue}s: {{ for_each: '${{{{ vars.items }}}}', max_parallel: {count}, worker: sleep, queue: {queue}, \
             with: {{ ms: {ms} }} }}\n"
        )
    });
    let text =
        format!("name: sleeps\nvars: {{ items: [{}] }}\nsteps:\n{}", items.join(", "), steps.collect::<String>());
    place.file("sleeps.yaml", text);
    "sleeps.yaml"
}

#[test]
fn three_hosts_share_the_load_of_one_queue() {
    let place = place();
    let _served = Served::start(&place);
    let _hosts: Vec<Started> = (0..3).map(|_| Started::host(&place, &["--slots", "4"])).collect();
    hosts(&place, |hosts| alive(hosts) == 3);
    let said = place.kapelle(&["run", sleeps(&place, &["default"], 60, 20), "--json"]);
    assert_eq!((said.code, &said.json()["state"]), (0, &"succeeded".into()), "{said:?}");
    let all = hosts(&place, |hosts| hosts.iter().map(|host| host["succeeded"].as_u64().unwrap()).sum::<u64>() >= 60);
    for host in &all {
        assert!(host["succeeded"].as_u64().unwrap() >= 12, "each takes a fifth at least: {all:?}");
    }
}

#[test]
fn one_process_for_each_queue_and_the_tasks_of_a_killed_one_move() {
    let place = place();
    let served = Served::start(&place);
    let mut command = place.command(&["host", "--each-queue", "--slots", "2"]);
    let mut each = Started(command.stderr(std::fs::File::create(place.path("each.log")).unwrap()).spawn().unwrap());
    let found = hosts(&place, |hosts| alive(hosts) == 3);
    let mut queues: Vec<&str> = found.iter().map(|host| host["queues"][0].as_str().unwrap()).collect();
    queues.sort_unstable();
    assert_eq!(queues, ["default", "ml", "openai"]);
    let said = place.kapelle(&["run", sleeps(&place, &["default", "ml", "openai"], 10, 10), "--json"]);
    assert_eq!(said.json()["state"], "succeeded", "{said:?}");
    let found = hosts(&place, |hosts| hosts.iter().all(|host| host["succeeded"].as_u64().unwrap() >= 10));
    assert!(found.iter().all(|host| host["succeeded"] == 10), "each took the tasks of its queue: {found:?}");

    // A process is killed at work: it is restarted, and a line reports that; its task goes to another attempt within 17
    // s.
    let task = place.kapelle(&["submit", "sleep", "--input", "ms=3000", "--queue", "ml"]).out.trim().to_owned();
    hosts(&place, |hosts| hosts.iter().any(|host| host["queues"][0] == "ml" && host["claimed"] == 11));
    let log = || std::fs::read_to_string(place.path("each.log")).unwrap();
    let first = log().lines().find_map(|line| line.strip_prefix("queue ml: process ").map(str::to_owned)).unwrap();
    signal_process(&first, "-KILL");
    let killed = Instant::now();
    let moved = loop {
        let shown = place.kapelle(&["tasks", "show", &task, "--json"]).json();
        if shown["attempt"] == 2 {
            break killed.elapsed();
        }
        assert!(killed.elapsed() < PATIENCE, "{shown}");
    };
    assert!(moved < Duration::from_secs(17), "{moved:?}");
    assert!(log().contains(&format!("the process {first} of queue ml ended by signal 9; next start in 1 s")));

    signal(&each.0, "-TERM");
    assert_eq!(each.0.wait().unwrap().code(), Some(143));
    hosts(&place, |hosts| alive(hosts) == 0);
    drop(served);
}

#[test]
fn a_parent_that_is_killed_leaves_no_host_behind() {
    let place = place();
    let _served = Served::start(&place);
    let each = Started::host(&place, &["--each-queue", "--slots", "1"]);
    hosts(&place, |hosts| alive(hosts) == 3);
    drop(each);
    // They drain and leave, long before their leases end.
    hosts(&place, |hosts| hosts.is_empty());
}

#[test]
fn a_host_all_of_whose_slots_are_taken_keeps_its_work_when_the_server_is_killed() {
    let place = place();
    let served = Served::start(&place);
    let address = served.address.clone();
    let _host = Started::host(&place, &["--slots", "1", "--server", &format!("http://{address}")]);
    hosts(&place, |hosts| alive(hosts) == 1);
    // Longer than two leases: without a heartbeat that registers again it would be given to another.
    let task = place.kapelle(&["submit", "sleep", "--input", "ms=6000"]).out.trim().to_owned();
    hosts(&place, |hosts| hosts.iter().any(|host| host["claimed"] == 1));
    drop(served);
    let _again = Served::start_at(&place, &address);
    hosts(&place, |hosts| hosts.iter().any(|host| host["succeeded"] == 1));
    let shown = place.kapelle(&["tasks", "show", &task, "--json"]).json();
    assert_eq!((&shown["state"], &shown["attempt"]), (&"succeeded".into(), &1.into()), "{shown}");
}

#[test]
fn what_a_host_cannot_do_is_told() {
    let place = place();
    place.kapelle(&["host"]).refused(69, &["no server"]);
    place.kapelle(&["host", "--label", "a b"]).refused(2, &["`a b` is not a label"]);
    place.kapelle(&["host", "--each-queue", "--queue", "ml"]).refused(2, &["--queue"]);
    let served = Served::start(&place);
    let url = format!("http://{}", served.address);
    let arguments = ["host", "--each-queue", "--slots", "1", "--server", &url];
    place.with(&[("KAPELLE_TOKEN", "kap_wrong")], &arguments).refused(4, &["exit code 4"]);
}

#[test]
fn a_task_that_requires_a_label_waits_for_a_host_that_has_it() {
    let place = place();
    let _served = Served::start(&place);
    let _plain = Started::host(&place, &["--name", "plain"]);
    hosts(&place, |hosts| alive(hosts) == 1);
    let task = place.kapelle(&["submit", "sleep", "--input", "ms=0", "--require", "gpu"]).out.trim().to_owned();
    let said = place.kapelle(&["queues", "list"]);
    assert!(said.err.contains("have the labels that it requires: `gpu`"), "{said:?}");
    let _gpu = Started::host(&place, &["--name", "big", "--label", "gpu"]);
    let done = hosts(&place, |hosts| hosts.iter().any(|host| host["succeeded"] == 1));
    let of = |name: &str| done.iter().find(|host| host["name"] == name).unwrap()["succeeded"].clone();
    assert_eq!((of("big"), of("plain")), (1.into(), 0.into()));
    assert_eq!(place.kapelle(&["tasks", "show", &task, "--json"]).json()["state"], "succeeded");
}

/// Sends a signal to a process by its id.
fn signal_process(id: &str, signal: &str) {
    let number: u32 = id.parse().unwrap();
    assert!(std::process::Command::new("kill").args([signal, &number.to_string()]).status().unwrap().success());
}

#[test]
fn files_are_brought_to_the_host_that_needs_them() {
    let place = place();
    place.file("a.txt", "The reading room needs light.");
    let _served = Served::start(&place);
    let _host = Started::host(&place, &[]);
    hosts(&place, |hosts| alive(hosts) == 1);
    let said = place.kapelle(&["submit", "extract_text", "--input", "document=@a.txt", "--wait"]);
    assert!(said.code == 0 && said.out.contains("reading room"), "{said:?}");
    assert_eq!(std::fs::read_dir(place.path(".kapelle/host-files/blobs")).unwrap().count(), 1);
    let left = std::fs::read_dir(place.path(".kapelle/host-files")).unwrap().count();
    assert_eq!(left, 1, "nothing but the folder of whole files stays");
}
