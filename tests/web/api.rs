//! The API over real connections, with a daemon behind it that is only pretended.

use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::pretended::{HOOK_SECRET, Server, TOKEN, answer, at, is_error, link};
use crate::support::sink::{signature, user, webhook};
use reqwest::header::LINK;
use reqwest::{Method, StatusCode, Url};
use serde_json::{Value, json};
use stormbell::domain::addressee::Addressee;
use stormbell::domain::event::Ledger;
use stormbell::domain::id::IncidentId;
use stormbell::domain::time::Timestamp;
use stormbell::web::{Action, ActionKind, Erase, Merge, Subject};
use stormbell::wire::link::LASTS;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn health_readiness_and_metrics_need_no_token() {
    let server = Server::guarded().await;
    assert_eq!(server.get("/healthz").await, (StatusCode::OK, json!("ok\n")));
    assert_eq!(server.get("/readyz").await, (StatusCode::OK, json!({"ready": true, "reasons": []})));
    server.backend.not_ready.lock().unwrap().push("source bluesky is down".to_owned());
    let expected = json!({"ready": false, "reasons": ["source bluesky is down"]});
    assert_eq!(server.get("/readyz").await, (StatusCode::SERVICE_UNAVAILABLE, expected));

    server.metrics.ledger(&"bluesky".into(), &Ledger { frames: 7, ..Ledger::default() });
    let response = server.ask(Method::GET, "/metrics").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert!(response.text().await.unwrap().contains("stormbell_frames_total{source=\"bluesky\"} 7\n"));
}

/// 1,201 of them are over.
#[tokio::test(flavor = "multi_thread")]
async fn incidents_that_are_too_many_for_an_answer_come_in_parts_and_the_command_lists_them_all() {
    let server = Server::guarded().await;
    server.backend.past.store(1_200, Ordering::Relaxed);
    let ids = |json: &[Value]| json.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let (mut parts, mut all) = (Vec::new(), Vec::new());
    let mut address = Url::parse(&format!("http://{}/api/v1/incidents?state=resolved", server.address)).unwrap();
    loop {
        let response = server.client.get(address.clone()).bearer_auth(TOKEN).send().await.unwrap();
        let link = response.headers().get(LINK).map(|link| link.to_str().unwrap().to_owned());
        let part: Vec<Value> = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        parts.push(part.len());
        all.extend(ids(&part));
        let Some(link) = link else { break };
        let next = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
        address = address.join(next).unwrap();
    }
    let expected =
        ["active-threat/1".to_owned()].into_iter().chain((0..1_200).map(|number| format!("over/{number:04}")));
    assert_eq!((parts.as_slice(), &all), (&[500, 500, 201][..], &expected.collect()));

    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), TOKEN).unwrap();
    let listed = |json: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stormbell"));
        command.args(["incidents", "--state", "resolved"]).args(json);
        command.args(["--url", &format!("http://{}", server.address), "--token-file"]).arg(token.path());
        let listed = command.env_clear().output().unwrap();
        assert!(listed.status.success(), "{listed:?}");
        String::from_utf8(listed.stdout).unwrap()
    };
    let json = listed(&["--json"]);
    assert_eq!(ids(&json.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>()), all);
    let lines = listed(&[]);
    assert_eq!(lines.lines().step_by(2).map(|line| line.split(' ').next().unwrap()).collect::<Vec<_>>(), all);
}

#[tokio::test]
async fn the_api_is_closed_to_whoever_lacks_the_token() {
    let server = Server::guarded().await;
    for path in ["/api/v1/incidents", "/api/v1/status", "/api/v1/nothing", "/api"] {
        is_error(&server.get(path).await, 401, "Bearer");
    }
    is_error(&server.post("/api/v1/incidents/i1/ack", "{}").await, 401, "Bearer");
    let wrong_ones = ["Bearer a-token-of-some-lengtH", "Bearer ", "Bearer", "Basic a-token-of-some-length", TOKEN];
    for wrong in wrong_ones {
        let request = server.ask(Method::GET, "/api/v1/status").header("authorization", wrong);
        is_error(&answer(request).await, 401, "Bearer");
    }
    assert!(server.backend.acted.lock().unwrap().is_empty());
    let right = server.ask(Method::GET, "/api/v1/status").bearer_auth(TOKEN);
    let (status, body) = answer(right).await;
    assert_eq!((status, &body["organization"]), (StatusCode::OK, &json!("St. Brigid's Hospital")));
}

#[tokio::test]
async fn incidents_are_shown_with_the_names_of_the_webhook_payload() {
    let server = Server::open().await;
    let (_, all) = server.get("/api/v1/incidents").await;
    assert_eq!(all.as_array().unwrap().len(), 3);
    let (_, open) = server.get("/api/v1/incidents?state=open").await;
    let url = format!("http://{}/incidents/active-threat%2F1", server.address);
    let expected = json!([{
        "id": "active-threat/1", "title": "Gunman reported <b>", "severity": "critical", "state": "open",
        "topic": "active-threat", "rules": ["active-threat.gunman"], "opened_at": "2026-11-22T10:00:01Z",
        "first_post_at": "2026-11-22T09:59:00Z", "last_post_at": "2026-11-22T10:00:00Z", "posts": 2, "authors": 2, "stories": 1,
        "summary": "1 story · 2 authors · 2 posts within 1 min, the first at 2026-11-22T09:59:00Z", "why": "two authors",
        "playbook": "playbooks/active-threat.md", "url": url, "exercise": false, "late": false,
        "sample": []
    }]);
    assert_eq!(open, expected);
    is_error(&server.get("/api/v1/incidents?state=eaten").await, 400, "open, acknowledged or resolved");
    is_error(&server.get("/api/v1/incidents?limit=1").await, 400, "state and before");
    is_error(&server.get("/api/v1/incidents?before=yesterday").await, 400, "Link");

    let (status, one) = server.get("/api/v1/incidents/active-threat%2F1").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(one["id"], "active-threat/1");
    assert_eq!(one["sample"][0]["text"], "shots");
    assert_eq!(one["timeline"][0]["what"], "opened");
    assert_eq!(one["alerts"][0]["condition"], "count");
    is_error(&server.get("/api/v1/incidents/other").await, 404, "no such incident");
}

#[tokio::test]
async fn the_api_says_who_is_on_call() {
    let server = Server::open().await;
    let (status, now) = server.get("/api/v1/oncall").await;
    let on_call = json!({ "person": "ann", "from": "2026-11-22T10:01:40Z", "until": null });
    let schedule =
        json!({ "schedule": "press", "timezone": "UTC", "at": "2026-11-22T10:01:40Z", "now": on_call, "next": null });
    assert_eq!((status, now), (StatusCode::OK, json!([schedule])));
    let (_, day) = server.get("/api/v1/oncall?name=ann&at=2026-12-24T00:00:00Z&days=2").await;
    let shift = json!({ "person": "ann", "from": "2026-12-24T00:00:00Z", "until": "2026-12-26T00:00:00Z" });
    assert_eq!(day[0]["shifts"], json!([shift]));
    is_error(&server.get("/api/v1/oncall?name=zoe").await, 404, "no schedule, person or team");
    is_error(&server.get("/api/v1/oncall?at=noon").await, 400, "RFC 3339");
    is_error(&server.get("/api/v1/oncall?days=4000").await, 400, "1 to 400");
    is_error(&server.get("/api/v1/oncall?who=ann").await, 400, "name, at");
}

#[tokio::test]
async fn people_acknowledge_resolve_and_write_notes() {
    let server = Server::open().await;
    let (status, body) = server.post("/api/v1/incidents/i1/ack", r#"{"by": " ann ", "text": "on it"}"#).await;
    assert_eq!((status, &body["acknowledged"]["by"]), (StatusCode::OK, &json!("ann")));
    let bare = server.ask(Method::POST, "/api/v1/incidents/i1/resolve");
    assert_eq!(answer(bare).await.0, StatusCode::OK);
    assert_eq!(server.post("/api/v1/incidents/i1/note", r#"{"text": "police called"}"#).await.0, StatusCode::OK);
    let action = |kind, by: &str, text: &str| {
        (IncidentId::from("i1"), Action { kind, by: by.to_owned(), text: text.to_owned() })
    };
    let expected = [
        action(ActionKind::Acknowledge, "ann", "on it"),
        action(ActionKind::Resolve, "api", ""),
        action(ActionKind::Note, "api", "police called"),
    ];
    assert_eq!(*server.backend.acted.lock().unwrap(), expected);

    is_error(&server.post("/api/v1/incidents/other/ack", "").await, 404, "no such incident");
    is_error(&server.post("/api/v1/incidents/over/ack", "").await, 409, "resolved");
    is_error(&server.post("/api/v1/incidents/stuck/ack", "").await, 503, "stuck");
    is_error(&server.post("/api/v1/incidents/i1/eat", "").await, 404, "ack, resolve, note or merge");
}

#[tokio::test]
async fn people_merge_incidents() {
    let server = Server::open().await;
    let whole = r#"{"into": " i2 ", "by": "ann", "reason": "the same fire"}"#;
    let (status, body) = server.post("/api/v1/incidents/i1/merge", whole).await;
    assert_eq!((status, &body["id"]), (StatusCode::OK, &json!("active-threat/1")));
    assert_eq!(server.post("/api/v1/incidents/i1/merge", r#"{"into": "i2"}"#).await.0, StatusCode::OK);
    let merge = |by: &str, reason: &str| Merge { into: "i2".into(), by: by.to_owned(), reason: reason.to_owned() };
    assert_eq!(*server.backend.merged.lock().unwrap(), [merge("ann", "the same fire"), merge("api", "")]);

    is_error(&server.post("/api/v1/incidents/other/merge", whole).await, 404, "no such incident");
    is_error(&server.post("/api/v1/incidents/over/merge", whole).await, 409, "resolved");
    is_error(&server.post("/api/v1/incidents/i1/merge", "{}").await, 400, "{\"into\": \"inc-");
    is_error(&server.post("/api/v1/incidents/i1/merge", r#"{"into": "i2", "text": "a"}"#).await, 400, "reason");
    let long = json!({ "into": "i2", "reason": "a".repeat(4001) }).to_string();
    is_error(&server.post("/api/v1/incidents/i1/merge", &long).await, 422, "4000");
    is_error(&server.post("/api/v1/incidents/i1/merge", r#"{"into": "i2", "by": "a\nb"}"#).await, 422, "one line");
    let form = server.ask(Method::POST, "/api/v1/incidents/i1/merge").body("into=i2");
    is_error(&answer(form).await, 415, "application/json");
    is_error(&server.get("/api/v1/incidents/i1/merge").await, 405, "method");
}

#[tokio::test]
async fn silences_are_ordered_listed_tried_and_ended() {
    let server = Server::open().await;
    let order =
        r#"{"matchers": ["topic=cyber*", "severity!=critical"], "by": "ann", "reason": "patch night", "for": "2h"}"#;
    let (status, silence) = server.post("/api/v1/silences", order).await;
    assert_eq!(status, StatusCode::OK, "{silence}");
    let id = silence["id"].as_str().unwrap();
    let expected = json!({
        "id": id, "state": "active", "matchers": ["topic=cyber*", "severity!=critical"], "by": "ann",
        "reason": "patch night", "from": "2026-11-22T10:01:40Z", "until": "2026-11-22T12:01:40Z"
    });
    assert_eq!(silence, expected);
    assert_eq!(server.get("/api/v1/silences").await, (StatusCode::OK, json!([expected])));
    let later =
        r#"{"matchers": ["topic=a"], "reason": "b", "from": "2026-11-23T00:00:00Z", "until": "2026-11-23T01:00:00Z"}"#;
    let (_, later) = server.post("/api/v1/silences", later).await;
    assert_eq!((&later["state"], &later["by"]), (&json!("pending"), &json!("api")));

    let (_, preview) = server.post("/api/v1/silences/preview", r#"{"matchers": ["topic=active-*"]}"#).await;
    assert_eq!((&preview["looked_at"], &preview["muted"]), (&json!(3), &json!([])));
    assert!(preview["spared"][0]["because"].as_str().unwrap().starts_with("critical: name severity=critical"));
    let (_, preview) = server.post("/api/v1/silences/preview", r#"{"matchers": ["topic=active-threat"]}"#).await;
    assert_eq!((preview["muted"].as_array().unwrap().len(), &preview["spared"]), (3, &json!([])));
    let (_, preview) = server.post("/api/v1/silences/preview", r#"{"matchers": ["topic=cyber"]}"#).await;
    assert_eq!((&preview["muted"], &preview["spared"]), (&json!([]), &json!([])));

    let end = |path: String| answer(server.ask(Method::DELETE, &path));
    let (_, ended) = end(format!("/api/v1/silences/{id}?by=bob")).await;
    assert_eq!((&ended["state"], &ended["ended_by"]), (&json!("expired"), &json!("bob")));
    assert_eq!(end(format!("/api/v1/silences?id={id}")).await.0, StatusCode::OK);
    is_error(&end("/api/v1/silences/sil-x".to_owned()).await, 404, "no such silence");
    is_error(&end("/api/v1/silences".to_owned()).await, 400, "say which");

    for (body, status, words) in [
        ("{", 400, "body must be like"),
        (r#"{"matchers": ["topic=a"], "comment": "b"}"#, 400, "comment"),
        (r#"{"matchers": [], "reason": "b", "for": "1h"}"#, 422, "say what to silence"),
        (r#"{"matchers": ["topic=~a.*"], "reason": "b", "for": "1h"}"#, 422, "regular expressions"),
        (r#"{"matchers": ["topic=a"], "for": "1h"}"#, 422, "say why"),
        (r#"{"matchers": ["topic=a"], "reason": "b"}"#, 422, "say when it ends"),
        (r#"{"matchers": ["topic=a"], "reason": "b", "for": "1h", "until": "2026-11-23T00:00:00Z"}"#, 422, "either"),
        (r#"{"matchers": ["topic=a"], "reason": "b", "for": "90d"}"#, 422, "at most 31 days"),
        (r#"{"matchers": ["topic=a"], "reason": "b", "until": "2026-11-22T09:00:00Z"}"#, 422, "end after"),
        (r#"{"matchers": ["topic=a"], "reason": "b", "until": "tonight"}"#, 422, "until: not a date"),
    ] {
        is_error(&server.post("/api/v1/silences", body).await, status, words);
    }
    is_error(&Server::guarded().await.get("/api/v1/silences").await, 401, "Bearer");
}

#[tokio::test]
async fn malformed_requests_are_refused_in_words() {
    let server = Server::open().await;
    let ack = "/api/v1/incidents/i1/ack";
    is_error(&server.post(ack, "{").await, 400, "body must be like");
    is_error(&server.post(ack, r#"{"buy": "ann"}"#).await, 400, "buy");
    is_error(&server.post(ack, r#"{"by": "ann\nroot"}"#).await, 422, "one line");
    is_error(&server.post(ack, &json!({"by": "x".repeat(201)}).to_string()).await, 422, "200");
    is_error(&server.post(ack, &json!({"text": "x".repeat(4001)}).to_string()).await, 422, "4000");
    is_error(&server.post(ack, &" ".repeat(64 * 1024 + 1)).await, 413, "length limit");
    is_error(&server.post("/api/v1/incidents/i1/note", r#"{"text": "  "}"#).await, 422, "needs text");
    is_error(&answer(server.ask(Method::POST, ack).body("by=ann")).await, 415, "application/json");
    is_error(&server.get("/nothing").await, 404, "nothing at this address");
    is_error(&server.get(ack).await, 405, "method");
    assert!(server.backend.acted.lock().unwrap().is_empty());
}

#[tokio::test]
async fn pages_of_other_sites_cannot_use_an_open_api() {
    let server = Server::open().await;
    let port = server.address.port();
    for host in ["evil.example".to_owned(), format!("evil.example:{port}"), format!("10.1.2.3:{port}")] {
        let rebound = server.ask(Method::GET, "/api/v1/incidents").header("host", host);
        is_error(&answer(rebound).await, 421, "Host");
    }
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1"] {
        let forged = server.ask(Method::POST, "/api/v1/incidents/i1/ack").header("origin", origin);
        is_error(&answer(forged).await, 403, "another site");
    }
    assert!(server.backend.acted.lock().unwrap().is_empty());
    let own = format!("http://{}", server.address);
    let request = server.ask(Method::POST, "/api/v1/incidents/i1/ack").header("origin", own);
    assert_eq!(answer(request).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_token_holder_may_call_the_server_by_name() {
    let server = Server::guarded().await;
    let by_name = || server.ask(Method::GET, "/metrics").header("host", "stormbell.hospital.example");
    is_error(&answer(by_name()).await, 421, "Host");
    assert_eq!(answer(by_name().bearer_auth(TOKEN)).await.0, StatusCode::OK);
}

#[tokio::test]
async fn garbage_on_the_socket_harms_nobody() {
    let server = Server::open().await;
    for garbage in [&b"\x16\x03\x01\x02\x00"[..], b"GET / HTTP/9.9\r\n\r\n", b"\r\n\r\n\r\n\0\0", b"POST /api"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut reply = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut reply)).await;
        drop(read.expect("the server hangs up"));
    }
    assert_eq!(server.get("/healthz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn stopping_does_not_wait_for_an_idle_client() {
    let mut server = Server::open().await;
    assert_eq!(server.get("/healthz").await.0, StatusCode::OK); // keeps its connection
    let _idle = TcpStream::connect(server.address).await.unwrap();
    server.cancel.cancel();
    let stopped = tokio::time::timeout(Duration::from_secs(30), server.tasks.join_next()).await;
    stopped.expect("stops in time").unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn the_page_of_a_link_says_where_the_incident_stands() {
    let server = Server::with_links().await;
    let own = Some("https://bell.hospital.example");
    let (ann, carl) = (Some("ann"), Some("carl"));
    let old = at(99) - LASTS - Duration::from_mins(2);
    let mut told = String::new();
    for (what, method, path, status) in [
        ("open, a person's", Method::GET, link("active-threat/1", carl, at(0)), 200),
        ("open, a receiver's", Method::GET, link("active-threat/1", None, at(0)), 200),
        ("pressed", Method::POST, link("active-threat/1", carl, at(0)), 200),
        ("pressed by somebody who reads a receiver", Method::POST, link("active-threat/1", None, at(0)), 200),
        ("an exercise", Method::GET, link("drill", carl, at(0)), 200),
        ("an exercise, pressed", Method::POST, link("drill", carl, at(0)), 200),
        ("somebody else has it", Method::GET, link("taken", carl, at(0)), 200),
        ("somebody else was faster", Method::POST, link("taken", carl, at(0)), 200),
        ("whoever it was sent to has it", Method::GET, link("taken", ann, at(0)), 200),
        ("over", Method::GET, link("over", carl, at(0)), 200),
        ("goes on as another", Method::GET, link("merged", carl, at(0)), 200),
        ("pressed when it went on as another", Method::POST, link("merged", carl, at(0)), 200),
        ("pressed when it was over", Method::POST, link("over", carl, at(0)), 200),
        ("too old", Method::POST, link("active-threat/1", carl, old), 410),
        ("none of ours", Method::POST, "/a/AAAA".to_owned(), 404),
        ("forgotten", Method::GET, link("gone", carl, at(0)), 404),
        ("the store is stuck", Method::GET, link("stuck", carl, at(0)), 503),
        ("the store is stuck, pressed", Method::POST, link("stuck", carl, at(0)), 503),
    ] {
        let (answered, page) = server.browse(method.clone(), &path, own).await;
        assert_eq!(answered.as_u16(), status, "{what}");
        let (head, rest) = page.split_once("<style>").unwrap();
        let body = rest.split_once("</style>").unwrap().1;
        for hostile in ["<script", "onclick", "http-equiv", "src=", "href=", "shots", "<b>", "two authors"] {
            assert!(!head.contains(hostile) && !body.contains(hostile), "{hostile}: {page}");
        }
        told = format!("{told}===== {what}: {method} {answered}\n{head}{body}");
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("web-link-pages", told));
    let acted = server.backend.acted.lock().unwrap();
    let who: Vec<&str> = acted.iter().map(|(_, action)| action.by.as_str()).collect();
    assert_eq!(who, ["carl", "sms", "carl", "carl"], "the button alone acts");
    assert!(acted.iter().all(|(_, action)| action.text == "by link, sent to sms"));
}

#[tokio::test]
async fn whoever_only_looks_takes_nothing() {
    let server = Server::with_links().await;
    let path = link("active-threat/1", Some("carl"), at(0));
    for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE, Method::PATCH] {
        let (status, text) = server.browse(method.clone(), &path, None).await;
        assert_eq!(status.is_success(), matches!(method, Method::GET | Method::HEAD), "{method}: {text}");
    }
    for origin in ["https://evil.example", "null", "https://bell.hospital.example.evil"] {
        let (status, text) = server.browse(Method::POST, &path, Some(origin)).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{origin}: {text}");
    }
    assert!(server.backend.acted.lock().unwrap().is_empty());
    // A proxy may call us by our address, and an old browser say nothing of the page.
    for request in [
        server.ask(Method::POST, &path).header("origin", "https://bell.hospital.example"),
        server.ask(Method::POST, &path).header("host", "bell.hospital.example:443"),
    ] {
        assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(server.backend.acted.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn the_public_name_shows_strangers_links_and_where_to_sign_in() {
    let server = Server::with_links().await;
    let inside = StatusCode::MISDIRECTED_REQUEST;
    let closed = [("/metrics", inside), ("/readyz", inside), ("/api/v1/incidents", StatusCode::UNAUTHORIZED)];
    for (path, refused) in closed {
        let answer = server.ask(Method::GET, path).header("host", "bell.hospital.example").send().await.unwrap();
        assert_eq!(answer.status(), refused, "{path}");
    }
    let stranger = server.ask(Method::GET, &link("active-threat/1", None, at(0))).header("host", "evil.example");
    is_error(&answer(stranger).await, 421, "Host");
    let long = format!("/a/{}", "A".repeat(60_000));
    for path in [long.as_str(), "/a/%ff", "/a/%00", "/a/..%2f..", &format!("{}x", link("taken", None, at(0)))] {
        assert_eq!(server.browse(Method::GET, path, None).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    // Without a public address there are no links, whoever signed them.
    let path = link("active-threat/1", None, at(0));
    assert_eq!(Server::open().await.ask(Method::POST, &path).send().await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_a_person_does_at_pagerduty_is_done_here_once_it_is_signed() {
    let server = Server::guarded().await;
    let event = |kind: &str, incident: &str, agent: &Value| webhook(kind, incident, "2026-11-22T10:01:30.250Z", agent);
    let ann = user("Ann\u{202e} Example");
    let program = json!({ "type": "service_reference", "summary": "Events API" });
    let acknowledged = |incident: &str| event("acknowledged", incident, &ann);
    // It comes by whatever name the proxy has, with no token.
    let send = async |path: &str, body: &str, signature: &str| {
        let request = server.ask(Method::POST, path).header("host", "bell.hospital.example");
        let request = request.header("x-pagerduty-signature", signature).header("content-type", "application/json");
        let (status, answer) = answer(request.body(body.to_owned())).await;
        (status.as_u16(), answer)
    };
    let path = "/hooks/pagerduty/pager";
    for (body, status) in [
        (acknowledged("i1"), 204),
        (acknowledged("i1"), 204),
        (event("resolved", "i1", &ann), 204),
        (event("resolved", "i1", &json!({ "type": "user_reference" })), 204),
        (event("acknowledged", "i1", &program), 202),
        (event("unacknowledged", "i1", &ann), 202),
        (event("reopened", "i1", &ann), 202),
        (acknowledged("over"), 202),
        (acknowledged("i1").replace("stormbell/", "nagios/"), 202),
        ("no JSON at all".to_owned(), 202),
        (format!("{}{}", acknowledged("other"), " ".repeat(200_000)), 202),
        (acknowledged("stuck"), 503),
    ] {
        let (answered, text) = send(path, &body, &signature(HOOK_SECRET, &body)).await;
        assert_eq!(answered, status, "{body}: {text}");
    }
    let done = server.backend.answered.lock().unwrap().clone();
    let at = Timestamp::parse("2026-11-22T10:01:30.250Z").unwrap();
    let action = |kind, by: &str| Action { kind, by: by.to_owned(), text: "in PagerDuty (pager)".to_owned() };
    let expected = [
        action(ActionKind::Acknowledge, "Ann Example"),
        action(ActionKind::Acknowledge, "Ann Example"),
        action(ActionKind::Resolve, "Ann Example"),
        action(ActionKind::Resolve, "somebody at pager"),
    ];
    assert_eq!(done, expected.map(|action| (IncidentId::from("i1"), action, Some(Addressee::from("pager")), at)));

    let body = acknowledged("i1");
    let right = signature(HOOK_SECRET, &body);
    for (path, body, signature, status, words) in [
        (path, body.as_str(), signature("another-secret", &body), 401, "webhook_secret"),
        (path, body.as_str(), String::new(), 401, "webhook_secret"),
        (path, &format!("{body} "), right.clone(), 401, "webhook_secret"),
        (path, &" ".repeat(256 * 1024 + 1), right.clone(), 413, "length limit"),
        ("/hooks/pagerduty/other", &body, right.clone(), 404, "no receiver"),
        ("/hooks/opsgenie/pager", &body, right.clone(), 404, "nothing at this address"),
    ] {
        let (answered, answer) = send(path, body, &signature).await;
        assert_eq!(answered, status, "{path} {answer}");
        assert!(answer["error"].as_str().unwrap().contains(words), "{answer}");
    }
    is_error(&server.get(path).await, 405, "method");
    assert_eq!(server.backend.answered.lock().unwrap().len(), 4, "nothing else was done");
    let page = server.ask(Method::GET, "/metrics").send().await.unwrap().text().await.unwrap();
    for line in ["done\"} 4", "ignored\"} 7", "refused\"} 3", "failed\"} 1"] {
        let line = format!("stormbell_answers_total{{receiver=\"pager\",outcome=\"{line}\n");
        assert!(page.contains(&line), "{line}{page}");
    }
}

#[tokio::test]
async fn erasures_and_holds_say_what_and_why_and_are_refused_otherwise() {
    let server = Server::open().await;
    let erase = async |body: Value| server.post("/api/v1/erasures", &body.to_string()).await;
    let order = json!({"author": " @ann.example ", "source": "bluesky", "by": "dora", "reason": "her request"});
    let (status, receipt) = erase(order).await;
    assert_eq!((status, &receipt["audit_entry"]), (StatusCode::OK, &json!(7)));
    let ordered = server.backend.erased.lock().unwrap().clone();
    let subject = Subject::Author { name: "@ann.example".to_owned(), source: "bluesky".to_owned() };
    assert_eq!(ordered, [Erase { subject, by: "dora".to_owned(), reason: "her request".to_owned() }]);
    for (body, status, why) in [
        (json!({"author": "a", "reason": "r"}), 422, "author and source"),
        (json!({"author": "a", "source": "s", "post": "p", "reason": "r"}), 422, "either post"),
        (json!({"reason": "r"}), 422, "either post"),
        (json!({"post": "p"}), 422, "say why"),
        (json!({"post": "p", "reason": "  "}), 422, "say why"),
        (json!({"post": "a\nb", "reason": "r"}), 422, "one line"),
        (json!({"post": " ", "reason": "r"}), 422, "not empty"),
        (json!({"post": "p", "reason": "r", "block": true}), 400, "block"),
        (json!({"post": "unknown", "reason": "r"}), 404, "nothing to erase"),
        (json!({"post": "held", "reason": "r"}), 409, "held"),
    ] {
        is_error(&erase(body).await, status, why);
    }

    let add = async |body: Value| server.post("/api/v1/holds", &body.to_string()).await;
    let order = json!({"incident": "active-threat/1", "approved_by": "Dr. Roe", "reason": "law suit", "by": "dora"});
    is_error(&add(json!({"incident": "active-threat/1", "reason": "law suit"})).await, 422, "approved_by");
    is_error(&add(json!({"incident": "active-threat/1", "approved_by": "Dr. Roe"})).await, 422, "say why");
    is_error(&add(json!({"incident": "none", "approved_by": "Dr. Roe", "reason": "r"})).await, 404, "no such incident");
    let (status, held) = add(order).await;
    assert_eq!((status, &held["approved_by"]), (StatusCode::OK, &json!("Dr. Roe")));
    assert_eq!(server.get("/api/v1/holds").await, (StatusCode::OK, json!([held])));
    let (_, posts) = server.post("/api/v1/holds/active-threat%2F1/posts", r#"{"by":"roe"}"#).await;
    assert_eq!(posts[0]["text"], "shots");
    is_error(&server.post("/api/v1/holds/none/posts", "").await, 404, "no hold");
    let release = async |query: &str| {
        answer(server.ask(Method::DELETE, &format!("/api/v1/holds/active-threat%2F1{query}"))).await
    };
    is_error(&release("?by=roe").await, 422, "say why");
    assert_eq!(release("?by=roe&reason=settled").await, (StatusCode::OK, held));
    is_error(&release("?by=roe&reason=settled").await, 404, "no hold");
}
