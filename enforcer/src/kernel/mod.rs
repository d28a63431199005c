//! The only part of user space that talks to the kernel's BPF.
//!
//! ```text
//! btf       where this kernel keeps the fields that the programs read
//! load      programs loaded, attached and pinned; or taken over from an earlier daemon
//! learn     what the kernel calls a file
//! enrolment slices and entry files, and the sessions kept for them
//! files     the host's libraries and the enforcer's own files
//! tables    a compiled policy put into maps, and the generation swapped
//! sessions  slots, pending enrolments, labels
//! ring      events read
//! ```

pub mod btf;
pub mod enrolment;
pub mod files;
pub mod learn;
pub mod load;
pub mod ring;
pub mod sessions;
pub mod tables;

use std::path::PathBuf;

use aya::maps::MapError;
use thiserror::Error;

/// Why the kernel part failed.
#[derive(Debug, Error)]
pub enum KernelError {
    /// A field of a kernel structure is not known.
    #[error(transparent)]
    Btf(#[from] btf::BtfError),
    /// A file of the kernel's interface could not be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// The kernel programs could not be loaded, attached or pinned.
    #[error("kernel program {program}: {cause}")]
    Program {
        /// Name of the program.
        program: String,
        /// What happened, with the verifier's last lines where it refused.
        cause: String,
    },
    /// The object with the kernel programs could not be loaded.
    #[error("kernel programs: {0}")]
    Object(String),
    /// A map is missing or of another form.
    #[error("map {name}: {source}")]
    Map {
        /// Name of the map.
        name: &'static str,
        /// What happened.
        source: MapError,
    },
    /// A capacity is used up.
    #[error("no room for another {what}: the limit is {limit}")]
    Full {
        /// What there are too many of.
        what: &'static str,
        /// How many there can be.
        limit: u32,
    },
}

impl KernelError {
    fn map(name: &'static str) -> impl FnOnce(MapError) -> Self {
        move |source| Self::Map { name, source }
    }

    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io {
            path: path.into(),
            source,
        }
    }
}
