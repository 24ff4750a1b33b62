//! `/api/v1/drills`: begins an exercise, shows those that were held and are to come, and `/api/v1/incidents/{id}/deliveries`: what became of each message.

use axum::body::Bytes;
use axum::extract::Path;
use axum::extract::State;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::api::{Answer, App, ErrorView, NAME_LIMIT, Problem, RESPONDER, VIEWER, is_json};
use super::backend::Backend;
use super::caller::Caller;
use super::handover::DrillView;
use super::routes::Routes;
use super::view::DeliveryView;
use crate::domain::id::IncidentId;
use crate::domain::incident::Incident;
use crate::domain::time::Timestamp;
use crate::wire::message::IncidentJson;

pub(super) fn routes<B: Backend>(routes: Routes<B>) -> Routes<B> {
    routes.get("/api/v1/drills", VIEWER, held::<B>).post("/api/v1/drills", RESPONDER, begin::<B>).get(
        "/api/v1/incidents/{id}/deliveries",
        VIEWER,
        deliveries::<B>,
    )
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DrillOrder, example = json!({ "scenario": "active-threat", "by": "ann" }))]
pub(super) struct Body {
    /// Its name.
    #[schema(max_length = 200)]
    scenario: String,
    /// On whose behalf; of whoever is signed in their own.
    #[schema(max_length = 200)]
    by: Option<String>,
}

/// Begins a drill.
#[utoipa::path(
    post,
    path = "/api/v1/drills",
    tag = "drills",
    operation_id = "beginDrill",
    request_body = Body,
    responses(
        (status = 201, description = "Its incidents", body = Vec<IncidentJson<'static>>),
        (status = 409, description = "It cannot be held now", body = ErrorView<'static>),
    ),
)]
pub(super) async fn begin<B: Backend>(
    State(shared): App<B>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer {
    if !is_json(&headers) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be application/json"));
    }
    let Body { scenario, by } = serde_json::from_slice(&body?).map_err(|error| {
        let text = format!("the body must be like {{\"scenario\": \"active-threat\", \"by\": \"ann\"}}: {error}");
        Problem::new(StatusCode::BAD_REQUEST, text)
    })?;
    let by = caller.on_behalf(by).unwrap_or_else(|| "api".to_owned());
    let long = [&scenario, &by].iter().any(|text| text.chars().count() > NAME_LIMIT || text.contains(char::is_control));
    if long {
        let text = format!("scenario and by must each be one line of at most {NAME_LIMIT} characters");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, text));
    }
    let incidents = seen(shared.backend.drill(scenario, by).await?, &caller);
    let console = shared.console.as_ref();
    let json = incidents.iter().map(|incident| IncidentJson::new(incident, &[], console));
    Ok((StatusCode::CREATED, Json(json.collect::<Vec<_>>())).into_response())
}

/// Drills, held and to come.
#[derive(Serialize, ToSchema)]
#[schema(as = Drills)]
pub(super) struct DrillsView<'a> {
    /// The newest first.
    held: Vec<IncidentJson<'a>>,
    /// The soonest first.
    next: Vec<DrillView>,
}

fn seen(incidents: Vec<Incident>, caller: &Caller) -> Vec<Incident> {
    incidents.into_iter().map(|incident| incident.seen_with(caller.sight)).collect()
}

/// Drills that are on record, and those to come.
#[utoipa::path(
    get,
    path = "/api/v1/drills",
    tag = "drills",
    operation_id = "listDrills",
    responses((status = 200, description = "The drills", body = DrillsView<'static>)),
)]
pub(super) async fn held<B: Backend>(State(shared): App<B>, Extension(caller): Extension<Caller>) -> Answer {
    let incidents = seen(shared.backend.exercises(Timestamp::from_micros(i64::MIN)).await?, &caller);
    let console = shared.console.as_ref();
    let held: Vec<IncidentJson<'_>> = incidents.iter().map(|one| IncidentJson::new(one, &[], console)).collect();
    let next = shared.backend.next_drills();
    let next = next.into_iter().map(|(scenario, at)| DrillView { scenario, at: at.to_string() }).collect();
    Ok(Json(DrillsView { held, next }).into_response())
}

/// What became of each message about an incident.
#[utoipa::path(
    get,
    path = "/api/v1/incidents/{id}/deliveries",
    tag = "incidents",
    operation_id = "listDeliveries",
    params(("id" = String, Path, description = "The incident")),
    responses((status = 200, description = "The messages; none of an incident that there is not", body = Vec<DeliveryView>)),
)]
pub(super) async fn deliveries<B: Backend>(State(shared): App<B>, id: Result<Path<String>, PathRejection>) -> Answer {
    let Path(id) = id?;
    Ok(Json(shared.backend.deliveries(IncidentId::from(id)).await?).into_response())
}
