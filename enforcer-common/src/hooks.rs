//! Every LSM hook that is attached: the one table from which the loader, `status` and `doctor` work.
//!
//! A kernel program has the name of its hook.

/// The hooks, in the order in which they are attached: what keeps labels comes before what enrols,
/// and what decides before that, so that no session can start before every decision is in place.
pub const HOOKS: &[&str] = &[
    "inode_listxattr",
    "task_free",
    "task_alloc",
    "socket_create",
    "socket_connect",
    "socket_sendmsg",
    "socket_bind",
    "socket_listen",
    "socket_setsockopt",
    "file_receive",
    "unix_stream_connect",
    "unix_may_send",
    "mmap_file",
    "file_mprotect",
    "file_open",
    "path_truncate",
    "path_chmod",
    "path_chown",
    "inode_create",
    "inode_mkdir",
    "inode_mknod",
    "inode_symlink",
    "inode_link",
    "inode_unlink",
    "inode_rmdir",
    "inode_rename",
    "inode_setxattr",
    "inode_removexattr",
    "inode_init_security_anon",
    "uring_cmd",
    "ptrace_access_check",
    "ptrace_traceme",
    "task_kill",
    "task_setrlimit",
    "task_setscheduler",
    "task_setnice",
    "task_setioprio",
    "file_fcntl",
    "file_lock",
    "file_ioctl",
    "capable",
    "bpf",
    "perf_event_open",
    "sb_mount",
    "sb_umount",
    "sb_remount",
    "sb_pivotroot",
    "move_mount",
    "userns_create",
    "kernel_load_data",
    "kernel_read_file",
    "kernel_module_request",
    "key_alloc",
    "tun_dev_create",
    "bprm_check_security",
    "bprm_creds_from_file",
    "bprm_committed_creds",
    "bprm_creds_for_exec",
];

/// Hooks that only kernels before 6.5 need: there, splice(2) and sendfile(2) reach a socket without
/// `socket_sendmsg` (`sock_sendpage`). They cost every read and write of the host, so no other kernel
/// has them attached.
pub const HOOKS_BEFORE_6_5: &[&str] = &["file_permission"];

/// Hooks that the kernel asks where it has them, and where it has not, another one in their place:
/// `file_ioctl` for calls of 32-bit programs (before 6.8 and its backports), `inode_setxattr` and
/// `inode_removexattr` for access lists (before 6.2).
pub const HOOKS_WHERE_PRESENT: &[&str] =
    &["file_ioctl_compat", "inode_set_acl", "inode_remove_acl"];

/// The hooks that a kernel of this version (major, minor) needs, in the order of attaching; `has` says
/// whether it has a hook.
pub fn hooks_of(
    version: (u32, u32),
    has: impl Fn(&str) -> bool,
) -> impl Iterator<Item = &'static str> {
    let old: &[&str] = if version < (6, 5) {
        HOOKS_BEFORE_6_5
    } else {
        &[]
    };
    let present = HOOKS_WHERE_PRESENT.iter().filter(move |hook| has(hook));
    old.iter().chain(present).chain(HOOKS).copied()
}
