//! The kernel decides as `judge` means: random policies and requests, put to both.
//!
//! The subjects are sessions that run all the time, one for each executable of the pool, held to one
//! agent's policy that is swapped under them for each case. So they are also subjects that a policy no
//! longer lists, and scripts whose interpreter it lists alone.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use enforcer_common::object::{FileId, FileStamp};
use enforcer_policy::{
    Facts, FileFact, Judgement, NoIncludes, PathFact, Policy as Parsed, Request, Subject,
    arbitrary::{Action, Ask, Case, Choices, pool},
    judge, parse,
};
use enforcer_tests::{Live, Policy, Record, UnixServer, cli, long, place};

/// Requests of a run at least.
fn requests() -> usize {
    if long() { 20_000 } else { 2_000 }
}

/// The files of the pool that are scripts, each with its interpreter; the others are programs.
const SCRIPTS: [(&str, &str); 2] = [("bin/c", "bin/a"), ("lib/f", "lib/e")];
/// What the probe says of an address that it could not bind.
const NOT_BOUND: &str = "not bound";
/// Abstract names that requests are about.
const ABSTRACT: [&str; 4] = ["one", "on", "one-more", "two"];

/// The pool on the disk.
struct Pool {
    base: String,
    servers: Vec<UnixServer>,
}

impl Pool {
    fn make() -> Self {
        let base = place::text(&place::directory("pool")).to_owned();
        let mut servers = Vec::new();
        for entry in pool(&base) {
            fs::create_dir_all(Path::new(&entry.path).parent().unwrap()).unwrap();
            let name = entry
                .path
                .strip_prefix(&base)
                .unwrap()
                .trim_start_matches('/');
            let script = SCRIPTS.iter().find(|(script, _)| *script == name);
            match (&entry.same_as, script) {
                (Some(same), _) => fs::hard_link(same, &entry.path).unwrap(),
                (None, Some((_, interpreter))) => {
                    place::script(&entry.path, &format!("#!{base}/{interpreter}\n"));
                }
                (None, None) if entry.is_socket => servers.push(UnixServer::at(&entry.path)),
                (None, None) => {
                    place::copy(cli::probe(), &entry.path);
                }
            }
        }
        servers.extend(ABSTRACT.map(|name| UnixServer::at(&format!("@{name}"))));
        Self { base, servers }
    }

    /// Every executable, by one of its paths.
    fn executables(&self) -> Vec<String> {
        let entries = pool(&self.base).into_iter();
        let files = entries.filter(|entry| entry.same_as.is_none() && !entry.is_socket);
        files.map(|entry| entry.path).collect()
    }

    /// The interpreter of an executable that is a script.
    fn interpreter(&self, path: &str) -> Option<String> {
        let name = path.strip_prefix(&self.base)?.trim_start_matches('/');
        let (_, interpreter) = SCRIPTS.iter().find(|(script, _)| *script == name)?;
        Some(format!("{}/{interpreter}", self.base))
    }

    /// The path by which [`Pool::executables`] knows the file of an entry.
    fn known(&self, path: &str) -> String {
        let entries = pool(&self.base);
        let entry = entries.iter().find(|entry| entry.path == path).unwrap();
        entry.same_as.clone().unwrap_or_else(|| path.to_owned())
    }
}

/// The disk as facts.
struct Disk;

impl Disk {
    fn file(path: &Path) -> FileFact {
        let meta = fs::metadata(path).unwrap();
        FileFact {
            path: place::text(path).to_owned(),
            id: FileId {
                inode: meta.ino(),
                device: 0,
                generation: 0,
            },
            stamp: FileStamp {
                ctime_sec: meta.ctime(),
                ctime_nsec: meta.ctime_nsec().try_into().unwrap(),
                pad: 0,
                size: meta.size(),
            },
            owner_uid: meta.uid(),
            mode: meta.mode() & 0o7777,
            sha256: None,
        }
    }

    fn below(directory: &Path, files: &mut Vec<FileFact>) {
        let entries = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut entries: Vec<PathBuf> = entries.collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                Self::below(&path, files);
            } else if path.is_file() {
                files.push(Self::file(&path));
            }
        }
    }
}

impl Facts for Disk {
    fn path(&self, path: &str) -> PathFact {
        let at = Path::new(path);
        match fs::metadata(at) {
            Err(_) => PathFact::Missing,
            Ok(meta) if meta.is_dir() => {
                let mut files = Vec::new();
                Self::below(at, &mut files);
                PathFact::Directory {
                    owner_uid: meta.uid(),
                    mode: meta.mode() & 0o7777,
                    files,
                }
            }
            Ok(meta) if meta.is_file() => PathFact::File(Self::file(at)),
            Ok(meta) => PathFact::Socket {
                id: FileId {
                    inode: meta.ino(),
                    device: 0,
                    generation: 0,
                },
            },
        }
    }

    fn sha256(&self, path: &str) -> Result<[u8; 32], String> {
        Err(format!("{path} has no known content"))
    }
}

/// What one attempt must leave in the log: a record a decision.
struct Expected {
    /// For the message of a failure: the case, and what was asked.
    told: String,
    judgements: Vec<Judgement>,
}

/// A session that runs one executable of the pool, and what its log must say.
struct Actor {
    live: Live,
    expected: Vec<Expected>,
}

/// A case in force, being asked.
struct Asking<'a> {
    pool: &'a Pool,
    policy: &'a Parsed,
    /// Stamps as the daemon judged them when it applied the policy.
    facts: &'a Frozen,
    label: String,
}

/// The disk as it was when a policy was applied.
struct Frozen(BTreeMap<String, PathFact>);

impl Frozen {
    fn now(pool_of: &Pool) -> Self {
        let base = &pool_of.base;
        let entries = pool(base).into_iter().map(|entry| entry.path);
        let others = ["bin/", "bin/sub/", "lib/", "bin/missing", "run/missing"];
        let paths = entries.chain(others.map(|name| format!("{base}/{name}")));
        Self(paths.map(|path| (path.clone(), Disk.path(&path))).collect())
    }
}

impl Facts for Frozen {
    fn path(&self, path: &str) -> PathFact {
        self.0.get(path).cloned().unwrap_or(PathFact::Missing)
    }

    fn sha256(&self, path: &str) -> Result<[u8; 32], String> {
        Disk.sha256(path)
    }
}

impl Asking<'_> {
    /// The acting executable's files: a script and its interpreter, or a program.
    fn subject(&self, path: &str) -> Subject {
        let files = [Some(path.to_owned()), self.pool.interpreter(path)];
        let files = files.into_iter().flatten();
        Subject {
            files: files.map(|path| self.file(&path)).collect(),
        }
    }

    fn file(&self, path: &str) -> FileId {
        Disk::file(Path::new(path)).id
    }

    /// Puts a request to an actor; keeps what the log must say. Gives the difference, if there is one.
    fn put(&self, actor: &mut Actor, acting: &str, ask: &Ask) -> Option<String> {
        let subject = self.subject(acting);
        let (attempt, requests) = self.words(ask);
        let mut judgements = Vec::new();
        for request in requests {
            judgements.push(judge(self.policy, self.facts, &subject, &request));
            if !judgements.iter().all(|judgement| judgement.allowed) {
                break;
            }
        }
        let allowed = judgements.iter().all(|judgement| judgement.allowed);
        let answer = actor.live.ask(&attempt);
        assert!(answer.errno >= 0, "{answer:?}");
        if answer.output == NOT_BOUND {
            return None; // the kernel had reasons of its own before anybody was asked
        }
        let told = format!("{}: {acting}: {attempt}", self.label);
        let difference = (answer.denied() == allowed)
            .then(|| format!("{told}: errno {}, {judgements:?}", answer.errno));
        actor.expected.push(Expected { told, judgements });
        difference
    }

    /// The attempt in the probe's words, and what the kernel must ask itself, one after the other.
    fn words(&self, ask: &Ask) -> (String, Vec<Request>) {
        match &ask.action {
            Action::Exec { path, .. } => {
                let levels = [Some(self.pool.known(path)), self.pool.interpreter(path)];
                let levels = levels.into_iter().flatten();
                let request = |path: String| {
                    let file = Disk::file(Path::new(&path));
                    Request::Exec {
                        file: file.id,
                        stamp: file.stamp,
                    }
                };
                (format!("exec {path}"), levels.map(request).collect())
            }
            Action::Connect(protocol, address, port) => {
                let to = std::net::SocketAddr::new(*address, *port);
                let attempt = format!("connect {} {to}", protocol.name());
                (attempt, vec![self.request(ask)])
            }
            Action::Listen(protocol, address, port) => {
                let at = std::net::SocketAddr::new(*address, *port);
                let attempt = format!("listen {} {at}", protocol.name());
                (attempt, vec![self.request(ask)])
            }
            Action::Socket(path) => (format!("unix stream {path}"), vec![self.request(ask)]),
            Action::Abstract(name) => (format!("unix stream @{name}"), vec![self.request(ask)]),
        }
    }

    fn request(&self, ask: &Ask) -> Request {
        let launcher = Ask {
            by: Vec::new(),
            action: ask.action.clone(),
        };
        launcher.resolve(&Disk).expect("the pool is there").1
    }
}

/// The text of a case as a policy of the agent that the actors are held to.
fn of_agent(agent: &str, case: &Case) -> String {
    let text = &case.source.text;
    let named = text.replacen("\"arbitrary\"", &format!("\"{agent}\""), 1);
    named.replacen(
        "purpose = \"tests\"\n",
        "purpose = \"tests\"\n[agent.enrol]\nlaunch = {}\n",
        1,
    )
}

fn apply(agent: &str, case: &Case) {
    let file = PathBuf::from(format!("/run/{agent}.toml"));
    fs::write(&file, of_agent(agent, case)).unwrap();
    cli::must(["policy", "apply", place::text(&file)]);
}

/// Whether a request can be put to a kernel: the launcher's image is not among the actors, since it does
/// nothing but its one exec, and for port 0 the kernel takes another port before anybody is asked.
fn can_be_put(ask: &&Ask) -> bool {
    !ask.by.is_empty() && !matches!(ask.action, Action::Listen(_, _, 0))
}

/// Puts a whole case to the actors; gives the number of requests.
fn put_case(
    pool: &Pool,
    agent: &str,
    seed: u64,
    actors: &mut BTreeMap<String, Actor>,
    differences: &mut Vec<String>,
) -> usize {
    let case = Case::generate(&mut Choices::from_seed(seed), &pool.base);
    let policy = parse(case.source.clone(), &NoIncludes).unwrap().policy;
    apply(agent, &case);
    let facts = Frozen::now(pool);
    let asking = Asking {
        pool,
        policy: &policy,
        facts: &facts,
        label: format!("seed {seed}"),
    };
    let asks = case.asks.iter().filter(can_be_put);
    let changed = |ask: &&Ask| matches!(ask.action, Action::Exec { changed: true, .. });
    let (last, first): (Vec<&Ask>, Vec<&Ask>) = asks.partition(changed);
    let asks = [first, last].concat();
    for ask in &asks {
        if let Action::Exec {
            path,
            changed: true,
        } = &ask.action
        {
            place::mode(Path::new(path), 0o755); // the same mode, a new ctime
        }
        let acting = pool.known(&ask.by[0]);
        let actor = actors.get_mut(&acting).expect("each executable acts");
        differences.extend(asking.put(actor, &acting, ask));
    }
    for server in &pool.servers {
        let _ = server.arrived(); // so that its queue does not fill up
    }
    asks.len()
}

/// Looks that the records of an actor are what was expected, one for one; counts the reasons.
fn compare(actor: Actor, differences: &mut Vec<String>, reasons: &mut BTreeMap<String, usize>) {
    let Actor { live, expected } = actor;
    let mut records = live.records();
    records.retain(|record| !record.kind().starts_with("session"));
    for record in &records {
        *reasons.entry(record.reason().to_owned()).or_default() += 1;
    }
    // The executable's own start: the script and its interpreter, or the program.
    let own = |record: &Record| record.0["unmapped"]["exec"] == 0;
    let mut records = records.into_iter().skip_while(own).peekable();
    for Expected { told, judgements } in expected {
        let mut said: Vec<String> = records.next().iter().map(decision).collect();
        let further_level = |record: &Record| record.0["unmapped"]["level"].as_u64() > Some(0);
        while let Some(record) = records.next_if(further_level) {
            said.push(decision(&record));
        }
        let meant: Vec<String> = judgements.iter().map(meaning).collect();
        if said != meant {
            differences.push(format!("{told}: {said:?} and not {meant:?}"));
        }
    }
    assert!(records.next().is_none(), "a record a decision");
}

/// Verdict, reason and rule of a record.
fn decision(record: &Record) -> String {
    format!("{} {} {}", record.verdict(), record.reason(), record.rule())
}

fn meaning(judgement: &Judgement) -> String {
    let verdict = if judgement.allowed { "allow" } else { "deny" };
    let rule = judgement.rule.as_deref().unwrap_or("");
    format!("{verdict} {} {rule}", judgement.reason.name())
}

#[test]
fn the_kernel_decides_as_judge_means() {
    let pool = Pool::make();
    let all = pool.executables();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let agent = Policy::bare("arbitrary").exec("all", &all).apply().name;
    let actor = |path: &&str| {
        let live = Live::of_program(&agent, path);
        let expected = Vec::new();
        ((*path).to_owned(), Actor { live, expected })
    };
    let mut actors: BTreeMap<String, Actor> = all.iter().map(actor).collect();
    for actor in actors.values_mut() {
        actor.live.ask(""); // it runs before the first swap
    }
    let (mut asked, mut seed) = (0, 0);
    let (mut differences, mut reasons) = (Vec::new(), BTreeMap::new());
    while asked < requests() {
        asked += put_case(&pool, &agent, seed, &mut actors, &mut differences);
        seed += 1;
    }
    for actor in actors.into_values() {
        compare(actor, &mut differences, &mut reasons);
    }
    println!("{asked} requests in {seed} cases: {reasons:?}");
    let all = [
        "rule-allows",
        "rule-denies",
        "not-listed",
        "not-for-this-binary",
        "file-changed",
    ];
    for reason in all.into_iter().chain(["executable-not-listed"]) {
        let count = reasons.get(reason).copied().unwrap_or(0);
        assert!(count >= 10, "{reason} came {count} times: {reasons:?}");
    }
}
