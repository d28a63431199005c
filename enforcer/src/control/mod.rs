//! The control socket: HTTP/JSON over a unix socket, for operators, launchers and scripts.
//!
//! ```text
//! listen   take the socket's path, or say who has it
//!   -> peer     who connected, by the kernel's account, and what roles that gives
//!   -> gate     a peer inside a session is refused everything; then the route's role
//!   -> routes   path + JSON -> Service -> JSON, or a Problem
//! client   the same types from the other side, for the command line
//! ```
//!
//! - [`api`] is the whole contract: nothing goes over the socket that is not a type of it.
//! - A request is judged by who connected, never by what it says of itself.
//! - Nothing here touches policy tables or kernel maps: the daemon does, behind [`service::Service`].

pub mod api;
pub mod client;
mod diagnostics;
mod gate;
mod lines;
pub mod listen;
pub mod peer;
mod peersock;
mod problem;
mod routes;
pub mod server;
pub mod service;
pub mod sources;

#[cfg(test)]
mod tests;
