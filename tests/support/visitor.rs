//! Browsers of people at the console, and of those who are invited.

use std::collections::BTreeMap;

use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, StatusCode, redirect};
use stormbell::domain::access::{Change, Role};

use super::pretended::Server;

/// Long enough.
pub const PASSWORD: &str = "planted correct horse battery";

/// A browser: keeps the cookie it is given, and says from which page it comes.
pub struct Visitor<'a> {
    pub server: &'a Server,
    pub client: Client,
    pub cookies: BTreeMap<String, String>,
}

/// What it gets.
pub struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Page {
    pub fn location(&self) -> &str {
        self.headers[LOCATION].to_str().unwrap()
    }

    /// The key that forms of this page carry.
    pub fn key(&self) -> String {
        let (_, rest) = self.text.split_once("name=\"key\" value=\"").expect("a form");
        rest.split('"').next().unwrap().to_owned()
    }
}

impl<'a> Visitor<'a> {
    pub fn new(server: &'a Server) -> Self {
        let client = Client::builder().no_proxy().redirect(redirect::Policy::none()).build().unwrap();
        Self { server, client, cookies: BTreeMap::new() }
    }

    pub async fn ask(
        &mut self,
        method: Method,
        path: &str,
        form: Option<&[(&str, &str)]>,
        headers: &[(&str, &str)],
    ) -> Page {
        let mut request = self.client.request(method, format!("http://{}{path}", self.server.address));
        if let Some(form) = form {
            let own = format!("http://{}", self.server.address);
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            request =
                request.header("origin", own).header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !self.cookies.is_empty() {
            request = request.header("cookie", self.cookie());
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        for set in headers.get_all(SET_COOKIE) {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        self.cookies.retain(|_, value| !value.is_empty());
        Page { status, headers, text: answer.text().await.unwrap() }
    }

    pub fn cookie(&self) -> String {
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }

    pub async fn get(&mut self, path: &str) -> Page {
        self.ask(Method::GET, path, None, &[]).await
    }

    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Page {
        self.ask(Method::POST, path, Some(form), &[]).await
    }

    /// Signs in by the form.
    pub async fn sign_in(&mut self, name: &str, password: &str) -> Page {
        self.post("/sign-in", &[("name", name), ("password", password), ("then", "/incidents")]).await
    }

    /// Chooses a password behind an invitation.
    pub async fn take_up(&mut self, link: &str, name: &str) -> Page {
        self.post(link, &[("name", name), ("password", PASSWORD), ("again", PASSWORD)]).await
    }

    /// Has the key of a form on a page of its own.
    pub async fn order(&mut self, path: &str, form: &[(&str, &str)]) -> Page {
        let key = self.get("/silences").await.key();
        let form: Vec<(&str, &str)> = form.iter().copied().chain([("key", key.as_str())]).collect();
        self.post(path, &form).await
    }
}

/// The link of the first account: what the daemon logs, made anew here.
pub async fn first_link(server: &Server) -> String {
    // The server answers once it has told.
    server.ask(Method::GET, "/healthz").send().await.unwrap();
    let changes = server.backend.changes.lock().unwrap().clone();
    let invited = changes.iter().filter(|change| matches!(change, Change::Invitation(_))).count();
    assert_eq!(invited, 1, "nobody has an account, so one is offered: {changes:?}");
    server.backend.first_link.lock().unwrap().clone().expect("a link was told")
}

/// A server at which somebody of each role is signed in.
pub async fn with_everybody(server: &Server) -> BTreeMap<Role, Visitor<'_>> {
    let mut root = Visitor::new(server);
    assert_eq!(root.take_up(&first_link(server).await, "root").await.status, StatusCode::SEE_OTHER);
    let mut everybody = BTreeMap::new();
    for role in [Role::Viewer, Role::Responder, Role::Editor] {
        let link = invite(&mut root, role.as_str(), role).await;
        let mut visitor = Visitor::new(server);
        assert_eq!(visitor.take_up(&link, "ignored").await.status, StatusCode::SEE_OTHER);
        everybody.insert(role, visitor);
    }
    everybody.insert(Role::Admin, root);
    everybody
}

/// The path of the link that an admin is shown.
pub async fn invite(admin: &mut Visitor<'_>, name: &str, role: Role) -> String {
    let page = admin.order("/access/invite", &[("name", name), ("role", role.as_str())]).await;
    let (_, rest) = page.text.split_once("<code class=\"link\">").unwrap_or_else(|| panic!("{}", page.text));
    let link = rest.split('<').next().unwrap();
    url::Url::parse(link).unwrap().path().to_owned()
}
