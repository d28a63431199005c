//! Who is asking, by the kernel's account of the connection, and which roles that gives.
//!
//! | role | who |
//! |---|---|
//! | admin | uid 0, or a member of the group `enforcer-admin` |
//! | viewer | a member of the group `enforcer-viewer`, or an admin |
//! | launcher | a member of the agent's `launch.group`, or an admin; the daemon checks it, since it depends on the agent |
//!
//! Credentials and groups are those at `connect(2)`: what the peer becomes later neither adds nor
//! takes away. Whether it is inside a session is asked anew for every request.
#![forbid(unsafe_code)]

use std::{
    fs, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use nix::unistd::Group;
use tokio::net::UnixStream;

use super::peersock::{peer_groups, peer_pidfd};

/// Group whose members are admins.
pub const ADMIN_GROUP: &str = "enforcer-admin";
/// Group whose members are viewers.
pub const VIEWER_GROUP: &str = "enforcer-viewer";

/// Why a peer cannot be told. Every one refuses the connection.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The kernel did not give credentials or groups.
    #[error("the kernel does not say who connected: {0}")]
    Credentials(#[source] io::Error),
    /// The peer's process is in a pid namespace that the daemon cannot see.
    #[error("the process that connected is not visible from the daemon's pid namespace")]
    NoPid,
    /// The process ended before it could be held.
    #[error("process {pid}, which connected, is gone: {source}")]
    Gone {
        /// Its pid.
        pid: u32,
        /// What the kernel said.
        source: io::Error,
    },
    /// The pid means another process by now.
    #[error("process {pid} is not the one that connected: its uid is {found}, not {uid}")]
    Replaced {
        /// The pid.
        pid: u32,
        /// Real uid of the process that has it.
        found: u32,
        /// Uid of the peer.
        uid: u32,
    },
}

/// Roles that do not depend on an agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    /// May change policies and run canaries, and launch any agent.
    pub admin: bool,
    /// May read everything.
    pub viewer: bool,
}

impl Roles {
    /// Roles of somebody with this uid and these groups (the primary group among them).
    #[must_use]
    pub fn of(uid: u32, groups: &[u32], roles: RoleGroups) -> Self {
        let member = |group: Option<u32>| group.is_some_and(|gid| groups.contains(&gid));
        let admin = uid == 0 || member(roles.admin);
        Self {
            admin,
            viewer: admin || member(roles.viewer),
        }
    }
}

/// The role groups' ids on this host; a group that does not exist gives its role to nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoleGroups {
    /// Of [`ADMIN_GROUP`].
    pub admin: Option<u32>,
    /// Of [`VIEWER_GROUP`].
    pub viewer: Option<u32>,
}

impl RoleGroups {
    /// Looks the names up. May block for as long as the name service takes.
    ///
    /// Names become numbers here; who is a member is never asked of the name service.
    #[must_use]
    pub fn resolve() -> Self {
        Self {
            admin: group_id(ADMIN_GROUP),
            viewer: group_id(VIEWER_GROUP),
        }
    }
}

/// Id of the group `name`; `None` when there is none or the lookup fails, which gives no role.
/// May block for as long as the name service takes.
#[must_use]
pub fn group_id(name: &str) -> Option<u32> {
    match Group::from_name(name) {
        Ok(group) => group.map(|group| group.gid.as_raw()),
        Err(error) => {
            tracing::warn!(group = name, %error, "the group cannot be looked up: it gives no role");
            None
        }
    }
}

/// The process at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its process id, as the daemon sees it.
    pub pid: u32,
    /// Its effective uid when it connected.
    pub uid: u32,
    /// Its effective gid when it connected.
    pub gid: u32,
    /// Its groups when it connected, `gid` among them.
    pub groups: Vec<u32>,
    /// What it may do.
    pub roles: Roles,
    pidfd: Arc<OwnedFd>,
}

impl Peer {
    /// Identifies the peer of `stream`, and holds its process. It has no role yet: to look the role
    /// groups up takes time, in which a process that is not held could end and its pid be another's.
    ///
    /// # Errors
    /// [`PeerError`]: the connection must be refused.
    pub fn identify(stream: &UnixStream) -> Result<Self, PeerError> {
        let cred = stream.peer_cred().map_err(PeerError::Credentials)?;
        let pid = cred
            .pid()
            .and_then(|pid| u32::try_from(pid).ok())
            .filter(|&pid| pid != 0);
        let pid = pid.ok_or(PeerError::NoPid)?;
        let mut groups = peer_groups(stream).map_err(PeerError::Credentials)?;
        groups.push(cred.gid());
        let pidfd = peer_pidfd(stream, pid).map_err(|source| PeerError::Gone { pid, source })?;
        let peer = Self {
            pid,
            uid: cred.uid(),
            gid: cred.gid(),
            roles: Roles::default(),
            groups,
            pidfd: Arc::new(pidfd),
        };
        peer.same_user()?;
        Ok(peer)
    }

    /// The same peer with the roles that these groups give it.
    #[must_use]
    pub fn with_roles(self, role_groups: RoleGroups) -> Self {
        Self {
            roles: Roles::of(self.uid, &self.groups, role_groups),
            ..self
        }
    }

    /// Whether the process still exists; while it does, `pid` means it and no other.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        // A pidfd's fdinfo shows -1 once the process is reaped (pidfd_show_fdinfo).
        let path = format!("/proc/self/fdinfo/{}", self.pidfd.as_raw_fd());
        fs::read_to_string(path).is_ok_and(|info| pid_in_fdinfo(&info) == Some(self.pid))
    }

    /// Whether it was in the group when it connected.
    #[must_use]
    pub fn in_group(&self, gid: u32) -> bool {
        self.groups.contains(&gid)
    }

    /// The handle that holds its process.
    #[must_use]
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Guards the handle that was opened by pid: a process of another user is not the peer. A
    /// process of the same user that took over the pid in between cannot be told, and has the same
    /// rights outside sessions.
    fn same_user(&self) -> Result<(), PeerError> {
        let gone = |source| PeerError::Gone {
            pid: self.pid,
            source,
        };
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).map_err(gone)?;
        let uids =
            uids_in_status(&status).ok_or_else(|| gone(io::ErrorKind::InvalidData.into()))?;
        if !uids.contains(&self.uid) && self.is_alive() {
            let found = uids[0];
            return Err(PeerError::Replaced {
                pid: self.pid,
                found,
                uid: self.uid,
            });
        }
        if self.is_alive() {
            Ok(())
        } else {
            Err(gone(io::ErrorKind::NotFound.into()))
        }
    }
}

fn pid_in_fdinfo(info: &str) -> Option<u32> {
    info.lines()
        .find_map(|line| line.strip_prefix("Pid:"))?
        .trim()
        .parse()
        .ok()
}

/// Real, effective, saved and file-system uid.
fn uids_in_status(status: &str) -> Option<[u32; 4]> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let uids: Vec<u32> = line
        .split_whitespace()
        .map_while(|uid| uid.parse().ok())
        .collect();
    uids.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUPS: RoleGroups = RoleGroups {
        admin: Some(901),
        viewer: Some(902),
    };
    const NOBODY: Roles = Roles {
        admin: false,
        viewer: false,
    };
    const VIEWER: Roles = Roles {
        admin: false,
        viewer: true,
    };
    const ADMIN: Roles = Roles {
        admin: true,
        viewer: true,
    };

    #[test]
    fn roles_come_from_uid_and_groups() {
        for (uid, groups, expected) in [
            (0, &[][..], ADMIN),
            (1000, &[1000, 901], ADMIN),
            (1000, &[1000, 902], VIEWER),
            (1000, &[901, 902], ADMIN),
            (1000, &[1000], NOBODY),
            (1000, &[0], NOBODY),
        ] {
            assert_eq!(
                Roles::of(uid, groups, GROUPS),
                expected,
                "uid {uid}, groups {groups:?}"
            );
        }
    }

    #[test]
    fn a_group_that_does_not_exist_gives_nothing() {
        assert_eq!(Roles::of(1000, &[0, 1000], RoleGroups::default()), NOBODY);
        assert_eq!(group_id("no-such-group-here"), None);
    }

    #[test]
    fn the_kernels_account_of_a_process_is_read() {
        assert_eq!(
            pid_in_fdinfo("pos:\t0\nflags:\t02000002\nPid:\t41\nNSpid:\t41\n"),
            Some(41)
        );
        assert_eq!(pid_in_fdinfo("Pid:\t-1\n"), None);
        assert_eq!(
            uids_in_status("Name:\tsh\nUid:\t7\t8\t8\t8\nGid:\t1\n"),
            Some([7, 8, 8, 8])
        );
        assert_eq!(uids_in_status("Name:\tsh\n"), None);
    }

    #[tokio::test]
    async fn a_peer_is_identified_by_the_kernel_and_noticed_when_gone() {
        let (ours, _theirs) = UnixStream::pair().expect("a socket pair");
        let peer = Peer::identify(&ours).expect("this process is the peer");
        assert_eq!(peer.pid, std::process::id());
        assert_eq!(peer.uid, nix::unistd::geteuid().as_raw());
        assert!(peer.is_alive() && peer.in_group(peer.gid));

        let mut child = std::process::Command::new("/bin/true")
            .spawn()
            .expect("a child");
        let pidfd = super::super::peersock::pidfd_open(child.id()).expect("a pidfd");
        let other = Peer {
            pid: child.id(),
            pidfd: Arc::new(pidfd),
            ..peer
        };
        assert!(other.is_alive());
        child.wait().expect("its end");
        assert!(!other.is_alive());
    }
}
