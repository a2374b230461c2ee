//! `memory_sync`: facts of a tenant that later tasks read by key or search, each with its source.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{BufRead as _, BufReader},
    sync::Arc,
};

use kapelle_api as api;
use kapelle_core::{
    Category, TaskError, TaskId, TenantId,
    worker::{BoxFuture, Output, TaskContext, Worker, WorkerSpec},
    yaml::{Shape, Table, key},
};
use kapelle_store::{MemoRow, MemoWrite};
use kapelle_workers::{
    configured::{Fault, Given},
    prompt::Template,
    schema::{Schema, object},
};
use serde_json::{Value, json};

use crate::{
    app::App,
    app_error::AppError,
    caller::Caller,
    memory_fold::{Place, fold, score, short, source, words},
    memos::{WRITES_MAX, delete, failed, key_of, put},
    own_kind::OwnKind,
    reach::Home,
    session,
};

static SETTINGS: Table = Table {
    name: "memory_sync_settings",
    about: "The settings of `kind: memory_sync`.",
    required: &[],
    keys: &[
        key("collection", Shape::Name, "The name of the facts; workers of one name share them. Default facts."),
        key("max_facts", Shape::Whole { least: 10, most: 10_000 }, "Facts that are kept; default 1,000."),
        key(
            "outputs",
            Shape::Map(&Shape::Text),
            "Outputs that become facts: a worker, and a template such as `{{ text }}` over its output.",
        ),
    ],
};

/// Lines of the session log that one task folds.
const LINES_MAX: usize = 20_000;
/// Key of the place up to which the log is folded.
const PLACE: &str = ".place";

/// Makes the kind `memory_sync`.
pub(crate) fn kind(home: Home) -> OwnKind {
    OwnKind { name: "memory_sync", settings: &SETTINGS, make, home }
}

fn make(given: Given, home: Home) -> Result<Arc<dyn Worker>, Vec<Fault>> {
    let Given { mut spec, settings, .. } = given;
    let mut faults = Vec::new();
    let mut outputs = BTreeMap::new();
    for (worker, text) in settings["outputs"].as_object().into_iter().flatten() {
        match Template::compile(text.as_str().unwrap_or_default()) {
            Ok(template) => drop(outputs.insert(worker.clone(), template)),
            Err((why, _)) => {
                let hint = "write a template over the output, such as {{ text }}";
                faults.push(Fault::of(format!("outputs.{worker}"), why, hint));
            }
        }
    }
    let input = Schema::compile(&input_schema());
    let input = input.map_err(|error| vec![Fault::of("collection", error, "report this fault of Kapelle")])?;
    if !faults.is_empty() {
        return Err(faults);
    }
    if spec.description.is_empty() {
        "Fold the session log into facts, and find them again".clone_into(&mut spec.description);
    }
    spec.input = Some(input_schema());
    spec.output = Some(output_schema());
    let collection = settings["collection"].as_str().unwrap_or("facts").to_owned();
    let most = settings["max_facts"].as_u64().and_then(|most| usize::try_from(most).ok()).unwrap_or(1_000);
    Ok(Arc::new(MemoryWorker { spec, input, collection, most, outputs: Arc::new(outputs), home }))
}

fn input_schema() -> Value {
    object(
        &[],
        json!({
            "operation": { "enum": ["fold", "remember", "recall", "search", "forget"], "default": "fold" },
            "key": { "type": "string", "description": "remember, recall, forget: the name of the fact" },
            "text": { "type": "string", "description": "remember: the fact" },
            "query": { "type": "string", "description": "search: words" },
            "prefix": { "type": "string", "default": "", "description": "search: the beginning of keys" },
            "limit": { "type": "integer", "minimum": 1, "maximum": 100, "default": 10 },
        }),
    )
}

fn output_schema() -> Value {
    let (text, count) = (json!({ "type": "string" }), json!({ "type": "integer" }));
    let fact = object(
        &["key", "text", "source", "at"],
        json!({ "key": text, "text": text, "source": { "type": "object" }, "at": text, "counts": { "type": "object" } }),
    );
    object(
        &["operation"],
        json!({
            "operation": text,
            "facts": { "type": "array", "items": fact },
            "lines": count, "written": count, "deleted": count, "total": count,
            "complete": { "type": "boolean", "description": "fold: false when there are more lines than one task folds" },
        }),
    )
}

struct MemoryWorker {
    spec: WorkerSpec,
    input: Schema,
    collection: String,
    most: usize,
    outputs: Arc<BTreeMap<String, Template>>,
    home: Home,
}

impl MemoryWorker {
    async fn run(&self, ctx: &TaskContext, input: Value) -> Result<Value, TaskError> {
        let input = self.input.admit(input)?;
        let absent = "no server works in this process; submit the task to a server, or run it with `kapelle submit`";
        let app = self.home.app().await.ok_or_else(|| TaskError::new(Category::Unavailable, absent).permanent())?;
        let operation = input["operation"].as_str().unwrap_or("fold");
        let mut output = match operation {
            "remember" => self.remember(&app, ctx, &input).await?,
            "recall" => self.recall(&app, ctx.tenant, key_of("key", &input)?).await?,
            "search" => self.search(&app, ctx.tenant, &input).await?,
            "forget" => self.forget(&app, ctx.tenant, key_of("key", &input)?).await?,
            _ => self.fold(&app, ctx.tenant).await?,
        };
        output["operation"] = json!(operation);
        Ok(output)
    }

    async fn recall(&self, app: &Arc<App>, tenant: TenantId, key: &str) -> Result<Value, TaskError> {
        let found = app.memo(tenant, &self.collection, key).await.map_err(|error| failed(&error))?;
        let Some(row) = found else {
            let message = format!("key: there is no fact `{key}`; `search` finds keys");
            return Err(TaskError::new(Category::InvalidInput, message).permanent());
        };
        Ok(json!({ "facts": [shown(&row)] }))
    }

    async fn search(&self, app: &Arc<App>, tenant: TenantId, input: &Value) -> Result<Value, TaskError> {
        let rows = self.rows(app, tenant).await?;
        let prefix = input["prefix"].as_str().unwrap_or_default();
        let wanted = words(input["query"].as_str().unwrap_or_default());
        let mut found: Vec<(usize, Value)> = Vec::new();
        for row in rows.iter().filter(|row| !row.key.starts_with('.') && row.key.starts_with(prefix)) {
            let fact = shown(row);
            let score = score(&wanted, &row.key, fact["text"].as_str().unwrap_or_default());
            if score > 0 || wanted.is_empty() {
                found.push((score, fact));
            }
        }
        // The best first; of equal ones that of the smaller key.
        found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        let limit = input["limit"].as_u64().and_then(|limit| usize::try_from(limit).ok()).unwrap_or(10);
        Ok(json!({ "facts": found.into_iter().take(limit).map(|(_, fact)| fact).collect::<Vec<_>>() }))
    }

    async fn remember(&self, app: &Arc<App>, ctx: &TaskContext, input: &Value) -> Result<Value, TaskError> {
        let key = key_of("key", input)?;
        let text = input["text"].as_str().filter(|text| !text.trim().is_empty());
        let Some(text) = text else {
            return Err(TaskError::new(Category::InvalidInput, "text: remember needs the fact; add `text`").permanent());
        };
        let line = json!({ "task": ctx.task, "run": ctx.run, "step": ctx.step });
        let fact = json!({ "text": short(text), "source": source(&line) });
        let rows = self.rows(app, ctx.tenant).await?;
        let old = rows.iter().find(|row| *row.key == *key).map(|row| row.revision);
        let mut writes = vec![put((ctx.tenant, &self.collection, key), &fact, old, app.now())?];
        let deleted = self.excess(&rows, usize::from(old.is_none()), &BTreeSet::from([key]));
        writes.extend(deleted.iter().map(|row| delete(row)));
        self.keep(app, writes).await?;
        Ok(json!({ "written": 1, "deleted": deleted.len() }))
    }

    async fn forget(&self, app: &Arc<App>, tenant: TenantId, key: &str) -> Result<Value, TaskError> {
        let found = app.memo(tenant, &self.collection, key).await.map_err(|error| failed(&error))?;
        let writes: Vec<MemoWrite> = found.iter().map(delete).collect();
        let deleted = writes.len();
        self.keep(app, writes).await?;
        Ok(json!({ "deleted": deleted }))
    }

    async fn rows(&self, app: &Arc<App>, tenant: TenantId) -> Result<Vec<MemoRow>, TaskError> {
        app.memos(tenant, &self.collection, self.most + WRITES_MAX).await.map_err(|error| failed(&error))
    }

    async fn keep(&self, app: &Arc<App>, writes: Vec<MemoWrite>) -> Result<(), TaskError> {
        match app.keep_memos(writes).await.map_err(|error| failed(&error))? {
            true => Ok(()),
            false => Err(TaskError::new(Category::Unavailable, "another task changed the facts at the same time")),
        }
    }

    /// Returns the oldest facts beyond the limit once `new` more are there, but none of `kept`.
    fn excess<'a>(&self, rows: &'a [MemoRow], new: usize, kept: &BTreeSet<&str>) -> Vec<&'a MemoRow> {
        let mut facts: Vec<&MemoRow> = rows.iter().filter(|row| !row.key.starts_with('.')).collect();
        let beyond = (facts.len() + new).saturating_sub(self.most);
        facts.retain(|row| !kept.contains(&*row.key));
        facts.sort_by(|a, b| (a.at, &a.key).cmp(&(b.at, &b.key)));
        facts.into_iter().take(beyond.min(WRITES_MAX)).collect()
    }

    /// Folds the lines of the log since the last time, a commit for each part.
    async fn fold(&self, app: &Arc<App>, tenant: TenantId) -> Result<Value, TaskError> {
        let (mut lines, mut written, mut deleted) = (0, 0, 0);
        loop {
            let rows = self.rows(app, tenant).await?;
            let begun = rows.iter().find(|row| *row.key == *PLACE);
            let from = begun.map(|row| Place::read(&value(row))).unwrap_or_default();
            let read = app.list_for(tenant, move |app| read_lines(app, from, WRITES_MAX / 3));
            let (part, place) = read.await.map_err(|error| failed(&error))?;
            let mut facts: BTreeMap<String, Value> = rows.iter().map(|row| (row.key.to_string(), value(row))).collect();
            let mut changed: BTreeSet<String> = BTreeSet::new();
            let own = |line: &Value| line["worker"] == self.spec.name.as_str();
            for line in part.iter().filter(|line| line["tenant"] == tenant.0 && !own(line)) {
                changed.extend(fold(&mut facts, line));
                if let Some((key, fact)) = self.output(app, tenant, line).await {
                    changed.insert(key.clone());
                    facts.insert(key, fact);
                }
            }
            let revision = |key: &str| rows.iter().find(|row| *row.key == *key).map(|row| row.revision);
            let mut writes = Vec::new();
            for key in &changed {
                writes.push(put((tenant, &self.collection, key), &facts[key], revision(key), app.now())?);
            }
            let new = changed.iter().filter(|key| revision(key).is_none()).count();
            let kept: BTreeSet<&str> = changed.iter().map(String::as_str).collect();
            let excess = self.excess(&rows, new, &kept);
            writes.extend(excess.iter().map(|row| delete(row)));
            if place != from {
                writes.push(put((tenant, &self.collection, PLACE), &place.value(), revision(PLACE), app.now())?);
            }
            self.keep(app, writes).await?;
            (lines, written, deleted) = (lines + part.len(), written + changed.len(), deleted + excess.len());
            if place == from || lines >= LINES_MAX {
                let total = rows.iter().filter(|row| !row.key.starts_with('.')).count() + new - excess.len();
                let complete = place == from;
                return Ok(json!({
                    "lines": lines, "written": written, "deleted": deleted, "total": total, "complete": complete,
                }));
            }
        }
    }

    /// Makes a fact of an output that the settings choose. `None` for another line, and for an output that is gone or
    /// does not fit the template.
    async fn output(&self, app: &Arc<App>, tenant: TenantId, line: &Value) -> Option<(String, Value)> {
        let worker = line["worker"].as_str().filter(|_| line["outcome"] == "succeeded")?;
        let template = self.outputs.get(worker)?;
        let id: TaskId = line["task"].as_str()?.parse().ok()?;
        let by = Caller { tenant, ..Caller::owner("library") };
        let (task, _): (api::Task, _) = app.task(&by, id, None).await.ok()?;
        let output: Value = serde_json::from_str(task.output?.get()).ok()?;
        let text = template.render(&output).ok()?;
        let fact = json!({ "text": short(text.trim()), "source": source(line) });
        Some((format!("output/{worker}/{id}"), fact))
    }
}

fn value(row: &MemoRow) -> Value {
    serde_json::from_str(&row.value).unwrap_or_default()
}

fn shown(row: &MemoRow) -> Value {
    let mut fact = value(row);
    let text = fact["text"].as_str().unwrap_or_default().to_owned();
    let source = if fact["source"].is_object() { fact["source"].take() } else { json!({}) };
    let mut shown = json!({ "key": &*row.key, "text": text, "source": source, "at": crate::to_api::time(row.at) });
    if fact["counts"].is_object() {
        shown["counts"] = fact["counts"].take();
    }
    shown
}

/// Reads at most `most` lines of the session log after a place. Returns ends of tasks, and the place after the lines.
fn read_lines(app: &App, from: Place, most: usize) -> Result<(Vec<Value>, Place), AppError> {
    let unreadable = |error: std::io::Error| AppError::internal(format!("the session log cannot be read: {error}"));
    let files: Vec<_> = session::files(app.folder()).into_iter().filter(|path| path.exists()).collect();
    let mut first: Vec<u64> = Vec::new();
    for path in &files {
        let mut line = String::new();
        BufReader::new(File::open(path).map_err(unreadable)?).read_line(&mut line).map_err(unreadable)?;
        first.push(number(&line).unwrap_or(0));
    }
    let (mut found, mut at, mut read) = (Vec::new(), from, 0);
    // The lines of `from.seq` that were folded already.
    let mut skip = from.lines;
    for (index, path) in files.iter().enumerate() {
        if first.get(index + 1).is_some_and(|next| *next > 0 && *next < from.seq) {
            continue;
        }
        for line in BufReader::new(File::open(path).map_err(unreadable)?).split(b'\n') {
            let line = line.map_err(unreadable)?;
            let text = String::from_utf8_lossy(&line);
            // Cheap for the lines before: they are not parsed as a whole.
            let Some(seq) = number(&text) else { continue };
            if seq < from.seq {
                continue;
            }
            if seq == from.seq && skip > 0 {
                skip -= 1;
                continue;
            }
            if read == most {
                return Ok((found, at));
            }
            let Ok(line) = serde_json::from_str::<Value>(&text) else { break };
            read += 1;
            at.pass(seq);
            if line["event"] == "task_ended" {
                found.push(line);
            }
        }
    }
    Ok((found, at))
}

fn number(line: &str) -> Option<u64> {
    let (_, after) = line.split_once("\"seq\":")?;
    let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
    after[..end].parse().ok()
}

impl Worker for MemoryWorker {
    fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    fn execute<'a>(&'a self, ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move { self.run(ctx, input).await.map(Output::plain) })
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, time::Duration};

    use super::*;
    use crate::Parts;

    const FILE: &str = "kind: memory_sync\nname: memory\ntenants: [2]\nsettings: { max_facts: 12, outputs: { sum: 'sum {{ text }}' } }\n";

    /// A worker that fails when it is told to.
    struct Sum(WorkerSpec);

    impl Worker for Sum {
        fn spec(&self) -> &WorkerSpec {
            &self.0
        }

        fn execute<'a>(&'a self, _: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
            let failed = TaskError::new(Category::InvalidInput, "no numbers").permanent();
            let done = if input["fail"] == true { Err(failed) } else { Ok(Output::plain(input)) };
            Box::pin(std::future::ready(done))
        }
    }

    async fn start(folder: &Path) -> Arc<App> {
        std::fs::create_dir_all(folder.join("workers")).unwrap();
        std::fs::write(folder.join("workers/memory.yaml"), FILE).unwrap();
        let parts = Parts { workers: vec![folder.join("workers")], session: true, ..Parts::of(&folder.join("state")) };
        let app = crate::open(parts).await.unwrap();
        assert!(app.problems.is_empty(), "{:?}", app.problems);
        app.engine().registry().insert(Arc::new(Sum(WorkerSpec::named("sum"))));
        app.engine().workers_changed();
        app
    }

    async fn ask(app: &Arc<App>, tenant: u32, worker: &str, input: Value) -> api::Task {
        let by = Caller { tenant: TenantId(tenant), ..Caller::owner("folder") };
        let given = api::SubmitTask { worker: worker.to_owned(), input, ..api::SubmitTask::default() };
        let id = app.submit_task(&by, given, None).await.unwrap();
        loop {
            let (task, _) = app.task(&by, id, Some(Duration::from_secs(1))).await.unwrap();
            if task.state.is_ended() {
                return task;
            }
        }
    }

    async fn memory(app: &Arc<App>, input: Value) -> Value {
        let task = ask(app, 1, "memory", input).await;
        serde_json::from_str(task.output.as_ref().unwrap_or_else(|| panic!("{task:?}")).get()).unwrap()
    }

    async fn text(app: &Arc<App>, key: &str) -> String {
        let found = memory(app, json!({ "operation": "recall", "key": key })).await;
        found["facts"][0]["text"].as_str().unwrap().to_owned()
    }

    /// Folds until the log, which a thread writes, has the end of a task.
    async fn fold_until(app: &Arc<App>, wanted: &str) {
        loop {
            memory(app, json!({})).await;
            let found = memory(app, json!({ "operation": "search", "prefix": "worker/sum" })).await;
            if found["facts"][0]["text"] == wanted {
                return;
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn ends_of_tasks_become_facts_once_and_outlive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let app = start(folder.path()).await;
        let first = ask(&app, 1, "sum", json!({ "text": "four" })).await;
        ask(&app, 1, "sum", json!({ "fail": true })).await;
        ask(&app, 2, "sum", json!({ "text": "of another tenant" })).await;
        fold_until(&app, "sum: 1 succeeded, 1 failed").await;
        assert_eq!(text(&app, &format!("output/sum/{}", first.id)).await, "sum four");
        assert!(text(&app, "failure/sum/invalid_input").await.ends_with("no numbers"));
        let found = memory(&app, json!({ "operation": "search", "query": "four" })).await;
        assert_eq!(found["facts"][0]["source"]["task"], first.id.to_string());
        assert!(!memory(&app, json!({ "operation": "search", "limit": 100 })).await.to_string().contains("another"));
        app.close().await;
        drop(app);
        let app = start(folder.path()).await;
        ask(&app, 1, "sum", json!({ "text": "five" })).await;
        fold_until(&app, "sum: 2 succeeded, 1 failed").await;
        memory(&app, json!({})).await;
        assert_eq!(text(&app, "worker/sum").await, "sum: 2 succeeded, 1 failed", "nothing is counted twice");
        app.close().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn facts_are_remembered_found_forgotten_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let app = start(folder.path()).await;
        for number in 1..=14 {
            let input =
                json!({ "operation": "remember", "key": format!("k{number:02}"), "text": format!("fact {number}") });
            memory(&app, input).await;
        }
        let found = memory(&app, json!({ "operation": "search", "prefix": "k", "limit": 100 })).await;
        assert_eq!(found["facts"].as_array().unwrap().len(), 12, "{found}");
        assert_eq!(found["facts"][0]["key"], "k03", "the oldest are deleted");
        memory(&app, json!({ "operation": "remember", "key": "k14", "text": "changed" })).await;
        assert_eq!(text(&app, "k14").await, "changed");
        assert_eq!(memory(&app, json!({ "operation": "forget", "key": "k14" })).await["deleted"], 1);
        assert_eq!(memory(&app, json!({ "operation": "forget", "key": "k14" })).await["deleted"], 0);
        for (input, part) in [
            (json!({ "operation": "recall", "key": "k14" }), "key: there is no fact `k14`"),
            (json!({ "operation": "recall" }), "key: write a text"),
            (json!({ "operation": "recall", "key": ".place" }), "key: write a text"),
            (json!({ "operation": "remember", "key": "a\nb", "text": "x" }), "key: write a text"),
            (json!({ "operation": "remember", "key": "a" }), "text: remember needs the fact"),
        ] {
            let error = ask(&app, 1, "memory", input.clone()).await.error.unwrap();
            assert_eq!(error.category, "invalid_input", "{input}");
            assert!(error.message.contains(part), "{input}: {}", error.message);
        }
        app.close().await;
    }
}
