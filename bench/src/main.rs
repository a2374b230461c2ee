//! `kapelle-bench`: how fast it is, against the floors it must reach. `bench/README.md` says how to read it.

mod bed;
mod machine;
mod measure;
mod rows;
mod stopwatch;
mod table;

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;

use measure::Plan;

/// Measures Kapelle as a library: real SQLite, fsync on, workers that do nothing, all in this process.
#[derive(Debug, Parser)]
#[command(name = "kapelle-bench")]
struct Arguments {
    /// The rows to measure; all when none is named.
    #[arg(value_name = "ROW")]
    rows: Vec<String>,
    /// How often each is measured.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// A tenth of the work: to see that everything runs, not for figures.
    #[arg(long)]
    quick: bool,
    /// Where the databases are put. Must be a real disk.
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
    /// Calls through the gateway after which its memory is looked at; 50,000 when it is left out.
    #[arg(long)]
    calls: Option<usize>,
    /// Makes this process the one whose memory is measured, over that folder.
    #[arg(long, hide = true)]
    memory_of: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let plan =
        Plan { runs: arguments.runs.max(1), quick: arguments.quick, folder: arguments.folder, calls: arguments.calls };
    if let Some(folder) = arguments.memory_of {
        return runtime.block_on(rows::memory::child(&folder, &plan));
    }
    let rows = rows::chosen(&arguments.rows)?;
    std::fs::create_dir_all(&plan.folder).with_context(|| plan.folder.display().to_string())?;
    let machine = machine::Machine::look(&plan.folder)?;
    if !arguments.json {
        println!("{machine}");
    }
    let mut measures = Vec::new();
    for row in rows {
        let found = runtime.block_on((row.measure)(&plan)).with_context(|| format!("row `{}`", row.name))?;
        if !arguments.json {
            println!("{}", table::render(row.name, &found));
        }
        measures.extend(found);
    }
    if arguments.json {
        println!("{}", table::json(&machine, &measures));
    }
    Ok(())
}
