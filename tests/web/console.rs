//! The console over real connections, with a daemon behind it that is only pretended: who gets in, what they may do,
//! what strangers' words become.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::support::pretended::{Pretended, Server, TOKEN, incident};
use crate::support::visitor::{PASSWORD, Page, Visitor, first_link, invite, with_everybody};
use crate::support::workshop::RULE;
use reqwest::header::SET_COOKIE;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use stormbell::domain::access::{IDLE, INVITED_FOR, Role};
use stormbell::domain::incident::{Incident, IncidentState};
use stormbell::web::{Live, Needs, addresses};

#[tokio::test]
async fn the_first_account_is_made_by_a_link_that_works_once() {
    let server = Server::guarded().await;
    let link = first_link(&server).await;
    let mut ann = Visitor::new(&server);
    let page = ann.get(&link).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(
        page.text.contains("first account") && page.text.contains("autocomplete=\"new-password\""),
        "{}",
        page.text
    );

    for (password, again, problem) in [
        ("too short", "too short", "at least 15"),
        (PASSWORD, "other", "not the same"),
        ("annannannannann", "annannannannann", "must not be the name"),
    ] {
        let page = ann.post(&link, &[("name", "Ann"), ("password", password), ("again", again)]).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.text.contains(problem) && !page.text.contains(PASSWORD), "{}", page.text);
    }
    let taken = ann.take_up(&link, "Ann").await;
    assert_eq!((taken.status, taken.location()), (StatusCode::SEE_OTHER, "/"));
    let cookie = taken.headers[SET_COOKIE].to_str().unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Lax; Max-Age=604800") && !cookie.contains("Secure"), "{cookie}");
    assert_eq!(ann.get("/").await.status, StatusCode::OK);

    let mut late = Visitor::new(&server);
    assert_eq!(late.get(&link).await.status, StatusCode::GONE);
    assert_eq!(late.take_up(&link, "eve").await.status, StatusCode::GONE);
    let changes = format!("{:?}", server.backend.changes.lock().unwrap());
    assert!(!changes.contains(PASSWORD) && !changes.contains(link.rsplit('/').next().unwrap()), "{changes}");
}

#[tokio::test]
async fn whoever_is_not_signed_in_is_led_there_and_back() {
    let server = Server::guarded().await;
    let link = first_link(&server).await;
    let mut ann = Visitor::new(&server);
    ann.take_up(&link, "ann").await;
    let mut bob = Visitor::new(&server);
    let led = bob.get("/incidents/inc-a?x=1").await;
    assert_eq!((led.status, led.location()), (StatusCode::SEE_OTHER, "/sign-in?then=%2Fincidents%2Finc-a%3Fx%3D1"));
    let form = bob.get(led.location()).await;
    assert!(form.text.contains("name=\"then\" value=\"/incidents/inc-a?x=1\""), "{}", form.text);
    let entered = bob.sign_in("Ann", PASSWORD).await;
    assert_eq!((entered.status, entered.location()), (StatusCode::SEE_OTHER, "/incidents"));
    let elsewhere = [("name", "ann"), ("password", PASSWORD), ("then", "https://evil.example/")];
    assert_eq!(bob.post("/sign-in", &elsewhere).await.location(), "/");

    let left = bob.order("/sign-out", &[]).await;
    assert_eq!((left.status, left.location()), (StatusCode::SEE_OTHER, "/sign-in"));
    assert!(!bob.cookies.contains_key("stormbell-session"));
    assert_eq!(bob.get("/").await.status, StatusCode::SEE_OTHER);
    assert_eq!(ann.get("/").await.status, StatusCode::OK, "who is signed in elsewhere stays so");
}

#[tokio::test]
async fn guessing_gets_slow_and_does_not_tell_which_names_there_are() {
    let server = Server::guarded().await;
    let mut ann = Visitor::new(&server);
    ann.take_up(&first_link(&server).await, "ann").await;
    let mut eve = Visitor::new(&server);
    let wrong = [eve.sign_in("ann", "wrong").await.text, eve.sign_in("nobody", "wrong").await.text];
    let without = |text: &str| text.replace("value=\"ann\"", "").replace("value=\"nobody\"", "");
    assert_eq!(without(&wrong[0]), without(&wrong[1]));
    for _ in 0..3 {
        assert_eq!(eve.sign_in("ann", "wrong").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(eve.sign_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS, "even what is right");
    // Where ann signed in before, she is not held up.
    assert_eq!(ann.sign_in("ann", PASSWORD).await.status, StatusCode::SEE_OTHER);
    server.backend.clock.fetch_add(60, Ordering::Relaxed);
    assert_eq!(eve.sign_in("ann", PASSWORD).await.status, StatusCode::SEE_OTHER);
    let entries = server.backend.entries.lock().unwrap();
    let refused = entries.iter().filter(|entry| entry.what == "session.refused").count();
    assert_eq!(refused, 5, "{entries:?}");
    assert!(entries.iter().all(|entry| entry.about != "nobody"), "what was typed may be a password: {entries:?}");
}

#[tokio::test]
async fn a_session_ends_by_itself_and_from_another_browser() {
    let server = Server::guarded().await;
    let mut ann = Visitor::new(&server);
    ann.take_up(&first_link(&server).await, "ann").await;
    let mut other = Visitor::new(&server);
    other.sign_in("ann", PASSWORD).await;
    let account = other.get("/account").await.text;
    assert_eq!(account.matches("name=\"session\"").count(), 2, "{account}");
    let (_, rest) = account.split_once("name=\"session\" value=\"").unwrap();
    let names: Vec<&str> =
        account.split("name=\"session\" value=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(!rest.is_empty());
    for name in names {
        // Its own goes with the other: whichever order they are listed in.
        other.order("/account/sessions/end", &[("session", name)]).await;
        if other.get("/").await.status == StatusCode::SEE_OTHER {
            break;
        }
    }
    let alive = [ann.get("/").await.status, other.get("/").await.status];
    assert!(alive.contains(&StatusCode::SEE_OTHER), "{alive:?}");
    let mut last = Visitor::new(&server);
    last.sign_in("ann", PASSWORD).await;
    let idle = i64::try_from(IDLE.as_secs()).unwrap();
    server.backend.clock.fetch_add(idle - 1, Ordering::Relaxed);
    assert_eq!(last.get("/").await.status, StatusCode::OK);
    server.backend.clock.fetch_add(idle, Ordering::Relaxed);
    assert_eq!(last.get("/").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn every_address_lets_in_whom_its_table_says_and_nobody_else() {
    let server = Server::guarded().await;
    let table = addresses(Arc::new(Pretended::default()));
    assert!(table.len() > 40, "{table:?}");
    let mut everybody = with_everybody(&server).await;
    let mut stranger = Visitor::new(&server);
    for route in &table {
        let Needs::Role(needed) = route.needs else { continue };
        if route.path == "/sign-out" {
            continue; // would end the session this test goes on with
        }
        let path = route.path.replace("{id}", "none").replace("{action}", "note");
        let method: Method = route.method.parse().unwrap();
        let form: Option<&[(&str, &str)]> = if method == Method::GET { None } else { Some(&[]) };
        let refused = stranger.ask(method.clone(), &path, form, &[]).await.status;
        let expected = if path.starts_with("/api/") { StatusCode::UNAUTHORIZED } else { StatusCode::SEE_OTHER };
        assert_eq!(refused, expected, "a stranger: {} {path}", route.method);
        for (role, visitor) in &mut everybody {
            if path == "/api/v1/events" && *role >= needed {
                continue; // never ends
            }
            let page = visitor.ask(method.clone(), &path, form, &[]).await;
            let refused = page.status == StatusCode::FORBIDDEN && !page.text.contains("too old");
            assert_eq!(refused, *role < needed, "{role:?}: {} {path}: {} {}", route.method, page.status, page.text);
        }
    }
    let open: Vec<&str> = table.iter().filter(|route| route.needs == Needs::Nothing).map(|route| route.path).collect();
    let expected = [
        "/healthz",
        "/readyz",
        "/metrics",
        "/hooks/pagerduty/{receiver}",
        "/in/{source}",
        "/in/{source}",
        "/in/{source}/{place}",
        "/in/{source}/{place}",
        "/hooks/twilio/{receiver}",
        "/a/{token}",
        "/a/{token}",
        "/sign-in",
        "/sign-in",
        "/sign-in/oidc",
        "/sign-in/oidc/back",
        "/invited/{secret}",
        "/invited/{secret}",
        "/assets/{address}",
    ];
    assert_eq!(open, expected, "what strangers may ask for is decided here");
}

#[tokio::test]
async fn forms_of_other_sites_and_of_other_sessions_do_nothing() {
    let server = Server::guarded().await;
    let mut ann = Visitor::new(&server);
    ann.take_up(&first_link(&server).await, "ann").await;
    let key = ann.get("/silences").await.key();
    let take = "/incidents/active-threat%2F1/ack";
    let own = format!("http://{}", server.address);
    for (form, headers, words) in [
        (vec![("key", key.as_str())], vec![("origin", "https://evil.example")], "another site"),
        (vec![("key", "guessed")], vec![], "too old"),
        (vec![], vec![], "too old"),
    ] {
        let mut visitor = Visitor { server: &server, client: ann.client.clone(), cookies: ann.cookies.clone() };
        let page = if headers.is_empty() {
            visitor.post(take, &form).await
        } else {
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&form).finish();
            let request = visitor.client.post(format!("{own}{take}")).header("cookie", visitor.cookie());
            let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            let answer = request.body(body).send().await.unwrap();
            Page { status: answer.status(), headers: answer.headers().clone(), text: answer.text().await.unwrap() }
        };
        assert_eq!(page.status, StatusCode::FORBIDDEN);
        assert!(page.text.contains(words), "{}", page.text);
    }
    // A program that has stolen nothing but the cookie's presence: no page named.
    let cookie = ann.cookie();
    let request = ann.client.post(format!("{own}/api/v1/incidents/active-threat%2F1/ack")).header("cookie", cookie);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::FORBIDDEN);
    assert!(server.backend.acted.lock().unwrap().is_empty());

    let page = ann.order(take, &[]).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/incidents/active-threat%2F1"));
    let acted = server.backend.acted.lock().unwrap();
    assert_eq!(acted.len(), 1);
    assert_eq!(acted[0].1.by, "ann", "under the name of whoever is signed in");
}

#[tokio::test]
async fn what_the_signed_in_do_by_the_api_is_done_in_their_name() {
    let server = Server::guarded().await;
    let mut ann = Visitor::new(&server);
    ann.take_up(&first_link(&server).await, "ann").await;
    let own = format!("http://{}", server.address);
    let request = ann.client.post(format!("{own}/api/v1/incidents/active-threat%2F1/ack"));
    let request = request.header("cookie", ann.cookie()).header("origin", own.clone());
    let request = request.header("content-type", "application/json").body(r#"{"by": "somebody else"}"#);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(server.backend.acted.lock().unwrap()[0].1.by, "ann");
    let request = ann.client.post(format!("{own}/api/v1/incidents/active-threat%2F1/ack")).bearer_auth(TOKEN);
    let request = request.header("content-type", "application/json").body(r#"{"by": "carl"}"#);
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(server.backend.acted.lock().unwrap()[1].1.by, "carl", "the token's bearer says on whose behalf");
}

#[tokio::test]
async fn strangers_words_are_shown_inert() {
    let server = Server::open().await;
    let hostile = format!(
        "shots<script>alert(1)</script><img src=x onerror=alert(1)> \u{202E}evil\u{202C} &quot;' {{{{f}}}} =cmd|' /C calc'!A0 e{}",
        "\u{301}".repeat(1_000_000)
    );
    *server.backend.says.lock().unwrap() = hostile;
    let mut anybody = Visitor::new(&server);
    for path in [
        "/",
        "/incidents",
        "/incidents/active-threat%2F1",
        "/incidents/active-threat%2F1/report",
        "/incidents/active-threat%2F1/report?file=yes",
        "/handover",
        "/playbooks",
        "/wall",
        "/silences?match=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
        "/search",
        "/search?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&rule=%22%3E%3Cb%3E",
        "/rules/active-threat.gunman",
        "/sources",
        "/people/calendar",
    ] {
        let page = anybody.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(
            !page.text.contains("<script>") && !page.text.contains("<img") && !page.text.contains("<b>"),
            "{path}: {}",
            page.text
        );
        assert!(!page.text.contains('\u{202E}'), "{path}");
        assert!(page.text.len() < 100_000, "{path}: {} bytes", page.text.len());
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(
            !page.text.contains(" style=") && !page.text.contains(" onclick"),
            "nothing the policy would refuse: {path}"
        );
    }
    let page = anybody.get("/incidents/active-threat%2F1").await.text;
    assert!(page.contains("<mark>shots</mark>&#60;script&#62;"), "{page}");
}

#[tokio::test]
async fn quiet_and_blind_look_different() {
    let server = Server::open().await;
    server.backend.quiet.store(true, Ordering::Relaxed);
    let mut anybody = Visitor::new(&server);
    let quiet = anybody.get("/").await.text;
    assert!(quiet.contains("<h1>All quiet</h1>"), "{quiet}");
    server.backend.not_ready.lock().unwrap().push("the store has been stuck for 12 s".to_owned());
    let blind = anybody.get("/").await.text;
    assert!(blind.contains("not everything is seen") && blind.contains("stuck for 12 s"), "{blind}");
    assert!(blind.contains("class=\"state blind\""), "{blind}");
}

#[tokio::test]
async fn the_console_speaks_the_readers_language() {
    let server = Server::open().await;
    let mut anybody = Visitor::new(&server);
    for (accepted, lang, words) in [
        ("de-AT,de;q=0.9", "de", "Übernehmen"),
        ("es", "es", "cargo"),
        ("fr-CA", "fr", "charge"),
        ("ja", "en", "Take charge"),
    ] {
        let page = anybody.ask(Method::GET, "/", None, &[("accept-language", accepted)]).await.text;
        assert!(page.contains(&format!("<html lang=\"{lang}\">")) && page.contains(words), "{accepted}: {page}");
    }
}

#[tokio::test]
async fn a_silence_is_tried_before_it_is_ordered() {
    let server = Server::open().await;
    let mut anybody = Visitor::new(&server);
    let draft =
        [("match", "topic=active-threat severity=critical"), ("for", "2h"), ("reason", "a drill of the police")];
    let preview = [&draft[..], &[("do", "preview")]].concat();
    let page = anybody.order("/silences", &preview).await;
    assert!(page.text.contains("It would have muted 3 of the 3 incidents"), "{}", page.text);
    assert!(server.backend.silences.lock().unwrap().is_empty());
    let order = [&draft[..], &[("do", "order")]].concat();
    assert_eq!(anybody.order("/silences", &order).await.status, StatusCode::SEE_OTHER);
    let id = {
        let silences = server.backend.silences.lock().unwrap();
        assert_eq!((silences.len(), silences[0].by.as_str()), (1, "demo"));
        silences[0].id.to_string()
    };
    let wrong = [("match", "everything"), ("for", "2h"), ("reason", "x"), ("do", "order")];
    let page = anybody.order("/silences", &wrong).await;
    assert!(page.status == StatusCode::UNPROCESSABLE_ENTITY && page.text.contains("role=\"alert\""), "{}", page.text);
    anybody.order("/silences/end", &[("id", &id)]).await;
    assert!(server.backend.silences.lock().unwrap()[0].ended.is_some());
}

#[tokio::test]
async fn on_a_night_without_a_disk_one_can_still_sign_in() {
    let server = Server::guarded().await;
    let mut ann = Visitor::new(&server);
    ann.take_up(&first_link(&server).await, "ann").await;
    server.backend.full.store(true, Ordering::Relaxed);
    let mut bob = Visitor::new(&server);
    assert_eq!(bob.sign_in("ann", PASSWORD).await.status, StatusCode::SEE_OTHER);
    assert_eq!(bob.get("/").await.status, StatusCode::OK);
    // Who may do what changes only on disk.
    let page = bob.order("/access/invite", &[("name", "eve"), ("role", "admin")]).await;
    assert!(page.text.contains("the disk is full") && !page.text.contains("class=\"link\""), "{}", page.text);
}

#[tokio::test]
async fn the_last_admin_stays_and_the_removed_are_signed_out() {
    let server = Server::guarded().await;
    let mut everybody = with_everybody(&server).await;
    let admin = everybody.get_mut(&Role::Admin).unwrap();
    for (path, form) in [
        ("/access/remove", vec![("name", "root")]),
        ("/access/role", vec![("name", "root"), ("role", "viewer")]),
        ("/access/invite", vec![("name", "root"), ("role", "viewer")]),
    ] {
        let page = admin.order(path, &form).await;
        assert!(page.text.contains("root is the only admin"), "{path}: {}", page.text);
    }
    assert_eq!(
        admin.order("/access/role", &[("name", "viewer"), ("role", "responder")]).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(admin.order("/access/remove", &[("name", "editor")]).await.status, StatusCode::SEE_OTHER);
    let audit = admin.get("/audit").await.text;
    assert!(audit.contains("account.removed") && audit.contains("from viewer to responder"), "{audit}");
    assert_eq!(everybody.get_mut(&Role::Editor).unwrap().get("/").await.status, StatusCode::SEE_OTHER);
    let promoted = everybody.get_mut(&Role::Viewer).unwrap();
    assert_eq!(promoted.order("/incidents/active-threat%2F1/ack", &[]).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn an_invitation_is_too_old_after_three_days() {
    let server = Server::guarded().await;
    let mut root = Visitor::new(&server);
    root.take_up(&first_link(&server).await, "root").await;
    let link = invite(&mut root, "ann", Role::Viewer).await;
    let lasts = i64::try_from(INVITED_FOR.as_secs()).unwrap();
    server.backend.clock.fetch_add(lasts - 1, Ordering::Relaxed);
    assert_eq!(Visitor::new(&server).get(&link).await.status, StatusCode::OK);
    server.backend.clock.fetch_add(1, Ordering::Relaxed);
    assert_eq!(Visitor::new(&server).get(&link).await.status, StatusCode::GONE);
}

#[tokio::test]
async fn whoever_looks_on_is_told_what_happens() {
    let server = Server::open().await;
    let mut answer = server.ask(Method::GET, "/api/v1/events").send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    let mut until = async |wanted: &str, text: &mut String| {
        while !text.contains(wanted) {
            let chunk =
                tokio::time::timeout(crate::support::PATIENCE, answer.chunk()).await.expect("an event").unwrap();
            text.push_str(std::str::from_utf8(&chunk.expect("it goes on")).unwrap());
        }
    };
    until("event: missed\ndata: {}\n\n", &mut text).await;
    server.backend.live.send(Live::Incident(Arc::new(incident(IncidentState::Open)))).unwrap();
    until("event: incident", &mut text).await;
    let (_, data) = text.rsplit_once("event: incident\ndata: ").unwrap();
    let data: Value = serde_json::from_str(data.trim()).unwrap();
    assert_eq!((&data["id"], &data["sample"]), (&"active-threat/1".into(), &Value::Array(vec![])));
    server.backend.live.send(Live::Source("bluesky".into())).unwrap();
    until("event: source\ndata: {\"name\":\"bluesky\"}\n\n", &mut text).await;
}

#[tokio::test]
async fn an_incident_is_given_on_and_help_is_called_under_the_name_of_whoever_is_signed_in() {
    let server = Server::guarded().await;
    let mut ann = Visitor::new(&server);
    ann.take_up(&first_link(&server).await, "ann").await;
    let page = ann.get("/incidents/taken").await.text;
    assert!(
        page.contains("<option>bob</option>") && !page.contains("<option>ann</option>"),
        "who has it, has it: {page}"
    );
    assert!(!ann.get("/incidents/active-threat%2F1").await.text.contains("name=\"to\""), "nobody has it");
    let given = ann.order("/incidents/taken/handover", &[("to", "bob"), ("text", "my shift ends")]).await;
    assert_eq!((given.status, given.location()), (StatusCode::SEE_OTHER, "/incidents/taken"));
    let handed = server.backend.handed.lock().unwrap().remove(0);
    assert_eq!((handed.to.as_str(), handed.by.as_str(), handed.reason.as_str()), ("bob", "ann", "my shift ends"));

    let called = ann.order("/incidents/active-threat%2F1/escalate", &[("told", "1"), ("text", "nobody answers")]).await;
    assert_eq!(called.status, StatusCode::SEE_OTHER);
    let escalated = server.backend.escalated.lock().unwrap().remove(0);
    assert_eq!((escalated.told, escalated.by.as_str()), (Some(1), "ann"));

    let json = |path: &str, body: &'static str| {
        let request = server.ask(Method::POST, &format!("/api/v1/incidents/{path}")).bearer_auth(TOKEN);
        request.header("content-type", "application/json").body(body).send()
    };
    assert_eq!(json("taken/handover", r#"{"to": "bob", "by": "carl"}"#).await.unwrap().status(), StatusCode::OK);
    assert_eq!(server.backend.handed.lock().unwrap()[0].by, "carl");
    assert_eq!(json("active-threat%2F1/handover", r#"{"to": "bob"}"#).await.unwrap().status(), StatusCode::CONFLICT);
    assert_eq!(json("taken/handover", "{}").await.unwrap().status(), StatusCode::BAD_REQUEST);
    assert_eq!(json("active-threat%2F1/escalate", "").await.unwrap().status(), StatusCode::OK);
    assert_eq!(json("none/escalate", "").await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_playbook_shows_who_did_what_and_only_approved_words_can_be_marked_as_used() {
    let server = Server::guarded().await;
    let mut everybody = with_everybody(&server).await;
    let path = "/incidents/active-threat%2F1";
    let ann = everybody.get_mut(&Role::Responder).unwrap();
    let page = ann.get(path).await.text;
    assert!(page.contains("The first statement is due in 13 min"), "{page}");
    assert!(page.contains("<strong>Call</strong> the &#60;b&#62;desk&#60;/b&#62;."), "{page}");
    assert!(page.contains("There is an emergency at St. Brigid&#39;s Hospital. &#60;script&#62;"), "{page}");
    assert!(page.contains("not approved") && !page.contains("name=\"statement\""), "no button to mark it: {page}");
    let step = crate::support::team::playbook().steps().next().unwrap().key.clone();
    let ticked = ann.order(&format!("{path}/playbook"), &[("did", "step"), ("step", &step), ("done", "yes")]).await;
    assert_eq!((ticked.status, ticked.location()), (StatusCode::SEE_OTHER, "/incidents/active-threat%2F1#playbook"));
    let role = [("did", "role"), ("role", "Legal"), ("person", "Dr. Roe <b>")];
    ann.order(&format!("{path}/playbook"), &role).await;
    let page = ann.get(path).await.text;
    assert!(page.contains("1 of 2 steps done") && page.contains("✓ responder, "), "{page}");
    assert!(page.contains("Dr. Roe &#60;b&#62;"), "{page}");

    // Whoever makes a form of their own is refused, too.
    let said = [("did", "statement"), ("statement", "first"), ("minutes", "1")];
    assert_eq!(ann.order(&format!("{path}/playbook"), &said).await.status, StatusCode::CONFLICT);
    let hash = stormbell::domain::id::hex(&crate::support::team::playbook().statements[0].hash, 32);
    let approval = |hash: &str| {
        [("playbook", "playbooks/active-threat.md"), ("statement", "first"), ("may", "yes")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .chain([("hash".to_owned(), hash.to_owned())])
            .collect::<Vec<_>>()
    };
    for (role, hash, expected) in [
        (Role::Responder, hash.as_str(), StatusCode::FORBIDDEN),
        (Role::Editor, "other words", StatusCode::CONFLICT),
        (Role::Editor, hash.as_str(), StatusCode::SEE_OTHER),
    ] {
        let form = approval(hash);
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let page = everybody.get_mut(&role).unwrap().order("/playbooks/approve", &form).await;
        assert_eq!(page.status, expected, "{role:?}: {}", page.text);
    }
    let ann = everybody.get_mut(&Role::Responder).unwrap();
    assert!(ann.get("/playbooks").await.text.contains("approved by editor, "));
    let too_long_ago = [("did", "statement"), ("statement", "first"), ("minutes", "9999")];
    let refused = ann.order(&format!("{path}/playbook"), &too_long_ago).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(ann.order(&format!("{path}/playbook"), &said).await.status, StatusCode::SEE_OTHER);
    let page = ann.get(path).await.text;
    assert!(page.contains("class=\"clock out\"") && page.contains("by responder: first, version 2."), "{page}");
    assert_eq!(ann.order(&format!("{path}/playbook"), &[("did", "withdrawn")]).await.status, StatusCode::SEE_OTHER);
    server.backend.clock.fetch_add(3600, Ordering::Relaxed);
    let page = ann.get(path).await.text;
    assert!(page.contains("The first statement is overdue by 46 min"), "{page}");
    let viewer = everybody.get_mut(&Role::Viewer).unwrap();
    let seen = viewer.get(path).await.text;
    assert!(seen.contains("1 of 2 steps done") && !seen.contains("class=\"tick\""), "viewers read: {seen}");
}

#[tokio::test]
async fn the_report_is_one_account_as_page_as_file_and_as_json() {
    let server = Server::open().await;
    let mut anybody = Visitor::new(&server);
    let path = "/incidents/active-threat%2F1/report";
    let page = anybody.get(path).await;
    let hash = "07".repeat(32);
    assert!(
        page.text.contains(&hash) && page.text.contains("<blockquote dir=\"auto\">shots</blockquote>"),
        "{}",
        page.text
    );
    assert!(page.text.contains("2026-11-22 10:00:01 +00:00"), "with the day and the zone: {}", page.text);
    let without = anybody.get(&format!("{path}?posts=no")).await.text;
    assert!(without.contains(&hash) && !without.contains(">shots<"), "{without}");

    let file = anybody.get(&format!("{path}?file=yes")).await;
    assert_eq!(file.headers["content-disposition"], "attachment; filename=\"report-active-threat1.html\"");
    let policy = file.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    assert!(
        !file.text.contains(" href=") && !file.text.contains(" src=") && !file.text.contains("<form"),
        "whole by itself"
    );
    assert!(file.text.contains("@media print") && file.text.contains(&hash));

    let (status, json) = server.get("/api/v1/incidents/active-threat%2F1/report").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(json["evidence"][0]["sha256"], hash);
    assert_eq!((&json["evidence"][1]["erased"], &json["evidence"][0]["text"]), (&Value::Bool(true), &Value::Null));
    assert!(json["incident"]["sample"].is_null(), "only when asked for");
    assert_eq!(json["seconds"]["opened_to_first_receipt"], 1.0);
    let html = server.ask(Method::GET, "/api/v1/incidents/active-threat%2F1/report?as=html").send().await.unwrap();
    assert!(html.text().await.unwrap().starts_with("<!DOCTYPE html>"));
    assert_eq!(server.get("/api/v1/incidents/none/report").await.0, StatusCode::NOT_FOUND);
    assert_eq!(server.get("/api/v1/incidents/taken/report?as=pdf").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(json["evidence_next"], Value::Null, "these are all");

    let pretty = serde_json::to_string_pretty(&json).unwrap().replace(&server.address.to_string(), "127.0.0.1:0");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../golden");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        let (_, body) = file.text.split_once("<body>").unwrap();
        insta::assert_snapshot!("web-report", body);
        insta::assert_snapshot!("web-report-json", pretty);
    });
}

#[tokio::test]
async fn whoever_takes_a_shift_over_reads_what_happened_and_what_was_left_for_them() {
    let server = Server::guarded().await;
    let mut ann = Visitor::new(&server);
    ann.take_up(&first_link(&server).await, "ann").await;
    *server.backend.says.lock().unwrap() = "Gunman reported".to_owned();
    let noted = ann.order("/handover", &[("text", "the car park is closed <b>")]).await;
    assert_eq!((noted.status, noted.location()), (StatusCode::SEE_OTHER, "/handover#notes"));
    let page = ann.get("/handover").await.text;
    for words in [
        "Gunman reported",
        "probably noise",
        "the car park is closed &#60;b&#62;",
        "ann (sms)",
        "no such number &#60;i&#62;",
        "Nobody else is told",
        "press: ann",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    let span = "/handover?from=2026-11-22T08:00&to=2026-11-22T10:00";
    assert!(ann.get(span).await.text.contains("From 2026-11-22 08:00:00 +00:00 to 2026-11-22 10:00:00 +00:00."));
    for wrong in ["from=2026-11-22T10:00&to=2026-11-22T08:00", "from=nonsense", "from=2020-01-01T00:00"] {
        assert_eq!(ann.get(&format!("/handover?{wrong}")).await.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
    let ask = |query: &str| server.ask(Method::GET, &format!("/api/v1/handover{query}")).bearer_auth(TOKEN).send();
    let json: Value = serde_json::from_str(&ask("").await.unwrap().text().await.unwrap()).unwrap();
    assert_eq!(json["notes"][0]["by"], "ann");
    assert_eq!(
        (&json["open"][0]["next"]["what"], &json["open"][0]["steps"]),
        (&Value::from("nobody"), &Value::from(2))
    );
    assert_eq!(json["open"][1]["owner"], "ann");
    let noise: Vec<&Value> = json["resolved"].as_array().unwrap().iter().map(|one| &one["noise"]).collect();
    assert_eq!(noise, [false, true], "ended by a person; ended by itself, and nobody ever had it");
    assert_eq!(json["drills"].as_array().unwrap().len(), 1, "never among the real ones");
    assert_eq!(ask("?from=yesterday").await.unwrap().status(), StatusCode::BAD_REQUEST);
    let note =
        server.ask(Method::POST, "/api/v1/handover").bearer_auth(TOKEN).header("content-type", "application/json");
    assert_eq!(note.body(r#"{"text": " "}"#).send().await.unwrap().status(), StatusCode::UNPROCESSABLE_ENTITY);
    server.backend.full.store(true, Ordering::Relaxed);
    assert_eq!(ann.order("/handover", &[("text", "more")]).await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_rule_shows_what_it_does_what_became_of_it_and_what_to_change() {
    let server = Server::guarded().await;
    let mut everybody = with_everybody(&server).await;
    let path = format!("/rules/{RULE}");
    let viewer = everybody.get_mut(&Role::Viewer).unwrap();
    let page = viewer.get(&path).await.text;
    for words in [
        "It fires when 2 authors write such posts within 10 min",
        "knows 1 d 6 h so far",
        "Fired: 2, as far as is kept",
        "1 of 2 tests pass",
        "raised 1 alert",
        "Shortest exception: <code>drill</code>",
        "films",
        "<svg class=\"strip\"",
    ] {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("id=\"try\""), "whoever only reads tries nothing: {page}");
    assert_eq!(viewer.get("/rules/none").await.status, StatusCode::NOT_FOUND);

    let editor = everybody.get_mut(&Role::Editor).unwrap();
    let page = editor.order(&path, &[("do", "try"), ("query", "gunman OR <b>"), ("text", "x")]).await;
    assert_eq!(page.status, StatusCode::OK);
    for words in [
        "It takes 1 of the 2 newest kept posts",
        "+query = &#39;gunman OR &#60;b&#62;&#39;",
        "It nearly takes",
        "Does not take it.",
    ] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    assert!(
        page.text.contains("<mark>shots</mark>") && page.text.contains("gunman OR &#60;b&#62;</textarea>"),
        "{}",
        page.text
    );
    let page = editor.order(&path, &[("do", "try"), ("query", "(")]).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.text.contains("role=\"alert\">there is a ( without its )"), "{}", page.text);
    let page = editor.order(&path, &[("do", "preview"), ("query", "gunman")]).await.text;
    assert!(page.contains("Alerts of the change: 2; of the rule in force: 1; on 1\u{202f}234 posts"), "{page}");
    assert!(page.contains("more than could be played"), "{page}");
}

#[tokio::test]
async fn what_fired_is_judged_with_a_click_and_a_reason() {
    let server = Server::guarded().await;
    let mut everybody = with_everybody(&server).await;
    let path = "/incidents/active-threat%2F1";
    let judge = format!("{path}/judge");
    let page = everybody.get_mut(&Role::Viewer).unwrap().get(path).await.text;
    assert!(!page.contains("/judge"), "{page}");
    let responder = everybody.get_mut(&Role::Responder).unwrap();
    assert!(responder.get(path).await.text.contains("Was it real?"));
    let said = [("real", "no"), ("text", "a film <b>\u{202E}")];
    let page = responder.order(&judge, &said).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, path));
    let page = responder.get(path).await.text;
    assert!(page.contains("responder judged it noise") && page.contains("a film &#60;b&#62;"), "{page}");
    assert_eq!(responder.order(&judge, &[("real", "perhaps")]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(responder.order("/incidents/none/judge", &said).await.status, StatusCode::NOT_FOUND);
    let judged = server.backend.judged.lock().unwrap().clone();
    assert_eq!((judged.len(), judged[0].real, judged[0].by.as_str()), (1, false, "responder"));
    let page = responder.get(&format!("/rules/{RULE}")).await.text;
    assert!(page.contains("Judged noise: 1;"), "{page}");
}

#[tokio::test]
async fn a_list_of_incidents_that_is_too_long_goes_on_at_its_end() {
    let server = Server::guarded().await;
    let mut everybody = with_everybody(&server).await;
    let viewer = everybody.get_mut(&Role::Viewer).unwrap();
    let (mut path, mut rows) = ("/incidents?state=resolved".to_owned(), Vec::new());
    assert!(!viewer.get(&path).await.text.contains("Older incidents"));
    server.backend.past.store(600, Ordering::Relaxed);
    loop {
        let page = viewer.get(&path).await.text;
        rows.push(page.matches("<tr><td><span class=\"severity").count());
        assert!(page.contains("<a href=\"/incidents?state=resolved\" aria-current=\"page\">"), "{page}");
        let Some((before, _)) = page.split_once("\">Older incidents</a>") else { break };
        path = before.rsplit('"').next().unwrap().replace("&#38;", "&");
    }
    assert_eq!(rows, [500, 101]);
}

#[tokio::test]
async fn a_search_is_an_address_and_can_be_saved_and_taken_along() {
    let server = Server::guarded().await;
    let mut everybody = with_everybody(&server).await;
    let viewer = everybody.get_mut(&Role::Viewer).unwrap();
    server.backend.found.store(120, Ordering::Relaxed);
    let page = viewer.get("/search?q=shots&from=2026-11-20&rule=active-threat.gunman").await.text;
    assert_eq!(page.matches("<p class=\"who\">").count(), 50, "{page}");
    assert!(page.contains("<mark>shots</mark>") && page.contains("Gunman reported"), "{page}");
    {
        let sought = server.backend.sought.lock().unwrap();
        let seek = sought.last().unwrap();
        assert_eq!((seek.words.as_str(), seek.rule.as_str(), seek.from.is_some()), ("shots", RULE, true));
    }
    let (_, older) = page.split_once("<p><a href=\"").unwrap();
    let older = older.split('"').next().unwrap().replace("&#38;", "&");
    let page = viewer.get(&older).await.text;
    assert!(page.contains("at://70") || page.matches("<p class=\"who\">").count() == 50, "{page}");
    assert_eq!(viewer.get("/search?from=yesterday").await.status, StatusCode::UNPROCESSABLE_ENTITY);

    viewer.order("/search/save", &[("name", "shots <b>"), ("query", "q=shots&before=5~x&lang=en")]).await;
    let page = viewer.get("/search").await.text;
    assert!(page.contains("?lang=en&#38;q=shots\">shots &#60;b&#62;</a>"), "{page}");
    let other = everybody.get_mut(&Role::Editor).unwrap().get("/search").await.text;
    assert!(!other.contains("?lang=en"), "each has their own: {other}");
    let viewer = everybody.get_mut(&Role::Viewer).unwrap();
    viewer.order("/search/forget", &[("name", "shots <b>")]).await;
    assert!(!viewer.get("/search").await.text.contains("?lang=en"));
}

#[tokio::test]
async fn what_is_taken_along_is_no_formula_is_bounded_and_on_record() {
    let server = Server::guarded().await;
    let mut everybody = with_everybody(&server).await;
    let viewer = everybody.get_mut(&Role::Viewer).unwrap();
    *server.backend.says.lock().unwrap() = "=cmd|' /C calc'!A0 \u{202E}evil\r\n@SUM".to_owned();
    let page = viewer.get("/search/export?q=x&format=csv").await;
    assert_eq!(page.headers["content-type"], "text/csv; charset=utf-8; header=present");
    assert!(page.headers["content-disposition"].to_str().unwrap().starts_with("attachment; filename=\"stormbell-"));
    assert_eq!(page.text.matches("\"'=cmd|' /C calc'!A0 evil @SUM\"").count(), 2, "{}", page.text);
    server.backend.found.store(10_500, Ordering::Relaxed);
    let page = viewer.get("/search/export?format=csv").await;
    let lines: Vec<&str> = page.text.lines().collect();
    assert_eq!(lines.len(), 1 + 10_000 + 1);
    assert!(lines.last().unwrap().contains("only the newest 10000 posts"));
    server.backend.found.store(10_000, Ordering::Relaxed);
    let page = viewer.get("/search/export?format=json").await;
    let all: Value = serde_json::from_str(&page.text).unwrap();
    assert_eq!((all["posts"].as_array().unwrap().len(), &all["cut"]), (10_000, &Value::Bool(false)));
    let entries = server.backend.entries.lock().unwrap();
    let exported: Vec<_> = entries.iter().filter(|entry| entry.what == "posts.exported").collect();
    assert_eq!((exported.len(), exported[0].by.as_str(), exported[0].text.as_str()), (3, "viewer", "q=x"));
}

#[tokio::test]
async fn programs_search_too() {
    let server = Server::guarded().await;
    server.backend.found.store(51, Ordering::Relaxed);
    let ask = async |query: &str| {
        let request = server.ask(Method::GET, &format!("/api/v1/search{query}")).bearer_auth(TOKEN);
        crate::support::pretended::answer(request).await
    };
    let (status, found) = ask("?q=shots").await;
    assert_eq!((status, found["posts"].as_array().unwrap().len()), (StatusCode::OK, 50));
    assert_eq!((&found["posts"][0]["text"], &found["posts"][0]["rules"][0]), (&"shots".into(), &RULE.into()));
    assert_eq!(found["incidents"][0]["id"], "active-threat/1");
    let next = found["next"].as_str().unwrap();
    let next: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    let (_, rest) = ask(&format!("?q=shots&before={next}")).await;
    assert_eq!((rest["posts"].as_array().unwrap().len(), rest["next"].is_null()), (1, true));
    for wrong in ["?x=1", "?severity=grave", "?before=1"] {
        assert_eq!(ask(wrong).await.0, StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn calendars_show_what_was_missed_and_who_has_duty() {
    let server = Server::open().await;
    let mut anybody = Visitor::new(&server);
    let page = anybody.get("/sources").await.text;
    assert!(page.contains("days on record 11, not seen whole 1, missing 1 h"), "{page}");
    assert!(page.contains("class=\"missed\"") && page.contains("class=\"unknown\""), "{page}");
    let page = anybody.get("/people/calendar").await.text;
    assert!(page.contains("somebody always has duty") && page.matches("<tr>").count() == 6, "{page}");
    assert_eq!(page.matches("class=\"today\"").count(), 1, "{page}");
}

#[tokio::test]
async fn who_may_read_what_is_restricted_is_said_for_each_account_and_on_record() {
    let server = Server::guarded().await;
    let mut everybody = with_everybody(&server).await;
    let admin = everybody.get_mut(&Role::Admin).unwrap();
    let page = admin.order("/access/restricted", &[("name", "responder"), ("may", "yes")]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    let page = admin.get("/access").await.text;
    assert_eq!(page.matches("name=\"may\" value=\"no\"").count(), 1, "no role brings it along: {page}");
    let entries = server.backend.entries.lock().unwrap();
    let entry = entries.iter().find(|entry| entry.what == "account.restricted_changed").unwrap();
    assert_eq!((entry.by.as_str(), entry.about.as_str()), ("root", "responder"));
}

#[tokio::test]
async fn whoever_may_read_it_no_more_looks_on_without_what_is_restricted() {
    let server = Server::guarded().await;
    let mut everybody = with_everybody(&server).await;
    let cookie = everybody[&Role::Responder].cookie();
    let admin = everybody.get_mut(&Role::Admin).unwrap();
    admin.order("/access/restricted", &[("name", "responder"), ("may", "yes")]).await;
    let mut answer = server.ask(Method::GET, "/api/v1/events").header("cookie", cookie).send().await.unwrap();
    let mut text = String::new();
    let mut next = async || {
        loop {
            if let Some((_, event)) = text.split_once("event: incident\ndata: ")
                && let Some((data, rest)) = event.split_once("\n\n")
            {
                let json: Value = serde_json::from_str(data).unwrap();
                text = rest.to_owned();
                return json["topic"].as_str().unwrap().to_owned();
            }
            let chunk =
                tokio::time::timeout(crate::support::PATIENCE, answer.chunk()).await.expect("an event").unwrap();
            text.push_str(std::str::from_utf8(&chunk.expect("it goes on")).unwrap());
        }
    };
    let secret = Arc::new(Incident { topic: "duty-of-care.self-harm".into(), ..incident(IncidentState::Open) });
    server.backend.live.send(Live::Incident(Arc::clone(&secret))).unwrap();
    assert_eq!(next().await, "duty-of-care.self-harm");
    admin.order("/access/restricted", &[("name", "responder"), ("may", "no")]).await;
    server.backend.live.send(Live::Incident(secret)).unwrap();
    assert_eq!(next().await, "restricted");
}

#[tokio::test]
async fn a_report_of_more_posts_than_it_shows_says_so_and_goes_on() {
    let server = Server::open().await;
    server.backend.found.store(1200, Ordering::Relaxed);
    let path = "/api/v1/incidents/active-threat%2F1/report";
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let (status, report) = server.get(&format!("{path}?{after}")).await;
        assert_eq!(status, StatusCode::OK, "{report}");
        let evidence = report["evidence"].as_array().unwrap().clone();
        assert!(evidence.len() <= 500);
        seen.extend(evidence.iter().map(|one| one["id"].as_str().unwrap().to_owned()));
        let Some(next) = report["evidence_next"].as_str() else { break };
        after = url::form_urlencoded::Serializer::new(String::new()).append_pair("after", next).finish();
    }
    let different: std::collections::BTreeSet<&String> = seen.iter().collect();
    assert_eq!((seen.len(), different.len()), (1200, 1200), "each of them once");
    assert_eq!(server.get(&format!("{path}?after=x")).await.0, StatusCode::BAD_REQUEST);

    let mut anybody = Visitor::new(&server);
    let page = anybody.get("/incidents/active-threat%2F1/report?posts=no").await.text;
    assert!(page.contains("These are 500 posts, up to"), "{page}");
    let (_, more) = page.split_once("<a href=\"/incidents/active-threat%2F1/report?after=").unwrap();
    let more = more.split("#evidence-h").next().unwrap().replace("&#38;", "&");
    assert!(more.ends_with("&posts=no"), "{more}");
    let page = anybody.get(&format!("/incidents/active-threat%2F1/report?after={more}")).await.text;
    assert!(page.contains("at://000501") && !page.contains("at://000499"), "{page}");
}

#[tokio::test]
async fn whoever_is_not_let_in_is_told_so_in_their_language() {
    let server = Server::guarded().await;
    let mut everybody = with_everybody(&server).await;
    let german = [("accept-language", "de-CH,de;q=0.9")];
    let mut stranger = Visitor::new(&server);
    let form = [("name", "ann"), ("password", "wrong wrong wrong")];
    let page = stranger.ask(Method::POST, "/sign-in", Some(&form), &german).await;
    assert!(page.text.contains("Name oder Passwort ist falsch."), "{}", page.text);
    let page = stranger.ask(Method::GET, "/invited/none", None, &[("accept-language", "fr")]).await;
    assert!(page.text.contains("Ce lien a déjà servi"), "{}", page.text);
    let admin = everybody.get_mut(&Role::Admin).unwrap();
    let key = admin.get("/silences").await.key();
    let form = [("name", "root"), ("role", "viewer"), ("key", key.as_str())];
    let page = admin.ask(Method::POST, "/access/role", Some(&form), &[("accept-language", "es")]).await;
    assert!(page.text.contains("root es la única persona"), "{}", page.text);
    let viewer = everybody.get_mut(&Role::Viewer).unwrap();
    let key = viewer.get("/account").await.key();
    let form = [("name", "mine"), ("role", "admin"), ("days", "9"), ("key", key.as_str())];
    let page = viewer.ask(Method::POST, "/account/tokens", Some(&form), &german).await;
    assert!(page.text.contains("Ein Token darf nicht mehr als"), "{}", page.text);
}
