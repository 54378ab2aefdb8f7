//! Chromium from Debian's packages, unpacked, in which the console is tested.

use std::path::Path;
use std::process::Command;

use super::{Tool, debian};
use crate::{Failure, process};

/// What is unpacked beside libraries: the browser, and fonts with which both languages of the console can be read.
const PACKAGES: [&str; 4] =
    ["chromium", "chromium-common", "fonts-dejavu-core", "fonts-wqy-microhei"];

/// The fonts of this folder, and no others: pages look the same wherever they are looked at.
const FONTS: &str = "<?xml version=\"1.0\"?>\n\
    <!DOCTYPE fontconfig SYSTEM \"fonts.dtd\">\n\
    <fontconfig>\n\
    \x20 <dir prefix=\"relative\">../usr/share/fonts</dir>\n\
    \x20 <alias><family>monospace</family><prefer><family>DejaVu Sans Mono</family></prefer></alias>\n\
    \x20 <cachedir prefix=\"xdg\">fonts</cachedir>\n\
    </fontconfig>\n";

/// Starts it with its own libraries and fonts, wherever the folder is.
const STARTED: &str = "#!/bin/sh\n\
    here=$(dirname \"$(readlink -f \"$0\")\")/..\n\
    for lib in \"$here\"/usr/lib/*-linux-gnu* \"$here\"/usr/lib/*-linux-gnu*/pulseaudio \"$here\"/lib/*-linux-gnu*; do\n\
    \x20 LD_LIBRARY_PATH=$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}\n\
    done\n\
    FONTCONFIG_FILE=$here/bin/fonts.conf\n\
    XDG_CACHE_HOME=$here/cache\n\
    export LD_LIBRARY_PATH FONTCONFIG_FILE XDG_CACHE_HOME\n\
    exec \"$here/usr/lib/chromium/chromium\" \"$@\"\n";

/// Chromium.
pub(super) fn tool() -> Tool {
    // Debian's release decides the version.
    Tool { name: "chromium", stamp: "chromium, unpacked, 3".to_owned(), install: Box::new(install) }
}

fn install(folder: &Path) -> Result<(), Failure> {
    debian::unpack(folder, &|options| {
        let direct = libraries(options)?;
        let direct: Vec<&str> = direct.iter().map(String::as_str).collect();
        let mut all = debian::with_libraries(options, &direct)?;
        // What libraries want beside libraries is for a desktop.
        all.retain(|name| is_library(name));
        all.extend(PACKAGES.map(str::to_owned));
        Ok(all)
    })?;
    debian::script(folder, "chromium", STARTED)?;
    std::fs::write(folder.join("bin/fonts.conf"), FONTS).map_err(|e| e.to_string())?;
    process::output(Command::new(folder.join("bin/chromium")).arg("--version")).map(drop)
}

fn is_library(name: &str) -> bool {
    name.starts_with("lib") || name == "zlib1g"
}

/// The libraries that it is linked with. Its package also depends on a desktop's dialogues.
fn libraries(options: &[String]) -> Result<Vec<String>, Failure> {
    let mut depends = Command::new("apt-cache");
    depends.args(options).args(["depends", "--no-recommends", "--no-suggests", "--no-conflicts"]);
    depends.args(["--no-breaks", "--no-replaces", "--no-enhances", "chromium"]);
    Ok(linked(&process::output(&mut depends)?))
}

/// Libraries among what `apt-cache depends` printed of one package.
fn linked(depends: &str) -> Vec<String> {
    let named = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    // The C library is the system's; one of two alternatives (`|Depends:`) is the desktop's.
    let wanted = |name: &&str| is_library(name) && !["libc6", "libgcc-s1"].contains(name);
    named.filter(wanted).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_is_linked_with_is_unpacked_and_no_desktop() {
        let text = "chromium\n  Depends: libasound2\n  Depends: libc6\n |Depends: libgtk-3-0\n  \
                    Depends: <xdg-desktop-portal-backend>\n    xdg-desktop-portal-gnome\n  Depends: zlib1g\n  \
                    Depends: chromium-common\n  Breaks: libsecret-1-0\n";
        assert_eq!(linked(text), ["libasound2", "zlib1g"]);
    }
}
