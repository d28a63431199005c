//! The reference of the policy language, made from the rows that the parser works by.

use std::fmt::Write as _;

use enforcer_common::{maps, permit::MAX_CONDITIONS, verdict::Reason};

use crate::{
    diagnostic::Lint,
    key::{Key, Need, Table, keys},
    parse::{MAX_FILES, MAX_TOTAL_BYTES},
    source::MAX_SOURCE_BYTES,
    tables::MAX_CELL_ENTRIES,
};

const HEAD: &str = "\
# Policy reference

<!-- Made from the code (enforcer/policy/src/key.rs). To write it anew:
     UPDATE_DOCS=1 cargo test -p enforcer-policy -->

A policy is one TOML file an agent, in UTF-8. It is strict: an unknown key, a wrong type or a value
that cannot be enforced is an error with file, line and column, and nothing of the policy is applied.
All errors are shown at once (after a TOML syntax error, only those).

How a verdict comes about: **deny wins; no match is denied.** The order of rules has no part in it;
where several rules agree, the first one in the policy is named in the record.
";

const DESTINATIONS: &str = "
## Destinations

`protocol:address:port`

| part | forms |
|---|---|
| protocol | `tcp`, `udp` |
| address | `140.82.112.4`, `140.82.112.0/20`, `[2606:50c0::1]`, `[2606:50c0::]/32`, `*` (any IPv4 and IPv6 address) |
| port | `443`, `8000-8999`, `*` |

- A prefix has no host bits: `10.0.0.1/8` is an error that names `10.0.0.0/8`.
- An IPv4-mapped address (`::ffff:a.b.c.d`) is judged as the IPv4 address inside it. Rules are written
  with the IPv4 address: a prefix inside `::ffff:0:0/96` is an error that names it, and `[::]/0` does
  not cover such addresses.
- NAT64 (`64:ff9b::/96`) and 6to4 (`2002::/16`) addresses are never allowed: such a packet goes to
  whoever holds the route, and from there perhaps to the IPv4 address inside. They are denied before
  any rule is looked at (`address-not-judgeable`). A prefix inside these two is an error. One around
  them (`[::]/0`, `[2000::]/3`, `*`) is not, and does not cover them.
- The unspecified addresses (`0.0.0.0`, `::`) lead to loopback and are judged as `127.0.0.1` and
  `::1`, of a bound socket as what they lead to there (`0.0.0.0`: the address that it is bound to;
  `::`: `127.0.0.1` when that is an IPv4-mapped one). A rule that names them is an error.
- Host names (`tcp:example.com:443`) are not supported yet, and refused.

In `[[listen]]` the address is the one that the socket is bound to, and the same holds with these
differences:

- The unspecified address is a wildcard bind: `tcp:0.0.0.0:8080` is a listener on every IPv4 address
  of the host, and `tcp:[::]:8080` one on every address (on IPv4 too, unless the socket is
  `IPV6_V6ONLY`). A wildcard bind is judged as that address alone: it is in `0.0.0.0/0`, `[::]/0` and
  `*`, and a rule about one address of the host says nothing of it. To deny wildcard binds, deny
  both.
- UDP sockets are judged when they are bound to a port that they name. A TCP socket that listens
  without having been bound has port 0, which `*` alone covers.

## Files

A rule names a path; what is matched is the file behind it, by the identity that the kernel sees.
Another name, a hard link or a bind mount of the path changes nothing: the same file is the
same executable, and a copy is another file. A file whose content changed is denied (`file-changed`)
until the daemon has judged it again.

It does so by itself, within a second, where only an administrator can have made the change: every
folder on the way to the file is root's and closed to group and others, and the file was there when
the policy was applied. A package upgrade is such a change. Any other change waits for the next
`enforcer policy apply`. So that it stays an administrator's, no session, root's neither, writes to a
listed file, moves it, replaces or removes it, touches the folders and links on the way to it, or puts
anything into a directory that a rule lists with `/` or into the folders of the host's libraries
(`listed-code`).

Mapping a file as code is running it: a library must be listed like a program, or be one of the host's
(`libraries` in `[agent]`). Memory that is not the unchanged content of such a file is not executable
without `jit = true` (`executable-memory`).

Scripts are judged twice, as the script and as its interpreter; both must be allowed.

What a process runs is all of these files, and each must be listed by the policy in force: with one
that is not, the process is denied everything (`executable-not-listed`). Rules with a `by` hold for it
when one of the files is in `by`.

So `by` should name binaries, not scripts. An interpreter opens the script a second time, by the name
that the caller gave, and takes orders from its environment: who may run the script can have another
file run in its place (a symbolic link exchanged in between) and so has the right that `by` gives the
script. Of binaries too `by` says which file runs and not which code: one that loads code by its
environment or arguments (plug-ins, `LD_PRELOAD` of a listed library) gives that code its right;
`secure_exec = true` takes the loader's variables away.

A file that an `exec` rule denies gives no access, should a process still run it from an earlier
policy: a script's process has what its interpreter alone gives, any other has none.
";

/// The text of `docs/policy.md`.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(HEAD);
    for table in Table::ALL {
        section(&mut text, table);
    }
    text.push_str(DESTINATIONS);
    reasons(&mut text);
    lints(&mut text);
    limits(&mut text);
    text
}

// Writing to a String cannot fail, so the results of `write!` are dropped throughout.

fn section(text: &mut String, table: Table) {
    let heading = match table {
        Table::Root => "Top of the file".to_owned(),
        Table::Agent
        | Table::Enrol
        | Table::Launch
        | Table::Entry
        | Table::Exec
        | Table::Connect
        | Table::Listen
        | Table::Unix
        | Table::Example => format!("`{}`", table.name()),
    };
    let _ = write!(text, "\n## {heading}\n\n{}\n\n", table.meaning());
    text.push_str("| key | value | without it | meaning | example |\n|---|---|---|---|---|\n");
    let (not_yet, supported): (Vec<&Key>, Vec<&Key>) =
        keys(table).partition(|key| key.need == Need::NotYet);
    for key in supported {
        let without = match key.need {
            Need::Default(text) => text,
            Need::Required | Need::NotYet => "error: it is required",
        };
        let _ = writeln!(
            text,
            "| `{}` | {} | {without} | {} | `{}` |",
            key.name,
            key.kind.name(),
            key.meaning,
            key.example
        );
    }
    if !not_yet.is_empty() {
        let names: Vec<String> = not_yet
            .iter()
            .map(|key| format!("`{}`", key.name))
            .collect();
        let _ = writeln!(
            text,
            "\nNot supported yet, and refused: {}.",
            names.join(", ")
        );
    }
}

fn reasons(text: &mut String) {
    text.push_str(
        "\n## Reasons\n\nWhat `reason` of an example can name, and what records say:\n\n",
    );
    for reason in Reason::ALL {
        let _ = writeln!(text, "- `{}`", reason.name());
    }
}

fn lints(text: &mut String) {
    text.push_str("\n## Lints\n\nWarnings; the policy is applied all the same.\n\n");
    text.push_str("| lint | says |\n|---|---|\n");
    for lint in Lint::ALL {
        let _ = writeln!(text, "| `{}` | {} |", lint.name(), lint.meaning());
    }
}

fn limits(text: &mut String) {
    let rows = [
        ("bytes of one file", MAX_SOURCE_BYTES),
        ("bytes of a policy with its includes", MAX_TOTAL_BYTES),
        ("files of a policy", MAX_FILES),
        (
            "address prefixes, after folding",
            maps::MAX_ADDRESSES as usize,
        ),
        ("port prefixes, after folding", maps::MAX_PORTS as usize),
        ("executables", maps::MAX_EXECUTABLES as usize),
        ("unix sockets", maps::MAX_UNIX_PEERS as usize),
        ("distinct `by` lists", MAX_CONDITIONS - 1),
        (
            "rules summed over the distinct overlaps of rules",
            MAX_CELL_ENTRIES,
        ),
    ];
    text.push_str("\n## Limits\n\nBeyond them a policy is refused before anything is applied.\n\n");
    text.push_str("| of one policy | at most |\n|---|---|\n");
    for (what, limit) in rows {
        let _ = writeln!(text, "| {what} | {limit} |");
    }
}
