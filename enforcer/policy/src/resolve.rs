//! A policy's paths, looked up: which files, executables and sockets its rules are about now.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, btree_map::Entry},
    rc::Rc,
};

use enforcer_common::object::{FileId, FileStamp, UnixKey};

use crate::{
    check::is_control_socket,
    diagnostic::{Diagnostic, Lint, quoted},
    facts::{Facts, FileFact, PathFact},
    model::{Effect, Entry as EntryFile, ExecRule, Peer, Policy},
    source::{Span, Spanned},
};

/// Files of one directory that are reported one by one.
const MOST_FILES_SHOWN: usize = 5;

/// What the rules are about, by the kernel's identities.
pub(crate) struct Resolved {
    /// Every file that an exec rule covers.
    pub(crate) executables: BTreeMap<FileId, Executable>,
    /// For each rule of [`Policy::internet`], the executables that its `by` names.
    pub(crate) by: Vec<Option<BTreeSet<FileId>>>,
    /// Every unix peer that a rule covers, with the rules' indices in policy order.
    pub(crate) unix: BTreeMap<UnixKey, Vec<usize>>,
    /// What is wrong or doubtful about the paths.
    pub(crate) faults: Vec<Diagnostic>,
}

/// A file that may be run, or may not.
pub(crate) struct Executable {
    pub(crate) stamp: FileStamp,
    /// The exec rules that cover it: indices in policy order.
    pub(crate) rules: Vec<usize>,
}

pub(crate) fn resolve(policy: &Policy, facts: &dyn Facts) -> Resolved {
    let mut resolver = Resolver {
        facts,
        known: HashMap::new(),
        resolved: Resolved {
            executables: BTreeMap::new(),
            by: Vec::new(),
            unix: BTreeMap::new(),
            faults: Vec::new(),
        },
    };
    for (index, rule) in policy.exec.iter().enumerate() {
        for path in &rule.paths {
            resolver.exec(index, rule, path);
        }
        if may_be_missing(rule) {
            resolver.tell_missing(&rule.paths, "left out of the rule");
        }
    }
    for (_, rule) in policy.internet() {
        let by = rule.by.as_ref().map(|paths| resolver.by(paths));
        resolver.resolved.by.push(by);
    }
    for (index, rule) in policy.unix.iter().enumerate() {
        for peer in &rule.peers {
            resolver.unix(index, rule.effect, peer);
        }
    }
    if let Some(entry) = &policy.agent.entry {
        resolver.entry(entry);
    }
    resolver.resolved
}

struct Resolver<'a> {
    facts: &'a dyn Facts,
    /// A path that several rules name is looked up once: it is one answer, and a directory's is long.
    known: HashMap<&'a str, Rc<PathFact>>,
    resolved: Resolved,
}

impl<'a> Resolver<'a> {
    fn fact(&mut self, path: &'a str) -> Rc<PathFact> {
        let fact = self
            .known
            .entry(path)
            .or_insert_with(|| Rc::new(self.facts.path(path)));
        Rc::clone(fact)
    }

    fn fault(&mut self, fault: Diagnostic) {
        self.resolved.faults.push(fault);
    }

    fn exec(&mut self, index: usize, rule: &'a ExecRule, path: &'a Spanned<String>) {
        let fact = self.fact(&path.value);
        if matches!(*fact, PathFact::Missing) {
            if !may_be_missing(rule) {
                let message = format!("{} is not there", quoted(&path.value));
                self.fault(Diagnostic::error(path.span, message).hint(
                    "correct the path, or add `optional = true` to the rule if not every host has it",
                ));
            }
            return;
        }
        let files = match regular_files(path, &fact) {
            Ok(files) => files,
            Err(fault) => return self.fault(fault),
        };
        if rule.effect == Effect::Allow {
            self.trust(rule, path, files);
        }
        for file in files {
            self.executable(index, path.span, file);
        }
    }

    fn executable(&mut self, index: usize, span: Span, file: &FileFact) {
        match self.resolved.executables.entry(file.id) {
            Entry::Vacant(entry) => {
                entry.insert(Executable {
                    stamp: file.stamp,
                    rules: vec![index],
                });
            }
            Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                if known.stamp != file.stamp {
                    let message = format!("{} changed while it was read", quoted(&file.path));
                    let fault = Diagnostic::error(span, message).hint("apply the policy again");
                    self.resolved.faults.push(fault);
                } else if known.rules.last() != Some(&index) {
                    known.rules.push(index);
                }
            }
        }
    }

    fn entry(&mut self, entry: &'a EntryFile) {
        if let Some(user) = &entry.user
            && !self.facts.has_user(&user.value)
        {
            let message = format!("this host has no user {}", quoted(&user.value));
            self.fault(Diagnostic::error(user.span, message));
        }
        let (path, fact) = (&entry.exec, self.fact(&entry.exec.value));
        if matches!(*fact, PathFact::Missing) {
            let message = format!("{} is not there: it enrols nobody", quoted(&path.value));
            return self.fault(Diagnostic::lint(Lint::MissingFile, path.span, message));
        }
        match regular_files(path, &fact) {
            Ok(files) => {
                let listed = |file: &FileFact| self.resolved.executables.contains_key(&file.id);
                if !files.iter().all(listed) {
                    let message = format!("no `exec` rule allows {}", quoted(&path.value));
                    let lint = Diagnostic::lint(Lint::UnlistedBinary, path.span, message);
                    self.fault(lint.hint("list it, or every session ends before it begins"));
                }
            }
            Err(fault) => self.fault(fault),
        }
    }

    /// One lint for all paths of a rule that lead nowhere and may: what most hosts have some of is no
    /// news line by line.
    fn tell_missing(&mut self, paths: &'a [Spanned<String>], consequence: &str) {
        let mut missing = paths
            .iter()
            .filter(|path| matches!(*self.fact(&path.value), PathFact::Missing));
        let Some(first) = missing.next() else {
            return;
        };
        let others: Vec<String> = missing.map(|path| quoted(&path.value)).collect();
        let message = match others.len() {
            0 => format!("{} is not there: {consequence}", quoted(&first.value)),
            more => format!(
                "{} and {more} more of {} are not there: {consequence}",
                quoted(&first.value),
                paths.len()
            ),
        };
        let lint = Diagnostic::lint(Lint::MissingFile, first.span, message);
        self.fault(if others.is_empty() {
            lint
        } else {
            lint.hint(format!("the others are {}", others.join(", ")))
        });
    }

    /// Reports the files whose content is neither root's alone nor known by digest.
    fn trust(&mut self, rule: &ExecRule, path: &Spanned<String>, files: &[FileFact]) {
        let pins_all = !rule.sha256.is_empty() && !path.value.ends_with('/');
        let doubtful = files.iter().filter(|file| pins_all || !file.is_roots());
        let mut bad = doubtful.filter_map(|file| self.distrust(rule, path.span, file));
        let shown: Vec<Diagnostic> = bad.by_ref().take(MOST_FILES_SHOWN).collect();
        let more = bad.count();
        self.resolved.faults.extend(shown);
        if more > 0 {
            let message = format!(
                "{more} more files below {} need a digest",
                quoted(&path.value)
            );
            self.fault(Diagnostic::error(path.span, message));
        }
    }

    fn distrust(&self, rule: &ExecRule, span: Span, file: &FileFact) -> Option<Diagnostic> {
        let name = quoted(&file.path);
        let digest = file.sha256.map_or_else(|| self.facts.sha256(file), Ok);
        let digest = match digest {
            Ok(digest) => digest,
            Err(reason) => {
                let message = format!("{name} cannot be read for its digest: {reason}");
                return Some(Diagnostic::error(span, message));
            }
        };
        if rule.sha256.iter().any(|listed| listed.value == digest) {
            return None;
        }
        let digest = hexadecimal(&digest);
        if file.is_roots() {
            let message = format!("{name} has a digest that the rule does not list: {digest}");
            return Some(Diagnostic::error(span, message).expected("a file that `sha256` lists"));
        }
        let message = format!("{name} {} and needs a digest", why_not_roots(file));
        Some(
            Diagnostic::error(span, message)
                .expected("a file of root's that group and others cannot write")
                .hint(format!(
                    "if it is the right file, add \"{digest}\" to the rule's `sha256`"
                )),
        )
    }

    fn by(&mut self, paths: &'a [Spanned<String>]) -> BTreeSet<FileId> {
        let mut files = BTreeSet::new();
        for path in paths {
            let fact = self.fact(&path.value);
            match regular_files(path, &fact) {
                Ok(found) => files.extend(found.iter().map(|file| file.id)),
                Err(fault) => self.fault(fault),
            }
        }
        self.tell_missing(paths, "the rule holds without it");
        files
    }

    fn unix(&mut self, index: usize, effect: Effect, peer: &'a Spanned<Peer>) {
        let key = match &peer.value {
            Peer::Abstract(name) => UnixKey::abstract_name(name.as_bytes()),
            Peer::Path(path) => self.socket(effect, path, peer.span),
        };
        if let Some(key) = key {
            let rules = self.resolved.unix.entry(key).or_default();
            if rules.last() != Some(&index) {
                rules.push(index);
            }
        }
    }

    fn socket(&mut self, effect: Effect, path: &'a str, span: Span) -> Option<UnixKey> {
        let fact = self.fact(path);
        let id = if let PathFact::Socket { id } = &*fact {
            Some(*id)
        } else {
            None
        };
        if effect == Effect::Allow && is_control_socket(path, id, self.facts) {
            self.fault(
                Diagnostic::error(span, "this is the enforcer's own control socket")
                    .hint("remove it: an agent asks its governor through the enforcer's commands"),
            );
            return None;
        }
        let fault = match &*fact {
            PathFact::Socket { id } => return Some(UnixKey::path(*id)),
            PathFact::Missing => {
                let message = format!("no socket is at {} now", quoted(path));
                Diagnostic::lint(Lint::MissingFile, span, message)
            }
            PathFact::File(_) => not_a(span, path, "a regular file", "a unix socket"),
            PathFact::Directory { .. } => not_a(span, path, "a directory", "a unix socket"),
            PathFact::Other(kind) => not_a(span, path, kind, "a unix socket"),
            PathFact::Unreadable(reason) => unreadable(span, path, reason),
        };
        self.fault(fault);
        None
    }
}

/// Whether files of the rule that are not there are left out instead of being an error.
fn may_be_missing(rule: &ExecRule) -> bool {
    rule.effect == Effect::Deny || rule.optional
}

/// The regular files that a path names: itself, or those below a directory.
fn regular_files<'f>(
    path: &Spanned<String>,
    fact: &'f PathFact,
) -> Result<&'f [FileFact], Diagnostic> {
    let (text, span) = (path.value.as_str(), path.span);
    let is_directory = text.ends_with('/');
    match fact {
        PathFact::Directory { files, .. } if is_directory => Ok(files),
        PathFact::File(file) if !is_directory => Ok(std::slice::from_ref(file)),
        PathFact::Directory { .. } => Err(not_a(span, text, "a directory", "a regular file").hint(
            format!("end it with `/` if every file below it is meant: \"{text}/\""),
        )),
        PathFact::File(_) => {
            let bare = text.trim_end_matches('/');
            Err(not_a(span, text, "a regular file", "a directory")
                .hint(format!("write \"{bare}\" without `/` at the end")))
        }
        PathFact::Socket { .. } => Err(not_a(span, text, "a unix socket", "a regular file")
            .hint("sockets belong in `[[unix]]`")),
        PathFact::Other(kind) => Err(not_a(span, text, kind, "a regular file")),
        PathFact::Missing => Ok(&[]),
        PathFact::Unreadable(reason) => Err(unreadable(span, text, reason)),
    }
}

fn not_a(span: Span, path: &str, kind: &str, expected: &str) -> Diagnostic {
    Diagnostic::error(span, format!("{} is {kind}", quoted(path))).expected(expected)
}

fn unreadable(span: Span, path: &str, reason: &str) -> Diagnostic {
    Diagnostic::error(
        span,
        format!("{} cannot be looked up: {reason}", quoted(path)),
    )
}

fn why_not_roots(file: &FileFact) -> String {
    if file.owner_uid != 0 {
        format!("belongs to user {}", file.owner_uid)
    } else {
        format!("can be written by group or others (mode {:04o})", file.mode)
    }
}

fn hexadecimal(digest: &[u8; 32]) -> String {
    use std::fmt::Write as _;
    digest
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
