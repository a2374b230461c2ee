//! `kapelle config show|check|reference|prices|trust`: every setting and its origin, the faults of the configuration, every
//! key; the prices of models, and their sources.

use kapelle::{
    core::Money,
    gateway::{
        config::PricePerMillion,
        price::{Price, Row, TABLE, UNKNOWN},
    },
    scripts::scan::named,
};
use kapelle_api::ConfigReport;
use serde_json::{Map, Value, json};

use crate::{
    app::App,
    failure::{Code, Failure},
    project::Project,
    remote,
    settings::Settings,
    shown, trust,
};

/// Show the configuration and the origin of each value.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Show every setting, of the server if one works on the folder; keys of providers are shown as `set`
    Show {
        /// Also show the origin of each value
        #[arg(long)]
        origin: bool,
    },
    /// Report every fault of the configuration; exit code 0 without one, 2 with one
    Check,
    /// Print every key with its type, default and meaning, as Markdown
    Reference,
    /// Agree that this project sends your keys to hosts they are not meant for
    Trust {
        /// Revoke the agreement
        #[arg(long)]
        revoke: bool,
    },
    /// Show the prices of models for a million tokens, and the source of each price
    Prices,
}

/// A setting: its path, its value, its origin.
pub type Setting = (String, Value, String);

/// Runs the verb.
///
/// # Errors
/// When the configuration is wrong.
pub async fn run(app: &App, args: &Args) -> Result<Code, Failure> {
    match args.verb.as_ref().unwrap_or(&Verb::Show { origin: false }) {
        Verb::Show { origin } => show(app, *origin).await,
        Verb::Check => check(app),
        Verb::Reference => app.out.print(&kapelle::config_reference()).map(|()| Code::Ok),
        Verb::Trust { revoke } => trust(app, *revoke),
        Verb::Prices => prices(app),
    }
}

/// Reads every layer and reports what is wrong. Budgets of unknown workers are warnings: a worker host may bring them.
fn check(app: &App) -> Result<Code, Failure> {
    let settings = app.settings()?;
    let warnings = unknown_budgets(app, &settings)?;
    let files: Vec<String> = app.project.config.iter().map(|path| Project::shown(path)).collect();
    if app.out.json {
        app.out.print_json(&json!({ "ok": true, "files": files, "warnings": warnings }))?;
        return Ok(Code::Ok);
    }
    for warning in &warnings {
        app.out.warn(warning);
    }
    let place = files.first().map_or("no kapelle.yaml: the defaults", String::as_str);
    app.out.print(&format!("{place}: no faults"))?;
    Ok(Code::Ok)
}

/// Returns a warning for each budget of a worker that neither the project nor an earlier worker host has.
pub fn unknown_budgets(app: &App, settings: &Settings) -> Result<Vec<String>, Failure> {
    let workers = app.workers(settings)?;
    let mut known: Vec<String> = workers.names().map(str::to_owned).collect();
    known.extend(named(&app.project.workers()).into_iter().map(|(_, name)| name));
    known.extend(kapelle::hosted_workers(&app.data()?)?);
    let unknown = settings.config.budgets.unknown_workers(&known);
    Ok(unknown.iter().map(ToString::to_string).collect())
}

/// Shows where the project sends keys, and records that the user agrees.
fn trust(app: &App, revoke: bool) -> Result<Code, Failure> {
    let settings = app.settings()?;
    let agreed = trust::agree(&app.project, &settings, revoke)?;
    if app.out.json {
        let rows = agreed.iter().map(|sends| json!({ "provider": sends.provider, "sends": sends.in_words() }));
        app.out.print_json(&json!({ "trusted": rows.collect::<Vec<_>>() }))?;
    } else if agreed.is_empty() {
        app.out.print("consent revoked: this project sends none of your keys elsewhere")?;
    } else {
        let lines: Vec<String> =
            agreed.iter().map(|sends| format!("{}: {}", sends.provider, sends.in_words())).collect();
        app.out.print(&format!("agreed, until one of these changes:\n{}", lines.join("\n")))?;
    }
    Ok(Code::Ok)
}

/// One price, in nano-dollars a token. Prices that the user wrote have no rates for reading and writing caches.
struct Listed {
    model: String,
    usual: Rates,
    /// Length in tokens above which a prompt is long, and the rates for long prompts.
    long: Option<(u64, Rates)>,
    source: String,
    checked: Option<&'static str>,
}

/// Dollars for a million tokens: sent, read from a cache, received.
struct Rates([String; 3]);

impl Rates {
    fn of(price: Price) -> Rates {
        // A nano-dollar a token is a thousandth of a dollar for a million of them.
        Rates([price.input, price.cached, price.output].map(|nano| Money(nano.saturating_mul(1_000_000)).to_string()))
    }

    fn written(input: String, cached: Option<String>, output: String) -> Rates {
        Rates([input.clone(), cached.unwrap_or(input), output])
    }

    fn json(&self) -> Map<String, Value> {
        let names = ["input", "cached_input", "output"].map(str::to_owned);
        names.into_iter().zip(self.0.iter().map(|dollars| json!(dollars))).collect()
    }
}

impl Listed {
    fn own((model, price): (String, PricePerMillion)) -> Listed {
        let long = price.long_prompts;
        let long = long.map(|long| (long.above, Rates::written(long.input, long.cached_input, long.output)));
        let usual = Rates::written(price.input, price.cached_input, price.output);
        Listed { model, usual, long, source: "the configuration".to_owned(), checked: None }
    }

    fn row(row: &Row) -> Listed {
        let price = row.price;
        Listed {
            model: row.model.to_owned(),
            usual: Rates::of(price),
            long: price.long.map(|long| (long.above, Rates::of(price.at(u64::MAX)))),
            source: row.source.written(),
            checked: row.source.checked(),
        }
    }

    fn json(&self) -> Value {
        let mut row = self.usual.json();
        row.insert("model".to_owned(), json!(self.model));
        row.insert("source".to_owned(), json!(self.source));
        row.insert("checked".to_owned(), json!(self.checked));
        let long = self.long.as_ref().map(|(above, rates)| {
            let mut long = rates.json();
            long.insert("above".to_owned(), json!(above));
            long
        });
        row.insert("long_prompts".to_owned(), json!(long));
        Value::Object(row)
    }

    fn lines(self) -> Vec<Vec<String>> {
        let own = self.source == "the configuration";
        let checked = self.checked.unwrap_or(if own { "" } else { "not checked" }).to_owned();
        let line = |model: String, Rates(rates): Rates| {
            [vec![model], rates.to_vec(), vec![self.source.clone(), checked.clone()]].concat()
        };
        let long = self.long.map(|(above, rates)| line(format!("  prompts above {above} tokens"), rates));
        [Some(line(self.model, self.usual)), long].into_iter().flatten().collect()
    }
}

/// Prints the prices in the order of lookup: those of the configuration, then the table.
fn prices(app: &App) -> Result<Code, Failure> {
    let own = app.settings()?.config.prices;
    let mut all: Vec<Listed> = own.into_iter().map(Listed::own).chain(TABLE.iter().map(Listed::row)).collect();
    all.push(Listed {
        model: "any other".to_owned(),
        usual: Rates::of(UNKNOWN),
        long: None,
        source: "a high estimate".to_owned(),
        checked: None,
    });
    if app.out.json {
        app.out.print_json(&all.iter().map(Listed::json).collect())?;
        return Ok(Code::Ok);
    }
    let heading = ["MODEL", "INPUT", "CACHED", "OUTPUT", "SOURCE", "CHECKED"];
    app.out.print(&shown::table(&heading, all.into_iter().flat_map(Listed::lines).collect()))?;
    Ok(Code::Ok)
}

/// Returns the settings in force in the server that works on the folder, and its address. `None` without a server, and
/// for one that does not tell them, of which the user is told.
async fn of_server(app: &App) -> Option<(Vec<Setting>, String)> {
    // A named server is elsewhere, and this verb is about the folder.
    let client = if remote::is_named(app) { None } else { remote::server(app).ok().flatten() }?;
    match client.get::<ConfigReport>("/api/v1/config").await {
        Ok(told) => {
            let settings = told.settings.into_iter().map(|told| (told.path, told.value, told.origin)).collect();
            Some((settings, client.base().to_owned()))
        }
        Err(error) => {
            app.out.warn(&format!(
                "the server at {} does not tell its settings ({error}): these are those of this shell, whose \
                 environment may differ",
                client.base()
            ));
            None
        }
    }
}

async fn show(app: &App, origin: bool) -> Result<Code, Failure> {
    let settings = match of_server(app).await {
        Some((settings, address)) => {
            app.out.note(&format!("the settings in force in the server at {address}:"));
            settings
        }
        None => gather(app, &app.settings()?)?,
    };
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

/// Returns every setting with its origin; keys of providers are only `set` or `not set`.
///
/// # Errors
/// When the consent of the user cannot be read.
pub fn gather(app: &App, settings: &Settings) -> Result<Vec<Setting>, Failure> {
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
            None => (json!("not set"), "this shell"),
        };
        all.push((name.to_owned(), value, from.to_owned()));
    }
    let moved = trust::moved(&app.project, settings)?;
    for sends in trust::sends(settings)? {
        let from = match moved.contains(&sends) {
            true if trust::is_agreed(&app.project, settings, &moved)? => "the project, trusted",
            true => "the project, not trusted",
            false => "yours",
        };
        all.push((format!("sends.{}", sends.provider), json!(sends.in_words()), from.to_owned()));
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
