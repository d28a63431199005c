//! What is decided when a table is missing, full or says something else than it should: each doubt is
//! brought about on the live maps, from outside any session.
#![forbid(unsafe_code)]

use std::any::Any;

use enforcer_common::{
    label::{AGENT_PRESENT, GONE, Pending},
    maps::{MAX_GUARDED, MAX_LEARN, MAX_PENDING, MAX_TABLES},
    object::{FileId, Learned},
};
use enforcer_tests::{
    Live, Policy, TcpServer, UnixServer,
    cli::{json, must, probe, told, unique},
    maps::{ChangedAgent, ChangedLabel, ChangedSession, Full},
    place,
    server::LOOPBACK,
    session::start,
};

/// A session that may do one thing of each kind.
struct Scene {
    server: TcpServer,
    socket: UnixServer,
    policy: Policy,
    attempts: [String; 3],
}

impl Scene {
    fn new(label: &str) -> Self {
        let server = TcpServer::on(LOOPBACK);
        let path = place::directory(label).join("socket");
        let path = place::text(&path);
        let socket = UnixServer::at(path);
        let policy = Policy::new(label)
            .exec("true", &["/usr/bin/true"])
            .connect("server", &[&server.destination()])
            .unix("socket", &[path]);
        let attempts = [
            format!("connect tcp {}", server.address),
            "exec /usr/bin/true".to_owned(),
            format!("unix stream {path}"),
        ];
        Self {
            server,
            socket,
            policy,
            attempts,
        }
    }

    /// Every attempt works, and arrives where it goes to.
    fn all_done(&self, live: &mut Live) {
        for attempt in &self.attempts {
            let answer = live.ask(attempt);
            assert_eq!(answer.errno, 0, "{answer:?}");
        }
        assert_eq!((self.server.arrived(), self.socket.arrived()), (1, 1));
    }

    /// None works, and nothing arrives.
    fn all_denied(&self, live: &mut Live) {
        for attempt in &self.attempts {
            let answer = live.ask(attempt);
            assert!(answer.denied(), "{answer:?}");
        }
        assert_eq!((self.server.arrived(), self.socket.arrived()), (0, 0));
    }

    /// Brings a doubt about while a session runs: everything is denied, for this reason, and goes on as
    /// before once it is over.
    fn under(&self, reason: &str, policy: &Policy, doubt: impl FnOnce(&str) -> Box<dyn Any>) {
        let mut live = policy.apply().live();
        self.all_done(&mut live);
        let over = doubt(&live.session());
        self.all_denied(&mut live);
        drop(over);
        self.all_done(&mut live);
        let records = live.records();
        let denied = records.iter().filter(|record| record.verdict() == "deny");
        let reasons: Vec<_> = denied.map(|record| record.reason()).collect();
        assert_eq!(reasons, [reason; 3]);
    }
}

#[test]
fn a_label_that_names_no_session_is_denied_everything_in_monitor_mode_too() {
    let scene = Scene::new("no-session");
    for policy in [scene.policy.clone(), scene.policy.clone().monitor()] {
        scene.under("session-unknown", &policy, |session| {
            Box::new(ChangedSession::new(session, |one| one.id ^= 1))
        });
    }
}

#[test]
fn a_label_that_could_not_be_removed_with_its_task_holds_nobody() {
    let (open, closed) = (TcpServer::on(LOOPBACK), TcpServer::on(LOOPBACK));
    let agent = Policy::new("gone")
        .connect("open", &[&open.destination()])
        .apply();
    let mut live = agent.live();
    let attempt = format!("connect tcp {}", closed.address);
    assert!(live.ask(&attempt).denied());
    assert_eq!(closed.arrived(), 0);
    let gone = ChangedLabel::new(live.pid(), |label| label.session = GONE);
    assert_eq!(live.ask(&attempt).errno, 0);
    assert_eq!(closed.arrived(), 1);
    drop(gone);
    assert!(live.ask(&attempt).denied());
    assert_eq!(closed.arrived(), 0);
}

#[test]
fn an_agent_that_the_policy_does_not_know_is_denied_everything_in_monitor_mode_too() {
    let scene = Scene::new("no-agent");
    for policy in [scene.policy.clone(), scene.policy.clone().monitor()] {
        scene.under("agent-not-in-policy", &policy, |session| {
            Box::new(ChangedAgent::new(session, |one| {
                one.flags &= !AGENT_PRESENT
            }))
        });
    }
}

#[test]
fn an_agent_without_its_tables_is_denied_everything() {
    let scene = Scene::new("no-tables");
    scene.under("table-missing", &scene.policy, |session| {
        Box::new(ChangedAgent::new(session, |one| one.tables = MAX_TABLES))
    });
}

#[test]
fn a_script_of_a_script_of_a_script_does_not_run() {
    let folder = place::directory("too-deep");
    let script = |name: &str, interpreter: &str| {
        let path = folder.join(name);
        place::text(&place::script(&path, &format!("#!{interpreter}\n"))).to_owned()
    };
    let first = script("first", place::text(&probe()));
    let second = script("second", &first);
    let third = script("third", &second);
    let policy = Policy::new("too-deep").exec("scripts", &[&first, &second, &third]);
    let run = policy
        .apply()
        .probe(&[format!("exec {second} pid"), format!("exec {third} pid")]);
    let [two, three] = &run.answers[..] else {
        panic!("{:?}", run.answers)
    };
    assert_eq!(two.errno, 0, "{two:?}");
    assert!(!two.output.is_empty());
    assert!(three.denied() && three.status.is_none(), "{three:?}");
    let records = run.records();
    let mut denied = records.iter().filter(|record| record.verdict() == "deny");
    assert_eq!(
        denied.next().map(|record| record.reason()),
        Some("interpreters-too-deep")
    );
}

#[test]
fn without_room_for_a_pending_label_run_starts_nothing() {
    let mark = place::directory("pending").join("mark");
    let agent = Policy::new("pending")
        .exec("touch", &["/usr/bin/touch"])
        .apply();
    let run = || {
        let mut run = start(&agent.name, &unique("task"));
        run.arg("/usr/bin/touch").arg(&mark);
        run.output().expect("enforcer")
    };
    let full = Full::<u32, Pending>::new("PENDING", u32::MAX - MAX_PENDING..=u32::MAX);
    let output = run();
    assert!(
        !output.status.success() && !mark.exists(),
        "{}",
        told(&output)
    );
    drop(full);
    let output = run();
    assert!(
        output.status.success() && mark.exists(),
        "{}",
        told(&output)
    );
}

fn generation() -> u64 {
    json(["status"])["generation"].as_u64().expect("a number")
}

#[test]
fn without_room_to_learn_or_to_guard_a_file_a_policy_is_refused_and_nothing_changes() {
    let folder = place::directory("no-room");
    let tool = place::copy("/usr/bin/true", folder.join("tool"));
    let policy = Policy::new("no-room").exec("tool", &[place::text(&tool)]);
    let before = generation();
    let is_refused = || {
        let output = policy.try_apply();
        assert!(!output.status.success(), "{}", told(&output));
        assert!(!must(["policy", "list"]).contains(&policy.name));
        assert_eq!(generation(), before);
    };
    let full = Full::<u64, Learned>::new("LEARN", 1..=u64::from(MAX_LEARN) + 1);
    is_refused();
    drop(full);
    let nowhere = |number: u32| FileId {
        inode: u64::from(number),
        device: u32::MAX,
        generation: 0,
    };
    let full = Full::<FileId, u32>::new("GUARDED", (0..=MAX_GUARDED).map(nowhere));
    is_refused();
    drop(full);
    policy.apply();
    assert!(must(["policy", "list"]).contains(&policy.name));
}
