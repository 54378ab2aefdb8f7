//! librdkafka, built once for all clients around it that can use one from outside.
//!
//! Its source comes with the npm package of a client around it; nothing else of that package is
//! used. zstd's headers come from Debian's packages; the library itself every Debian has.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Tool, debian};
use crate::{Failure, process};

/// The package with librdkafka's source, 2.15.1.
const PACKAGE: &str = "@confluentinc/kafka-javascript@1.10.1";

/// What its tool is made from; part of the stamp of what is linked with it.
pub(super) fn stamp() -> String {
    format!("{PACKAGE}, with zstd, 1")
}

/// The library as a tool: `lib`, `include`, and `lib/pkgconfig`.
pub(super) fn tool() -> Tool {
    Tool { name: "librdkafka", stamp: stamp(), install: Box::new(install) }
}

/// Where the tool is.
///
/// # Errors
/// When it could not be installed.
pub(super) fn place(root: &Path) -> Result<PathBuf, Failure> {
    let place = root.join("target/deps/librdkafka");
    if place.join("stamp").exists() { Ok(place) } else { Err("librdkafka is missing".to_owned()) }
}

/// The crate with librdkafka's source and its examples, which the package above leaves out.
const CRATE: (&str, &str) = ("rdkafka-sys", "=4.10.0+2.12.1");

/// librdkafka's own performance tool, optimised, which only the benchmarks need.
pub(super) fn performance() -> Tool {
    let install = |folder: &Path| {
        let build = vendored(folder)?;
        configure(folder, &build, &[])?;
        for part in [["-C", "src"], ["-C", "examples"]] {
            let mut make = Command::new("make");
            let wanted = if part[1] == "src" { "all" } else { "rdkafka_performance" };
            process::output(make.current_dir(&build).arg("-j2").args(part).arg(wanted))?;
        }
        let (built, place) = (build.join("examples/rdkafka_performance"), folder.join("bin"));
        std::fs::create_dir_all(&place).map_err(|e| e.to_string())?;
        std::fs::copy(built, place.join("rdkafka_performance")).map_err(|e| e.to_string())?;
        clean(folder)?;
        let mut version = Command::new(place.join("rdkafka_performance"));
        process::output(version.args(["-X", "list"])).map(drop)
    };
    Tool { name: "rdkafka-performance", stamp: format!("{CRATE:?}, 1"), install: Box::new(install) }
}

/// Has cargo bring [`CRATE`]; returns the folder of the library in it.
fn vendored(folder: &Path) -> Result<PathBuf, Failure> {
    let (build, (name, version)) = (folder.join("build"), CRATE);
    std::fs::create_dir_all(build.join("src")).map_err(|e| e.to_string())?;
    let manifest = format!(
        "[package]\nname = \"wanted\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [dependencies]\n{name} = \"{version}\"\n\n[workspace]\n"
    );
    std::fs::write(build.join("Cargo.toml"), manifest).map_err(|e| e.to_string())?;
    std::fs::write(build.join("src/lib.rs"), "").map_err(|e| e.to_string())?;
    let mut vendor = Command::new("cargo");
    process::output(vendor.args(["vendor", "--quiet", "crates"]).current_dir(&build))?;
    Ok(build.join("crates").join(name).join("librdkafka"))
}

/// Unpacks and configures the source; returns its folder.
fn sources(folder: &Path, options: &[&str]) -> Result<PathBuf, Failure> {
    let build = folder.join("build");
    std::fs::create_dir_all(&build).map_err(|e| e.to_string())?;
    let mut pack = Command::new("npm");
    process::output(pack.args(["pack", "--silent", PACKAGE]).current_dir(&build))?;
    super::unpack(&build, "package/deps/librdkafka", 3)?;
    configure(folder, &build, options)?;
    Ok(build)
}

/// Configures the source in `build`, with zstd from Debian.
fn configure(folder: &Path, build: &Path, options: &[&str]) -> Result<(), Failure> {
    let zstd = folder.join("zstd");
    debian::unpack(&zstd, &|_| Ok(["libzstd-dev", "libzstd1"].map(str::to_owned).to_vec()))?;
    let libraries = std::fs::read_dir(zstd.join("usr/lib")).map_err(|e| e.to_string())?;
    let libraries = libraries.flatten().next().ok_or("libzstd1 is empty")?.path();
    let mut configure = Command::new("./configure");
    configure.current_dir(build).arg(format!("--prefix={}", folder.display()));
    configure.env("CPPFLAGS", format!("-I{}", zstd.join("usr/include").display()));
    configure.env("LDFLAGS", format!("-L{}", libraries.display()));
    configure.args(["--disable-gssapi", "--disable-curl", "--disable-lz4-ext"]);
    process::output(configure.arg("--disable-debug-symbols").args(options)).map(drop)
}

/// Removes what [`sources`] made.
fn clean(folder: &Path) -> Result<(), Failure> {
    for leftover in ["build", "zstd"] {
        std::fs::remove_dir_all(folder.join(leftover)).map_err(|e| e.to_string())?;
    }
    Ok(())
}

fn install(folder: &Path) -> Result<(), Failure> {
    // What is tested is the broker: without optimisation it builds in half the time.
    let build = sources(folder, &["--disable-optimization"])?;
    for part in ["src", "src-cpp"] {
        let mut make = Command::new("make");
        process::output(make.current_dir(&build).args(["-j2", "-C", part]))?;
        let mut make = Command::new("make");
        process::output(make.current_dir(&build).args(["-C", part, "install"]))?;
    }
    let pkgconfig = folder.join("lib/pkgconfig");
    relocate(&pkgconfig.join("rdkafka.pc"))?;
    clean(folder)?;
    let mut known = Command::new("pkg-config");
    known.env("PKG_CONFIG_PATH", pkgconfig).args(["--exists", "rdkafka"]);
    process::output(&mut known).map(drop)
}

/// Makes pkg-config find the library wherever the folder is: it is renamed once it is complete.
fn relocate(file: &Path) -> Result<(), Failure> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{file:?}: {e}"))?;
    let line = |line: &str| match line.split_once('=') {
        Some(("prefix", _)) => "prefix=${pcfiledir}/../..\n".to_owned(),
        Some(("libdir", _)) => "libdir=${prefix}/lib\n".to_owned(),
        Some(("includedir", _)) => "includedir=${prefix}/include\n".to_owned(),
        _ => format!("{line}\n"),
    };
    let text: String = text.lines().map(line).collect();
    std::fs::write(file, text).map_err(|e| format!("{file:?}: {e}"))
}
