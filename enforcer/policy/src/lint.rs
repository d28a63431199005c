//! Doubts about a policy that is otherwise good.

use std::collections::BTreeSet;

use ipnet::IpNet;

use crate::{
    diagnostic::{Diagnostic, Lint, quoted},
    facts::Facts,
    model::{Address, Destination, Effect, End, ExecRule, InternetRule, Peer, Policy},
    resolve::Resolved,
    source::Spanned,
};

/// Programs that run code or programs given to them, by the name of the file. A digit, `.` or `-`
/// may follow (`python3.11`, `busybox-static`).
const INTERPRETERS: &[&str] = &[
    "sh",
    "bash",
    "dash",
    "zsh",
    "ksh",
    "mksh",
    "fish",
    "csh",
    "tcsh",
    "ash",
    "rbash",
    "python",
    "pypy",
    "perl",
    "ruby",
    "node",
    "nodejs",
    "deno",
    "bun",
    "php",
    "lua",
    "luajit",
    "awk",
    "gawk",
    "mawk",
    "tclsh",
    "expect",
    "guile",
    "java",
    "env",
    "xargs",
    "find",
    "parallel",
    "busybox",
    "toybox",
    "sudo",
    "su",
    "doas",
    "runuser",
    "setpriv",
    "timeout",
    "nice",
    "ionice",
    "chrt",
    "taskset",
    "nohup",
    "setsid",
    "stdbuf",
    "time",
    "watch",
    "script",
    "flock",
    "unshare",
    "nsenter",
    "chroot",
    "capsh",
    "strace",
    "gdb",
    "ld.so",
    "ld-linux",
    "vim",
    "vi",
    "emacs",
    "make",
    "ssh",
    "npx",
    "npm",
    "pip",
    "systemd-run",
    "start-stop-daemon",
];

/// Programs that compile code as they run, by the name of the file as in [`INTERPRETERS`].
const COMPILERS: &[&str] = &[
    "node", "nodejs", "deno", "bun", "java", "luajit", "pypy", "dotnet", "julia", "qemu",
];

/// Sockets of services that start processes for whoever asks, outside the asker's session.
const ESCAPES: &[&str] = &[
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
    "/run/libvirt/libvirt-sock",
    "/run/lxd.socket",
    "/run/snapd.socket",
];

/// Pairs of a denied and a listed destination that are compared. A policy with more of them waits
/// for no lint.
const MOST_COMPARISONS: usize = 20_000_000;

pub(crate) fn lint(
    policy: &Policy,
    facts: &dyn Facts,
    resolved: &Resolved,
    found: &mut Vec<Diagnostic>,
) {
    no_enrolment(policy, found);
    missing_group(policy, facts, found);
    set_id(policy, found);
    opened(policy, found);
    for rule in policy
        .exec
        .iter()
        .filter(|rule| rule.effect == Effect::Allow)
    {
        undeclared_interpreters(rule, found);
        compilers_without_jit(policy, rule, found);
        writable_directories(rule, facts, found);
    }
    for (end, rule) in policy
        .internet()
        .filter(|(_, rule)| rule.effect == Effect::Allow)
    {
        match end {
            End::Remote => broad_prefixes(rule, found),
            End::Local => broad_listeners(rule, found),
        }
    }
    unlisted_binaries(policy, resolved, found);
    escape_sockets(policy, found);
    unreachable_exec(policy, resolved, found);
    unreachable_internet(policy, resolved, found);
    unreachable_unix(policy, found);
}

fn no_enrolment(policy: &Policy, found: &mut Vec<Diagnostic>) {
    if !policy.agent.is_enrolled() {
        let message = "nothing can become a session of this agent";
        let hint = "add `[agent.enrol]` with `launch = { group = \"...\" }`, `slice` or `entry`";
        found.push(Diagnostic::lint(Lint::NoEnrolment, policy.agent.name.span, message).hint(hint));
    }
}

fn missing_group(policy: &Policy, facts: &dyn Facts, found: &mut Vec<Diagnostic>) {
    let launch = policy.agent.launch.as_ref();
    let Some(group) = launch.and_then(|launch| launch.group.as_ref()) else {
        return;
    };
    if !facts.has_group(&group.value) {
        let message = format!("this host has no group {}", quoted(&group.value));
        let hint = format!(
            "make it, or only root launches the agent: groupadd --system {}",
            group.value
        );
        found.push(Diagnostic::lint(Lint::MissingGroup, group.span, message).hint(hint));
    }
}

fn set_id(policy: &Policy, found: &mut Vec<Diagnostic>) {
    let agent = &policy.agent;
    if agent.set_id.value {
        let message = "a listed set-id program runs as its owner, and so does what it starts";
        let hint = "leave it only if the agent cannot do without such a program";
        found.push(Diagnostic::lint(Lint::SetId, agent.set_id.span, message).hint(hint));
    }
}

/// What is opened as a whole, and what that means.
fn opened(policy: &Policy, found: &mut Vec<Diagnostic>) {
    let agent = &policy.agent;
    let switches = [
        (
            &agent.devices,
            Lint::Devices,
            "drivers take commands from whatever the agent may write to, disks past their file systems among them",
            "keep the agent's user out of the devices' groups, and never run it as root",
        ),
        (
            &agent.io_uring,
            Lint::IoUring,
            "what is asked through a ring is judged, but the kernel's code for rings is large and new",
            "most programs do without: try it",
        ),
        (
            &agent.namespaces,
            Lint::Namespaces,
            "in a user namespace the agent has every capability towards what belongs to that namespace",
            "leave it only for an agent that runs containers or a browser",
        ),
    ];
    for (switch, lint, message, hint) in switches {
        if switch.value {
            found.push(Diagnostic::lint(lint, switch.span, message).hint(hint));
        }
    }
    for kind in agent
        .sockets
        .iter()
        .filter(|kind| kind.value.leaves_the_host())
    {
        let message = format!(
            "where `{}` sockets send to is not judged",
            kind.value.name()
        );
        let hint = "no `[[connect]]` rule holds for them";
        found.push(Diagnostic::lint(Lint::UnjudgedSockets, kind.span, message).hint(hint));
    }
}

fn undeclared_interpreters(rule: &ExecRule, found: &mut Vec<Diagnostic>) {
    for path in rule
        .paths
        .iter()
        .filter(|path| !rule.interpreter && is_called(&path.value, INTERPRETERS))
    {
        let message = format!("{} runs code that no hook can see", quoted(&path.value));
        found.push(
            Diagnostic::lint(Lint::UndeclaredInterpreter, path.span, message)
                .hint("say so with `interpreter = true`, in a rule of its own"),
        );
    }
}

fn compilers_without_jit(policy: &Policy, rule: &ExecRule, found: &mut Vec<Diagnostic>) {
    let compilers = rule
        .paths
        .iter()
        .filter(|path| is_called(&path.value, COMPILERS));
    for path in compilers.filter(|_| !policy.agent.jit) {
        let message = format!("{} compiles code as it runs", quoted(&path.value));
        found.push(
            Diagnostic::lint(Lint::MissingJit, path.span, message)
                .hint("add `jit = true` to `[agent]`, or leave the program out"),
        );
    }
}

fn is_called(path: &str, names: &[&str]) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    names.iter().any(|known| {
        name.strip_prefix(known).is_some_and(|rest| {
            rest.chars()
                .next()
                .is_none_or(|c| c.is_ascii_digit() || c == '.' || c == '-')
        })
    })
}

fn writable_directories(rule: &ExecRule, facts: &dyn Facts, found: &mut Vec<Diagnostic>) {
    for path in &rule.paths {
        if let Some(directory) = facts.writable_directory(&path.value) {
            let message = format!("{} can be written by others than root", quoted(&directory));
            found.push(
                Diagnostic::lint(Lint::WritableDirectory, path.span, message)
                    .hint("another file can be put in its place; it would not run until judged"),
            );
        }
    }
}

fn broad_prefixes(rule: &InternetRule, found: &mut Vec<Diagnostic>) {
    for destination in &rule.destinations {
        let broad = match destination.value.address {
            Address::Any => Some("any address".to_owned()),
            Address::Net(net @ IpNet::V4(_)) if net.prefix_len() < 8 => Some(net.to_string()),
            Address::Net(net @ IpNet::V6(_)) if net.prefix_len() < 16 => Some(net.to_string()),
            Address::Net(_) => None,
        };
        if let Some(broad) = broad {
            let message = format!("{broad} is a large part of the internet");
            found.push(
                Diagnostic::lint(Lint::BroadPrefix, destination.span, message)
                    .hint("list the prefixes that the agent needs"),
            );
        }
    }
}

fn broad_listeners(rule: &InternetRule, found: &mut Vec<Diagnostic>) {
    for place in &rule.destinations {
        let is_broad = match place.value.address {
            Address::Any => true,
            Address::Net(net) if net.addr().is_unspecified() => true,
            Address::Net(net) => {
                !net.addr().is_loopback() && net.prefix_len() < net.max_prefix_len()
            }
        };
        if is_broad {
            let message = format!("other hosts can reach what listens on `{}`", place.value);
            found.push(
                Diagnostic::lint(Lint::BroadListen, place.span, message)
                    .hint("list `127.0.0.1` or `[::1]`, or the one address that is meant"),
            );
        }
    }
}

fn unlisted_binaries(policy: &Policy, resolved: &Resolved, found: &mut Vec<Diagnostic>) {
    let allowed = |rules: &[usize]| {
        rules.iter().any(|rule| {
            policy
                .exec
                .get(*rule)
                .is_some_and(|r| r.effect == Effect::Allow)
        })
    };
    for ((_, rule), by) in policy.internet().zip(&resolved.by) {
        let (Some(paths), Some(files)) = (&rule.by, by) else {
            continue;
        };
        let listed = files.iter().any(|file| {
            resolved
                .executables
                .get(file)
                .is_some_and(|executable| allowed(&executable.rules))
        });
        // Files that are not there were reported already.
        if let Some(first) = paths.first().filter(|_| !listed && !files.is_empty()) {
            let message = "no `exec` rule allows what `by` names";
            found.push(
                Diagnostic::lint(Lint::UnlistedBinary, first.span, message)
                    .hint("the rule holds for nobody; allow the binary in an `[[exec]]` rule"),
            );
        }
    }
}

fn escape_sockets(policy: &Policy, found: &mut Vec<Diagnostic>) {
    for rule in policy
        .unix
        .iter()
        .filter(|rule| rule.effect == Effect::Allow)
    {
        for peer in &rule.peers {
            let path = peer.value.path().unwrap_or_default();
            let plain = path.strip_prefix("/var").unwrap_or(path);
            let is_session_bus = plain.starts_with("/run/user/") && plain.ends_with("/bus");
            if ESCAPES.contains(&plain) || is_session_bus {
                let message = format!("the service behind {} starts processes", quoted(path));
                let hint = "what it starts for the agent is outside the session";
                found.push(Diagnostic::lint(Lint::EscapeSocket, peer.span, message).hint(hint));
            }
        }
    }
}

fn unreachable<T>(id: &Spanned<String>, objects: &[Spanned<T>], found: &mut Vec<Diagnostic>) {
    let message = format!(
        "nothing is left of rule {}: all of it is denied",
        quoted(&id.value)
    );
    if !objects.is_empty() {
        found.push(
            Diagnostic::lint(Lint::UnreachableRule, id.span, message)
                .hint("a denial wins; remove the rule, or narrow the denial"),
        );
    }
}

fn unreachable_exec(policy: &Policy, resolved: &Resolved, found: &mut Vec<Diagnostic>) {
    let effect = |rule: &usize| policy.exec.get(*rule).map(|rule| rule.effect);
    let mut covers = BTreeSet::new();
    let mut reachable = BTreeSet::new();
    for executable in resolved.executables.values() {
        let denied = executable
            .rules
            .iter()
            .any(|rule| effect(rule) == Some(Effect::Deny));
        covers.extend(executable.rules.iter().copied());
        if !denied {
            reachable.extend(executable.rules.iter().copied());
        }
    }
    for (index, rule) in policy.exec.iter().enumerate() {
        let is_dead = covers.contains(&index) && !reachable.contains(&index);
        if rule.effect == Effect::Allow && is_dead {
            unreachable(&rule.id, &rule.paths, found);
        }
    }
}

fn unreachable_internet(policy: &Policy, resolved: &Resolved, found: &mut Vec<Diagnostic>) {
    let rules = || policy.internet().zip(&resolved.by);
    let denials: Vec<_> = rules()
        .filter(|((_, rule), _)| rule.effect == Effect::Deny)
        .flat_map(|((end, rule), by)| rule.destinations.iter().map(move |d| (end, &d.value, by)))
        .collect();
    let listed: usize = policy
        .internet()
        .map(|(_, rule)| rule.destinations.len())
        .sum();
    if denials.len().saturating_mul(listed) > MOST_COMPARISONS {
        return;
    }
    for ((end, rule), by) in rules().filter(|((_, rule), _)| rule.effect == Effect::Allow) {
        let is_denied = |allowed: &Destination| {
            denials.iter().any(|(denied_end, denied, denied_by)| {
                *denied_end == end
                    && (denied_by.is_none() || *denied_by == by)
                    && contains(denied, allowed)
            })
        };
        if rule
            .destinations
            .iter()
            .all(|destination| is_denied(&destination.value))
        {
            unreachable(&rule.id, &rule.destinations, found);
        }
    }
}

fn contains(outer: &Destination, inner: &Destination) -> bool {
    let addresses = match (outer.address, inner.address) {
        (Address::Any, _) => true,
        (Address::Net(_), Address::Any) => false,
        (Address::Net(outer), Address::Net(inner)) => outer.contains(&inner),
    };
    addresses
        && outer.protocol == inner.protocol
        && outer.ports.first <= inner.ports.first
        && inner.ports.last <= outer.ports.last
}

fn unreachable_unix(policy: &Policy, found: &mut Vec<Diagnostic>) {
    let denials = policy
        .unix
        .iter()
        .filter(|rule| rule.effect == Effect::Deny);
    let denied: BTreeSet<&Peer> = denials
        .flat_map(|rule| &rule.peers)
        .map(|p| &p.value)
        .collect();
    for rule in policy
        .unix
        .iter()
        .filter(|rule| rule.effect == Effect::Allow)
    {
        if rule.peers.iter().all(|peer| denied.contains(&peer.value)) {
            unreachable(&rule.id, &rule.peers, found);
        }
    }
}
