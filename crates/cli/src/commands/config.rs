//! `kapelle config show`: every setting and where it comes from.

use serde_json::{Map, Value, json};

use crate::{
    app::App,
    failure::{Code, Failure},
    project::Project,
    shown,
};

/// The configuration and where it comes from.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Every setting; keys of providers are shown as `set`
    Show {
        /// Also where each value comes from
        #[arg(long)]
        origin: bool,
    },
}

/// A setting: its path, its value, where it comes from.
type Setting = (String, Value, String);

/// Runs the verb.
///
/// # Errors
/// When the configuration is wrong.
pub fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    let Verb::Show { origin } = args.verb;
    let settings = gather(app)?;
    if app.out.json {
        let values: Map<String, Value> = settings
            .into_iter()
            .map(|(path, value, from)| (path, if origin { json!({ "value": value, "origin": from }) } else { value }))
            .collect();
        app.out.print_json(&Value::Object(values))?;
        return Ok(Code::Ok);
    }
    let rows = settings.into_iter().map(|(path, value, from)| {
        let mut row = vec![path, plain(&value)];
        row.extend(origin.then_some(from));
        row
    });
    let heading: &[&str] = if origin { &["SETTING", "VALUE", "ORIGIN"] } else { &["SETTING", "VALUE"] };
    app.out.print(&shown::table(heading, rows.collect()))?;
    Ok(Code::Ok)
}

fn gather(app: &App) -> Result<Vec<Setting>, Failure> {
    let settings = app.settings()?;
    let data = match (&app.global.data, settings.environment.get("KAPELLE_DATA")) {
        (Some(_), _) => "flag --data".to_owned(),
        (None, Some(_)) => format!("{} KAPELLE_DATA", settings.environment.origin("KAPELLE_DATA")),
        (None, None) => "default".to_owned(),
    };
    let mut all = vec![("data".to_owned(), json!(Project::shown(&app.data()?)), data)];
    all.extend(settings.values());
    let mut variables: Vec<&str> = settings.key_variables();
    variables.extend(settings.config.providers.values().filter_map(|provider| provider.base_url_env.as_deref()));
    variables.push(kapelle::gateway::config::MODEL_VARIABLE);
    let secret = settings.key_variables();
    for name in variables {
        let (value, from) = match settings.environment.get(name) {
            // The value of a key is never shown, here or anywhere else.
            Some(_) if secret.contains(&name) => (json!("set"), settings.environment.origin(name)),
            Some(text) => (json!(text), settings.environment.origin(name)),
            None => (json!("not set"), "default"),
        };
        all.push((name.to_owned(), value, from.to_owned()));
    }
    Ok(all)
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
