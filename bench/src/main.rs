//! `kapelle-bench`: speed against the required limits. `bench/README.md` explains the figures.

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

/// Measures Kapelle as a library: real SQLite, fsync on, no-op workers, all in this process.
#[derive(Debug, Parser)]
#[command(name = "kapelle-bench")]
struct Arguments {
    /// Rows to measure. Default: all.
    #[arg(value_name = "ROW")]
    rows: Vec<String>,
    /// Number of runs of each measure.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// A tenth of the work: to check that everything runs, not for figures.
    #[arg(long)]
    quick: bool,
    /// Folder for the databases. Must be on a real disk.
    #[arg(long, default_value = "target/bench")]
    folder: PathBuf,
    /// Calls through the gateway after which its memory is measured. Default: 50,000.
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
