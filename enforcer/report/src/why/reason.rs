//! Each reason in words: what it means, and what to do.

use enforcer_common::verdict::Reason;

use crate::{object::Object, record::Decision};

/// What a reason means and what follows from it, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What the kernel found.
    pub meaning: &'static str,
    /// What to do about it.
    pub advice: &'static str,
}

/// The explanation of a reason.
#[must_use]
pub const fn explain(reason: Reason) -> Explanation {
    let (meaning, advice) = words(reason);
    Explanation { meaning, advice }
}

const fn words(reason: Reason) -> (&'static str, &'static str) {
    match reason {
        Reason::RuleAllows => (
            "A rule of the policy allows it, and none denies it.",
            "Nothing is to be done.",
        ),
        Reason::RuleDenies => (
            "A rule of the policy denies it. A denial wins over every allowance, wherever it stands.",
            "Nothing that is added to the policy can allow it: the denial itself would have to be narrowed. Ask first why it is there.",
        ),
        Reason::NotListed => (
            "No rule of the policy covers it, and what no rule covers is denied.",
            "If the agent's work needs it, its owner can list it.",
        ),
        Reason::NotForThisBinary => (
            "Rules of the policy allow it, but only to other executables (`by`).",
            "Have the executable do it that the rule names, or ask the owner for a rule of this one.",
        ),
        Reason::FileChanged => (
            "The file is listed, but its content, owner or mode changed since it was judged, so that it is no longer known to be the same program.",
            "Find out who changed it. If the change is right, an administrator applies the policy again (`enforcer policy apply`); package upgrades in root's folders are seen by themselves within a second.",
        ),
        Reason::ExecutableNotListed => (
            "The process runs a file that the policy in force does not list, or denies: a script counts with every interpreter of it. Such a process is denied everything.",
            "List the executable, or start the process again from one that is listed. It may have been started under an earlier policy, or in monitor mode.",
        ),
        Reason::SocketKindNotAllowed => (
            "Only TCP, UDP and unix sockets may be made, because only their destinations can be judged; this is a socket of another kind.",
            "Use a tool that does without such a socket. Kinds that a policy can open as a whole are named in `sockets` of `[agent]`.",
        ),
        Reason::AddressNotJudgeable => (
            "The address cannot be judged: it is too short, of another family than its socket, or an IPv6 address that a translator (NAT64, 6to4) may pass on to an IPv4 host.",
            "Have the program use the IPv4 address itself. No rule can allow such an address.",
        ),
        Reason::ReadFailed => (
            "The kernel program could not read what it needed to judge, and what cannot be judged is denied.",
            "Try again; if it stays so, run `enforcer doctor` and report it with this record.",
        ),
        Reason::AgentNotInPolicy => (
            "The session's agent has no policy in force: it was removed, or was no longer good when the daemon started.",
            "An administrator applies the agent's policy (`enforcer policy apply`); the daemon's journal says why it was left out.",
        ),
        Reason::SessionUnknown => (
            "The process carries the mark of a session that is not there, or none could be made for it.",
            "Start the agent anew. If it happens again, run `enforcer doctor`.",
        ),
        Reason::TableMissing => (
            "A table of the policy is not in the kernel, so nothing could be looked up.",
            "Run `enforcer doctor`; an administrator applies the policies again.",
        ),
        Reason::LabelTableFull => (
            "There was no room to mark one more process as the session's, so the process was not started.",
            "End sessions or processes that are not needed. The table holds the tasks of all sessions together.",
        ),
        Reason::EnforcerGuard => (
            "It belongs to the enforcer itself: its folders, its binary, its unit, or the kernel objects by which it enforces.",
            "No agent may change it, and no policy can allow it. An agent that tries is worth a look.",
        ),
        Reason::Enrolled => (
            "The first process of a session was taken in.",
            "Nothing is to be done.",
        ),
        Reason::SessionEnded => (
            "The last process of a session ended.",
            "Nothing is to be done.",
        ),
        Reason::TargetOutsideSession => (
            "The process that was to be acted on is not of the same session. Agents reach the processes of their own session alone.",
            "Have the target run in the same session. No policy can allow it.",
        ),
        Reason::NeverAllowed => (
            "No agent may do this, whatever its policy: it would change the kernel, the host or what an address means.",
            "Do it from outside the session, by somebody who may. Most programs go on without it.",
        ),
        Reason::InterpretersTooDeep => (
            "The interpreter of the script is a script itself, and that one's interpreter too: more levels than are judged.",
            "Run the innermost interpreter directly, with the script as its argument.",
        ),
        Reason::ExecutableMemory => (
            "Memory would become executable that is not the unchanged content of a listed file: code that nobody judged.",
            "Programs that compile as they run (Node.js, Java) need `jit = true`. For any other program this is a sign of an attack.",
        ),
        Reason::ListedCode => (
            "The file is code that a session may run or map, or stands where such code or what the host starts by itself is looked for. No session changes it.",
            "Install and upgrade from outside the session. No policy can allow it, save by no longer listing the file.",
        ),
        Reason::SetIdNotAllowed => (
            "The file is listed, but it would give its process other ids or capabilities (set-user-id, set-group-id, file capabilities).",
            "Use a program without such rights. `set_id = true` opens it for all listed programs at once.",
        ),
        Reason::IdentityUnknown => (
            "The process stands in the agent's slice since before it could be enrolled, and what it runs is not known.",
            "Restart the process or its unit: then it is enrolled from its first execution on.",
        ),
        Reason::DeviceNotAllowed => (
            "The file is a device whose driver takes commands from whoever has it open.",
            "Without `devices = true` terminals, null, zero, full, random and urandom alone may be opened.",
        ),
        Reason::IoUringNotAllowed => (
            "The agent has no `io_uring = true`, so no ring may be made.",
            "Most programs that try a ring go on without one: look whether it mattered.",
        ),
        Reason::NamespaceNotAllowed => (
            "User namespaces and mounts are closed to the agent: it has no `namespaces = true`.",
            "Containers and browsers' sandboxes need it; most other programs go on without.",
        ),
        Reason::SameSession => (
            "No rule lists the unix socket, and a process of the same session bound it.",
            "Nothing is to be done.",
        ),
    }
}

/// What a reason means of one kind of object, where more is to be said than of all.
pub(super) fn meaning_of(decision: &Decision<'_>) -> Option<&'static str> {
    if decision.reason != Some(Reason::NotListed) {
        return None;
    }
    match decision.object {
        Object::Run(_) => Some(
            "No rule of the policy lists the file. What counts is the file itself, whatever it is called: a copy of a listed one is another file.",
        ),
        Object::Code(..) => Some(
            "No rule of the policy lists the file, and it is none of the host's libraries that root alone can write. What is mapped as code must be listed like a program.",
        ),
        Object::Unix(_) => Some(
            "No rule of the policy lists the socket, and it is not the session's own: a service, another session or another agent bound it.",
        ),
        Object::Listen(_) => Some(
            "No rule of the policy covers the address and port. Without a `[[listen]]` rule an agent receives nothing; a wildcard address is one of its own.",
        ),
        Object::Reach(_)
        | Object::Socket(..)
        | Object::Write(..)
        | Object::Number(..)
        | Object::Nothing => None,
    }
}

/// What is said of a reason that this version does not know.
pub(super) const UNKNOWN: Explanation = Explanation {
    meaning: "This version of the command does not know the reason: a newer one wrote the record.",
    advice: "Ask the version that wrote it.",
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use enforcer_common::verdict::Reason;

    use super::explain;

    #[test]
    fn each_reason_has_an_explanation_and_advice_of_its_own() {
        let of_all = |f: fn(Reason) -> &'static str| {
            Reason::ALL.iter().map(|r| f(*r)).collect::<BTreeSet<_>>()
        };
        let meanings = of_all(|reason| explain(reason).meaning);
        assert_eq!(meanings.len(), Reason::ALL.len());
        let denied = |reason: &&Reason| {
            !matches!(
                reason,
                Reason::RuleAllows | Reason::Enrolled | Reason::SessionEnded | Reason::SameSession
            )
        };
        let advice: BTreeSet<_> = Reason::ALL
            .iter()
            .filter(denied)
            .map(|r| explain(*r).advice)
            .collect();
        assert_eq!(advice.len(), Reason::ALL.len() - 4);
        for text in meanings.into_iter().chain(advice) {
            assert!(text.len() > 20 && text.ends_with('.'), "{text}");
        }
    }
}
