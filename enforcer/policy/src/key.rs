//! Every key of a policy. The parser knows no other; the reference is written from the same rows.

/// A table of the policy file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Root,
    Agent,
    Enrol,
    Launch,
    Entry,
    Exec,
    Connect,
    Listen,
    Unix,
    Example,
}

impl Table {
    pub(crate) const ALL: [Self; 10] = [
        Self::Root,
        Self::Agent,
        Self::Enrol,
        Self::Launch,
        Self::Entry,
        Self::Exec,
        Self::Connect,
        Self::Listen,
        Self::Unix,
        Self::Example,
    ];

    /// How the file writes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Root => "the top of the file",
            Self::Agent => "[agent]",
            Self::Enrol => "[agent.enrol]",
            Self::Launch => "[agent.enrol] launch",
            Self::Entry => "[agent.enrol] entry",
            Self::Exec => "[[exec]]",
            Self::Connect => "[[connect]]",
            Self::Listen => "[[listen]]",
            Self::Unix => "[[unix]]",
            Self::Example => "[[example]]",
        }
    }

    /// What it is for.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Root => {
                "Keys and tables of the file itself. An included file has the rule tables, \
                `[[example]]` and `include`, and no `[agent]`."
            }
            Self::Agent => "Whom the policy is about. Exactly one a policy.",
            Self::Enrol => "How a process becomes a session of the agent.",
            Self::Launch => {
                "Who may start a session with `enforcer run`. `launch = {}` is root alone."
            }
            Self::Entry => {
                "What begins a session by being executed, outside any session. Everything it starts is in \
                the session too."
            }
            Self::Exec => {
                "Which files may run, as a program or mapped into one as a library. What no rule lists is \
                denied (`not-listed`)."
            }
            Self::Connect => {
                "Which internet destinations may be reached. What no rule lists is denied \
                (`not-listed`); what is listed for other binaries only is denied (`not-for-this-binary`)."
            }
            Self::Listen => {
                "On which of the host's addresses TCP connections may be listened for, and UDP \
                sockets may be bound to a port. What no rule lists is denied (`not-listed`); what \
                is listed for other binaries only is denied (`not-for-this-binary`). Without such \
                rules nothing listens."
            }
            Self::Unix => {
                "Which unix sockets may be reached. What no rule lists is denied (`not-listed`), but for those that the session bound itself (`same-session`): tools like tmux and ssh talk to helpers of their own."
            }
            Self::Example => {
                "A request and the verdict it must get. `enforcer policy test` runs them, \
                on any host: the files need not be there."
            }
        }
    }
}

/// What kind of value a key has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Integer,
    Boolean,
    Text,
    /// Text or a TOML date.
    Date,
    /// A list of texts.
    Texts,
    Table,
    /// `[[...]]`.
    Tables,
    /// Not looked at.
    Any,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Integer => "an integer",
            Self::Boolean => "true or false",
            Self::Text => "a string",
            Self::Date => "a date",
            Self::Texts => "a list of strings",
            Self::Table => "a table",
            Self::Tables => "a list of tables",
            Self::Any => "-",
        }
    }
}

/// Whether a key must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    /// Without it, this holds.
    Default(&'static str),
    /// What the key would say cannot be enforced yet; it is refused, not ignored.
    NotYet,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) table: Table,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) need: Need,
    pub(crate) meaning: &'static str,
    pub(crate) example: &'static str,
}

const fn key(
    table: Table,
    name: &'static str,
    kind: Kind,
    need: Need,
    meaning: &'static str,
    example: &'static str,
) -> Key {
    Key {
        table,
        name,
        kind,
        need,
        meaning,
        example,
    }
}

const fn not_yet(table: Table, name: &'static str, meaning: &'static str) -> Key {
    key(table, name, Kind::Any, Need::NotYet, meaning, "")
}

const NONE: Need = Need::Default("none");
const ONE_OF_ALLOW: Need = Need::Default("one of `allow` and `deny` is required");
const ONE_ACTION: Need = Need::Default("one of `exec`, `connect`, `listen`, `unix` is required");
const ID: &str = "Name of the rule in records. Unique in the policy, includes too: \
    lower-case letters, digits, `-`, `_`, `.`, at most 64.";
const PATHS: &str = "Absolute paths. One that ends with `/` is every regular file below that \
    directory. The file behind the path counts, by whatever name it is run.";
const BY: &str = "The rule holds only for these executables: paths as in `[[exec]]`. A script \
    counts as itself and as its interpreter, but name binaries: a path of a script gives its right \
    to whoever can have its interpreter run another file (see Files).";
const DENY: &str = "As `allow`, but denies; a denial wins over every allowance.";

use self::{Kind as K, Need as N, Table as T};

/// Every key, in the order of the reference.
pub(crate) const KEYS: &[Key] = &[
    key(
        T::Root,
        "schema",
        K::Integer,
        N::Required,
        "Version of this format: 1. Optional in an included file.",
        "schema = 1",
    ),
    key(
        T::Root,
        "include",
        K::Texts,
        NONE,
        "Files whose rules are added after this file's own, by paths relative to this file. A file that is named twice is added once; a loop is an error.",
        "include = [\"shared/git.toml\"]",
    ),
    key(
        T::Root,
        "agent",
        K::Table,
        N::Required,
        "See `[agent]`. Not in an included file.",
        "[agent]",
    ),
    key(
        T::Root,
        "exec",
        K::Tables,
        NONE,
        "See `[[exec]]`.",
        "[[exec]]",
    ),
    key(
        T::Root,
        "connect",
        K::Tables,
        NONE,
        "See `[[connect]]`.",
        "[[connect]]",
    ),
    key(
        T::Root,
        "listen",
        K::Tables,
        NONE,
        "See `[[listen]]`.",
        "[[listen]]",
    ),
    key(
        T::Root,
        "unix",
        K::Tables,
        NONE,
        "See `[[unix]]`.",
        "[[unix]]",
    ),
    key(
        T::Root,
        "example",
        K::Tables,
        NONE,
        "See `[[example]]`.",
        "[[example]]",
    ),
    not_yet(
        T::Root,
        "profile",
        "Named sets of rules that a session can have switched on.",
    ),
    not_yet(
        T::Root,
        "risk",
        "Risk levels that narrow a session's access.",
    ),
    not_yet(T::Root, "grant", "Extra access for a time."),
    not_yet(T::Root, "grants", "Extra access for a time."),
    not_yet(
        T::Root,
        "process",
        "Processes that may be signalled or traced.",
    ),
    not_yet(T::Root, "mount", "Mounts that may be made."),
    key(
        T::Agent,
        "name",
        K::Text,
        N::Required,
        "Name of the agent, unique on the host: lower-case letters, digits and `-`, at most 63.",
        "name = \"release-bot\"",
    ),
    key(
        T::Agent,
        "owner",
        K::Text,
        N::Required,
        "Who answers for it.",
        "owner = \"platform-security@example.com\"",
    ),
    key(
        T::Agent,
        "purpose",
        K::Text,
        N::Required,
        "What it is for.",
        "purpose = \"Opens pull requests\"",
    ),
    key(
        T::Agent,
        "mode",
        K::Text,
        N::Default("`\"enforce\"`"),
        "`enforce`: what no rule allows fails. `monitor`: everything goes on, and what would have failed is recorded as `would-deny`.",
        "mode = \"enforce\"",
    ),
    key(
        T::Agent,
        "until",
        K::Date,
        N::Default("required with `mode = \"monitor\"`"),
        "End of monitor mode: an RFC 3339 date (the whole day, UTC) or date and time with offset.",
        "until = 2030-06-30",
    ),
    key(
        T::Agent,
        "audit",
        K::Text,
        N::Default("`\"all\"`"),
        "`all`: every decision is recorded. `denials`: denials alone.",
        "audit = \"all\"",
    ),
    key(
        T::Agent,
        "on_audit_failure",
        K::Text,
        N::Default("`\"deny\"`"),
        "What happens to an action that cannot be recorded: `deny` it; let it go on and raise an `alert`, an error in the daemon's journal; or `continue` and only count it.",
        "on_audit_failure = \"deny\"",
    ),
    key(
        T::Agent,
        "libraries",
        K::Text,
        N::Default("`\"host\"`"),
        "Which files may be mapped as code, beside those that `[[exec]]` lists. `host`: the libraries below `/usr/lib`, `/usr/lib32`, `/usr/lib64`, `/usr/libx32`, `/usr/libexec` and `/usr/local/lib` (`*.so`, `*.so.*`) that are root's and that group and others cannot write. `listed`: none; list the loader and every library in `[[exec]]`.",
        "libraries = \"listed\"",
    ),
    key(
        T::Agent,
        "jit",
        K::Boolean,
        N::Default("`false`"),
        "Memory that is not the unchanged content of a file may be executable. Node.js, Java and other just-in-time compilers need it; python does not. With it, code that a process makes itself is not seen; what that code then runs or reaches is.",
        "jit = true",
    ),
    key(
        T::Agent,
        "set_id",
        K::Boolean,
        N::Default("`false`"),
        "Listed programs with a set-user-id or set-group-id bit or with file capabilities may run. Without it they are denied although they are listed (`set-id-not-allowed`).",
        "set_id = true",
    ),
    key(
        T::Agent,
        "secure_exec",
        K::Boolean,
        N::Default("`false`"),
        "Programs start as set-id programs do (AT_SECURE): the loader ignores `LD_PRELOAD`, `LD_LIBRARY_PATH` and the like, and the C library ignores `TMPDIR`, `LOCPATH` and others. What is mapped must be listed with or without it.",
        "secure_exec = true",
    ),
    key(
        T::Agent,
        "devices",
        K::Boolean,
        N::Default("`false`"),
        "Character devices may be opened, and with that told whatever their drivers understand: GPUs, disks by their generic interface, virtual machines, input. Without it terminals, `null`, `zero`, `full`, `random` and `urandom` alone (`device-not-allowed`).",
        "devices = true",
    ),
    key(
        T::Agent,
        "io_uring",
        K::Boolean,
        N::Default("`false`"),
        "Rings of io_uring may be made. What is asked through a ring is judged as a system call is; without it programs that probe for rings do without (`io-uring-not-allowed`).",
        "io_uring = true",
    ),
    key(
        T::Agent,
        "namespaces",
        K::Boolean,
        N::Default("`false`"),
        "User namespaces may be made, and in sessions in which nothing ever ran as root mounts, networks and the rest in them (rootless containers, browsers' sandboxes; no network by tun devices). Files are known whatever they are mounted on, and what leaves the host is judged; but paths in the records are those of the session's own mounts (`namespace-not-allowed` without it).",
        "namespaces = true",
    ),
    key(
        T::Agent,
        "sockets",
        K::Texts,
        N::Default("`[]`"),
        "Kinds of sockets that may exist beside TCP, UDP and unix ones: `netlink-route`, `netlink`, `ping`, `raw`, `packet`, `vsock`, `alg`, `bluetooth`, `can`. Where they send to is not judged; changing routes, addresses or packet filters is withheld all the same. `raw` and `packet` give root CAP_NET_RAW.",
        "sockets = [\"netlink-route\"]",
    ),
    key(
        T::Agent,
        "enrol",
        K::Table,
        NONE,
        "See `[agent.enrol]`.",
        "[agent.enrol]",
    ),
    key(
        T::Enrol,
        "launch",
        K::Table,
        NONE,
        "Sessions may be started with `enforcer run`. See below.",
        "launch = { group = \"agents\" }",
    ),
    key(
        T::Enrol,
        "slice",
        K::Text,
        NONE,
        "A systemd slice: what a process in it executes first begins a session, whoever started it there (a unit with `Slice=`, a container with this cgroup parent). A process that was in it before is held from its first connection on. One slice belongs to one agent; `system.slice`, `user.slice` and the like belong to none.",
        "slice = \"release-bot.slice\"",
    ),
    key(
        T::Enrol,
        "entry",
        K::Table,
        NONE,
        "A file whose execution begins a session. See below.",
        "entry = { exec = \"/opt/release-bot/agent\", user = \"bot\" }",
    ),
    key(
        T::Entry,
        "exec",
        K::Text,
        N::Required,
        "Absolute path of the file. The folder that it stands in and its name there count, so that an upgraded file enrols too. It must be listed in `[[exec]]` to run.",
        "exec = \"/opt/release-bot/agent\"",
    ),
    key(
        T::Entry,
        "user",
        K::Text,
        N::Default("every user"),
        "Only this user's executions enrol, by name or number.",
        "user = \"bot\"",
    ),
    key(
        T::Launch,
        "group",
        K::Text,
        N::Default("root alone"),
        "Members of this group may start sessions, and root.",
        "group = \"agents\"",
    ),
    key(T::Exec, "id", K::Text, N::Required, ID, "id = \"tools\""),
    key(
        T::Exec,
        "allow",
        K::Texts,
        ONE_OF_ALLOW,
        PATHS,
        "allow = [\"/usr/bin/git\", \"/usr/lib/git-core/\"]",
    ),
    key(
        T::Exec,
        "deny",
        K::Texts,
        ONE_OF_ALLOW,
        DENY,
        "deny = [\"/usr/bin/nc.openbsd\"]",
    ),
    key(
        T::Exec,
        "sha256",
        K::Texts,
        NONE,
        "SHA-256 digests, in hexadecimal. A file that the rule names must have one of them. Below a directory that the rule names, only files that are not root's, or that group or others can write, need one. Without `sha256` such files are an error.",
        "sha256 = [\"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"]",
    ),
    key(
        T::Exec,
        "interpreter",
        K::Boolean,
        N::Default("`false`"),
        "Says aloud that these files run code or programs that are given to them, which no hook can see. What that code then runs or reaches is decided as everything else.",
        "interpreter = true",
    ),
    key(
        T::Exec,
        "optional",
        K::Boolean,
        N::Default("`false`"),
        "A file that is not there is left out with a warning. Without it, a missing file is an error.",
        "optional = true",
    ),
    not_yet(T::Exec, "by", "Only this binary may run it."),
    not_yet(T::Exec, "profile", "The rule holds while a profile is on."),
    not_yet(T::Exec, "sensitivity", "Label that risk levels take away."),
    not_yet(
        T::Exec,
        "risk",
        "Highest risk level at which the rule holds.",
    ),
    key(
        T::Connect,
        "id",
        K::Text,
        N::Required,
        ID,
        "id = \"source\"",
    ),
    key(
        T::Connect,
        "allow",
        K::Texts,
        ONE_OF_ALLOW,
        "Destinations, `protocol:address:port`: see Destinations.",
        "allow = [\"tcp:140.82.112.0/20:443\"]",
    ),
    key(
        T::Connect,
        "deny",
        K::Texts,
        ONE_OF_ALLOW,
        DENY,
        "deny = [\"tcp:169.254.169.254:*\"]",
    ),
    key(
        T::Connect,
        "by",
        K::Texts,
        N::Default("every binary"),
        BY,
        "by = [\"/usr/bin/git\"]",
    ),
    not_yet(
        T::Connect,
        "profile",
        "The rule holds while a profile is on.",
    ),
    not_yet(
        T::Connect,
        "sensitivity",
        "Label that risk levels take away.",
    ),
    not_yet(
        T::Connect,
        "risk",
        "Highest risk level at which the rule holds.",
    ),
    key(
        T::Listen,
        "id",
        K::Text,
        N::Required,
        ID,
        "id = \"dev-server\"",
    ),
    key(
        T::Listen,
        "allow",
        K::Texts,
        ONE_OF_ALLOW,
        "Addresses of the host, written as destinations: see Destinations. `0.0.0.0` and `[::]` are the wildcard binds.",
        "allow = [\"tcp:127.0.0.1:3000-3999\", \"tcp:[::1]:8080\"]",
    ),
    key(
        T::Listen,
        "deny",
        K::Texts,
        ONE_OF_ALLOW,
        DENY,
        "deny = [\"tcp:*:1-1023\"]",
    ),
    key(
        T::Listen,
        "by",
        K::Texts,
        N::Default("every binary"),
        BY,
        "by = [\"/usr/bin/node\"]",
    ),
    not_yet(
        T::Listen,
        "profile",
        "The rule holds while a profile is on.",
    ),
    not_yet(
        T::Listen,
        "sensitivity",
        "Label that risk levels take away.",
    ),
    not_yet(
        T::Listen,
        "risk",
        "Highest risk level at which the rule holds.",
    ),
    key(T::Unix, "id", K::Text, N::Required, ID, "id = \"syslog\""),
    key(
        T::Unix,
        "allow",
        K::Texts,
        ONE_OF_ALLOW,
        "Absolute paths of sockets, or abstract names after `@`. A path's socket is known by its inode; one that is not there yet is a warning and is allowed once the policy is applied again.",
        "allow = [\"/run/systemd/journal/dev-log\", \"@name\"]",
    ),
    key(
        T::Unix,
        "deny",
        K::Texts,
        ONE_OF_ALLOW,
        DENY,
        "deny = [\"/run/docker.sock\"]",
    ),
    not_yet(T::Unix, "by", "The rule holds only for these executables."),
    not_yet(T::Unix, "profile", "The rule holds while a profile is on."),
    not_yet(T::Unix, "sensitivity", "Label that risk levels take away."),
    not_yet(
        T::Unix,
        "risk",
        "Highest risk level at which the rule holds.",
    ),
    key(
        T::Example,
        "by",
        K::Text,
        N::Default("a binary that no `by` names"),
        "Path of the acting executable.",
        "by = \"/usr/bin/git\"",
    ),
    key(
        T::Example,
        "exec",
        K::Text,
        ONE_ACTION,
        "Path of a file that it runs.",
        "exec = \"/usr/bin/nc\"",
    ),
    key(
        T::Example,
        "connect",
        K::Text,
        ONE_ACTION,
        "Destination that it reaches: one address, one port, any spelling.",
        "connect = \"tcp:140.82.112.4:443\"",
    ),
    key(
        T::Example,
        "listen",
        K::Text,
        ONE_ACTION,
        "Address of the host on which it listens: one address, one port, any spelling.",
        "listen = \"tcp:127.0.0.1:3000\"",
    ),
    key(
        T::Example,
        "unix",
        K::Text,
        ONE_ACTION,
        "Unix socket that it reaches.",
        "unix = \"/run/docker.sock\"",
    ),
    key(
        T::Example,
        "expect",
        K::Text,
        N::Required,
        "`allow` or `deny`.",
        "expect = \"deny\"",
    ),
    key(
        T::Example,
        "rule",
        K::Text,
        N::Default("any"),
        "Id of the rule that must decide.",
        "rule = \"source\"",
    ),
    key(
        T::Example,
        "reason",
        K::Text,
        N::Default("any"),
        "The reason that must be given.",
        "reason = \"not-listed\"",
    ),
    not_yet(T::Example, "profile", "The profile that is on."),
    not_yet(T::Example, "risk", "The session's risk level."),
];

/// The keys of a table.
pub(crate) fn keys(table: Table) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.table == table)
}

/// A key of a table, by name.
pub(crate) fn find(table: Table, name: &str) -> Option<&'static Key> {
    keys(table).find(|key| key.name == name)
}
