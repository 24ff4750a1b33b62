//! An HTTP proxy on loopback that opens tunnels, with or without a login.

use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use url::Url;

/// A running proxy; it ends when dropped.
pub struct SimProxy {
    url: Url,
    requests: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl SimProxy {
    /// Starts a proxy that wants this user and password, when given.
    pub async fn start(login: Option<(&str, &str)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let wanted = login.map(|(user, password)| STANDARD.encode(format!("{user}:{password}")));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, wanted, Arc::clone(&requests)));
        Self { url, requests, _tasks: tasks }
    }

    /// Where it listens.
    pub fn url(&self) -> Url {
        self.url.clone()
    }

    /// The first line of every request.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn accept(listener: TcpListener, wanted: Option<String>, requests: Arc<Mutex<Vec<String>>>) {
    let mut tunnels = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (wanted, requests) = (wanted.clone(), Arc::clone(&requests));
        tunnels.spawn(async move {
            if let Err(error) = serve(client, wanted.as_deref(), &requests).await {
                println!("simulated proxy: {error}");
            }
        });
    }
}

async fn serve(mut client: TcpStream, wanted: Option<&str>, requests: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let line = head.lines().next().unwrap_or_default().to_owned();
    requests.lock().unwrap_or_else(PoisonError::into_inner).push(line.clone());
    let welcome = wanted.is_none_or(|wanted| head.contains(&format!("Proxy-Authorization: Basic {wanted}\r\n")));
    if !welcome {
        let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n";
        return client.write_all(answer).await;
    }
    let Some(target) = line.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()) else {
        return client.write_all(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n").await;
    };
    match TcpStream::connect(target).await {
        Ok(mut server) => {
            client.write_all(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 sim\r\n\r\n").await?;
            copy_bidirectional(&mut client, &mut server).await.map(|_| ())
        }
        Err(_) => client.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await,
    }
}
