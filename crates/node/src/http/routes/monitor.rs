//! Whether the node lives, whether it can work, and its numbers.

use super::{Answer, json, ok};
use crate::errors::CliError;
use crate::http::{App, Problem};
use crate::telemetry;
use argiope_protocol::ErrorCode;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json as object;

/// The process answers: nothing else is looked at, so that a store's outage gets nobody restarted.
pub(super) async fn health() -> Answer {
    ok(&object!({ "status": "ok" }))
}

/// The stores answer, the engine takes work, and the node is on its cluster's list.
pub(super) async fn readiness(State(app): State<App>) -> Answer {
    let mut reasons = app.service().unready().await;
    reasons.extend(app.view().trouble().map(|trouble| format!("cluster: {trouble}")));
    if *app.inner.stopping.borrow() {
        reasons.insert(0, "the node stops".to_owned());
    }
    if reasons.is_empty() {
        return ok(&object!({ "status": "ready", "reasons": [] }));
    }
    json(StatusCode::SERVICE_UNAVAILABLE, &object!({ "status": "not ready", "reasons": reasons }))
}

pub(super) async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    let text = telemetry::to_text(&app.inner.registry)
        .map_err(|error| CliError::new(ErrorCode::Internal, "the metrics cannot be written").because(error))?;
    Ok(([(CONTENT_TYPE, HeaderValue::from_static(telemetry::TEXT_TYPE))], text).into_response())
}
