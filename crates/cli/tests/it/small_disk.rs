//! A small file system of its own; only root may mount one.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The disk; dropping it unmounts it.
pub(crate) struct SmallDisk(pub(crate) PathBuf);

impl SmallDisk {
    /// 12 MiB at `path`, which is created; `None` where that is not allowed.
    pub(crate) fn mount(path: PathBuf) -> Option<Self> {
        std::fs::create_dir(&path).expect("a folder can be made");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=12m", "tmpfs"]).arg(&path).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A failure leaves an empty tmpfs behind.
        let _unmounted = Command::new("umount").arg("--lazy").arg(&self.0).output();
    }
}

/// Fills the disk to the last byte.
pub(crate) fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).expect("a file can be made");
    for size in [1 << 16, 1 << 12, 1] {
        let block = vec![b'x'; size];
        while file.write_all(&block).is_ok() {}
    }
}
