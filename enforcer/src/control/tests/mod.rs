//! The control socket from its client to a service and back, over real sockets.

mod listening;
mod requests;
mod service;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio::{sync::oneshot, task::JoinHandle};

use super::{
    client::Client,
    listen::ControlSocket,
    peer::{Peer, Roles},
    server::serve_peers,
};
use service::Fake;

const ADMIN: Roles = Roles {
    admin: true,
    viewer: true,
};
const VIEWER: Roles = Roles {
    admin: false,
    viewer: true,
};
const NOBODY: Roles = Roles {
    admin: false,
    viewer: false,
};

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("enforcer-control-{}-{number}", std::process::id())))
    }

    fn socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server whose every peer has the same roles, and a client of it.
struct Scene {
    folder: Folder,
    client: Client,
    fake: Arc<Fake>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

impl Scene {
    fn of(roles: Roles) -> Self {
        Self::with(roles, Fake::default())
    }

    fn with(roles: Roles, fake: Fake) -> Self {
        let folder = Folder::new();
        let socket = ControlSocket::bind(&folder.socket()).expect("a free path");
        let (stop, stopped) = oneshot::channel();
        let fake = Arc::new(fake);
        let give_roles = move |mut peer: Peer| {
            peer.roles = roles;
            peer
        };
        let shutdown = async {
            let _ = stopped.await;
        };
        let server = tokio::spawn(serve_peers(socket, fake.clone(), shutdown, give_roles));
        Self {
            client: Client::new(&folder.socket()),
            folder,
            fake,
            stop,
            server,
        }
    }

    async fn stop(self) -> Folder {
        drop(self.stop);
        self.server.await.expect("the server's end");
        self.folder
    }
}
