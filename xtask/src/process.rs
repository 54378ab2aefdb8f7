//! Running other programs.

use std::io::ErrorKind;
use std::process::Command;
use std::time::Instant;

use crate::Failure;

/// Runs a step of the task with its output shown, and says how long it took.
///
/// # Errors
/// When the program cannot be started or exits with a failure.
pub(crate) fn step(title: &str, command: &mut Command) -> Result<(), Failure> {
    println!("==> {title}");
    let begun = Instant::now();
    let status = command.status().map_err(|e| cannot_start(command, &e))?;
    println!("    {title}: {:.1} s", begun.elapsed().as_secs_f64());
    if status.success() { Ok(()) } else { Err(format!("{title} failed ({status})")) }
}

/// Runs a program quietly and returns what it printed to its standard output.
///
/// # Errors
/// When the program cannot be started or fails; with the end of what it printed as an error.
pub(crate) fn output(command: &mut Command) -> Result<String, Failure> {
    let output = command.output().map_err(|e| cannot_start(command, &e))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = error.lines().collect();
        let tail = lines[lines.len().saturating_sub(12)..].join("\n");
        return Err(format!("{command:?} failed ({}):\n{tail}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|_| format!("{command:?} printed no UTF-8"))
}

/// Whether a program of this name can be started.
pub(crate) fn exists(program: &str) -> bool {
    let started = Command::new(program).arg("--version").output();
    !matches!(started, Err(e) if e.kind() == ErrorKind::NotFound)
}

fn cannot_start(command: &Command, error: &std::io::Error) -> Failure {
    format!("cannot start {}: {error}", command.get_program().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_program_is_a_failure_with_its_last_words() {
        let failure = output(Command::new("sh").args(["-c", "echo no room >&2; exit 3"]));
        let text = failure.expect_err("the program failed");
        assert!(text.contains("no room") && text.contains('3'), "{text}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let text = output(&mut Command::new("entrepot-no-such-program")).expect_err("not there");
        assert!(text.contains("entrepot-no-such-program"), "{text}");
        assert!(!exists("entrepot-no-such-program"));
    }
}
