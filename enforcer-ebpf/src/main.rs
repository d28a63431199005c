//! The kernel programs: one per LSM hook, each holding a session's tasks to their agent's policy.
//!
//! | program | what it decides |
//! |---|---|
//! | `bprm_creds_for_exec` | whether this exec begins a session: a pending label is taken, or the file or the slice enrols |
//! | `bprm_check_security` | whether the file, and each interpreter after it, may run |
//! | `bprm_committed_creds` | nothing: the label takes over what the kernel has committed |
//! | `task_alloc` | whether a fork may happen: only when the child can be labelled |
//! | `task_free` | nothing: the label goes with its task |
//! | `socket_create` | whether a socket of this family, type and protocol may exist |
//! | `socket_connect` | whether this internet destination may be connected to |
//! | `socket_sendmsg` | whether this internet destination may be sent to |
//! | `socket_bind`, `socket_listen` | whether the agent may be reached on this local address |
//! | `socket_setsockopt` | that no option leads packets elsewhere |
//! | `unix_stream_connect`, `unix_may_send` | whether this unix socket may be reached |
//! | `file_receive`, `file_permission` | whether a socket that came from elsewhere may be taken, or written to by splice |
//! | `mmap_file`, `file_mprotect` | whether memory may become code |
//! | `bprm_creds_from_file` | whether a program may give other ids or capabilities |
//! | `file_open`, `path_truncate` | that listed code, the kernel's controls and whole disks are not written to |
//! | `path_chmod`, `path_chown`, `inode_create`, `inode_mkdir`, `inode_mknod`, `inode_symlink`, `inode_link`, `inode_unlink`, `inode_rmdir`, `inode_rename` | that the pins and the enforcer's own files stay |
//! | `inode_setxattr`, `inode_removexattr`, `inode_set_acl`, `inode_remove_acl` | the same, of attributes and access lists |
//! | `ptrace_access_check`, `ptrace_traceme`, `task_kill` | whether another process may be looked into, controlled, signalled |
//! | `task_setrlimit`, `task_setscheduler`, `task_setnice`, `task_setioprio` | whether another process's limits and scheduling may be changed |
//! | `file_fcntl` | that nobody outside is signalled about a file |
//! | `file_ioctl`, `file_ioctl_compat` | that no terminal, disk or listed file is changed by ioctl(2) |
//! | `inode_init_security_anon`, `uring_cmd` | whether a ring of io_uring may be made, and that none commands a driver |
//! | `sb_mount`, `sb_umount`, `sb_remount`, `sb_pivotroot`, `move_mount`, `userns_create` | that no mount changes under the names that others trust |
//! | `capable`, `bpf`, `perf_event_open`, `kernel_load_data`, `kernel_read_file`, `kernel_module_request`, `key_alloc`, `tun_dev_create` | that nothing gets into the kernel, where no label counts |
//! | `inode_listxattr` | nothing: the daemon learns a file's identity from it |
//!
//! The way of a decision: a hook extracts the object (`hooks/`), `label` says who acts, `decide`
//! asks the tables and gives the verdict, `emit` reports it. Hooks hold no policy. Principles:
//!
//! - a task without a label is not touched: one lookup, and the kernel goes on;
//! - inside a session every doubt denies, with its own reason;
//! - no loop over rules: every table is asked once;
//! - no earlier denial is lifted: the kernel does not run a program after one that denied.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)] // for `arch::fetch_add`

mod address;
mod arch;
mod decide;
mod emit;
mod enrol;
mod hooks;
mod kernel;
mod label;
mod maps;

/// Never reached: the programs hold no code that panics, and the verifier would refuse it.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel gives LSM programs and the helpers they need only to GPL-compatible code.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";
