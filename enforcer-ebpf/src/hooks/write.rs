//! Files opened for writing: code that the session may run, the kernel's own controls, whole disks,
//! what is another process's, and what belongs to the enforcer; and devices, however they are opened.
//!
//! A program or library is judged by its content at one time. Who could write to it afterwards would
//! have other code run under its name, so inside a session nobody does.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use enforcer_common::{
    event::{FILE_OPENED, FILE_TRUNCATED, Kind},
    label::AGENT_DEVICES,
    verdict::Reason,
};

use super::guard;
use crate::{
    decide::{self, Finding},
    emit::{Act, GO_ON, conclude_file, no_path, path_to},
    kernel::{
        DENTRY_INODE, DENTRY_NAME, FILE_DENTRY, FILE_FLAGS, FILE_INODE, FILE_MODE, INODE_DEVICE,
        INODE_SUPER, PATH_DENTRY, Ptr, S_IFBLK, S_IFCHR, SUPER_MAGIC, file_of, file_type,
        task_of_proc,
    },
    label::Acting,
};

/// `FMODE_WRITE` of `linux/fs.h`.
const FMODE_WRITE: u32 = 2;
/// `O_TRUNC` of `asm-generic/fcntl.h`.
const O_TRUNC: u32 = 0o1000;
/// Bits of the minor number in a `dev_t`: `MINORBITS` of `linux/kdev_t.h`.
const MINOR_BITS: u32 = 20;
/// `PROC_SUPER_MAGIC` of `linux/magic.h`.
const PROC: u64 = 0x9fa0;

/// Whether every file of a file system is a control of the kernel's: `linux/magic.h`.
#[inline(always)]
const fn is_kernels(magic: u64) -> bool {
    matches!(
        magic,
        0x6265_6572 // sysfs
            | 0x6462_6720 // debugfs
            | 0x7472_6163 // tracefs
            | 0x7363_6673 // securityfs
            | 0x6367_7270 // cgroup2
            | 0x0027_e0eb // cgroup
            | 0x6265_6570 // configfs
            | 0xde5e_81e4 // efivarfs
            | 0x4249_4e4d // binfmt_misc
            | 0xcafe_4a11 // bpf
            | 0xf97c_ff8c // selinuxfs
            | 0x6573_5543 // fusectl
            | 0xabba_1974 // xenfs
            | 0x6e66_7364 // nfsd
            | 0x6759_6969 // rpc_pipefs
            | 0x0765_5821 // resctrl
    )
}

/// Whether everybody writes to a character device: the numbers are those of the kernel's list of
/// devices (`Documentation/admin-guide/devices.txt`).
#[inline(always)]
const fn is_harmless_device(number: u32) -> bool {
    let (major, minor) = (number >> MINOR_BITS, number & ((1 << MINOR_BITS) - 1));
    match major {
        1 => matches!(minor, 3 | 5 | 7 | 8 | 9), // null, zero, full, random, urandom
        5 => matches!(minor, 0 | 2),             // tty, ptmx
        4 => minor < 64,                         // terminals; serial ports come after
        136..=143 => true,                       // pseudo terminals
        _ => false,
    }
}

/// `file_open(file)`: after the permission checks, before the caller has a descriptor.
#[lsm(hook = "file_open")]
pub fn file_open(ctx: LsmContext) -> i32 {
    let file = Ptr::new(ctx.arg(0));
    let inode = file.follow(&FILE_INODE);
    // O_TRUNC takes a file's content though it is opened for reading only, and a driver takes commands
    // by ioctl(2) on such a descriptor.
    if file.load::<u32>(&FILE_MODE) & FMODE_WRITE == 0
        && file.load::<u32>(&FILE_FLAGS) & O_TRUNC == 0
        && file_type(inode) != S_IFCHR
    {
        return GO_ON;
    }
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    let dentry = file.follow(&FILE_DENTRY);
    let guarded = guard::changed(&acting, dentry);
    if guarded != GO_ON {
        return guarded;
    }
    let found = file_of(inode);
    let finding = match control_of(&acting, inode, dentry) {
        Control::Other => Finding::of(acting.fault.unwrap_or(Reason::TargetOutsideSession)),
        Control::Kernel => decide::never(&acting),
        Control::Device => decide::by_flag(&acting, AGENT_DEVICES, Reason::DeviceNotAllowed),
        Control::Memory => decide::executable_memory(&acting),
        Control::None => decide::written(&acting, &found.0),
    };
    let act = Act {
        kind: Kind::Write,
        how: FILE_OPENED,
        file: found,
    };
    conclude_file(&acting, finding, &act, path_to(file))
}

/// What writing to a file controls beside its content.
#[derive(Clone, Copy)]
enum Control {
    None,
    /// The kernel, or a whole disk.
    Kernel,
    /// A device whose driver takes commands from whoever has it open.
    Device,
    /// A process of another session, or of none.
    Other,
    /// A process's memory, protected or not: `/proc/PID/mem`.
    Memory,
}

#[inline(always)]
fn control_of(acting: &Acting, inode: Ptr, dentry: Ptr) -> Control {
    let kind = file_type(inode);
    if kind == S_IFBLK {
        return Control::Kernel;
    }
    if kind == S_IFCHR {
        return if is_harmless_device(inode.load(&INODE_DEVICE)) {
            Control::None
        } else {
            Control::Device
        };
    }
    let magic: u64 = inode.follow(&INODE_SUPER).load(&SUPER_MAGIC);
    if is_kernels(magic) {
        return Control::Kernel;
    }
    if magic == PROC {
        return control_in_proc(acting, inode, dentry);
    }
    Control::None
}

/// In procfs a file is a process's (`proc_inode.pid`), or the kernel's.
#[inline(always)]
fn control_in_proc(acting: &Acting, inode: Ptr, leaf: Ptr) -> Control {
    let name: Option<[u8; 4]> = leaf.follow(&DENTRY_NAME).copy();
    if name == Some(*b"mem\0") {
        return Control::Memory;
    }
    let Some(task) = task_of_proc(inode) else {
        return Control::Kernel;
    };
    match decide::other_task(acting, task.address()).reason {
        Reason::RuleAllows => Control::None,
        _ => Control::Other,
    }
}

/// `path_truncate(path)`: truncate(2), which opens nothing.
#[lsm(hook = "path_truncate")]
pub fn path_truncate(ctx: LsmContext) -> i32 {
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    let dentry = Ptr::new(ctx.arg(0)).follow(&PATH_DENTRY);
    let guarded = guard::changed(&acting, dentry);
    if guarded != GO_ON {
        return guarded;
    }
    let found = file_of(dentry.follow(&DENTRY_INODE));
    let finding = decide::written(&acting, &found.0);
    let act = Act {
        kind: Kind::Write,
        how: FILE_TRUNCATED,
        file: found,
    };
    conclude_file(&acting, finding, &act, no_path)
}
