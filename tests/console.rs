//! The console over real connections, with a daemon behind it that is only pretended: who gets in, what they may do,
//! what strangers' words become.

#![cfg(test)]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use reqwest::header::SET_COOKIE;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use stormbell::domain::access::{IDLE, INVITED_FOR, Role};
use stormbell::domain::incident::IncidentState;
use stormbell::web::{Live, Needs, addresses};
use support::pretended::{Pretended, Server, TOKEN, incident};
use support::visitor::{PASSWORD, Page, Visitor, first_link, invite, with_everybody};

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
        "/wall",
        "/silences?match=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
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
            let chunk = tokio::time::timeout(support::PATIENCE, answer.chunk()).await.expect("an event").unwrap();
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
