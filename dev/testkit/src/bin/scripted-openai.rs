//! `scripted-openai [--port N] [SCRIPT.yaml]`: the double as a separate process. Prints `listening=ADDRESS`.

use std::{fs, io, process::ExitCode};

use kapelle_testkit::scripted_openai::{Script, ScriptedOpenai};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("scripted-openai: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> io::Result<()> {
    let mut port = 0;
    let mut script = Script::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--port" {
            let text = arguments.next().unwrap_or_default();
            port = text.parse().map_err(|_| io::Error::other(format!("--port {text}: not a port")))?;
        } else {
            let text = fs::read_to_string(&argument)?;
            script = Script::from_yaml(&text).map_err(|error| io::Error::other(format!("{argument}: {error}")))?;
        }
    }
    let server = ScriptedOpenai::start_at(script, port).await?;
    println!("listening={}", server.address());
    server.serve().await;
    Ok(())
}
