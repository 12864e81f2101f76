//! Embeds `web/dist`, if it has been built, into the crate. Never runs npm: what is built from the network is the
//! developer's decision, and `cargo build` must work without Node.
//!
//! Writes `assets.rs` for `src/ui/mod.rs`: `static ASSETS: [Asset; n]`, sorted by path.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let dist = manifest.join("../../web/dist");
    // cargo watches a folder with all that is in it, but takes one that is missing for changed in every build. So the
    // folder is made, empty; where that is impossible the crate is built again each time, which is only slow.
    if manifest.join("../../web").is_dir() && !dist.exists() && fs::create_dir(&dist).is_err() {
        println!("cargo::warning=web/dist is missing and cannot be created");
    }
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", dist.display());

    let mut files = Vec::new();
    if dist.is_dir() {
        collect(&dist, "", &mut files)?;
    }
    files.sort();
    let mut code = format!("static ASSETS: [Asset; {}] = [\n", files.len());
    for (name, path) in &files {
        let mut hasher = DefaultHasher::new();
        fs::read(path)?.hash(&mut hasher);
        let etag = format!("\"{:016x}\"", hasher.finish());
        let path = path.canonicalize()?;
        // Debug formatting of strings is valid Rust.
        let line = format!("    Asset::new({name:?}, include_bytes!({:?}), {etag:?}),\n", path.display().to_string());
        code.write_str(&line).map_err(io::Error::other)?;
    }
    code.push_str("];\n");
    fs::write(PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("assets.rs"), code)
}

/// All files below `folder` as (path with `/`, file), without hidden ones.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), &format!("{prefix}{name}/"), files)?;
        } else {
            files.push((format!("{prefix}{name}"), entry.path()));
        }
    }
    Ok(())
}
