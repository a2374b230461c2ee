//! `kapelle completions SHELL`.

use clap_complete::Shell;

use crate::{
    app::App,
    examples,
    failure::{Code, Failure},
};

/// Completions for a shell.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the verb.
///
/// # Errors
/// When standard output is closed.
pub fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut examples::command(), "kapelle", &mut script);
    app.out.print(&String::from_utf8_lossy(&script))?;
    Ok(Code::Ok)
}
