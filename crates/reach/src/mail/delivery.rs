//! One conversation with a mail server, in steps, so that it is known whether the mail can have been taken.

use std::{fs, net::IpAddr, path::PathBuf, time::Duration};

use kapelle_core::{Category, TaskError};
use lettre::{
    Message,
    address::Envelope,
    transport::smtp::{
        Error,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        commands::{Data, Mail, Rcpt},
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
    },
};

use crate::faults::{chain_of, invalid, unavailable, unsettled};

/// The way to encrypt a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encryption {
    /// The connection begins with TLS.
    Tls,
    /// TLS is required after the greeting.
    StartTls,
    /// Not at all: this machine alone.
    Absent,
}

/// The mail server of the settings.
#[derive(Debug, Clone)]
pub(super) struct MailServer {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) encryption: Encryption,
    /// A file with the certificate of a private authority.
    pub(super) ca: Option<PathBuf>,
    pub(super) timeout: Duration,
}

/// A connection that has named sender and recipients: only the content is missing.
pub(super) struct Ready {
    connection: AsyncSmtpConnection,
    mail: Vec<u8>,
}

/// The end of a mail that the server did not confirm.
pub(super) struct Unconfirmed {
    pub(super) error: TaskError,
    /// Whether the server certainly did not take it.
    pub(super) unsent: bool,
}

/// Tells whether a host is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

impl MailServer {
    fn shown(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn tls(&self) -> Result<TlsParameters, TaskError> {
        let mut builder = TlsParameters::builder(self.host.clone());
        if let Some(path) = &self.ca {
            let shown = path.display();
            let bad = |why: String| unsettled(format!("ca: {shown}: {why}; name a file with a certificate in PEM"));
            let pem = fs::read(path).map_err(|error| bad(error.to_string()))?;
            builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|error| bad(chain_of(&error)))?);
        }
        builder.build_rustls().map_err(|error| unsettled(format!("tls: {}", chain_of(&error))))
    }

    /// Connects, logs in, and names sender and recipients. Nothing is sent to anybody yet.
    ///
    /// # Errors
    /// A server that cannot be reached, or refuses the login or an address.
    pub(super) async fn prepare(&self, login: Option<Credentials>, message: &Message) -> Result<Ready, TaskError> {
        let prepared = tokio::time::timeout(self.timeout, self.greet(login, message)).await;
        prepared.unwrap_or_else(|_| Err(self.late()))
    }

    fn late(&self) -> TaskError {
        let (shown, ms) = (self.shown(), self.timeout.as_millis());
        TaskError::new(
            Category::Timeout,
            format!("{shown} did not answer within {ms} ms; raise `timeout` of the settings"),
        )
    }

    async fn greet(&self, login: Option<Credentials>, message: &Message) -> Result<Ready, TaskError> {
        let me = ClientId::default();
        let at_once = if self.encryption == Encryption::Tls { Some(self.tls()?) } else { None };
        let server = (self.host.as_str(), self.port);
        let mut connection = AsyncSmtpConnection::connect_tokio1(server, Some(self.timeout), &me, at_once, None)
            .await
            .map_err(|error| self.unreachable(&error))?;
        if self.encryption == Encryption::StartTls {
            if !connection.can_starttls() {
                let shown = self.shown();
                return Err(unsettled(format!(
                    "tls: {shown} offers no STARTTLS, so nothing was sent; choose `tls: tls`, or correct host and port"
                )));
            }
            connection.starttls(self.tls()?, &me).await.map_err(|error| self.unreachable(&error))?;
        }
        if let Some(login) = login {
            let mechanisms = DEFAULT_MECHANISMS;
            connection.auth(mechanisms, &login).await.map_err(|error| self.refused("username", &error))?;
        }
        let mail = message.formatted();
        self.address(&mut connection, message.envelope(), &mail).await?;
        Ok(Ready { connection, mail })
    }

    async fn address(&self, at: &mut AsyncSmtpConnection, envelope: &Envelope, mail: &[u8]) -> Result<(), TaskError> {
        let mut options = Vec::new();
        let lacks = |what: &str, next: &str| {
            invalid(format!("{what} needs an extension that {} does not have; {next}", self.shown()))
        };
        let mut named = envelope.from().into_iter().chain(envelope.to());
        if named.any(|address| !AsRef::<str>::as_ref(address).is_ascii()) {
            if !at.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(lacks("to: an address with such letters", "write an address of ASCII letters"));
            }
            options.push(MailParameter::SmtpUtfEight);
        }
        if !mail.is_ascii() {
            if !at.server_info().supports_feature(Extension::EightBitMime) {
                return Err(lacks("text: this text", "write it in ASCII"));
            }
            options.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let from = at.command(Mail::new(envelope.from().cloned(), options)).await;
        from.map_err(|error| self.refused("from", &error))?;
        for to in envelope.to() {
            let answer = at.command(Rcpt::new(to.clone(), Vec::new())).await;
            answer.map_err(|error| self.refused(&format!("to: {to}"), &error))?;
        }
        Ok(())
    }

    /// Sends the content, and returns the server's answer.
    ///
    /// # Errors
    /// A refusal, or a connection that broke before the answer.
    pub(super) async fn finish(&self, ready: Ready) -> Result<String, Unconfirmed> {
        let Ready { mut connection, mail } = ready;
        let sent = tokio::time::timeout(self.timeout, async {
            let before = connection.command(Data).await;
            before.map_err(|error| Unconfirmed { error: self.refused("text", &error), unsent: true })?;
            connection.message(&mail).await.map_err(|error| {
                // Only an answer with a code is a refusal: a connection that broke may have delivered.
                let unsent = error.status().is_some();
                Unconfirmed { error: self.refused("text", &error), unsent }
            })
        });
        let answer = sent.await.unwrap_or_else(|_| Err(Unconfirmed { error: self.late(), unsent: false }))?;
        // It is sent: a server that does not take leave changes nothing.
        let _ = tokio::time::timeout(Duration::from_secs(1), connection.quit()).await;
        Ok(answer.message().collect::<Vec<_>>().join(" "))
    }

    fn unreachable(&self, error: &Error) -> TaskError {
        let (shown, why) = (self.shown(), chain_of(error));
        // A server that speaks no TLS at this port answers with text instead.
        if error.is_tls() || why.contains("certificate") || why.contains("corrupt message") {
            return unsettled(format!("tls: {shown}: {why}; correct `tls`, or name the authority in `ca`"));
        }
        unavailable(format!("host: {shown} cannot be reached: {why}; correct `host` and `port`, or start the server"))
    }

    /// Makes the error of a refused step. A code of 4.. asks to come again later.
    fn refused(&self, field: &str, error: &Error) -> TaskError {
        let (shown, why) = (self.shown(), chain_of(error));
        match (error.status(), field) {
            (Some(_), _) if error.is_transient() => {
                unavailable(format!("{field}: {shown} does not take it now: {why}"))
            }
            (Some(_), "username") => {
                unsettled(format!("username: {shown} refuses the login: {why}; correct `username` and `password`"))
            }
            (None, "username") if error.is_client() => unsettled(format!(
                "username: {shown}: {why}; leave `username` out if it needs no login, or choose another port"
            )),
            (Some(_), "from") => unsettled(format!("from: {shown} refuses the sender: {why}; correct `from`")),
            (Some(_), _) => invalid(format!("{field}: {shown} refuses it: {why}; nothing was sent")),
            (None, _) => unavailable(format!("{field}: the connection to {shown} broke: {why}")),
        }
    }
}
