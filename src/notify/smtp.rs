//! The receiver `smtp`: mail, with a text and an HTML part.
//!
//! `Message-ID` is the delivery's, so that a repetition after a lost answer is the same mail to
//! those who fold such. All mails of one incident refer to one id that no mail has: clients thread
//! by it also where the first mail went to somebody else.
//!
//! A server answers for each recipient. Whoever it accepts is told; who it refuses is named by place
//! in the configuration. lettre's own `send` gives up at the first refusal, so the commands are given
//! one by one here. TLS is not optional silently: without `tls = "off"` no mail leaves in the clear.
//!
//! Source: RFC 5321, RFC 5322, RFC 3834 (`Auto-Submitted`).

use std::fs;
use std::time::Duration;

use lettre::message::header::{self, Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MessageBuilder, MultiPart};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use tokio::time::timeout;

use super::taken::{Outcome, Taken};
use super::text::{Parts, Urgency, urgency};
use super::untrusted::{clean, clip, escape_html};
use super::wording::Wording;
use super::{BuildError, SendError};
use crate::config::model::{self, TlsMode};
use crate::config::secret::Secret;
use crate::domain::message::Leased;
use crate::domain::time::Timestamp;
use crate::net::http::SetupError;

/// For the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For the whole of an attempt.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);
/// For a polite goodbye.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);
/// Characters of the server's own words in an error.
const MAX_WORDS: usize = 200;

/// A mail server and whom it tells.
pub struct Smtp {
    host: String,
    port: u16,
    tls: Tls,
    login: Option<(String, Secret)>,
    from: Mailbox,
    to: Vec<Mailbox>,
    wording: Wording,
    taken: Taken,
}

enum Tls {
    Off,
    Start(TlsParameters),
    Whole(TlsParameters),
}

impl Smtp {
    pub(super) fn new(config: &model::Mail, wording: Wording) -> Result<Self, BuildError> {
        let tls = match config.tls {
            TlsMode::Off => Tls::Off,
            TlsMode::StartTls => Tls::Start(tls_parameters(config)?),
            TlsMode::Tls => Tls::Whole(tls_parameters(config)?),
        };
        Ok(Self {
            host: config.host.clone(),
            port: config.port,
            tls,
            login: config.login.clone(),
            from: config.from.clone(),
            to: config.to.clone(),
            wording: wording.cleared(config.cleared),
            taken: Taken::default(),
        })
    }

    pub(super) async fn send(&self, to: Option<&str>, leased: &Leased, now: Timestamp) -> Result<(), SendError> {
        let one = to.map(|to| to.parse().map(|mailbox| vec![mailbox])).transpose();
        let one: Option<Vec<Mailbox>> =
            one.or(Err(permanent("this person's address is no mail address".to_owned())))?;
        let everybody = one.as_ref().unwrap_or(&self.to);
        let id = &leased.delivery.id;
        let waiting = everybody.iter().enumerate().filter(|(_, mailbox)| !self.taken.has(id, mailbox.email.as_ref()));
        let waiting: Vec<(usize, &Mailbox)> = waiting.collect();
        let mut outcome = Outcome::default();
        (waiting.len()..everybody.len()).for_each(|_| outcome.took());
        let mail = self.mail(everybody, leased, now)?;
        match timeout(TOTAL_TIMEOUT, self.transmit(&waiting, &mail, &mut outcome)).await {
            Ok(Ok(accepted)) => {
                for mailbox in accepted {
                    self.taken.remember(id, mailbox.email.as_ref());
                    outcome.took();
                }
                outcome.end("recipients")
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(self.again("no answer in time")),
        }
    }

    /// One session; who was accepted.
    async fn transmit<'a>(
        &self,
        waiting: &[(usize, &'a Mailbox)],
        mail: &[u8],
        outcome: &mut Outcome,
    ) -> Result<Vec<&'a Mailbox>, SendError> {
        if waiting.is_empty() {
            return Ok(Vec::new());
        }
        let mut session = self.session().await?;
        let sender = Mail::new(Some(self.from.email.clone()), Vec::new());
        session.command(sender).await.map_err(|error| self.verdict(&error, "the sender", waiting))?;
        let mut accepted = Vec::new();
        for &(place, mailbox) in waiting {
            match session.command(Rcpt::new(mailbox.email.clone(), Vec::new())).await {
                Ok(_) => accepted.push(mailbox),
                Err(error) => {
                    let verdict = self.verdict(&error, "the recipient", &[(place, mailbox)]);
                    if error.status().is_none() {
                        return Err(verdict); // the session is lost, and nobody has it
                    }
                    outcome.refused(place, &verdict);
                }
            }
        }
        if !accepted.is_empty() {
            session.command(Data).await.map_err(|error| self.verdict(&error, "the mail", waiting))?;
            session.message(mail).await.map_err(|error| self.verdict(&error, "the mail", waiting))?;
        }
        // The mail is theirs; how the goodbye goes does not matter.
        drop(timeout(QUIT_TIMEOUT, session.abort()).await);
        Ok(accepted)
    }

    /// Greets the server as before a mail, TLS included, and says goodbye: no login, no mail.
    pub(super) async fn greet(&self) -> Result<(), SendError> {
        match timeout(TOTAL_TIMEOUT, self.greeted()).await {
            Ok(session) => drop(timeout(QUIT_TIMEOUT, session?.abort()).await),
            Err(_) => return Err(self.again("no answer in time")),
        }
        Ok(())
    }

    async fn session(&self) -> Result<AsyncSmtpConnection, SendError> {
        let mut session = self.greeted().await?;
        if let Some((user, password)) = &self.login {
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            let known = session.auth(DEFAULT_MECHANISMS, &credentials).await;
            known.map_err(|error| self.verdict(&error, "the login (check `user` and `password`)", &[]))?;
        }
        Ok(session)
    }

    async fn greeted(&self) -> Result<AsyncSmtpConnection, SendError> {
        let hello = ClientId::Domain(self.from.email.domain().to_owned());
        let whole = match &self.tls {
            Tls::Whole(parameters) => Some(parameters.clone()),
            Tls::Off | Tls::Start(_) => None,
        };
        let address = (self.host.as_str(), self.port);
        let connecting = AsyncSmtpConnection::connect_tokio1(address, Some(CONNECT_TIMEOUT), &hello, whole, None);
        let mut session = connecting.await.map_err(|error| self.verdict(&error, "the connection", &[]))?;
        if let Tls::Start(parameters) = &self.tls {
            if !session.can_starttls() {
                session.abort().await;
                let remedy = "use its port for TLS with `tls = \"tls\"`, or have it offer STARTTLS";
                return Err(permanent(format!("{} does not offer STARTTLS; {remedy}", self.host)));
            }
            let started = session.starttls(parameters.clone(), &hello).await;
            started.map_err(|error| self.verdict(&error, "STARTTLS", &[]))?;
        }
        Ok(session)
    }

    /// What an error means: 4xx and broken connections may work later, 5xx never.
    fn verdict(&self, error: &lettre::transport::smtp::Error, what: &str, hidden: &[(usize, &Mailbox)]) -> SendError {
        let mut words = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
        let secret = self.login.as_ref().map(|(_, password)| password.expose());
        let addresses = hidden.iter().map(|(_, mailbox)| mailbox.email.as_ref());
        for hidden in addresses.chain(secret).filter(|hidden| !hidden.is_empty()) {
            words = words.replace(hidden, "…");
        }
        let words = clip(&clean(&words), MAX_WORDS);
        match error.status() {
            Some(code) if error.is_permanent() => permanent(format!("{} refused {what}: {code} {words}", self.host)),
            Some(code) => self.again(&format!("refused {what} for now: {code} {words}")),
            None if error.is_client() => permanent(format!("{}: {what}: {words}", self.host)),
            None => self.again(&format!("{what} failed ({words})")),
        }
    }

    fn again(&self, what: &str) -> SendError {
        SendError::Retry { after: None, error: format!("{}: {what}", self.host) }
    }

    /// The mail as bytes, the same for every recipient.
    fn mail(&self, to: &[Mailbox], leased: &Leased, now: Timestamp) -> Result<Vec<u8>, SendError> {
        let incident = &leased.delivery.message.incident;
        let domain = self.from.email.domain();
        let thread = format!("<stormbell.{}@{domain}>", atom(incident.id.as_str()));
        let parts = self.wording.parts(leased);
        let mut builder = MessageBuilder::new()
            .from(self.from.clone())
            .subject(parts.headline.clone())
            .message_id(Some(format!("<stormbell.{}@{domain}>", atom(leased.delivery.id.as_str()))))
            .in_reply_to(thread.clone())
            .references(thread)
            .raw_header(raw("Auto-Submitted", "auto-generated")?)
            .raw_header(raw("X-Auto-Response-Suppress", "All")?);
        if let Ok(date) = header::Date::parse(&date(now)) {
            builder = builder.header(date);
        }
        if urgency(&leased.delivery.message) >= Urgency::High {
            builder = builder.raw_header(raw("Importance", "high")?).raw_header(raw("X-Priority", "1")?);
        }
        for mailbox in to {
            builder = builder.to(mailbox.clone());
        }
        let both = MultiPart::alternative_plain_html(parts.plain() + "\n", html(&parts));
        let mail =
            builder.multipart(both).map_err(|error| permanent(format!("the mail cannot be written: {error}")))?;
        Ok(mail.formatted())
    }
}

fn permanent(error: String) -> SendError {
    SendError::Permanent { error }
}

fn tls_parameters(config: &model::Mail) -> Result<TlsParameters, BuildError> {
    let mut builder = TlsParameters::builder(config.host.clone());
    if let Some(path) = &config.ca_file {
        let pem = fs::read(path).map_err(|cause| SetupError::CaFile { path: path.clone(), cause })?;
        let none = || SetupError::NoCertificate { path: path.clone() };
        if !pem.windows(11).any(|bytes| bytes == b"-----BEGIN ") {
            return Err(none().into());
        }
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).or(Err(none()))?);
    }
    Ok(builder.build().map_err(|error| SetupError::Client(error.to_string()))?)
}

fn raw(name: &'static str, value: &str) -> Result<HeaderValue, SendError> {
    let name = HeaderName::new_from_ascii(name.to_owned()).or(Err(permanent("a header has no name".to_owned())))?;
    Ok(HeaderValue::new(name, value.to_owned()))
}

/// RFC 5322, in UTC.
fn date(now: Timestamp) -> String {
    let stamp = jiff::Timestamp::from_microsecond(now.micros()).unwrap_or_default();
    stamp.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// What may stand to the left of `@` in a message's id, whatever the id has in it.
fn atom(id: &str) -> String {
    id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' }).collect()
}

/// Inline styles only; nothing is loaded from anywhere.
fn html(parts: &Parts) -> String {
    let facts = parts.facts.iter().map(|fact| {
        let style = "padding:2px 12px 2px 0;vertical-align:top;color:#555";
        format!(
            "<tr><td style=\"{style}\">{}</td><td>{}</td></tr>\n",
            escape_html(&fact.name),
            escape_html(&fact.value)
        )
    });
    let ways = parts.links().map(|(says, link)| format!("<p><a href=\"{}\">{says}</a></p>\n", escape_html(link)));
    let posts = parts.posts.iter().map(|post| {
        let style = "margin:8px 0;padding-left:8px;border-left:3px solid #bbb";
        format!("<blockquote style=\"{style}\">{}</blockquote>\n", escape_html(&post.line()))
    });
    format!(
        "<!DOCTYPE html>\n<html><body style=\"font-family:sans-serif\">\n<h2>{}</h2>\n<table>\n{}</table>\n{}{}</body></html>\n",
        escape_html(&parts.headline),
        facts.collect::<String>(),
        ways.collect::<String>(),
        posts.collect::<String>(),
    )
}
