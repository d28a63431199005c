//! Text to model: strict, and all errors at once.

mod agent;
mod destination;
mod example;
mod fault;
mod fields;
mod path;
mod rule;
mod until;

use std::collections::HashMap;

use toml::de::DeTable;

use self::fields::{Fields, Log};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, quoted},
    model::{Agent, End, Example, ExecRule, InternetRule, Policy, UnixRule},
    source::{Includes, MAX_SOURCE_BYTES, Parsed, Source, Sources, Span, Spanned, too_large},
};

/// Files that one policy may consist of.
pub const MAX_FILES: usize = 64;
/// Bytes that all files of one policy may have together.
pub(crate) const MAX_TOTAL_BYTES: usize = 4 << 20;
/// Syntax errors shown of one file: after the first few the parser only guesses.
const MAX_SYNTAX_ERRORS: usize = 10;

/// Reads a policy and the files that it includes.
///
/// # Errors
/// Every error of every file, in the order of their places.
pub fn parse(source: Source, includes: &dyn Includes) -> Result<Parsed, Diagnostics> {
    let mut reader = Reader::new(includes);
    reader.file(source, &[], true);
    reader.check_ids();
    reader.finish()
}

/// What is being read, and what was found so far.
struct Reader<'a> {
    includes: &'a dyn Includes,
    sources: Vec<Source>,
    log: Log,
    agent: Option<Agent>,
    exec: Vec<ExecRule>,
    connect: Vec<InternetRule>,
    listen: Vec<InternetRule>,
    unix: Vec<UnixRule>,
    examples: Vec<Example>,
}

impl<'a> Reader<'a> {
    fn new(includes: &'a dyn Includes) -> Self {
        Self {
            includes,
            sources: Vec::new(),
            log: Log::default(),
            agent: None,
            exec: Vec::new(),
            connect: Vec::new(),
            listen: Vec::new(),
            unix: Vec::new(),
            examples: Vec::new(),
        }
    }

    /// Reads one file and, after it, those that it includes. `chain` is the way to it from the root.
    fn file(&mut self, source: Source, chain: &[String], is_root: bool) {
        let index = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        let mut chain = chain.to_vec();
        chain.push(source.name.clone());
        let text = source.text.clone();
        self.sources.push(source);
        if text.len() > MAX_SOURCE_BYTES {
            let mut fault = too_large(text.len());
            fault.span.source = index;
            self.log.push(fault);
            return;
        }
        let (document, faults) = DeTable::parse_recoverable(&text);
        if !faults.is_empty() {
            self.syntax(index, text.len(), &faults);
            return;
        }
        let included = self.document(index, &text, document.get_ref(), is_root);
        for path in included {
            self.include(&path, &chain);
        }
    }

    fn syntax(&mut self, index: u32, length: usize, faults: &[toml::de::Error]) {
        for fault in faults.iter().take(MAX_SYNTAX_ERRORS) {
            let bytes = fault.span().unwrap_or(length..length);
            let message = fault.message().replace('\n', "; ");
            self.log.push(Diagnostic::error(
                Span::new(index, bytes),
                format!("this is not TOML: {message}"),
            ));
        }
    }

    /// Reads a parsed file; returns what it includes.
    fn document(
        &mut self,
        index: u32,
        text: &str,
        document: &DeTable<'_>,
        is_root: bool,
    ) -> Vec<Spanned<String>> {
        let place = Span::new(index, 0..0);
        let open = if is_root {
            Fields::open_root
        } else {
            Fields::open_included
        };
        let fields = open(&mut self.log, text, document, place);
        self.log_schema(&fields);
        if let Some(table) = fields.table("agent") {
            self.agent = agent::parse(&mut self.log, text, table);
        }
        for table in fields.tables("exec") {
            self.exec.extend(rule::exec(&mut self.log, text, table));
        }
        for table in fields.tables("connect") {
            self.connect
                .extend(rule::internet(&mut self.log, text, table, End::Remote));
        }
        for table in fields.tables("listen") {
            self.listen
                .extend(rule::internet(&mut self.log, text, table, End::Local));
        }
        for table in fields.tables("unix") {
            self.unix.extend(rule::unix(&mut self.log, text, table));
        }
        for table in fields.tables("example") {
            self.examples
                .extend(example::parse(&mut self.log, text, table));
        }
        fields.texts("include").unwrap_or_default()
    }

    fn log_schema(&mut self, fields: &Fields<'_>) {
        if let Some(schema) = fields.integer("schema").filter(|schema| schema.value != 1) {
            self.log.push(
                Diagnostic::error(schema.span, format!("schema {} is not known", schema.value))
                    .expected("1")
                    .hint("this enforcer reads schema 1; a newer one may read this policy"),
            );
        }
    }

    fn include(&mut self, path: &Spanned<String>, chain: &[String]) {
        let Some(including) = chain.last() else {
            return;
        };
        let source = match self.includes.read(including, &path.value) {
            Ok(source) => source,
            Err(reason) => {
                let message = format!("{} cannot be included: {reason}", quoted(&path.value));
                return self.log.push(Diagnostic::error(path.span, message));
            }
        };
        if let Some(start) = chain.iter().position(|name| *name == source.name) {
            return self
                .log
                .push(include_loop(path.span, &chain[start..], &source.name));
        }
        if self.sources.iter().any(|known| known.name == source.name) {
            return;
        }
        let bytes: usize = self.sources.iter().map(|s| s.text.len()).sum();
        if self.sources.len() >= MAX_FILES || bytes + source.text.len() > MAX_TOTAL_BYTES {
            let limit = format!("{MAX_FILES} files and {MAX_TOTAL_BYTES} bytes");
            let message = format!("the policy with its includes is larger than {limit}");
            return self.log.push(Diagnostic::error(path.span, message));
        }
        self.file(source, chain, false);
    }

    /// Ids name rules in records, so one id is one rule, of whatever kind and file.
    fn check_ids(&mut self) {
        let exec = self.exec.iter().map(|rule| &rule.id);
        let connect = self.connect.iter().map(|rule| &rule.id);
        let listen = self.listen.iter().map(|rule| &rule.id);
        let unix = self.unix.iter().map(|rule| &rule.id);
        let mut ids: Vec<&Spanned<String>> =
            exec.chain(connect).chain(listen).chain(unix).collect();
        ids.sort_by_key(|id| id.span);
        let mut first: HashMap<&str, Span> = HashMap::new();
        for id in ids {
            if let Some(before) = first.get(id.value.as_str()) {
                let message = format!("the rule id {} is taken", quoted(&id.value));
                self.log.push(
                    Diagnostic::error(id.span, message)
                        .expected("an id of its own")
                        .also(*before, "first used here"),
                );
            } else {
                first.insert(&id.value, id.span);
            }
        }
    }

    fn finish(self) -> Result<Parsed, Diagnostics> {
        let sources = Sources::new(self.sources);
        let faults = self.log.into_list();
        match self.agent {
            Some(agent) if faults.is_empty() => Ok(Parsed {
                policy: Policy {
                    agent,
                    exec: self.exec,
                    connect: self.connect,
                    listen: self.listen,
                    unix: self.unix,
                    examples: self.examples,
                    sources: sources.clone(),
                },
                sources,
            }),
            // A missing agent is among the faults: the key is required.
            Some(_) | None => Err(Diagnostics::new(sources, faults)),
        }
    }
}

fn include_loop(span: Span, chain: &[String], name: &str) -> Diagnostic {
    let mut way: Vec<String> = chain.iter().map(|file| quoted(file)).collect();
    way.push(quoted(name));
    Diagnostic::error(
        span,
        format!("the includes form a loop: {}", way.join(" -> ")),
    )
    .hint("remove one of them; a file that two others include is added once")
}
