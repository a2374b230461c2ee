//! `kapelle workflows list|show|validate|graph|templates|new|versions|source|diff|rollback|delete`.

mod templates;
mod versions;

use std::path::{Path, PathBuf};

use kapelle::core::definition::{drawing, graph};
use serde_json::{Value, json};

use super::workers;
use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    known_workers::KnownWorkers,
    project::Project,
    shown,
    workflow::{self, Workflow},
};

/// List, show, check and draw workflows; their stored versions.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// List the files of workflows/
    List,
    /// Show the inputs, steps and outputs of a workflow
    Show {
        /// A file, or the name of one in workflows/
        file: PathBuf,
    },
    /// Check a workflow and every reference in it
    Validate {
        /// A file, or the name of one in workflows/
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Draw a workflow
    Graph {
        /// A file, or the name of one in workflows/
        file: PathBuf,
        /// The format: indented text, a picture, or Mermaid
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// List the templates of workflows
    Templates,
    /// Make a workflow from a template
    New {
        /// The name of the workflow; it is written to workflows/NAME.yaml
        name: String,
        /// The template
        #[arg(long)]
        template: String,
        /// A parameter of the template, such as `worker=translator`
        #[arg(long = "set", value_name = "NAME=VALUE")]
        set: Vec<String>,
    },
    /// List the stored versions of a workflow, newest first
    Versions {
        /// The name of the workflow
        workflow: String,
    },
    /// Print the text of a stored version
    Source {
        /// The name of the workflow
        workflow: String,
        /// Its number [default: the newest]
        number: Option<u32>,
    },
    /// Show the difference between two stored versions
    Diff {
        /// The name of the workflow
        workflow: String,
        /// The earlier number [default: the one before the later]
        from: Option<u32>,
        /// The later number [default: the newest]
        to: Option<u32>,
    },
    /// Make the text of an earlier version the newest again, and write it to its file
    Rollback {
        /// The name of the workflow
        workflow: String,
        /// The number of the earlier version
        number: u32,
    },
    /// Delete a version that has no runs
    Delete {
        /// The name of the workflow
        workflow: String,
        /// Its number
        number: u32,
    },
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Format {
    Text,
    Svg,
    Mermaid,
}

/// Runs the verb.
///
/// # Errors
/// When the workflow does not exist or is invalid.
pub async fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    match args.verb.as_ref().unwrap_or(&Verb::List) {
        Verb::List => list(app),
        Verb::Show { file } => show(app, &open(app, file)?),
        Verb::Validate { files } => validate(app, files).await,
        Verb::Graph { file, format } => draw(app, &open(app, file)?, *format),
        Verb::Templates => templates::list(app),
        Verb::New { name, template, set } => templates::new(app, name, template, set),
        Verb::Versions { workflow } => versions::list(app, workflow).await,
        Verb::Source { workflow, number } => versions::source(app, workflow, *number).await,
        Verb::Diff { workflow, from, to } => versions::diff(app, workflow, *from, *to).await,
        Verb::Rollback { workflow, number } => versions::rollback(app, workflow, *number).await,
        Verb::Delete { workflow, number } => versions::delete(app, workflow, *number).await,
    }
}

fn open(app: &App, file: &Path) -> Result<Workflow, Failure> {
    workflow::read(&workflow::find(&app.project, file)?)
}

fn list(app: &App) -> Result<Code, Failure> {
    let mut values = Vec::new();
    let mut rows = Vec::new();
    for path in workflow::files(&app.project) {
        let file = Project::shown(&path);
        match workflow::read(&path) {
            Ok(read) => {
                let definition = &read.definition;
                let about = definition.description.clone().unwrap_or_default();
                let steps = definition.step_count();
                rows.push(vec![definition.name.to_string(), file.clone(), steps.to_string(), about.clone()]);
                values.push(json!({ "workflow": definition.name, "file": file, "steps": steps, "description": about, "valid": true }));
            }
            Err(failure) => {
                let first = failure.message.lines().next().unwrap_or("").to_owned();
                rows.push(vec!["?".to_owned(), file.clone(), "-".to_owned(), format!("wrong: {first}")]);
                values.push(json!({ "file": file, "valid": false, "error": failure.message }));
            }
        }
    }
    if app.out.json {
        app.out.print_json(&json!({ "workflows": values }))?;
    } else if rows.is_empty() {
        app.out.note("no workflows here; `kapelle init` makes a project with one");
    } else {
        app.out.print(&shown::table(&["WORKFLOW", "FILE", "STEPS", "DESCRIPTION"], rows))?;
    }
    Ok(Code::Ok)
}

fn show(app: &App, read: &Workflow) -> Result<Code, Failure> {
    let definition = &read.definition;
    if app.out.json {
        let steps: Vec<Value> = definition
            .block(definition.root)
            .steps
            .iter()
            .map(|step| {
                let needs = step.needs.iter().map(|need| definition.step(definition.root, *need).name.to_string());
                json!({ "name": step.name, "needs": needs.collect::<Vec<_>>(), "line": step.line })
            })
            .collect();
        app.out.print_json(&json!({
            "workflow": definition.name, "file": Project::shown(&read.path), "description": definition.description,
            "inputs": definition.inputs, "steps": steps,
        }))?;
        return Ok(Code::Ok);
    }
    let mut text = definition.name.to_string();
    if let Some(about) = &definition.description {
        text.push_str(&format!(": {about}"));
    }
    text.push('\n');
    if let Some(table) = definition.inputs.as_ref().and_then(|schema| workers::fields("INPUT", schema)) {
        text.push_str(&format!("\n{table}\n"));
    }
    text.push_str(&format!("\n{}", graph::to_text(definition)));
    app.out.print(&text)?;
    Ok(Code::Ok)
}

async fn validate(app: &App, files: &[PathBuf]) -> Result<Code, Failure> {
    // Workers that hosts have registered are known, also without a server.
    let session = ApiSession::reading_any(app)?;
    let mut known = KnownWorkers::of(app)?;
    known.add(session.api().workers().await?.workers);
    let mut first: Option<Failure> = None;
    let mut values = Vec::new();
    for file in files {
        let checked = open(app, file).and_then(|read| {
            // Checks more than reading does: the inputs of its schedules.
            read.version()?;
            read.check_workers(&known)?;
            Ok(read)
        });
        match checked {
            Ok(read) => {
                let steps = shown::count(read.definition.step_count(), "step");
                values.push(json!({ "file": Project::shown(&read.path), "valid": true }));
                if !app.out.json {
                    app.out.print(&format!(
                        "{}: {} is valid, {steps}",
                        Project::shown(&read.path),
                        read.definition.name
                    ))?;
                }
            }
            Err(failure) => {
                values.push(json!({ "file": Project::shown(file), "valid": false, "error": failure.message }));
                if let Some(earlier) = first.replace(failure) {
                    app.out.fail(&earlier.json_told());
                }
            }
        }
    }
    if app.out.json {
        app.out.print_json(&json!({ "workflows": values }))?;
    }
    first.map_or(Ok(Code::Ok), |failure| Err(failure.json_told()))
}

fn draw(app: &App, read: &Workflow, format: Format) -> Result<Code, Failure> {
    let text = match format {
        Format::Text => graph::to_text(&read.definition),
        Format::Svg => drawing::to_svg(&read.definition, &|_| None),
        Format::Mermaid => graph::to_mermaid(&read.definition),
    };
    if app.out.json {
        app.out.print_json(&json!({ "workflow": read.definition.name, "graph": text }))?;
    } else {
        app.out.print(&text)?;
    }
    Ok(Code::Ok)
}
