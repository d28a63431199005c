//! What was tried, in words.

use std::net::IpAddr;

use enforcer_common::event::Kind;

use crate::{
    object::{Endpoint, FileRef, Object, UnixName},
    record::Decision,
};

/// "connect to 192.0.2.1, port 443 (tcp)". Names are as in the record.
pub(super) fn tried(decision: &Decision<'_>) -> String {
    let Some(kind) = decision.kind else {
        return format!(
            "do something that this version does not know (`{}`)",
            decision.kind_name
        );
    };
    match decision.object {
        Object::Run(file) => run(decision, file),
        Object::Reach(to) => reach(kind, to),
        Object::Listen(at) => listen(at),
        Object::Unix(name) => unix(name),
        Object::Socket(family, kind, protocol) => {
            let called = family_name(family)
                .map(|name| format!(" ({name})"))
                .unwrap_or_default();
            format!("make a socket of family {family}{called}, type {kind}, protocol {protocol}")
        }
        Object::Code(file, how) => code(file, how),
        Object::Write(file, how) => write(file, how),
        Object::Number(target, detail) => number(kind, target, detail),
        Object::Nothing => nothing(kind),
    }
}

fn name(file: FileRef<'_>) -> String {
    match (file.path, file.uid) {
        (Some(path), _) => path.to_owned(),
        (None, Some(uid)) => format!("a file whose path is not known (its identity is {uid})"),
        (None, None) => "a file that could not be read".to_owned(),
    }
}

fn run(decision: &Decision<'_>, file: FileRef<'_>) -> String {
    match decision.record["unmapped"]["level"].as_u64() {
        None | Some(0) => format!("run {}", name(file)),
        Some(_) => format!("run {}, as the interpreter of a script", name(file)),
    }
}

fn reach(kind: Kind, to: Endpoint) -> String {
    let verb = if kind == Kind::Send {
        "send to"
    } else if kind == Kind::SendConnected {
        "send on a socket that leads to"
    } else {
        "connect to"
    };
    format!("{verb} {}", place(to, "an address that cannot be told"))
}

fn place(endpoint: Endpoint, unknown: &str) -> String {
    let protocol = match endpoint.transport() {
        Some(protocol) => protocol.name().to_owned(),
        None if endpoint.protocol == 0 => return unknown.to_owned(),
        None => format!("IP protocol {}", endpoint.protocol),
    };
    match endpoint.address {
        Some(address) => format!("{address}, port {} ({protocol})", endpoint.port),
        None => format!("{unknown} ({protocol})"),
    }
}

fn listen(at: Endpoint) -> String {
    let whole = match at.address {
        Some(IpAddr::V4(address)) if address.is_unspecified() => ": every IPv4 address of the host",
        Some(IpAddr::V6(address)) if address.is_unspecified() => ": every address of the host",
        Some(_) | None => "",
    };
    let what = place(at, "an address that cannot be told");
    format!("receive what others send to {what}{whole}")
}

fn unix(socket: UnixName<'_>) -> String {
    match socket {
        UnixName::Path { path, .. } => format!("reach the unix socket {path}"),
        UnixName::Abstract(name) => format!("reach the unix socket @{name} (an abstract name)"),
        UnixName::Unnamed => "reach a unix socket without a name".to_owned(),
        UnixName::Unknown => "reach a unix socket that cannot be told".to_owned(),
    }
}

/// Names of the commoner families of `linux/socket.h`.
fn family_name(family: u32) -> Option<&'static str> {
    let name = match family {
        1 => "unix",
        2 => "IPv4",
        10 => "IPv6",
        16 => "netlink",
        17 => "packet",
        21 => "RDS",
        29 => "CAN",
        30 => "TIPC",
        31 => "Bluetooth",
        38 => "kernel ciphers",
        40 => "vsock",
        44 => "XDP",
        _ => return None,
    };
    Some(name)
}

fn code(file: FileRef<'_>, how: &str) -> String {
    match how {
        "mapped" => format!("map {} as code", name(file)),
        "protected" => "make memory executable that could be written to".to_owned(),
        _ => "make memory executable that no file stands behind".to_owned(),
    }
}

fn write(file: FileRef<'_>, how: &str) -> String {
    let name = name(file);
    match how {
        "truncated" => format!("truncate {name}"),
        "entry" => format!("make, move, remove or change the attributes of {name}"),
        // Of devices this is any opening.
        _ => format!("open {name} for writing, or to command it"),
    }
}

fn number(kind: Kind, target: Option<u64>, detail: Option<u64>) -> String {
    let target = target.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    );
    let detail = detail.unwrap_or_default();
    match kind {
        Kind::Trace => format!("look into or control {target}"),
        Kind::Signal => format!("send signal {detail} to {target}"),
        Kind::Bpf => format!("call bpf(2), command {detail}"),
        Kind::Mount => format!("{} a file system", mount(detail)),
        Kind::UserNamespace => "make a user namespace".to_owned(),
        Kind::Receive => "take an open socket from another process".to_owned(),
        Kind::Perf => "open performance events".to_owned(),
        Kind::KernelLoad => "bring code, data or a key into the kernel".to_owned(),
        Kind::Interface => "make a network interface".to_owned(),
        Kind::SocketOption => {
            format!(
                "set socket option {} of level {}",
                detail & 0xffff,
                detail >> 16
            )
        }
        Kind::Capability => format!("use the capability {}", capability(detail)),
        Kind::Guard => "change what is the enforcer's own".to_owned(),
        Kind::SetId => {
            format!("run a file that gives rights of its own (user id {detail}, or capabilities)")
        }
        Kind::ProcessControl => format!("change limits or scheduling of {target}"),
        Kind::SignalOwner => format!("have {target} signalled about a file"),
        Kind::Ioctl => format!("call ioctl(2), command {detail:#x}"),
        Kind::IoUring if detail == 2 => "give a driver a command by io_uring".to_owned(),
        Kind::IoUring => "make an io_uring".to_owned(),
        Kind::Exec
        | Kind::Connect
        | Kind::Send
        | Kind::SendConnected
        | Kind::Unix
        | Kind::Socket
        | Kind::Fork
        | Kind::SessionStart
        | Kind::SessionEnd
        | Kind::Listen
        | Kind::Code
        | Kind::Write => format!("do `{}`", kind.name()),
    }
}

const fn mount(detail: u64) -> &'static str {
    match detail {
        2 => "unmount",
        3 => "remount",
        4 => "pivot to",
        5 => "move",
        _ => "mount",
    }
}

/// Names of `linux/capability.h` of those that sessions lack.
fn capability(number: u64) -> String {
    let name = match number {
        9 => "CAP_LINUX_IMMUTABLE",
        12 => "CAP_NET_ADMIN",
        13 => "CAP_NET_RAW",
        16 => "CAP_SYS_MODULE",
        17 => "CAP_SYS_RAWIO",
        20 => "CAP_SYS_PACCT",
        21 => "CAP_SYS_ADMIN",
        22 => "CAP_SYS_BOOT",
        25 => "CAP_SYS_TIME",
        26 => "CAP_SYS_TTY_CONFIG",
        30 => "CAP_AUDIT_CONTROL",
        32 => "CAP_MAC_OVERRIDE",
        33 => "CAP_MAC_ADMIN",
        38 => "CAP_PERFMON",
        39 => "CAP_BPF",
        _ => return number.to_string(),
    };
    name.to_owned()
}

fn nothing(kind: Kind) -> String {
    if kind == Kind::Fork {
        "start a child process".to_owned()
    } else if kind == Kind::SessionStart {
        "begin a session".to_owned()
    } else if kind == Kind::SessionEnd {
        "end a session".to_owned()
    } else {
        format!("do `{}`", kind.name())
    }
}
