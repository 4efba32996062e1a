//! What holds for every request: its key is judged, its answer timed and counted, its path and method exist.

use super::metrics::route_of;
use super::{App, Problem};
use crate::errors::CliError;
use argiope_protocol::ErrorCode;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use std::time::{Duration, Instant};

/// Bytes of a request's body: about 100,000 seeds.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
/// Longest from a request's head to the head of its answer, its body's arrival included.
const DEADLINE: Duration = Duration::from_secs(30);

/// Wraps routes that need a key.
pub(super) fn guarded(routes: Router<App>, app: App) -> Router {
    let routes = routes.layer(middleware::from_fn_with_state(app.clone(), check_key));
    open(routes, app)
}

/// Wraps routes that anybody may ask.
pub(super) fn open(routes: Router<App>, app: App) -> Router {
    routes
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(app.clone(), watch_over))
        .with_state(app)
}

/// No such path.
pub(super) async fn nothing_there(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    CliError::new(ErrorCode::NotFound, format!("nothing is at {path}")).into()
}

/// No such method at the path; the answer's `Allow` says which there are.
pub(super) async fn other_method() -> Problem {
    let error = CliError::new(ErrorCode::RequestInvalid, "the path does not take this method");
    let error = error.advise("the answer's Allow field lists the methods that it takes");
    Problem::with_status(StatusCode::METHOD_NOT_ALLOWED, error)
}

async fn check_key(State(app): State<App>, request: Request, next: Next) -> Response {
    match app.inner.keys.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => Problem::from(error).into_response(),
    }
}

async fn watch_over(State(app): State<App>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = route_of(request.uri().path());
    let late = |_| {
        let error = CliError::new(ErrorCode::NodeBusy, "the answer was not found in time")
            .because(format!("it took longer than {} s", DEADLINE.as_secs()));
        Problem::from(error).into_response()
    };
    let response = tokio::time::timeout(DEADLINE, next.run(request)).await.unwrap_or_else(late);
    app.inner.metrics.answered(route, response.status().as_u16(), began.elapsed());
    response
}
