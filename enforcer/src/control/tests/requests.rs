//! What is answered, and what is refused.

use std::sync::atomic::Ordering;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use super::{ADMIN, Fake, NOBODY, Scene, VIEWER, service};
use crate::{
    control::{
        api::{
            ErrorCode, LaunchRequest, LogQuery, PolicyRequest, PolicySource, Problem, SessionId,
            State,
        },
        client::ClientError,
        routes::MAX_POLICY_BODY,
    },
    record::Filter,
};

fn problem<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> Problem {
    match answer {
        Err(ClientError::Problem(problem)) => *problem,
        other => panic!("a problem expected, not {other:?}"),
    }
}

fn launch(agent: &str) -> LaunchRequest {
    LaunchRequest {
        agent: agent.into(),
        task: None,
        command: vec!["make".into()],
    }
}

fn policy(text: &str) -> PolicyRequest {
    let source = PolicySource {
        name: "p.toml".into(),
        text: text.into(),
        includes: Vec::new(),
    };
    PolicyRequest {
        policies: vec![source],
        ..PolicyRequest::default()
    }
}

/// Sends text as it is and gives all that comes back until the server ends the connection.
async fn raw(scene: &Scene, request: &str) -> String {
    let mut stream = UnixStream::connect(scene.folder.socket())
        .await
        .expect("a connection");
    stream.write_all(request.as_bytes()).await.expect("room");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(line: &str, body: &str) -> String {
    format!(
        "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn an_admin_is_answered_on_every_route() {
    let scene = Scene::of(ADMIN);
    let client = &scene.client;
    assert_eq!(
        client.status().await.expect("status").state,
        State::Enforcing
    );
    assert_eq!(
        client.posture().await.expect("posture").canary.detail,
        "latest"
    );
    assert_eq!(client.canary().await.expect("canary").canary.detail, "anew");
    assert_eq!(client.sessions().await.expect("sessions").len(), 1);
    assert_eq!(
        client
            .session(SessionId(0xab))
            .await
            .expect("session")
            .session
            .id,
        SessionId(0xab)
    );
    assert_eq!(
        client.launch(&launch("ci")).await.expect("launch").session,
        SessionId(u64::from(std::process::id()))
    );
    assert_eq!(client.plan(&policy("x")).await.expect("plan").generation, 1);
    assert_eq!(
        client.apply(&policy("x")).await.expect("apply").generation,
        1
    );
    assert_eq!(
        client.policies().await.expect("policies"),
        [service::facts("ci")]
    );
    for agent in ["ci", "plan", "a/b ü"] {
        assert_eq!(client.policy(agent).await.expect(agent).facts.agent, agent);
    }
}

#[tokio::test]
async fn what_is_not_there_and_what_is_at_odds_is_told_by_code() {
    let scene = Scene::of(ADMIN);
    let client = &scene.client;
    assert_eq!(
        problem(client.session(SessionId(0)).await).code,
        ErrorCode::NotFound
    );
    assert_eq!(
        problem(client.policy("absent").await).hint.as_deref(),
        Some("enforcer policy list")
    );
    let expecting = PolicyRequest {
        expected_generation: Some(3),
        ..policy("x")
    };
    assert_eq!(
        problem(client.apply(&expecting).await).code,
        ErrorCode::Conflict
    );
    let invalid = problem(client.apply(&policy("bad")).await);
    assert_eq!(
        (invalid.code, invalid.diagnostics.len()),
        (ErrorCode::PolicyInvalid, 1)
    );
    assert_eq!(invalid.diagnostics[0].file, "p.toml");
}

#[tokio::test]
async fn a_viewer_reads_and_changes_nothing() {
    let scene = Scene::of(VIEWER);
    let client = &scene.client;
    assert!(client.status().await.is_ok());
    assert!(client.policy("plan").await.is_ok());
    assert!(client.log(&LogQuery::default()).await.is_ok());
    for refused in [
        problem(client.canary().await),
        problem(client.plan(&policy("x")).await),
        problem(client.apply(&policy("x")).await),
        problem(client.launch(&launch("ci")).await),
    ] {
        assert_eq!(refused.code, ErrorCode::Denied, "{refused}");
    }
}

#[tokio::test]
async fn a_stranger_may_only_launch_what_the_daemon_lets_it() {
    let scene = Scene::of(NOBODY);
    let client = &scene.client;
    for refused in [
        problem(client.status().await),
        problem(client.posture().await),
        problem(client.canary().await),
        problem(client.sessions().await),
        problem(client.session(SessionId(1)).await),
        problem(client.policies().await),
        problem(client.policy("ci").await),
        problem(client.policy("apply").await),
        problem(client.plan(&policy("x")).await),
        problem(client.apply(&policy("x")).await),
        problem(client.log(&LogQuery::default()).await.map(|_| ())),
        problem(client.launch(&launch("ci")).await),
    ] {
        assert_eq!(refused.code, ErrorCode::Denied, "{refused}");
    }
    assert!(client.launch(&launch("open")).await.is_ok());
}

#[tokio::test]
async fn inside_a_session_everything_is_refused_even_to_root() {
    let scene = Scene::with(ADMIN, Fake::default());
    scene.fake.inside.store(true, Ordering::Relaxed);
    for line in [
        "GET /v1/status",
        "POST /v1/sessions",
        "POST /v1/policy/apply",
        "GET /nothing",
        "PUT /v1/log",
    ] {
        let answer = raw(&scene, &request(line, "{}")).await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{line}: {answer}");
        assert!(
            answer.contains("\"error\":\"inside-session\""),
            "{line}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_connection_from_before_the_session_is_of_no_use_in_it() {
    let scene = Scene::of(ADMIN);
    let mut stream = UnixStream::connect(scene.folder.socket())
        .await
        .expect("a connection");
    for (inside, status) in [(false, "200"), (true, "403")] {
        scene.fake.inside.store(inside, Ordering::Relaxed);
        stream
            .write_all(b"GET /v1/status HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .expect("room");
        let mut buffer = vec![0; 4096];
        let count = stream.read(&mut buffer).await.expect("an answer");
        let answer = String::from_utf8_lossy(&buffer[..count]).into_owned();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn requests_that_are_none_are_refused_in_json() {
    let scene = Scene::of(ADMIN);
    for (line, body, status, code) in [
        ("GET /", "", 404, "not-found"),
        ("GET /v2/status", "", 404, "not-found"),
        ("DELETE /v1/status", "", 405, "method-not-allowed"),
        ("GET /v1/sessions/12", "", 400, "bad-request"),
        ("POST /v1/sessions", "", 400, "bad-request"),
        (
            "POST /v1/sessions",
            "{\"agent\":\"a\",\"uid\":0}",
            400,
            "bad-request",
        ),
        (
            "POST /v1/policy/apply",
            "{\"policies\":[{\"name\":1}]}",
            400,
            "bad-request",
        ),
        ("POST /v1/policy/apply", "\u{0}\u{1}", 400, "bad-request"),
        ("GET /v1/log?agnet=a", "", 400, "bad-request"),
        ("GET /v1/log?tail=x", "", 400, "bad-request"),
        ("GET /v1/log?verdict=maybe", "", 400, "bad-request"),
    ] {
        let answer = raw(&scene, &request(line, body)).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{line}: {answer}"
        );
        assert!(
            answer.contains(&format!("\"error\":\"{code}\"")),
            "{line}: {answer}"
        );
    }
    assert!(
        raw(&scene, "nonsense\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 400 ")
    );
    assert!(scene.client.status().await.is_ok());
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_read() {
    let scene = Scene::of(ADMIN);
    let line = "POST /v1/policy/apply HTTP/1.1\r\nhost: x\r\nconnection: close\r\n";
    let answer = raw(
        &scene,
        &format!("{line}content-length: {}\r\n\r\n", MAX_POLICY_BODY + 1),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let chunk = "x".repeat(1 << 20);
    let mut chunked = format!("{line}transfer-encoding: chunked\r\n\r\n");
    for _ in 0..=(MAX_POLICY_BODY >> 20) {
        chunked.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
    }
    let mut stream = UnixStream::connect(scene.folder.socket())
        .await
        .expect("a connection");
    // The server may answer and close before all is sent.
    let _ = stream.write_all(chunked.as_bytes()).await;
    let mut answer = vec![0; 12];
    if stream.read_exact(&mut answer).await.is_ok() {
        assert_eq!(answer, b"HTTP/1.1 413");
    }
    let head = format!(
        "GET /v1/status HTTP/1.1\r\nhost: {}\r\n\r\n",
        "x".repeat(1 << 17)
    );
    assert!(raw(&scene, &head).await.starts_with("HTTP/1.1 431 "));
    assert!(scene.client.status().await.is_ok());
}

#[tokio::test]
async fn the_log_comes_line_by_line_and_goes_on() {
    let scene = Scene::of(VIEWER);
    let filter = Filter {
        agent: Some("a&b=c".into()),
        ..Filter::default()
    };
    let query = LogQuery {
        filter,
        tail: Some(2),
        follow: true,
    };
    let mut lines = scene.client.log(&query).await.expect("a stream");
    assert_eq!(*scene.fake.query.lock().expect("no panic"), query);
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.extend(lines.next().await.expect("a line"));
    }
    let sender = scene
        .fake
        .lines
        .lock()
        .expect("no panic")
        .take()
        .expect("a stream is open");
    sender.send("{\"a\":3}".to_owned()).await.expect("a reader");
    seen.extend(lines.next().await.expect("a line"));
    assert_eq!(seen, ["{\"a\":1}", "{\"a\":2}", "{\"a\":3}"]);
    drop(sender);
    assert_eq!(lines.next().await.expect("the end"), None);
}

#[tokio::test]
async fn a_reader_that_leaves_ends_its_stream() {
    let scene = Scene::of(VIEWER);
    let query = LogQuery {
        follow: true,
        ..LogQuery::default()
    };
    drop(scene.client.log(&query).await.expect("a stream"));
    let sender = scene
        .fake
        .lines
        .lock()
        .expect("no panic")
        .take()
        .expect("a stream is open");
    sender.closed().await;
}
