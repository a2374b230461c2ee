//! `kapelle runs graph RUN`: a run as a drawing.

use kapelle::{
    RunId,
    core::definition::{drawing, graph},
};
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    describe::{self, RunView},
    failure::{Code, Failure},
};

/// The format of the drawing.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Format {
    Text,
    Svg,
    Mermaid,
}

/// Runs the verb.
///
/// # Errors
/// When the run does not exist, or its definition cannot be read any more.
pub(super) async fn run(app: &App, id: RunId, format: Format) -> Result<Code, Failure> {
    let session = ApiSession::reading(app)?;
    let view = RunView::load(session.api(), &id.to_string()).await?;
    let definition = describe::definition(session.api(), &view.run)
        .await
        .ok_or_else(|| Failure::new(Code::Failed, format!("the definition of {id} cannot be read by this version")))?;
    let state = |path: &str| view.steps.iter().find(|step| step.name == path).map(describe::StepView::state);
    let text = match format {
        Format::Text => view.tree(),
        Format::Svg => drawing::to_svg(&definition, &|path| state(path)),
        Format::Mermaid => graph::to_mermaid(&definition),
    };
    if app.out.json {
        app.out.print_json(&json!({ "run": id.to_string(), "graph": text }))?;
    } else {
        app.out.print(&text)?;
    }
    Ok(Code::Ok)
}
