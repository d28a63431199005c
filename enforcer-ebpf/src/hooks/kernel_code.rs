//! Nothing of a session gets into the kernel: no program, no module, no image, no interface.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use enforcer_common::event::Kind;

use crate::emit::refuse;

/// `Other::detail` of [`Kind::KernelLoad`] for a key.
const KEY: u32 = u32::MAX - 1;

/// `bpf(cmd, attr, size)`: every command, reading among them: our own maps can be opened by id.
#[lsm(hook = "bpf")]
pub fn bpf(ctx: LsmContext) -> i32 {
    refuse(Kind::Bpf, ctx.arg(0))
}

/// `perf_event_open(attr, type)`
#[lsm(hook = "perf_event_open")]
pub fn perf_event_open(ctx: LsmContext) -> i32 {
    refuse(Kind::Perf, ctx.arg(1))
}

/// `kernel_load_data(id, contents)`: init_module(2), kexec_load(2).
#[lsm(hook = "kernel_load_data")]
pub fn kernel_load_data(ctx: LsmContext) -> i32 {
    refuse(Kind::KernelLoad, ctx.arg(0))
}

/// `kernel_read_file(file, id, contents)`: finit_module(2), kexec_file_load(2), firmware.
#[lsm(hook = "kernel_read_file")]
pub fn kernel_read_file(ctx: LsmContext) -> i32 {
    refuse(Kind::KernelLoad, ctx.arg(1))
}

/// `kernel_module_request(kmod_name)`: modprobe(8) would run outside the session.
#[lsm(hook = "kernel_module_request")]
pub fn kernel_module_request(_ctx: LsmContext) -> i32 {
    refuse(Kind::KernelLoad, u32::MAX)
}

/// `tun_dev_create()`: packets of its own making.
#[lsm(hook = "tun_dev_create")]
pub fn tun_dev_create(_ctx: LsmContext) -> i32 {
    refuse(Kind::Interface, 0)
}

/// `key_alloc(key, cred, flags)`: for a key that is asked for the kernel runs `/sbin/request-key` outside
/// the session, as root.
#[lsm(hook = "key_alloc")]
pub fn key_alloc(_ctx: LsmContext) -> i32 {
    refuse(Kind::KernelLoad, KEY)
}
