//! The log of a server: every line on standard error with its time and level, as text or as JSON.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use kapelle::{LogConfig, LogFormat, LogLevel};
use tracing_subscriber::{
    Layer as _,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{app::App, cli::Global, failure::Failure};

/// Whether notes and warnings of this process are lines of a log.
static STARTED: AtomicBool = AtomicBool::new(false);

/// Says whether notes and warnings of this process are lines of a log.
pub fn is_started() -> bool {
    STARTED.load(Ordering::Acquire)
}

/// The form of a line, as a flag of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Text,
    Json,
}

/// Starts the log of a server, with the settings of the configuration and of the flags above them.
///
/// # Errors
/// When the configuration is invalid.
pub fn begin(app: &App, format: Option<Format>) -> Result<(), Failure> {
    let settings = crate::settings::Settings::load(&app.project)?;
    let mut config = settings.config.log;
    if let Some(format) = format {
        config.format = if format == Format::Json { LogFormat::Json } else { LogFormat::Text };
    }
    subscribe(config, &app.global);
    STARTED.store(true, Ordering::Release);
    Ok(())
}

fn subscribe(config: LogConfig, global: &Global) {
    let level = match (config.level, global.quiet, global.verbose) {
        (LogLevel::Error, ..) | (_, true, 0) => LevelFilter::ERROR,
        (_, _, 2..) => LevelFilter::TRACE,
        (LogLevel::Debug, ..) | (_, _, 1) => LevelFilter::DEBUG,
        (LogLevel::Warn, ..) => LevelFilter::WARN,
        (LogLevel::Info, ..) => LevelFilter::INFO,
    };
    // Libraries speak up for faults alone, unless everything is wanted.
    let others = if global.verbose > 1 { level } else { level.min(LevelFilter::WARN) };
    let filter = Targets::new().with_default(others).with_target("kapelle", level);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
    let lines = match config.format {
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
        LogFormat::Text => {
            let plain = anstream::AutoStream::choice(&io::stderr()) == anstream::ColorChoice::Never;
            lines.with_ansi(!plain).boxed()
        }
    };
    // Started once; a second call does nothing.
    drop(tracing_subscriber::registry().with(filter).with(lines).try_init());
}

/// Writes a line of the log. Text of several lines becomes one.
pub fn line(level: tracing::Level, text: &str) {
    let text = text.trim_end().replace('\n', "; ");
    match level {
        tracing::Level::ERROR => tracing::error!(target: "kapelle", "{text}"),
        tracing::Level::WARN => tracing::warn!(target: "kapelle", "{text}"),
        _ => tracing::info!(target: "kapelle", "{text}"),
    }
}
