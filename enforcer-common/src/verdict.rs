//! What was decided, and why. The names are those of policy examples, records and command output.

/// The outcome of a decision.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The action went on.
    Allow = 1,
    /// The action failed with EPERM, before any effect.
    Deny = 2,
    /// Monitor mode: the action went on; in enforce mode it would have been denied.
    WouldDeny = 3,
}

impl Verdict {
    /// Every verdict, in the order of its number.
    pub const ALL: [Self; 3] = [Self::Allow, Self::Deny, Self::WouldDeny];

    /// The verdict with this number, as an event carries it.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|v| *v as u8 == number)
    }

    /// Name in records and command output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::WouldDeny => "would-deny",
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        /// Why a verdict was given.
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[$doc])* $name = $number,)*
        }

        impl Reason {
            /// Every reason, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Name in records and command output.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The reason with this number, as an event carries it.
            #[must_use]
            pub fn from_number(number: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|r| *r as u8 == number)
            }
        }
    };
}

reasons! {
    /// A rule allows and none denies.
    RuleAllows = 1, "rule-allows";
    /// A rule denies; denials win over allowances.
    RuleDenies = 2, "rule-denies";
    /// No rule covers the object: the default.
    NotListed = 3, "not-listed";
    /// Rules cover the object, none of them for this executable.
    NotForThisBinary = 4, "not-for-this-binary";
    /// The file is listed, but its content or owner changed since the daemon judged it.
    FileChanged = 5, "file-changed";
    /// The task runs an executable that the policy in force does not list.
    ExecutableNotListed = 6, "executable-not-listed";
    /// The socket's family, type or protocol is not among those that can be judged.
    SocketKindNotAllowed = 7, "socket-kind-not-allowed";
    /// The address is too short, of an unknown family, or of a form that is not judged.
    AddressNotJudgeable = 8, "address-not-judgeable";
    /// A kernel field could not be read.
    ReadFailed = 9, "kernel-read-failed";
    /// The session's agent is not in the policy in force.
    AgentNotInPolicy = 10, "agent-not-in-policy";
    /// The label names a session that is not there.
    SessionUnknown = 11, "session-unknown";
    /// A policy table is not there.
    TableMissing = 12, "table-missing";
    /// No room for a label: the fork is denied.
    LabelTableFull = 13, "label-table-full";
    /// The object belongs to the enforcer itself.
    EnforcerGuard = 15, "enforcer-guard";
    /// The first process of a session was enrolled.
    Enrolled = 16, "enrolled";
    /// The last task of a session ended.
    SessionEnded = 17, "session-ended";
    /// The process that was acted on is not in the same session.
    TargetOutsideSession = 18, "target-outside-session";
    /// No agent may do this, whatever its policy.
    NeverAllowed = 19, "never-allowed";
    /// A script's interpreter is a script, whose interpreter is one: more levels than are judged.
    InterpretersTooDeep = 20, "interpreters-too-deep";
    /// Memory would be executable that is not the unchanged content of a file; the agent has no `jit = true`.
    ExecutableMemory = 21, "executable-memory";
    /// The file is code that the session may run or map: no session changes it.
    ListedCode = 22, "listed-code";
    /// The file would give its process other ids or capabilities; the agent has no `set_id = true`.
    SetIdNotAllowed = 23, "set-id-not-allowed";
    /// The task stands in an agent's slice, was there before it could be enrolled, and what it runs is not known.
    IdentityUnknown = 24, "identity-unknown";
    /// The file is a device whose driver may do anything; the agent has no `devices = true`.
    DeviceNotAllowed = 25, "device-not-allowed";
    /// The agent has no `io_uring = true`.
    IoUringNotAllowed = 26, "io-uring-not-allowed";
    /// A user namespace or a mount; the agent has no `namespaces = true`.
    NamespaceNotAllowed = 27, "namespace-not-allowed";
    /// No rule lists the object, and it is the session's own.
    SameSession = 28, "same-session";
}
