//! `vm`: boots a test VM, runs one command in it and brings back its output and exit status.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitCode, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use clap::Args;

use crate::kernel::Series;
use crate::qemu::{self, Share};
use crate::setup::{self, Guest};
use crate::stage::Stage;
use crate::stamp::remove;
use crate::terminal::Terminal;
use crate::{build, workspace};

/// A list of our own, ended by the one that is tested; Debian's has apparmor, tomoyo and others too.
pub const DEFAULT_LSM: &str = "lockdown,capability,landlock,yama,bpf";
/// How many finished runs are kept to look at.
const RUNS_KEPT: usize = 40;
/// How long a guest whose command has ended may take to power off.
const POWER_OFF: Duration = Duration::from_secs(20);

/// How to boot, and what to run.
#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// The kernel series
    #[arg(long, value_enum, default_value = "6.12")]
    pub kernel: Series,
    /// The security modules to boot with
    #[arg(long, value_name = "LIST", default_value = DEFAULT_LSM)]
    pub lsm: String,
    /// More of the kernel's command line
    #[arg(long, value_name = "PARAMETERS", allow_hyphen_values = true)]
    pub append: Vec<String>,
    /// Start no daemon
    #[arg(long)]
    pub no_daemon: bool,
    /// Leave /sys/fs/bpf unmounted
    #[arg(long, conflicts_with = "systemd")]
    pub no_bpffs: bool,
    /// Boot with systemd as process 1
    #[arg(long)]
    pub systemd: bool,
    /// Open an interactive shell instead of running a command
    #[arg(long, conflicts_with = "command")]
    pub shell: bool,
    /// End the VM after this long; by default 300, and never with --shell
    #[arg(long, value_name = "SECONDS")]
    pub time_limit: Option<u64>,
    /// Count instructions instead of time, on one processor
    #[arg(long)]
    pub icount: bool,
    /// The command, run in the workspace's directory
    #[arg(last = true, required_unless_present = "shell", value_name = "CMD")]
    pub command: Vec<String>,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            kernel: Series::V6_12,
            lsm: DEFAULT_LSM.to_owned(),
            append: Vec::new(),
            no_daemon: false,
            no_bpffs: false,
            systemd: false,
            shell: false,
            time_limit: None,
            icount: false,
            command: Vec::new(),
        }
    }
}

/// How a VM ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The command ended with this status.
    Exit(u8),
    /// The time limit passed first.
    TimedOut,
    /// The VM ended before its command did: most often a kernel panic.
    Died,
}

/// What is left of a run.
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// The console's log.
    pub console: PathBuf,
    /// What the guest wrote to `/results`.
    pub results: PathBuf,
}

/// Boots, streams to standard output, and gives the command's exit status.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let enforcer = build::product(false)?;
    let outcome = boot(
        &arguments,
        Some(&enforcer),
        &[],
        Box::new(std::io::stdout()),
    )?;
    Ok(exit_code(&outcome))
}

/// The command's own exit status, or one that `timeout` and `env` use when there is none; then the console is named.
pub fn exit_code(outcome: &Outcome) -> ExitCode {
    let console = outcome.console.display();
    match outcome.end {
        End::Exit(status) => ExitCode::from(status),
        End::TimedOut => {
            eprintln!("vm: ended on its time limit; console: {console}");
            ExitCode::from(124)
        }
        End::Died => {
            eprintln!(
                "vm: died before the command ended; console, whose last lines are above: {console}"
            );
            ExitCode::from(125)
        }
    }
}

/// Boots one VM with `enforcer` installed and with `files` (host's file, place under the guest's root) laid over its
/// root, and stays until it has ended. The command's output goes to `sink`.
pub fn boot(
    arguments: &Arguments,
    enforcer: Option<&Path>,
    files: &[(PathBuf, String)],
    sink: Box<dyn Write + Send>,
) -> Result<Outcome> {
    let guest = setup::guest(arguments.kernel)?;
    let run = new_run(arguments.kernel)?;
    let stage = stage(arguments, enforcer, files, &run)?;
    let (console, results) = (run.join("console.log"), run.join("results"));
    fs::create_dir(&results)?;
    announce(&guest, &console);

    let modules = guest.kernel.modules();
    let shares = [
        Share {
            tag: "host",
            directory: Path::new("/"),
            writable: false,
        },
        Share {
            tag: "vm",
            directory: stage.path(),
            writable: false,
        },
        Share {
            tag: "modules",
            directory: &modules,
            writable: false,
        },
        Share {
            tag: "results",
            directory: &results,
            writable: true,
        },
    ];
    let machine = qemu::Machine {
        guest: &guest,
        parameters: &parameters(arguments),
        icount: arguments.icount,
        shares: &shares,
        console: &console,
    };
    let end = attend(&machine, arguments, &run, sink)?;
    remove(stage.path())?;
    if end == End::Died {
        show_last_lines(&console);
    }
    Ok(Outcome {
        end,
        console,
        results,
    })
}

fn announce(guest: &Guest, console: &Path) {
    let how = if qemu::has_hardware() {
        "on KVM"
    } else {
        "emulated"
    };
    let root = workspace::root();
    let console = console.strip_prefix(&root).unwrap_or(console);
    eprintln!(
        "vm: Linux {} {how}, console in {}",
        guest.kernel.release(),
        console.display()
    );
}

fn parameters(arguments: &Arguments) -> String {
    let mut parameters = format!("lsm={}", arguments.lsm);
    if arguments.systemd {
        parameters += " systemd.show_status=0";
    }
    for more in &arguments.append {
        parameters += " ";
        parameters += more;
    }
    parameters
}

fn stage(
    arguments: &Arguments,
    enforcer: Option<&Path>,
    files: &[(PathBuf, String)],
    run: &Path,
) -> Result<Stage> {
    let stage = Stage::new(run.join("stage"))?;
    if let Some(enforcer) = enforcer {
        stage.install_product(enforcer)?;
    }
    for (file, place) in files {
        stage.install(file, place)?;
    }
    let workspace = workspace::root().display().to_string();
    let (rows, columns) = Terminal::size();
    let yes = |wanted: bool| if wanted { "yes" } else { "no" };
    stage.set(&[
        ("WORKSPACE", &workspace),
        ("SYSTEMD", yes(arguments.systemd)),
        ("BPFFS", yes(!arguments.no_bpffs)),
        ("DAEMON_WANTED", yes(!arguments.no_daemon)),
        ("SHELL_WANTED", yes(arguments.shell)),
        ("HOST_TERM", &std::env::var("TERM").unwrap_or_default()),
        ("ROWS", &rows),
        ("COLUMNS", &columns),
    ])?;
    stage.set_command(&arguments.command)?;
    Ok(stage)
}

/// A new directory for one run, and the oldest beyond `RUNS_KEPT` gone.
fn new_run(series: Series) -> Result<PathBuf> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let runs = workspace::vm().join("runs");
    fs::create_dir_all(&runs)?;
    let mut present: Vec<_> = fs::read_dir(&runs)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    present.sort();
    for old in present.iter().rev().skip(RUNS_KEPT) {
        remove(old)?;
    }
    let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let run = runs.join(format!("{time}-{}-{number}-{series}", std::process::id()));
    fs::create_dir(&run).with_context(|| format!("cannot make {}", run.display()))?;
    Ok(run)
}

/// Starts the emulator, moves the bytes and waits for the end.
fn attend(
    machine: &qemu::Machine<'_>,
    arguments: &Arguments,
    run: &Path,
    sink: Box<dyn Write + Send>,
) -> Result<End> {
    let (output, output_of_guest) = UnixStream::pair()?;
    let (terminal, terminal_of_guest) = UnixStream::pair()?;
    let mut qemu = qemu::emulator(machine);
    qemu.stdin(Stdio::from(std::os::fd::OwnedFd::from(output_of_guest)));
    qemu.stdout(Stdio::from(std::os::fd::OwnedFd::from(terminal_of_guest)));
    let said = run.join("qemu.log");
    qemu.stderr(fs::File::create(&said)?);
    let mut child = qemu.spawn().context("cannot start the emulator")?;
    // The guest's ends of the sockets must live in the emulator only, or their closing would not be seen.
    drop(qemu);

    let printer = print(output, sink);
    let interactive = arguments
        .shell
        .then(|| Terminal::connect(terminal.try_clone()?))
        .transpose()?;
    let timed_out = !await_end(
        &mut child,
        deadline(arguments),
        &run.join("results/exit-status"),
    )?;
    drop(interactive);
    printer.join().expect("the printer does not panic")?;
    let words = fs::read_to_string(&said)?;
    if !words.trim().is_empty() {
        eprintln!("vm: the emulator said: {}", words.trim_end());
    }
    if timed_out {
        return Ok(End::TimedOut);
    }
    let status = fs::read_to_string(run.join("results/exit-status"))
        .ok()
        .and_then(|status| status.trim().parse().ok());
    Ok(status.map_or(End::Died, End::Exit))
}

fn deadline(arguments: &Arguments) -> Option<Instant> {
    let limit = arguments
        .time_limit
        .or_else(|| (!arguments.shell).then_some(300))?;
    Some(Instant::now() + Duration::from_secs(limit))
}

fn print(mut from: UnixStream, mut sink: Box<dyn Write + Send>) -> JoinHandle<std::io::Result<()>> {
    thread::spawn(move || {
        let mut buffer = [0; 16384];
        loop {
            let length = std::io::Read::read(&mut from, &mut buffer)?;
            if length == 0 {
                return Ok(());
            }
            sink.write_all(&buffer[..length])?;
            sink.flush()?;
        }
    })
}

/// Waits for the emulator to end by itself; false when it had to be ended at the deadline.
fn await_end(child: &mut Child, deadline: Option<Instant>, status: &Path) -> Result<bool> {
    let mut command_ended: Option<Instant> = None;
    while child.try_wait()?.is_none() {
        if command_ended.is_none() && fs::metadata(status).is_ok_and(|metadata| metadata.len() > 0)
        {
            command_ended = Some(Instant::now());
        }
        if command_ended.is_some_and(|since| since.elapsed() > POWER_OFF) {
            eprintln!("vm: the guest does not power off; ending it");
            child.kill()?;
            child.wait()?;
            return Ok(true);
        }
        if command_ended.is_none() && deadline.is_some_and(|deadline| Instant::now() > deadline) {
            child.kill()?;
            child.wait()?;
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(true)
}

/// Shows why: from where the kernel says that it gives up, else the last lines.
fn show_last_lines(console: &Path) {
    const LAST: usize = 30;
    const CAUSES: [&str; 4] = ["Kernel panic", "BUG:", "Oops:", "initramfs:"];
    let log = fs::read(console).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<_> = log.lines().collect();
    let is_cause = |line: &&str| CAUSES.iter().any(|cause| line.contains(cause));
    let cause = lines.iter().position(is_cause);
    let start = cause.unwrap_or(lines.len().saturating_sub(LAST));
    for line in lines[start..].iter().take(2 * LAST) {
        eprintln!("  {line}");
    }
}
