//! `cargo xtask dist`: an archive that needs nothing but a Linux of the same architecture whose C library is not older than
//! this machine's.

use std::process::Command;

use crate::{setup, stage};

/// Builds the UI and the binary and packs them with the licence and the short guide.
pub(crate) fn run() -> anyhow::Result<()> {
    setup::ensure(&[setup::CC])?;
    setup::web_ui()?;
    let root = setup::root()?;
    println!("building rootspan with thin link-time optimisation");
    stage::run(
        Command::new("cargo")
            .args(["build", "--profile", "dist", "--package", "rootspan-cli", "--features", setup::FEATURES])
            .current_dir(&root),
    )?;
    let name = format!("rootspan-{}-{}-linux", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let folder = root.join("dist").join(&name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    std::fs::copy(setup::target_folder(&root).join("dist/rootspan"), folder.join("rootspan"))?;
    for file in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "LICENSE", "CHANGELOG.md"] {
        std::fs::copy(root.join(file), folder.join(file))?;
    }
    stage::run(Command::new("cp").arg("-r").arg(root.join("docs")).arg(&folder))?;
    let archive = format!("{name}.tar.gz");
    stage::run(Command::new("tar").args(["-czf", &archive, &name]).current_dir(root.join("dist")))?;
    println!("dist/{archive}: unpack it and run ./rootspan demo");
    Ok(())
}
