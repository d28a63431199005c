//! Programs loaded, attached and pinned; or taken over from an earlier daemon.
//!
//! Pins keep enforcement alive when the daemon is not: `maps/NAME` and `links/HOOK` under one
//! folder of bpffs. A daemon that finds the links of its own programs uses them as they are. When
//! the programs differ (an upgrade) it attaches the new ones before it drops the old, so that no
//! action falls between.

#![forbid(unsafe_code)]

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use aya::{
    Btf, Ebpf, EbpfLoader,
    maps::{Map, MapData},
    programs::{
        Lsm, Program,
        links::{FdLink, PinnedLink},
    },
};
use enforcer_common::{fields::FIELDS, hooks::hooks_of};
use sha2::{Digest, Sha256};

use super::{KernelError, btf};

/// The kernel programs, as built.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("ENFORCER_BPF_OBJECT"));

const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";

/// Every map that is pinned.
pub const MAPS: [&str; 20] = [
    "LABELS",
    "SESSIONS",
    "PENDING",
    "OWN_SOCKETS",
    "SPARES",
    "NOBODY",
    "SLICES",
    "SLICE_LEVELS",
    "ENTRIES",
    "POLICY",
    "ADDRESSES",
    "PORTS",
    "EXECUTABLES",
    "UNIX_PEERS",
    "LIBRARIES",
    "GUARDED",
    "DENIALS",
    "EVENTS",
    "COUNTERS",
    "LEARN",
];

/// What `open` found and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// Nothing was attached before: everything is new.
    Fresh,
    /// The programs of an earlier daemon go on.
    TakenOver,
    /// Other programs were attached; ours replaced them, with their maps.
    Upgraded,
}

/// The attached programs and their maps, as pins.
#[derive(Debug)]
pub struct Pins {
    root: PathBuf,
    /// The hooks that this kernel needs.
    hooks: Vec<&'static str>,
}

impl Pins {
    /// Makes sure that our programs are attached and pinned below `root`, a folder of bpffs, for a
    /// kernel of this version.
    ///
    /// # Errors
    /// When a kernel field is not known, the verifier refuses a program, or something cannot be
    /// attached or pinned. What was attached before stays.
    pub fn open(root: &Path, version: (u32, u32)) -> Result<(Self, Opened), KernelError> {
        let data = fs::read(BTF_PATH).map_err(KernelError::io(BTF_PATH))?;
        let types = btf::Btf::parse(&data)?;
        let has = |hook: &str| types.has_function(&format!("bpf_lsm_{hook}"));
        let pins = Self {
            root: root.to_owned(),
            hooks: hooks_of(version, has).collect(),
        };
        for folder in [root.to_owned(), pins.folder("maps"), pins.folder("links")] {
            make_private_folder(&folder)?;
        }
        let all_there = pins.hooks.iter().all(|hook| pins.link(hook).exists());
        let some_there = pins.hooks.iter().any(|hook| pins.link(hook).exists());
        if all_there && pins.holds_our_programs() {
            return Ok((pins, Opened::TakenOver));
        }
        pins.forget_programs()?;
        pins.attach(&types)?;
        pins.note_our_programs()?;
        Ok((
            pins,
            if some_there {
                Opened::Upgraded
            } else {
                Opened::Fresh
            },
        ))
    }

    /// A pinned map.
    ///
    /// # Errors
    /// When it is not there or the kernel does not give it out.
    pub fn map(&self, name: &'static str) -> Result<Map, KernelError> {
        MapData::from_pin(self.folder("maps").join(name))
            .and_then(Map::from_map_data)
            .map_err(KernelError::map(name))
    }

    /// The hooks that this kernel needs.
    #[must_use]
    pub fn hooks(&self) -> &[&'static str] {
        &self.hooks
    }

    /// Hooks whose program is attached and pinned.
    #[must_use]
    pub fn attached(&self) -> Vec<&'static str> {
        self.hooks
            .iter()
            .copied()
            .filter(|hook| PinnedLink::from_pin(self.link(hook)).is_ok())
            .collect()
    }

    /// Detaches every program, first those that enrol, and gives up every map.
    ///
    /// # Errors
    /// When a pin cannot be removed; what was removed before it stays so.
    pub fn remove(&self) -> Result<(), KernelError> {
        self.forget_programs()?;
        let links = self.hooks.iter().rev().map(|hook| self.link(hook));
        for link in links.filter(|link| link.exists()) {
            fs::remove_file(&link).map_err(KernelError::io(&link))?;
        }
        // Whatever else is there: what an older version attached, too.
        for folder in [self.folder("links"), self.folder("maps")] {
            for pin in fs::read_dir(&folder).map_err(KernelError::io(&folder))? {
                let pin = pin.map_err(KernelError::io(&folder))?.path();
                fs::remove_file(&pin).map_err(KernelError::io(&pin))?;
            }
        }
        for folder in [self.folder("links"), self.folder("maps"), self.root.clone()] {
            fs::remove_dir(&folder).map_err(KernelError::io(&folder))?;
        }
        Ok(())
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn link(&self, hook: &str) -> PathBuf {
        self.folder("links").join(hook)
    }

    /// The programs behind the pins are known by a folder named after their digest: bpffs holds no
    /// files of ours, and its names no dots.
    fn marker(&self) -> PathBuf {
        self.root
            .join(format!("programs_{}", &programs_digest()[..32]))
    }

    fn holds_our_programs(&self) -> bool {
        self.marker().is_dir()
    }

    fn note_our_programs(&self) -> Result<(), KernelError> {
        make_private_folder(&self.marker())
    }

    /// Forgets whose programs are attached: while they are replaced, they are nobody's as a whole.
    fn forget_programs(&self) -> Result<(), KernelError> {
        for entry in fs::read_dir(&self.root)
            .map_err(KernelError::io(&self.root))?
            .flatten()
        {
            if entry.file_name().to_string_lossy().starts_with("programs_") {
                fs::remove_dir(entry.path()).map_err(KernelError::io(entry.path()))?;
            }
        }
        Ok(())
    }

    fn attach(&self, fields: &btf::Btf<'_>) -> Result<(), KernelError> {
        let mut object = self.load_object(fields)?;
        let types = Btf::from_sys_fs().map_err(|e| KernelError::Object(e.to_string()))?;
        for hook in &self.hooks {
            load_program(&mut object, hook, &types)?;
        }
        for hook in &self.hooks {
            self.attach_program(&mut object, hook)?;
        }
        Ok(())
    }

    fn load_object(&self, types: &btf::Btf<'_>) -> Result<Ebpf, KernelError> {
        let offsets = FIELDS
            .iter()
            .map(|field| Ok((field.symbol, types.offset(field)?)))
            .collect::<Result<Vec<_>, btf::BtfError>>()?;
        let mut loader = EbpfLoader::new();
        for (symbol, offset) in &offsets {
            loader.override_global(symbol, offset, true);
        }
        for name in MAPS {
            loader.map_pin_path(name, self.folder("maps").join(name));
        }
        loader
            .load(OBJECT)
            .map_err(|error| KernelError::Object(chain(&error)))
    }

    fn attach_program(&self, object: &mut Ebpf, hook: &str) -> Result<(), KernelError> {
        let failed = |cause: String| KernelError::Program {
            program: hook.to_owned(),
            cause,
        };
        let program = lsm(object, hook)?;
        let id = program.attach().map_err(|e| failed(chain(&e)))?;
        let link: FdLink = program.take_link(id).map_err(|e| failed(chain(&e)))?.into();
        let fresh = self.folder("links").join(format!("{hook}_new"));
        if fresh.exists() {
            fs::remove_file(&fresh).map_err(KernelError::io(&fresh))?; // an upgrade was interrupted
        }
        link.pin(&fresh).map_err(|e| failed(chain(&e)))?;
        // The new program runs already; the rename drops the old link's only reference.
        fs::rename(&fresh, self.link(hook)).map_err(KernelError::io(self.link(hook)))
    }
}

fn lsm<'a>(object: &'a mut Ebpf, hook: &str) -> Result<&'a mut Lsm, KernelError> {
    match object.program_mut(hook) {
        Some(Program::Lsm(program)) => Ok(program),
        Some(_) | None => Err(KernelError::Program {
            program: hook.to_owned(),
            cause: "is not in the object".to_owned(),
        }),
    }
}

fn load_program(object: &mut Ebpf, hook: &str, types: &Btf) -> Result<(), KernelError> {
    lsm(object, hook)?
        .load(hook, types)
        .map_err(|error| KernelError::Program {
            program: hook.to_owned(),
            cause: last_lines(&chain(&error), 12),
        })
}

fn make_private_folder(path: &Path) -> Result<(), KernelError> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))
                .map_err(KernelError::io(path))
        }
        Err(error) => Err(KernelError::io(path)(error)),
    }
}

/// SHA-256 of the kernel programs that this binary carries, in hexadecimal.
#[must_use]
pub fn programs_digest() -> String {
    Sha256::digest(OBJECT)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
