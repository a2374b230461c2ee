//! The committed description of the interface, from which the console's types are made.

use serde::Serialize as _;
use serde_json::{Value, ser::PrettyFormatter};

use crate::place::Place;

/// The committed file.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ui/openapi.json");
/// Set to write the file instead of comparing it.
const WRITE: &str = "KAPELLE_WRITE_OPENAPI";

#[tokio::test(flavor = "multi_thread")]
async fn the_committed_description_is_that_of_the_table() {
    let place = Place::new().await;
    let described: Value = place.get("/openapi.json").await.json(200);
    let mut text = Vec::new();
    let mut writer = serde_json::Serializer::with_formatter(&mut text, PrettyFormatter::with_indent(b" "));
    described.serialize(&mut writer).unwrap();
    text.push(b'\n');
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(FILE, &text).unwrap();
    }
    let committed = std::fs::read(FILE).unwrap();
    let same = committed == text;
    assert!(same, "ui/openapi.json is not that of the route table: run this test with {WRITE}=1, then `make ui`");
}
