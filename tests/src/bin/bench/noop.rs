//! The no-op programs, attached for as long as a process of their own holds them: their descriptors would be
//! copied and closed by everything that the measuring process starts.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read as _},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use aya::{Btf, Ebpf, programs::Lsm};
use enforcer_common::hooks::hooks_of;

/// The process that holds them.
pub struct Holder(Child);

impl Holder {
    /// Starts it; returns when every program is attached.
    pub fn start(object: &str) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["hold", object])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("its output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line == "attached\n", "it said {line:?}");
        Ok(Self(child))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait(); // it ends when its input does
    }
}

/// Attaches them and stays until the input ends.
pub fn hold(object: &str) -> Result<()> {
    let _programs = attach(object)?;
    println!("attached");
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Attaches a program that does nothing to every hook that the product has on this kernel.
fn attach(object: &str) -> Result<Ebpf> {
    let mut programs = Ebpf::load(&fs::read(object)?)?;
    let types = Btf::from_sys_fs()?;
    let symbols = fs::read_to_string("/proc/kallsyms")?;
    let has = |hook: &str| symbols.contains(&format!(" bpf_lsm_{hook}\n"));
    let hooks: Vec<_> = hooks_of(version()?, has).collect();
    for hook in hooks {
        let program = programs.program_mut(hook).context(hook)?;
        let program: &mut Lsm = program.try_into()?;
        program.load(hook, &types).context(hook)?;
        program.attach().context(hook)?;
    }
    Ok(programs)
}

/// Major and minor number of the running kernel.
fn version() -> Result<(u32, u32)> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split(['.', '-']).map(str::parse);
    let mut next = || numbers.next().context("a version").and_then(|n| Ok(n?));
    Ok((next()?, next()?))
}
