//! `kapelle config show|prices`: every setting and where it comes from; what models cost, and who says so.

use kapelle::{
    core::Money,
    gateway::price::{TABLE, UNKNOWN},
};
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
    /// What models cost, for a million tokens, and where each price comes from
    Prices,
}

/// A setting: its path, its value, where it comes from.
type Setting = (String, Value, String);

/// Runs the verb.
///
/// # Errors
/// When the configuration is wrong.
pub fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    match args.verb {
        Verb::Show { origin } => show(app, origin),
        Verb::Prices => prices(app),
    }
}

/// One price, in nano-dollars a token; what is read from a cache and written into it is not known of the user's own.
struct Listed {
    model: String,
    input: Value,
    cached: Value,
    output: Value,
    source: String,
    checked: Option<&'static str>,
}

/// The prices in the order in which they are looked for: those of the configuration, then the table.
fn prices(app: &App) -> Result<Code, Failure> {
    let own = app.settings()?.config.prices;
    let own = own.into_iter().map(|(model, price)| Listed {
        model,
        cached: json!(price.cached_input.unwrap_or_else(|| price.input.clone())),
        input: json!(price.input),
        output: json!(price.output),
        source: "the configuration".to_owned(),
        checked: None,
    });
    // A nano-dollar a token is a thousandth of a dollar for a million of them.
    let dollars = |nano: u64| json!(Money(nano.saturating_mul(1_000_000)).to_string());
    let table = TABLE.iter().map(|row| Listed {
        model: row.model.to_owned(),
        input: dollars(row.price.input),
        cached: dollars(row.price.cached),
        output: dollars(row.price.output),
        source: row.source.written(),
        checked: row.source.checked(),
    });
    let mut all: Vec<Listed> = own.chain(table).collect();
    all.push(Listed {
        model: "any other".to_owned(),
        input: dollars(UNKNOWN.input),
        cached: dollars(UNKNOWN.cached),
        output: dollars(UNKNOWN.output),
        source: "a guess on the dear side".to_owned(),
        checked: None,
    });
    if app.out.json {
        let row = |row: &Listed| {
            json!({ "model": row.model, "input": row.input, "cached_input": row.cached, "output": row.output,
                "source": row.source, "checked": row.checked })
        };
        app.out.print_json(&all.iter().map(row).collect())?;
        return Ok(Code::Ok);
    }
    let rows = all.into_iter().map(|row| {
        let own = row.source == "the configuration";
        let checked = row.checked.unwrap_or(if own { "" } else { "not checked" }).to_owned();
        vec![row.model, plain(&row.input), plain(&row.cached), plain(&row.output), row.source, checked]
    });
    let heading = ["MODEL", "INPUT", "CACHED", "OUTPUT", "SOURCE", "CHECKED"];
    app.out.print(&shown::table(&heading, rows.collect()))?;
    Ok(Code::Ok)
}

fn show(app: &App, origin: bool) -> Result<Code, Failure> {
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
