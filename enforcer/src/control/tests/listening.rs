//! The socket's path: free, left behind, taken.

use std::{
    fs,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixDatagram, UnixListener},
    },
};

use super::{ADMIN, Folder, Scene};
use crate::control::{
    client::{Client, ClientError},
    listen::{ControlSocket, ListenError},
};

fn folder() -> Folder {
    let folder = Folder::new();
    fs::create_dir_all(&folder.0).expect("a folder");
    folder
}

#[tokio::test]
async fn every_user_may_knock() {
    let folder = Folder::new();
    let _socket = ControlSocket::bind(&folder.socket()).expect("a free path");
    let mode = |path| {
        fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o7777
    };
    assert_eq!(
        (mode(folder.socket()), mode(folder.0.clone())),
        (0o666, 0o755)
    );
}

#[tokio::test]
async fn a_second_daemon_is_told_of_the_first() {
    let scene = Scene::of(ADMIN);
    let error = ControlSocket::bind(&scene.folder.socket()).expect_err("it is taken");
    let own = std::process::id();
    assert!(
        matches!(error, ListenError::AnotherDaemon { pid: Some(pid), .. } if pid == own),
        "{error}"
    );
    assert!(scene.client.status().await.is_ok());
}

#[tokio::test]
async fn what_a_killed_daemon_left_is_replaced() {
    let folder = folder();
    drop(UnixListener::bind(folder.socket()).expect("a free path"));
    fs::write(format!("{}.lock", folder.socket().display()), "4194304\n").expect("a lock file");
    assert!(ControlSocket::bind(&folder.socket()).is_ok());
}

#[tokio::test]
async fn another_programs_socket_is_left_alone() {
    let folder = folder();
    let _listener = UnixListener::bind(folder.socket()).expect("a free path");
    let error = ControlSocket::bind(&folder.socket()).expect_err("it is taken");
    assert!(
        matches!(error, ListenError::AnotherProgram { pid: Some(_), .. }),
        "{error}"
    );
    let folder = self::folder();
    let _datagrams = UnixDatagram::bind(folder.socket()).expect("a free path");
    let error = ControlSocket::bind(&folder.socket()).expect_err("it is taken");
    assert!(
        matches!(error, ListenError::AnotherProgram { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let folder = folder();
    fs::write(folder.socket(), "precious").expect("a file");
    let error = ControlSocket::bind(&folder.socket()).expect_err("it is taken");
    assert!(matches!(error, ListenError::NotASocket { .. }), "{error}");
    assert_eq!(
        fs::read_to_string(folder.socket()).expect("still there"),
        "precious"
    );
    fs::remove_file(folder.socket()).expect("removed");
    std::os::unix::fs::symlink("elsewhere", folder.socket()).expect("a link");
    let error = ControlSocket::bind(&folder.socket()).expect_err("it is taken");
    assert!(matches!(error, ListenError::NotASocket { .. }), "{error}");
}

#[tokio::test]
async fn the_socket_goes_with_its_daemon_and_not_with_another() {
    let scene = Scene::of(ADMIN);
    let folder = scene.stop().await;
    assert!(!folder.socket().exists());

    let socket = ControlSocket::bind(&folder.socket()).expect("free again");
    fs::remove_file(folder.socket()).expect("removed");
    let _other = UnixListener::bind(folder.socket()).expect("a free path");
    drop(socket);
    assert!(
        fs::metadata(folder.socket())
            .expect("the other's")
            .file_type()
            .is_socket()
    );
}

#[tokio::test]
async fn a_daemon_stops_although_a_reader_follows() {
    let scene = Scene::of(ADMIN);
    let query = crate::control::api::LogQuery {
        follow: true,
        ..Default::default()
    };
    let mut lines = scene.client.log(&query).await.expect("a stream");
    let stop = scene.stop();
    let (_folder, end) = tokio::join!(stop, async {
        while let Ok(Some(_)) = lines.next().await {}
    });
    let () = end;
}

#[tokio::test]
async fn where_no_daemon_is_the_client_says_so() {
    let folder = folder();
    let client = Client::new(&folder.socket());
    assert!(matches!(
        client.status().await,
        Err(ClientError::NoDaemon { .. })
    ));
    drop(UnixListener::bind(folder.socket()).expect("a free path"));
    assert!(matches!(
        client.status().await,
        Err(ClientError::NoDaemon { .. })
    ));
}
