//! What every request passes before anything of it is read: who may ask for what.
#![forbid(unsafe_code)]

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    api::{ErrorCode, Problem},
    peer::{ADMIN_GROUP, Peer, VIEWER_GROUP},
    service::Service,
};

/// Role that a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// None here: the daemon checks the agent's launch group.
    LaunchGroup,
    /// Viewer or admin.
    Viewer,
    /// Admin.
    Admin,
}

/// Refuses a peer inside a session everything, whatever its uid and before routing, so that it
/// learns nothing, not even which paths exist.
pub(super) async fn outside_sessions<S: Service>(
    State(service): State<Arc<S>>,
    request: Request,
    next: Next,
) -> Response {
    let Some(peer) = peer_of(&request) else {
        return unknown_peer().into_response();
    };
    // A peer that ended can no longer be looked up: its pid may mean another process.
    if !peer.is_alive() || service.inside_session(peer.pid).await {
        tracing::warn!(
            pid = peer.pid,
            uid = peer.uid,
            "refused: the peer is inside a session or gone"
        );
        return inside_session().into_response();
    }
    next.run(request).await
}

/// Refuses a peer without the role that the route needs.
pub(super) async fn has_role(State(need): State<Need>, request: Request, next: Next) -> Response {
    let Some(peer) = peer_of(&request) else {
        return unknown_peer().into_response();
    };
    match refusal(need, peer) {
        Some(problem) => {
            tracing::info!(
                pid = peer.pid,
                uid = peer.uid,
                ?need,
                path = request.uri().path(),
                "refused: role missing"
            );
            problem.into_response()
        }
        None => next.run(request).await,
    }
}

fn refusal(need: Need, peer: &Peer) -> Option<Problem> {
    let (granted, role, group) = match need {
        Need::LaunchGroup => (true, "", ""),
        Need::Viewer => (peer.roles.viewer, "viewer", VIEWER_GROUP),
        Need::Admin => (peer.roles.admin, "admin", ADMIN_GROUP),
    };
    (!granted).then(|| {
        Problem::new(
            ErrorCode::Denied,
            format!("uid {} is no {role} of the enforcer", peer.uid),
        )
        .hint(format!("ask as root or as a member of the group {group}"))
    })
}

fn peer_of(request: &Request) -> Option<&Peer> {
    request.extensions().get::<Peer>()
}

fn unknown_peer() -> Problem {
    Problem::new(ErrorCode::Denied, "it is not known who is asking")
}

fn inside_session() -> Problem {
    Problem::new(
        ErrorCode::InsideSession,
        "a process inside a session is refused everything on this socket",
    )
}
