//! Capabilities that no agent has, though it may run as root: with them a process changes what an
//! address, a clock or the kernel is, and with that what a rule means.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use enforcer_common::{
    event::Kind,
    label::{AGENT_NAMESPACES, SOCKETS_PACKET, SOCKETS_RAW},
};

use crate::{
    decide,
    emit::{GO_ON, conclude_other},
    kernel::{Ptr, USER_NAMESPACE_LEVEL},
    label::Acting,
};

/// `CAP_OPT_NOAUDIT` of `linux/security.h`: asked, not used.
const NO_AUDIT: u32 = 0x02;

/// `CAP_NET_RAW`.
const NET_RAW: u32 = 13;

/// Bits by number of `linux/capability.h`.
const WITHHELD: u64 = bit(9) // CAP_LINUX_IMMUTABLE: a log that nobody can append to
    | bit(12) // CAP_NET_ADMIN: routes, packet filters, interfaces, marks
    | bit(NET_RAW)
    | bit(16) // CAP_SYS_MODULE
    | bit(17) // CAP_SYS_RAWIO: ports and memory of the machine
    | bit(20) // CAP_SYS_PACCT: a file that the kernel writes
    | bit(21) // CAP_SYS_ADMIN: mounts without a hook of their own, terminals of others, disks, swap...
    | bit(22) // CAP_SYS_BOOT: kexec
    | bit(25) // CAP_SYS_TIME: a file's ctime proves that it is unchanged
    | bit(26) // CAP_SYS_TTY_CONFIG: hangs up others' terminals
    | bit(30) // CAP_AUDIT_CONTROL
    | bit(32) // CAP_MAC_OVERRIDE
    | bit(33) // CAP_MAC_ADMIN
    | bit(38) // CAP_PERFMON
    | bit(39); // CAP_BPF

const fn bit(number: u32) -> u64 {
    1 << number
}

/// Whether the agent's policy opens what the capability is for: what belongs to a user namespace of
/// its own, or kinds of sockets that need it.
#[inline(always)]
fn goes_with_policy(acting: &Acting, ctx: &LsmContext, capability: u32) -> bool {
    if acting.fault.is_some() {
        return false;
    }
    if capability == NET_RAW && decide::has_sockets(acting, SOCKETS_RAW | SOCKETS_PACKET) {
        return true;
    }
    // Root's files stay root's in a namespace of root's: guards by folder would be walked round.
    acting.params.flags & AGENT_NAMESPACES != 0
        && !acting.has_been_root()
        && Ptr::new(ctx.arg(1)).load::<i32>(&USER_NAMESPACE_LEVEL) > 0
}

/// `capable(cred, ns, cap, opts)`
#[lsm(hook = "capable")]
pub fn capable(ctx: LsmContext) -> i32 {
    let capability: u32 = ctx.arg(2);
    if capability > 63 || WITHHELD & (1 << capability) == 0 {
        return GO_ON;
    }
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    if goes_with_policy(&acting, &ctx, capability) {
        return GO_ON;
    }
    let finding = decide::never(&acting);
    if ctx.arg::<u32>(3) & NO_AUDIT != 0 {
        return decide::quietly(&acting, finding);
    }
    conclude_other(&acting, Kind::Capability, finding, 0, capability)
}
