//! Memory that becomes code: files that are mapped as executable, and memory that no file stands
//! behind. A library is code like a program, so the same list decides on both.

use aya_ebpf::{macros::lsm, programs::LsmContext};
use enforcer_common::{
    event::{FILE_ANONYMOUS, FILE_MAPPED, FILE_PROTECTED, Kind},
    object::{FileId, FileStamp},
    verdict::Reason,
};

use crate::{
    decide,
    emit::{Act, GO_ON, conclude_file, no_path, path_to},
    kernel::{FILE_INODE, Ptr, VMA_FLAGS, file_of, is_null_argument},
    label::Acting,
};

/// `PROT_WRITE` and `PROT_EXEC` of `asm-generic/mman-common.h`.
const WRITE: u64 = 2;
const EXEC: u64 = 4;
/// `VM_EXEC` of `linux/mm.h`.
const VM_EXEC: u64 = 4;

const NO_FILE: (FileId, FileStamp) = (
    FileId {
        inode: 0,
        device: 0,
        generation: 0,
    },
    FileStamp {
        ctime_sec: 0,
        ctime_nsec: 0,
        pad: 0,
        size: 0,
    },
);

/// `mmap_file(file, reqprot, prot, flags)`: `prot` is what the mapping gets, whatever was asked for.
/// `execve` maps the program and its loader by it too.
#[lsm(hook = "mmap_file")]
pub fn mmap_file(ctx: LsmContext) -> i32 {
    let protection: u64 = ctx.arg(2);
    if protection & EXEC == 0 {
        return GO_ON;
    }
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    if is_null_argument(&ctx, 0) {
        return without_file(&acting, FILE_ANONYMOUS);
    }
    let file = Ptr::new(ctx.arg(0));
    let found = file_of(file.follow(&FILE_INODE));
    let mut finding = decide::code(&acting, &found.0, &found.1);
    if finding.reason as u8 == Reason::RuleAllows as u8 && protection & WRITE != 0 {
        finding = decide::executable_memory(&acting);
    }
    let act = Act {
        kind: Kind::Code,
        how: FILE_MAPPED,
        file: found,
    };
    conclude_file(&acting, finding, &act, path_to(file))
}

/// `file_mprotect(vma, reqprot, prot)`: what is mapped as code may stay so. What was not may have
/// been written to since, so that its file says nothing about it.
#[lsm(hook = "file_mprotect")]
pub fn file_mprotect(ctx: LsmContext) -> i32 {
    let protection: u64 = ctx.arg(2);
    if protection & EXEC == 0 {
        return GO_ON;
    }
    let Some(acting) = Acting::current() else {
        return GO_ON;
    };
    let flags: u64 = Ptr::new(ctx.arg(0)).load(&VMA_FLAGS);
    if flags & VM_EXEC != 0 && protection & WRITE == 0 {
        return GO_ON;
    }
    without_file(&acting, FILE_PROTECTED)
}

/// Memory of the process's own is, or can be filled to be, code that stands in no file.
#[inline(always)]
pub fn without_file(acting: &Acting, how: u16) -> i32 {
    let act = Act {
        kind: Kind::Code,
        how,
        file: NO_FILE,
    };
    conclude_file(acting, decide::executable_memory(acting), &act, no_path)
}
