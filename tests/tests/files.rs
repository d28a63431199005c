//! Files that no session changes: code that is listed, what is trusted for its place, the kernel's controls, and
//! what is the enforcer's own.
#![forbid(unsafe_code)]

use std::{fs, path::Path};

use enforcer_tests::{
    Record,
    attack::{inside, outside, policy},
    place,
    record::lines,
};
use nix::libc::EPERM;

/// All attempts are denied, with these records; gives nothing if so.
fn all_denied(found: &std::collections::BTreeMap<String, i32>) {
    assert!(found.values().all(|errno| *errno == EPERM), "{found:?}");
}

fn all_done(found: &std::collections::BTreeMap<String, i32>) {
    assert!(found.values().all(|errno| *errno == 0), "{found:?}");
}

fn reasons(records: &[Record]) -> Vec<&str> {
    let mut reasons: Vec<_> = records.iter().map(Record::reason).collect();
    reasons.sort_unstable();
    reasons.dedup();
    reasons
}

/// Everything that is done to a file to have other content under its name. The file is made anew for each.
fn changes(tool: &str) -> String {
    format!(
        r#"
tool, aside = "{tool}", "{tool}-aside"
def opened(flags): os.close(os.open(tool, flags))
t("write", lambda: opened(os.O_WRONLY))
t("append", lambda: opened(os.O_RDWR | os.O_APPEND))
t("open to truncate", lambda: opened(os.O_RDONLY | os.O_TRUNC))
t("truncate", lambda: os.truncate(tool, os.stat(tool).st_size))
t("move away", lambda: (os.rename(tool, aside), os.rename(aside, tool)))
def replace():
    with open(aside, "wb") as f: f.write(b"other")
    os.rename(aside, tool)
t("replace", replace)
t("exchange", lambda: (open(aside, "wb").close(), sys_(316, -100, tool.encode(), -100, aside.encode(), 2)))
t("second name", lambda: (os.link(tool, tool + "-second"), os.unlink(tool + "-second")))
t("mode", lambda: os.chmod(tool, 0o777))
t("owner", lambda: os.chown(tool, 1, 1))
t("attribute", lambda: os.setxattr(tool, "user.x", b"y"))
t("access list", lambda: os.setxattr(tool, "system.posix_acl_access", struct.pack("<IHHIHHIHHI", 2, 1, 6, 2**32 - 1, 4, 4, 2**32 - 1, 32, 4, 2**32 - 1)))
import fcntl
def flags():
    fd = os.open(tool, os.O_RDONLY)
    try: fcntl.ioctl(fd, 0x40086602, struct.pack("l", 0x80))
    finally: os.close(fd)
t("flags", flags)
t("remove", lambda: os.unlink(tool))
"#
    )
}

#[test]
fn x09_listed_code_is_not_written_to_replaced_or_removed() {
    let folder = place::directory("x09");
    let tool = place::copy("/usr/bin/touch", folder.join("tool"));
    let twin = place::copy("/usr/bin/touch", folder.join("twin"));
    let before = fs::read(&tool).unwrap();
    all_done(&outside(&changes(place::text(&twin))));
    let listed = policy("x09").exec("tool", &[place::text(&tool)]);
    let attack = changes(place::text(&tool));
    let (found, records) = inside(&listed, &attack);
    all_denied(&found);
    assert_eq!(fs::read(&tool).unwrap(), before);
    assert_eq!(reasons(&records), ["listed-code"]);
    assert_eq!(records.len(), found.len());
    // A file that nobody lists is the agent's to change, in the same folder.
    let free = place::copy("/usr/bin/touch", folder.join("free"));
    let (found, records) = inside(&listed, &changes(place::text(&free)));
    all_done(&found);
    assert!(records.is_empty(), "{:?}", lines(&records));
}

#[test]
fn x09_code_that_another_agent_lists_is_not_changed_either() {
    let folder = place::directory("x09-other");
    let tool = place::copy("/usr/bin/touch", folder.join("tool"));
    policy("x09-other")
        .exec("tool", &[place::text(&tool)])
        .apply();
    let (found, _) = inside(&policy("x09-this"), &changes(place::text(&tool)));
    all_denied(&found);
}

#[test]
fn x09_links_and_folders_on_the_way_to_listed_code_stay() {
    let folder = place::directory("x09-way");
    fs::create_dir_all(folder.join("a/b")).unwrap();
    place::copy("/usr/bin/touch", folder.join("a/b/tool"));
    place::copy("/usr/bin/cat", folder.join("other"));
    std::os::unix::fs::symlink("a/b", folder.join("link")).unwrap();
    let base = place::text(&folder);
    let attack = format!(
        r#"
base = "{base}"
t("link", lambda: (os.unlink(base + "/link"), os.symlink("a/b", base + "/link")))
t("folder", lambda: (os.rename(base + "/a", base + "/z"), os.rename(base + "/z", base + "/a")))
"#
    );
    all_done(&outside(&attack));
    let listed = format!("{base}/link/tool");
    let (found, records) = inside(&policy("x09-way").exec("tool", &[&listed]), &attack);
    all_denied(&found);
    assert_eq!(reasons(&records), ["listed-code"]);
}

#[test]
fn x09_nothing_is_put_into_a_listed_directory_or_among_the_hosts_libraries() {
    let folder = place::directory("x09-tree");
    fs::create_dir_all(folder.join("bin/deep")).unwrap();
    fs::create_dir_all(folder.join("free/deep")).unwrap();
    fs::create_dir_all("/usr/lib/enforcer-test/deep").unwrap();
    fs::write(folder.join("source"), "").unwrap();
    let base = place::text(&folder);
    let attack = |tree: &str| {
        format!(
            r#"
tree, base = "{tree}", "{base}"
def made(path, make):
    make(path)
    (os.rmdir if os.path.isdir(path) and not os.path.islink(path) else os.unlink)(path)
for where in [tree, tree + "/deep"]:
    t("file in " + where[-4:], lambda: made(where + "/x", lambda p: open(p, "w").close()))
    t("folder in " + where[-4:], lambda: made(where + "/x", os.mkdir))
    t("link in " + where[-4:], lambda: made(where + "/x", lambda p: os.symlink("/usr/bin/bash", p)))
    t("hard link in " + where[-4:], lambda: made(where + "/x", lambda p: os.link(base + "/source", p)))
    t("node in " + where[-4:], lambda: made(where + "/x", os.mkfifo))
    t("moved into " + where[-4:], lambda: made(where + "/x", lambda p: (open(base + "/y", "w").close(), os.rename(base + "/y", p))))
    t("mode in " + where[-4:], lambda: os.chmod(where + "/kept", 0o644))
    t("owner in " + where[-4:], lambda: os.chown(where + "/kept", 0, 0))
"#
        )
    };
    let own = format!("{base}/bin");
    let trees = [own.as_str(), "/usr/lib/enforcer-test"];
    for tree in trees {
        for kept in ["kept", "deep/kept"] {
            fs::write(Path::new(tree).join(kept), "").unwrap();
        }
        all_done(&outside(&attack(tree)));
    }
    let listed = policy("x09-tree").exec("all", &[&format!("{own}/")]);
    for tree in trees {
        let (found, records) = inside(&listed, &attack(tree));
        all_denied(&found);
        assert_eq!(reasons(&records), ["listed-code"]);
        let (found, records) = inside(&listed.clone().monitor(), &attack(tree));
        all_done(&found);
        assert_eq!(reasons(&records), ["listed-code"]);
    }
    for kept in ["kept", "deep/kept"] {
        fs::write(folder.join("free").join(kept), "").unwrap();
    }
    let (found, records) = inside(&listed, &attack(&format!("{base}/free")));
    all_done(&found);
    assert!(records.is_empty(), "{:?}", lines(&records));
}

#[test]
fn x13_the_kernels_controls_and_whole_disks_are_not_opened_for_writing() {
    let attack = r#"
def opened(path, flags=os.O_WRONLY): os.close(os.open(path, flags))
t("sysctl", lambda: opened("/proc/sys/kernel/core_pattern"))
t("sysctl, read and write", lambda: opened("/proc/sys/net/ipv4/ip_forward", os.O_RDWR))
t("sysrq", lambda: opened("/proc/sysrq-trigger"))
t("sysfs", lambda: opened("/sys/module/printk/parameters/time"))
t("disk", lambda: opened("/dev/vda"))
"#;
    all_done(&outside(attack));
    let (found, records) = inside(&policy("x13"), attack);
    all_denied(&found);
    assert_eq!(reasons(&records), ["never-allowed"]);
    let (found, records) = inside(&policy("x13").monitor(), attack);
    all_done(&found);
    assert_eq!(reasons(&records), ["never-allowed"]);
    let ordinary = r#"
def opened(path, flags=os.O_WRONLY): os.close(os.open(path, flags))
t("own comm", lambda: opened("/proc/self/comm"))
t("own thread", lambda: opened("/proc/thread-self/comm"))
t("null", lambda: opened("/dev/null"))
t("file", lambda: opened("/tmp/x13", os.O_WRONLY | os.O_CREAT))
t("reading a sysctl", lambda: opened("/proc/sys/kernel/core_pattern", os.O_RDONLY))
"#;
    let (found, records) = inside(&policy("x13-ordinary"), ordinary);
    all_done(&found);
    assert!(records.is_empty(), "{:?}", lines(&records));
}

#[test]
fn g04_the_enforcers_own_files_are_out_of_reach_in_monitor_mode_too() {
    let own = r#"
import fcntl, glob
def opened(path, flags): os.close(os.open(path, flags))
segment = sorted(glob.glob("/var/log/enforcer/*.jsonl"))[-1]
t("log", lambda: opened(segment, os.O_WRONLY | os.O_APPEND))
t("log, truncated", lambda: os.truncate(segment, os.stat(segment).st_size) if INSIDE else None)
t("log, opened to truncate", lambda: opened(segment, os.O_RDONLY | os.O_TRUNC) if INSIDE else None)
t("state", lambda: opened("/var/lib/enforcer/policy.json", os.O_RDWR))
# Outside it would be another file to the daemon that runs it: its time of change counts.
t("binary", lambda: os.chmod("/usr/bin/enforcer", 0o755) if INSIDE else None)
t("new policy", lambda: (open("/var/lib/enforcer/x", "w").close(), os.unlink("/var/lib/enforcer/x")))
t("deep", lambda: (os.mkdir("/run/enforcer/generations/x"), os.rmdir("/run/enforcer/generations/x")))
t("link", lambda: (os.symlink("/x", "/var/log/enforcer/x"), os.unlink("/var/log/enforcer/x")))
t("second name", lambda: (os.link(segment, "/var/log/second"), os.unlink("/var/log/second")))
t("owner", lambda: os.chown("/var/lib/enforcer", 0, 0))
t("folder", lambda: (os.rename("/var/lib/enforcer", "/var/lib/aside"), os.rename("/var/lib/aside", "/var/lib/enforcer")) if INSIDE else None)
t("socket", lambda: os.unlink("/run/enforcer/control.sock") if INSIDE else None)
def held(path):
    fd = os.open(path, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB); os.close(fd)
t("lock", lambda: held("/var/lib/enforcer/policy.json"))
t("folder's lock", lambda: held("/var/lib/enforcer"))
def leased(path):
    fd = os.open(path, os.O_RDONLY)
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK); os.close(fd)
t("lease", lambda: leased("/var/lib/enforcer/policy.json"))
"#;
    all_done(&outside(&format!("INSIDE = False\n{own}")));
    let attack = format!("INSIDE = True\n{own}");
    for policy in [policy("g04"), policy("g04").monitor()] {
        let (found, records) = inside(&policy, &attack);
        all_denied(&found);
        assert_eq!(reasons(&records), ["enforcer-guard"]);
        assert_eq!(records.len(), found.len());
    }
}
