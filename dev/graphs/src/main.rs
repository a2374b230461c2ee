//! Holds the engine against the reference: `kapelle-graphs --seeds 0..20000`, `--seed 7`, `--mutant JoinTwice`, `--keep`.

use std::{io::Write as _, ops::Range, process::ExitCode};

use anyhow::{Context as _, bail};
use kapelle_core::mutant::{Mutant, plant};
use kapelle_graphs::{KEPT, definition_of, hunt, kept, one};

const USAGE: &str = "kapelle-graphs [--seed N | --seeds A..B] [--mutant NAME] [--jobs N] [--show] [--list] [--keep]";

/// What was asked for.
struct Wanted {
    seeds: Range<u64>,
    mutant: Option<Mutant>,
    jobs: usize,
    show: bool,
    list: bool,
    keep: bool,
}

fn read(mut words: impl Iterator<Item = String>) -> anyhow::Result<Wanted> {
    let mut wanted = Wanted { seeds: 0..5_000, mutant: None, jobs: 2, show: false, list: false, keep: false };
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
            "--show" => wanted.show = true,
            "--list" => wanted.list = true,
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
    // A panic is told as a difference, with its seed.
    std::panic::set_hook(Box::new(|_| ()));
    let single = wanted.seeds.end - wanted.seeds.start == 1;
    if wanted.show && single {
        writeln!(out, "{}", definition_of(wanted.seeds.start))?;
    }
    let before = if single { Vec::new() } else { kept() };
    if wanted.list {
        for seed in wanted.seeds {
            if let Err(failure) = one(seed) {
                writeln!(out, "{seed}: {}", failure.difference.lines().next().unwrap_or_default())?;
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let first = before.into_iter().find_map(|seed| one(seed).err());
    match first.map_or_else(|| hunt(wanted.seeds.clone(), wanted.jobs), Err) {
        Ok(story) => {
            writeln!(out, "no difference: {story:?}")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(failure) => {
            writeln!(out, "{}", failure.smaller())?;
            if wanted.keep && !kept().contains(&failure.seed) {
                let what = failure.difference.lines().next().unwrap_or_default();
                let mut file = std::fs::OpenOptions::new().append(true).open(KEPT)?;
                writeln!(file, "{} # {what}", failure.seed)?;
            }
            Ok(ExitCode::FAILURE)
        }
    }
}
