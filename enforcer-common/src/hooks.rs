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
    "unix_stream_connect",
    "unix_may_send",
    "bprm_check_security",
    "bprm_committed_creds",
    "bprm_creds_for_exec",
];
