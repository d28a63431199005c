//! Class 1007, process activity: running a file, forking.
#![forbid(unsafe_code)]

use enforcer_common::{event::Kind, object::FileStamp};
use enforcer_evidence::canonical::MAX_INTEGER;
use serde_json::{Value, json};

use super::{
    draft::{Class, Draft, Member, integer},
    scene::{Scene, UNKNOWN, file, file_name},
};
use crate::record::{
    event::{Executable, FileAct, Other},
    lineage::cmd_line,
    names::file_uid,
    text::escaped,
};

const CLASS: Class = Class {
    uid: 1007,
    name: "Process Activity",
    category_uid: 1,
};
const LAUNCH: Member = (1, "Launch");
const OPEN: Member = (3, "Open");
const OTHER: Member = (99, "Other");

/// The record of an exec. The process stays the same one across an exec, so that `process` differs
/// from `actor.process` by its file and its claimed arguments alone.
pub(super) fn exec(scene: &Scene<'_>, executable: &Executable, sha256: Option<&str>) -> Value {
    let path = executable.path.as_deref().map(escaped);
    let uid = file_uid(executable.file);
    let (path, uid) = (path.as_deref(), uid.as_deref());
    let draft = scene
        .draft(CLASS, LAUNCH, path.or(uid).unwrap_or(UNKNOWN))
        .with("launch_type", "Exec")
        .with("launch_type_id", 3)
        .with("process", target(scene, executable, path, uid, sha256))
        .unmapped("level", executable.level)
        .unmapped("argc", executable.argc);
    incomplete(stamp(draft, executable.stamp), executable)
        .unmapped("claimed_argv", claimed_argv(executable))
        .finish()
}

/// The record of a fork. The child that was not made has no identity: `process` is the one that
/// it would have been a copy of.
pub(super) fn fork(scene: &Scene<'_>) -> Value {
    let process = json!({
        "cmd_line": scene.image_cmd_line(),
        "file": scene.image_file(),
        "pid": scene.head.tgid,
        "uid": scene.process_uid(),
    });
    scene
        .draft(CLASS, LAUNCH, "of a child")
        .with("launch_type", "Fork")
        .with("launch_type_id", 2)
        .with("process", process)
        .finish()
}

/// The record of what has no class of its own: acting on another process, or on the kernel. Of the
/// other process only its id is known; where there is none, `process` is the one that tried.
pub(super) fn other(scene: &Scene<'_>, other: Other) -> Value {
    let activity = if scene.head.kind == Kind::Trace {
        OPEN
    } else {
        OTHER
    };
    let (object, process) = match other.target {
        Some(pid) => (format!("of process {pid}"), json!({ "pid": pid })),
        None => (
            format!("({})", other.detail),
            json!({ "pid": scene.head.tgid, "uid": scene.process_uid() }),
        ),
    };
    scene
        .draft(CLASS, activity, &object)
        .with("process", process)
        .unmapped("detail", other.detail)
        .finish()
}

/// The record of mapping a file as code, or writing to one. `process` is the one that tried: the
/// file is not what it runs.
pub(super) fn file_act(scene: &Scene<'_>, act: &FileAct) -> Value {
    let path = act.path.as_deref().map(escaped);
    let uid = act.file.and_then(file_uid);
    let object = path.as_deref().or(uid.as_deref()).unwrap_or("of memory");
    let draft = scene
        .draft(CLASS, OTHER, object)
        .with(
            "process",
            json!({ "pid": scene.head.tgid, "uid": scene.process_uid() }),
        )
        .unmapped("how", act.how.name())
        .unmapped("target_path", path)
        .unmapped("target_file", uid);
    stamp(draft, act.stamp).finish()
}

fn target(
    scene: &Scene<'_>,
    executable: &Executable,
    path: Option<&str>,
    uid: Option<&str>,
    sha256: Option<&str>,
) -> Value {
    let mut file = file(path, uid, sha256);
    file["size"] = match uid {
        Some(_) => integer(executable.stamp.size),
        None => Value::Null,
    };
    json!({
        "cmd_line": executable.arguments.as_deref().map(cmd_line),
        "created_time": scene.host.wall_ms(scene.head.start_ns),
        "file": file,
        "name": path.map(file_name),
        "pid": scene.head.tgid,
        "uid": scene.process_uid(),
        "user": scene.user(),
    })
}

/// `i_ctime` has no attribute (`modified_time` is another clock); a sparse file's size can be more
/// than an integer of JSON. A file that could not be read has no stamp.
fn stamp(draft: Draft, stamp: FileStamp) -> Draft {
    if stamp == FileStamp::default() {
        return draft;
    }
    let ctime = format!("{}.{:09}", stamp.ctime_sec, stamp.ctime_nsec);
    let size = (stamp.size > MAX_INTEGER).then(|| stamp.size.to_string());
    draft
        .unmapped("file_ctime", ctime)
        .unmapped("file_size", size)
}

fn claimed_argv(executable: &Executable) -> Value {
    executable
        .arguments
        .as_deref()
        .map_or(Value::Null, |arguments| {
            arguments.iter().map(|a| escaped(a)).collect()
        })
}

/// Says what the event could not hold whole.
fn incomplete(draft: Draft, executable: &Executable) -> Draft {
    let unreadable = executable.arguments.is_none();
    let truncated = executable.arguments_cut || unreadable || executable.path.is_none();
    draft
        .unmapped("argv_cut", executable.arguments_cut.then_some(true))
        .unmapped("argv_unreadable", unreadable.then_some(true))
        .metadata("is_truncated", truncated.then_some(true))
}
