//! Keys of `[agent]` that open as a whole what no rule is about.

use enforcer_common::{event::Kind, verdict::Reason};
use enforcer_policy::Policy;

use super::line::quoted;
use crate::{object::Object, record::Decision};

/// A key of `[agent]` that would open what was denied.
pub(super) struct AgentKey {
    pub toml: String,
    /// Whether the policy in force has it.
    pub is_set: bool,
    /// What else it opens.
    pub caution: &'static str,
}

/// The key that a denial asks for, where one can open it.
pub(super) fn agent_key(decision: &Decision<'_>, policy: Option<&Policy>) -> Option<AgentKey> {
    let agent = policy.map(|policy| &policy.agent);
    let key = |name: &str, is_set: bool, caution| {
        Some(AgentKey {
            toml: format!("{name} = true"),
            is_set,
            caution,
        })
    };
    match decision.reason? {
        Reason::ExecutableMemory => key(
            "jit",
            agent.is_some_and(|agent| agent.jit),
            "With `jit`, code that any program of the agent makes itself, or is made to make by an attacker, runs unseen. What it then runs and reaches is judged.",
        ),
        Reason::SetIdNotAllowed => key(
            "set_id",
            agent.is_some_and(|agent| agent.set_id.value),
            "With `set_id`, every listed program with such rights runs with them, root's among them, and so does what it starts.",
        ),
        Reason::DeviceNotAllowed => key(
            "devices",
            agent.is_some_and(|agent| agent.devices.value),
            "With `devices`, every driver takes commands from whatever the agent's user may open, disks past their file systems among them.",
        ),
        Reason::IoUringNotAllowed => key(
            "io_uring",
            agent.is_some_and(|agent| agent.io_uring.value),
            "What is asked through a ring is judged, but the kernel's code for rings is large and new: it is more to attack.",
        ),
        Reason::NamespaceNotAllowed => key(
            "namespaces",
            agent.is_some_and(|agent| agent.namespaces.value),
            "In a user namespace the agent has every capability towards what belongs to it: more of the kernel to attack. Root's mounts stay closed.",
        ),
        Reason::SocketKindNotAllowed => sockets(socket_kind(&decision.object)?, policy),
        Reason::NeverAllowed if is_net_raw(decision) => sockets("raw", policy),
        Reason::NeverAllowed
        | Reason::RuleAllows
        | Reason::RuleDenies
        | Reason::NotListed
        | Reason::NotForThisBinary
        | Reason::FileChanged
        | Reason::ExecutableNotListed
        | Reason::AddressNotJudgeable
        | Reason::ReadFailed
        | Reason::AgentNotInPolicy
        | Reason::SessionUnknown
        | Reason::TableMissing
        | Reason::LabelTableFull
        | Reason::EnforcerGuard
        | Reason::Enrolled
        | Reason::SessionEnded
        | Reason::TargetOutsideSession
        | Reason::InterpretersTooDeep
        | Reason::ListedCode
        | Reason::IdentityUnknown
        | Reason::SameSession => None,
    }
}

fn is_net_raw(decision: &Decision<'_>) -> bool {
    decision.kind == Some(Kind::Capability)
        && matches!(decision.object, Object::Number(_, Some(13)))
}

fn sockets(kind: &'static str, policy: Option<&Policy>) -> Option<AgentKey> {
    let has = policy.map(|policy| {
        policy
            .agent
            .sockets
            .iter()
            .map(|kind| kind.value.name())
            .collect()
    });
    let mut kinds: Vec<&str> = has.unwrap_or_default();
    let is_set = kinds.contains(&kind);
    if !is_set {
        kinds.push(kind);
    }
    let kinds: Vec<String> = kinds.into_iter().map(quoted).collect();
    let caution = match kind {
        "netlink-route" | "netlink" | "alg" => {
            "Every executable of the agent may then make such sockets; what is sent on them is not judged."
        }
        _ => {
            "Every executable of the agent may then make such sockets, and where they send to is not judged: no `[[connect]]` rule holds for them."
        }
    };
    Some(AgentKey {
        toml: format!("sockets = [{}]", kinds.join(", ")),
        is_set,
        caution,
    })
}

/// The narrowest kind of `sockets` that such a socket is of. Numbers are those of `linux/socket.h`,
/// `linux/net.h` and `linux/in.h`.
fn socket_kind(object: &Object<'_>) -> Option<&'static str> {
    let Object::Socket(family, kind, protocol) = *object else {
        return None;
    };
    match (family, kind, protocol) {
        (2 | 10, 3, _) => Some("raw"),
        (2, 2, 1) | (10, 2, 58) => Some("ping"),
        (16, _, 0) => Some("netlink-route"),
        (16, ..) => Some("netlink"),
        (17, ..) => Some("packet"),
        (29, ..) => Some("can"),
        (31, ..) => Some("bluetooth"),
        (38, ..) => Some("alg"),
        (40, ..) => Some("vsock"),
        _ => None,
    }
}
