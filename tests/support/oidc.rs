//! A provider of `OpenID` Connect on loopback that says what the test wants, and checks what it is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The only code it takes.
pub const CODE: &str = "planted-code";
/// By which it knows us; with signs that a header does not carry as they are.
pub const CLIENT_SECRET: &str = "planted client+secret%/";

/// A key and what it is called.
#[derive(Clone)]
pub struct Signer {
    pub name: String,
    pub algorithm: Algorithm,
    key: EncodingKey,
}

impl Signer {
    pub fn elliptic(name: &str) -> Self {
        let key = EncodingKey::from_ec_der(&KeyPair::generate().unwrap().serialize_der());
        Self { name: name.to_owned(), algorithm: Algorithm::ES256, key }
    }

    pub fn rsa(name: &str) -> Self {
        let der = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap().serialize_der();
        // Behind the 26 bytes that say which kind of key it is (PKCS #8) lies the key (PKCS #1).
        Self { name: name.to_owned(), algorithm: Algorithm::RS256, key: EncodingKey::from_rsa_der(&der[26..]) }
    }

    fn public(&self) -> Jwk {
        let mut key = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        key.common.key_id = Some(self.name.clone());
        key
    }

    /// An ID token with those claims.
    pub fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.name.clone());
        encode(&header, claims, &self.key).unwrap()
    }
}

#[derive(Default)]
struct Told {
    /// What its metadata says otherwise than usually.
    metadata: Value,
    keys: JwkSet,
    /// What it gives for the code.
    token: String,
    /// What the verifier must be of.
    challenge: String,
    down: bool,
    asked: usize,
}

/// The provider; ends with the test.
pub struct Idp {
    pub issuer: String,
    told: Arc<Mutex<Told>>,
    _tasks: JoinSet<()>,
}

type Shared = State<(String, Arc<Mutex<Told>>)>;

impl Idp {
    pub async fn start(keys: &[&Signer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}/realms/staff", listener.local_addr().unwrap());
        let told = Arc::new(Mutex::new(Told::default()));
        let router = Router::new()
            .route("/realms/staff/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(public_keys))
            .route("/token", post(token))
            .with_state((issuer.clone(), Arc::clone(&told)));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let idp = Self { issuer, told, _tasks: tasks };
        idp.lists(keys);
        idp
    }

    pub fn lists(&self, keys: &[&Signer]) {
        self.told.lock().unwrap().keys = JwkSet { keys: keys.iter().map(|key| key.public()).collect() };
    }

    /// What it gives for the code of a sign-in with that challenge.
    pub fn gives(&self, token: String, challenge: &str) {
        let mut told = self.told.lock().unwrap();
        (told.token, told.challenge) = (token, challenge.to_owned());
    }

    pub fn says(&self, metadata: Value) {
        self.told.lock().unwrap().metadata = metadata;
    }

    pub fn is_down(&self, down: bool) {
        self.told.lock().unwrap().down = down;
    }

    /// How often it was asked about itself.
    pub fn asked(&self) -> usize {
        self.told.lock().unwrap().asked
    }
}

async fn metadata(State((issuer, told)): Shared) -> Response {
    let mut told = told.lock().unwrap();
    told.asked += 1;
    if told.down {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let root = issuer.trim_end_matches("/realms/staff");
    let mut says = json!({
        "issuer": issuer, "authorization_endpoint": format!("{root}/authorize?realm=staff"),
        "token_endpoint": format!("{root}/token"), "jwks_uri": format!("{root}/keys"),
    });
    if let Some(otherwise) = told.metadata.as_object() {
        says.as_object_mut().unwrap().extend(otherwise.clone());
    }
    Json(says).into_response()
}

async fn public_keys(State((_, told)): Shared) -> Json<JwkSet> {
    Json(told.lock().unwrap().keys.clone())
}

async fn token(State((_, told)): Shared, headers: HeaderMap, body: String) -> Response {
    let told = told.lock().unwrap();
    if told.down {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let form: BTreeMap<String, String> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let basic = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Basic "));
    let basic = basic.map(|basic| String::from_utf8(BASE64_STANDARD.decode(basic).unwrap()).unwrap());
    let ours = basic.as_deref() == Some("stormbell:planted+client%2Bsecret%25%2F")
        || form.get("client_secret").is_some_and(|secret| secret == CLIENT_SECRET);
    let verified = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"])) == told.challenge;
    let back = form["redirect_uri"] == "https://bell.hospital.example/sign-in/oidc/back";
    if ours && verified && back && form["code"] == CODE && form["grant_type"] == "authorization_code" {
        return Json(json!({"access_token": "x", "token_type": "Bearer", "id_token": told.token})).into_response();
    }
    let problem = json!({"error": "invalid_grant", "error_description": "the <b>code</b> is none"});
    (StatusCode::BAD_REQUEST, Json(problem)).into_response()
}
