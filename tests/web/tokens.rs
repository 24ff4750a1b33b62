//! Tokens of programs over real connections, with a daemon behind them that is only pretended.

use std::sync::atomic::Ordering;

use crate::support::pretended::{Server, TOKEN, answer, is_error};
use crate::support::visitor::{PASSWORD, Visitor, first_link, invite, with_everybody};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stormbell::domain::access::Role;

const DAY: i64 = 86_400;

/// What the API answers to whoever sends that token.
async fn ask(server: &Server, token: &str, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
    let request = server.ask(method, path).bearer_auth(token).header("content-type", "application/json");
    answer(request.body(body.to_string())).await
}

/// The token that a page shows once.
fn shown(page: &str) -> String {
    let (_, rest) = page.split_once("<code class=\"link\">").unwrap_or_else(|| panic!("{page}"));
    rest.split('<').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_program_has_the_power_of_its_token_and_no_more() {
    let server = Server::guarded().await;
    let made = json!({"name": "the wall's script", "role": "viewer"});
    let (status, made) = ask(&server, TOKEN, Method::POST, "/api/v1/tokens", made).await;
    assert_eq!(status, StatusCode::CREATED);
    let token = made["token"].as_str().unwrap();
    assert_eq!((&made["account"], &made["role"], &made["used"]), (&Value::Null, &json!("viewer"), &Value::Null));
    assert_eq!(ask(&server, token, Method::GET, "/api/v1/incidents", Value::Null).await.0, StatusCode::OK);
    let act = "/api/v1/incidents/active-threat%2F1/ack";
    is_error(&ask(&server, token, Method::POST, act, json!({})).await, 403, "takes the role responder");
    is_error(&ask(&server, "sbt_guessed", Method::GET, "/api/v1/incidents", Value::Null).await, 401, "Bearer");
    // Pages are for people.
    let page =
        Visitor::new(&server).ask(Method::GET, "/", None, &[("authorization", &format!("Bearer {token}"))]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);

    let made = json!({"name": "pager", "role": "responder", "days": 1});
    let made = ask(&server, TOKEN, Method::POST, "/api/v1/tokens", made).await.1;
    let pager = made["token"].as_str().unwrap();
    assert_eq!(ask(&server, pager, Method::POST, act, json!({})).await.0, StatusCode::OK);
    assert_eq!(ask(&server, pager, Method::POST, act, json!({"by": "ann"})).await.0, StatusCode::OK);
    let by: Vec<String> = server.backend.acted.lock().unwrap().iter().map(|(_, action)| action.by.clone()).collect();
    assert_eq!(by, ["token pager", "ann (token pager)"]);
    let list = ask(&server, TOKEN, Method::GET, "/api/v1/tokens", Value::Null).await.1;
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert!(list.as_array().unwrap().iter().all(|one| one["used"].is_string()) && !list.to_string().contains("sbt_"));
    server.backend.clock.fetch_add(DAY, Ordering::Relaxed);
    is_error(&ask(&server, pager, Method::POST, act, json!({})).await, 401, "Bearer");
    assert_eq!(ask(&server, token, Method::GET, "/api/v1/incidents", Value::Null).await.0, StatusCode::OK);
    let kept = format!("{:?} {:?}", server.backend.changes.lock().unwrap(), server.backend.entries.lock().unwrap());
    assert!(!kept.contains(token) && !kept.contains(pager), "neither on disk nor in the audit log: {kept}");
    assert!(kept.contains("token.made") && kept.contains("token.refused"), "{kept}");
}

#[tokio::test]
async fn no_token_makes_another_or_takes_others_back() {
    let server = Server::guarded().await;
    let made = json!({"name": "all", "role": "admin"});
    let all = ask(&server, TOKEN, Method::POST, "/api/v1/tokens", made.clone()).await.1;
    let other = ask(&server, TOKEN, Method::POST, "/api/v1/tokens", made.clone()).await.1;
    let token = all["token"].as_str().unwrap();
    is_error(&ask(&server, token, Method::POST, "/api/v1/tokens", made).await, 403, "cannot make tokens");
    let at = |one: &Value| format!("/api/v1/tokens/{}", one["id"].as_str().unwrap());
    is_error(&ask(&server, token, Method::DELETE, &at(&other), Value::Null).await, 404, "no such token");
    assert_eq!(ask(&server, token, Method::DELETE, &at(&all), Value::Null).await.0, StatusCode::NO_CONTENT);
    is_error(&ask(&server, token, Method::GET, "/api/v1/tokens", Value::Null).await, 401, "Bearer");
    assert_eq!(ask(&server, TOKEN, Method::DELETE, &at(&other), Value::Null).await.0, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn wishes_that_are_none_are_told_so() {
    let server = Server::guarded().await;
    for (wish, words) in [
        (json!({"name": "", "role": "viewer"}), "what it is for"),
        (json!({"name": "x", "role": "root"}), "role is viewer"),
        (json!({"name": "x", "role": "viewer", "days": 0}), "1 to 365 days"),
        (json!({"name": "x", "role": "viewer", "days": 366}), "1 to 365 days"),
    ] {
        is_error(&ask(&server, TOKEN, Method::POST, "/api/v1/tokens", wish).await, 422, words);
    }
    let mine = json!({"name": "x", "role": "viewer", "for": "me"});
    is_error(&ask(&server, TOKEN, Method::POST, "/api/v1/tokens", mine).await, 403, "is nobody's");
    let open = Server::open().await;
    is_error(&open.post("/api/v1/tokens", r#"{"name": "x", "role": "viewer"}"#).await, 403, "all is open here");
}

#[tokio::test]
async fn ones_own_token_acts_in_ones_name_and_ends_with_ones_power() {
    let server = Server::guarded().await;
    let mut everybody = with_everybody(&server).await;
    let responder = everybody.get_mut(&Role::Responder).unwrap();
    let wish = [("name", "phone <b>"), ("role", "responder"), ("days", "30")];
    let page = responder.order("/account/tokens", &wish).await;
    let token = shown(&page.text);
    assert!(page.text.contains("phone &#60;b&#62;") && !page.text.contains("phone <b>"), "{}", page.text);
    assert!(!responder.get("/account").await.text.contains(&token), "it is shown once");
    let much = [("name", "more"), ("role", "admin"), ("days", "30")];
    let page = responder.order("/account/tokens", &much).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.text.contains("no more than whoever makes it"), "{}", page.text);
    let act = "/api/v1/incidents/active-threat%2F1/ack";
    assert_eq!(ask(&server, &token, Method::POST, act, json!({"by": "root"})).await.0, StatusCode::OK);
    assert_eq!(server.backend.acted.lock().unwrap()[0].1.by, "responder");

    let admin = everybody.get_mut(&Role::Admin).unwrap();
    assert!(admin.get("/access").await.text.contains("phone &#60;b&#62;"), "admins see everybody's");
    admin.order("/access/role", &[("name", "responder"), ("role", "viewer")]).await;
    assert_eq!(ask(&server, &token, Method::POST, act, json!({})).await.0, StatusCode::FORBIDDEN);
    admin.order("/access/role", &[("name", "responder"), ("role", "responder")]).await;
    let link = invite(admin, "responder", Role::Responder).await;
    assert_eq!(ask(&server, &token, Method::POST, act, json!({})).await.0, StatusCode::OK);
    Visitor::new(&server).take_up(&link, "ignored").await;
    assert_eq!(ask(&server, &token, Method::POST, act, json!({})).await.0, StatusCode::UNAUTHORIZED, "lost with it");
}

#[tokio::test]
async fn whoever_may_revokes_a_token_on_a_page() {
    let server = Server::guarded().await;
    let mut root = Visitor::new(&server);
    root.take_up(&first_link(&server).await, "root").await;
    let link = invite(&mut root, "ann", Role::Viewer).await;
    let mut ann = Visitor::new(&server);
    ann.take_up(&link, "ann").await;
    let page = root.order("/access/tokens", &[("name", "backup"), ("role", "viewer"), ("days", "90")]).await;
    let token = shown(&page.text);
    let list = ask(&server, TOKEN, Method::GET, "/api/v1/tokens", Value::Null).await.1;
    let id = list[0]["id"].as_str().unwrap();
    let page = ann.order("/account/tokens/end", &[("token", id)]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(ask(&server, &token, Method::GET, "/api/v1/rules", Value::Null).await.0, StatusCode::OK, "not hers");
    assert_eq!(root.order("/access/tokens/end", &[("token", id)]).await.location(), "/access");
    assert_eq!(ask(&server, &token, Method::GET, "/api/v1/rules", Value::Null).await.0, StatusCode::UNAUTHORIZED);
    assert!(root.get("/audit").await.text.contains("token.revoked"));
    let changes = format!("{:?}", server.backend.changes.lock().unwrap());
    assert!(!changes.contains(PASSWORD), "{changes}");
}
