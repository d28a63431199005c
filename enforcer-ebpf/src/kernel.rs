//! Typed reads of kernel structures.
//!
//! The only file that follows kernel pointers. Direct loads (`Ptr::load`) are used where the
//! verifier knows the pointer's type and so proves the load; `Ptr::read` copies through
//! `bpf_probe_read_kernel` where it does not, and its failure is the caller's to judge.

use core::{ffi::c_void, mem::MaybeUninit, ptr};

use aya_ebpf::{
    EbpfContext as _, Global,
    bindings::{BPF_SK_STORAGE_GET_F_CREATE, path, task_struct},
    helpers::{
        bpf_get_current_task_btf, bpf_ktime_get_boot_ns, bpf_probe_read_kernel,
        generated::{
            bpf_d_path, bpf_get_func_arg, bpf_probe_read_kernel as probe_read_kernel,
            bpf_probe_read_kernel_str, bpf_sk_storage_get, bpf_sock_from_file,
        },
    },
    programs::LsmContext,
};
use enforcer_common::object::{FileId, FileStamp};

use crate::maps::{OWN_SOCKETS, Own};

macro_rules! offsets {
    ($($name:ident)*) => {$(
        /// Offset in bytes, written before the program is loaded: `enforcer_common::fields`.
        #[unsafe(no_mangle)]
        pub static $name: Global<u32> = Global::new(0);
    )*};
}

offsets! {
    BPRM_FILE BPRM_ARGC BPRM_CRED CRED_EUID CRED_EGID CRED_PERMITTED
    FILE_INODE FILE_PATH FILE_DENTRY FILE_MODE FILE_FLAGS PATH_DENTRY
    INODE_NUMBER INODE_MODE INODE_DEVICE INODE_SUPER INODE_GENERATION INODE_SIZE INODE_CTIME_SEC INODE_CTIME_NSEC
    SUPER_DEVICE SUPER_MAGIC DENTRY_FLAGS DENTRY_INODE DENTRY_PARENT DENTRY_NAME VMA_FLAGS
    SOCKET_SK SK_FAMILY SK_DADDR SK_RCV_SADDR SK_NUM SK_DPORT SK_V6_DADDR SK_V6_RCV_SADDR SK_PROTOCOL SK_TYPE
    MSG_NAME MSG_NAMELEN MSG_FLAGS MSG_CONTROL MSG_CONTROLLEN
    UNIX_ADDRESS UNIX_PEER UNIX_DENTRY UNIX_ADDRESS_LEN UNIX_ADDRESS_NAME
    TASK_CGROUPS TASK_MM MM_EXE_FILE CSET_CGROUP CGROUP_LEVEL CGROUP_ANCESTORS CGROUP_NODE NODE_NAME
    USER_NAMESPACE_LEVEL QSTR_NAME PROC_INODE PROC_PID PID_TASKS TASK_PID_LINKS
    TASK_TGID TASK_REAL_PARENT TASK_CRED TASK_LEADER TASK_START
    REGS_SYSCALL REGS_ARGUMENT_2 REGS_ARGUMENT_3
}

/// `S_IFMT` of `linux/stat.h`.
const S_IFMT: u16 = 0o170_000;
/// `S_IFSOCK`, `S_IFBLK` and `S_IFCHR` of the same: what [`file_type`] gives.
pub const S_IFSOCK: u16 = 0o140_000;
pub const S_IFBLK: u16 = 0o060_000;
pub const S_IFCHR: u16 = 0o020_000;
/// Since 6.13 the upper bits of `i_ctime_nsec` are flags of multigrain timestamps.
const NANOSECONDS: u32 = (1 << 30) - 1;

/// A pointer into the kernel.
#[derive(Clone, Copy)]
pub struct Ptr(*const c_void);

impl Ptr {
    /// Of a hook's argument.
    #[inline(always)]
    pub const fn new(pointer: *const c_void) -> Self {
        Self(pointer)
    }

    /// The pointer itself, for a helper.
    #[inline(always)]
    pub fn raw<T>(self) -> *mut T {
        self.0.cast_mut().cast()
    }

    /// Whether it points to nothing. Of no use for a hook's argument ([`is_null_argument`]), nor for
    /// what the verifier takes for valid without being told (`dentry->d_inode` of an argument): such a
    /// field is read by a copy ([`Ptr::read_pointer`]).
    #[inline(always)]
    pub fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// Its number, as a map key.
    #[inline(always)]
    pub fn address(self) -> u64 {
        self.0 as u64
    }

    /// The address of an embedded field.
    #[inline(always)]
    pub fn at(self, field: &Global<u32>) -> Self {
        Self(
            self.0
                .cast::<u8>()
                .wrapping_add(field.load() as usize)
                .cast(),
        )
    }

    /// The structure that this embedded field is in.
    #[inline(always)]
    pub fn before(self, field: &Global<u32>) -> Self {
        Self(
            self.0
                .cast::<u8>()
                .wrapping_sub(field.load() as usize)
                .cast(),
        )
    }

    /// Loads a field of a structure whose type the verifier knows.
    #[inline(always)]
    pub fn load<T: Copy>(self, field: &Global<u32>) -> T {
        // SAFETY: the verifier accepts the load only if it knows the pointer's type and the field
        // lies within it; the kernel handles a fault of such a load. Volatile, so that the load
        // stays one load of the field's size.
        unsafe { ptr::read_volatile(self.at(field).0.cast()) }
    }

    /// Loads a field that is a pointer.
    #[inline(always)]
    pub fn follow(self, field: &Global<u32>) -> Self {
        Self(self.load(field))
    }

    /// The address some bytes on.
    #[inline(always)]
    pub fn plus(self, bytes: u64) -> Self {
        Self(self.0.cast::<u8>().wrapping_add(bytes as usize).cast())
    }

    /// Copies a field, or fails when the address cannot be read.
    #[inline(always)]
    pub fn read<T: Copy>(self, field: &Global<u32>) -> Option<T> {
        self.at(field).copy()
    }

    /// Copies a field that is a pointer; `None` when it cannot be read or is null.
    #[inline(always)]
    pub fn read_pointer(self, field: &Global<u32>) -> Option<Self> {
        self.read::<*const c_void>(field)
            .map(Self)
            .filter(|p| !p.is_null())
    }

    /// Copies the text that it points to into `target`, which holds NUL; false when it cannot be read or
    /// does not fit with its NUL.
    #[inline(always)]
    pub fn text_to<const N: usize>(self, target: &mut [u8; N]) -> bool {
        // SAFETY: the helper checks the source and writes at most `N` bytes.
        let length = unsafe {
            bpf_probe_read_kernel_str(
                target.as_mut_ptr().cast(),
                N as u32,
                self.0.cast_mut().cast(),
            )
        };
        length > 0 && length < N as i64
    }

    /// Copies what it points to.
    #[inline(always)]
    pub fn copy<T: Copy>(self) -> Option<T> {
        // SAFETY: the helper checks the source; `T` is a type of which every bit pattern is valid.
        unsafe { bpf_probe_read_kernel(self.0.cast::<T>()) }.ok()
    }

    /// Copies a `T` into `target`; false when it cannot be read.
    #[inline(always)]
    pub fn copy_to<T: Copy>(self, target: &mut MaybeUninit<T>) -> bool {
        // SAFETY: the helper checks the source and writes exactly the size of `T` (zeroes on failure).
        unsafe { probe_read_kernel(target.as_mut_ptr().cast(), size_of::<T>() as u32, self.0) == 0 }
    }
}

/// Whether a hook's argument is null, where the kernel calls the hook without the thing.
///
/// The verifier of 6.12 takes the arguments of hooks for valid, and with that removes every test of
/// such a pointer and the branch behind it: the load that follows would fault. So the argument is
/// asked for as a number, of which the verifier knows nothing.
#[inline(always)]
pub fn is_null_argument(ctx: &LsmContext, index: u32) -> bool {
    let mut value = 0u64;
    // SAFETY: the helper takes the program's context, and writes one number. It fails for an index
    // that the hook does not have, which leaves 0.
    unsafe { bpf_get_func_arg(ctx.as_ptr(), index, &raw mut value) };
    value == 0
}

/// The task that the program runs in.
#[inline(always)]
pub fn current() -> Ptr {
    // SAFETY: the helper has no preconditions and never gives null.
    let task: *mut task_struct = unsafe { bpf_get_current_task_btf() };
    Ptr(task.cast::<c_void>().cast_const())
}

/// `CLOCK_BOOTTIME` in nanoseconds.
#[inline(always)]
pub fn boot_time() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// The type of file that an inode is: `S_IF*`.
#[inline(always)]
pub fn file_type(inode: Ptr) -> u16 {
    inode.load::<u16>(&INODE_MODE) & S_IFMT
}

/// Identity and stamp of an inode whose type the verifier knows (`file->f_inode`).
#[inline(always)]
pub fn file_of(inode: Ptr) -> (FileId, FileStamp) {
    (
        FileId {
            inode: inode.load(&INODE_NUMBER),
            device: inode.follow(&INODE_SUPER).load(&SUPER_DEVICE),
            generation: inode.load(&INODE_GENERATION),
        },
        FileStamp {
            ctime_sec: inode.load(&INODE_CTIME_SEC),
            ctime_nsec: inode.load::<u32>(&INODE_CTIME_NSEC) & NANOSECONDS,
            pad: 0,
            size: inode.load(&INODE_SIZE),
        },
    )
}

/// Identity of an inode that was reached by copies.
#[inline(always)]
pub fn read_file_id(inode: Ptr) -> Option<FileId> {
    Some(FileId {
        inode: inode.read(&INODE_NUMBER)?,
        device: inode.read_pointer(&INODE_SUPER)?.read(&SUPER_DEVICE)?,
        generation: inode.read(&INODE_GENERATION)?,
    })
}

/// The task that a file of procfs is about; `None` when it is about none, or the task is gone.
#[inline(always)]
pub fn task_of_proc(inode: Ptr) -> Option<Ptr> {
    // The inode is embedded in its `struct proc_inode`, and the task's link in its `task_struct`.
    let pid = inode.before(&PROC_INODE).read_pointer(&PROC_PID)?;
    Some(pid.read_pointer(&PID_TASKS)?.before(&TASK_PID_LINKS))
}

/// The `struct socket` behind a file; `None` when the file is none of a socket.
#[inline(always)]
pub fn socket_of(file: Ptr) -> Option<Ptr> {
    // SAFETY: the helper takes the file that the hook was given.
    let socket = unsafe { bpf_sock_from_file(file.raw()) };
    let socket = Ptr(socket.cast::<c_void>().cast_const());
    (!socket.is_null()).then_some(socket)
}

/// What is known of whose own a unix socket is, made when there is nothing yet; `None` without memory
/// for it, and then it is nobody's.
#[inline(always)]
pub fn own_made(sk: Ptr) -> Option<*mut Own> {
    own(sk, BPF_SK_STORAGE_GET_F_CREATE)
}

/// What is known of whose own a unix socket is.
#[inline(always)]
pub fn own_known(sk: Ptr) -> Option<*mut Own> {
    own(sk, 0)
}

#[inline(always)]
fn own(sk: Ptr, flags: u32) -> Option<*mut Own> {
    let map = (&raw const OWN_SOCKETS).cast_mut().cast();
    // SAFETY: the kernel gives a value of the map's own type, zeroed when it is new, or nothing.
    let value = unsafe { bpf_sk_storage_get(map, sk.raw(), ptr::null_mut(), flags.into()) };
    let value = value.cast::<Own>();
    (!value.is_null()).then_some(value)
}

/// Writes the resolved path of `file` into `buffer`; gives its length with the NUL, or `None` when
/// it does not fit or cannot be told.
#[inline(always)]
pub fn path_of(file: Ptr, buffer: *mut u8, size: u32) -> Option<u32> {
    // SAFETY: `buffer` holds `size` bytes, as the verifier checks; `f_path` is a field of the file
    // that the hook was given.
    let length = unsafe { bpf_d_path(file.at(&FILE_PATH).raw::<path>(), buffer.cast(), size) };
    if length > 0 && length <= i64::from(size) {
        Some(length as u32)
    } else {
        None
    }
}
