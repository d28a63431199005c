//! ioctl(2) by number: those that act on others through a terminal, on a disk past its file system, or
//! on listed code through a descriptor that was opened for reading. Every other one goes on; whether a
//! driver may be told anything is decided when its device is opened.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use enforcer_common::event::{FILE_ENTRY, Kind};

use super::{guard, owner};
use crate::{
    decide,
    emit::{Act, GO_ON, conclude_file, conclude_other, no_path},
    kernel::{FILE_DENTRY, FILE_INODE, Ptr, file_of},
    label::Acting,
};

/// What an ioctl does, for those that are not everybody's own business.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Nothing that concerns anybody else.
    Own,
    /// Types, draws or hangs up on a terminal that others use.
    Terminal,
    /// Names who is signalled.
    Owner,
    /// Has somebody signalled, on a device.
    Signals,
    /// Reaches a disk or a file system as a whole.
    Disk,
    /// Changes a file although it may be open for reading only.
    File,
}

/// Numbers are those of `asm-generic/ioctls.h`, `asm-generic/sockios.h`, `linux/fs.h`, `scsi/sg.h`,
/// `linux/blkpg.h`, `linux/nvme_ioctl.h`, `linux/btrfs.h` and of ext4, with the 32-bit spellings of
/// those that have their own.
#[inline(always)]
const fn effect_of(command: u32) -> Effect {
    match command {
        0x5412 | 0x541c | 0x541d | 0x5437 => Effect::Terminal, // TIOCSTI, TIOCLINUX, TIOCCONS, TIOCVHANGUP
        0x8901 | 0x8902 => Effect::Owner,                      // FIOSETOWN, SIOCSPGRP
        0x5452 => Effect::Signals, // FIOASYNC
        0xc004_5877 | 0xc004_5878 // FIFREEZE, FITHAW
        | 0x2285 // SG_IO
        | 0x4c00..=0x4c0a | 0x4c80..=0x4c82 // LOOP_*: the file behind a disk
        | 0x125d | 0x125f | 0x1269 // BLKROSET, BLKRRPART, BLKPG
        | 0xc048_4e41 | 0xc048_4e43 | 0x4030_4e42 // NVMe: admin, IO and submit
        | 0xc050_4e47..=0xc050_4e49 // NVMe: admin and IO of 64 bits
        | 0x5000_9401 | 0x5000_940e | 0x5000_940f // btrfs: snapshot, subvolume, destroy
        | 0x5000_9417 | 0x5000_9418 | 0x5000_943f // btrfs: their second versions
        | 0x6611 => Effect::Disk, // EXT4_IOC_SWAP_BOOT: a file's blocks for those of the boot loader's
        0x4008_6602 | 0x4004_6602 // FS_IOC_SETFLAGS
        | 0x4080_6685 // FS_IOC_ENABLE_VERITY
        | 0x401c_5820 // FS_IOC_FSSETXATTR
        | 0x4008_6604 | 0x4004_6604 // EXT4_IOC_SETVERSION: the generation, by which a file is known
        | 0x4008_7602 | 0x4004_7602 => Effect::File, // FS_IOC_SETVERSION
        _ => Effect::Own,
    }
}

#[inline(always)]
fn judge(file: Ptr, command: u32) -> i32 {
    let effect = effect_of(command);
    if effect as u8 == Effect::Own as u8 {
        return GO_ON;
    }
    if effect as u8 == Effect::Signals as u8 {
        return owner::by_device(file, command);
    }
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    match effect {
        Effect::Own | Effect::Signals => GO_ON,
        Effect::Owner => owner::by_memory(&acting, command),
        Effect::Terminal | Effect::Disk => {
            conclude_other(&acting, Kind::Ioctl, decide::never(&acting), 0, command)
        }
        Effect::File => change(&acting, file),
    }
}

/// A change of what the file is, by whoever has it open.
#[inline(always)]
fn change(acting: &Acting, file: Ptr) -> i32 {
    let guarded = guard::changed(acting, file.follow(&FILE_DENTRY));
    if guarded != GO_ON {
        return guarded;
    }
    let found = file_of(file.follow(&FILE_INODE));
    let finding = decide::written(acting, &found.0);
    let act = Act {
        kind: Kind::Write,
        how: FILE_ENTRY,
        file: found,
    };
    // The kernel lets no program of this hook resolve a path.
    conclude_file(acting, finding, &act, no_path)
}

/// `file_ioctl(file, cmd, arg)`
#[lsm(hook = "file_ioctl")]
pub fn file_ioctl(ctx: LsmContext) -> i32 {
    judge(Ptr::new(ctx.arg(0)), ctx.arg(1))
}

/// `file_ioctl_compat(file, cmd, arg)`: calls of 32-bit programs, on kernels that have it.
#[lsm(hook = "file_ioctl_compat")]
pub fn file_ioctl_compat(ctx: LsmContext) -> i32 {
    judge(Ptr::new(ctx.arg(0)), ctx.arg(1))
}
