//! `cargo run --example offline -- FILE`: the results of the classical methods for a text.

use std::{env, error::Error, fs};

use kapelle_workers::offline::{Method, run};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = env::args().nth(1).ok_or("name a text file")?;
    let text = fs::read_to_string(file)?;
    let methods = [
        Method::Language,
        Method::Sentiment,
        Method::Keywords,
        Method::Summary,
        Method::Category,
        Method::Questions,
        Method::Analysis,
    ];
    for method in methods {
        match run(method, json!({ "text": text })).await {
            Ok(value) => println!("{method}: {}\n", serde_json::to_string_pretty(&value)?),
            Err(error) => println!("{method}: {error}\n"),
        }
    }
    Ok(())
}
