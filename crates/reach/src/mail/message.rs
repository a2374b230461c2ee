//! A mail, made of the input of a task.

use std::{
    fs::File,
    io::Read as _,
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use kapelle_core::{TaskError, worker::TaskContext};
use lettre::{
    Message,
    message::{Attachment, Mailbox, MultiPart, SinglePart, header::ContentType},
};
use serde_json::Value;

use super::{
    recipients::{Recipients, mailbox},
    template::{MailTemplate, Written},
};
use crate::{
    faults::{internal, invalid, unavailable},
    storage::stored,
};

/// Characters of a subject and of the name of an attachment.
const LINE_MAX: usize = 250;

/// Rules of the settings.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) from: Mailbox,
    pub(super) recipients: Recipients,
    pub(super) recipients_max: usize,
    pub(super) bytes_max: usize,
    pub(super) templates: Vec<(String, MailTemplate)>,
}

/// A checked mail, whose attachments are not read yet.
pub(super) struct Draft {
    pub(super) to: Vec<Mailbox>,
    cc: Vec<Mailbox>,
    bcc: Vec<Mailbox>,
    reply_to: Option<Mailbox>,
    written: Written,
    attached: Vec<Attached>,
}

struct Attached {
    name: String,
    media_type: ContentType,
    content: Content,
}

enum Content {
    Bytes(Vec<u8>),
    Stored(PathBuf),
}

impl Draft {
    /// Checks an input.
    ///
    /// # Errors
    /// The field, and what to write instead.
    pub(super) fn read(input: &Value, ctx: &TaskContext, rules: &Rules) -> Result<Draft, TaskError> {
        let (to, cc, bcc) = (mailboxes(input, "to")?, mailboxes(input, "cc")?, mailboxes(input, "bcc")?);
        for (field, list) in [("to", &to), ("cc", &cc), ("bcc", &bcc)] {
            list.iter().try_for_each(|mailbox| rules.recipients.admit(field, mailbox))?;
        }
        let (count, most) = (to.len() + cc.len() + bcc.len(), rules.recipients_max);
        if count > most {
            return Err(invalid(format!(
                "to: {count} recipients; `max_recipients` of the settings is {most}, so send several mails"
            )));
        }
        let reply_to = input["reply_to"].as_str().map(|text| mailbox("reply_to", text)).transpose()?;
        let written = written(input, rules)?;
        line("subject", &written.subject)?;
        if written.subject.is_empty() {
            return Err(invalid("subject: it is empty; write one"));
        }
        let attached = input["attachments"].as_array().into_iter().flatten().enumerate();
        let attached = attached.map(|(at, value)| Attached::read(at, value, ctx)).collect::<Result<_, _>>()?;
        Ok(Draft { to, cc, bcc, reply_to, written, attached })
    }

    /// Reads the attachments and makes the mail.
    ///
    /// # Errors
    /// A file that cannot be read, or too many bytes.
    pub(super) fn message(self, rules: &Rules, id: &str, now_ms: i64) -> Result<Message, TaskError> {
        let date = UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms).unwrap_or(0));
        let mut builder = Message::builder()
            .from(rules.from.clone())
            .subject(self.written.subject)
            .date(date)
            .message_id(Some(id.to_owned()));
        builder = self.reply_to.into_iter().fold(builder, |builder, mailbox| builder.reply_to(mailbox));
        builder = self.to.into_iter().fold(builder, |builder, mailbox| builder.to(mailbox));
        builder = self.cc.into_iter().fold(builder, |builder, mailbox| builder.cc(mailbox));
        builder = self.bcc.into_iter().fold(builder, |builder, mailbox| builder.bcc(mailbox));
        let mut left = rules.bytes_max;
        let mut take = |bytes: usize| {
            let most = rules.bytes_max;
            left = left.checked_sub(bytes).ok_or_else(|| {
                invalid(format!(
                    "attachments: the mail is longer than {most} bytes; `max_bytes` of the settings limits it"
                ))
            })?;
            Ok::<usize, TaskError>(left)
        };
        let body = match (self.written.text, self.written.html) {
            (Some(text), None) => Body::Single(SinglePart::plain(text)),
            (None, Some(html)) => Body::Single(SinglePart::html(html)),
            (text, html) => {
                Body::Both(MultiPart::alternative_plain_html(text.unwrap_or_default(), html.unwrap_or_default()))
            }
        };
        let mut room = take(body.len())?;
        let mut parts = Vec::new();
        for attached in self.attached {
            let bytes = attached.content.bytes(&attached.name, room)?;
            room = take(bytes.len())?;
            parts.push(Attachment::new(attached.name).body(bytes, attached.media_type));
        }
        let made = match (body, parts.is_empty()) {
            (Body::Single(part), true) => builder.singlepart(part),
            (Body::Both(both), true) => builder.multipart(both),
            (body, false) => {
                let mixed = match body {
                    Body::Single(part) => MultiPart::mixed().singlepart(part),
                    Body::Both(both) => MultiPart::mixed().multipart(both),
                };
                builder.multipart(parts.into_iter().fold(mixed, MultiPart::singlepart))
            }
        };
        made.map_err(|error| internal(format!("the mail cannot be made: {error}")))
    }
}

enum Body {
    Single(SinglePart),
    Both(MultiPart),
}

impl Body {
    fn len(&self) -> usize {
        match self {
            Body::Single(part) => part.formatted().len(),
            Body::Both(both) => both.formatted().len(),
        }
    }
}

fn mailboxes(input: &Value, field: &str) -> Result<Vec<Mailbox>, TaskError> {
    match &input[field] {
        Value::String(text) => Ok(vec![mailbox(field, text)?]),
        Value::Array(list) => {
            let read = |(at, text): (usize, &Value)| mailbox(&format!("{field}[{at}]"), text.as_str().unwrap_or(""));
            list.iter().enumerate().map(read).collect()
        }
        _ => Ok(Vec::new()),
    }
}

fn written(input: &Value, rules: &Rules) -> Result<Written, TaskError> {
    let own = |field: &str| input[field].as_str().map(str::to_owned);
    let Some(name) = input["template"].as_str() else {
        let written = Written { subject: own("subject").unwrap_or_default(), text: own("text"), html: own("html") };
        if written.text.is_none() && written.html.is_none() {
            return Err(invalid("text, html, template: a mail needs one of them"));
        }
        return Ok(written);
    };
    if let Some(field) = ["subject", "text", "html"].into_iter().find(|field| input.get(*field).is_some()) {
        return Err(invalid(format!("{field}: the template has one; leave `{field}` or `template` out")));
    }
    let Some((_, template)) = rules.templates.iter().find(|(known, _)| known == name) else {
        let known: Vec<&str> = rules.templates.iter().map(|(name, _)| name.as_str()).collect();
        let known = if known.is_empty() { "no templates".to_owned() } else { known.join(", ") };
        return Err(invalid(format!("template: the worker's file has no `{name}`; it has {known}")));
    };
    template.render(&input["values"])
}

fn line(field: &str, text: &str) -> Result<(), TaskError> {
    if text.chars().any(char::is_control) {
        return Err(invalid(format!("{field}: it holds a line break or another control character; remove it")));
    }
    if text.chars().count() > LINE_MAX {
        return Err(invalid(format!("{field}: it has more than {LINE_MAX} characters; shorten it")));
    }
    Ok(())
}

impl Attached {
    fn read(at: usize, value: &Value, ctx: &TaskContext) -> Result<Attached, TaskError> {
        let field = format!("attachments[{at}]");
        let given: Vec<&str> = ["file", "text", "base64"].into_iter().filter(|key| value.get(*key).is_some()).collect();
        let (content, named, typed) = match given.as_slice() {
            ["file"] => {
                let file = &value["file"];
                let (path, name) = stored(&format!("{field}.file"), file, ctx)?;
                (Content::Stored(path), Some(name), file["media_type"].as_str())
            }
            ["text"] => {
                let bytes = value["text"].as_str().unwrap_or_default().as_bytes().to_vec();
                (Content::Bytes(bytes), None, Some("text/plain; charset=utf-8"))
            }
            ["base64"] => {
                let bytes = STANDARD.decode(value["base64"].as_str().unwrap_or_default());
                let bytes =
                    bytes.map_err(|error| invalid(format!("{field}.base64: {error}; write standard base64")))?;
                (Content::Bytes(bytes), None, None)
            }
            _ => return Err(invalid(format!("{field}: it needs exactly one of file, text and base64"))),
        };
        let name = value["name"].as_str().map(str::to_owned).or(named);
        let name =
            name.ok_or_else(|| invalid(format!("{field}.name: an attachment needs a name, such as report.pdf")))?;
        line(&format!("{field}.name"), &name)?;
        if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
            let shown: String = name.chars().take(80).collect();
            return Err(invalid(format!("{field}.name: `{shown}` is not a plain name; write one such as report.pdf")));
        }
        let media_type = value["media_type"].as_str().or(typed).unwrap_or("application/octet-stream");
        let media_type = ContentType::parse(media_type).ok().filter(|_| !media_type.chars().any(char::is_control));
        let media_type =
            media_type.ok_or_else(|| invalid(format!("{field}.media_type: write one such as application/pdf")))?;
        Ok(Attached { name, media_type, content })
    }
}

impl Content {
    fn bytes(self, name: &str, room: usize) -> Result<Vec<u8>, TaskError> {
        let path = match self {
            Content::Bytes(bytes) => return Ok(bytes),
            Content::Stored(path) => path,
        };
        let mut bytes = Vec::new();
        let read = File::open(path).and_then(|file| file.take(room as u64 + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(bytes),
            Err(error) => Err(unavailable(format!("attachments: `{name}` cannot be read: {error}"))),
        }
    }
}
