//! The paths. Each handler reads its request, asks, and writes the answer; nothing else.

mod cluster;
mod jobs;
mod monitor;
mod pages;

use super::{App, Problem, shell};
use crate::api::List;
use crate::errors::CliError;
use argiope_protocol::ErrorCode;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;

/// Answer of a handler.
type Answer = Result<Response, Problem>;

/// Items of a list that is not cut otherwise.
const DEFAULT_ITEMS: u64 = 100;
/// Most items of a list.
const MAX_ITEMS: u64 = 1_000;
/// Bytes of a cursor: none is longer than a UUID.
const MAX_CURSOR_BYTES: usize = 64;

/// What a control node answers.
pub(crate) fn control(app: App) -> Router {
    let routes = Router::new()
        .route("/api/v1/jobs", get(jobs::list).post(jobs::create))
        .route("/api/v1/jobs/{id}", get(jobs::show))
        .route("/api/v1/jobs/{id}/pause", post(jobs::pause))
        .route("/api/v1/jobs/{id}/resume", post(jobs::resume))
        .route("/api/v1/jobs/{id}/cancel", post(jobs::cancel))
        .route("/api/v1/jobs/{id}/retry", post(jobs::retry))
        .route("/api/v1/jobs/{id}/urls", get(jobs::urls))
        .route("/api/v1/jobs/{id}/rejected", get(jobs::rejected))
        .route("/api/v1/jobs/{id}/pages", get(pages::of_job))
        .route("/api/v1/jobs/{id}/events", get(jobs::events))
        .route("/api/v1/pages", get(pages::find))
        .route("/api/v1/search", post(pages::search))
        .route("/api/v1/status", get(cluster::status))
        .route("/api/v1/nodes", get(cluster::nodes))
        .route("/api/v1/nodes/{name}/drain", post(cluster::drain))
        .route("/api/v1/shards", get(cluster::shards))
        .route("/api/v1/hosts/{host}", get(cluster::host))
        .route("/api/v1/explain", get(cluster::explain))
        .fallback(shell::nothing_there)
        .method_not_allowed_fallback(shell::other_method);
    shell::guarded(routes, app)
}

/// What every node tells a monitor.
pub(crate) fn monitor(app: App) -> Router {
    let routes = Router::new()
        .route("/healthz", get(monitor::health))
        .route("/readyz", get(monitor::readiness))
        .route("/metrics", get(monitor::metrics))
        .fallback(shell::nothing_there)
        .method_not_allowed_fallback(shell::other_method);
    shell::open(routes, app)
}

/// A value as JSON.
fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let text = serde_json::to_vec(value)
        .map_err(|error| CliError::new(ErrorCode::Internal, "the answer cannot be written").because(error))?;
    let headers = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok((status, headers, text).into_response())
}

fn ok(value: &impl Serialize) -> Answer {
    json(StatusCode::OK, value)
}

/// A list that has no further parts.
fn whole<T: Serialize>(items: Vec<T>) -> Answer {
    ok(&List { items, next: None })
}
