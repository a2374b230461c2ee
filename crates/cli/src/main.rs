//! The command line of Kapelle: `kapelle run workflows/first-look.yaml`.

mod aliases;
mod allocator;
mod api_session;
mod app;
mod arrange;
mod beside;
mod bulk_change;
mod cli;
mod commands;
mod describe;
mod dotenv;
mod each;
mod examples;
mod failure;
mod follow;
mod ids;
mod input_files;
mod inputs;
mod journal_lines;
mod known_workers;
mod log;
mod moment;
mod out;
mod page;
mod patience;
mod progress;
mod project;
mod remote;
mod result;
mod scripts;
mod settings;
mod shown;
mod signals;
mod start;
mod terminal;
mod trust;
mod workflow;

use std::process::ExitCode;

fn main() -> ExitCode {
    allocator::purge_at_once();
    start::start()
}
