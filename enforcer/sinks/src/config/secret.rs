//! Secrets: files that only those who may know can read.

use std::{
    fs::{Metadata, OpenOptions},
    io::Read,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Bytes that a secret may have: a wrong file is told, not read whole.
const LONGEST: u64 = 64 << 10;

/// A file of which only the name is kept. Read again at each connection, so that a new secret is
/// used without a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretFile {
    /// The file.
    pub path: PathBuf,
    /// Whether it lies in systemd's credentials folder, which systemd itself guards.
    pub is_credential: bool,
}

impl SecretFile {
    /// The secret's bytes.
    ///
    /// # Errors
    /// When the file cannot be read, or others could read or replace it: what is wrong and how to
    /// mend it. The message has nothing of the secret.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, String> {
        let path = &self.path;
        // Without waiting: a FIFO by this name would hold the open up for ever.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
            .open(path)
            .map_err(|error| cannot_read(path, &error))?;
        let meta = file.metadata().map_err(|error| cannot_read(path, &error))?;
        self.check(&meta)?;
        let mut bytes = Vec::new();
        file.take(LONGEST)
            .read_to_end(&mut bytes)
            .map_err(|error| cannot_read(path, &error))?;
        Ok(bytes)
    }

    /// The secret as one line of text.
    pub(crate) fn line(&self) -> Result<String, String> {
        let bytes = self.bytes()?;
        let wrong = |what: &str| {
            format!(
                "secret file {}: {what}; it must hold the secret alone on one line",
                self.path.display()
            )
        };
        let text = String::from_utf8(bytes).map_err(|_| wrong("not UTF-8 text"))?;
        let text = text.trim_end_matches(['\n', '\r']);
        if text.is_empty() {
            return Err(wrong("empty"));
        }
        if text.contains(|c: char| c.is_control()) {
            return Err(wrong("more than one line, or control characters"));
        }
        Ok(text.to_owned())
    }

    fn check(&self, meta: &Metadata) -> Result<(), String> {
        let path = self.path.display();
        let wrong =
            |what: String, fix: String| Err(format!("secret file {path}: {what}; run `{fix}`"));
        if !meta.is_file() {
            return Err(format!("secret file {path}: not a regular file"));
        }
        if meta.len() > LONGEST {
            return Err(format!(
                "secret file {path}: {} bytes, the limit is {LONGEST}; was another file named by mistake?",
                meta.len()
            ));
        }
        let mode = meta.mode() & 0o777;
        if mode & 0o007 != 0 {
            let what = format!("everybody can use it (mode {mode:03o})");
            return wrong(what, format!("chmod o= {path}"));
        }
        // In the credentials folder the group bits are the mask of an ACL for the service's user.
        if mode & 0o020 != 0 && !self.is_credential {
            let what = format!("its group can change it (mode {mode:03o})");
            return wrong(what, format!("chmod g-w {path}"));
        }
        let own = rustix::process::geteuid().as_raw();
        if meta.uid() != 0 && meta.uid() != own {
            let what = format!("it belongs to user {}, who could replace it", meta.uid());
            return wrong(what, format!("chown root {path}"));
        }
        Ok(())
    }
}

fn cannot_read(path: &Path, error: &std::io::Error) -> String {
    let path = path.display();
    let kind = error.kind();
    if kind == std::io::ErrorKind::NotFound {
        format!("secret file {path} is not there")
    } else if kind == std::io::ErrorKind::PermissionDenied {
        format!(
            "secret file {path}: no permission to read it; give it to the shipper by `LoadCredential=` in its unit"
        )
    } else {
        format!("secret file {path}: {error}")
    }
}
