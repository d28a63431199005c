//! What the prover makes to be attacked, and takes away again.
#![forbid(unsafe_code)]

mod sockets;
pub mod victim;

use std::{
    fs, io,
    os::{
        fd::{AsFd, AsRawFd},
        unix::fs::{PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
};

use nix::{
    mount::{MntFlags, umount2},
    sys::statvfs::{FsFlags, statvfs},
    unistd::mkdtemp,
};

use self::{
    sockets::{Names, Sockets},
    victim::Victim,
};
use super::{
    attacks::{Attack, Doors, Effect},
    party::Answer,
};
use crate::{
    config::{CONFIG_DIR, LOG_DIR, PIN_DIR, RUN_DIR, STATE_DIR},
    posture::BPFFS,
};

/// Where the scene's folder may be: what is made there must be able to run, outside.
const PLACES: [&str; 3] = ["/run", "/var/tmp", "/tmp"];
/// Folders of the enforcer's own.
const OWN_FOLDERS: [&str; 4] = [LOG_DIR, STATE_DIR, RUN_DIR, CONFIG_DIR];

/// A program of a few bytes: makes the file that its first argument names, and ends.
///
/// ```text
/// mov rdi, [rsp+16]; mov esi, O_CREAT|O_WRONLY; mov edx, 0600; mov eax, 2 (open); syscall
/// xor edi, edi; mov eax, 60 (exit); syscall
/// ```
const CODE: [u8; 31] = [
    0x48, 0x8b, 0x7c, 0x24, 0x10, 0xbe, 0x41, 0, 0, 0, 0xba, 0x80, 0x01, 0, 0, 0xb8, 0x02, 0, 0, 0,
    0x0f, 0x05, 0x31, 0xff, 0xb8, 0x3c, 0, 0, 0, 0x0f, 0x05,
];

/// The scene.
pub struct Scene {
    folder: PathBuf,
    unique: String,
    names: Names,
    sockets: Sockets,
    /// Of root, and of an ordinary user.
    victims: [Victim; 2],
    own_pins: PathBuf,
    daemon: u32,
    control: PathBuf,
}

impl Scene {
    /// Makes it. `daemon` is the daemon's process, `control` its socket.
    ///
    /// # Errors
    /// When something cannot be made; what was made is taken away.
    pub fn make(daemon: u32, control: &Path) -> io::Result<Self> {
        let folder = mkdtemp(&place().join("enforcer-prove-XXXXXX"))?;
        match Self::furnish(folder.clone(), daemon, control) {
            Ok(scene) => Ok(scene),
            Err(error) => {
                let _ = fs::remove_dir_all(&folder); // the error says why there is no scene
                Err(error)
            }
        }
    }

    fn furnish(folder: PathBuf, daemon: u32, control: &Path) -> io::Result<Self> {
        let name = folder.file_name().unwrap_or_default();
        let unique = name.to_string_lossy().into_owned();
        mode(&folder, 0o711)?;
        for (name, bits) in [("work", 0o1777), ("mount", 0o755)] {
            fs::create_dir(folder.join(name))?;
            mode(&folder.join(name), bits)?;
        }
        let mark = folder.join("work/mark");
        let script = format!("#!/bin/sh\n: > '{}'\n", mark.display());
        for (name, content) in [("program", program()), ("script", script.into_bytes())] {
            fs::write(folder.join(name), content)?;
            mode(&folder.join(name), 0o755)?;
        }
        let names = Names::below(&folder, &unique);
        let sockets = Sockets::open(&names)?;
        Ok(Self {
            own_pins: Path::new(BPFFS).join(&unique),
            folder,
            unique,
            names,
            sockets,
            victims: [Victim::start(false)?, Victim::start(true)?],
            daemon,
            control: control.to_owned(),
        })
    }

    /// Descriptors that a party is started with.
    pub fn passed_on(&self) -> [&dyn AsFd; 3] {
        let Sockets {
            near,
            near_unix,
            gifts,
            ..
        } = &self.sockets;
        [near, near_unix, gifts]
    }

    /// Makes everything as it is to be before an attack.
    ///
    /// # Errors
    /// When something cannot be put right.
    pub fn ready(&mut self, attack: &Attack, as_user: bool) -> io::Result<Doors> {
        for entry in fs::read_dir(self.folder.join("work"))? {
            fs::remove_file(entry?.path())?;
        }
        self.remove_made();
        if attack.effect == Effect::Taken {
            self.put_beside_pins()?;
        }
        self.sockets.arrived()?;
        if attack.wants_gift {
            self.sockets.give()?;
        }
        let victim = &mut self.victims[usize::from(as_user)];
        if victim.changed() {
            *victim = Victim::start(as_user)?;
        }
        self.doors(as_user)
    }

    fn doors(&self, as_user: bool) -> io::Result<Doors> {
        let sockets = &self.sockets;
        let tcp6 = sockets.tcp6.as_ref().map(|socket| socket.local_addr());
        let udp6 = sockets.udp6.as_ref().map(|socket| socket.local_addr());
        Ok(Doors {
            tcp: sockets.tcp.local_addr()?,
            tcp6: tcp6.transpose()?,
            udp: sockets.udp.local_addr()?,
            udp6: udp6.transpose()?,
            stream: self.names.stream.clone(),
            datagram: self.names.datagram.clone(),
            packet: self.names.packet.clone(),
            name: self.names.name.clone(),
            work: self.folder.join("work"),
            mount: self.folder.join("mount"),
            program: self.folder.join("program"),
            script: self.folder.join("script"),
            mark: self.folder.join("work/mark"),
            folder: self.folder.clone(),
            connected: sockets.near.as_raw_fd(),
            connected_unix: sockets.near_unix.as_raw_fd(),
            gifts: sockets.gifts.as_raw_fd(),
            victim: self.victims[usize::from(as_user)].door(),
            daemon: self.daemon,
            control: self.control.clone(),
            pins: PIN_DIR.into(),
            own_pins: self.own_pins.clone(),
            unique: self.unique.clone(),
        })
    }

    /// Whether the attack got through.
    ///
    /// # Errors
    /// When that cannot be looked at.
    pub fn happened(&self, effect: Effect, answer: &Answer, as_user: bool) -> io::Result<bool> {
        let arrived = self.sockets.arrived()?;
        Ok(match effect {
            Effect::Answer => answer.worked(),
            Effect::Arrived => arrived,
            Effect::Mark => self.folder.join("work/mark").exists(),
            Effect::Victim => self.victims[usize::from(as_user)].changed(),
            Effect::Made => self.made().any(|path| path.symlink_metadata().is_ok()),
            Effect::Taken => !self.beside_pins_is_whole(),
        })
    }

    fn made(&self) -> impl Iterator<Item = PathBuf> {
        OWN_FOLDERS
            .map(|folder| Path::new(folder).join(&self.unique))
            .into_iter()
    }

    fn remove_made(&self) {
        self.made().for_each(|path| {
            let _ = fs::remove_file(path); // mostly there is none
        });
    }

    fn put_beside_pins(&self) -> io::Result<()> {
        self.remove_beside_pins();
        fs::create_dir(&self.own_pins)?;
        fs::create_dir(self.own_pins.join("folder"))?;
        symlink("nowhere", self.own_pins.join("link"))
    }

    fn beside_pins_is_whole(&self) -> bool {
        ["folder", "link"]
            .iter()
            .all(|name| self.own_pins.join(name).symlink_metadata().is_ok())
    }

    fn remove_beside_pins(&self) {
        let _ = fs::remove_dir_all(&self.own_pins); // mostly it is not there
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.remove_made();
        self.remove_beside_pins();
        // Nothing is mounted there but by an attack that got out of its own namespace.
        while umount2(&self.folder.join("mount"), MntFlags::MNT_DETACH).is_ok() {}
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("warning: {} stays: {error}", self.folder.display());
        }
    }
}

/// The first place from which programs run.
fn place() -> &'static Path {
    let runs = |place: &&&str| {
        statvfs(**place).is_ok_and(|found| !found.flags().contains(FsFlags::ST_NOEXEC))
    };
    Path::new(PLACES.iter().find(runs).unwrap_or(&PLACES[0]))
}

fn mode(path: &Path, bits: u32) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(bits))
}

/// [`CODE`] as an ELF file of one segment.
fn program() -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend([2, 0, 62, 0, 1, 0, 0, 0]); // an executable for x86-64
    file.extend((BASE + HEADERS).to_le_bytes()); // where it begins
    file.extend(64u64.to_le_bytes()); // its one program header
    file.extend(0u64.to_le_bytes()); // no sections
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
    let size = HEADERS + CODE.len() as u64;
    file.extend([1, 0, 0, 0, 5, 0, 0, 0]); // loaded, readable and executable
    for number in [0, BASE, BASE, size, size, 0x1000] {
        file.extend(number.to_le_bytes());
    }
    file.extend(CODE);
    file
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_program_makes_the_file_that_it_is_given() {
        let folder = mkdtemp(&place().join("enforcer-test-XXXXXX")).expect("a folder");
        let (tool, mark) = (folder.join("tool"), folder.join("mark"));
        fs::write(&tool, program()).expect("written");
        mode(&tool, 0o755).expect("executable");
        let status = Command::new(&tool).arg(&mark).status().expect("it starts");
        assert!(status.success() && mark.exists());
        fs::remove_dir_all(folder).expect("removed");
    }
}
