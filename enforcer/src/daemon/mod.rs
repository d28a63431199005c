//! The daemon: from start to "enforcing", and on until it is told to stop.
//!
//! ```text
//! host checks -> control socket (one daemon) -> programs attached or taken over
//!   -> what earlier daemons left -> policies in force -> pump (events to records)
//!   -> canary -> "enforcing" -> requests
//! ```
//!
//! - Whatever fails on the way is a refusal with its reason; what was enforced before stays enforced.
//! - Stopping opens nothing: programs, labels and policies stay in the kernel, events wait in the ring.

#![forbid(unsafe_code)]

mod accounted;
mod canary;
mod core;
mod digests;
mod enrol;
mod guarded;
mod launch;
mod libraries;
mod names;
mod places;
mod policies;
mod posture;
mod pump;
mod service;
mod spares;
mod store;
mod uninstall;
mod watch;
mod watched;

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use tokio::signal::unix::{SignalKind, signal};

use self::{
    core::Core, guarded::Guards, libraries::Libraries, names::Names, policies::Policies,
    pump::Pump, service::Control,
};
use crate::{
    clock,
    config::DaemonConfig,
    control::{
        api::Canary,
        listen::{ControlSocket, ListenError},
        server::serve,
    },
    journal,
    kernel::{
        enrolment::EnrolmentMaps,
        learn::Learner,
        load::{Opened, Pins},
        tables::PolicyMaps,
    },
    posture::{BPFFS, Check, CheckState, Host, OLDEST_KERNEL, Refused, reentry},
    record::{
        Log, Opening,
        log::SEGMENT_BYTES,
        ocsf::{self, DaemonChange, Lifecycle, Recorder},
    },
};

pub use canary::{inside as canary_inside, outside as canary_outside};
pub use policies::CANARY;
pub use posture::OPEN;

/// Why a daemon has ended that had started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was told to stop; what is enforced stays enforced.
    Stopped,
    /// Enforcement was removed.
    Uninstalled,
}

/// Runs the daemon until SIGTERM, SIGINT or the removal of enforcement.
///
/// # Errors
/// Why it could not start. Once it enforces it does not end by itself.
pub fn run(config: DaemonConfig) -> Result<End> {
    journal::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run_until_told(config))
}

async fn run_until_told(config: DaemonConfig) -> Result<End> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let kernel = Host::read();
    kernel.can_enforce()?;
    refuse_unless(reentry())?;
    mount_bpffs()?;
    // The socket comes first: it is the lock that keeps a second daemon out.
    let socket = ControlSocket::bind(&config.socket)?;
    let stop = Arc::new(AtomicBool::new(false));
    let _pins = lock_pins(&config.pin_dir)?;
    let core = start(config, kernel.version().unwrap_or(OLDEST_KERNEL))?;
    let writer = start_pump(&core, stop.clone())?;
    let service = Arc::new(Control(core.clone()));
    let stopping = core.clone();
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = stopping.ended() => {}
        }
        stopping.stop();
        if !stopping.is_removed() {
            tracing::info!("stopping; what is enforced stays enforced");
        }
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    };
    let bird = core.clone();
    let canary = tokio::task::spawn_blocking(move || first_canary(&bird));
    serve(socket, service, shutdown).await;
    let _ = canary.await; // it has said what it found
    tell_lifecycle(&core, Lifecycle::Stop);
    stop.store(true, Ordering::Release);
    let _ = tokio::task::spawn_blocking(move || writer.join()).await;
    Ok(if core.is_removed() {
        End::Uninstalled
    } else {
        End::Stopped
    })
}

/// Takes the kernel's objects for this daemon alone. The lock beside the socket does not do that for
/// a daemon with another socket, which would read the same rings and put other policies in force.
fn lock_pins(folder: &Path) -> Result<File> {
    let cannot = || format!("cannot lock {}", folder.display());
    store::make_folder(folder, 0o700).with_context(cannot)?;
    let handle = File::open(folder).with_context(cannot)?;
    match handle.try_lock() {
        Ok(()) => Ok(handle),
        Err(TryLockError::WouldBlock) => Err(ListenError::AnotherDaemon {
            path: folder.to_owned(),
            pid: None,
        }
        .into()),
        Err(TryLockError::Error(error)) => Err(error).with_context(cannot),
    }
}

fn refuse_unless(check: Check) -> Result<(), Refused> {
    match check.state {
        CheckState::Ok | CheckState::Open => Ok(()),
        CheckState::Failed => Err(Refused {
            checks: vec![check],
        }),
    }
}

fn start(config: DaemonConfig, kernel: (u32, u32)) -> Result<Arc<Core>> {
    store::make_folder(&config.state_dir, 0o700)
        .with_context(|| config.state_dir.display().to_string())?;
    // A folder that is not there cannot be guarded, and a session of root's could make it.
    for (folder, mode) in [(&config.config_dir, 0o755), (&config.log_dir, 0o700)] {
        if let Err(error) = store::make_folder(folder, mode) {
            tracing::warn!(%error, "{} is not guarded: it is not there", folder.display());
        }
    }
    let (pins, opened) = Pins::open(&config.pin_dir, kernel)?;
    tracing::info!(
        "{}",
        match opened {
            Opened::Fresh => "kernel programs attached",
            Opened::TakenOver => "kernel programs of an earlier daemon taken over",
            Opened::Upgraded => "kernel programs replaced by newer ones",
        }
    );
    let learner = Arc::new(Learner::new(pins.map("LEARN")?)?);
    let libraries = Libraries::learn(&pins, learner.clone())?;
    let names = Names::open(&config.names_dir()).context("names of earlier generations")?;
    let maps = PolicyMaps::open(&pins)?;
    let guards = Guards::open(&pins, learner.clone())?;
    let enrolment = EnrolmentMaps::open(&pins)?;
    let mut policies = Policies::open(
        maps,
        guards,
        enrolment,
        learner.clone(),
        &config,
        names.newest(),
    )
    .context("what earlier daemons left")?;
    let canary = canary::tables(&learner).context("the canary's policy")?;
    policies.set_canary(&canary)?;
    let host = this_host().context("this host's names")?;
    let core = Core::new(config, host, (pins, opened), learner, policies, names)
        .context("sessions of earlier daemons")?;
    begin(&core).context("the policies to begin with")?;
    let core = Arc::new(core);
    let policies = core
        .policies()
        .agents()
        .map(|(_, agent)| agent.policy().clone())
        .collect();
    digests::read(&core, policies);
    watch::start(&core, libraries).context("the watch for changed files")?;
    Ok(core)
}

fn begin(core: &Core) -> Result<()> {
    let mut policies = core.policies();
    policies
        .guard_own(&core.config)
        .context("the enforcer's own files")?;
    let mut rejected = Vec::new();
    let applied = policies.begin(
        &core.config.policy_dir(),
        &core.busy_agents(),
        &|generation, agents| core.names().add(generation, agents),
        &mut rejected,
    )?;
    core.post_rejected(rejected, &core::by_daemon());
    core.post_applied(applied, policies.generation(), &core::by_daemon());
    core.note_policies(&policies);
    Ok(())
}

/// What the log's end was like, for the administrator. All of it is in the log too.
fn tell_of(opening: &Opening) {
    let Opening {
        torn,
        found,
        first_key,
    } = opening;
    if let Some(torn) = torn {
        tracing::warn!(segment = %torn.segment.display(), aside = %torn.set_aside.display(), "a torn last line was set aside");
    }
    if let Some(key) = first_key {
        tracing::info!(key, "a new log begins: keep its verifier key off this host");
    }
    if found.adopted > 0 {
        tracing::warn!(
            records = found.adopted,
            "the log's last records were not signed when the last daemon ended"
        );
    }
    if found.missing > 0 {
        tracing::error!(
            records = found.missing,
            "the log is shorter than what was signed: it was cut, or the disk lost its end"
        );
    }
    if found.key_lost {
        tracing::error!("the log's key is gone: nothing vouches for the new one but you");
    }
    if found.head_lost {
        tracing::error!("the log's newest signature is gone");
    }
}

fn start_pump(core: &Arc<Core>, stop: Arc<AtomicBool>) -> Result<thread::JoinHandle<()>> {
    let (log, opening) = Log::open(&core.config.log_dir, &core.host, SEGMENT_BYTES)?;
    tell_of(&opening);
    let recorder = Recorder::new(core.host.clone());
    let pump = Pump::new(core.clone(), &core.pins, log, recorder)?;
    thread::Builder::new()
        .name("pump".to_owned())
        .spawn(move || pump.run(&stop))
        .context("the thread that writes records")
}

fn first_canary(core: &Arc<Core>) {
    let canary: Canary = canary::run(core);
    if canary.passed {
        tracing::info!("enforcing: {}", canary.detail);
    } else {
        tracing::error!("not enforcing: {}", canary.detail);
    }
    core.set_standing(canary);
    tell_lifecycle(core, Lifecycle::Start);
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
}

fn tell_lifecycle(core: &Core, lifecycle: Lifecycle) {
    core.post(ocsf::daemon(&core.host, &daemon_change(core, lifecycle)));
}

/// What the daemon does, and what the kernel enforces now.
fn daemon_change(core: &Core, lifecycle: Lifecycle) -> DaemonChange {
    let standing = core.standing();
    let facts = posture::posture(core)
        .checks
        .into_iter()
        .map(|check| {
            let state = match check.state {
                CheckState::Ok => "ok",
                CheckState::Open => "open",
                CheckState::Failed => "failed",
            };
            (check.name, format!("{state}: {}", check.detail))
        })
        .collect();
    let attached = core.pins.attached().into_iter();
    DaemonChange {
        time_ns: clock::boot_ns(),
        lifecycle,
        pid: std::process::id(),
        start_ns: clock::boot_ns(),
        uid: nix::unistd::geteuid().as_raw(),
        enforcing: standing.canary.passed && !core.is_removed(),
        programs: attached.map(str::to_owned).collect(),
        posture: facts,
        removal: None,
    }
}

fn mount_bpffs() -> Result<()> {
    let mounted = Host::read()
        .checks()
        .iter()
        .any(|check| check.name == "bpffs" && check.state == CheckState::Ok);
    if mounted {
        return Ok(());
    }
    tracing::info!("mounting bpffs at {BPFFS}");
    mount(
        Some("bpf"),
        BPFFS,
        Some("bpf"),
        MsFlags::empty(),
        Some("mode=700"),
    )
    .with_context(|| format!("mounting bpffs at {BPFFS}"))
}

fn this_host() -> io::Result<ocsf::Host> {
    let line =
        |path: &str| fs::read_to_string(PathBuf::from(path)).map(|text| text.trim().to_owned());
    Ok(ocsf::Host {
        hostname: line("/proc/sys/kernel/hostname")?,
        machine_id: line("/etc/machine-id").ok().filter(|id| !id.is_empty()),
        boot_id: line("/proc/sys/kernel/random/boot_id")?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_to_wall_ns: clock::boot_to_wall_ns(),
    })
}
