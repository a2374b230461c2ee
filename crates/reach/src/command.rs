//! `command`: one program that the owner fixed, with arguments that the input fills in, started without a shell.

use std::{ffi::OsString, path::PathBuf, sync::Arc, time::Duration};

use kapelle_core::{
    Category, TaskError,
    worker::{BoxFuture, Effect, Output, TaskContext, Worker, WorkerSpec},
    yaml::{Shape, Table, key},
};
use kapelle_supervisor::{ChildError, ChildInput, ChildOutput, LimitedChild, Limits};
use kapelle_workers::{
    configured::{Fault, Given, Kind},
    schema::{Schema, object},
};
use serde_json::{Map, Value, json};

use crate::{
    effect_log::{Begun, EffectLog, Ticket},
    faults::{apart, internal, invalid, unavailable, unsettled},
    secrets::{Revealed, SecretText, Secrets},
    settings::{duration, flag, number, text, texts},
};

static SETTINGS: Table = Table {
    name: "command_settings",
    about: "The settings of `kind: command`.",
    required: &["program"],
    keys: &[
        key("program", Shape::Text, "The absolute path of the program."),
        key("args", Shape::List(&Shape::Text), "Its arguments; `{name}` stands for an argument of the input."),
        key("arguments", Shape::Map(&Shape::Json), "JSON Schemas of the arguments of the input, by name."),
        key("stdin", Shape::Text, "The argument that becomes the standard input."),
        key("folder", Shape::Text, "The working directory; default the project."),
        key(
            "environment",
            Shape::Map(&Shape::Text),
            "Its whole environment beside PATH; `${secret:NAME}` is possible.",
        ),
        key("output", Shape::OneOf(&["text", "json"]), "The form of its standard output; default text."),
        key("timeout", Shape::Duration, "The time for one start; default 60s."),
        key("max_output", Shape::Whole { least: 1, most: 16 << 20 }, "The longest output, in bytes; default 1 MiB."),
        key("max_memory_mb", Shape::Whole { least: 1, most: 1 << 20 }, "Its memory, in MiB; default 512."),
        key(
            "max_file_mb",
            Shape::Whole { least: 0, most: 1 << 20 },
            "The largest file it may write, in MiB; default 0.",
        ),
        key("repeatable", Shape::Flag, "Whether it may be started again when an attempt was interrupted."),
        key("retry_codes", Shape::List(&EXIT), "Exit codes after which it is tried again."),
    ],
};

const EXIT: Shape = Shape::Whole { least: 1, most: 255 };

/// The kind `command`.
pub struct Command {
    secrets: Secrets,
    log: EffectLog,
}

impl Command {
    /// Makes the kind. Starts that may not be repeated are recorded in `log`.
    #[must_use]
    pub fn new(secrets: Secrets, log: EffectLog) -> Command {
        Command { secrets, log }
    }
}

/// A piece of an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Input(String),
}

impl Kind for Command {
    fn name(&self) -> &'static str {
        "command"
    }

    fn settings(&self) -> &'static Table {
        &SETTINGS
    }

    fn make(&self, given: Given) -> Result<Arc<dyn Worker>, Vec<Fault>> {
        let Given { mut spec, settings, project } = given;
        let mut faults = Vec::new();
        let program = PathBuf::from(text(&settings, "program").unwrap_or_default());
        if !program.is_absolute() {
            let message = format!("`{}` is not an absolute path", program.display());
            faults.push(Fault::of("program", message, "write one such as /usr/bin/convert"));
        }
        let arguments = settings["arguments"].as_object().cloned().unwrap_or_default();
        let args = templates(&settings, &arguments, &mut faults);
        let stdin = text(&settings, "stdin").map(str::to_owned);
        if let Some(name) = stdin.as_ref().filter(|name| !arguments.contains_key(*name)) {
            faults.push(Fault::of("stdin", format!("`{name}` is not among `arguments`"), "declare it there"));
        }
        let environment = SecretText::read_map("environment", &settings, &self.secrets, &mut faults);
        let required: Vec<&str> = arguments
            .iter()
            .filter(|(_, schema)| schema.get("default").is_none())
            .map(|(name, _)| name.as_str())
            .collect();
        let schema = object(&required, Value::Object(arguments.clone()));
        let input = Schema::compile(&schema).map_err(|error| {
            faults.push(Fault::of(
                "arguments",
                format!("not a JSON Schema: {error}"),
                "write one such as { type: string }",
            ));
        });
        let Ok(input) = input else { return Err(faults) };
        if !faults.is_empty() {
            return Err(faults);
        }
        if spec.description.is_empty() {
            spec.description = format!("Run {}", program.display());
        }
        let is_json = text(&settings, "output") == Some("json");
        spec.input = Some(schema);
        spec.output = Some(output_schema(is_json));
        spec.effects = vec![Effect::Process];
        let mib = |field, default| (number(&settings, field, default) as u64) << 20;
        let wall = duration(&settings, "timeout", Duration::from_secs(60));
        Ok(Arc::new(CommandWorker {
            spec,
            input,
            program,
            args,
            stdin,
            folder: project.join(text(&settings, "folder").unwrap_or(".")),
            environment,
            is_json,
            limits: Limits {
                memory: mib("max_memory_mb", 512),
                cpu: wall,
                wall,
                output: number(&settings, "max_output", 1 << 20),
                open_files: 256,
                file_size: mib("max_file_mb", 0),
            },
            retry_codes: serde_json::from_value(settings["retry_codes"].clone()).unwrap_or_default(),
            secrets: self.secrets.clone(),
            log: self.log.clone(),
            repeatable: flag(&settings, "repeatable"),
        }))
    }
}

fn output_schema(is_json: bool) -> Value {
    let stdout = if is_json { json!({}) } else { json!({ "type": "string" }) };
    object(&["stdout", "stderr"], json!({ "stdout": stdout, "stderr": { "type": "string" } }))
}

/// Reads the arguments. Each stays one argument, whatever the input fills in.
fn templates(settings: &Value, arguments: &Map<String, Value>, faults: &mut Vec<Fault>) -> Vec<Vec<Piece>> {
    let mut templates = Vec::new();
    for (at, text) in texts(settings, "args").into_iter().enumerate() {
        let (mut pieces, mut rest) = (Vec::new(), text);
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, after)) = after.split_once('}') else { break };
            if !arguments.contains_key(name) {
                let hint = format!("declare it: `arguments: {{ {name}: {{ type: string }} }}`");
                faults.push(Fault::of(format!("args[{at}]"), format!("`{{{name}}}` is not among `arguments`"), hint));
            }
            pieces.extend([Piece::Text(before.to_owned()), Piece::Input(name.to_owned())]);
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        if text.contains("${secret:") {
            let hint = "every user of the machine can read arguments; pass it in `environment`";
            faults.push(Fault::of(format!("args[{at}]"), "a secret is not possible here", hint));
        }
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        templates.push(pieces);
    }
    templates
}

struct CommandWorker {
    spec: WorkerSpec,
    input: Schema,
    program: PathBuf,
    args: Vec<Vec<Piece>>,
    stdin: Option<String>,
    folder: PathBuf,
    environment: Vec<(String, SecretText)>,
    is_json: bool,
    limits: Limits,
    retry_codes: Vec<i32>,
    secrets: Secrets,
    log: EffectLog,
    repeatable: bool,
}

impl CommandWorker {
    fn argument(input: &Value, pieces: &[Piece]) -> Result<OsString, TaskError> {
        let mut argument = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => argument.push_str(text),
                Piece::Input(name) => {
                    let value = plain(&input[name.as_str()], name)?;
                    if argument.is_empty() && value.starts_with('-') && !input[name.as_str()].is_number() {
                        let message = "it begins with `-`, so the program would take it for an option";
                        return Err(invalid(format!("{name}: {message}; write another value, such as ./-name")));
                    }
                    argument.push_str(&value);
                }
            }
        }
        Ok(argument.into())
    }

    fn child(&self, input: &Value, revealed: &mut Revealed) -> Result<LimitedChild, TaskError> {
        let mut child = LimitedChild::new(&self.program);
        child.args = self.args.iter().map(|pieces| Self::argument(input, pieces)).collect::<Result<_, _>>()?;
        child.env.push(("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()));
        for (name, text) in &self.environment {
            child.env.push((name.into(), text.reveal(&self.secrets, revealed)?.into()));
        }
        if let Some(name) = &self.stdin {
            child.stdin = ChildInput::Bytes(plain(&input[name.as_str()], name)?.into_bytes());
        }
        child.folder = Some(self.folder.clone());
        child.limits = self.limits.clone();
        Ok(child)
    }

    async fn run(&self, ctx: &TaskContext, input: Value, revealed: &mut Revealed) -> Result<Value, TaskError> {
        let input = self.input.admit(input)?;
        let child = self.child(&input, revealed)?;
        if !self.folder.is_dir() {
            let folder = self.folder.display();
            return Err(unsettled(format!(
                "folder: {folder} is not there; make it, or change `folder` of the worker's file"
            )));
        }
        let ticket = match self.begin(ctx, &input).await? {
            Ok(ticket) => ticket,
            Err(output) => return Ok(output),
        };
        let (done, known) = match child.run().await {
            Ok(output) => (self.output(&output).map(|output| revealed.scrub_value(output)), true),
            Err(error) => {
                let known = !matches!(error, ChildError::Io(_));
                (Err(self.failure(&error)), known)
            }
        };
        if let Some(ticket) = ticket.filter(|_| known) {
            let ended = done.clone();
            let noted = apart(move || {
                let noted = match &ended {
                    Ok(output) => ticket.done(output),
                    Err(_) => ticket.undone(),
                };
                noted.map_err(|fault| internal(format!("the record of the command: {fault}")))
            });
            if let Err(fault) = noted.await {
                tracing::warn!(%fault, "the end of a command cannot be recorded");
            }
        }
        done
    }

    /// Records that the program is about to start. `Err` holds the output of an earlier start of the task.
    async fn begin(&self, ctx: &TaskContext, input: &Value) -> Result<Result<Option<Ticket>, Value>, TaskError> {
        if self.repeatable {
            return Ok(Ok(None));
        }
        let (log, worker, task) = (self.log.clone(), self.spec.name.to_string(), ctx.task.clone());
        let (tenant, content) = (ctx.tenant.0.to_string(), input.to_string());
        let begun = apart(move || {
            let key = ["command", worker.as_str(), tenant.as_str(), task.as_str()];
            let begun = log.begin(&key, &task, content.as_bytes(), false);
            begun.map_err(|fault| internal(format!("the record of the command cannot be written: {fault}")))
        });
        match begun.await? {
            Begun::Fresh(ticket) => Ok(Ok(Some(ticket))),
            Begun::Done(output) => Ok(Err(output)),
            Begun::Running => Err(unavailable("an earlier attempt of this task is still running the program")),
            Begun::Unknown(_) | Begun::Other(_) => Err(unsettled(
                "an earlier attempt started the program and was interrupted; how far it came is unknown, so it is not \
                 started again. Look what it did, then submit a new task; `repeatable: true` in the worker's file allows \
                 repetition",
            )),
        }
    }

    fn output(&self, output: &ChildOutput) -> Result<Value, TaskError> {
        let stderr = output.stderr_tail.as_str();
        if !self.is_json {
            return Ok(json!({ "stdout": String::from_utf8_lossy(&output.stdout), "stderr": stderr }));
        }
        match serde_json::from_slice::<Value>(&output.stdout) {
            Ok(value) => Ok(json!({ "stdout": value, "stderr": stderr })),
            Err(error) => {
                let message = format!("the program's output is not JSON: {error}; correct it, or write `output: text`");
                Err(TaskError::new(Category::InvalidOutput, message).permanent())
            }
        }
    }

    fn failure(&self, error: &ChildError) -> TaskError {
        let (category, next) = match error {
            ChildError::TimedOut { .. } => (Category::Timeout, "raise `timeout` of the settings"),
            ChildError::OutOfMemory { .. } => (Category::Crashed, "raise `max_memory_mb` of the settings"),
            ChildError::TooMuchOutput { .. } => (Category::InvalidOutput, "raise `max_output` of the settings"),
            ChildError::CannotStart { .. } => (Category::Unavailable, "correct `program` of the settings"),
            ChildError::Crashed { .. } => (Category::Crashed, "`retry_codes` lists codes that are tried again"),
            ChildError::Io(_) => (Category::Internal, "look at the log of the server"),
        };
        let again = matches!(error, ChildError::Crashed { code: Some(code), .. } if self.retry_codes.contains(code));
        let mut failure = TaskError::new(category, format!("{error}; {next}"));
        failure.retryable = again;
        failure
    }
}

/// Returns the text of one argument.
fn plain(value: &Value, name: &str) -> Result<String, TaskError> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        _ => return Err(invalid(format!("{name}: expected text, a number, true or false"))),
    };
    if text.contains('\0') {
        return Err(invalid(format!("{name}: it holds a NUL character, which an argument cannot have; remove it")));
    }
    Ok(text)
}

impl Worker for CommandWorker {
    fn spec(&self) -> &WorkerSpec {
        &self.spec
    }

    fn execute<'a>(&'a self, ctx: &'a TaskContext, input: Value) -> BoxFuture<'a, Result<Output, TaskError>> {
        Box::pin(async move {
            let mut revealed = Revealed::default();
            let done = self.run(ctx, input, &mut revealed).await;
            done.map(Output::plain).map_err(|error| revealed.scrub_error(error))
        })
    }
}
