//! The extension's keys, and what of a record each holds.
#![forbid(unsafe_code)]

/// Largest value of CEF's integers; its longs hold every integer of a record.
pub const MAX_INTEGER: u64 = i32::MAX as u64;

/// A key of the extension.
pub struct Extension {
    /// The key: of CEF's dictionary, or one of ours, which begin with `enforcer`.
    pub key: &'static str,
    /// What fits.
    pub room: Room,
    /// What a custom key holds, told in the key's own label.
    pub label: Option<&'static str>,
    /// Paths in the record; the first that is there counts.
    pub from: &'static [&'static str],
}

/// Type and length of a value.
#[derive(Clone, Copy)]
pub enum Room {
    /// Text of at most as many bytes.
    Bytes(usize),
    /// 32 bits with a sign.
    Integer,
    /// 64 bits with a sign; milliseconds since 1970 as well.
    Long,
    /// An IPv4 address: CEF's version 0 has other keys for IPv6.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// 0 = inbound, 1 = outbound.
    Direction,
}

const fn field(key: &'static str, room: Room, from: &'static [&'static str]) -> Extension {
    Extension {
        key,
        room,
        label: None,
        from,
    }
}

const fn custom(
    key: &'static str,
    room: Room,
    label: &'static str,
    from: &'static [&'static str],
) -> Extension {
    Extension {
        key,
        room,
        label: Some(label),
        from,
    }
}

/// Length of most of the dictionary's texts.
const TEXT: Room = Room::Bytes(1023);
/// Length of the custom strings.
const CUSTOM: Room = Room::Bytes(4000);

/// Every key, in the order in which they are written.
pub const FIELDS: [Extension; 43] = [
    field("rt", Room::Long, &["time"]),
    field("act", Room::Bytes(63), &["unmapped.verdict", "disposition"]),
    field("outcome", Room::Bytes(63), &["status"]),
    field(
        "reason",
        TEXT,
        &["unmapped.removal_reason", "status_detail"],
    ),
    field("cat", TEXT, &["class_name"]),
    field("msg", TEXT, &["message"]),
    custom("cs1", CUSTOM, "Agent", &["ai_agent.name", "entity.name"]),
    custom("cs2", CUSTOM, "Session", &["actor.session.uid"]),
    custom("cs3", CUSTOM, "Rule", &["firewall_rule.uid"]),
    custom("cs4", CUSTOM, "Policy", &["policy.uid"]),
    custom("cs5", CUSTOM, "Task", &["unmapped.task"]),
    custom("cs6", CUSTOM, "Record", &["metadata.uid"]),
    custom("cn1", Room::Long, "Sequence", &["metadata.sequence"]),
    field("dvchost", Room::Bytes(100), &["device.hostname"]),
    field("deviceExternalId", Room::Bytes(255), &["device.uid"]),
    field("suser", TEXT, &["actor.user.name"]),
    field("suid", TEXT, &["actor.user.uid"]),
    field("spid", Room::Integer, &["actor.process.pid"]),
    field(
        "sproc",
        TEXT,
        &["actor.process.file.path", "actor.process.name"],
    ),
    field("duser", TEXT, &["process.user.name", "entity.user.name"]),
    field("duid", TEXT, &["process.user.uid", "entity.user.uid"]),
    field("dpid", Room::Integer, &["process.pid"]),
    field("dproc", TEXT, &["process.file.path", "process.name"]),
    field(
        "filePath",
        TEXT,
        &[
            "process.file.path",
            "unmapped.target_path",
            "unmapped.segment",
        ],
    ),
    field("fname", TEXT, &["process.file.name"]),
    field(
        "fileId",
        TEXT,
        &["process.file.uid", "unmapped.target_file"],
    ),
    field(
        "fileHash",
        Room::Bytes(255),
        &["process.file.hashes.0.value", "entity.data.sha256"],
    ),
    field("fsize", Room::Integer, &["process.file.size"]),
    field("dst", Room::Ipv4, &["dst_endpoint.ip"]),
    custom(
        "c6a3",
        Room::Ipv6,
        "Destination IPv6 Address",
        &["dst_endpoint.ip"],
    ),
    field("dpt", Room::Integer, &["dst_endpoint.port"]),
    field(
        "dhost",
        TEXT,
        &["dst_endpoint.hostname", "dst_endpoint.name"],
    ),
    field("proto", Room::Bytes(31), &["connection_info.protocol_name"]),
    field(
        "deviceDirection",
        Room::Direction,
        &["connection_info.direction_id"],
    ),
    field("cnt", Room::Integer, &["count"]),
    field("start", Room::Long, &["start_time"]),
    field("end", Room::Long, &["end_time"]),
    custom(
        "flexString1",
        TEXT,
        "Claimed command line",
        &["process.cmd_line", "actor.process.cmd_line"],
    ),
    custom("flexString2", TEXT, "Owner", &["unmapped.owner"]),
    field("enforcerTaskId", TEXT, &["unmapped.task_id"]),
    field("enforcerHow", TEXT, &["unmapped.how", "unmapped.place"]),
    field("enforcerRemovedBy", TEXT, &["unmapped.removed_by.uid"]),
    field("enforcerOcsfType", Room::Long, &["type_uid"]),
];
