//! Connections: their limits, their peers, and their end.
#![forbid(unsafe_code)]

use std::{
    collections::HashMap,
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::UnixStream, sync::watch, task::JoinSet, time::timeout};

use super::{
    listen::ControlSocket,
    peer::{Peer, RoleGroups},
    routes::router,
    service::Service,
};

/// Connections at once.
pub const MAX_CONNECTIONS: usize = 256;
/// Connections at once of one user other than root, so that none can keep root out.
pub const MAX_CONNECTIONS_OF_USER: usize = 32;
/// The head of a request must have arrived after this long; also how long an idle connection stays.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Bytes of a request's head.
const MAX_HEAD: usize = 64 << 10;
/// How long connections may take to finish when the daemon stops.
const FINISH_TIME: Duration = Duration::from_secs(2);
/// Pause after a failed accept: the process is out of descriptors, and asking at once does not help.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the control interface on `socket` until `shutdown` completes; then lets connections
/// finish for a moment, closes them and removes the socket.
pub async fn serve<S: Service>(
    socket: ControlSocket,
    service: Arc<S>,
    shutdown: impl Future<Output = ()>,
) {
    let give_roles = |peer: Peer| peer.with_roles(RoleGroups::resolve());
    serve_peers(socket, service, shutdown, give_roles).await;
}

pub(super) async fn serve_peers<S: Service>(
    socket: ControlSocket,
    service: Arc<S>,
    shutdown: impl Future<Output = ()>,
    give_roles: impl FnOnce(Peer) -> Peer + Clone + Send + 'static,
) {
    let (stop, stopped) = watch::channel(());
    let places = Arc::new(Places::default());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = socket.listener().accept() => match accepted {
                Ok((stream, _)) if connections.len() < MAX_CONNECTIONS => {
                    let connection = Connection { stream, service: service.clone(), places: places.clone(), stopped: stopped.clone() };
                    connections.spawn(connection.run(give_roles.clone()));
                }
                Ok(_) => tracing::warn!(limit = MAX_CONNECTIONS, "control connection closed: too many"),
                Err(error) => {
                    tracing::warn!(%error, "a control connection cannot be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(stop);
    let _ = timeout(FINISH_TIME, async {
        while connections.join_next().await.is_some() {}
    })
    .await;
}

struct Connection<S> {
    stream: UnixStream,
    service: Arc<S>,
    places: Arc<Places>,
    stopped: watch::Receiver<()>,
}

impl<S: Service> Connection<S> {
    async fn run(self, give_roles: impl FnOnce(Peer) -> Peer + Send + 'static) {
        let peer = match Peer::identify(&self.stream) {
            Ok(peer) => peer,
            Err(error) => return tracing::warn!(%error, "control connection refused"),
        };
        // The name service may block; the runtime must not.
        let Ok(peer) = tokio::task::spawn_blocking(|| give_roles(peer)).await else {
            return; // the runtime ends
        };
        let Some(_place) = Places::take(&self.places, peer.uid) else {
            return tracing::warn!(
                uid = peer.uid,
                limit = MAX_CONNECTIONS_OF_USER,
                "control connection closed: too many of this user"
            );
        };
        self.answer(peer).await;
    }

    async fn answer(self, peer: Peer) {
        let Self {
            stream,
            service,
            places: _,
            mut stopped,
        } = self;
        let service = TowerToHyperService::new(router(service, peer));
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME)
            .max_buf_size(MAX_HEAD);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = &mut connection => ended,
            _ = stopped.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "control connection ended");
        }
    }
}

/// Connections by user.
#[derive(Default)]
struct Places(Mutex<HashMap<u32, usize>>);

/// One connection's place; given back when dropped.
struct Place {
    places: Arc<Places>,
    uid: u32,
}

impl Places {
    fn take(places: &Arc<Self>, uid: u32) -> Option<Place> {
        let mut taken = places.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(uid).or_default();
        if uid != 0 && *count >= MAX_CONNECTIONS_OF_USER {
            return None;
        }
        *count += 1;
        Some(Place {
            places: places.clone(),
            uid,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.uid) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_cannot_take_every_place_and_root_is_never_kept_out() {
        let places = Arc::new(Places::default());
        let take = |uid| Places::take(&places, uid);
        let held: Vec<_> = (0..MAX_CONNECTIONS_OF_USER).map(|_| take(1000)).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(take(1000).is_none());
        assert!(take(1001).is_some());
        let root: Vec<_> = (0..=MAX_CONNECTIONS_OF_USER).map(|_| take(0)).collect();
        assert!(root.iter().all(Option::is_some));
        drop(held);
        assert!(take(1000).is_some());
    }
}
