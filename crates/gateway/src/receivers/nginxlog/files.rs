//! The sockets of the receiver in the file system, and what the kernel tells of those in the network.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;

/// Removes the socket that an earlier run has left; nothing else.
pub(super) fn remove_socket(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_socket() => std::fs::remove_file(path),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Lets everybody write to a socket: nginx's workers are another user.
pub(super) fn open_to_all(path: &Path) -> io::Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))
}

/// Datagrams that the kernel had no room for at this port; 0 if it does not tell.
pub(super) fn udp_drops(port: u16) -> u64 {
    let wanted = format!(":{port:04X}");
    let of = |path: &str| -> u64 {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let lines = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
        let ours = lines.filter(|words| words.get(1).is_some_and(|local| local.ends_with(&wanted)));
        ours.filter_map(|words| words.last()?.parse::<u64>().ok()).sum()
    };
    of("/proc/net/udp") + of("/proc/net/udp6")
}
