//! Memory that becomes code: libraries by the same list as programs, and memory that no file stands behind.
#![forbid(unsafe_code)]

use std::{fs, path::Path, process::Command};

use enforcer_tests::{
    Policy, Record,
    attack::{PYTHON, denied_inside_only, inside, outside, policy},
    place,
    record::lines,
};
use nix::libc::EPERM;

/// A library whose loading leaves a file, and the file.
struct Library {
    path: String,
    mark: String,
}

impl Library {
    fn build(label: &str) -> Self {
        let folder = place::directory(label);
        let text = |name: &str| place::text(&folder.join(name)).to_owned();
        let (source, path, mark) = (text("x.c"), text("libx.so"), text("mark"));
        let code = format!(
            "#include <fcntl.h>\n__attribute__((constructor)) static void loaded(void) {{ open(\"{mark}\", O_CREAT | O_WRONLY, 0600); }}\n"
        );
        fs::write(&source, code).unwrap();
        let gcc = Command::new("/usr/bin/gcc")
            .args(["-shared", "-fPIC", "-o", &path, &source])
            .status();
        assert!(gcc.expect("gcc starts").success());
        Self { path, mark }
    }

    /// Whether it was loaded since this was asked last.
    fn was_loaded(&self) -> bool {
        fs::remove_file(&self.mark).is_ok()
    }
}

const TRUE: &str = "/usr/bin/true";
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// The ways to have a library loaded: by the loader's variable, and from code.
fn loads(library: &Library) -> [String; 2] {
    let path = &library.path;
    [
        format!(r#"t("load", lambda: ctypes.CDLL("{path}"))"#),
        format!(
            r#"t("preload", lambda: subprocess.run(["{TRUE}"], env={{"LD_PRELOAD": "{path}"}}, check=True))"#
        ),
    ]
}

#[test]
fn x02_a_library_that_is_not_listed_is_not_loaded_and_a_listed_one_is() {
    let library = Library::build("x02");
    for attack in loads(&library) {
        assert!(outside(&attack).values().all(|errno| *errno == 0));
        assert!(library.was_loaded(), "outside: {attack}");

        let closed = policy("x02").exec("true", &[TRUE]);
        let (_, records) = inside(&closed, &attack);
        assert!(!library.was_loaded(), "inside: {attack}");
        assert_eq!(lines(&records), ["code deny not-listed"], "{attack}");
        assert_eq!(
            records[0].0["unmapped"]["target_path"],
            library.path.as_str()
        );

        let (_, records) = inside(&closed.clone().exec("library", &[&library.path]), &attack);
        assert!(library.was_loaded(), "listed: {attack}");
        assert!(records.is_empty(), "{:?}", lines(&records));

        let (_, records) = inside(&closed.monitor(), &attack);
        assert!(library.was_loaded(), "monitor: {attack}");
        assert_eq!(lines(&records), ["code would-deny not-listed"], "{attack}");
    }
}

#[test]
fn x02_a_library_that_changed_is_not_loaded() {
    let library = Library::build("x02-changed");
    place::mode(Path::new(&library.path).parent().unwrap(), 0o777); // nothing is looked at again by itself
    let policy = policy("x02-changed").exec("library", &[&library.path]);
    let agent = policy.apply();
    let attack = enforcer_tests::attack::script(&loads(&library)[0]);
    let run = || agent.run(&[PYTHON, "-c", &attack]);
    run();
    assert!(library.was_loaded());
    fs::write(&library.path, fs::read(&library.path).unwrap()).unwrap();
    let mut records = run().records();
    records.retain(|record| record.verdict() == "deny");
    assert!(!library.was_loaded());
    assert_eq!(lines(&records), ["code deny file-changed"]);
    policy.apply();
    run();
    assert!(library.was_loaded());
}

#[test]
fn x02_the_loader_runs_no_program_that_is_not_listed() {
    let folder = place::directory("x02-loader");
    let tool = place::copy("/usr/bin/touch", folder.join("tool"));
    let (tool, mark) = (
        place::text(&tool),
        place::text(&folder.join("mark")).to_owned(),
    );
    let attack =
        format!(r#"t("loader", lambda: subprocess.run(["{LOADER}", "{tool}", "{mark}"]))"#);
    let ran = || fs::remove_file(&mark).is_ok();
    assert_eq!(outside(&attack)["loader"], 0);
    assert!(ran());
    // Neither when the loader may not run by itself, nor when it may.
    let (found, records) = inside(&policy("x02-loader"), &attack);
    assert_eq!(found["loader"], EPERM);
    assert_eq!(records[0].reason(), "not-listed");
    assert!(!ran());
    let loader = policy("x02-loader").exec("loader", &[LOADER]);
    let (_, records) = inside(&loader, &attack);
    assert!(!ran());
    assert_eq!(lines(&records), ["code deny not-listed"]);
    inside(&loader.exec("tool", &[tool]), &attack);
    assert!(ran());
}

#[test]
fn x02_without_the_hosts_libraries_only_what_is_listed_is_mapped() {
    let listed = policy("listed").agent("libraries = \"listed\"");
    let run = listed.apply().run(&[PYTHON, "-c", "print('it runs')"]);
    assert!(run.output.stdout.is_empty(), "it did not start");
    let records = run.records();
    let denied = |record: &&Record| record.verdict() == "deny";
    assert_eq!(
        records.iter().find(denied).expect("a denial").kind(),
        "code"
    );
    let with_libraries = policy("listed")
        .agent("libraries = \"listed\"")
        .exec("libraries", &["/usr/lib/x86_64-linux-gnu/"]);
    let run = with_libraries
        .apply()
        .run(&[PYTHON, "-c", "print('it runs')"]);
    assert_eq!(run.output.stdout, b"it runs\n");
}

/// Every way to executable memory that no file stands behind.
const MEMORY: &str = r#"
libc_mmap = C.mmap; libc_mmap.restype = ctypes.c_void_p
libc_mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
C.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
def mapped(protection, flags, fd=-1):
    address = libc_mmap(None, 4096, protection, flags, fd, 0)
    if address == 2**64 - 1: raise OSError(ctypes.get_errno(), "")
    return address
def protected(address, protection):
    libc("mprotect", address, 4096, protection)
R, W, X = 1, 2, 4
PRIVATE, SHARED, ANONYMOUS = 2, 1, 32
def of_file(protection, flags):
    with open("/etc/hostname", "rb") as f: return mapped(protection, flags, f.fileno())
t("anonymous", lambda: mapped(R | X, PRIVATE | ANONYMOUS))
t("anonymous, writable", lambda: mapped(R | W | X, PRIVATE | ANONYMOUS))
t("anonymous, shared", lambda: mapped(R | X, SHARED | ANONYMOUS))
t("made executable", lambda: protected(mapped(R | W, PRIVATE | ANONYMOUS), R | X))
t("made both", lambda: protected(mapped(R | W, PRIVATE | ANONYMOUS), R | W | X))
t("a file made executable", lambda: protected(of_file(R, PRIVATE), R | X))
def code_made_writable():
    line = next(l for l in open("/proc/self/maps") if "libc.so.6" in l and "r-xp" in l)
    protected(int(line.split("-")[0], 16), R | W | X)
t("code made writable", code_made_writable)
def own_memory():
    buffer = ctypes.create_string_buffer(1)
    with open("/proc/self/mem", "r+b", buffering=0) as memory:
        memory.seek(ctypes.addressof(buffer)); memory.write(b"x")
t("own memory", own_memory)
t("pages filled", lambda: os.close(sys_(323, 1)))
"#;

#[test]
fn x06_i06_memory_that_no_file_stands_behind_is_not_executable() {
    let records = denied_inside_only("x06", MEMORY);
    assert_eq!(records.len(), 9, "{:?}", lines(&records));
    for record in &records {
        assert_eq!(
            record.reason(),
            "executable-memory",
            "{:?}",
            lines(&records)
        );
    }
    let (found, records) = inside(&policy("x06").monitor(), MEMORY);
    assert!(found.values().all(|errno| *errno == 0), "{found:?}");
    assert_eq!(records.len(), 9, "{:?}", lines(&records));
}

#[test]
fn x06_a_heap_made_executable_by_personality_is_told_as_open() {
    let attack = r#"
READ_IMPLIES_EXEC = 0x400000
C.sbrk.restype = ctypes.c_void_p
def heap():
    libc("personality", READ_IMPLIES_EXEC)
    C.sbrk(ctypes.c_long(1 << 20))
    if not any("[heap]" in l and "rwxp" in l for l in open("/proc/self/maps")): raise OSError(1, "")
t("heap", heap)
"#;
    let (found, _) = inside(&policy("x06-heap"), attack);
    assert_eq!(
        found,
        outside(attack),
        "a kernel that asks closes it: say so in doctor"
    );
    let doctor = enforcer_tests::cli::enforcer(["doctor"]);
    let said = String::from_utf8_lossy(&doctor.stdout);
    assert!(said.contains("open-personality"), "{said}");
}

#[test]
fn x06_an_agent_with_jit_has_it() {
    let (found, records) = inside(&policy("x06-jit").agent("jit = true"), MEMORY);
    assert!(found.values().all(|errno| *errno == 0), "{found:?}");
    assert!(records.is_empty(), "{:?}", lines(&records));
}

#[test]
fn x06_a_file_without_a_name_is_not_mapped_as_code_with_jit_neither() {
    let attack = r#"
import mmap
fd = os.memfd_create("code"); os.write(fd, bytes(4096))
t("memfd", lambda: mmap.mmap(fd, 4096, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_EXEC))
"#;
    let records = denied_inside_only("x06-memfd", attack);
    assert_eq!(lines(&records), ["code deny not-listed"]);
    let (found, _) = inside(&policy("x06-memfd").agent("jit = true"), attack);
    assert_eq!(found["memfd"], EPERM);
}

#[test]
fn a_just_in_time_compiler_runs_with_jit_and_not_without() {
    let node = |lines: &str| {
        let policy = Policy::bare("node").exec("node", &["/usr/bin/node"]);
        let run = policy.agent(lines).apply();
        let run = run.run(&["/usr/bin/node", "-e", "console.log(6 * 7)"]);
        String::from_utf8_lossy(&run.output.stdout)
            .trim()
            .to_owned()
    };
    assert_eq!(node("jit = true"), "42");
    assert_ne!(node(""), "42");
}

#[test]
fn x10_a_set_id_program_does_not_run_although_it_is_listed() {
    let folder = place::directory("x10");
    place::mode(&folder, 0o755);
    let (user, group) = (folder.join("user"), folder.join("group"));
    let plain = place::copy("/usr/bin/id", folder.join("plain"));
    for (path, mode) in [(&user, 0o4755), (&group, 0o2755)] {
        place::copy("/usr/bin/id", path);
        nix::unistd::chown(path, None, Some(42.into())).unwrap();
        place::mode(path, mode);
    }
    let capable = place::copy("/usr/bin/id", folder.join("capable"));
    let set = Command::new("/usr/sbin/setcap")
        .args(["cap_net_bind_service+ep", place::text(&capable)])
        .status();
    let has_setcap = set.is_ok_and(|status| status.success());
    let paths = [&user, &group, &plain, &capable].map(|path| place::text(path).to_owned());
    let [user, group, plain, capable] = &paths;
    // Root has nothing to gain by a program of root's: the attempts are an ordinary user's.
    let attack = format!(
        r#"
def by_user(path):
    subprocess.run([path], check=True, user=1000, group=1000, extra_groups=[], stdout=subprocess.DEVNULL)
t("plain", lambda: by_user("{plain}"))
t("user", lambda: by_user("{user}"))
t("group", lambda: by_user("{group}"))
t("capable", lambda: by_user("{capable}"))
"#
    );
    let twin = outside(&attack);
    assert!(twin.values().all(|errno| *errno == 0), "{twin:?}");
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let policy = policy("x10").exec("tools", &paths);
    let (found, records) = inside(&policy, &attack);
    let denied = if has_setcap { 3 } else { 2 };
    assert_eq!(
        (found["plain"], found["user"], found["group"]),
        (0, EPERM, EPERM)
    );
    assert_eq!(found["capable"], if has_setcap { EPERM } else { 0 });
    assert_eq!(
        lines(&records),
        vec!["set-id deny set-id-not-allowed"; denied]
    );
    let (found, records) = inside(&policy.agent("set_id = true"), &attack);
    assert!(found.values().all(|errno| *errno == 0), "{found:?}");
    assert!(records.is_empty(), "{:?}", lines(&records));
}

#[test]
fn x02_the_loaders_variables_are_ignored_where_the_agent_says_so() {
    let library = Library::build("secure");
    let [_, preload] = loads(&library);
    let policy = policy("secure").exec("code", &[TRUE, &library.path]);
    // What the loader goes by (AT_SECURE of getauxval(3)), in the session's first program.
    let ask = "import ctypes; print(ctypes.CDLL(None).getauxval(23))";
    let is_secure = |policy: &Policy| {
        let output = policy.apply().run(&[PYTHON, "-c", ask]).output;
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(is_secure(&policy), "0");
    inside(&policy, &preload);
    assert!(library.was_loaded());
    let policy = policy.agent("secure_exec = true");
    assert_eq!(is_secure(&policy), "1");
    let (found, records) = inside(&policy, &preload);
    assert_eq!(found["preload"], 0);
    assert!(!library.was_loaded());
    assert!(records.is_empty(), "{:?}", lines(&records));
}
