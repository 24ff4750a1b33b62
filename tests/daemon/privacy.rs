//! Privacy through the built program: one command erases and gives a receipt, a hold stands against it, and what a stranger
//! says of a patient leaves for no other house, nor stands in a log, a metric or an error.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use crate::support::daemon::{Config, Daemon, HOOK, MARK, Place, now, say, word_rule};
use crate::support::frames::delete;
use crate::support::jetstream::{Script, SimJetstream};
use crate::support::mail::MailServer;
use crate::support::sink::{Act, Request, SimSink};
use serde_json::{Value, json};
use stormbell::config::load::{SecretPolicy, parse};
use stormbell::domain::diagnostic::SourceText;

/// What of a patient nobody outside may have.
const PATIENT: [&str; 4] = ["zzyzx@mail.example", "+1 555 010 4477", "00-778899", "3/4/61"];

fn ask(place: &Place, daemon: &Daemon, arguments: &[&str]) -> Output {
    let url = format!("http://127.0.0.1:{}", daemon.port());
    Command::new(env!("CARGO_BIN_EXE_stormbell"))
        .env_clear()
        .args(arguments)
        .args(["--by", "dora", "--url", &url, "--token-file"])
        .arg(place.path("token"))
        .output()
        .unwrap()
}

/// The same, and it must succeed.
fn done(place: &Place, daemon: &Daemon, arguments: &[&str]) -> String {
    let output = ask(place, daemon, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn one_incident(daemon: &Daemon) -> String {
    let found = daemon.until(async || daemon.incidents("fire").await, |found| !found.is_empty()).await;
    found[0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_author_is_erased_by_one_command_unless_an_incident_is_held_and_stays_erased_over_a_kill() {
    let stream = SimJetstream::start(Script::default()).await;
    let config = Config::new(&stream.url(), "");
    let place = Place::new(&config, &[word_rule("fire", "fire", "high")]);
    let mut daemon = place.start().await;
    daemon.says("source connected").await;
    stream.push(say(now(), "did:plc:eve", "k1", "fire here"));
    let id = one_incident(&daemon).await;
    let erase = ["erase", "--author", "did:plc:eve", "--source", "sky", "--reason", "her request"];

    let reason = ["--approved-by", "Dr. Roe", "--reason", "law suit"];
    let held = done(&place, &daemon, &[&["hold", "add", &id][..], &reason].concat());
    assert!(
        held.contains(&format!("{id}  held since")) && held.contains("by dora, approved by Dr. Roe: law suit"),
        "{held}"
    );
    let refused = ask(&place, &daemon, &erase);
    let words = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && words.contains("held (approved by Dr. Roe)"), "{words}");
    assert!(place.database_holds(MARK));
    let removed = done(&place, &daemon, &["hold", "remove", &id, "--reason", "settled"]);
    assert_eq!(removed, format!("{id} is held no longer\n"));

    let receipt: Value = serde_json::from_str(&done(&place, &daemon, &[&erase[..], &["--json"]].concat())).unwrap();
    assert_eq!(
        (&receipt["by"], &receipt["reason"], &receipt["rows"]["post"]),
        (&"dora".into(), &"her request".into(), &1.into())
    );
    assert_eq!(receipt["posts"].as_array().unwrap().len(), 1);
    daemon.until(async || place.database_holds(MARK), |holds| !holds).await;
    let again = ask(&place, &daemon, &erase);
    assert!(String::from_utf8(again.stderr).unwrap().contains("nothing of that is kept"));
    daemon.kill().await;

    // The stream is read again from before; what she says now is new.
    let daemon = place.start().await;
    daemon.says("source connected").await;
    stream.push(say(now(), "did:plc:eve", "k2", "fire again"));
    daemon.until(async || place.database_holds("fire again"), |holds| *holds).await;
    assert!(!place.database_holds("fire here"));
    let audit = Command::new(env!("CARGO_BIN_EXE_stormbell"))
        .args(["audit", "verify"])
        .arg(place.path("state/stormbell.db"))
        .args(["--head", receipt["audit_hash"].as_str().unwrap()])
        .output()
        .unwrap();
    assert!(audit.status.success(), "the receipt's entry is in the log: {}", String::from_utf8_lossy(&audit.stderr));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_a_hold_keeps_though_it_was_taken_back_nobody_is_told_that_nothing_is_kept() {
    let stream = SimJetstream::start(Script::default()).await;
    let config = Config::new(&stream.url(), "");
    let place = Place::new(&config, &[word_rule("fire", "fire", "high")]);
    let daemon = place.start().await;
    daemon.says("source connected").await;
    stream.push(say(now(), "did:plc:eve", "k1", "fire here"));
    let id = one_incident(&daemon).await;
    done(&place, &daemon, &["hold", "add", &id, "--approved-by", "Dr. Roe", "--reason", "law suit"]);
    stream.push(delete(now(), "did:plc:eve", "k1"));
    let held = async || done(&place, &daemon, &["hold", "posts", &id]);
    daemon.until(held, |held| held.contains("fire here")).await;

    let post = "at://did:plc:eve/app.bsky.feed.post/k1";
    for subject in [&["--author", "did:plc:eve", "--source", "sky"][..], &["--post", post]] {
        let refused = ask(&place, &daemon, &[&["erase", "--reason", "her request"], subject].concat());
        let words = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && words.contains("held (approved by Dr. Roe)"), "{words}");
    }
    for subject in
        [&["--author", "did:plc:eve", "--source", "elsewhere"][..], &["--author", "did:plc:ann", "--source", "sky"]]
    {
        let nothing = ask(&place, &daemon, &[&["erase", "--reason", "her request"], subject].concat());
        assert!(String::from_utf8(nothing.stderr).unwrap().contains("nothing of that is kept"));
    }
    done(&place, &daemon, &["hold", "remove", &id, "--reason", "settled"]);
    let nothing = ask(&place, &daemon, &["erase", "--reason", "her request", "--post", post]);
    assert!(String::from_utf8(nothing.stderr).unwrap().contains("nothing of that is kept"));
    daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_a_patient_leaves_for_nobody_and_is_in_no_log_metric_or_error() {
    let (stream, sink) = (SimJetstream::start(Script::default()).await, SimSink::start().await);
    // A server that throws what it was sent back at us.
    sink.otherwise(|request| {
        let echo = || Act::Saying(400, String::from_utf8_lossy(&request.body).into_owned());
        if request.line.contains("/broken") { echo() } else { Act::Answer(200) }
    });
    let chat = |kind: &str, path: &str| format!("kind = \"{kind}\"\nurl = \"{}\"\ncleared = true", sink.url(path));
    let config = Config::new(&stream.url(), "")
        .webhook("hook", &sink.url(HOOK))
        .webhook("broken-hook", &sink.url("/broken/hook"))
        .pager(&sink.url("/v2/enqueue"))
        .receiver("slack", &chat("slack", "/slack"))
        .receiver("broken-slack", &chat("slack", "/broken/slack"))
        .receiver("mattermost", &chat("mattermost", "/mattermost"))
        .receiver("log", "kind = \"log\"");
    let place = Place::new(&config, &[word_rule("fire", "fire", "high")]);
    let daemon = place.start().await;
    daemon.says("source connected").await;
    stream.push(say(
        now(),
        "did:plc:eve",
        "k1",
        &format!("fire; mail {}, {}, MRN {}, born {}", PATIENT[0], PATIENT[1], PATIENT[2], PATIENT[3]),
    ));
    let id = one_incident(&daemon).await;
    let paths = [HOOK, "/v2/enqueue", "/slack", "/mattermost", "/broken/hook", "/broken/slack"];
    let reached = async || {
        let requests = sink.requests();
        paths.iter().filter(|path| requests.iter().any(|one| one.line.contains(**path))).count()
    };
    daemon.until(reached, |reached| *reached == paths.len()).await;
    let parked = async || daemon.get(&format!("/api/v1/incidents/{id}/deliveries")).await;
    let parked =
        daemon.until(parked, |all| all.as_array().unwrap().iter().filter(|one| one["state"] == "parked").count() == 2);
    let deliveries = parked.await.to_string();

    let payloads: String = sink.requests().iter().map(|one| String::from_utf8_lossy(&one.body).into_owned()).collect();
    let (_, metrics) = daemon.ask(reqwest::Method::GET, "/metrics", "").await;
    assert!(payloads.contains("[phone]") && payloads.contains("[record number]"), "{payloads}");
    for (place, text) in [("payloads", payloads), ("log", daemon.log()), ("metrics", metrics), ("errors", deliveries)] {
        for word in PATIENT {
            assert!(!text.contains(word), "{word} is in {place}: {text}");
        }
    }
    // Whoever answers for it reads all of it.
    assert!(daemon.get(&format!("/api/v1/incidents/{id}")).await.to_string().contains(PATIENT[1]));
    daemon.stop().await;
}

/// Who must be named nowhere outside.
const NAME: &str = "Quillon Vexworthy";
/// In every secret of the run, and in what may hide one.
const PLANTED: &str = "pl4ntedsecret";
/// Of everybody.
const SECRET: &str = "pl4ntedsecret0123456789abcdef0123456789";
/// A key of Nostr, which has no room for words.
const NOSTR_KEY: &str = "5eedf00d5eedf00d5eedf00d5eedf00d5eedf00d5eedf00d5eedf00d5eedf00d";

/// Sources of every kind that has a secret; their server refuses all of them, and throws back what it was sent.
const STRANGERS: &str = r#"
[[source]]
name = "s-mastodon"
kind = "mastodon"
url = "ROOT"
token = { file = "secret" }
streams = ["public"]
[[source]]
name = "s-nostr"
kind = "nostr"
url = "WS/nostr"
secret_key = { file = "nostr" }
[[source]]
name = "s-x"
kind = "x"
url = "URL/x"
token = { file = "secret" }
monthly_posts = 100
[[source]]
name = "s-header"
kind = "websocket"
url = "WS/header"
token = { file = "secret" }
token_header = "x-api-key"
[source.fields]
id = "/id"
text = "/text"
author = "/author"
[[source]]
name = "s-parameter"
kind = "websocket"
url = "WS/parameter"
token = { file = "secret" }
token_parameter = "access_token"
[source.fields]
id = "/id"
text = "/text"
author = "/author"
[[source]]
name = "s-discord"
kind = "discord"
url = "URL/discord"
token = { file = "secret" }
[[source]]
name = "s-slack"
kind = "slack"
url = "URL/slack"
token = { file = "secret" }
[[source]]
name = "s-matrix"
kind = "matrix"
url = "URL/matrix"
token = { file = "secret" }
[[source]]
name = "s-irc"
kind = "irc"
url = "WS/irc"
password = { file = "secret" }
channels = ['#c']
[[source]]
name = "s-reddit"
kind = "forum"
dialect = "reddit"
url = "URL/reddit"
client_id = "abc"
secret = { file = "secret" }
contact = "/u/us"
communities = ["boston"]
[[source]]
name = "s-lemmy"
kind = "forum"
dialect = "lemmy"
url = "URL/lemmy"
token = { file = "secret" }
[[source]]
name = "s-discourse"
kind = "forum"
dialect = "discourse"
url = "URL/discourse"
api_key = { file = "secret" }
api_username = "us"
[[source]]
name = "s-feed"
kind = "feed"
url = "URL/feed.xml"
user = "us"
password = { file = "secret" }
[[source]]
name = "s-proxy"
kind = "feed"
url = "https://feeds.invalid/feed.xml"
proxy = "ROOT"
proxy_user = "hosp"
proxy_password = { file = "secret" }
[[source]]
name = "s-hook"
kind = "webhook"
format = "discourse"
secret = { file = "secret" }
[[source]]
name = "s-meta"
kind = "webhook"
format = "meta"
secret = { file = "secret" }
verify_token = { file = "secret" }
[[source]]
name = "s-stream"
kind = "eventstreams"
url = "URL/stream"
events = "posts"
contact = "us@hospital.example"
token = { file = "secret" }
[[source]]
name = "s-youtube"
kind = "youtube"
url = "URL/youtube"
api_key = { file = "secret" }
videos = ["dQw4w9WgXcQ"]
[[source]]
name = "s-twitch"
kind = "twitch"
url = "WS/twitch"
api = "URL/twitch"
client_id = "abc"
token = { file = "secret" }
channels = ["general"]
[[source]]
name = "s-twitch-chat"
kind = "twitch"
url = "WS/twitch-chat"
nick = "us"
token = { file = "secret" }
channels = ["general"]
[web.oidc]
issuer = "URL/realm"
client_id = "bell"
client_secret = { file = "secret" }
roles = { crisis = "responder" }
"#;

/// Kinds that have no secret but a proxy's, and so stand nowhere among them.
const WITHOUT_A_SECRET: [(&str, &[&str]); 2] = [("source", &["atproto"]), ("receiver", &["desktop", "syslog"])];

/// A webhook leads to a machine of the hospital, and has posts.
const OWN: &str = "/refused/own";

/// Receivers that are somebody else's: not cleared, or never to be.
const ABROAD: [(&str, &str); 12] = [
    ("ntfy", "kind = \"ntfy\"\nurl = \"URL/ntfy\"\ntopic = { file = \"secret\" }\ntoken = { file = \"secret\" }"),
    (
        "pushover",
        "kind = \"pushover\"\nurl = \"URL/pushover\"\ntoken = { file = \"secret\" }\nuser_key = { file = \"secret\" }",
    ),
    (
        "sms",
        "kind = \"twilio\"\nurl = \"URL/twilio\"\naccount = \"AC00000000000000000000000000000000\"\n\
         token = { file = \"secret\" }\nfrom = \"+15550100000\"\nto = [\"+15550100001\"]",
    ),
    ("jsm", "kind = \"jsm\"\nurl = \"URL/jsm\"\napi_key = { file = \"secret\" }"),
    ("opsgenie", "kind = \"opsgenie\"\nurl = \"URL/opsgenie\"\napi_key = { file = \"secret\" }"),
    ("goalert", "kind = \"goalert\"\nurl = \"URL/goalert\"\ntoken = { file = \"secret\" }"),
    ("slack", "kind = \"slack\"\nurl = { file = \"chat\" }\nallow_private = [\"127.0.0.0/8\"]"),
    ("teams", "kind = \"teams\"\nurl = { file = \"chat\" }\nallow_private = [\"127.0.0.0/8\"]"),
    ("mattermost", "kind = \"mattermost\"\nurl = { file = \"chat\" }\nallow_private = [\"127.0.0.0/8\"]"),
    ("discord", "kind = \"discord\"\nurl = { file = \"chat\" }\nallow_private = [\"127.0.0.0/8\"]"),
    ("matrix", "kind = \"matrix\"\nurl = \"URL/matrix-room\"\ntoken = { file = \"secret\" }\nroom = \"!a:h.example\""),
    ("alertmanager", "kind = \"alertmanager\"\nurl = \"URL/alertmanager\""),
];

/// Where people sign in, as its provider tells of itself.
fn provider(sink: &SimSink) -> String {
    let issuer = sink.url("/source/realm").to_string();
    let below = |path: &str| format!("{issuer}/{path}");
    let about = json!({
        "issuer": issuer, "authorization_endpoint": below("authorize"), "token_endpoint": below("token"),
        "jwks_uri": below("keys"), "token_endpoint_auth_methods_supported": ["client_secret_post"],
    });
    about.to_string()
}

/// A receiver for mail, with a login.
fn mail(server: &MailServer) -> String {
    format!(
        "kind = \"smtp\"\nhost = \"localhost\"\nport = {}\nca_file = \"{}\"\nuser = \"bell\"\n\
         password = {{ file = \"secret\" }}\nfrom = \"bell@h.example\"\nto = \"ann@h.example\"",
        server.port(),
        server.ca_file().display()
    )
}

/// Sources and receivers of every kind with a secret. Whatever their server is sent, it throws back; sources are refused, and
/// so is one receiver of two, and one of two that mail.
fn among_strangers(stream: &SimJetstream, sink: &SimSink, [takes, refuses]: &[MailServer; 2]) -> Place {
    let about = provider(sink);
    sink.otherwise(move |request| {
        let all = format!("{} {:?} {}", request.line, request.headers, String::from_utf8_lossy(&request.body));
        let answers = [401, 400, 500];
        let status = answers[request.line.len() % answers.len()];
        match request.line.split(' ').nth(1).unwrap() {
            "/source/realm/.well-known/openid-configuration" => Act::Saying(200, about.clone()),
            "/source/realm/keys" => Act::Saying(200, "{\"keys\":[]}".to_owned()),
            path if path.contains("/taken/") => Act::Saying(200, all),
            _ => Act::Saying(status, all),
        }
    });
    refuses.answer("AUTH", &format!("535 5.7.8 no, {SECRET} is wrong"));
    let here = |path: &str| sink.url(path).to_string().trim_end_matches('/').to_owned();
    let strangers = STRANGERS.replace("URL", &here("/source")).replace("ROOT", &here("/"));
    let strangers = strangers.replace("WS", &here("/source").replace("http", "ws"));
    let config = Config::new(&stream.url(), "").public("https://bell.example").pager(&sink.url("/taken/enqueue"));
    let config = config.webhook("own", &sink.url(OWN)).receiver("mail-taken", &mail(takes));
    let mut config = config.receiver("mail", &mail(refuses)).and(&strangers);
    for (name, keys) in ABROAD {
        config = config.receiver(name, &keys.replace("URL", &here("/refused")));
        let again = keys.replace("URL", &here("/taken")).replace("\"chat\"", "\"taken-chat\"");
        config = config.receiver(&format!("{name}-taken"), &again);
    }
    let beat = "[heartbeat]\nurl = { file = \"beat\" }\nallow_private = [\"127.0.0.0/8\"]";
    config = config.receiver("log", "kind = \"log\"").and(beat);
    let place = Place::new(&config, &[word_rule("fire", "fire", "critical")]);
    place.write("secret", SECRET);
    place.write("nostr", NOSTR_KEY);
    for (file, path) in [("chat", "/refused/chat"), ("taken-chat", "/taken/chat"), ("beat", "/refused/beat")] {
        place.write(file, &format!("{}/{SECRET}", here(path)));
    }
    place
}

/// As a shell would start it that wants every core dump, in a folder of its own, at the loudest log there is.
fn loud(place: &Place) -> Command {
    let plain = place.command();
    let mut command = Command::new("sh");
    command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("STORMBELL_LOG", "trace").current_dir(place.path(""));
    command.args(["-c", "ulimit -c unlimited; exec \"$0\" \"$@\""]).arg(plain.get_program()).args(plain.get_args());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// The kinds of a table that the program has, as it tells whoever names none.
fn kinds(table: &str) -> BTreeSet<String> {
    let text = format!("schema = 1\n[[{table}]]\nname = \"x\"\n");
    let source = Arc::new(SourceText { name: "stormbell.toml".to_owned(), text });
    let nowhere = [("HOME", "/nowhere")].into_iter().collect();
    let loaded = parse(&source, Path::new("/nowhere"), &nowhere, SecretPolicy::MayBeAbsent);
    let mut helps = loaded.findings.iter().filter_map(|finding| finding.help.as_deref());
    let listed = helps.find_map(|help| Some(help.split_once("this version has: ")?.1)).unwrap();
    listed.split(", ").map(str::to_owned).collect()
}

/// A kind that is new has a place among the strangers, too.
fn forgets_no_kind(place: &Place) {
    let text = std::fs::read_to_string(place.path("stormbell.toml")).unwrap();
    let config: toml::Table = text.parse().unwrap();
    for (table, without) in WITHOUT_A_SECRET {
        let tables = config[table].as_array().unwrap().iter();
        let there: BTreeSet<&str> = tables.map(|one| one["kind"].as_str().unwrap()).collect();
        let mut all = kinds(table);
        assert!(all.len() > 10, "{all:?}");
        all.retain(|kind| !there.contains(kind.as_str()) && !without.contains(&kind.as_str()));
        assert!(all.is_empty(), "plant a secret in {all:?} of [[{table}]], or say that there is none");
    }
}

/// Somebody who signs in elsewhere, and comes back with a code of which the provider knows nothing.
async fn signs_in_elsewhere(daemon: &Daemon) -> String {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).tls_certs_only([]);
    let (client, root) = (client.build().unwrap(), format!("http://127.0.0.1:{}/sign-in/oidc", daemon.port()));
    let begun = client.get(&root).send().await.unwrap();
    let header = |name: &str| begun.headers()[name].to_str().unwrap();
    let sent = url::Url::parse(header("location")).unwrap();
    let (_, state) = sent.query_pairs().find(|(key, _)| key == "state").unwrap();
    let cookie = header("set-cookie").split(';').next().unwrap();
    let back = client.get(format!("{root}/back?code=x&state={state}")).header("cookie", cookie).send().await.unwrap();
    back.text().await.unwrap()
}

/// A reload of a file with a secret in it.
async fn reloads_a_secret(place: &Place, daemon: &Daemon) {
    let sound = std::fs::read_to_string(place.path("stormbell.toml")).unwrap();
    let plain = format!("token = \"{SECRET}\"");
    place.write("stormbell.toml", &sound.replacen("token = { file = \"secret\" }", &plain, 1));
    daemon.signal("HUP");
    daemon.says("SB0407").await;
    place.write("stormbell.toml", &sound);
}

/// What the daemon says to whoever asks.
async fn answers(daemon: &Daemon, incident: &str) -> Vec<(&'static str, String)> {
    // A call that nobody signed.
    let (_, stranger) = daemon.ask(reqwest::Method::POST, "/in/s-hook", &format!("{{\"post\":\"{NAME}\"}}")).await;
    let mut said = vec![("the answer to a stranger", stranger)];
    for path in ["/metrics", "/readyz", "/api/v1/sources", "/api/v1/status"] {
        said.push((path, daemon.ask(reqwest::Method::GET, path, "").await.1));
    }
    said.push(("errors", daemon.get(&format!("/api/v1/incidents/{incident}/deliveries")).await.to_string()));
    said
}

/// A copy of the database, and what was said to it.
fn backed_up(place: &Place) -> (Vec<u8>, String) {
    let copy = place.path("copy.db");
    let mut backup = Command::new(env!("CARGO_BIN_EXE_stormbell"));
    backup.args(["backup", "--config"]).args([place.path("stormbell.toml"), copy.clone()]);
    let output = backup.env_clear().env("HOME", place.path("")).output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{words}");
    (std::fs::read(copy).unwrap(), words)
}

/// A crash: the kernel is asked for a dump, and makes none.
async fn crashes_without_a_dump(place: &Place, daemon: &mut Daemon) {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    daemon.signal("ABRT");
    let status = daemon.ended().await;
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
    let files = std::fs::read_dir(place.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(files.filter(|name| name.to_string_lossy().starts_with("core")).count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_secret_and_a_planted_name_are_in_no_log_metric_error_message_backup_or_crash_dump() {
    let (stream, sink) = (SimJetstream::start(Script::default()).await, SimSink::start().await);
    let mails = [MailServer::with_tls().await, MailServer::with_tls().await];
    let place = among_strangers(&stream, &sink, &mails);
    forgets_no_kind(&place);
    let mut daemon = place.start_as(loud(&place)).await;
    daemon.says("source=sky").await;
    stream.push(say(now(), "did:plc:eve", "k1", &format!("fire; {NAME} is on ward 3")));
    let id = one_incident(&daemon).await;
    let reached = async || {
        let requests = sink.requests();
        let count = |path: &str| requests.iter().filter(|one| one.line.contains(path)).count();
        let asked = requests.iter().filter(|one| is_of_source(one)).count();
        let mailed = !mails[0].mails().is_empty() && daemon.said("refused the login") > 0;
        count("/taken/") > ABROAD.len() && count("/refused/") > ABROAD.len() && asked >= 12 && mailed
    };
    daemon.until(reached, |reached| *reached).await;
    let page = signs_in_elsewhere(&daemon).await;
    assert!(sink.requests().iter().any(|one| one.line.contains("/realm/token")), "{page}");
    reloads_a_secret(&place, &daemon).await;
    let mut said = answers(&daemon, &id).await;
    said.push(("the page after signing in", page));
    said.extend(mails[0].mails().into_iter().map(|mail| ("a mail", mail.text)));
    let (copy, words) = backed_up(&place);
    said.push(("words of backup", words));
    crashes_without_a_dump(&place, &mut daemon).await;
    said.push(("the log", daemon.log()));

    for request in sink.requests().iter().filter(|one| !is_of_source(one) && !one.line.contains(OWN)) {
        let body = String::from_utf8_lossy(&request.body);
        assert!(!body.contains("Vexworthy"), "the name was sent to {}: {body}", request.line);
    }
    // Whoever is called gets the secret that lets us in; nobody else has it.
    for word in [PLANTED, NOSTR_KEY, "Vexworthy"] {
        for (place, text) in &said {
            assert!(!text.contains(word), "{word} is in {place}: {}", around(text, word));
        }
    }
    let holds = |word: &str| copy.windows(word.len()).any(|bytes| bytes == word.as_bytes());
    for word in [PLANTED, NOSTR_KEY] {
        assert!(!place.database_holds(word) && !holds(word), "{word} is in the database or its copy");
    }
    // The evidence has the name, for those who answer for it and have the keys.
    assert!(place.database_holds(NAME) && !place.in_files(NAME) && !holds(NAME));
}

/// What a source asks for: receivers have one of two paths.
fn is_of_source(request: &Request) -> bool {
    !request.line.contains("/taken/") && !request.line.contains("/refused/")
}

/// Where in a long text a word is.
fn around<'a>(text: &'a str, word: &str) -> &'a str {
    text.lines().find(|line| line.contains(word)).unwrap_or_default()
}
