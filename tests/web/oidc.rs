//! Signing in by `OpenID` Connect, with a provider that is only pretended: whom we believe, what, and for how long.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use crate::support::oidc::{CLIENT_SECRET, CODE, Idp, Signer};
use crate::support::pretended::{Server, TOKEN, public};
use crate::support::visitor::{Page, Visitor, first_link};
use reqwest::StatusCode;
use reqwest::header::SET_COOKIE;
use serde_json::{Value, json};
use stormbell::config::model::{OidcConfig, Transport};
use stormbell::config::secret::Secret;
use stormbell::domain::access::Role;
use stormbell::web::{Access, Backend as _, Provider};
use url::Url;

struct World {
    idp: Idp,
    server: Server,
    signer: Signer,
}

/// What a browser was sent to the provider with.
type Sent = BTreeMap<String, String>;

impl World {
    async fn new(signer: Signer) -> Self {
        let idp = Idp::start(&[&signer]).await;
        let roles = [("crisis-team", Role::Responder), ("it", Role::Admin), ("all", Role::Viewer)];
        let config = OidcConfig {
            issuer: idp.issuer.parse().unwrap(),
            written_issuer: idp.issuer.clone(),
            name: "St. Brigid's".to_owned(),
            client_id: "stormbell".to_owned(),
            client_secret: Secret::new(CLIENT_SECRET.to_owned()),
            scope: OidcConfig::DEFAULT_SCOPE.to_owned(),
            claim: "/realm/groups".to_owned(),
            roles: roles.into_iter().map(|(group, role)| (group.to_owned(), role)).collect(),
            transport: Transport::default(),
        };
        let provider = Provider::new(config, public().public_url().unwrap()).unwrap();
        let access = Access::Token(Secret::new(TOKEN.to_owned()));
        let server = Server::start_with(access, Some(public()), |doors| doors.oidc = Some(provider)).await;
        Self { idp, server, signer }
    }

    fn now(&self) -> i64 {
        self.server.backend.now().micros() / 1_000_000
    }

    /// What the provider says of ann, for that sign-in.
    fn claims(&self, sent: &Sent, groups: &[&str]) -> Value {
        let now = self.now();
        json!({
            "iss": self.idp.issuer, "sub": "f:1", "aud": "stormbell", "exp": now + 60, "iat": now,
            "nonce": sent["nonce"], "preferred_username": "Ann", "realm": {"groups": groups},
        })
    }

    /// Begins, and comes back with those claims.
    async fn sign_in(&self, visitor: &mut Visitor<'_>, claims: impl FnOnce(&Sent) -> Value) -> Page {
        let sent = begin(visitor, "/incidents?x=1").await;
        self.idp.gives(self.signer.sign(&claims(&sent)), &sent["code_challenge"]);
        visitor.get(&format!("/sign-in/oidc/back?code={CODE}&state={}", sent["state"])).await
    }
}

async fn begin(visitor: &mut Visitor<'_>, then: &str) -> Sent {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("then", then).finish();
    let page = visitor.get(&format!("/sign-in/oidc?{query}")).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
    Url::parse(page.location()).unwrap().query_pairs().into_owned().collect()
}

fn is_out(page: &Page) -> bool {
    !page.headers.get_all(SET_COOKIE).iter().any(|one| one.to_str().unwrap().starts_with("stormbell-session="))
}

#[tokio::test]
async fn people_sign_in_where_they_do_already() {
    for signer in [Signer::elliptic("k1"), Signer::rsa("k1")] {
        let world = World::new(signer).await;
        let mut ann = Visitor::new(&world.server);
        let page = ann.get("/sign-in?then=%2Fsources").await.text;
        assert!(page.contains("href=\"/sign-in/oidc?then=%2Fsources\">Sign in with St. Brigid&#39;s</a>"), "{page}");
        let sent = begin(&mut ann, "/").await;
        let said = |name: &str| sent[name].as_str();
        assert_eq!((said("response_type"), said("client_id"), said("realm")), ("code", "stormbell", "staff"));
        assert_eq!(said("redirect_uri"), "https://bell.hospital.example/sign-in/oidc/back");
        assert_eq!((said("code_challenge_method"), said("scope")), ("S256", "openid profile email"));
        let cookie = ann.cookies["stormbell-oidc"].clone();
        assert!(["state", "nonce"].iter().all(|part| !cookie.contains(said(part))), "{cookie}");

        let page = world.sign_in(&mut ann, |sent| world.claims(sent, &["crisis-team", "all", "other"])).await;
        assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/incidents?x=1"), "{}", page.text);
        assert!(!ann.cookies.contains_key("stormbell-oidc"), "it is over");
        let account = ann.get("/account").await.text;
        assert!(account.contains(": ann</h1>") && account.contains("<p>Responder</p>"), "{account}");
        assert!(!account.contains("name=\"old\""), "there is no password to change");

        // Whatever she is called there now, and whatever she may now.
        let renamed = |sent: &Sent| {
            let mut claims = world.claims(sent, &["it"]);
            claims["preferred_username"] = "root".into();
            claims
        };
        assert_eq!(world.sign_in(&mut ann, renamed).await.status, StatusCode::SEE_OTHER);
        let audit = ann.get("/audit").await.text;
        assert!(audit.contains("from responder to admin, by the sign-in service"), "{audit}");
        let out = world.sign_in(&mut Visitor::new(&world.server), |sent| world.claims(sent, &["other"])).await;
        assert!(is_out(&out) && out.text.contains("have no role here"), "{}", out.text);
        assert_eq!(ann.get("/").await.status, StatusCode::SEE_OTHER, "who is out there is out here");
        let kept = format!("{:?}", server_log(&world));
        assert!(!kept.contains(CODE) && !kept.contains("eyJ"), "{kept}");
    }
}

fn server_log(world: &World) -> (Vec<stormbell::domain::access::Change>, Vec<stormbell::domain::audit::Entry>) {
    let backend = &world.server.backend;
    (backend.changes.lock().unwrap().clone(), backend.entries.lock().unwrap().clone())
}

#[tokio::test]
async fn a_word_that_is_not_about_this_sign_in_is_not_believed() {
    let world = World::new(Signer::elliptic("k1")).await;
    let now = world.now();
    for ((name, value), words) in [
        (("nonce", "other".into()), "another sign-in"),
        (("nonce", Value::Null), "another sign-in"),
        (("iss", "https://evil.example".into()), "its issuer"),
        (("aud", "another".into()), "whom it is for"),
        (("aud", json!(["stormbell", "another"])), "whom it is for"),
        (("azp", "another".into()), "whom it is for"),
        (("exp", (now - 121).into()), "are the clocks right?"),
        (("exp", Value::Null), "is wrong"),
        (("iat", (now + 121).into()), "are the clocks right?"),
        (("nbf", (now + 121).into()), "are the clocks right?"),
        (("sub", "".into()), "names nobody"),
        (("sub", "x".repeat(256).into()), "names nobody"),
    ] {
        let mut eve = Visitor::new(&world.server);
        let page = world.sign_in(&mut eve, |sent| {
            let mut claims = world.claims(sent, &["it"]);
            claims[name] = value.clone();
            claims
        });
        let page = page.await;
        assert!(is_out(&page) && page.status == StatusCode::UNPROCESSABLE_ENTITY, "{name} {value}: {}", page.text);
        assert!(page.text.contains(words), "{name} {value}: {}", page.text);
    }
    // What the clocks forgive, and several of which we are the one.
    let mut ann = Visitor::new(&world.server);
    let page = world.sign_in(&mut ann, |sent| {
        let mut claims = world.claims(sent, &["all"]);
        (claims["exp"], claims["iat"]) = ((now - 119).into(), (now + 119).into());
        (claims["aud"], claims["azp"]) = (json!(["other", "stormbell"]), "stormbell".into());
        claims
    });
    assert_eq!(page.await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn only_the_providers_own_keys_sign() {
    let world = World::new(Signer::elliptic("k1")).await;
    let mut eve = Visitor::new(&world.server);
    let stranger = Signer::elliptic("k1");
    let unsigned = |claims: &Value, header: &str| {
        use base64::Engine as _;
        use base64::prelude::BASE64_URL_SAFE_NO_PAD as b64;
        format!("{}.{}.", b64.encode(header), b64.encode(claims.to_string()))
    };
    for (words, token) in [
        ("its signature", Box::new(|claims: &Value| stranger.sign(claims)) as Box<dyn Fn(&Value) -> String>),
        ("not signed with RS256 or ES256", Box::new(|claims| unsigned(claims, r#"{"alg":"none","kid":"k1"}"#))),
        ("not signed with RS256 or ES256", Box::new(|claims| unsigned(claims, r#"{"alg":"HS256","kid":"k1"}"#))),
        ("key that the service does not list", Box::new(|claims| unsigned(claims, r#"{"alg":"RS256","kid":"k1"}"#))),
        ("not signed with RS256 or ES256", Box::new(|_| "not.a.token".to_owned())),
        ("not signed with RS256 or ES256", Box::new(|_| String::new())),
    ] {
        // Each looks for another key anew, which is done now and then only.
        world.server.backend.clock.fetch_add(30, Ordering::Relaxed);
        let sent = begin(&mut eve, "/").await;
        world.idp.gives(token(&world.claims(&sent, &["it"])), &sent["code_challenge"]);
        let page = eve.get(&format!("/sign-in/oidc/back?code={CODE}&state={}", sent["state"])).await;
        assert!(is_out(&page) && page.text.contains(words), "{words}: {}", page.text);
    }
    // A new key of the provider's is found.
    let mut world = world;
    world.signer = Signer::elliptic("k2");
    world.idp.lists(&[&world.signer]);
    world.server.backend.clock.fetch_add(30, Ordering::Relaxed);
    let mut ann = Visitor::new(&world.server);
    let page = world.sign_in(&mut ann, |sent| world.claims(sent, &["all"])).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
}

#[tokio::test]
async fn what_this_browser_did_not_begin_does_nothing() {
    let world = World::new(Signer::elliptic("k1")).await;
    let mut ann = Visitor::new(&world.server);
    let mut eve = Visitor::new(&world.server);
    let evil = begin(&mut eve, "/").await;
    world.idp.gives(world.signer.sign(&world.claims(&evil, &["it"])), &evil["code_challenge"]);
    let back = |sent: &Sent, rest: &str| format!("/sign-in/oidc/back?state={}&{rest}", sent["state"]);
    // Eve's code in the browser of somebody else: with no sign-in of its own, and with one.
    let page = ann.get(&back(&evil, &format!("code={CODE}"))).await;
    assert!(is_out(&page) && page.text.contains("begun elsewhere"), "{}", page.text);
    begin(&mut ann, "/").await;
    assert!(is_out(&ann.get(&back(&evil, &format!("code={CODE}"))).await));
    // And without a match of state and cookie the attempt is over; a new one, with her code.
    let own = begin(&mut ann, "/").await;
    let page = ann.get(&back(&own, &format!("code={CODE}"))).await;
    assert!(
        is_out(&page) && page.text.contains("the &#60;b&#62;code&#60;/b&#62; is none (invalid_grant)"),
        "{}",
        page.text
    );
    for (rest, words) in [
        ("error=access_denied&error_description=no%20%3Cb%3E", "no &#60;b&#62; (access_denied)"),
        ("code=x&iss=https%3A%2F%2Fevil.example", "another service"),
        ("code=", "begun elsewhere"),
    ] {
        let own = begin(&mut ann, "/").await;
        let page = ann.get(&back(&own, rest)).await;
        assert!(is_out(&page) && page.text.contains(words), "{rest}: {}", page.text);
    }
    let own = begin(&mut ann, "/").await;
    world.server.backend.clock.fetch_add(600, Ordering::Relaxed);
    let page = ann.get(&back(&own, &format!("code={CODE}"))).await;
    assert!(is_out(&page) && page.text.contains("too long ago"), "{}", page.text);

    let elsewhere = begin(&mut ann, "https://evil.example/").await;
    world.idp.gives(world.signer.sign(&world.claims(&elsewhere, &["it"])), &elsewhere["code_challenge"]);
    let page = ann.get(&back(&elsewhere, &format!("code={CODE}"))).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/"));
}

#[tokio::test]
async fn a_name_is_no_proof_of_who_has_the_account() {
    let world = World::new(Signer::elliptic("k1")).await;
    let mut root = Visitor::new(&world.server);
    root.take_up(&first_link(&world.server).await, "root").await;
    let named = |name: &str, mail: &str, verified: bool, subject: &str| {
        let (name, mail, subject) = (name.to_owned(), mail.to_owned(), subject.to_owned());
        let world = &world;
        move |sent: &Sent| {
            let mut claims = world.claims(sent, &["all"]);
            (claims["preferred_username"], claims["sub"]) = (name.into(), subject.into());
            (claims["email"], claims["email_verified"]) = (mail.into(), verified.into());
            claims
        }
    };
    let mut eve = Visitor::new(&world.server);
    let page = world.sign_in(&mut eve, named("Root", "", false, "s1")).await;
    assert!(is_out(&page) && page.text.contains("There is an account root already"), "{}", page.text);
    for (claims, name) in [
        (named("Ann Lee", "ann@hospital.example", true, "s2"), "ann@hospital.example"),
        (named("Bob Lee", "root", false, "s3"), "s3"),
    ] {
        let mut visitor = Visitor::new(&world.server);
        assert_eq!(world.sign_in(&mut visitor, claims).await.status, StatusCode::SEE_OTHER);
        let account = visitor.get("/account").await.text;
        assert!(account.contains(&format!(": {name}</h1>")), "{name}: {account}");
    }
    let page = world.sign_in(&mut eve, named("a b", "", false, "s 4")).await;
    assert!(is_out(&page) && page.text.contains("A name has"), "{}", page.text);
    // Whoever is removed here comes back only as somebody new.
    root.order("/access/remove", &[("name", "s3")]).await;
    let page = world.sign_in(&mut Visitor::new(&world.server), named("bob", "", false, "s3")).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert!(root.get("/access").await.text.contains("<td>bob</td>"));
}

#[tokio::test]
async fn a_provider_that_is_down_or_lies_is_told_in_words() {
    let world = World::new(Signer::elliptic("k1")).await;
    let mut ann = Visitor::new(&world.server);
    world.idp.is_down(true);
    let page = ann.get("/sign-in/oidc").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.text.contains("it answers 502") && page.text.contains("name=\"password\""), "{}", page.text);
    let asked = world.idp.asked();
    for _ in 0..20 {
        assert_eq!(ann.get("/sign-in/oidc").await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(world.idp.asked(), asked, "strangers do not have us hammer it");
    world.idp.is_down(false);
    for (otherwise, words) in [
        (json!({"issuer": "https://evil.example"}), "calls itself by another name"),
        (json!({"token_endpoint": "ftp://evil.example"}), "one of its addresses"),
        (json!({"jwks_uri": 1}), "cannot be read"),
    ] {
        world.idp.says(otherwise);
        world.server.backend.clock.fetch_add(10, Ordering::Relaxed);
        let page = ann.get("/sign-in/oidc").await;
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    world.idp.says(json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]}));
    world.server.backend.clock.fetch_add(10, Ordering::Relaxed);
    let page = world.sign_in(&mut ann, |sent| world.claims(sent, &["all"])).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "the secret in the body: {}", page.text);
    // What was known an hour ago serves while it is down; and a sign-in from memory needs no disk.
    world.idp.is_down(true);
    world.server.backend.clock.fetch_add(3600, Ordering::Relaxed);
    begin(&mut ann, "/").await;
    world.idp.is_down(false);
    world.server.backend.full.store(true, Ordering::Relaxed);
    let mut bob = Visitor::new(&world.server);
    let page = world.sign_in(&mut bob, |sent| world.claims(sent, &["all"])).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
    assert_eq!(bob.get("/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn without_a_provider_there_is_no_such_way() {
    let server = Server::guarded().await;
    let mut ann = Visitor::new(&server);
    for path in ["/sign-in/oidc", "/sign-in/oidc/back?code=x&state=y"] {
        assert_eq!(ann.get(path).await.status, StatusCode::NOT_FOUND);
    }
    assert!(!ann.get("/sign-in").await.text.contains("sign-in/oidc"));
}
