//! `kapelle init [DIR]`: a starter project.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::{
    app::App,
    failure::{Code, Failure},
    project::Project,
};

/// The files of a starter project.
const FILES: [(&str, &str); 5] = [
    ("kapelle.yaml", include_str!("../starter/kapelle.yaml")),
    ("workflows/hello.yaml", include_str!("../starter/workflow.yaml")),
    ("workers/hello.yaml", include_str!("../starter/worker.yaml")),
    ("README.md", include_str!("../starter/README.md")),
    (".gitignore", "# What Kapelle keeps between runs, and keys.\n/.kapelle/\n/out/\n/.env\n"),
];

/// Make a starter project.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder; it is created if it does not exist
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

/// Runs the verb.
///
/// # Errors
/// When one of the files exists already, or cannot be written.
pub fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    // All or nothing: an existing file is never overwritten.
    if let Some((name, _)) = FILES.iter().find(|(name, _)| args.folder.join(name).symlink_metadata().is_ok()) {
        let path = args.folder.join(name);
        return Err(Failure::new(Code::Conflict, format!("{} is there already", path.display()))
            .help("nothing was written; name an empty folder: kapelle init my-project"));
    }
    for (name, text) in FILES {
        write(&args.folder.join(name), text)?;
    }
    let names: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
    if app.out.json {
        app.out.print_json(&json!({ "folder": args.folder.display().to_string(), "files": names }))?;
        return Ok(Code::Ok);
    }
    for name in names {
        app.out.print(&format!("made {}", Project::shown(&args.folder.join(name))))?;
    }
    let enter = if args.folder == Path::new(".") { String::new() } else { format!("cd {} && ", args.folder.display()) };
    app.out.note(&format!("Next: {enter}kapelle run hello --input name=Ada"));
    Ok(Code::Ok)
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| Failure::io(folder, &error))?;
    }
    let mut file = fs::File::create_new(path).map_err(|error| Failure::io(path, &error))?;
    file.write_all(text.as_bytes()).map_err(|error| Failure::io(path, &error))
}
