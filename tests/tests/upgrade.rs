//! Code that changes under a living policy: a package upgrade is looked at again by itself, where only an
//! administrator can have made it; what others could have changed stays denied.
#![forbid(unsafe_code)]

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

use enforcer_tests::{
    Agent, Policy,
    attack::{PYTHON, policy, script},
    cli::{json, unique},
    place,
    wait::eventually,
};

/// Whether the program runs in a session of this agent, by the file that it leaves.
fn runs(agent: &Agent, program: &str, mark: &Path) -> bool {
    let _ = fs::remove_file(mark);
    agent.probe(&[format!("exec {program} {}", mark.display())]);
    mark.exists()
}

fn generation() -> u64 {
    json(["status"])["generation"].as_u64().expect("a number")
}

/// A Debian package with one program, which leaves the file that it is told to.
fn package(name: &str, version: u32) -> String {
    let folder = place::directory("package");
    fs::create_dir_all(folder.join("DEBIAN")).unwrap();
    fs::create_dir_all(folder.join("usr/bin")).unwrap();
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: tests <tests@example.com>\nDescription: a test\n"
    );
    fs::write(folder.join("DEBIAN/control"), control).unwrap();
    let mut program = fs::read("/usr/bin/touch").unwrap();
    program.extend(version.to_string().bytes()); // other content
    let path = folder.join("usr/bin").join(name);
    fs::write(&path, program).unwrap();
    place::mode(&path, 0o755);
    let file = format!("{}.deb", folder.display());
    let built = Command::new("/usr/bin/dpkg-deb")
        .args(["--build", "--root-owner-group", place::text(&folder), &file])
        .output();
    assert!(built.expect("dpkg-deb starts").status.success());
    file
}

fn install(file: &str) {
    let installed = Command::new("/usr/bin/dpkg")
        .args(["--install", file])
        .output()
        .expect("dpkg starts");
    assert!(
        installed.status.success(),
        "{}",
        String::from_utf8_lossy(&installed.stderr)
    );
}

#[test]
fn an_upgraded_package_runs_again_without_anybody_asking() {
    let name = unique("enforcer-test-tool");
    let program = format!("/usr/bin/{name}");
    let mark = place::directory("upgrade").join("mark");
    let versions = [1, 2, 3].map(|version| package(&name, version));
    install(&versions[0]);
    let agent = Policy::new("upgrade").exec("tool", &[&program]).apply();
    let mut live = agent.live();
    assert!(runs(&agent, &program, &mark));
    for version in &versions[1..] {
        let before = generation();
        install(version);
        eventually("a new generation", || generation() > before);
        assert!(runs(&agent, &program, &mark));
        // A session that began before is held to what is in force now.
        let _ = fs::remove_file(&mark);
        live.ask(&format!("exec {program} {}", mark.display()));
        assert!(mark.exists());
    }
}

#[test]
fn an_upgraded_library_is_mapped_again_without_anybody_asking() {
    let folder = Path::new("/usr/local/lib").join(unique("enforcer-test"));
    fs::create_dir_all(&folder).unwrap();
    let (path, next) = (folder.join("libx.so"), folder.join("libx.so.next"));
    let build = |to: &Path, answer: u32| {
        let source = format!("int answer(void) {{ return {answer}; }}\n");
        let file = place::directory("library").join("x.c");
        fs::write(&file, source).unwrap();
        let gcc = Command::new("/usr/bin/gcc")
            .args([
                "-shared",
                "-fPIC",
                "-o",
                place::text(to),
                place::text(&file),
            ])
            .status();
        assert!(gcc.expect("gcc starts").success());
    };
    let agent = policy("library").apply();
    let code = format!(
        r#"t("answer %d" % ctypes.CDLL("{}").answer(), lambda: None)"#,
        path.display()
    );
    let answers = || {
        let run = agent.run(&[PYTHON, "-c", &script(&code)]);
        String::from_utf8_lossy(&run.output.stdout)
            .trim()
            .to_owned()
    };
    build(&path, 1);
    eventually("the new library", || answers() == "answer 1 0");
    build(&next, 2);
    fs::rename(&next, &path).unwrap();
    eventually("the upgraded library", || answers() == "answer 2 0");
}

#[test]
fn what_others_could_have_changed_stays_denied_until_the_policy_is_applied_again() {
    let (open, closed) = (place::directory("open"), place::directory("closed"));
    place::mode(&open, 0o777);
    let (link, tool) = (open.join("tool"), closed.join("tool"));
    symlink("/usr/bin/touch", &link).unwrap();
    place::copy("/usr/bin/touch", &tool);
    let late = closed.join("late");
    let paths = [&link, &tool].map(|path| place::text(path).to_owned());
    let policy = Policy::new("open")
        .exec("tools", &[&paths[0], &paths[1]])
        .exec("later", &[place::text(&late)])
        .rules("optional = true");
    let agent = policy.apply();
    let mark = closed.join("mark");
    assert!(runs(&agent, &paths[0], &mark));

    // An agent who can write there turns the link to another file of root's, and makes a missing one.
    fs::remove_file(&link).unwrap();
    place::copy("/usr/bin/touch", closed.join("other"));
    symlink(closed.join("other"), &link).unwrap();
    place::copy("/usr/bin/touch", &late);
    // The daemon has looked at all of it when it has seen what came last.
    let before = generation();
    let next = place::copy("/usr/bin/touch", closed.join("next"));
    fs::rename(next, &tool).unwrap();
    eventually("a new generation", || generation() > before);
    assert!(
        runs(&agent, &paths[1], &mark),
        "only an administrator writes there"
    );
    assert!(!runs(&agent, &paths[0], &mark), "the link was turned");
    assert!(!runs(&agent, place::text(&late), &mark), "it was not there");
    policy.apply();
    assert!(runs(&agent, &paths[0], &mark));
    assert!(runs(&agent, place::text(&late), &mark));
}

#[test]
fn what_is_denied_and_comes_later_into_a_listed_folder_is_denied() {
    let folder = place::directory("later");
    place::mode(&folder, 0o755);
    let (good, evil) = (folder.join("good"), folder.join("evil"));
    let policy = Policy::new("later")
        .exec("folder", &[&format!("{}/", place::text(&folder))])
        .deny_exec("never", &[place::text(&evil)])
        .rules("optional = true");
    let agent = policy.apply();
    let mark = place::directory("later-mark").join("mark");
    for round in 0..2 {
        // An administrator takes both away and puts them there anew.
        for file in [&evil, &good] {
            let _ = fs::remove_file(file);
            place::copy("/usr/bin/touch", file);
        }
        eventually("the new file", || runs(&agent, place::text(&good), &mark));
        let run = agent.probe(&[format!("exec {} {}", evil.display(), mark.display())]);
        assert!(run.answers[0].denied(), "{round}: {:?}", run.answers);
        let records = run.records();
        let mut denied = records.iter().filter(|record| record.verdict() == "deny");
        let reason = denied.next().map(|record| record.reason().to_owned());
        assert_eq!(reason.as_deref(), Some("rule-denies"), "{round}");
    }
}

#[test]
fn a_listed_socket_that_is_made_anew_is_reached_again() {
    let path = place::directory("socket").join("socket");
    let name = place::text(&path).to_owned();
    let first = enforcer_tests::UnixServer::at(&name);
    let agent = Policy::new("socket").unix("bus", &[&name]).apply();
    let reach = || !agent.probe(&[format!("unix stream {name}")]).answers[0].denied();
    assert!(reach());
    drop(first);
    let _second = enforcer_tests::UnixServer::at(&name);
    eventually("the new socket", reach);
}
