//! How records spell identities. Each is text, because an inode or a session id can be larger than
//! the integers that a JSON reader holds exactly.
#![forbid(unsafe_code)]

use enforcer_common::object::FileId;

/// A session's id: 16 hexadecimal digits.
#[must_use]
pub fn session_uid(session: u64) -> String {
    format!("{session:016x}")
}

/// A process on this host, for ever: `boot:pid:start`, the start in nanoseconds of `CLOCK_BOOTTIME`.
#[must_use]
pub fn process_uid(boot_id: &str, pid: u32, start_ns: u64) -> String {
    format!("{boot_id}:{pid}:{start_ns}")
}

/// A file as the kernel knows it: `major:minor:inode:generation`, in decimal; `None` for the
/// identity that is all 0, which stands for one that could not be read.
#[must_use]
pub fn file_uid(file: FileId) -> Option<String> {
    if file == FileId::default() {
        return None;
    }
    // The kernel's own encoding of a device number: `MINORBITS` of linux/kdev_t.h is 20.
    let (major, minor) = (file.device >> 20, file.device & 0xf_ffff);
    let (inode, generation) = (file.inode, file.generation);
    Some(format!("{major}:{minor}:{inode}:{generation}"))
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::{FileId, file_uid, hex, process_uid, session_uid};

    #[test]
    fn identities_are_spelt_in_full() {
        assert_eq!(session_uid(0xab), "00000000000000ab");
        assert_eq!(process_uid("b", 7, 9), "b:7:9");
        assert_eq!(hex(&[0, 0xfe]), "00fe");
        let file = FileId {
            inode: u64::MAX,
            device: (253 << 20) | 1,
            generation: 5,
        };
        let uid = file_uid(file);
        assert_eq!(uid.as_deref(), Some("253:1:18446744073709551615:5"));
        assert_eq!(file_uid(FileId::default()), None);
    }
}
