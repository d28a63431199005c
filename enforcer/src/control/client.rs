//! The control interface from the other side, as the command line uses it.
#![forbid(unsafe_code)]

use std::{
    future::Future,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::UnixStream;

use super::{
    api::{
        LaunchRequest, Launched, LogQuery, PolicyDetail, PolicyFacts, PolicyOutcome, PolicyRequest,
        Posture, Problem, Removal, Removed, Session, SessionDetail, SessionId, Status,
    },
    lines::percent_encode,
};

/// How long the daemon may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// How long it may take over policies: it reads and hashes every executable they name.
const POLICY_TIME: Duration = Duration::from_secs(600);

/// Why a request got no answer of the kind asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no socket, or nobody answers on it.
    #[error("no enforcer daemon runs here: nothing answers on {path} ({source})")]
    NoDaemon {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The kernel refused the connection with EPERM: this process is inside a session.
    #[error("the kernel does not let this process reach {path}: it is inside a session")]
    InsideSession {
        /// The socket.
        path: PathBuf,
    },
    /// File permissions keep this user from the socket.
    #[error("this user may not reach {path}: {source}")]
    Forbidden {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Who listens is neither root nor this user: it is no daemon of this host.
    #[error("{path} belongs to a process of uid {uid}: that is no enforcer daemon")]
    Impostor {
        /// The socket.
        path: PathBuf,
        /// Uid of who listens.
        uid: u32,
    },
    /// The connection broke.
    #[error("the connection to the daemon broke: {0}")]
    Broken(#[from] hyper::Error),
    /// No answer in time.
    #[error("the daemon did not answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The answer is not of this interface.
    #[error("the daemon's answer ({status}) is not understood: {what}")]
    NotUnderstood {
        /// HTTP status.
        status: StatusCode,
        /// What is wrong with it.
        what: String,
    },
    /// The daemon says no.
    #[error("{0}")]
    Problem(Box<Problem>),
}

/// A way to the daemon; each request has its own connection.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// A client of the daemon at `socket`. Connects to nothing yet.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// `GET /v1/status`.
    ///
    /// # Errors
    /// [`ClientError`], as all requests.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get("/v1/status").await
    }

    /// `GET /v1/posture`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn posture(&self) -> Result<Posture, ClientError> {
        self.get("/v1/posture").await
    }

    /// `POST /v1/posture/canary`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn canary(&self) -> Result<Posture, ClientError> {
        within(
            ANSWER_TIME,
            self.json(Method::POST, "/v1/posture/canary", Bytes::new()),
        )
        .await
    }

    /// `GET /v1/sessions`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn sessions(&self) -> Result<Vec<Session>, ClientError> {
        self.get("/v1/sessions").await
    }

    /// `GET /v1/sessions/{id}`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn session(&self, id: SessionId) -> Result<SessionDetail, ClientError> {
        self.get(&format!("/v1/sessions/{id}")).await
    }

    /// `POST /v1/sessions`: enrols this process at its next exec.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn launch(&self, request: &LaunchRequest) -> Result<Launched, ClientError> {
        self.post("/v1/sessions", request, ANSWER_TIME).await
    }

    /// `POST /v1/policy/plan`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn plan(&self, request: &PolicyRequest) -> Result<PolicyOutcome, ClientError> {
        self.post("/v1/policy/plan", request, POLICY_TIME).await
    }

    /// `POST /v1/policy/apply`.
    ///
    /// # Errors
    /// [`ClientError`]. After a time-out the policy may have been applied.
    pub async fn apply(&self, request: &PolicyRequest) -> Result<PolicyOutcome, ClientError> {
        self.post("/v1/policy/apply", request, POLICY_TIME).await
    }

    /// `POST /v1/uninstall`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn uninstall(&self, removal: &Removal) -> Result<Removed, ClientError> {
        self.post("/v1/uninstall", removal, ANSWER_TIME).await
    }

    /// `GET /v1/policy`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn policies(&self) -> Result<Vec<PolicyFacts>, ClientError> {
        self.get("/v1/policy").await
    }

    /// `GET /v1/policy/{agent}`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn policy(&self, agent: &str) -> Result<PolicyDetail, ClientError> {
        let mut path = "/v1/policy/".to_owned();
        percent_encode(&mut path, agent);
        self.get(&path).await
    }

    /// `GET /v1/log`: records as they come.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn log(&self, query: &LogQuery) -> Result<Lines, ClientError> {
        let path = format!("/v1/log{}", query.to_query());
        let (status, body) =
            within(ANSWER_TIME, self.send(Method::GET, &path, Bytes::new())).await?;
        if status != StatusCode::OK {
            return Err(refused(status, &body.collect().await?.to_bytes()));
        }
        Ok(Lines {
            body,
            buffer: Vec::new(),
        })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        within(ANSWER_TIME, self.json(Method::GET, path, Bytes::new())).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        request: &impl Serialize,
        limit: Duration,
    ) -> Result<T, ClientError> {
        // Our own types: strings and numbers, which always have a JSON form.
        let body = serde_json::to_vec(request).map_err(|error| ClientError::NotUnderstood {
            status: StatusCode::BAD_REQUEST,
            what: format!("the request cannot be written: {error}"),
        })?;
        within(limit, self.json(Method::POST, path, body.into())).await
    }

    async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let (status, body) = self.send(method, path, body).await?;
        let bytes = body.collect().await?.to_bytes();
        if status != StatusCode::OK {
            return Err(refused(status, &bytes));
        }
        serde_json::from_slice(&bytes).map_err(|error| ClientError::NotUnderstood {
            status,
            what: error.to_string(),
        })
    }

    /// Connects, and makes sure that a daemon listens: a session of a stranger's would hold nobody.
    async fn connect(&self) -> Result<UnixStream, ClientError> {
        let failed = |error| unreachable(&self.socket, error);
        let stream = UnixStream::connect(&self.socket).await.map_err(failed)?;
        let uid = stream.peer_cred().map_err(failed)?.uid();
        if uid == 0 || uid == nix::unistd::geteuid().as_raw() {
            return Ok(stream);
        }
        Err(ClientError::Impostor {
            path: self.socket.clone(),
            uid,
        })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Incoming), ClientError> {
        let stream = self.connect().await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends by itself when the sender and the body are dropped or the daemon goes away; what
        // broke it is also what the request sees.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "enforcer")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| ClientError::NotUnderstood {
                status: StatusCode::BAD_REQUEST,
                what: error.to_string(),
            })?;
        let (head, body) = sender.send_request(request).await?.into_parts();
        Ok((head.status, body))
    }
}

async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    tokio::time::timeout(limit, answer)
        .await
        .unwrap_or(Err(ClientError::TimedOut(limit)))
}

fn unreachable(path: &Path, source: io::Error) -> ClientError {
    let path = path.to_owned();
    match source.raw_os_error() {
        Some(nix::libc::EPERM) => ClientError::InsideSession { path },
        Some(nix::libc::EACCES) => ClientError::Forbidden { path, source },
        Some(_) | None => ClientError::NoDaemon { path, source },
    }
}

fn refused(status: StatusCode, body: &[u8]) -> ClientError {
    match serde_json::from_slice(body) {
        Ok(problem) => ClientError::Problem(Box::new(problem)),
        Err(error) => ClientError::NotUnderstood {
            status,
            what: error.to_string(),
        },
    }
}

/// Lines of a streamed answer.
#[derive(Debug)]
pub struct Lines {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Lines {
    /// The next line without its newline; `None` when the daemon ended the stream.
    ///
    /// # Errors
    /// [`ClientError::Broken`] when the connection breaks before the end, a line under way included.
    pub async fn next(&mut self) -> Result<Option<String>, ClientError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
                line.pop();
                return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
            }
            match self.body.frame().await {
                Some(frame) => self.buffer.extend(frame?.into_data().unwrap_or_default()),
                None => return Ok(None),
            }
        }
    }
}
