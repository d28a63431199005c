//! The no-op programs, attached for as long as they are held.

use std::fs;

use anyhow::{Context, Result};
use aya::{Btf, Ebpf, programs::Lsm};
use enforcer_common::hooks::hooks_of;

/// Attaches a program that does nothing to every hook that the product has on this kernel.
pub fn attach(object: &str) -> Result<Ebpf> {
    let mut programs = Ebpf::load(&fs::read(object)?)?;
    let types = Btf::from_sys_fs()?;
    let hooks: Vec<_> = hooks_of(version()?).collect();
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
