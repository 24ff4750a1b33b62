//! A mail server on loopback that refuses whom it is told to, breaks off, and offers STARTTLS
//! when it has a certificate.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// A mail it took.
#[derive(Clone, Debug)]
pub struct MailTaken {
    /// Those it accepted.
    pub to: Vec<String>,
    /// Head and body as they came.
    pub text: String,
}

impl MailTaken {
    /// A header's value; names in lower case.
    pub fn header(&self, name: &str) -> &str {
        let head = self.text.split("\r\n\r\n").next().unwrap();
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(header, _)| header.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }
}

#[derive(Default)]
struct State {
    mails: Vec<MailTaken>,
    /// By command or address; an empty one breaks the connection.
    answers: HashMap<String, String>,
    clear: String,
}

/// The running server; it ends when dropped.
pub struct MailServer {
    port: u16,
    state: Arc<Mutex<State>>,
    ca_file: Option<tempfile::NamedTempFile>,
    _server: JoinSet<()>,
}

impl MailServer {
    /// One that speaks in the clear.
    pub async fn start() -> Self {
        Self::listen(None, None).await
    }

    /// One that offers STARTTLS.
    pub async fn with_tls() -> Self {
        let (acceptor, authority) = super::tls::acceptor();
        let ca_file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(ca_file.path(), authority).unwrap();
        Self::listen(Some(acceptor), Some(ca_file)).await
    }

    async fn listen(tls: Option<TlsAcceptor>, ca_file: Option<tempfile::NamedTempFile>) -> Self {
        let listener = TcpListener::bind("localhost:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State::default()));
        let mut server = JoinSet::new();
        server.spawn(accept(listener, tls, Arc::clone(&state)));
        Self { port, state, ca_file, _server: server }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The authority that vouches for it.
    pub fn ca_file(&self) -> &Path {
        self.ca_file.as_ref().unwrap().path()
    }

    /// From now on a command, or a recipient, gets this answer; nothing breaks the connection.
    pub fn answer(&self, to: &str, with: &str) {
        self.state().answers.insert(to.to_owned(), with.to_owned());
    }

    /// Every mail so far.
    pub fn mails(&self) -> Vec<MailTaken> {
        self.state().mails.clone()
    }

    /// All it heard before TLS.
    pub fn in_the_clear(&self) -> String {
        self.state().clear.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, state: Arc<Mutex<State>>) {
    let mut sessions = JoinSet::new();
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        sessions.spawn(session(socket, tls.clone(), Arc::clone(&state)));
    }
}

/// A session in the clear, and within TLS when that is asked for.
async fn session(mut socket: TcpStream, tls: Option<TlsAcceptor>, state: Arc<Mutex<State>>) {
    if !say(&mut socket, "220 mail.example").await {
        return;
    }
    let wants_tls = talk(&mut socket, &state, if tls.is_some() { Phase::Clear } else { Phase::Plain }).await;
    if let Some(tls) = tls.filter(|_| wants_tls)
        && let Ok(mut safe) = tls.accept(socket).await
    {
        talk(&mut safe, &state, Phase::Safe).await;
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    /// No TLS is offered.
    Plain,
    /// STARTTLS is offered.
    Clear,
    /// After it.
    Safe,
}

/// Whether STARTTLS was asked for.
async fn talk(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), state: &Mutex<State>, phase: Phase) -> bool {
    let mut stream = BufReader::new(stream);
    let mut to = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return false;
        }
        if phase == Phase::Clear {
            state.lock().unwrap().clear.push_str(&line);
        }
        let command = line.trim_end().split(' ').next().unwrap().to_uppercase();
        let address = line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let scripted = {
            let answers = &state.lock().unwrap().answers;
            let of_address = (command == "RCPT").then(|| answers.get(&address)).flatten();
            of_address.or_else(|| answers.get(&command)).filter(|answer| *answer != "250 ok").cloned()
        };
        let answer = match (command.as_str(), scripted) {
            (_, Some(broken)) if broken.is_empty() => return false,
            (_, Some(answer)) => answer,
            ("EHLO", _) if phase == Phase::Clear => "250-mail.example\r\n250 STARTTLS".to_owned(),
            ("EHLO", _) if phase == Phase::Safe => "250-mail.example\r\n250 AUTH PLAIN LOGIN".to_owned(),
            ("STARTTLS", _) => {
                return say(stream.get_mut(), "220 go ahead").await;
            }
            ("AUTH", _) => "235 2.7.0 welcome".to_owned(),
            ("RCPT", _) => {
                to.push(address);
                "250 ok".to_owned()
            }
            ("DATA", _) => {
                if !say(stream.get_mut(), "354 go ahead").await {
                    return false;
                }
                let Some(text) = until_dot(&mut stream).await else { return false };
                state.lock().unwrap().mails.push(MailTaken { to: std::mem::take(&mut to), text });
                "250 2.0.0 queued".to_owned()
            }
            ("QUIT", _) => "221 bye".to_owned(),
            _ => "250 ok".to_owned(),
        };
        if !say(stream.get_mut(), &answer).await {
            return false;
        }
    }
}

async fn until_dot(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Option<String> {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return None;
        }
        if line == ".\r\n" {
            return Some(text);
        }
        text.push_str(&line);
    }
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), line: &str) -> bool {
    stream.write_all(format!("{line}\r\n").as_bytes()).await.is_ok()
}
