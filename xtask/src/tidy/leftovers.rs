//! What was meant to go before the commit, and what only works on one person's machine.

use super::{Finding, TextFile};
use crate::source::{has_word, lines};

/// Macros and attributes that end with the debugging session.
pub(super) fn macros(file: &TextFile) -> Vec<Finding> {
    const BANNED: [(&str, &str); 4] = [
        ("dbg!", "delete it, or use tracing"),
        ("todo!", "write the code, or return an error"),
        ("unimplemented!", "write the code, or return an error"),
        ("#[ignore", "a test that does not run proves nothing: fix it or delete it"),
    ];
    let Some(rust) = &file.rust else { return Vec::new() };
    let mut findings = Vec::new();
    for (number, line) in lines(&rust.code) {
        for (word, remedy) in BANNED.iter().filter(|(word, _)| line.contains(word)) {
            findings.push(Finding::new(&file.path, number, format!("`{word}`: {remedy}")));
        }
    }
    findings
}

/// Marks that promise to come back later.
pub(super) fn marks(file: &TextFile) -> Vec<Finding> {
    let text = match &file.rust {
        Some(rust) => &rust.comments,
        None if ["py", "sh", "toml"].iter().any(|e| file.has_extension(e)) => &file.text,
        None => return Vec::new(),
    };
    let marked = |line: &str| has_word(line, "FIXME") || has_word(line, "XXX");
    let remedy = "do it now, or open an issue and say here what the limit is";
    lines(text)
        .filter(|(_, line)| marked(line))
        .map(|(number, _)| Finding::new(&file.path, number, format!("FIXME or XXX: {remedy}")))
        .collect()
}

/// Trailing blanks everywhere, tabs in Rust.
pub(super) fn blanks(file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in lines(&file.text) {
        if line.ends_with([' ', '\t', '\r']) {
            findings.push(Finding::new(&file.path, number, "trailing blanks; delete them"));
        }
        if file.rust.is_some() && line.contains('\t') {
            findings.push(Finding::new(&file.path, number, "a tab; indent with four spaces"));
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        let last = file.text.lines().count();
        findings.push(Finding::new(&file.path, last, "no line break at the end; add one"));
    }
    findings
}

/// Paths of one machine. A page must work wherever it is read.
pub(super) fn paths(file: &TextFile) -> Vec<Finding> {
    // Spelled in pieces, so that this file passes its own check.
    let mut banned: Vec<String> =
        ["root", "home", "work"].iter().map(|name| format!("/{name}/")).collect();
    if file.has_extension("md") {
        banned.push(format!("/{}/", "tmp"));
    }
    let mut findings = Vec::new();
    for (number, line) in lines(&file.text) {
        for path in banned.iter().filter(|path| starts_path(line, path)) {
            let text = format!("absolute path `{path}…`; say it relative to the repository");
            findings.push(Finding::new(&file.path, number, text));
        }
    }
    findings
}

/// Whether `path` stands in the line as the beginning of a path, not in the middle of one.
fn starts_path(line: &str, path: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || "_-./*}>$~".contains(c);
    line.match_indices(path).any(|(at, _)| !line[..at].ends_with(inside))
}

/// Host names of package registries: use the clients' own settings.
pub(super) fn hosts(file: &TextFile) -> Vec<Finding> {
    // Cargo writes its registry into the lock file itself.
    if file.path.file_name().is_some_and(|name| name == "Cargo.lock") {
        return Vec::new();
    }
    // Spelled in pieces, so that this file passes its own check.
    let banned = [
        ["crates", "io"],
        ["pypi", "org"],
        ["files.pythonhosted", "org"],
        ["registry.npmjs", "org"],
        ["proxy.golang", "org"],
        ["repo1.maven", "org"],
        ["repo.maven.apache", "org"],
        ["deb.debian", "org"],
    ]
    .map(|parts| parts.join("."));
    let mut findings = Vec::new();
    for (number, line) in lines(&file.text) {
        if banned.iter().any(|host| line.contains(host.as_str())) {
            let text = "names a package registry's host; name the package and its ordinary client";
            findings.push(Finding::new(&file.path, number, text));
        }
    }
    findings
}

/// A test that sleeps is slow, or flaky, or both. A bounded poll says so in a comment.
pub(super) fn sleeps(file: &TextFile) -> Vec<Finding> {
    let (code, excuse) = match &file.rust {
        Some(rust) => (&rust.code, "// poll:"),
        None if file.has_extension("py") || file.has_extension("sh") => (&file.text, "# poll:"),
        None => return Vec::new(),
    };
    let mut in_test = file.is_test();
    let mut findings = Vec::new();
    for ((number, line), full) in lines(code).zip(file.text.lines()) {
        in_test |= line.trim() == "#[cfg(test)]";
        if in_test && line.contains("sleep(") && !full.contains(excuse) {
            let text = format!(
                "`sleep(` in a test; wait for the event, or add `{excuse} <what \
                                for, and what bounds it>`"
            );
            findings.push(Finding::new(&file.path, number, text));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(check: fn(&TextFile) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
        check(&TextFile::new(path, text)).iter().map(|f| f.line).collect()
    }

    #[test]
    fn debugging_macros_and_ignored_tests_are_found_in_code_only() {
        let text = "dbg!(1);\n// dbg!(1)\nlet s = \"todo!()\";\ntodo!();\n#[ignore = \"slow\"]\n";
        assert_eq!(found(macros, "crates/a/src/lib.rs", text), [1, 4, 5]);
    }

    #[test]
    fn marks_are_found_in_comments_only() {
        let text = "// FIXME later\nlet x = \"XXX\";\n// XXX: no\n// FIXMEUP\n";
        assert_eq!(found(marks, "crates/a/src/lib.rs", text), [1, 3]);
        assert_eq!(found(marks, "tests/python/a.py", "x = 1  # FIXME\n"), [1]);
        assert!(found(marks, "STYLE.md", "No FIXME.\n").is_empty());
    }

    #[test]
    fn blanks_and_tabs_are_found() {
        assert_eq!(found(blanks, "a.rs", "a \nb\n\tc\nd\r\n"), [1, 3], "lines() drops \\r\\n");
        assert_eq!(found(blanks, "a.md", "a\t\n\tb\nc"), [1, 3]);
    }

    #[test]
    fn absolute_paths_are_found_at_the_start_of_a_path() {
        let line = |name: &str| format!("see `/{name}/x` or a/{name}/x\n");
        assert_eq!(found(paths, "a.md", &line("home")), [1]);
        assert_eq!(found(paths, "a.rs", &line("root")), [1]);
        assert_eq!(found(paths, "a.md", &line("tmp")), [1]);
        assert!(found(paths, "a.rs", &line("tmp")).is_empty(), "a test may use it");
        assert!(found(paths, "a.md", "docs/home/x ./work/x ${HOME}/work/x\n").is_empty());
    }

    #[test]
    fn a_registrys_host_is_found_except_in_the_lock_file() {
        let text = format!("from {}.{}\n", "pypi", "org");
        assert_eq!(found(hosts, "docs/a.md", &text), [1]);
        assert!(found(hosts, "Cargo.lock", &text).is_empty());
    }

    #[test]
    fn a_sleep_in_a_test_is_found_unless_it_polls() {
        let text = "sleep(1);\n#[cfg(test)]\nmod tests {\n  sleep(1);\n  sleep(1); // poll: x\n}\n";
        assert_eq!(found(sleeps, "crates/a/src/lib.rs", text), [4]);
        assert_eq!(found(sleeps, "tests/src/lib.rs", "sleep(1);\n// sleep(1)\n"), [1]);
        assert_eq!(found(sleeps, "tests/python/a.py", "sleep(1)\nsleep(1)  # poll: x\n"), [1]);
    }
}
