//! Paths to service methods. The table of `api.rs`, with the role of each route in one place.
#![forbid(unsafe_code)]

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    body::{Body, HttpBody},
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    http::{StatusCode, Uri, header},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    api::{ErrorCode, LogQuery, Problem, SessionId},
    gate::{Need, has_role, outside_sessions},
    lines::LineBody,
    peer::Peer,
    service::{Answer, Service},
};

/// Largest body of policies. The limits of a policy (10,000 destinations, 2,000 binaries, 200
/// agents) fit several times over.
pub(super) const MAX_POLICY_BODY: usize = 32 << 20;
/// Largest body of a launch: the kernel's own limit of arguments (`ARG_MAX`, 2 MiB), escaped.
const MAX_LAUNCH_BODY: usize = 4 << 20;
/// Largest body of a removal: a reason in words.
const MAX_REMOVAL_BODY: usize = 16 << 10;
/// A body must have arrived after this long.
const BODY_TIME: Duration = Duration::from_secs(30);
/// Media type of newline-delimited JSON.
const NDJSON: &str = "application/x-ndjson";

/// Every route of the interface, for requests of `peer`.
pub(super) fn router<S: Service>(service: Arc<S>, peer: Peer) -> Router {
    let needs = |need: Need, methods: MethodRouter<Arc<S>>| {
        methods.layer(from_fn_with_state(need, has_role))
    };
    // An agent may be called as a verb is: GET means the agent, POST the verb.
    let verb_or_agent = |verb: MethodRouter<Arc<S>>| {
        verb.merge(needs(Need::Viewer, get(policy_of_last_segment::<S>)))
    };
    Router::new()
        .route("/v1/status", needs(Need::Viewer, get(status::<S>)))
        .route("/v1/posture", needs(Need::Viewer, get(posture::<S>)))
        .route("/v1/posture/canary", needs(Need::Admin, post(canary::<S>)))
        .route(
            "/v1/sessions",
            needs(Need::Viewer, get(sessions::<S>))
                .merge(needs(Need::LaunchGroup, post(launch::<S>))),
        )
        .route("/v1/sessions/{id}", needs(Need::Viewer, get(session::<S>)))
        .route("/v1/policy", needs(Need::Viewer, get(policies::<S>)))
        .route("/v1/policy/{agent}", needs(Need::Viewer, get(policy::<S>)))
        .route(
            "/v1/policy/plan",
            verb_or_agent(needs(Need::Admin, post(plan::<S>))),
        )
        .route(
            "/v1/policy/apply",
            verb_or_agent(needs(Need::Admin, post(apply::<S>))),
        )
        .route("/v1/uninstall", needs(Need::Admin, post(uninstall::<S>)))
        .route("/v1/log", needs(Need::Viewer, get(log::<S>)))
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(from_fn_with_state(service.clone(), outside_sessions::<S>))
        .layer(Extension(peer))
        .with_state(service)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self)).into_response()
    }
}

type Reply<T> = Result<Json<T>, Problem>;

fn reply<T: Serialize>(answer: Answer<T>) -> Reply<T> {
    answer.map(Json)
}

async fn status<S: Service>(State(service): State<Arc<S>>) -> impl IntoResponse {
    reply(service.status().await)
}

async fn posture<S: Service>(State(service): State<Arc<S>>) -> impl IntoResponse {
    reply(service.posture().await)
}

async fn canary<S: Service>(State(service): State<Arc<S>>) -> impl IntoResponse {
    reply(service.canary().await)
}

async fn sessions<S: Service>(State(service): State<Arc<S>>) -> impl IntoResponse {
    reply(service.sessions().await)
}

async fn session<S: Service>(
    State(service): State<Arc<S>>,
    Path(id): Path<String>,
) -> impl IntoResponse {
    let id: SessionId = id
        .parse()
        .map_err(|why: String| Problem::new(ErrorCode::BadRequest, why))?;
    reply(service.session(id).await)
}

async fn launch<S: Service>(
    State(service): State<Arc<S>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> impl IntoResponse {
    let wanted = read_json(request, MAX_LAUNCH_BODY).await?;
    reply(service.launch(&peer, wanted).await)
}

async fn plan<S: Service>(State(service): State<Arc<S>>, request: Request) -> impl IntoResponse {
    let wanted = read_json(request, MAX_POLICY_BODY).await?;
    reply(service.plan(wanted).await)
}

async fn apply<S: Service>(
    State(service): State<Arc<S>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> impl IntoResponse {
    let wanted = read_json(request, MAX_POLICY_BODY).await?;
    reply(service.apply(&peer, wanted).await)
}

async fn uninstall<S: Service>(
    State(service): State<Arc<S>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> impl IntoResponse {
    let wanted = read_json(request, MAX_REMOVAL_BODY).await?;
    reply(service.uninstall(&peer, wanted).await)
}

async fn policies<S: Service>(State(service): State<Arc<S>>) -> impl IntoResponse {
    reply(service.policies().await)
}

async fn policy<S: Service>(
    State(service): State<Arc<S>>,
    Path(agent): Path<String>,
) -> impl IntoResponse {
    reply(service.policy(&agent).await)
}

async fn policy_of_last_segment<S: Service>(
    State(service): State<Arc<S>>,
    uri: Uri,
) -> impl IntoResponse {
    let agent = uri.path().rsplit('/').next().unwrap_or_default();
    reply(service.policy(agent).await)
}

async fn log<S: Service>(State(service): State<Arc<S>>, uri: Uri) -> Result<Response, Problem> {
    let Query(query) = Query::<LogQuery>::try_from_uri(&uri).map_err(bad_query)?;
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&uri).map_err(bad_query)?;
    LogQuery::check_names(pairs.iter().map(|(name, _)| name.as_str()))?;
    query.check()?;
    let lines = service.log(query).await?;
    Ok(([(header::CONTENT_TYPE, NDJSON)], Body::new(LineBody(lines))).into_response())
}

fn bad_query(rejection: QueryRejection) -> Problem {
    Problem::new(ErrorCode::BadRequest, rejection.body_text())
}

async fn method_not_allowed(request: Request) -> Problem {
    Problem::new(
        ErrorCode::MethodNotAllowed,
        format!("{} is not for {}", request.method(), request.uri().path()),
    )
}

async fn not_found(request: Request) -> Problem {
    Problem::new(
        ErrorCode::NotFound,
        format!("nothing at {}", request.uri().path()),
    )
    .hint("the interface is versioned: its paths begin with /v1/")
}

/// Reads a body whole, within limits of size and time, and takes it as JSON.
async fn read_json<T: DeserializeOwned>(request: Request, limit: usize) -> Result<T, Problem> {
    let body = request.into_body();
    // Its announced length: what is too large is not waited for.
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(limit));
    }
    let body = axum::body::to_bytes(body, limit);
    let bytes = tokio::time::timeout(BODY_TIME, body)
        .await
        .map_err(|_| {
            Problem::new(
                ErrorCode::TimedOut,
                format!("the body did not arrive within {BODY_TIME:?}"),
            )
        })?
        .map_err(|error| unreadable(&error, limit))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Problem::new(
            ErrorCode::BadRequest,
            format!("the body is not as expected: {error}"),
        )
    })
}

fn unreadable(error: &axum::Error, limit: usize) -> Problem {
    let past_limit =
        std::iter::successors(std::error::Error::source(error), |cause| cause.source())
            .any(|cause| cause.is::<http_body_util::LengthLimitError>());
    if past_limit {
        too_large(limit)
    } else {
        Problem::new(
            ErrorCode::BadRequest,
            format!("the body cannot be read: {error}"),
        )
    }
}

fn too_large(limit: usize) -> Problem {
    Problem::new(
        ErrorCode::TooLarge,
        format!("the body is larger than {limit} bytes"),
    )
}
