//! Every address, and what it takes to be let in there.
//!
//! A route cannot be added without saying so: the table is what a test holds against every role.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::http::uri::PathAndQuery;
use axum::http::{Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use url::form_urlencoded;

use super::Shared;
use super::api::Problem;
use super::backend::Backend;
use super::caller::Caller;
use super::console;
use super::guard::{Stranger, Way};
use crate::domain::access::Role;

/// What it takes to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing; or what is sent proves itself: a link's token, a signature.
    Nothing,
    /// Somebody who may do as much.
    Role(Role),
}

/// One line of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// `GET` also stands for `HEAD`.
    pub method: &'static str,
    /// With names in braces.
    pub path: &'static str,
    /// What it takes.
    pub needs: Needs,
}

/// The addresses so far.
pub(super) struct Routes<B> {
    shared: Arc<Shared<B>>,
    router: Router<Arc<Shared<B>>>,
    table: Vec<Route>,
}

impl<B: Backend> Routes<B> {
    pub(super) fn new(shared: Arc<Shared<B>>) -> Self {
        Self { shared, router: Router::new(), table: Vec::new() }
    }

    #[must_use]
    pub(super) fn get<T: 'static>(
        self,
        path: &'static str,
        needs: Needs,
        handler: impl Handler<T, Arc<Shared<B>>>,
    ) -> Self {
        self.at("GET", path, needs, on(MethodFilter::GET, handler))
    }

    #[must_use]
    pub(super) fn post<T: 'static>(
        self,
        path: &'static str,
        needs: Needs,
        handler: impl Handler<T, Arc<Shared<B>>>,
    ) -> Self {
        self.at("POST", path, needs, on(MethodFilter::POST, handler))
    }

    #[must_use]
    pub(super) fn delete<T: 'static>(
        self,
        path: &'static str,
        needs: Needs,
        handler: impl Handler<T, Arc<Shared<B>>>,
    ) -> Self {
        self.at("DELETE", path, needs, on(MethodFilter::DELETE, handler))
    }

    /// With a layer of its own around the handler, such as another limit for bodies.
    #[must_use]
    pub(super) fn at(
        mut self,
        method: &'static str,
        path: &'static str,
        needs: Needs,
        handler: MethodRouter<Arc<Shared<B>>, Infallible>,
    ) -> Self {
        let handler = match needs {
            Needs::Nothing => handler,
            Needs::Role(role) => handler.layer(from_fn_with_state((Arc::clone(&self.shared), role), admit::<B>)),
        };
        self.router = self.router.route(path, handler);
        self.table.push(Route { method, path, needs });
        self
    }

    /// Further addresses.
    #[must_use]
    pub(super) fn and(self, add: impl FnOnce(Self) -> Self) -> Self {
        add(self)
    }

    /// All of them.
    pub(super) fn done(self) -> (Router<Arc<Shared<B>>>, Vec<Route>) {
        (self.router, self.table)
    }
}

/// Lets in whoever may do as much; the guard knows who they are.
async fn admit<B: Backend>(
    State((shared, role)): State<(Arc<Shared<B>>, Role)>,
    request: Request,
    next: Next,
) -> Response {
    let caller = request.extensions().get::<Caller>();
    if caller.is_some_and(|caller| caller.role >= role) {
        return next.run(request).await;
    }
    match (request.uri().path().starts_with("/api/"), caller.is_some()) {
        (true, true) => {
            if let Some(caller) = caller {
                shared.gate.strayed(caller, request.uri().path());
            }
            let text = format!("this takes the role {}; an admin can give it", role.as_str());
            Problem::new(StatusCode::FORBIDDEN, text).into_response()
        }
        (true, false) => {
            Problem::new(StatusCode::UNAUTHORIZED, "send the header Authorization: Bearer TOKEN").into_response()
        }
        (false, true) => console::forbidden(&shared, request, role).await,
        (false, false) if request.extensions().get::<Stranger>().is_some() => console::stranger(&shared, request).await,
        (false, false) => {
            let root = request.extensions().get().map_or("/", |way: &Way| way.root.as_str());
            let location = format!("{root}{}", sign_in(&request));
            (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
        }
    }
}

/// Where to sign in, below the root, and then go on to what was asked for.
fn sign_in(request: &Request) -> String {
    let asked = if *request.method() == Method::GET { request.uri().path_and_query() } else { None };
    match asked.map(PathAndQuery::as_str).filter(|asked| *asked != "/") {
        Some(asked) => {
            let then = form_urlencoded::Serializer::new(String::new()).append_pair("then", asked).finish();
            format!("sign-in?{then}")
        }
        None => "sign-in".to_owned(),
    }
}
