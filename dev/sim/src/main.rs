//! Simulation of seeds: `kapelle-sim --seeds 0..20000 --jobs 2`, `--seed 7 --verbose`, `--mutant NoFence`.

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    kapelle_hunt::main::<kapelle_sim::Simulation>()
}
