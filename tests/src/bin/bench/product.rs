//! The product: its daemon, a policy with so many rules, and the measurements inside a session of it.

use std::{
    fmt::Write as _,
    fs,
    os::fd::{AsFd as _, AsRawFd as _},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use aya::maps::MapData;
use serde_json::{Value, json};

use super::{
    Numbers,
    measure::{NOTHING, TCP_PORT, UDP_PORT},
};

const ENFORCER: &str = "/usr/bin/enforcer";
const POLICY: &str = "/run/bench.toml";
const PINS: &str = "/sys/fs/bpf/enforcer/maps";

/// The product at work.
pub struct Product {
    daemon: Child,
}

impl Product {
    /// Starts the daemon; returns when it enforces.
    pub fn start() -> Result<Self> {
        let mut daemon = Command::new(ENFORCER)
            .arg("daemon")
            .stderr(Stdio::null())
            .spawn()?;
        loop {
            let status = Command::new(ENFORCER).arg("status").output()?;
            if status.status.success() {
                return Ok(Self { daemon });
            }
            ensure!(daemon.try_wait()?.is_none(), "the daemon has ended");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Measures inside a session that is allowed what is measured, among so many rules.
    pub fn inside(&self, rules: u32) -> Result<Numbers> {
        let mut others = String::new();
        for n in 0..rules {
            write!(
                others,
                "\"tcp:10.{}.{}.{}:{}\", ",
                n >> 14 & 0xff,
                n >> 7 & 0x7f,
                n & 0x7f,
                1 + n % 60_000
            )?;
        }
        apply(&format!(
            "[[connect]]\nid = \"others\"\nallow = [{others}]\n\
             [[connect]]\nid = \"servers\"\nallow = [\"tcp:127.0.0.1:{TCP_PORT}\", \"udp:127.0.0.1:{UDP_PORT}\"]\n"
        ))?;
        measured(&["measure"])
    }

    /// Measures inside a session that is allowed none of it.
    pub fn denied(&self) -> Result<Numbers> {
        apply("")?;
        measured(&["measure", "denied"])
    }

    /// Bytes: what the daemon has resident, and what each map takes of the kernel's memory.
    pub fn memory(&self) -> Result<Value> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.daemon.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        let daemon: u64 = kib.context("VmRSS")?.parse()?;
        let mut maps = serde_json::Map::new();
        for entry in fs::read_dir(PINS)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            maps.insert(name.into_owned(), json!(locked(&path)?));
        }
        Ok(json!({ "daemon": daemon * 1024, "maps": maps }))
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        let _ = self.daemon.kill(); // it may have ended
        let _ = self.daemon.wait();
    }
}

/// `memlock` of a pinned map: `bpf_map_show_fdinfo`.
fn locked(pin: &Path) -> Result<u64> {
    let map = MapData::from_pin(pin)?;
    let info = format!("/proc/self/fdinfo/{}", map.fd().as_fd().as_raw_fd());
    let info = fs::read_to_string(info)?;
    let line = info.lines().find_map(|line| line.strip_prefix("memlock:"));
    Ok(line.context("memlock")?.trim().parse()?)
}

fn apply(rules: &str) -> Result<()> {
    let own = std::env::current_exe()?;
    let own = own.display();
    let policy = format!(
        "schema = 1\n[agent]\nname = \"bench\"\nowner = \"bench@example.com\"\npurpose = \"a measurement\"\n\
         on_audit_failure = \"continue\"\n\
         [agent.enrol]\nlaunch = {{}}\n\
         [[exec]]\nid = \"programs\"\nallow = [\"{own}\", \"{NOTHING}\"]\n\
         [[listen]]\nid = \"own\"\nallow = [\"tcp:127.0.0.1:*\", \"udp:127.0.0.1:*\"]\n{rules}"
    );
    fs::write(POLICY, policy)?;
    let applied = Command::new(ENFORCER)
        .args(["policy", "apply", POLICY])
        .output()?;
    ensure!(
        applied.status.success(),
        "{}",
        String::from_utf8_lossy(&applied.stderr)
    );
    Ok(())
}

fn measured(arguments: &[&str]) -> Result<Numbers> {
    let run = Command::new(ENFORCER)
        .args(["run", "--agent", "bench", "--"])
        .arg(std::env::current_exe()?)
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(run.status.success(), "inside a session: {}", run.status);
    Ok(serde_json::from_slice(&run.stdout)?)
}
