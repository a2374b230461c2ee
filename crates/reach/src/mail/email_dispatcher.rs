//! The kind `email_dispatcher` and its worker.

use std::{sync::Arc, time::Duration};

use kapelle_core::{
    TaskError,
    worker::{BoxFuture, Effect, Output, TaskContext, Worker, WorkerSpec},
    yaml::{Shape, Table, key},
};
use kapelle_workers::{
    configured::{Fault, Given, Kind},
    schema::{Schema, object},
};
use lettre::{message::Mailbox, transport::smtp::authentication::Credentials};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{
    delivery::{Encryption, MailServer, is_loopback},
    message::{Draft, Rules},
    recipients::{Recipients, mailbox},
    template::MailTemplate,
};
use crate::{
    effect_log::{Begun, EffectLog, Ticket},
    faults::{apart, internal, invalid, unavailable, unsettled},
    reach::Now,
    secrets::{Revealed, SecretText, Secrets},
    settings::{duration, number, text},
    storage::hex,
};

static SETTINGS: Table = Table {
    name: "email_dispatcher_settings",
    about: "The settings of `kind: email_dispatcher`.",
    required: &["host", "from", "recipients"],
    keys: &[
        key("host", Shape::Text, "The mail server."),
        key(
            "port",
            Shape::Whole { least: 1, most: 65_535 },
            "Its port; default 587, or 465 with tls, or 25 with none.",
        ),
        key(
            "tls",
            Shape::OneOf(&["starttls", "tls", "none"]),
            "How the connection is encrypted; default starttls. `none` is for this machine alone.",
        ),
        key("ca", Shape::Text, "A file with the certificate of a private authority, in PEM."),
        key("username", Shape::Text, "The login; `${secret:NAME}` is possible."),
        key("password", Shape::Text, "Its password: `${secret:NAME}`."),
        key("from", Shape::Text, "The sender, such as Kapelle <kapelle@example.com>."),
        key(
            "recipients",
            Shape::List(&Shape::Text),
            "Who may get mail: addresses, `*@example.com` for a domain, or any.",
        ),
        key("max_recipients", Shape::Whole { least: 1, most: 1_000 }, "The recipients of one mail; default 50."),
        key("max_bytes", Shape::Whole { least: 1, most: 64 << 20 }, "The size of one mail; default 10 MiB."),
        key("timeout", Shape::Duration, "The time for the server's answers; default 60s."),
        key("templates", Shape::Map(&Shape::Object(&TEMPLATE)), "Mails by name, whose values the input gives."),
    ],
};

static TEMPLATE: Table = Table {
    name: "mail_template",
    about: "A mail with places for values: `{{ name }}`.",
    required: &["subject"],
    keys: &[
        key("subject", Shape::Text, "The subject."),
        key("text", Shape::Text, "The plain text."),
        key("html", Shape::Text, "The HTML, in which values are text and never markup."),
    ],
};

/// The kind `email_dispatcher`.
pub struct EmailDispatcher {
    secrets: Secrets,
    log: EffectLog,
    now: Now,
}

impl EmailDispatcher {
    /// Makes the kind. Sent mails are recorded in `log`.
    #[must_use]
    pub fn new(secrets: Secrets, log: EffectLog, now: Now) -> EmailDispatcher {
        EmailDispatcher { secrets, log, now }
    }
}

impl Kind for EmailDispatcher {
    fn name(&self) -> &'static str {
        "email_dispatcher"
    }

    fn settings(&self) -> &'static Table {
        &SETTINGS
    }

    fn make(&self, given: Given) -> Result<Arc<dyn Worker>, Vec<Fault>> {
        let Given { mut spec, settings, project } = given;
        let mut faults = Vec::new();
        let server = server(&settings, &project, &mut faults);
        let login = login(&settings, &self.secrets, &mut faults);
        let from = mailbox("from", text(&settings, "from").unwrap_or_default());
        let from = from.map_err(|_| {
            faults.push(Fault::of("from", "not an address", "write one such as Kapelle <kapelle@example.com>"))
        });
        let recipients = Recipients::read(&settings, &mut faults);
        let templates = MailTemplate::read_all(&settings, &mut faults);
        let input = Schema::compile(&input_schema());
        let input = input.map_err(|error| vec![Fault::of("host", error, "report this fault of Kapelle")])?;
        let Ok(from) = from else { return Err(faults) };
        if !faults.is_empty() {
            return Err(faults);
        }
        if spec.description.is_empty() {
            spec.description = format!("Send mail as {}", from.email);
        }
        spec.input = Some(input_schema());
        spec.output = Some(output_schema());
        spec.effects = vec![Effect::Mail];
        let rules = Rules {
            from,
            recipients,
            recipients_max: number(&settings, "max_recipients", 50),
            bytes_max: number(&settings, "max_bytes", 10 << 20),
            templates,
        };
        let (secrets, log, now) = (self.secrets.clone(), self.log.clone(), Arc::clone(&self.now));
        Ok(Arc::new(EmailWorker { spec, input, server, login, rules: Arc::new(rules), secrets, log, now }))
    }
}

fn server(settings: &Value, project: &std::path::Path, faults: &mut Vec<Fault>) -> MailServer {
    let host = text(settings, "host").unwrap_or_default().to_owned();
    let (encryption, port) = match text(settings, "tls") {
        Some("tls") => (Encryption::Tls, 465),
        Some("none") => (Encryption::Absent, 25),
        _ => (Encryption::StartTls, 587),
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || matches!(c, '/' | '@')) {
        faults.push(Fault::of(
            "host",
            format!("`{host}` is not a host"),
            "write a name such as smtp.example.com, and `port`",
        ));
    }
    if encryption == Encryption::Absent && !is_loopback(&host) {
        let message = format!("mail and login could be read on the way to `{host}`");
        faults.push(Fault::of("tls", message, "write starttls or tls; none is for 127.0.0.1, ::1 and localhost"));
    }
    let port = u16::try_from(number(settings, "port", port)).unwrap_or(587);
    let timeout = duration(settings, "timeout", Duration::from_secs(60));
    let ca = text(settings, "ca").map(|path| project.join(path));
    MailServer { host, port, encryption, ca, timeout }
}

fn login(settings: &Value, secrets: &Secrets, faults: &mut Vec<Fault>) -> Option<(SecretText, SecretText)> {
    let (name, password) = (text(settings, "username"), text(settings, "password"));
    if name.is_some() != password.is_some() {
        let (present, absent) = if name.is_some() { ("username", "password") } else { ("password", "username") };
        faults.push(Fault::of(present, format!("a login needs `{absent}`, too"), "write both or none"));
    }
    let password = SecretText::read("password", password?, secrets, faults);
    if !password.has_secret() && faults.is_empty() {
        let hint = "write ${secret:NAME}, and declare NAME in `secrets` of kapelle.yaml";
        faults.push(Fault::of("password", "a password is not written into a file", hint));
    }
    Some((SecretText::read("username", name?, secrets, faults), password))
}

fn input_schema() -> Value {
    let address = json!({ "type": "string", "description": "Ada <ada@example.com>" });
    let list = json!({ "type": "array", "minItems": 1, "items": address });
    let addresses = json!({ "oneOf": [address, list] });
    let attachment = object(
        &[],
        json!({
            "name": { "type": "string" },
            "media_type": { "type": "string" },
            "file": { "type": "object", "format": "file", "description": "A file of the store" },
            "text": { "type": "string" },
            "base64": { "type": "string" },
        }),
    );
    object(
        &["to"],
        json!({
            "to": addresses, "cc": addresses, "bcc": addresses,
            "reply_to": address,
            "subject": { "type": "string" },
            "text": { "type": "string" },
            "html": { "type": "string" },
            "template": { "type": "string", "description": "The name of a template of the settings" },
            "values": { "type": "object", "description": "The values of the template" },
            "attachments": { "type": "array", "maxItems": 50, "items": attachment },
            "key": {
                "type": "string", "minLength": 1, "maxLength": 200,
                "description": "One mail is sent for a key, whatever the number of tasks; default the task",
            },
        }),
    )
}

fn output_schema() -> Value {
    object(
        &["message_id", "recipients", "answer"],
        json!({
            "message_id": { "type": "string" },
            "recipients": { "type": "integer" },
            "answer": { "type": "string", "description": "The server's answer" },
        }),
    )
}

struct EmailWorker {
    spec: WorkerSpec,
    input: Schema,
    server: MailServer,
    login: Option<(SecretText, SecretText)>,
    rules: Arc<Rules>,
    secrets: Secrets,
    log: EffectLog,
    now: Now,
}

/// Identity of one mail in the record of effects.
#[derive(Clone)]
struct Identity {
    key: Arc<[String]>,
    task: String,
    content: Arc<[u8]>,
}

impl Identity {
    fn parts(&self) -> Vec<&str> {
        self.key.iter().map(String::as_str).collect()
    }

    /// Returns an id of the mail that every attempt computes again.
    fn message_id(&self, from: &Mailbox) -> String {
        let digest = hex(&Sha256::digest(self.key.join("\0").as_bytes()));
        format!("<{}@{}>", &digest[..32], from.email.domain())
    }
}

impl EmailWorker {
    async fn run(&self, ctx: &TaskContext, input: Value, revealed: &mut Revealed) -> Result<Value, TaskError> {
        let input = self.input.admit(input)?;
        let draft = Draft::read(&input, ctx, &self.rules)?;
        let identity = self.identity(ctx, &input);
        if let Some(output) = self.earlier(identity.clone()).await? {
            return Ok(output);
        }
        let login = match &self.login {
            Some((name, password)) => {
                let name = name.reveal(&self.secrets, revealed)?;
                Some(Credentials::new(name, password.reveal(&self.secrets, revealed)?))
            }
            None => None,
        };
        let (rules, id, now) = (Arc::clone(&self.rules), identity.message_id(&self.rules.from), (self.now)());
        let named = id.clone();
        let message = apart(move || draft.message(&rules, &named, now)).await?;
        let recipients = message.envelope().to().len();
        let ready = self.server.prepare(login, &message).await?;
        // Until here nothing went out, so that a crash is only another attempt.
        let ticket = match self.begin(identity).await? {
            Ok(ticket) => ticket,
            Err(output) => return Ok(output),
        };
        match self.server.finish(ready).await {
            Ok(answer) => {
                let output = json!({ "message_id": id, "recipients": recipients, "answer": revealed.scrub(&answer) });
                let noted = output.clone();
                if let Err(fault) = apart(move || ticket.done(&noted).map_err(record)).await {
                    // The mail is sent, and this attempt still reports it.
                    tracing::warn!(%fault, "the record of a sent mail cannot be written");
                }
                Ok(output)
            }
            Err(failed) if failed.unsent => {
                apart(move || ticket.undone().map_err(record)).await?;
                Err(failed.error)
            }
            Err(failed) => {
                let message =
                    format!("{}; whether the mail was sent is unknown, so it is not sent again", failed.error.message);
                Err(TaskError::new(failed.error.category, message).permanent())
            }
        }
    }

    fn identity(&self, ctx: &TaskContext, input: &Value) -> Identity {
        let (kind, key) = input["key"].as_str().map_or(("task", ctx.task.as_str()), |key| ("key", key));
        let key = ["email", self.spec.name.as_str(), &ctx.tenant.0.to_string(), kind, key].map(str::to_owned);
        Identity { key: key.into(), task: ctx.task.clone(), content: input.to_string().into_bytes().into() }
    }

    /// Returns the output of a mail that was sent already.
    async fn earlier(&self, identity: Identity) -> Result<Option<Value>, TaskError> {
        let log = self.log.clone();
        match apart(move || log.find(&identity.parts(), &identity.content).map_err(record)).await? {
            None => Ok(None),
            Some(begun) => settled(begun).map(Some),
        }
    }

    /// Records that the content is about to be sent. `Err` holds the output of a mail that was sent meanwhile.
    async fn begin(&self, identity: Identity) -> Result<Result<Ticket, Value>, TaskError> {
        let log = self.log.clone();
        let begun =
            apart(move || log.begin(&identity.parts(), &identity.task, &identity.content, false).map_err(record));
        match begun.await? {
            Begun::Fresh(ticket) => Ok(Ok(ticket)),
            begun => settled(begun).map(Err),
        }
    }
}

fn record(fault: std::io::Error) -> TaskError {
    internal(format!("the record of the mail: {fault}"))
}

/// Returns the output of an effect that is not begun again.
fn settled(begun: Begun) -> Result<Value, TaskError> {
    match begun {
        Begun::Done(output) => Ok(output),
        Begun::Running | Begun::Fresh(_) => Err(unavailable("another attempt is sending this mail")),
        Begun::Unknown(task) => Err(unsettled(format!(
            "an attempt of {task} was interrupted while it sent this mail; whether it arrived is unknown, so it is not \
             sent again. Ask a recipient, then submit a new task with another `key`"
        ))),
        Begun::Other(task) => {
            Err(invalid(format!("key: {task} used it for another mail; use another `key` for each mail")))
        }
    }
}

impl Worker for EmailWorker {
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
