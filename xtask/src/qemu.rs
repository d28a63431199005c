//! The emulator's command line.

use std::path::Path;
use std::process::Command;

use crate::arch::{Arch, HOST};
use crate::command::command;
use crate::setup::Guest;

/// The machine to emulate.
pub struct Machine<'a> {
    /// What it boots from.
    pub guest: &'a Guest,
    /// The kernel's command line, beside the parameters that every boot needs.
    pub parameters: &'a str,
    /// Guest time is a count of executed instructions: figures that do not move with the host's load.
    pub icount: bool,
    /// Directories that the guest sees, by tag.
    pub shares: &'a [Share<'a>],
    /// Where the console is written.
    pub console: &'a Path,
}

/// A directory of the host in the guest, by 9p.
pub struct Share<'a> {
    /// What the guest mounts.
    pub tag: &'a str,
    /// The directory.
    pub directory: &'a Path,
    /// Whether the guest may write in it.
    pub writable: bool,
}

/// The emulator for `machine`. Its standard input must be the socket of the port `enforcer.output`, its standard output
/// that of the terminal `hvc0`. It dies with the thread that starts it.
pub fn emulator(machine: &Machine<'_>) -> Command {
    let mut qemu = command("setpriv");
    qemu.args(["--pdeathsig", "KILL", HOST.qemu]);
    qemu.args([
        "-no-user-config",
        "-nodefaults",
        "-no-reboot",
        "-display",
        "none",
    ]);
    qemu.args(["-machine", HOST.machine, "-cpu", "max", "-m", "2048"]);
    accelerate(&mut qemu, machine);
    boot(&mut qemu, machine);
    qemu.arg("-drive").arg(format!(
        "id=root,if=none,format=raw,snapshot=on,file={}",
        quoted(&machine.guest.root_disk)
    ));
    qemu.args(["-device", "virtio-blk-pci,drive=root"]);
    for Share {
        tag,
        directory,
        writable,
    } in machine.shares
    {
        let mode = if *writable { "" } else { ",readonly=on" };
        let path = quoted(directory);
        qemu.arg("-fsdev").arg(format!(
            "local,id={tag},security_model=none,multidevs=remap,path={path}{mode}"
        ));
        qemu.arg("-device")
            .arg(format!("virtio-9p-pci,fsdev={tag},mount_tag={tag}"));
    }
    qemu.arg("-chardev")
        .arg(format!("file,id=console,path={}", quoted(machine.console)));
    qemu.args(["-serial", "chardev:console", "-device", "virtio-serial-pci"]);
    qemu.args([
        "-chardev",
        "socket,id=terminal,fd=1",
        "-device",
        "virtconsole,chardev=terminal",
    ]);
    qemu.args(["-chardev", "socket,id=output,fd=0"]);
    qemu.args([
        "-device",
        "virtserialport,chardev=output,name=enforcer.output",
    ]);
    qemu
}

fn accelerate(qemu: &mut Command, machine: &Machine<'_>) {
    qemu.args(["-smp", if machine.icount { "1" } else { "2" }]);
    if machine.icount {
        qemu.args(["-accel", "tcg", "-icount", "shift=0"]);
    } else if has_hardware() {
        qemu.args(["-accel", "kvm"]);
    } else {
        // With a thread a processor, attaching an LSM program while another processor runs the hook traps on a stale
        // translation of the patched call.
        qemu.args(["-accel", "tcg,thread=single,tb-size=512"]);
    }
}

fn boot(qemu: &mut Command, machine: &Machine<'_>) {
    let every_boot = format!(
        "console={} rdinit=/init panic=-1 oops=panic net.ifnames=0",
        HOST.console
    );
    qemu.arg("-kernel").arg(machine.guest.kernel.image());
    qemu.arg("-initrd").arg(&machine.guest.initramfs);
    qemu.arg("-append").arg(format!(
        "{every_boot} {} {}",
        HOST.kernel_parameters, machine.parameters
    ));
}

/// A path inside an option, where a comma ends the value unless it is doubled.
fn quoted(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// Whether guests run on the processor itself here.
pub fn has_hardware() -> bool {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let openable = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_ok();
    is_real(&cpuinfo, openable, &HOST)
}

fn is_real(cpuinfo: &str, kvm_opens: bool, arch: &Arch) -> bool {
    let flags = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("flags")?.split_once(':'));
    let has = |flag: &&str| {
        flags.is_some_and(|(_, flags)| flags.split_whitespace().any(|present| present == *flag))
    };
    kvm_opens && arch.virtualization_flags.iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kvm_is_used_only_with_the_processors_own_flag_and_a_device_that_opens() {
        let intel = "processor\t: 0\nflags\t\t: fpu vme vmx sse\n";
        let nested = "processor\t: 0\nflags\t\t: fpu vme vmxoff svm_lock\n";
        assert!(is_real(intel, true, &HOST));
        assert!(!is_real(intel, false, &HOST));
        assert!(!is_real(nested, true, &HOST));
        assert!(is_real("flags : svm\n", true, &HOST));
        assert!(!is_real("", true, &HOST));
    }

    #[test]
    fn a_comma_in_a_path_is_doubled() {
        assert_eq!(quoted(Path::new("/a,b/c")), "/a,,b/c");
    }
}
