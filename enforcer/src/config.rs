//! Where the daemon keeps what.
#![forbid(unsafe_code)]

use std::path::PathBuf;

use crate::record::Keep;

/// Folder of the administrator's own files.
pub const CONFIG_DIR: &str = "/etc/enforcer";
/// Folder of what outlives a reboot: the policies that were accepted.
pub const STATE_DIR: &str = "/var/lib/enforcer";
/// Folder of the audit log.
pub const LOG_DIR: &str = "/var/log/enforcer";
/// Folder of the shipper's cursors.
pub const SHIP_STATE_DIR: &str = "/var/lib/enforcer-ship";
/// The shipper's configuration.
pub const SHIP_CONFIG: &str = "/etc/enforcer/ship.toml";
/// Folder of what lives as long as the boot.
pub const RUN_DIR: &str = "/run/enforcer";
/// The control socket, in [`RUN_DIR`].
pub const SOCKET: &str = "/run/enforcer/control.sock";
/// Folder in bpffs of the pinned programs, links and maps. No dots in names: bpffs refuses them.
pub const PIN_DIR: &str = "/sys/fs/bpf/enforcer";

/// Places of one daemon. Two daemons of one host must differ in none: the lock beside the socket
/// lets only one live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonConfig {
    /// Folder of the administrator's files; default [`CONFIG_DIR`].
    pub config_dir: PathBuf,
    /// Folder of persistent state; default [`STATE_DIR`].
    pub state_dir: PathBuf,
    /// Folder of the audit log; default [`LOG_DIR`].
    pub log_dir: PathBuf,
    /// Path of the control socket; default [`SOCKET`].
    pub socket: PathBuf,
    /// Folder of pins in a mounted bpffs; default [`PIN_DIR`].
    pub pin_dir: PathBuf,
    /// How long the log is kept; for ever by default.
    pub keep: Keep,
}

impl Default for DaemonConfig {
    fn default() -> Self {
        Self {
            config_dir: CONFIG_DIR.into(),
            state_dir: STATE_DIR.into(),
            log_dir: LOG_DIR.into(),
            socket: SOCKET.into(),
            pin_dir: PIN_DIR.into(),
            keep: Keep::default(),
        }
    }
}

impl DaemonConfig {
    /// Folder whose `*.toml` are the policies that the daemon begins with.
    #[must_use]
    pub fn policy_dir(&self) -> PathBuf {
        self.config_dir.join("policies")
    }

    /// Folder of what lives as long as the boot: where the control socket is.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.socket.parent().map(PathBuf::from).unwrap_or_default()
    }

    /// Where the sessions of this boot are kept.
    #[must_use]
    pub fn sessions_file(&self) -> PathBuf {
        self.run_dir().join("sessions.json")
    }

    /// Where it is kept up to which loss the log has been told.
    #[must_use]
    pub fn accounted_file(&self) -> PathBuf {
        self.run_dir().join("accounted.json")
    }

    /// Folder of what the numbers of each generation mean.
    #[must_use]
    pub fn names_dir(&self) -> PathBuf {
        self.run_dir().join("generations")
    }
}
