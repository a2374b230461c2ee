//! Lives through seeds: `kapelle-sim --seeds 0..20000 --jobs 2`, `--seed 7 --verbose`, `--mutant NoFence`.

use std::{io::Write as _, ops::Range, process::ExitCode};

use anyhow::{Context as _, bail};
use kapelle_core::mutant::{Mutant, plant};
use kapelle_sim::{KEPT, hunt, kept, live};

/// What was asked for.
struct Wanted {
    seeds: Range<u64>,
    mutant: Option<Mutant>,
    jobs: usize,
    verbose: bool,
    keep: bool,
}

const USAGE: &str = "kapelle-sim [--seed N | --seeds A..B] [--mutant NAME] [--jobs N] [--verbose] [--keep]";

fn read(mut words: impl Iterator<Item = String>) -> anyhow::Result<Wanted> {
    let mut wanted = Wanted { seeds: 0..2_000, mutant: None, jobs: 2, verbose: false, keep: false };
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
                wanted.mutant = Some(found.with_context(|| format!("no bug is called `{name}`: {:?}", Mutant::ALL))?);
            }
            "--jobs" => wanted.jobs = value()?.parse().context("--jobs takes a number")?,
            "--verbose" => wanted.verbose = true,
            "--keep" => wanted.keep = true,
            other => bail!("`{other}` is not known\n{USAGE}"),
        }
    }
    Ok(wanted)
}

fn main() -> anyhow::Result<ExitCode> {
    let wanted = read(std::env::args().skip(1))?;
    let mut out = std::io::stdout();
    plant(wanted.mutant);
    // A panic is told as a broken law, with its seed.
    std::panic::set_hook(Box::new(|_| ()));
    let single = wanted.seeds.end - wanted.seeds.start == 1;
    let outcome = if single {
        live(wanted.seeds.start, wanted.verbose)
    } else {
        let first = kept().into_iter().find_map(|seed| live(seed, false).err());
        first.map_or_else(|| hunt(wanted.seeds.clone(), wanted.jobs), Err)
    };
    match outcome {
        Ok(story) => {
            writeln!(out, "{} seeds broke no law: {story:?}", wanted.seeds.end - wanted.seeds.start)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => {
            writeln!(out, "{failure}")?;
            if wanted.keep && !kept().contains(&failure.seed) {
                let law = failure.law.lines().next().unwrap_or_default();
                let mut file = std::fs::OpenOptions::new().append(true).open(KEPT)?;
                writeln!(file, "{} # {law}", failure.seed)?;
            }
            Ok(ExitCode::FAILURE)
        }
    }
}
