//! What the daemon does behind the control socket.
#![forbid(unsafe_code)]

use std::future::Future;

use tokio::sync::mpsc;

use super::{
    api::{
        LaunchRequest, Launched, LogQuery, PolicyDetail, PolicyFacts, PolicyOutcome, PolicyRequest,
        Posture, Problem, Removal, Removed, Session, SessionDetail, SessionId, Status,
    },
    peer::Peer,
};

/// Outcome of a request.
pub type Answer<T> = Result<T, Problem>;

/// The daemon as the control socket sees it. Roles were checked before a method is called, except
/// where a method says that it checks.
pub trait Service: Send + Sync + 'static {
    /// Whether a task of the process `pid` is inside a session. The peer's process is held by a
    /// pidfd meanwhile, so the number means one process. In doubt: true.
    fn inside_session(&self, pid: u32) -> impl Future<Output = bool> + Send;

    /// The daemon at a glance.
    fn status(&self) -> impl Future<Output = Answer<Status>> + Send;

    /// The posture as last found.
    fn posture(&self) -> impl Future<Output = Answer<Posture>> + Send;

    /// Runs a canary again and returns the posture that follows.
    fn canary(&self) -> impl Future<Output = Answer<Posture>> + Send;

    /// Sessions that are pending or running.
    fn sessions(&self) -> impl Future<Output = Answer<Vec<Session>>> + Send;

    /// One session; `not-found` when there is none.
    fn session(&self, id: SessionId) -> impl Future<Output = Answer<SessionDetail>> + Send;

    /// Makes a session and the pending label of the peer's process.
    ///
    /// Checks itself that the peer is an admin or in the agent's launch group (`denied`), that the
    /// agent exists (`not-found`; tell it from `denied` only to those who may see policies), that
    /// the daemon enforces (`not-enforcing`) and that there is room (`limit-reached`).
    fn launch(
        &self,
        peer: &Peer,
        request: LaunchRequest,
    ) -> impl Future<Output = Answer<Launched>> + Send;

    /// What applying would change. Changes nothing.
    fn plan(&self, request: PolicyRequest) -> impl Future<Output = Answer<PolicyOutcome>> + Send;

    /// Puts the policies in force as one generation, or changes nothing. When it returns, no older
    /// verdict is given. `conflict` when another apply is under way.
    fn apply(
        &self,
        peer: &Peer,
        request: PolicyRequest,
    ) -> impl Future<Output = Answer<PolicyOutcome>> + Send;

    /// Detaches everything, and ends the daemon. `conflict` while sessions run.
    fn uninstall(
        &self,
        peer: &Peer,
        removal: Removal,
    ) -> impl Future<Output = Answer<Removed>> + Send;

    /// Policies in force, by agent name.
    fn policies(&self) -> impl Future<Output = Answer<Vec<PolicyFacts>>> + Send;

    /// The policy of one agent; `not-found` when there is none.
    fn policy(&self, agent: &str) -> impl Future<Output = Answer<PolicyDetail>> + Send;

    /// Records that match, one JSON text without a newline each. The stream ends when the sender is
    /// dropped; the receiver is dropped when the peer goes away.
    fn log(&self, query: LogQuery) -> impl Future<Output = Answer<mpsc::Receiver<String>>> + Send;
}
