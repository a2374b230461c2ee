//! Prepaid calls, and servers that end without a word.

use std::{fs, path::PathBuf};

use kapelle_api::Client;
use serde_json::{Value, json};

use crate::money::{Served, Stage, states, sum};

/// Bytes of a line of the prepaid journal.
const LINE: usize = 512;

/// Makes two calls of one payer after which money is prepaid for it, one prepaid call that is answered, and one that is
/// not.
fn fourth_in_flight() -> (Stage, Served) {
    let stage = Stage::new("[{ contains: fourth, times: 1, hang: true }, { reply: well }]");
    let served = stage.serve();
    for text in ["first", "second", "third"] {
        stage.post(&served.client, "/v1/chat/completions", ask(text));
    }
    let token = fs::read_to_string(stage.place.path(".kapelle/token")).unwrap();
    let other = Client::new(&served.base, token.trim()).unwrap();
    stage.runtime.spawn(async move { other.post::<Value>("/v1/chat/completions", &ask("fourth")).await });
    stage.asked(4);
    (stage, served)
}

fn ask(text: &str) -> Value {
    json!({ "model": "fast", "messages": [{ "role": "user", "content": text }] })
}

fn file(stage: &Stage) -> PathBuf {
    stage.place.path(".kapelle/calls.taken")
}

/// Pretends that the machine was restarted too.
fn other_start(stage: &Stage) {
    let mut bytes = fs::read(file(stage)).unwrap();
    let head = String::from_utf8(bytes[..LINE].to_vec()).unwrap();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let other = head.replace(boot.trim(), "00000000-0000-0000-0000-000000000000");
    assert_ne!(other, head);
    bytes[..LINE].copy_from_slice(other.as_bytes());
    fs::write(file(stage), bytes).unwrap();
}

/// Returns what the tenant has spent, as its account says.
fn spent(stage: &Stage) -> u64 {
    let said = stage.place.kapelle(&["cost", "--by", "day", "--json"]).json();
    said["rows"][0]["cost_nanousd"].as_u64().unwrap_or_else(|| panic!("{said}"))
}

#[test]
fn a_call_in_flight_on_a_block_at_a_kill_is_charged_as_itself_and_no_other_is() {
    let (stage, served) = fourth_in_flight();
    served.kill();
    let taken = fs::read(file(&stage)).unwrap();
    let served = stage.serve();
    let calls = stage.calls();
    let mut told = states(&calls);
    told.sort_unstable();
    assert_eq!(told, ["charged", "charged", "charged", "unknown"], "{calls:?}");
    let lost = calls.iter().find(|call| call["state"] == "unknown").unwrap();
    let line = |line: &[u8]| serde_json::from_slice::<Value>(line).unwrap()["id"].to_string();
    let taken: Vec<String> = taken[LINE..].chunks(LINE).map(line).collect();
    let id = lost["id"].as_str().unwrap().trim_start_matches("call_");
    assert!(taken.iter().any(|taken| taken == id), "it was sent on a block: {id}, {taken:?}");
    let one = calls.iter().find(|call| call["state"] == "charged").unwrap();
    assert_eq!((&lost["provider"], &lost["model"]), (&one["provider"], &one["model"]));
    assert_eq!(lost["cost_nanousd"], lost["reserved_nanousd"]);
    assert_eq!(spent(&stage), sum(&calls));
    stage.post(&served.client, "/v1/chat/completions", ask("fifth"));
    assert_eq!(stage.calls().len(), 5);
}

#[test]
fn after_a_power_cut_every_block_that_was_out_is_charged() {
    let (stage, served) = fourth_in_flight();
    served.kill();
    other_start(&stage);
    let _served = stage.serve();
    let calls = stage.calls();
    let lost: Vec<&Value> = calls.iter().filter(|call| call["state"] == "unknown").collect();
    let worst = calls[0]["reserved_nanousd"].as_u64().unwrap();
    // The amount that was taken, if its row was not there yet, and the one for the call after it.
    assert!(!lost.is_empty() && lost.len() <= 2, "{calls:?}");
    assert!(lost.iter().any(|call| call["model"] == "unknown"), "{lost:?}");
    let charged: u64 = lost.iter().map(|call| call["cost_nanousd"].as_u64().unwrap()).sum();
    assert!(charged >= worst, "{charged} for a call that may cost {worst}");
    assert_eq!(spent(&stage), sum(&calls));
}

#[test]
fn a_server_that_ends_in_good_order_leaves_no_block() {
    let stage = Stage::new("[{ reply: well }]");
    let served = stage.serve();
    for text in ["first", "second", "third"] {
        stage.post(&served.client, "/v1/chat/completions", ask(text));
    }
    served.end();
    other_start(&stage);
    let _served = stage.serve();
    let calls = stage.calls();
    assert_eq!(states(&calls), ["charged"; 3], "{calls:?}");
}
