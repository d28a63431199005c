//! Every kernel structure field that the programs read.
//!
//! Offsets differ between kernels, so the daemon finds them in the running kernel's BTF and writes
//! them into the programs' read-only data before they are loaded. A field that is not found is a
//! refusal to start: reading at a guessed offset would decide on garbage.

/// A field: the symbol of its offset in the kernel programs, and where BTF may have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Symbol of the `u32` offset in the object file.
    pub symbol: &'static str,
    /// Paths `structure.member.member`, newest kernel's spelling first; the first that exists counts.
    pub paths: &'static [&'static str],
}

const fn field(symbol: &'static str, paths: &'static [&'static str]) -> Field {
    Field { symbol, paths }
}

/// The fields, by structure.
pub const FIELDS: &[Field] = &[
    field("BPRM_FILE", &["linux_binprm.file"]),
    field("BPRM_ARGC", &["linux_binprm.argc"]),
    field("BPRM_CRED", &["linux_binprm.cred"]),
    field("CRED_EUID", &["cred.euid.val"]),
    field("CRED_EGID", &["cred.egid.val"]),
    // 6.3 made the two words of a capability set one; they lie alike in memory.
    field(
        "CRED_PERMITTED",
        &["cred.cap_permitted.val", "cred.cap_permitted.cap"],
    ),
    field("FILE_INODE", &["file.f_inode"]),
    field("FILE_PATH", &["file.f_path"]),
    field("FILE_DENTRY", &["file.f_path.dentry"]),
    field("FILE_MODE", &["file.f_mode"]),
    field("FILE_FLAGS", &["file.f_flags"]),
    field("PATH_DENTRY", &["path.dentry"]),
    field("INODE_NUMBER", &["inode.i_ino"]),
    field("INODE_MODE", &["inode.i_mode"]),
    field("INODE_DEVICE", &["inode.i_rdev"]),
    field("INODE_SUPER", &["inode.i_sb"]),
    field("INODE_GENERATION", &["inode.i_generation"]),
    field("INODE_SIZE", &["inode.i_size"]),
    // 6.11 split the timespec; 6.6 renamed it to keep callers off it.
    field(
        "INODE_CTIME_SEC",
        &[
            "inode.i_ctime_sec",
            "inode.__i_ctime.tv_sec",
            "inode.i_ctime.tv_sec",
        ],
    ),
    field(
        "INODE_CTIME_NSEC",
        &[
            "inode.i_ctime_nsec",
            "inode.__i_ctime.tv_nsec",
            "inode.i_ctime.tv_nsec",
        ],
    ),
    field("SUPER_DEVICE", &["super_block.s_dev"]),
    field("SUPER_MAGIC", &["super_block.s_magic"]),
    field("DENTRY_FLAGS", &["dentry.d_flags"]),
    field("DENTRY_INODE", &["dentry.d_inode"]),
    field("DENTRY_PARENT", &["dentry.d_parent"]),
    field("DENTRY_NAME", &["dentry.d_name.name"]),
    field("VMA_FLAGS", &["vm_area_struct.vm_flags"]),
    field("SOCKET_SK", &["socket.sk"]),
    field("SK_FAMILY", &["sock.__sk_common.skc_family"]),
    field("SK_DADDR", &["sock.__sk_common.skc_daddr"]),
    field("SK_RCV_SADDR", &["sock.__sk_common.skc_rcv_saddr"]),
    field("SK_NUM", &["sock.__sk_common.skc_num"]),
    field("SK_DPORT", &["sock.__sk_common.skc_dport"]),
    field("SK_V6_DADDR", &["sock.__sk_common.skc_v6_daddr"]),
    field("SK_V6_RCV_SADDR", &["sock.__sk_common.skc_v6_rcv_saddr"]),
    field("SK_PROTOCOL", &["sock.sk_protocol"]),
    field("SK_TYPE", &["sock.sk_type"]),
    field("USER_NAMESPACE_LEVEL", &["user_namespace.level"]),
    field("QSTR_NAME", &["qstr.name"]),
    field("PROC_INODE", &["proc_inode.vfs_inode"]),
    field("PROC_PID", &["proc_inode.pid"]),
    // The first entry, of PIDTYPE_PID: one pointer, to a link of the task.
    field("PID_TASKS", &["pid.tasks"]),
    field("TASK_PID_LINKS", &["task_struct.pid_links"]),
    field("MSG_NAME", &["msghdr.msg_name"]),
    field("MSG_NAMELEN", &["msghdr.msg_namelen"]),
    field("MSG_FLAGS", &["msghdr.msg_flags"]),
    field("MSG_CONTROL", &["msghdr.msg_control"]),
    field("MSG_CONTROLLEN", &["msghdr.msg_controllen"]),
    field("UNIX_ADDRESS", &["unix_sock.addr"]),
    field("UNIX_PEER", &["unix_sock.peer"]),
    field("UNIX_DENTRY", &["unix_sock.path.dentry"]),
    field("UNIX_ADDRESS_LEN", &["unix_address.len"]),
    field("UNIX_ADDRESS_NAME", &["unix_address.name"]),
    field("TASK_TGID", &["task_struct.tgid"]),
    field("TASK_REAL_PARENT", &["task_struct.real_parent"]),
    field("TASK_CGROUPS", &["task_struct.cgroups"]),
    field("TASK_MM", &["task_struct.mm"]),
    field("MM_EXE_FILE", &["mm_struct.exe_file"]),
    field("CSET_CGROUP", &["css_set.dfl_cgrp"]),
    field("CGROUP_LEVEL", &["cgroup.level"]),
    field("CGROUP_ANCESTORS", &["cgroup.ancestors"]),
    field("CGROUP_NODE", &["cgroup.kn"]),
    field("NODE_NAME", &["kernfs_node.name"]),
    field("TASK_CRED", &["task_struct.cred"]),
    field("TASK_LEADER", &["task_struct.group_leader"]),
    field("TASK_START", &["task_struct.start_boottime"]),
    field("REGS_SYSCALL", arch::REGS_SYSCALL),
    field("REGS_ARGUMENT_2", arch::REGS_ARGUMENT_2),
    field("REGS_ARGUMENT_3", arch::REGS_ARGUMENT_3),
];

/// What depends on the processor: the registers of a system call, and the numbers of the calls.
pub mod arch {
    /// Saved system call number.
    pub const REGS_SYSCALL: &[&str] = &["pt_regs.orig_ax"];
    /// Second argument of a system call.
    pub const REGS_ARGUMENT_2: &[&str] = &["pt_regs.si"];
    /// Third argument of a system call.
    pub const REGS_ARGUMENT_3: &[&str] = &["pt_regs.dx"];
    /// `execve(2)`: arguments are its second argument.
    pub const SYS_EXECVE: u64 = 59;
    /// `execveat(2)`: arguments are its third argument.
    pub const SYS_EXECVEAT: u64 = 322;
}
