//! The command line: `--seeds 0..20000 --jobs 2`, `--seed 7 --verbose`, `--mutant NoFence`, `--keep`.

use std::{io::Write as _, ops::Range, process::ExitCode};

use anyhow::{Context as _, bail};
use kapelle_core::mutant::{Mutant, plant};

use crate::seeds::{Study, hunt, kept, one};

const USAGE: &str = "[--seed N | --seeds A..B] [--mutant NAME] [--jobs N] [--verbose] [--list] [--keep]";

/// Options of the command line.
struct Wanted {
    seeds: Range<u64>,
    mutant: Option<Mutant>,
    jobs: usize,
    /// Whether the events of the one seed are printed.
    verbose: bool,
    /// Whether it continues after a failure, and prints each in a line.
    list: bool,
    /// Whether a seed that failed is kept.
    keep: bool,
}

fn read(mut words: impl Iterator<Item = String>, seeds: Range<u64>) -> anyhow::Result<Wanted> {
    let mut wanted = Wanted { seeds, mutant: None, jobs: 2, verbose: false, list: false, keep: false };
    while let Some(word) = words.next() {
        let mut value = || words.next().with_context(|| format!("`{word}` needs a value\n{USAGE}"));
        match word.as_str() {
            "--seed" => {
                let seed: u64 = value()?.parse().context("--seed takes a number")?;
                wanted.seeds = seed..seed + 1;
            }
            "--seeds" => {
                let text = value()?;
                let (from, to) = text.split_once("..").context("--seeds takes A..B")?;
                wanted.seeds = from.parse().context("--seeds takes A..B")?..to.parse().context("--seeds takes A..B")?;
            }
            "--mutant" => {
                let name = value()?;
                let found = Mutant::ALL.into_iter().find(|mutant| format!("{mutant:?}") == name);
                wanted.mutant = Some(found.with_context(|| format!("unknown bug `{name}`; known: {:?}", Mutant::ALL))?);
            }
            "--jobs" => wanted.jobs = value()?.parse().context("--jobs takes a number")?,
            "--verbose" => wanted.verbose = true,
            "--list" => wanted.list = true,
            "--keep" => wanted.keep = true,
            other => bail!("`{other}` is not known\n{USAGE}"),
        }
    }
    Ok(wanted)
}

/// Runs the command line.
///
/// # Errors
/// When an option is unknown, or output fails.
pub fn main<S: Study>() -> anyhow::Result<ExitCode> {
    let wanted = read(std::env::args().skip(1), 0..S::SEEDS)?;
    let mut out = std::io::stdout();
    plant(wanted.mutant);
    // A panic is reported as a failure, with its seed.
    std::panic::set_hook(Box::new(|_| ()));
    if wanted.list {
        for failure in wanted.seeds.filter_map(|seed| one::<S>(seed, false).err()) {
            writeln!(out, "{}: {}", failure.seed, failure.line())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let count = wanted.seeds.end.saturating_sub(wanted.seeds.start);
    let outcome = if count == 1 {
        one::<S>(wanted.seeds.start, wanted.verbose)
    } else {
        let first = kept::<S>().into_iter().find_map(|seed| one::<S>(seed, false).err());
        first.map_or_else(|| hunt::<S>(wanted.seeds, wanted.jobs), Err)
    };
    match outcome {
        Ok(tally) => {
            writeln!(out, "{count} seeds, nothing wrong: {tally:?}")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => {
            writeln!(out, "{}", S::explain(&failure))?;
            if wanted.keep && !kept::<S>().contains(&failure.seed) {
                let mut file = std::fs::OpenOptions::new().append(true).open(S::KEPT_IN)?;
                writeln!(file, "{} # {}", failure.seed, failure.line())?;
            }
            Ok(ExitCode::FAILURE)
        }
    }
}
