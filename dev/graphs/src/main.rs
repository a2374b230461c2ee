//! Comparison of the engine with the reference: `kapelle-graphs --seeds 0..20000`, `--seed 7 --verbose`, `--mutant
//! JoinTwice`.

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    kapelle_hunt::main::<kapelle_graphs::Graphs>()
}
