//! All that depends on the processor architecture. A new one is a new constant here.

/// What differs between architectures.
pub struct Arch {
    /// Debian's name, as in `linux-image-6.1.0-56-amd64`.
    pub debian: &'static str,
    /// The value of `bpf_target_arch`, which selects the register layout in aya's headers.
    pub bpf_target: &'static str,
    /// The target whose byte order is this machine's.
    pub bpf_triple: &'static str,
    /// The emulator, and the Debian package it comes in.
    pub qemu: &'static str,
    /// See `qemu`.
    pub qemu_package: &'static str,
    /// The emulated board.
    pub machine: &'static str,
    /// The kernel's name of the first serial port.
    pub console: &'static str,
    /// The kernel in its package: `/boot/<this>-<release>`.
    pub kernel_file: &'static str,
    /// Flags of `/proc/cpuinfo` of which one must be there for hardware virtualization to be real. A `/dev/kvm` without
    /// them is a nested one in which guests hang.
    pub virtualization_flags: &'static [&'static str],
    /// Kernel parameters that only this architecture takes.
    pub kernel_parameters: &'static str,
}

/// The architecture this was built for, which is the one that the product and the VM are built for.
#[cfg(target_arch = "x86_64")]
pub const HOST: Arch = Arch {
    debian: "amd64",
    bpf_target: "x86_64",
    bpf_triple: "bpfel-unknown-none",
    qemu: "qemu-system-x86_64",
    qemu_package: "qemu-system-x86",
    machine: "q35",
    console: "ttyS0",
    kernel_file: "vmlinuz",
    virtualization_flags: &["vmx", "svm"],
    // The calibration of the timestamp counter against emulated timers is what takes a boot's first seconds.
    kernel_parameters: "tsc=reliable no_timer_check mitigations=off",
};
