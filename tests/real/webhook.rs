//! Our signatures, checked by somebody else's code: `standardwebhooks` from `PyPI`.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use stormbell::config::model::{ReceiverConfig, ReceiverKind, Transport};
use stormbell::config::secret::Secret;
use stormbell::domain::message::MessageKind;
use stormbell::domain::time::Timestamp;
use stormbell::notify::Receiver;

use crate::support::message::leased;
use crate::support::sink::{Request, SimSink};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

const VERIFY: &str = "
import sys
from standardwebhooks.webhooks import Webhook
secret, id, timestamp, signature = sys.argv[1:]
headers = {'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature}
print('verified', Webhook(secret).verify(sys.stdin.read(), headers)['type'])
";

#[tokio::test]
#[ignore = "needs pip; run by .ci/run"]
async fn the_standards_own_library_accepts_our_signature_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let python = python_with_library(folder.path());
    let sink = SimSink::start().await;
    let config = ReceiverConfig::new(
        "there",
        ReceiverKind::Webhook {
            url: sink.url("/"),
            secret: Some(Secret::new(SECRET.to_owned())),
            transport: Transport::default(),
        },
    );
    let receiver = Receiver::build(&config, None).unwrap();
    receiver.send(&leased("i", MessageKind::Opened), present()).await.unwrap();
    let mut request = sink.requests().remove(0);

    let verdict = verify(&python, SECRET, &request);
    assert_eq!(verdict.as_deref(), Ok("verified incident.opened\n"));
    let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    assert!(verify(&python, other, &request).unwrap_err().contains("No matching signature"));
    request.body.push(b' ');
    assert!(verify(&python, SECRET, &request).unwrap_err().contains("No matching signature"));
}

/// The library refuses signatures that are not of these minutes.
fn present() -> Timestamp {
    let output = Command::new("date").arg("+%s").output().unwrap();
    Timestamp::from_seconds(String::from_utf8(output.stdout).unwrap().trim().parse().unwrap())
}

fn python_with_library(folder: &Path) -> std::path::PathBuf {
    let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    run(Command::new("python3").args(["-m", "venv"]).arg(folder));
    let python = folder.join("bin/python");
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "standardwebhooks"]));
    python
}

fn verify(python: &Path, secret: &str, request: &Request) -> Result<String, String> {
    let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| request.header(name));
    let mut child = Command::new(python)
        .args(["-c", VERIFY, secret])
        .args(headers)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&request.body).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}
