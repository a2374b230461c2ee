//! `kapelle providers`: circuits, rates left, recent calls and last errors of providers of models.

use kapelle::core::DurationMs;
use kapelle_api::{CircuitState, ModelAlias, Provider, ProviderModel, ProviderReport};
use serde_json::json;

use crate::{
    api_session::ApiSession,
    app::App,
    failure::{Code, Failure},
    out::{Tone, paint},
    shown,
};

/// Show how providers of models fare: circuits, rates left, recent calls and last errors.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// When the folder or server cannot be read.
pub async fn run(app: &App, _args: &Args) -> Result<Code, Failure> {
    let session = ApiSession::reading_any(app)?;
    let report = session.api().providers().await?;
    if app.out.json {
        app.out.print_json(&json!(report))?;
        return Ok(Code::Ok);
    }
    app.out.print(&tables(&report))?;
    if session.is_local() {
        app.out.note("no server works on the folder: circuits, rates and counts are those of a new process");
    }
    Ok(Code::Ok)
}

fn tables(report: &ProviderReport) -> String {
    let aliases = report.aliases.iter().map(alias).collect();
    let mut text = shown::table(&["NAME", "STATE", "LEADS TO"], aliases);
    text.push_str("\n\n");
    if report.providers.is_empty() {
        text.push_str("providers are not configured; `kapelle config reference` shows the section `providers`\n");
        return text;
    }
    let minutes = format!("ANSWERED, FAILED, REFUSED ({} MIN)", report.recent_minutes);
    let heading = ["MODEL", "STATE", minutes.as_str(), "REQUESTS LEFT", "TOKENS LEFT", "PRICE"];
    let rows = report.providers.iter().flat_map(|provider| {
        let alone = provider.models.is_empty();
        let empty = alone.then(|| vec![provider.name.clone(), key(provider), "-".to_owned()]);
        empty.into_iter().chain(provider.models.iter().map(|model| row(provider, model)))
    });
    text.push_str(&shown::table(&heading, rows.collect()));
    text.push('\n');
    for (provider, model) in models(report) {
        if let Some(error) = &model.last_error {
            let message = error.message.as_deref().unwrap_or("the call was another tenant's");
            let at = shown::instant(&error.at);
            text.push_str(&format!("\n{}/{}: {} at {at}: {message}", provider.name, model.model, error.category));
        }
    }
    text
}

fn models(report: &ProviderReport) -> impl Iterator<Item = (&Provider, &ProviderModel)> {
    report.providers.iter().flat_map(|provider| provider.models.iter().map(move |model| (provider, model)))
}

fn alias(alias: &ModelAlias) -> Vec<String> {
    let links: Vec<&str> = alias.links.iter().map(|link| link.link.as_str()).collect();
    let offline = alias.links.iter().any(|link| link.state == "offline");
    let word = if offline { "offline" } else { "no answer" };
    let state = match (&alias.reason, alias.live) {
        (_, true) => paint(Tone::Good, "a model"),
        (Some(reason), false) => paint(Tone::Dim, &format!("{word}: {reason}")),
        (None, false) => paint(Tone::Dim, word),
    };
    vec![alias.name.clone(), state, links.join(", ")]
}

fn key(provider: &Provider) -> String {
    let reason = || provider.reason.clone().unwrap_or_else(|| provider.state.clone());
    if provider.state == "ready" { "not called".to_owned() } else { paint(Tone::Dim, &reason()) }
}

fn row(provider: &Provider, model: &ProviderModel) -> Vec<String> {
    let left = |left: Option<u64>, limit: Option<u64>| match (left, limit) {
        (Some(left), Some(limit)) => format!("{left} of {limit}"),
        (Some(left), None) => left.to_string(),
        (None, _) => "no limit known".to_owned(),
    };
    let recent = [model.recent_answered, model.recent_failed, model.recent_refused].map(|count| count.to_string());
    vec![
        format!("{}/{}", provider.name, model.model),
        state(provider, model),
        recent.join(", "),
        left(model.requests_left, provider.requests_per_minute),
        left(model.tokens_left, provider.tokens_per_minute),
        if model.price_known { "known" } else { "unknown" }.to_owned(),
    ]
}

fn state(provider: &Provider, model: &ProviderModel) -> String {
    if provider.state != "ready" {
        return key(provider);
    }
    let until = |ms: Option<u64>| {
        ms.map(|ms| format!(", next call in {}", shown::duration(DurationMs(ms)))).unwrap_or_default()
    };
    match model.circuit {
        CircuitState::Open => {
            let failures = model.failures_in_row;
            paint(Tone::Bad, &format!("open after {failures} failures{}", until(model.opens_in_ms)))
        }
        CircuitState::Probing => paint(Tone::Bad, "open, one call tries it"),
        CircuitState::Cooling => paint(Tone::Warn, &format!("told to wait{}", until(model.opens_in_ms))),
        CircuitState::Closed if model.rate_wait_ms.is_some() => {
            paint(Tone::Warn, &format!("rate used up{}", until(model.rate_wait_ms)))
        }
        CircuitState::Closed => paint(Tone::Good, "works"),
    }
}
