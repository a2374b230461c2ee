//! `kapelle search`: finds runs, tasks, calls, workflows, workers, queues and scripts.

use kapelle_api::SearchQuery;
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    shown,
};

/// Find runs, tasks, calls, workflows, workers, queues and scripts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// An id, a number, or a part of a name
    #[arg(required = true, value_name = "TEXT")]
    text: Vec<String>,
    /// The most hits
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: u32,
}

/// Runs the verb.
///
/// # Errors
/// When the text is empty or too long.
pub async fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    let query = SearchQuery { q: args.text.join(" "), limit: Some(args.limit) };
    let report = ApiSession::reading(app)?.api().search(query).await?;
    if app.out.json {
        app.out.print_json(&json!(report))?;
    } else if report.hits.is_empty() {
        app.out.note("nothing is found; expected an id such as run_3, a number, or a part of a name");
    } else {
        let rows = report.hits.iter().map(|hit| {
            let state = hit.state.clone().unwrap_or_default();
            let at = hit.at.as_deref().map(shown::instant).unwrap_or_default();
            vec![hit.kind.clone(), hit.id.clone(), state, at, hit.title.clone()]
        });
        app.out.print(&shown::table(&["KIND", "ID", "STATE", "SINCE", "TITLE"], rows.collect()))?;
    }
    Ok(Code::Ok)
}
