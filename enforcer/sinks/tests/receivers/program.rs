//! A receiver's program: found, started, stopped.

use std::{
    env, fs,
    fs::OpenOptions,
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

/// Names the folder that receivers are looked for below.
const FOLDER: &str = "ENFORCER_RECEIVERS";
/// A program gets so long to end in order.
const ENDS_IN: Duration = Duration::from_secs(20);

#[derive(Clone, Debug)]
pub struct Program {
    pub path: PathBuf,
    /// Files below the folder, where it was found there: its libraries and modules are among them.
    beside: Vec<PathBuf>,
}

/// Looks for a program below the folder and on PATH.
pub fn find(name: &str) -> Option<Program> {
    if let Some(folder) = env::var_os(FOLDER) {
        let mut beside = Vec::new();
        walk(Path::new(&folder), 8, &mut beside);
        let is_it = |path: &&PathBuf| {
            path.file_name().is_some_and(|found| found == name)
                && fs::metadata(path)
                    .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
                && is_program(path)
        };
        if let Some(path) = beside.iter().find(is_it).cloned() {
            return Some(Program { path, beside });
        }
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/lib/systemd", "/usr/lib/systemd"].map(PathBuf::from);
    env::split_paths(&path)
        .chain(more)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file() && is_program(path))
        .map(|path| Program {
            path,
            beside: Vec::new(),
        })
}

/// Not a script of that name, as `/etc/init.d` has.
fn is_program(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"\x7fELF"))
}

fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth > 0 => walk(&path, depth - 1, found),
            Ok(kind) if !kind.is_dir() => found.push(path),
            _ => {}
        }
    }
}

impl Program {
    /// The folder with this file, where the program was not installed.
    pub fn folder_with(&self, name: &str) -> Option<PathBuf> {
        self.beside
            .iter()
            .find(|path| path.file_name().is_some_and(|found| found == name))
            .and_then(|path| path.parent())
            .map(Path::to_owned)
    }

    /// The program, with the libraries that lie beside it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        let mut folders: Vec<&Path> = self
            .beside
            .iter()
            .filter(|path| path.to_string_lossy().contains(".so."))
            .filter_map(|path| path.parent())
            .collect();
        folders.sort_unstable();
        folders.dedup();
        if let Ok(paths) = env::join_paths(folders)
            && !paths.is_empty()
        {
            command.env("LD_LIBRARY_PATH", paths);
        }
        command
    }
}

/// A port that nobody has now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

/// A receiver that can be started again.
pub struct Running {
    command: Box<dyn Fn() -> Command>,
    port: Option<u16>,
    output: PathBuf,
    child: Option<Child>,
}

impl Running {
    pub fn new(folder: &Path, port: u16, command: impl Fn() -> Command + 'static) -> Self {
        let mut running = Self::without_port(folder, command);
        running.port = Some(port);
        running
    }

    pub fn without_port(folder: &Path, command: impl Fn() -> Command + 'static) -> Self {
        Self {
            command: Box::new(command),
            port: None,
            output: folder.join("output"),
            child: None,
        }
    }

    /// What it wrote, of all its lives.
    pub fn output(&self) -> &Path {
        &self.output
    }

    pub fn said(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("running").id()
    }

    /// Starts it, and waits until it listens.
    pub fn start(&mut self) {
        let output = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.output)
            .expect("a file for its output");
        let child = (self.command)()
            .stdin(std::process::Stdio::null())
            .stderr(output.try_clone().expect("a second descriptor"))
            .stdout(output)
            .spawn()
            .expect("started");
        self.child = Some(child);
        let Some(port) = self.port else {
            return;
        };
        let end = Instant::now() + ENDS_IN;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = self.child.as_mut().expect("running").try_wait();
            let is_running = matches!(ended, Ok(None)) && Instant::now() < end;
            assert!(is_running, "it does not listen: {}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it as systemd would: asked, and killed if it does not.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let id = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("asked to end");
        let end = Instant::now() + ENDS_IN;
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() > end {
                child.kill().expect("killed");
                child.wait().expect("ended");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}
