//! Policies that are no policies, through the real command line: each is told with its place, and changes nothing.
#![forbid(unsafe_code)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use enforcer_tests::{
    Agent, Live, Policy, TcpServer,
    cli::{ENFORCER, enforcer, json, told},
    fault::{ended, stderr},
    place,
    server::LOOPBACK,
};

const HEAD: &str = "schema = 1\n[agent]\nname = \"bad\"\nowner = \"tests@example.com\"\npurpose = \"a test\"\n\
[agent.enrol]\nlaunch = {}\n";
/// The line of the first rule below `HEAD`.
const FIRST: usize = 8;
/// How long nonsense may be thought about, on an emulated processor that others use as well.
const SOON: Duration = Duration::from_secs(120);
/// Bytes that may be said of it.
const FEW: usize = 64 << 10;

/// What is in force before, and must be after.
struct Before {
    generation: u64,
    agent: Agent,
    live: Live,
    open: TcpServer,
    closed: TcpServer,
}

impl Before {
    fn new() -> Self {
        let (open, closed) = (TcpServer::on(LOOPBACK), TcpServer::on(LOOPBACK));
        let agent = Policy::new("before")
            .connect("open", &[&open.destination()])
            .apply();
        let mut before = Self {
            generation: generation(),
            live: agent.live(),
            agent,
            open,
            closed,
        };
        before.holds();
        before
    }

    fn holds(&mut self) {
        assert_eq!(generation(), self.generation);
        let policies = json(["policy", "list"]);
        let agents = policies.as_array().expect("a list").iter();
        let mut agents = agents.filter_map(|policy| policy["agent"].as_str());
        assert!(!agents.any(|agent| agent.starts_with("bad")), "{policies}");
        self.decides();
    }

    fn decides(&mut self) {
        assert_eq!(
            self.live
                .ask(&format!("connect tcp {}", self.open.address))
                .errno,
            0
        );
        assert!(
            self.live
                .ask(&format!("connect tcp {}", self.closed.address))
                .denied()
        );
        assert_eq!((self.open.arrived(), self.closed.arrived()), (1, 0));
    }
}

fn generation() -> u64 {
    json(["status"])["generation"].as_u64().expect("a number")
}

/// Applies a file; gives what was said, within bounds of time and length.
fn applied(file: &Path) -> Output {
    let began = Instant::now();
    let output = enforcer(["policy", "apply", place::text(file)]);
    let took = began.elapsed();
    assert!(took < SOON, "{took:?} for {}", file.display());
    assert!(
        output.stdout.len() + output.stderr.len() < FEW,
        "{} said too much",
        file.display()
    );
    output
}

fn refused_with(file: &Path, texts: &[&str]) {
    let output = applied(file);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert_eq!(output.stdout, b"", "{}", told(&output));
    for text in texts {
        assert!(said.contains(text), "`{text}` is not said: {said}");
    }
}

fn written(folder: &Path, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
    let file = folder.join(name);
    fs::write(&file, text).expect("the file is written");
    file
}

#[test]
fn what_is_wrong_in_a_text_is_told_with_its_place_and_changes_nothing() {
    let mut before = Before::new();
    let folder = place::directory("bad");
    for (number, (rules, line, column, message)) in [
        (
            "[[exec]]\nid = \"x\"\nallow = [\"/usr/bin/true\"]\nalow = []\n",
            3,
            1,
            "unknown key `alow`",
        ),
        (
            "[[exec]]\nid = 3\nallow = [\"/usr/bin/true\"]\n",
            1,
            6,
            "`id` is of the wrong type: integer",
        ),
        (
            "[[exec]]\nid = \"x\"\nallow = \"/usr/bin/true\"\n",
            2,
            9,
            "`allow` is of the wrong type: string",
        ),
        (
            "[[exec]]\nid = \"x\"\nallow = [\"usr/bin/true\"]\n",
            2,
            11,
            "`usr/bin/true` is not an absolute path",
        ),
        (
            "[[exec]]\nid = \"x\"\nallow = [\"/usr/../bin\"]\n",
            2,
            11,
            "`/usr/../bin` is not a plain path",
        ),
        (
            "[[connect]]\nid = \"x\"\nallow = [\"tcp:10.0.0.0/33:80\"]\n",
            2,
            15,
            "`/33` is not a prefix length",
        ),
        (
            "[[connect]]\nid = \"x\"\nallow = [\"tcp:10.0.0.1/8:80\"]\n",
            2,
            15,
            "the prefix has host bits",
        ),
        (
            "[[connect]]\nid = \"x\"\nallow = [\"tcp:10.0.0.1:0\"]\n",
            2,
            24,
            "`0` is not a port",
        ),
        (
            "[[connect]]\nid = \"x\"\nallow = [\"tcp:10.0.0.1:65536\"]\n",
            2,
            24,
            "`65536` is not a port",
        ),
        (
            "[[connect]]\nid = \"x\"\nallow = [\"tcp:10.0.0.1:9-1\"]\n",
            2,
            24,
            "the range is empty",
        ),
        (
            "[[connect]]\nid = \"x\"\nallow = [\"tcp:example.com:443\"]\n",
            2,
            15,
            "host names are not supported yet",
        ),
        (
            "[[unix]]\nid = \"x\"\nallow = [\"run/x\"]\n",
            2,
            11,
            "`run/x` is not an absolute path",
        ),
        (
            "[[unix]]\nid = \"x\"\nallow = [\"@a\"]\n[[unix]]\nid = \"x\"\nallow = [\"@b\"]\n",
            4,
            6,
            "the rule id `x` is taken",
        ),
        ("[risk]\n", 0, 2, "`risk` is not supported yet"),
        ("[[exec]\n", 0, 8, "this is not TOML"),
    ]
    .into_iter()
    .enumerate()
    {
        let file = written(&folder, &format!("{number}.toml"), format!("{HEAD}{rules}"));
        let at = format!("--> {}:{}:{column}", file.display(), FIRST + line);
        refused_with(&file, &[message, &at]);
    }
    before.holds();
}

#[test]
fn what_the_files_of_the_host_do_not_bear_out_is_told_and_changes_nothing() {
    let mut before = Before::new();
    let folder = place::directory("bad");
    let open = place::copy("/usr/bin/true", folder.join("open"));
    place::mode(&open, 0o777);
    let someones = place::copy("/usr/bin/true", folder.join("someones"));
    std::os::unix::fs::chown(&someones, Some(1000), None).expect("root may");
    let (open, someones, folder_text) = (
        place::text(&open),
        place::text(&someones),
        place::text(&folder),
    );
    for (number, (path, message, hint)) in [
        (
            "/usr/bin/not-there",
            "`/usr/bin/not-there` is not there".to_owned(),
            "correct the path",
        ),
        ("/usr/bin", "`/usr/bin` is".to_owned(), "end it with `/`"),
        (
            folder_text,
            format!("`{folder_text}` is a directory"),
            "end it with `/`",
        ),
        (
            open,
            format!("`{open}` can be written by group or others (mode 0777)"),
            "sha256",
        ),
        (
            someones,
            format!("`{someones}` belongs to user 1000 and needs a digest"),
            "sha256",
        ),
        ("/dev/null", "`/dev/null` is a device".to_owned(), ""),
    ]
    .into_iter()
    .enumerate()
    {
        let rule = format!("[[exec]]\nid = \"x\"\nallow = [\"{path}\"]\n");
        let file = written(&folder, &format!("{number}.toml"), format!("{HEAD}{rule}"));
        let at = format!("--> {}:{}:10", file.display(), FIRST + 2);
        refused_with(&file, &[&message, hint, &at, "nothing was changed"]);
    }
    before.holds();
    // Their twin: with its digest the same file is taken.
    let output = Command::new("sha256sum")
        .arg(open)
        .output()
        .expect("sha256sum runs");
    let digest = String::from_utf8_lossy(&output.stdout);
    let digest = digest.split(' ').next().expect("a digest");
    let rule = format!("[[exec]]\nid = \"x\"\nallow = [\"{open}\"]\nsha256 = [\"{digest}\"]\n");
    let good = written(
        &folder,
        "good.toml",
        format!("{HEAD}{rule}").replace("\"bad\"", "\"good\""),
    );
    let output = applied(&good);
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(generation(), before.generation + 1);
    before.decides();
}

#[test]
fn includes_that_loop_or_leave_the_folder_are_told() {
    let mut before = Before::new();
    let folder = place::directory("bad");
    written(&folder, "a.toml.d", "include = [\"b.toml.d\"]\n");
    written(&folder, "b.toml.d", "include = [\"a.toml.d\"]\n");
    for (name, included, texts) in [
        (
            "loop.toml",
            "a.toml.d",
            ["the includes form a loop", "/b.toml.d:1:12"],
        ),
        ("self.toml", "self.toml", ["self.toml", "/self.toml:1:12"]),
        (
            "none.toml",
            "none.d",
            ["none.d` cannot be read", "/none.toml:1:12"],
        ),
        (
            "out.toml",
            "../../etc/passwd",
            ["is outside of the policy's folder", "/out.toml:1:12"],
        ),
        ("abs.toml", "/etc/passwd", ["is absolute", "/abs.toml:1:12"]),
    ] {
        let file = written(&folder, name, format!("include = [\"{included}\"]\n{HEAD}"));
        refused_with(&file, &texts);
    }
    before.holds();
}

#[test]
fn a_megabyte_of_noise_is_refused_soon_and_in_few_words() {
    let mut before = Before::new();
    let folder = place::directory("bad");
    let megabyte = 1 << 20;
    let mut state = 1_u32;
    let random: Vec<u8> = (0..megabyte)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .collect();
    let keys: String = (0..60_000).map(|key| format!("k{key} = 1\n")).collect();
    for (name, noise) in [
        ("random", random),
        ("brackets", b"[".repeat(megabyte - 1)),
        ("quotes", b"\"".repeat(megabyte - 1)),
        ("dots", b"a.".repeat(megabyte / 2 - 1)),
        ("keys", keys.into_bytes()),
        ("zeros", vec![0; megabyte - 1]),
        ("too-large", b"#".repeat(megabyte + 1)),
        ("empty", Vec::new()),
    ] {
        let file = written(&folder, &format!("{name}.toml"), noise);
        refused_with(&file, &["error: ", name]);
    }
    before.holds();
}

#[test]
fn another_generation_than_the_expected_one_is_a_conflict() {
    let mut before = Before::new();
    let folder = place::directory("bad");
    let text = HEAD.replace("\"bad\"", "\"expected\"");
    let file = written(&folder, "p.toml", text);
    let expected = |generation: u64| {
        let generation = generation.to_string();
        enforcer([
            "policy",
            "apply",
            place::text(&file),
            "--expected-generation",
            &generation,
        ])
    };
    for other in [before.generation - 1, before.generation + 1] {
        let output = expected(other);
        assert_eq!(output.status.code(), Some(8), "{}", told(&output));
        let says = format!("generation {} is in force", before.generation);
        assert!(stderr(&output).contains(&says), "{}", told(&output));
        before.holds();
    }
    let output = expected(before.generation);
    assert!(output.status.success(), "{}", told(&output));
    assert_eq!(generation(), before.generation + 1);
    before.decides();
}

#[test]
fn one_good_policy_among_bad_ones_is_not_applied_either() {
    let mut before = Before::new();
    let folder = place::directory("bad");
    written(&folder, "1.toml", HEAD);
    written(
        &folder,
        "2.toml",
        format!("{}nonsense = 1\n", HEAD.replace("\"bad\"", "\"bad-2\"")),
    );
    refused_with(&folder, &["2.toml:8:1"]);
    written(&folder, "2.toml", HEAD); // the same agent again
    refused_with(&folder, &["agent `bad` is in"]);
    let missing = "[[exec]]\nid = \"x\"\nallow = [\"/usr/bin/not-there\"]\n";
    written(
        &folder,
        "2.toml",
        format!("{}{missing}", HEAD.replace("\"bad\"", "\"bad-2\"")),
    );
    refused_with(
        &folder,
        &["`/usr/bin/not-there` is not there", "nothing was changed"],
    );
    before.holds();
}

#[test]
fn files_that_are_not_there_are_told_apart_from_bad_ones() {
    let folder = place::directory("bad");
    for (path, exit, text) in [
        (folder.join("none.toml"), 7, "No such file"),
        (folder.clone(), 7, "no policy in"),
    ] {
        let output = applied(&path);
        assert_eq!(output.status.code(), Some(exit), "{}", told(&output));
        assert!(stderr(&output).contains(text), "{}", told(&output));
    }
}

#[test]
fn while_a_policy_is_being_applied_another_one_is_a_conflict() {
    let mut before = Before::new();
    let folder = place::directory("busy");
    let destinations: Vec<String> = (0..4_000)
        .map(|n| format!("tcp:10.{}.{}.0/24:{}", n / 256, n % 256, 1 + n))
        .collect();
    let large = HEAD.replace("\"bad\"", "\"large\"")
        + &format!("[[connect]]\nid = \"x\"\nallow = {destinations:?}\n");
    let large = written(&folder, "large.toml", large);
    let small = written(&folder, "small.toml", HEAD.replace("\"bad\"", "\"small\""));
    let apply_large = || {
        Command::new(ENFORCER)
            .args(["policy", "apply", place::text(&large)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("enforcer starts")
    };
    let mut applying = apply_large();
    let (mut conflicts, mut done) = (0, 0);
    loop {
        match applying.try_wait().expect("it can be waited for") {
            None => {}
            // The small one had its turn just then.
            Some(status) if status.code() == Some(8) => applying = apply_large(),
            Some(status) => {
                assert!(status.success(), "{status}");
                break;
            }
        }
        let mut command = Command::new(ENFORCER);
        command.args(["policy", "apply", place::text(&small)]);
        let output = ended(command);
        match output.status.code() {
            Some(0) => done += 1,
            Some(8) => {
                assert!(
                    stderr(&output).contains("another policy change is under way"),
                    "{}",
                    told(&output)
                );
                conflicts += 1;
            }
            _ => panic!("{}", told(&output)),
        }
        before.decides();
    }
    assert!(conflicts > 0, "{done} came through");
    // The large one, and the small one once if it came through at all.
    assert_eq!(generation(), before.generation + 1 + u64::from(done > 0));
    assert!(json(["policy", "show", "large"])["destinations"].as_u64() > Some(3_000));
    assert!(before.agent.probe(&["pid"]).output.status.success());
}
