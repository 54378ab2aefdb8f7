//! `cargo xtask fuzz`: builds the fuzzer with instrumented code and runs its targets one after the
//! other. Works with the stable compiler: what it lacks is a sanitizer, which safe code needs less.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{Failure, process};

/// LLVM's coverage pass: counters of basic blocks, and what comparisons compare.
const FLAGS: &[&str] = &[
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=16",
];

/// A case that takes longer has a fault. Generous: a machine may be busy.
const CASE_SECONDS_MAX: u32 = 20;
/// Memory of the whole process, C code included.
const MEMORY_MIB_MAX: u32 = 4096;
/// What a target gets unless told otherwise.
const USUAL: Duration = Duration::from_secs(60);
/// What all targets get together in a night.
const NIGHT: Duration = Duration::from_secs(8 * 3600);
/// Inputs kept in the repository are at most so long: larger ones cost more than they show.
const KEPT_BYTES_MAX: u64 = 2048;
/// Most inputs of one target in the repository, seeds excepted, which are made anew each time.
const KEPT_MAX: usize = 60;

/// What the command line asks for.
#[derive(Debug, Default, PartialEq)]
struct Wish<'a> {
    names: Vec<&'a str>,
    time: Option<Duration>,
    nightly: bool,
    minimise: bool,
}

/// Runs targets: all, or those named.
///
/// # Errors
/// When it cannot be built, or a target found something.
pub(crate) fn run(root: &Path, args: &[&str]) -> Result<(), Failure> {
    let wish = parse(args)?;
    let targets = targets(root)?;
    let unknown =
        wish.names.iter().find(|name| !targets.iter().any(|target| target.name == **name));
    if let Some(name) = unknown {
        let names: Vec<_> = targets.iter().map(|target| target.name.as_str()).collect();
        return Err(format!("no fuzz target {name:?}; there are {}", names.join(", ")));
    }
    let wanted =
        |target: &&Target| wish.names.is_empty() || wish.names.contains(&target.name.as_str());
    let wanted: Vec<_> = targets.iter().filter(wanted).collect();
    let fuzzer = Fuzzer::build(root)?;
    if wish.minimise {
        return wanted.iter().try_for_each(|target| fuzzer.minimise(target));
    }
    let count = u32::try_from(wanted.len()).unwrap_or(u32::MAX).max(1);
    let each = if wish.nightly { NIGHT / count } else { wish.time.unwrap_or(USUAL) };
    let mut failed = Vec::new();
    for target in wanted {
        println!("fuzz: {} for {} s", target.name, each.as_secs());
        if let Err(failure) = fuzzer.fuzz(target, each) {
            eprintln!("{failure}");
            failed.push(target.name.as_str());
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let folder = fuzzer.kept.display();
    Err(format!("{} found something; the inputs are in {folder}", failed.join(", ")))
}

fn parse<'a>(args: &[&'a str]) -> Result<Wish<'a>, Failure> {
    let mut wish = Wish::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "--nightly" => wish.nightly = true,
            "--minimise" => wish.minimise = true,
            "--minutes" => {
                let minutes: Option<u64> = args.next().and_then(|minutes| minutes.parse().ok());
                let minutes = minutes.filter(|minutes| (1..=10_000).contains(minutes));
                let minutes = minutes.ok_or("--minutes wants a number from 1 to 10000")?;
                wish.time = Some(Duration::from_secs(minutes * 60));
            }
            name if name.starts_with('-') => return Err(format!("fuzz has no option {name}")),
            name => wish.names.push(name),
        }
    }
    if wish.nightly && wish.time.is_some() {
        return Err("either --minutes or --nightly".to_owned());
    }
    Ok(wish)
}

/// A row of the table of targets.
#[derive(Debug, PartialEq)]
struct Target {
    name: String,
    input_bytes_max: u64,
}

/// What the `targets` program of `fuzz/` prints: a name and the longest input of each.
fn targets(root: &Path) -> Result<Vec<Target>, Failure> {
    let mut list = Command::new("cargo");
    list.current_dir(root).args(["run", "--quiet", "--package", "fuzz", "--bin", "targets"]);
    let listed = process::output(&mut list)?;
    let target = |line: &str| {
        let (name, bytes) = line.split_once(' ')?;
        Some(Target { name: name.to_owned(), input_bytes_max: bytes.parse().ok()? })
    };
    listed.lines().map(|line| target(line).ok_or_else(|| format!("targets: {line:?}"))).collect()
}

struct Fuzzer {
    program: PathBuf,
    /// Inputs found on this machine, and first ones.
    found: PathBuf,
    /// Inputs in the repository.
    kept: PathBuf,
}

impl Fuzzer {
    fn build(root: &Path) -> Result<Self, Failure> {
        let folder = root.join("target/fuzz");
        let host = host()?;
        let mut build = Command::new("cargo");
        // With --target, so that build scripts and macros are not instrumented.
        build.current_dir(root).args(["build", "--package", "fuzz", "--bin", "fuzz"]);
        build.args(["--features", "engine", "--profile", "fuzz", "--target", &host]);
        build.arg("--target-dir").arg(&folder).env("RUSTFLAGS", FLAGS.join(" "));
        process::step("build the fuzzer", &mut build)?;
        let found = folder.join("corpus");
        let mut seeds = Command::new("cargo");
        seeds.current_dir(root).args(["run", "--quiet", "--package", "fuzz", "--bin", "seeds"]);
        process::step("first inputs", seeds.arg("--").arg(&found))?;
        let program = folder.join(host).join("fuzz/fuzz");
        Ok(Self { program, found, kept: root.join("fuzz/corpus") })
    }

    fn command(&self, target: &Target) -> Command {
        let mut fuzz = Command::new(&self.program);
        fuzz.env("FUZZ_TARGET", &target.name);
        fuzz.arg(format!("-max_len={}", target.input_bytes_max));
        fuzz.arg(format!("-timeout={CASE_SECONDS_MAX}"));
        fuzz.arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"));
        // What breaks something is kept as a test of what was repaired.
        fuzz.arg(format!("-artifact_prefix={}/", self.kept.join(&target.name).display()));
        fuzz
    }

    /// For so much time of a processor: on a machine that does other things, too, it takes longer.
    fn fuzz(&self, target: &Target, time: Duration) -> Result<(), Failure> {
        let begun = children_time()?;
        loop {
            let left = time.saturating_sub(children_time()?.saturating_sub(begun));
            if left < Duration::from_secs(1) {
                return Ok(());
            }
            let mut fuzz = self.command(target);
            fuzz.arg(format!("-max_total_time={}", left.as_secs()));
            fuzz.args(["-print_final_stats=1", "-verbosity=1", "-use_value_profile=1"]);
            fuzz.arg(self.found.join(&target.name)).arg(self.kept.join(&target.name));
            process::step(&target.name, &mut fuzz)?;
        }
    }

    /// Keeps in the repository what adds coverage to the first inputs and is small.
    fn minimise(&self, target: &Target) -> Result<(), Failure> {
        let kept = self.kept.join(&target.name);
        let merged = self.found.with_file_name("merged").join(&target.name);
        let failed = |error: std::io::Error| format!("{}: {error}", merged.display());
        if merged.exists() {
            std::fs::remove_dir_all(&merged).map_err(failed)?;
        }
        std::fs::create_dir_all(&merged).map_err(failed)?;
        let mut merge = self.command(target);
        merge.arg("-merge=1").arg(&merged).arg(&kept).arg(self.found.join(&target.name));
        process::step(&format!("minimise {}", target.name), &mut merge)?;
        let mut inputs = files(&merged)?;
        inputs.retain(|(_, bytes)| *bytes <= KEPT_BYTES_MAX);
        // Spread over all sizes: the smallest alone are all of one kind.
        inputs.sort_by_key(|(_, bytes)| *bytes);
        let step = inputs.len().div_ceil(KEPT_MAX).max(1);
        for (old, _) in files(&kept)?.iter().filter(|(path, _)| is_found(path)) {
            std::fs::remove_file(old).map_err(failed)?;
        }
        for (path, _) in inputs.iter().step_by(step) {
            let name = path.file_name().unwrap_or_default();
            std::fs::copy(path, kept.join(name)).map_err(failed)?;
        }
        Ok(())
    }
}

/// Named by its digest alone: not one that broke something, which stays.
fn is_found(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn files(folder: &Path) -> Result<Vec<(PathBuf, u64)>, Failure> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        files.push((entry.path(), entry.metadata().map_err(failed)?.len()));
    }
    Ok(files)
}

/// Processor time of all processes that this one started and that have ended (proc(5), fields 16 and
/// 17 of `stat`, in hundredths of a second).
fn children_time() -> Result<Duration, Failure> {
    let path = "/proc/self/stat";
    let stat = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    ended_children_time(&stat).ok_or_else(|| format!("{path}: {stat:?}"))
}

fn ended_children_time(stat: &str) -> Option<Duration> {
    // The second field is a name, which may have blanks and brackets in it; the third follows.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut ticks = fields.split(' ').skip(16 - 3).map(str::parse::<u64>);
    let (user, system) = (ticks.next()?.ok()?, ticks.next()?.ok()?);
    Some(Duration::from_millis((user + system) * 10))
}

/// The machine's own target triple.
fn host() -> Result<String, Failure> {
    let about = process::output(Command::new("rustc").arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc -vV names no host".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_understood() {
        let wish = parse(&["batch", "--minutes", "15", "toml"]).expect("it is right");
        let time = Some(Duration::from_secs(900));
        assert_eq!(wish, Wish { names: vec!["batch", "toml"], time, ..Wish::default() });
        assert!(parse(&["--nightly"]).expect("it is right").nightly);
        for wrong in [&["--minutes"][..], &["--minutes", "x"], &["--no"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
        assert!(parse(&["--minutes", "1", "--nightly"]).is_err());
    }

    #[test]
    fn the_time_of_children_is_found_behind_any_name() {
        let stat = "7 (a) (b c) S 1 7 7 0 -1 4194304 9 8 7 6 5 4 321 45 20 0 1 0 99";
        assert_eq!(ended_children_time(stat), Some(Duration::from_millis(3660)));
        assert_eq!(ended_children_time("7 (a) S 1"), None);
    }

    #[test]
    fn what_broke_something_is_told_from_what_was_found() {
        assert!(is_found(Path::new("a/0123456789abcdef0123456789abcdef01234567")));
        assert!(!is_found(Path::new("a/crash-0123456789abcdef0123456789abcdef01234567")));
    }
}
