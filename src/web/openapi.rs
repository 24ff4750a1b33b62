//! The API described for programs (`OpenAPI` 3.1), as `GET /api/openapi.json` hands it out.
//!
//! Nothing is written twice: what is sent and answered comes from the structs that are sent and answered, words from the
//! handlers, and who is let in from the table of routes. What every address does alike (turning away whoever may not,
//! refusing a body that is none) is added here, so that no handler has to repeat it.

use std::sync::Arc;

use axum::extract::Extension;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Components, ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use super::backend::Backend;
use super::routes::{Needs, Route, Routes};
use super::{api, desks, drills, handover, incidents, live, privacy, search, silences, tokens};

/// The name under which the document knows the token.
const TOKEN: &str = "token";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Stormbell",
        description = "What programs can ask of the daemon. Times are RFC 3339. Whoever is signed in to the console may \
            ask the same with the session's cookie, within their role; what would change something then needs an \
            `Origin` of ours. Answers may gain fields: ignore those you do not know."
    ),
    paths(
        api::healthy, api::ready, api::metrics, api::all, api::incident, api::act, api::merge, api::sources, api::rules,
        api::oncall, api::status, search::search, live::events, incidents::hand_over, incidents::escalate,
        incidents::playbook, incidents::follow, incidents::report, handover::show, handover::note, silences::list,
        silences::add, silences::end_named, silences::preview, silences::end, tokens::list, tokens::make,
        tokens::revoke, privacy::erase, privacy::holds, privacy::hold, privacy::release, privacy::held, drills::held,
        drills::begin, drills::deliveries, desks::desk, described
    ),
    components(schemas(api::ActionWord, api::ErrorView<'static>)),
    modifiers(&Common)
)]
struct Described;

/// What all addresses share: the token, and how each refuses.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
            "The daemon's own token, or one that was made on the pages *Account* or *Access* or by `makeToken`",
        ));
        let components = document.components.get_or_insert_with(Components::new);
        components.add_security_scheme(TOKEN, SecurityScheme::Http(bearer.build()));
        for (_, name, why) in REFUSALS {
            let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
            let refusal = ResponseBuilder::new().description(why).content("application/json", problem).build();
            components.responses.insert(name.to_owned(), refusal.into());
        }
    }
}

pub(super) fn routes<B: Backend>(routes: Routes<B>) -> Routes<B> {
    routes.get("/api/openapi.json", api::VIEWER, described)
}

/// This document.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "state",
    operation_id = "describe",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json", body = Object))
)]
pub(super) async fn described(Extension(table): Extension<Arc<[Route]>>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document(&table)).into_response()
}

/// The description of the addresses of that table, as JSON. What the table does not have is not in it.
pub fn document(table: &[Route]) -> String {
    let mut document = Described::openapi();
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in [("GET", &mut item.get), ("POST", &mut item.post), ("DELETE", &mut item.delete)] {
            let route = table.iter().find(|route| route.path == path && route.method == method);
            match (operation.as_mut(), route) {
                (Some(operation), Some(route)) => complete(operation, route),
                (Some(_), None) => *operation = None,
                (None, _) => {}
            }
        }
    }
    document.paths.paths.retain(|_, item| *item != PathItem::default());
    // Of what serde writes of these structs nothing can fail.
    document.to_pretty_json().unwrap_or_default()
}

/// What any address may answer instead of what was asked for: status, name and reason.
const REFUSALS: [(u16, &str, &str); 10] = [
    (400, "Unreadable", "It cannot be read"),
    (401, "Stranger", "The token is missing, wrong or over"),
    (403, "Forbidden", "It takes another role, or what was asked for is restricted"),
    (404, "Absent", "There is none of that name"),
    (409, "Untimely", "Not in the state it is in"),
    (413, "TooLong", "The body is longer than 64 KiB"),
    (415, "NotJson", "The body is not `application/json`"),
    (421, "Misdirected", "The `Host` is not an address or name of this daemon"),
    (422, "Impossible", "It asks for what cannot be"),
    (503, "NotNow", "Not now: try again"),
];

/// Adds what holds for every address that is like this one.
fn complete(operation: &mut Operation, route: &Route) {
    refuses(operation, &[421]);
    if let Needs::Role(role) = route.needs {
        let takes = format!("Takes the role {}.", role.as_str());
        let description = operation.description.take().map_or(takes.clone(), |text| format!("{text}\n\n{takes}"));
        operation.description = Some(description);
        operation.security = Some(vec![SecurityRequirement::new(TOKEN, Vec::<String>::new())]);
        refuses(operation, &[401, 403, 503]);
    }
    if operation.request_body.is_some() {
        refuses(operation, &[413, 415]);
    }
    if operation.request_body.is_some() || operation.parameters.is_some() {
        refuses(operation, &[400, 422]);
    }
    if route.method != "GET" {
        refuses(operation, &[409]);
    }
    if route.path.contains('{') {
        refuses(operation, &[404]);
    }
}

/// With these, unless the handler says otherwise.
fn refuses(operation: &mut Operation, statuses: &[u16]) {
    let answers = &mut operation.responses.responses;
    for (status, name, _) in REFUSALS.iter().filter(|(status, ..)| statuses.contains(status)) {
        answers.entry(status.to_string()).or_insert_with(|| RefOr::Ref(Ref::from_response_name(*name)));
    }
}
