//! `kapelle man`: the manual page, and one a verb.

use std::{fs, path::PathBuf};

use clap_mangen::Man;

use crate::{
    app::App,
    examples,
    failure::{Code, Failure},
    project::Project,
};

/// The manual page.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write a page for every verb into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// When a page cannot be written.
pub fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    let mut command = examples::command();
    command.build();
    let Some(folder) = &args.out else {
        app.out.print(&page(command)?)?;
        return Ok(Code::Ok);
    };
    fs::create_dir_all(folder).map_err(|error| Failure::io(folder, &error))?;
    let verbs: Vec<clap::Command> = command.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned().collect();
    let mut pages = vec![("kapelle.1".to_owned(), command)];
    pages.extend(verbs.into_iter().map(|verb| (format!("kapelle-{}.1", verb.get_name()), verb)));
    for (name, command) in pages {
        let path = folder.join(name);
        fs::write(&path, page(command)?).map_err(|error| Failure::io(&path, &error))?;
        app.out.note(&format!("wrote {}", Project::shown(&path)));
    }
    Ok(Code::Ok)
}

fn page(command: clap::Command) -> Result<String, Failure> {
    let mut text = Vec::new();
    let rendered = Man::new(command).render(&mut text);
    rendered.map_err(|error| Failure::new(Code::Failed, format!("the manual page: {error}")))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
