//! `cargo xtask nginx-module`: builds the tracing module for the nginx that is installed, or for nginx 1.28.3 from source.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use crate::setup::{self, Program};
use crate::{stage, test};

pub(crate) const NGINX: Program =
    Program { name: "nginx", package: "nginx", purpose: "the module is built for it and tested in it" };
const NGINX_DEV: Program =
    Program { name: "dh_nginx", package: "nginx-dev", purpose: "headers and build flags of the installed nginx" };
/// The package brings libclang and its own headers, which is what bindgen needs.
const CLANG: Program = Program { name: "clang", package: "clang", purpose: "its library reads nginx's headers" };

const VALGRIND: Program = Program { name: "valgrind", package: "valgrind", purpose: "runs nginx in one of the tests" };

/// Where Debian's package has headers, `configure` and its own flags for it.
const NGINX_SOURCE: &str = "/usr/share/nginx/src";

/// Debian's name of the module.
const PACKAGE: &str = "libnginx-mod-http-rootspan";

const USAGE: &str = "usage: cargo xtask nginx-module [--vendored] [--test | --deb]

  --vendored  for nginx 1.28.3, which is built from source beside it; else for the installed nginx
  --test      run the module's tests in that nginx instead of building it for use
  --deb       also pack it as a Debian package, in dist/";

/// What is built for which nginx.
struct Target {
    /// nginx 1.28.3 from source instead of the installed one.
    vendored: bool,
    root: PathBuf,
}

/// Builds the module and prints its path last.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if let Some(unknown) = arguments.iter().find(|flag| !matches!(flag.as_str(), "--vendored" | "--test" | "--deb")) {
        bail!("unknown argument {unknown:?}\n{USAGE}");
    }
    let target = Target { vendored: has("--vendored"), root: setup::root()? };
    if has("--test") {
        return target.test();
    }
    let module = target.build()?;
    if has("--deb") {
        anyhow::ensure!(!target.vendored, "a Debian package is made for the installed nginx only");
        println!("{}", package(&target.root, &module)?.display());
    }
    println!("{}", module.display());
    Ok(())
}

/// The stage `nginx` of `cargo xtask test`: lints, and the tests in the installed nginx.
pub(crate) fn check() -> anyhow::Result<()> {
    let target = Target { vendored: false, root: setup::root()? };
    stage::run(&mut target.cargo(&["fmt", "--check"])?)?;
    stage::run(target.cargo(&["clippy", "--all-targets", "--quiet"])?.args(["--", "--deny", "warnings"]))?;
    target.test()?;
    // The module that the tests built, as part of the whole: its lines as the binary prints them, and the demo behind it.
    let module = target.folder().join("debug/libngx_http_rootspan_module.so");
    stage::run(&mut target.cargo(&["rustc", "--lib", "--crate-type", "cdylib"])?)?;
    let binary = test::binary()?;
    for arguments in [&["--propagators", "tracecontext,b3,b3multi,xray"][..], &["--from", OLD_CONFIGURATION]] {
        target.accepts(&module, &binary, arguments)?;
    }
    println!("rootspan demo --nginx --requests 250 --exit");
    let mut demo = Command::new(&binary);
    stage::run(demo.args(["demo", "--nginx", "--requests", "250", "--exit", "--nginx-module"]).arg(&module))
}

/// A configuration for opentelemetry-cpp-contrib's module.
const OLD_CONFIGURATION: &str = "testdata/nginx/opentelemetry-cpp-contrib.conf";

/// The optimised module for the installed nginx.
pub(crate) fn build_installed() -> anyhow::Result<PathBuf> {
    Target { vendored: false, root: setup::root()? }.build()
}

impl Target {
    /// cargo in the module's folder, with what it must know of nginx.
    fn cargo(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = Command::new("cargo");
        command
            .args(arguments)
            .current_dir(self.root.join("crates/nginx-module"))
            .env("CARGO_TARGET_DIR", self.folder());
        if self.vendored {
            setup::ensure(&[setup::CC, CLANG, NGINX_DEV])?;
            command.args(["--features", "vendored"]);
        } else {
            setup::ensure(&[setup::CC, CLANG, NGINX, NGINX_DEV])?;
            command.env("NGINX_SOURCE_DIR", NGINX_SOURCE).env("NGINX_BUILD_DIR", configured(&self.root)?);
        }
        Ok(command)
    }

    fn folder(&self) -> PathBuf {
        setup::target_folder(&self.root).join(if self.vendored { "nginx-vendored" } else { "nginx-module" })
    }

    /// The optimised module, loaded once into its nginx to see that it fits.
    fn build(&self) -> anyhow::Result<PathBuf> {
        eprintln!("building the module (a minute the first time)");
        stage::run(&mut self.cargo(&["rustc", "--release", "--lib", "--crate-type", "cdylib"])?)?;
        let module = self.folder().join("release/libngx_http_rootspan_module.so");
        let named = module.with_file_name("ngx_http_rootspan_module.so");
        std::fs::copy(&module, &named)?;
        let config = self.folder().join("load.conf");
        std::fs::write(&config, format!("load_module {};\npid nginx.pid;\nevents {{ }}\n", named.display()))?;
        let nginx = if self.vendored { newest_nginx(&self.folder().join("release"))? } else { PathBuf::from("nginx") };
        let checked = Command::new(&nginx)
            .args(["-t", "-q", "-e", "stderr", "-p"])
            .arg(self.folder())
            .arg("-c")
            .arg(&config)
            .output()
            .with_context(|| format!("cannot start {}", nginx.display()))?;
        if !checked.status.success() {
            bail!("nginx does not load the module: {}", String::from_utf8_lossy(&checked.stderr).trim());
        }
        Ok(named)
    }

    /// Whether nginx takes what `rootspan nginx config` prints.
    fn accepts(&self, module: &Path, binary: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let printed =
            stage::output(Command::new(binary).args(["nginx", "config"]).args(arguments).current_dir(&self.root))?;
        let load = "load_module modules/ngx_http_rootspan_module.so;";
        let printed = if printed.contains("http {") {
            printed.replace(load, "")
        } else {
            format!("events {{ }}\nhttp {{\n{printed}\n}}\n")
        };
        let config = self.folder().join("printed.conf");
        let head = format!("load_module {};\npid nginx.pid;\n", module.display());
        std::fs::write(&config, head + &printed)?;
        let mut nginx = Command::new("nginx");
        nginx.args(["-t", "-q", "-e", "stderr", "-p"]).arg(self.folder()).arg("-c").arg(&config);
        let checked = nginx.output().context("cannot start nginx")?;
        anyhow::ensure!(
            checked.status.success(),
            "nginx does not take {}: {}",
            config.display(),
            String::from_utf8_lossy(&checked.stderr)
        );
        Ok(())
    }

    fn test(&self) -> anyhow::Result<()> {
        setup::ensure(&[VALGRIND])?;
        let mut command = self.cargo(&["test"])?;
        if self.vendored {
            stage::run(&mut self.cargo(&["build"])?)?;
            command.env("ROOTSPAN_NGINX", newest_nginx(&self.folder().join("debug"))?);
        }
        stage::run(&mut command)
    }
}

/// The build folder of the installed nginx: `configure` with the package's own flags makes the headers that are not in it. Done
/// again when nginx has changed.
fn configured(root: &Path) -> anyhow::Result<PathBuf> {
    let folder = setup::target_folder(root).join("nginx");
    let (objects, marker) = (folder.join("objs"), folder.join("configured-for"));
    let version = stage::output(Command::new("dpkg-query").args(["-W", "-f", "${Version}", "nginx-dev"]))?;
    if objects.join("ngx_auto_config.h").is_file() && std::fs::read_to_string(&marker).ok() == Some(version.clone()) {
        return Ok(objects);
    }
    std::fs::create_dir_all(&objects)?;
    eprintln!("configuring nginx {version}");
    // The package's flags are a shell array, so a shell has to read them.
    let script = "source ./conf_flags && exec ./configure \"${NGX_CONF_FLAGS[@]}\" --builddir=\"$1\"";
    stage::output(Command::new("bash").args(["-c", script, "configure"]).arg(&objects).current_dir(NGINX_SOURCE))?;
    std::fs::write(marker, version)?;
    Ok(objects)
}

/// The nginx that the build script of `nginx-sys` made in `folder`.
fn newest_nginx(folder: &Path) -> anyhow::Result<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder.join("build"))? {
        let binary = entry?.path().join("out/objs/nginx");
        if let Ok(modified) = binary.metadata().and_then(|meta| meta.modified()) {
            found.push((modified, binary));
        }
    }
    found.into_iter().max().map(|(_, binary)| binary).context("nginx was not built from source")
}

/// Packs the module for the installed nginx. The dependency on nginx's own "nginx-abi-…" makes the package manager refuse an nginx
/// that would not load it.
fn package(root: &Path, module: &Path) -> anyhow::Result<PathBuf> {
    let abi = std::fs::read_to_string(Path::new(NGINX_SOURCE).join("debian/libnginx-mod.abisubstvars"))?;
    let abi = abi.lines().find_map(|line| line.strip_prefix("nginx:abi=")).context("nginx-dev names no ABI")?;
    let architecture = stage::output(Command::new("dpkg").arg("--print-architecture"))?;
    let libc = stage::output(Command::new("dpkg-query").args(["-W", "-f", "${Version}", "libc6"]))?;
    let libc = libc.split(['-', '+']).next().unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    let folder = setup::target_folder(root).join("nginx-module/deb");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let put = |path: &str, text: &str| -> anyhow::Result<()> {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().context("files lie in folders")?)?;
        Ok(std::fs::write(path, text)?)
    };
    put(
        "usr/share/nginx/modules-available/mod-http-rootspan.conf",
        "load_module modules/ngx_http_rootspan_module.so;\n",
    )?;
    put(
        "DEBIAN/control",
        &format!(
            "Package: {PACKAGE}\nVersion: {version}\nArchitecture: {}\nSection: httpd\nPriority: optional\n\
             Maintainer: rootspan <noreply@rootspan.invalid>\nDepends: {abi}, libc6 (>= {libc}), libgcc-s1\n\
             Description: OpenTelemetry tracing for nginx\n \
             Exports a span of each request, continues W3C, B3 and X-Amzn-Trace-Id contexts. Directives and variables are\n \
             those of ngx_otel_module.\n",
            architecture.trim(),
        ),
    )?;
    let modules = folder.join("usr/lib/nginx/modules");
    std::fs::create_dir_all(&modules)?;
    std::fs::copy(module, modules.join("ngx_http_rootspan_module.so"))?;
    let enabled = folder.join("etc/nginx/modules-enabled");
    std::fs::create_dir_all(&enabled)?;
    std::os::unix::fs::symlink(
        "/usr/share/nginx/modules-available/mod-http-rootspan.conf",
        enabled.join("50-mod-http-rootspan.conf"),
    )?;
    let dist = root.join("dist");
    std::fs::create_dir_all(&dist)?;
    let deb = dist.join(format!("{PACKAGE}_{version}_{}.deb", architecture.trim()));
    stage::output(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&folder).arg(&deb))?;
    Ok(deb)
}
