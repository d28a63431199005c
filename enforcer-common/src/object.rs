//! What is acted on: the keys that a hook makes of a file, an address or a socket.
//!
//! A key is the object's identity as the kernel sees it, never a path or a string that the caller
//! chose.

/// The kernel's identity of a file: what an exec rule finally matches.
///
/// Taken from the `struct inode` of the file that the kernel opened (`file->f_inode`), so that
/// names, links, mounts and namespaces have no part in it. `stat(2)` may show another device number
/// for the same file (overlayfs does), therefore the daemon learns it from a kernel program too.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// Inode number: `inode->i_ino`.
    pub inode: u64,
    /// Device of the superblock: `inode->i_sb->s_dev`, in the kernel's own encoding (20 minor bits).
    pub device: u32,
    /// `inode->i_generation`: tells a reused inode number from the first, where the file system
    /// keeps one (ext4, xfs, btrfs; 0 on tmpfs).
    pub generation: u32,
}

/// What changes when a file's content changes: `i_ctime` and `i_size`.
///
/// No call sets ctime, so an unchanged stamp means that content, owner and mode are those that the
/// daemon judged. It does not prove it within one tick of the clock after a write, nor against who can
/// set the clock (no session can) or had the file mapped for writing before it was judged.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileStamp {
    /// Whole seconds of `i_ctime`, since 1970.
    pub ctime_sec: i64,
    /// Nanoseconds of `i_ctime`.
    pub ctime_nsec: u32,
    /// Explicit padding, always 0.
    pub pad: u32,
    /// `i_size` in bytes.
    pub size: u64,
}

/// What the kernel tells the daemon of a file that the daemon asks about (map `LEARN`).
///
/// The daemon puts an empty entry under its thread's `bpf_get_current_pid_tgid()` and calls
/// `listxattr(2)` on the file; the first `inode_listxattr` of that thread fills it, which on a
/// stacked file system is the upper inode: the one that exec and unix connections see.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// The identity that decisions are made on.
    pub file: FileId,
    /// The stamp that exec decisions compare.
    pub stamp: FileStamp,
    /// 1 once the kernel has filled the entry.
    pub filled: u32,
    /// Explicit padding, always 0.
    pub pad: u32,
}

/// Address family of a canonical address: 4.
pub const IPV4: u32 = 4;
/// Address family of a canonical address: 6.
pub const IPV6: u32 = 6;
/// IANA protocol number of TCP.
pub const TCP: u8 = 6;
/// IANA protocol number of UDP.
pub const UDP: u8 = 17;
/// Bit of [`PortKey::protocol`]: listening on the local address, not reaching it.
pub const LISTEN: u8 = 0x80;

/// A canonical destination address: the data part of the key of the address trie.
///
/// The trie matches a prefix of `family`, then of `address`: [`AddressKey::FAMILY_BITS`] plus the
/// prefix length of the address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressKey {
    /// [`IPV4`] or [`IPV6`], big-endian bytes so that the trie reads it in order.
    pub family: [u8; 4],
    /// Network byte order; an IPv4 address fills the first four bytes, the rest is 0.
    pub address: [u8; 16],
}

impl AddressKey {
    /// Bits of the key before the address.
    pub const FAMILY_BITS: u32 = 32;

    /// The key of an IPv4 address in network byte order.
    #[must_use]
    pub const fn v4(octets: [u8; 4]) -> Self {
        Address::v4(u32::from_ne_bytes(octets)).key()
    }

    /// The key of an IPv6 address in network byte order, made canonical: see [`Address::v6`].
    #[must_use]
    pub const fn v6(octets: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = octets;
        let words = [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]];
        let [first, second, third, fourth] = words;
        Address::v6([
            u32::from_ne_bytes(first),
            u32::from_ne_bytes(second),
            u32::from_ne_bytes(third),
            u32::from_ne_bytes(fourth),
        ])
        .key()
    }
}

/// A canonical address as the kernel programs hold it: in words, since they have little room to
/// take bytes apart.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// [`IPV4`] or [`IPV6`].
    pub family: u32,
    /// The bytes of the address as they lie in memory, in network byte order; an IPv4 address is the
    /// first word, the rest is 0.
    pub words: [u32; 4],
}

impl Address {
    /// An IPv4 address as it lies in memory.
    #[inline(always)]
    #[must_use]
    pub const fn v4(word: u32) -> Self {
        Self {
            family: IPV4,
            words: [word, 0, 0, 0],
        }
    }

    /// An IPv6 address as it lies in memory, made canonical.
    ///
    /// An IPv4-mapped address (`::ffff:0:0/96`, RFC 4291 2.5.5.2) is the IPv4 host: the kernel sends
    /// IPv4. The unspecified address is not handled here: what it leads to depends on the socket.
    #[inline(always)]
    #[must_use]
    pub const fn v6(words: [u32; 4]) -> Self {
        let [first, second, third, fourth] = words;
        if first == 0 && second == 0 && third == 0xffff_u32.to_be() {
            return Self::v4(fourth);
        }
        Self {
            family: IPV6,
            words,
        }
    }

    /// Whether it is an IPv6 address that stands for an IPv4 host by somebody's translation: the
    /// well-known NAT64 prefix (`64:ff9b::/96`, RFC 6052) and 6to4 (`2002::/16`, RFC 3056).
    ///
    /// Such a packet goes to whoever has the route, as IPv6, and from there perhaps to the IPv4
    /// host: a rule about the host would open the way to the translator, a rule about the prefix the
    /// way to every IPv4 host. So it is not judged: it is denied.
    #[inline(always)]
    #[must_use]
    pub const fn is_translated(&self) -> bool {
        let [first, second, third, _] = self.words;
        let nat64 = first == 0x0064_ff9b_u32.to_be() && second == 0 && third == 0;
        let six_to_four = u32::from_be(first) >> 16 == 0x2002;
        self.family == IPV6 && (nat64 || six_to_four)
    }

    /// Whether it is an IPv4 host's.
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(&self) -> bool {
        self.family == IPV4
    }

    /// Whether it is the unspecified address of its family.
    #[inline(always)]
    #[must_use]
    pub const fn is_unspecified(&self) -> bool {
        let [first, second, third, fourth] = self.words;
        first | second | third | fourth == 0
    }

    const fn key(self) -> AddressKey {
        let mut address = [0; 16];
        let mut index = 0;
        while index < 16 {
            address[index] = self.words[index / 4].to_ne_bytes()[index % 4];
            index += 1;
        }
        AddressKey {
            family: self.family.to_be_bytes(),
            address,
        }
    }
}

/// A port under an address class: the data part of the key of the port trie.
///
/// A port range is a few prefixes of `port`; "any port" is the prefix of length 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortKey {
    /// Address class that the address trie gave, big-endian.
    pub class: [u8; 4],
    /// IANA protocol number: [`TCP`] or [`UDP`].
    pub protocol: u8,
    /// Explicit padding, always 0.
    pub pad: u8,
    /// Port in network byte order.
    pub port: [u8; 2],
}

impl PortKey {
    /// Bits of the key before the port.
    pub const CLASS_BITS: u32 = 48;

    /// The key of one port (host byte order) under a class.
    #[inline(always)]
    #[must_use]
    pub const fn new(class: u32, protocol: u8, port: u16) -> Self {
        Self {
            class: class.to_be_bytes(),
            protocol,
            pad: 0,
            port: port.to_be_bytes(),
        }
    }
}

/// Longest name of a unix socket: `UNIX_PATH_MAX` of `linux/un.h`.
pub const UNIX_NAME_LEN: usize = 108;
/// [`UnixKey::kind`]: the socket is bound to a path; `file` is its inode.
pub const UNIX_PATH: u32 = 1;
/// [`UnixKey::kind`]: the socket is bound to an abstract name, kept in `name` without its leading NUL.
pub const UNIX_ABSTRACT: u32 = 2;
/// [`UnixKey::kind`]: the socket has no name (one end of a `socketpair(2)`).
pub const UNIX_UNNAMED: u32 = 3;

/// The peer of a unix connection: by inode, or by abstract name.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnixKey {
    /// [`UNIX_PATH`], [`UNIX_ABSTRACT`] or [`UNIX_UNNAMED`].
    pub kind: u32,
    /// Bytes of `name` that count (an abstract name may hold NUL bytes, so the end is not marked).
    pub name_len: u32,
    /// The inode that a path-bound socket is bound to; 0 otherwise.
    pub file: FileId,
    /// Abstract name without its leading NUL, zero-filled; all 0 for a path.
    pub name: [u8; UNIX_NAME_LEN],
    /// Explicit padding, always 0.
    pub pad: u32,
}

impl UnixKey {
    /// The key of a socket bound to the inode `file`.
    #[must_use]
    pub const fn path(file: FileId) -> Self {
        Self {
            kind: UNIX_PATH,
            name_len: 0,
            file,
            name: [0; UNIX_NAME_LEN],
            pad: 0,
        }
    }

    /// The key of an abstract name, given without its leading NUL. `None` when it is empty or
    /// longer than the kernel allows (107 bytes).
    #[must_use]
    pub fn abstract_name(name: &[u8]) -> Option<Self> {
        if name.is_empty() || name.len() >= UNIX_NAME_LEN {
            return None;
        }
        let mut key = Self::path(FileId {
            inode: 0,
            device: 0,
            generation: 0,
        });
        key.kind = UNIX_ABSTRACT;
        key.name_len = u32::try_from(name.len()).ok()?;
        key.name.get_mut(..name.len())?.copy_from_slice(name);
        Some(key)
    }
}
