//! The kernel decides as `judge` means: random policies and requests, put to both.
//!
//! The subjects are sessions that run all the time, one for each executable of the pool, held to one
//! agent's policy that is swapped under them for each case. So they are also subjects that a policy no
//! longer lists, and scripts whose interpreter it lists alone.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use enforcer_common::{object::FileId, verdict::Reason};
use enforcer_policy::{
    Judgement, NoIncludes, Policy as Parsed, Request, Subject,
    arbitrary::{Action, Ask, Case, Choices},
    judge, parse,
};
use enforcer_tests::{
    Live, Policy, Record, cli, long, place,
    pool::{Disk, Frozen, Pool},
};

/// Requests of a run at least.
fn requests() -> usize {
    if long() { 20_000 } else { 2_000 }
}

/// Of so many requests one is by the executable that the case names, whether it is listed or not.
const NAMED_ONE_IN: usize = 5;
/// What the probe says of an address that it could not bind.
const NOT_BOUND: &str = "not bound";

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

impl Asking<'_> {
    /// The acting executable's files: a script and its interpreter, or a program.
    fn subject(&self, path: &str) -> Subject {
        let files = [Some(path.to_owned()), self.pool.interpreter(path)];
        let files = files.into_iter().flatten();
        Subject {
            files: files.map(|path| self.file(&path)).collect(),
        }
    }

    /// Who is to ask: the executable that the case names, or mostly, when the policy does not list it, the
    /// next one that it lists. Else half of all requests would be denied for their subject.
    fn acting(&self, ask: &Ask, index: usize) -> String {
        let named = self.pool.known(&ask.by[0]);
        let all = self.pool.executables();
        let first = all.iter().position(|path| *path == named).unwrap_or(0);
        let request = self.request(ask);
        let is_listed = |path: &&String| {
            let judgement = judge(self.policy, self.facts, &self.subject(path), &request);
            judgement.reason != Reason::ExecutableNotListed
        };
        let mut from_there = all.iter().cycle().skip(first).take(all.len());
        match from_there.find(is_listed) {
            Some(listed) if !index.is_multiple_of(NAMED_ONE_IN) => listed.clone(),
            Some(_) | None => named,
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
                let to = SocketAddr::new(*address, *port);
                let attempt = format!("connect {} {to}", protocol.name());
                (attempt, vec![self.request(ask)])
            }
            Action::Listen(protocol, address, port) => {
                let at = SocketAddr::new(*address, *port);
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
    for (index, ask) in asks.iter().enumerate() {
        if let Action::Exec {
            path,
            changed: true,
        } = &ask.action
        {
            place::mode(Path::new(path), 0o755); // the same mode, a new ctime
        }
        let acting = asking.acting(ask, index);
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
