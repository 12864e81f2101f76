//! The files that the gateway reads: configuration, and what the kernel tells of this process.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::OnceLock;

/// Largest configuration file; far above any real one.
const MAX_CONFIGURATION_BYTES: u64 = 16 << 20;

/// The text of a configuration file, or one sentence why it cannot be read.
pub(crate) fn read_configuration(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let length = std::fs::metadata(path).map(|metadata| metadata.len()).unwrap_or(0);
    if length > MAX_CONFIGURATION_BYTES {
        return Err(format!("{shown}: the file is longer than {MAX_CONFIGURATION_BYTES} bytes"));
    }
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("{shown}: the file does not exist"),
        std::io::ErrorKind::InvalidData => format!("{shown}: the file is not UTF-8 text"),
        _ => format!("{shown}: the file cannot be read: {error}"),
    })
}

/// Largest file of certificates, keys, tokens or passwords.
const MAX_SECRET_BYTES: u64 = 1 << 20;

/// The bytes of a file of certificates, keys, tokens or passwords, or why it cannot be read, without its path.
pub(crate) fn read_secret(path: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let reason = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "the file does not exist".to_owned(),
        _ => format!("the file cannot be read: {error}"),
    };
    let mut content = Vec::new();
    let file = std::fs::File::open(path).map_err(reason)?;
    file.take(MAX_SECRET_BYTES + 1).read_to_end(&mut content).map_err(reason)?;
    if content.len() as u64 > MAX_SECRET_BYTES {
        return Err(format!("the file is longer than {MAX_SECRET_BYTES} bytes"));
    }
    Ok(content)
}

/// The addresses of `name` in a file like `/etc/hosts`; none if the file cannot be read.
pub(crate) fn read_hosts(path: &Path, name: &str) -> Vec<std::net::IpAddr> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let address = |line: &str| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|word| word.eq_ignore_ascii_case(name)).then_some(address)
    };
    text.lines().filter_map(address).collect()
}

/// Removes a file.
pub(crate) fn remove(path: &Path) -> std::io::Result<()> {
    std::fs::remove_file(path)
}

/// Makes sure that a folder is there: with permissions it is created if it is missing.
pub(crate) fn prepare_folder(path: &Path, permissions: Option<u32>) -> Result<(), String> {
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => return Err(format!("{shown} is not a folder")),
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(format!("{shown}: {error}")),
        Err(_) => {}
    }
    let Some(mode) = permissions else {
        return Err(format!("the folder {shown} does not exist; create it, or set `create_directory: true`"));
    };
    let created = std::fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    created.map_err(|error| format!("the folder {shown} cannot be created: {error}"))
}

/// The memory that this process's control group allows; `None` without a limit.
pub(crate) fn control_group_memory_limit() -> Option<u64> {
    // Version 2, then version 1; a container sees its own group at the top.
    let text = std::fs::read_to_string("/sys/fs/cgroup/memory.max")
        .or_else(|_| std::fs::read_to_string("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
        .ok()?;
    // "max", or in version 1 a number near 2^63, means none.
    text.trim().parse::<u64>().ok().filter(|limit| *limit < 1 << 60)
}

/// Resident memory of this process in bytes; 0 if the kernel does not tell.
pub(crate) fn resident_bytes() -> u64 {
    own_status("VmRSS:")
}

/// The part of it that is no file's; 0 if the kernel does not tell.
pub(crate) fn resident_anonymous_bytes() -> u64 {
    own_status("RssAnon:")
}

/// A line of the process's status that counts in KiB.
fn own_status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    kib.map_or(0, |kib| kib << 10)
}

/// An id of this process, drawn once; empty if the kernel has none.
pub(crate) fn instance_id() -> String {
    static ID: OnceLock<String> = OnceLock::new();
    let draw = || std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default().trim().to_owned();
    ID.get_or_init(draw).clone()
}

/// The name of this host; `None` if the kernel does not tell.
pub(crate) fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Processor time of this process in seconds; 0 if the kernel does not tell.
pub(crate) fn cpu_seconds() -> f64 {
    // Fields 14 and 15 of stat count in hundredths of a second (USER_HZ); the name in parentheses may hold spaces.
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let Some((_, fields)) = text.rsplit_once(')') else { return 0.0 };
    let ticks: u32 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    f64::from(ticks) / 100.0
}
