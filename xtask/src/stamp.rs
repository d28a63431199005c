//! Products that are made once: a product is current when the stamp beside it holds what it would be made from now.
//!
//! The order makes an interruption harmless wherever it strikes: the old stamp goes first, the product is made under
//! another name and renamed, the new stamp comes last. Without a stamp the product is made again.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// A file or directory that is made from known inputs.
pub struct Product {
    path: PathBuf,
    inputs: String,
}

impl Product {
    /// The product at `path`, made from what `inputs` describes: any text that differs when the product would.
    pub fn new(path: impl Into<PathBuf>, inputs: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            inputs: inputs.into(),
        }
    }

    /// Where the product is, once it is made.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the product is there and was made from these inputs.
    pub fn is_current(&self) -> bool {
        self.path.exists()
            && fs::read_to_string(self.beside("stamp")).is_ok_and(|stamp| stamp == self.inputs)
    }

    /// Makes the product unless it is current; says whether it was made. `make` gets the path to make it at, at which
    /// nothing is yet and whose directory exists.
    pub fn ensure(&self, make: impl FnOnce(&Path) -> Result<()>) -> Result<bool> {
        if self.is_current() {
            return Ok(false);
        }
        let (stamp, new_stamp, partial) = (
            self.beside("stamp"),
            self.beside("stamp.partial"),
            self.beside("partial"),
        );
        fs::create_dir_all(self.path.parent().expect("a product stands in a directory"))?;
        remove(&stamp)?;
        remove(&partial)?;
        make(&partial)?;
        remove(&self.path)?;
        fs::rename(&partial, &self.path)
            .with_context(|| format!("{} was not made", partial.display()))?;
        fs::write(&new_stamp, &self.inputs)?;
        fs::rename(&new_stamp, &stamp)?;
        Ok(true)
    }

    fn beside(&self, extension: &str) -> PathBuf {
        let mut name = self
            .path
            .file_name()
            .expect("a product has a name")
            .to_os_string();
        name.push(".");
        name.push(extension);
        self.path.with_file_name(name)
    }
}

/// Removes a file or a whole directory; nothing there is fine.
pub fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.with_context(|| format!("cannot remove {}", path.display()))
}

/// Writes `contents` to `path` unless they are there already, so that the file's time says when it last changed.
pub fn write_if_changed(path: &Path, contents: &[u8]) -> Result<bool> {
    if fs::read(path).is_ok_and(|present| present == contents) {
        return Ok(false);
    }
    fs::create_dir_all(path.parent().expect("a file stands in a directory"))?;
    let partial = path.with_extension("partial");
    fs::write(&partial, contents)?;
    fs::rename(&partial, path)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn make(product: &Product, contents: &str) -> bool {
        product
            .ensure(|path| Ok(fs::write(path, contents)?))
            .unwrap()
    }

    #[test]
    fn a_product_is_made_once_and_again_when_its_inputs_change() {
        let scratch = Scratch::new();
        let directory = scratch.path();
        let path = directory.join("disk");
        assert!(make(&Product::new(&path, "one"), "1"));
        assert!(!make(&Product::new(&path, "one"), "never"));
        assert!(make(&Product::new(&path, "two"), "2"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "2");
    }

    #[test]
    fn a_run_that_fails_half_way_leaves_nothing_that_counts_as_made() {
        let scratch = Scratch::new();
        let directory = scratch.path();
        let product = Product::new(directory.join("tree"), "one");
        let failed = product.ensure(|path| {
            fs::create_dir(path)?;
            fs::write(path.join("half"), "")?;
            anyhow::bail!("interrupted")
        });
        assert!(failed.is_err() && !product.is_current());
        assert!(
            product.ensure(|path| Ok(fs::create_dir(path)?)).unwrap(),
            "the next run makes it"
        );
        assert!(!product.path().join("half").exists(), "from nothing");
    }

    #[test]
    fn a_product_without_its_stamp_is_made_again_and_so_is_a_stamp_without_its_product() {
        let scratch = Scratch::new();
        let directory = scratch.path();
        let product = Product::new(directory.join("disk"), "one");
        make(&product, "1");
        fs::remove_file(product.beside("stamp")).unwrap();
        assert!(
            make(&product, "again"),
            "killed between the product's rename and the stamp's"
        );
        fs::remove_file(product.path()).unwrap();
        assert!(make(&product, "once more"));
    }

    #[test]
    fn a_failed_remake_does_not_leave_the_old_stamp() {
        let scratch = Scratch::new();
        let directory = scratch.path();
        let path = directory.join("disk");
        make(&Product::new(&path, "one"), "1");
        assert!(
            Product::new(&path, "two")
                .ensure(|_| anyhow::bail!("no space"))
                .is_err()
        );
        assert!(!Product::new(&path, "one").is_current());
    }

    #[test]
    fn an_unchanged_file_keeps_its_time() {
        let scratch = Scratch::new();
        let directory = scratch.path();
        let path = directory.join("object");
        assert!(write_if_changed(&path, b"1").unwrap());
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        assert!(!write_if_changed(&path, b"1").unwrap());
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), time);
        assert!(write_if_changed(&path, b"2").unwrap());
    }
}
