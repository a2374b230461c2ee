#![expect(clippy::disallowed_methods, reason = "no test waits for ever")]

use std::{
    collections::BTreeMap,
    process::Stdio,
    time::{Duration, Instant},
};

use kapelle::{
    core::TenantId,
    store::{Page, Reader, SqliteReader, TaskFilter},
};
use serde_json::Value;

use crate::{place::Place, serve::Served};

const PATIENCE: Duration = Duration::from_secs(60);
const KILLS: usize = 4;
const ITEMS: usize = 3_000;

fn lines(place: &Place) -> Vec<Value> {
    let text = std::fs::read_to_string(place.path(".kapelle/session.log")).unwrap_or_default();
    // The last line may be incomplete while the log is being written.
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Kills the server in the middle of a fan-out, again and again: in the end every end of a task stands in the log once.
#[test]
fn lines_equal_events_also_after_kills() {
    let place = Place::new();
    let items: Vec<String> = (0..ITEMS).map(|item| item.to_string()).collect();
    let text = format!(
        "name: many\nvars: {{ items: [{}] }}\nsteps:\n  each: {{ for_each: '${{{{ vars.items }}}}', max_parallel: 200, \
         worker: log, with: {{ message: x }} }}\n",
        items.join(", ")
    );
    place.file("workflows/many.yaml", text);
    let mut served = Served::start(&place);
    // The client is cut off with the server; the run continues without it.
    let mut client = place.command(&["run", "workflows/many.yaml"]);
    let mut client = client.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    for kill in 1..=KILLS {
        let wanted = kill * ITEMS / (KILLS + 1);
        while lines(&place).len() < wanted {
            assert!(began.elapsed() < PATIENCE, "{} lines", lines(&place).len());
        }
        served.child.kill().unwrap();
        served.child.wait().unwrap();
        served = Served::start(&place);
    }
    client.wait().unwrap();
    while place.kapelle(&["status", "run_1", "--json"]).json()["state"] != "succeeded" {
        assert!(began.elapsed() < PATIENCE);
    }
    assert_eq!(served.end("-TERM"), 143);

    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    let found = lines(&place);
    for line in found.iter().filter(|line| line["event"] == "task_ended") {
        assert_eq!(line["outcome"], "succeeded", "{line}");
        *told.entry(line["task"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let reader = SqliteReader::open_read_only(&place.path(".kapelle")).unwrap();
    let filter = TaskFilter { steps: true, ..TaskFilter::default() };
    let (mut rows, mut before) = (0, None);
    loop {
        let page = reader.tasks(TenantId::DEFAULT, &filter, Page { before, most: 1_000 }).unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.id.0);
        rows += page.len();
        for task in &page {
            assert_eq!(told.get(&task.id.to_string()), Some(&1), "{}", task.id);
        }
    }
    assert_eq!((rows, told.len()), (ITEMS + 1, ITEMS + 1));
    let count = |event: &str| found.iter().filter(|line| line["event"] == event).count();
    assert_eq!((count("server_started"), count("server_stopped")), (KILLS + 1, 1));
}
