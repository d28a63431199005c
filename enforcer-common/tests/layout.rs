//! Holds the layout of every shared type: a change here is a change of the ABI between the kernel
//! programs and the daemon, and pinned maps of an older daemon no longer fit.

use std::mem::{align_of, offset_of, size_of};

use enforcer_common::{
    event::{Connect, Exec, File, Header, Kind, Other, Socket, Unix},
    label::{AgentParams, EntryKey, Image, Label, Pending, Session, Spare},
    maps::Counter,
    object::{Address, AddressKey, FileId, FileStamp, Learned, PortKey, UnixKey},
    permit::{ExecPermit, Permit},
    verdict::{Reason, Verdict},
};

macro_rules! layout {
    ($($type:ident: $size:literal, $align:literal { $($field:ident @ $offset:literal + $len:literal),* $(,)? })*) => {$(
        let mut end = 0;
        $(
            assert_eq!(offset_of!($type, $field), $offset, concat!(stringify!($type), ".", stringify!($field)));
            assert_eq!(end, $offset, concat!("hole before ", stringify!($type), ".", stringify!($field)));
            end += $len;
        )*
        assert_eq!(end, size_of::<$type>(), concat!("hole at the end of ", stringify!($type)));
        assert_eq!(size_of::<$type>(), $size, stringify!($type));
        assert_eq!(align_of::<$type>(), $align, stringify!($type));
    )*};
}

#[test]
fn every_shared_type_has_its_layout_and_no_hidden_padding() {
    layout! {
        FileId: 16, 8 { inode @ 0 + 8, device @ 8 + 4, generation @ 12 + 4 }
        FileStamp: 24, 8 { ctime_sec @ 0 + 8, ctime_nsec @ 8 + 4, pad @ 12 + 4, size @ 16 + 8 }
        Learned: 48, 8 { file @ 0 + 16, stamp @ 16 + 24, filled @ 40 + 4, pad @ 44 + 4 }
        AddressKey: 20, 1 { family @ 0 + 4, address @ 4 + 16 }
        PortKey: 8, 1 { class @ 0 + 4, protocol @ 4 + 1, pad @ 5 + 1, port @ 6 + 2 }
        UnixKey: 136, 8 { kind @ 0 + 4, name_len @ 4 + 4, file @ 8 + 16, name @ 24 + 108, pad @ 132 + 4 }
        Permit: 24, 8 { allow @ 0 + 8, deny @ 8 + 8, cell @ 16 + 4, pad @ 20 + 4 }
        ExecPermit: 56, 8 { permit @ 0 + 24, conditions @ 24 + 8, stamp @ 32 + 24 }
        Image: 64, 8 { files @ 0 + 48, exec @ 48 + 8, levels @ 56 + 4, pad @ 60 + 4 }
        Label: 160, 8 {
            session @ 0 + 8, image @ 8 + 64, next @ 72 + 64, conditions @ 136 + 8, slot @ 144 + 4,
            generation @ 148 + 4, unlisted @ 152 + 4, tgid @ 156 + 4,
        }
        Session: 24, 8 { id @ 0 + 8, tasks @ 8 + 8, agent @ 16 + 4, flags @ 20 + 4 }
        Pending: 24, 8 { session @ 0 + 8, start_ticks @ 8 + 8, slot @ 16 + 4, pad @ 20 + 4 }
        Spare: 16, 8 { session @ 0 + 8, slot @ 8 + 4, pad @ 12 + 4 }
        EntryKey: 64, 8 { folder @ 0 + 16, uid @ 16 + 4, pad @ 20 + 4, name @ 24 + 40 }
        AgentParams: 24, 8 {
            generation @ 0 + 4, tables @ 4 + 4, flags @ 8 + 4, sockets @ 12 + 4, monitor_until_ns @ 16 + 8,
        }
        Header: 80, 8 {
            sequence @ 0 + 8, time_ns @ 8 + 8, session @ 16 + 8, exec @ 24 + 8, start_ns @ 32 + 8,
            conditions @ 40 + 8, tgid @ 48 + 4, tid @ 52 + 4, parent_tgid @ 56 + 4, uid @ 60 + 4,
            agent @ 64 + 4, generation @ 68 + 4, cell @ 72 + 4, kind @ 76 + 1, verdict @ 77 + 1,
            reason @ 78 + 1, pad @ 79 + 1,
        }
        Connect: 104, 8 {
            header @ 0 + 80, address @ 80 + 16, family @ 96 + 1, protocol @ 97 + 1, port @ 98 + 2,
            pad @ 100 + 4,
        }
        Unix: 216, 8 { header @ 0 + 80, peer @ 80 + 136 }
        Socket: 96, 8 { header @ 0 + 80, family @ 80 + 4, kind @ 84 + 4, protocol @ 88 + 4, pad @ 92 + 4 }
        Other: 88, 8 { header @ 0 + 80, target_tgid @ 80 + 4, detail @ 84 + 4 }
        Exec: 1160, 8 {
            header @ 0 + 80, file @ 80 + 16, stamp @ 96 + 24, argc @ 120 + 4, level @ 124 + 2,
            flags @ 126 + 2, path_len @ 128 + 2, argv_len @ 130 + 2, pad @ 132 + 4,
            path @ 136 + 512, argv @ 648 + 512,
        }
        File: 640, 8 {
            header @ 0 + 80, file @ 80 + 16, stamp @ 96 + 24, how @ 120 + 2, path_len @ 122 + 2, pad @ 124 + 4,
            path @ 128 + 512,
        }
    }
}

#[test]
fn every_number_reads_back_as_what_it_was_written_from() {
    for verdict in Verdict::ALL {
        assert_eq!(Verdict::from_number(verdict as u8), Some(verdict));
    }
    for &reason in Reason::ALL {
        assert_eq!(Reason::from_number(reason as u8), Some(reason));
    }
    for &kind in Kind::ALL {
        assert_eq!(Kind::from_number(kind as u8), Some(kind));
    }
    for (index, counter) in (0..).zip(Counter::ALL) {
        assert_eq!(counter as u32, index);
    }
    assert_eq!(Verdict::from_number(0), None);
    assert_eq!(Reason::from_number(0), None);
    assert_eq!(Kind::from_number(0), None);
}

#[test]
fn every_spelling_of_an_ipv4_host_is_that_host() {
    let host = AddressKey::v4([169, 254, 169, 254]);
    let of = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
    assert_eq!(AddressKey::v6(of("::ffff:169.254.169.254")), host);
    for text in [
        "::1",
        "::",
        "fd00:ec2::254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "::fffe:169.254.169.254",
        "::169.254.169.254",
    ] {
        assert_eq!(AddressKey::v6(of(text)).address, of(text), "{text}");
    }
}

#[test]
fn an_address_that_somebody_translates_is_told() {
    let of = |text: &str| {
        let octets = text.parse::<std::net::Ipv6Addr>().unwrap().octets();
        Address::v6(std::array::from_fn(|i| {
            u32::from_ne_bytes(octets[i * 4..i * 4 + 4].try_into().unwrap())
        }))
    };
    for text in [
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::",
        "2002:a9fe:a9fe::1",
        "2002::",
        "2002:7f00:1::66",
    ] {
        assert!(of(text).is_translated(), "{text}");
    }
    for text in [
        "64:ff9b:1::1",
        "64:ff9a::1",
        "2003::1",
        "::1",
        "::ffff:1.2.3.4",
        "::ffff:32.2.1.1",
    ] {
        assert!(!of(text).is_translated(), "{text}");
    }
}

#[test]
fn an_abstract_name_keeps_its_length_and_refuses_what_the_kernel_refuses() {
    let key = UnixKey::abstract_name(b"bus\0x").unwrap();
    assert_eq!(
        (key.name_len, key.name[3], key.name[4], key.name[5]),
        (5, 0, b'x', 0)
    );
    assert_eq!(UnixKey::abstract_name(b""), None);
    assert!(UnixKey::abstract_name(&[b'a'; 107]).is_some());
    assert_eq!(UnixKey::abstract_name(&[b'a'; 108]), None);
}

#[test]
fn every_hook_is_attached_once_and_old_kernels_get_more() {
    let new: Vec<_> = enforcer_common::hooks::hooks_of((6, 12), |_| true).collect();
    let old: Vec<_> = enforcer_common::hooks::hooks_of((6, 1), |_| true).collect();
    let bare = enforcer_common::hooks::hooks_of((6, 12), |_| false).count();
    assert!(bare < new.len(), "what a kernel has not is not attached");
    assert!(!new.contains(&"file_permission") && old.contains(&"file_permission"));
    assert!(new.iter().all(|hook| old.contains(hook)));
    assert_eq!(
        old.iter().collect::<std::collections::BTreeSet<_>>().len(),
        old.len()
    );
}
