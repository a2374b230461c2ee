//! `audit_processor`: a report on the audit trail of the task's tenant.

use std::sync::Arc;

use kapelle_api as api;
use kapelle_core::{
    Category, DurationMs, TaskError, TenantId,
    worker::{BoxFuture, Output, TaskContext, Worker, WorkerSpec},
    yaml::{Shape, Table, key},
};
use kapelle_workers::{
    configured::{Fault, Given},
    schema::{Schema, object},
};
use serde_json::{Value, json};

use crate::{
    app::App,
    app_error::AppError,
    audit_report::{Evidence, Rules, ms_of, report},
    caller::Caller,
    own_kind::OwnKind,
    reach::Home,
};

static SETTINGS: Table = Table {
    name: "audit_processor_settings",
    about: "The settings of `kind: audit_processor`.",
    required: &[],
    keys: &[
        key("night", Shape::Text, "The hours at which acts are unusual, such as 22:00-06:00 (the default), or none."),
        key("utc_offset", Shape::Text, "The local time, such as +01:00; default +00:00."),
        key(
            "many",
            Shape::Whole { least: 2, most: 100_000 },
            "Cancels, deletes and the like that are many; default 10.",
        ),
        key("within", Shape::Duration, "The time within which they are; default 10m."),
        key(
            "unused_days",
            Shape::Whole { least: 1, most: 3_650 },
            "Days after which a key without acts is a finding; default 90.",
        ),
    ],
};

/// Acts of one report.
const ACTS_MAX: usize = 100_000;
/// Acts that are read at a time.
const PAGE: u32 = 500;

/// Makes the kind `audit_processor`.
pub(crate) fn kind(home: Home) -> OwnKind {
    OwnKind { name: "audit_processor", settings: &SETTINGS, make, home }
}

fn make(given: Given, home: Home) -> Result<Arc<dyn Worker>, Vec<Fault>> {
    let Given { mut spec, settings, .. } = given;
    let mut faults = Vec::new();
    let rules = rules(&settings, &mut faults);
    let input = Schema::compile(&input_schema());
    let input = input.map_err(|error| vec![Fault::of("night", error, "report this fault of Kapelle")])?;
    if !faults.is_empty() {
        return Err(faults);
    }
    if spec.description.is_empty() {
        "Report who did what, what is unusual, and which keys need a look".clone_into(&mut spec.description);
    }
    spec.input = Some(input_schema());
    spec.output = Some(output_schema());
    Ok(Arc::new(AuditWorker { spec, input, rules, home }))
}

fn rules(settings: &Value, faults: &mut Vec<Fault>) -> Rules {
    let night = settings["night"].as_str().unwrap_or("22:00-06:00");
    let hours = || {
        let (begin, end) = night.split_once('-')?;
        Some((minute(begin)?, minute(end)?))
    };
    let night = if night == "none" { Some((0, 0)) } else { hours() };
    if night.is_none() {
        faults.push(Fault::of("night", "not a time of the day", "write one such as 22:00-06:00, or none"));
    }
    let written = settings["utc_offset"].as_str().unwrap_or("+00:00");
    let offset = written.strip_prefix(['+', '-']).and_then(minute).filter(|minutes| *minutes <= 14 * 60);
    let Some(offset) = offset.map(i64::from) else {
        faults.push(Fault::of("utc_offset", format!("`{written}` is not an offset"), "write one such as +01:00"));
        return Rules { night: (0, 0), offset: 0, many: 10, within_ms: 0, unused_days: 90 };
    };
    let within = settings["within"].as_str().and_then(|text| DurationMs::parse(text).ok());
    Rules {
        night: night.unwrap_or_default(),
        offset: if written.starts_with('-') { -offset } else { offset },
        many: settings["many"].as_u64().and_then(|many| usize::try_from(many).ok()).unwrap_or(10),
        within_ms: within.and_then(|within| i64::try_from(within.0).ok()).unwrap_or(600_000),
        unused_days: settings["unused_days"].as_i64().unwrap_or(90),
    }
}

/// Reads `22:00` as minutes of the day.
fn minute(text: &str) -> Option<u32> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let digits = |text: &str| (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok());
    let (hours, minutes): (u32, u32) = (digits(hours)??, digits(minutes)??);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

fn input_schema() -> Value {
    object(
        &[],
        json!({
            "since": { "type": "string", "description": "RFC 3339; default `days` before `until`" },
            "until": { "type": "string", "description": "RFC 3339; default now" },
            "days": { "type": "integer", "minimum": 1, "maximum": 3650, "default": 30 },
        }),
    )
}

fn output_schema() -> Value {
    let (text, count) = (json!({ "type": "string" }), json!({ "type": "integer" }));
    let maybe = json!({ "type": ["string", "null"] });
    let counts = json!({ "type": "object", "additionalProperties": count });
    let list = |required: &[&str], fields| json!({ "type": "array", "items": object(required, fields) });
    let actors = list(
        &["actor", "acts"],
        json!({
            "actor": text, "name": maybe, "role": maybe, "acts": count, "first": text, "last": text, "actions": counts,
        }),
    );
    let anomalies = list(
        &["kind", "at", "what"],
        json!({
            "kind": { "enum": ["chain", "night", "mass", "new_key", "token"] },
            "at": text, "actor": text, "what": text,
        }),
    );
    let keys = list(
        &["key"],
        json!({
            "key": text, "name": text, "role": text, "created_at": text, "expires_at": maybe, "last_act": maybe,
        }),
    );
    let findings = list(&["key", "finding"], json!({ "key": text, "name": text, "finding": text }));
    let faults = json!({ "type": "array", "items": text });
    let mut chain = object(&["ok", "faults"], json!({ "ok": { "type": "boolean" }, "faults": faults }));
    chain["type"] = json!(["object", "null"]);
    object(
        &["period", "acts", "complete", "chain", "actors", "actions", "anomalies", "access", "markdown"],
        json!({
            "period": object(&["since", "until"], json!({ "since": text, "until": text })),
            "acts": count,
            "complete": { "type": "boolean", "description": "False when the period holds more than 100,000 acts" },
            "chain": chain,
            "actors": actors,
            "actions": counts,
            "anomalies": anomalies,
            "access": object(&["keys", "findings"], json!({ "keys": keys, "findings": findings })),
            "markdown": { "type": "string", "description": "The report as a page" },
        }),
    )
}

struct AuditWorker {
    spec: WorkerSpec,
    input: Schema,
    rules: Rules,
    home: Home,
}

impl AuditWorker {
    async fn run(&self, ctx: &TaskContext, input: Value) -> Result<Value, TaskError> {
        let input = self.input.admit(input)?;
        let absent = "no server works in this process; submit the task to a server, or run it with `kapelle submit`";
        let app = self.home.app().await.ok_or_else(|| TaskError::new(Category::Unavailable, absent).permanent())?;
        let until = moment(&input, "until")?.unwrap_or(app.now().0);
        let before = input["days"].as_i64().unwrap_or(30).saturating_mul(86_400_000);
        let since = moment(&input, "since")?.unwrap_or(until - before);
        if since >= until {
            return Err(invalid("since: it is not before `until`; write an earlier time".to_owned()));
        }
        let by = Caller { tenant: ctx.tenant, ..Caller::owner("library") };
        let (acts, complete) = acts(&app, &by, (since, until)).await?;
        let keys = app.keys(&by).await.map_err(|error| failed(&error))?.keys;
        // The chain runs through the acts of all tenants, whose number only the first may know.
        let checked = app.verify_audit(&Caller::owner("library")).await.map_err(|error| failed(&error))?;
        let faults = match (ctx.tenant, checked.ok) {
            (TenantId::DEFAULT, _) | (_, true) => checked.faults,
            _ => vec!["the owner of the server can see where: `kapelle audit verify`".to_owned()],
        };
        let keys = keys.into_iter().filter(|key| key.tenant == ctx.tenant.0).collect();
        let evidence = Evidence { acts, keys, faults: Some(faults), since, until, complete };
        Ok(report(&evidence, &self.rules))
    }
}

/// Reads the acts of a period, oldest first, and whether these are all.
async fn acts(
    app: &Arc<App>,
    by: &Caller,
    (since, until): (i64, i64),
) -> Result<(Vec<(i64, api::AuditEntry)>, bool), TaskError> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let query = api::AuditQuery { limit: Some(PAGE), cursor, ..api::AuditQuery::default() };
        let page = app.audit(by, query).await.map_err(|error| failed(&error))?;
        for entry in page.entries {
            let at = ms_of(&entry.at).unwrap_or(0);
            if at < since {
                found.reverse();
                return Ok((found, true));
            }
            if found.len() == ACTS_MAX {
                found.reverse();
                return Ok((found, false));
            }
            if at <= until {
                found.push((at, entry));
            }
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            found.reverse();
            return Ok((found, true));
        }
    }
}

fn moment(input: &Value, field: &str) -> Result<Option<i64>, TaskError> {
    let Some(text) = input[field].as_str() else { return Ok(None) };
    match ms_of(text) {
        Some(ms) => Ok(Some(ms)),
        None => {
            let shown: String = text.chars().take(80).collect();
            Err(invalid(format!("{field}: `{shown}` is not a time; write one such as 2026-12-01T00:00:00Z")))
        }
    }
}

fn invalid(message: String) -> TaskError {
    TaskError::new(Category::InvalidInput, message).permanent()
}

fn failed(error: &AppError) -> TaskError {
    match error.code {
        api::code::UNAVAILABLE => TaskError::new(Category::Unavailable, error.message.clone()),
        _ => TaskError::new(Category::Internal, format!("the audit trail cannot be read: {}", error.message)),
    }
}

impl Worker for AuditWorker {
    fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    fn execute<'a>(&'a self, ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move { self.run(ctx, input).await.map(Output::plain) })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::Parts;

    const FILE: &str = "kind: audit_processor\nname: auditor\ntenants: [2]\nsettings: { many: 3, night: none }\n";

    async fn start(folder: &Path, file: &str) -> Arc<App> {
        std::fs::create_dir_all(folder.join("workers")).unwrap();
        std::fs::write(folder.join("workers/auditor.yaml"), file).unwrap();
        let workers = vec![folder.join("workers")];
        crate::open(Parts { workers, ..Parts::of(&folder.join("state")) }).await.unwrap()
    }

    async fn ask(app: &Arc<App>, tenant: u32, input: Value) -> api::Task {
        let by = Caller { tenant: TenantId(tenant), ..Caller::owner("folder") };
        let given = api::SubmitTask { worker: "auditor".to_owned(), input, ..api::SubmitTask::default() };
        let id = app.submit_task(&by, given, None).await.unwrap();
        loop {
            let (task, _) = app.task(&by, id, Some(std::time::Duration::from_secs(1))).await.unwrap();
            if task.state.is_ended() {
                return task;
            }
        }
    }

    fn output(task: &api::Task) -> Value {
        serde_json::from_str(task.output.as_ref().unwrap_or_else(|| panic!("{task:?}")).get()).unwrap()
    }

    fn new_key(name: &str, role: &str, tenant: u32) -> api::NewKey {
        serde_json::from_value(json!({ "name": name, "role": role, "tenant": tenant })).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_trail_of_a_tenant_is_read_checked_and_reported() {
        let folder = tempfile::tempdir().unwrap();
        let app = start(folder.path(), FILE).await;
        let owner = Caller::owner("folder");
        app.create_key(&owner, new_key("admin of one", "admin", 1)).await.unwrap();
        app.create_key(&owner, new_key("viewer of two", "viewer", 2)).await.unwrap();
        let report = output(&ask(&app, 1, json!({})).await);
        assert_eq!((&report["chain"]["ok"], &report["complete"]), (&json!(true), &json!(true)), "{report}");
        assert_eq!(report["access"]["findings"][0]["name"], "admin of one");
        assert!(report["anomalies"].as_array().unwrap().iter().all(|found| found["kind"] == "new_key"), "{report}");
        // A tenant sees its own keys and acts.
        let other = output(&ask(&app, 2, json!({})).await);
        assert!(!other.to_string().contains("admin of one"), "{other}");
        assert_eq!(other["access"]["keys"][0]["name"], "viewer of two");

        for (input, part) in [
            (json!({ "since": "yesterday" }), "since: `yesterday` is not a time"),
            (json!({ "since": "2027-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z" }), "since: it is not before"),
        ] {
            let error = ask(&app, 1, input.clone()).await.error.unwrap();
            assert_eq!(error.category, "invalid_input", "{input}");
            assert!(error.message.contains(part), "{input}: {}", error.message);
        }
        for input in [json!({ "days": 0 }), json!({ "tenant": 2 })] {
            let given = api::SubmitTask { worker: "auditor".to_owned(), input, ..api::SubmitTask::default() };
            assert_eq!(app.submit_task(&owner, given, None).await.unwrap_err().code, "invalid_input");
        }
        app.close().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_forged_head_is_an_anomaly_and_bad_settings_are_placed() {
        let folder = tempfile::tempdir().unwrap();
        let app = start(folder.path(), FILE).await;
        app.create_key(&Caller::owner("folder"), new_key("a", "viewer", 1)).await.unwrap();
        let log = folder.path().join("state/session.log");
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(log).unwrap();
        let head = json!({ "event": "audit_head", "head": format!("1:{}", "0".repeat(64)), "at": 1 });
        std::io::Write::write_all(&mut file, format!("{head}\n").as_bytes()).unwrap();
        let report = output(&ask(&app, 1, json!({})).await);
        assert_eq!(
            (&report["chain"]["ok"], &report["anomalies"][1]["kind"]),
            (&json!(false), &json!("chain")),
            "{report}"
        );
        let other = output(&ask(&app, 2, json!({})).await);
        assert_eq!(other["chain"]["faults"], json!(["the owner of the server can see where: `kapelle audit verify`"]));
        app.close().await;
        drop(app);
        let file = "kind: audit_processor\nname: auditor\nsettings: { night: 25:00-06:00, utc_offset: Berlin }\n";
        let app = start(folder.path(), file).await;
        let problems = format!("{:?}", app.problems);
        for part in ["settings.night", "not a time of the day", "settings.utc_offset", "`Berlin` is not an offset"] {
            assert!(problems.contains(part), "{problems}");
        }
        app.close().await;
    }
}
