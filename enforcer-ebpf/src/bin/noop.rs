//! Programs that do nothing, on the hooks of the real ones: what the mechanism costs by itself, for
//! `cargo xtask bench`. They are part of no product.
#![no_std]
#![no_main]

/// Never reached: the programs hold no code that panics.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// As of the real programs.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 4] = *b"GPL\0";

macro_rules! noop {
    ($($hook:ident)*) => {$(
        #[unsafe(no_mangle)]
        #[unsafe(link_section = concat!("lsm/", stringify!($hook)))]
        extern "C" fn $hook(_: *mut core::ffi::c_void) -> i32 {
            0
        }
    )*};
}

// All of `enforcer_common::hooks`, which a test of `enforcer/tests/docs.rs` holds them to.
noop! {
    inode_listxattr task_free task_alloc socket_create socket_connect
    socket_sendmsg socket_bind socket_listen socket_setsockopt file_receive
    unix_stream_connect unix_may_send mmap_file file_mprotect file_open
    path_truncate path_chmod path_chown inode_create inode_mkdir
    inode_mknod inode_symlink inode_link inode_unlink inode_rmdir
    inode_rename ptrace_access_check ptrace_traceme task_kill capable
    bpf perf_event_open sb_mount sb_umount sb_remount
    sb_pivotroot move_mount userns_create kernel_load_data kernel_read_file
    kernel_module_request tun_dev_create bprm_check_security bprm_creds_from_file bprm_committed_creds
    bprm_creds_for_exec file_permission inode_setxattr inode_removexattr inode_init_security_anon
    uring_cmd task_setrlimit task_setscheduler task_setnice task_setioprio
    file_fcntl file_lock file_ioctl file_ioctl_compat key_alloc inode_set_acl
    inode_remove_acl
}
