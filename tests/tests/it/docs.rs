//! The examples in README.md, run as they stand: a fenced `sh` or `python` block that follows the
//! comment `<!-- tested -->` is a reader's session in a new shell. A broker runs meanwhile: the one
//! that a block starts, or else `entrepot serve`.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tests::{Exit, PATIENCE, Process, Python, binary, default_ports, quiet_machine, root, scratch};

/// A block and the line of the page on which it starts.
struct Block {
    line: usize,
    language: String,
    text: String,
}

#[test]
fn the_commands_in_the_readme_work_as_they_stand() {
    let page = std::fs::read_to_string(root().join("README.md")).expect("README.md is there");
    let blocks = tested_blocks(&page);
    assert!(!blocks.is_empty(), "no block of README.md is marked as tested");
    // Some blocks use the Python client; its environment stands for the reader's own.
    let Some(python) = Python::Kafka3.interpreter() else { return };
    let _turn = default_ports();
    // Not started by `Serve`, so it would disturb a test that measures.
    let _quiet = quiet_machine();
    let home = scratch();
    let bin = home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    symlink(binary(), bin.join("entrepot")).unwrap();
    let path = format!(
        "{}:{}:{}",
        bin.display(),
        python.parent().unwrap().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let mut serving = Vec::new();
    if !blocks.iter().any(|block| is_serve(&block.text)) {
        let (line, language) = (0, "sh".to_owned());
        serving.push(serve(
            home.path(),
            &path,
            &Block { line, language, text: "entrepot serve".into() },
        ));
    }
    for block in &blocks {
        if is_serve(&block.text) {
            serving.push(serve(home.path(), &path, block));
        } else {
            check(block, &shell(home.path(), &path, block).exit(PATIENCE));
        }
    }
    drop(serving);
}

/// Starts a block that serves until it is stopped, and waits until it does.
fn serve(home: &Path, path: &str, block: &Block) -> Process {
    let shell = shell(home, path, block);
    shell.wait_for("ready", 0, PATIENCE, |line| line.starts_with("ready ").then_some(()));
    shell
}

fn shell(home: &Path, path: &str, block: &Block) -> Process {
    let mut shell = Command::new(if block.language == "python" { "python" } else { "bash" });
    // `exec` lets a lone `entrepot serve` take the shell's place, so that stopping the one stops
    // the other.
    let exec = if is_serve(&block.text) { "exec " } else { "" };
    if block.language == "sh" {
        shell.args(["-euo", "pipefail"]);
    }
    shell.arg("-c").arg(format!("{exec}{}", block.text.trim())).current_dir(home);
    shell.env("HOME", home).env("PATH", path).env_remove("XDG_DATA_HOME");
    Process::start(&format!("README.md:{}", block.line), &mut shell)
}

/// Whether the block's only command is one that runs until it is stopped.
fn is_serve(text: &str) -> bool {
    let mut commands = text.lines().map(str::trim).filter(|line| !line.is_empty());
    commands.next().is_some_and(|line| line.starts_with("entrepot serve"))
        && commands.next().is_none()
}

fn check(block: &Block, exit: &Exit) {
    assert!(exit.status.success(), "README.md:{}\n{}\n{exit:?}", block.line, block.text);
}

fn tested_blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines().enumerate();
    let mut marked = false;
    while let Some((index, line)) = lines.next() {
        if line.trim() == "<!-- tested -->" {
            marked = true;
        } else if line.starts_with("```") {
            let body: Vec<&str> =
                lines.by_ref().map(|(_, l)| l).take_while(|l| !l.starts_with("```")).collect();
            if marked {
                let language = line.trim_start_matches('`').to_owned();
                let known = ["sh", "python"].contains(&language.as_str());
                assert!(known, "README.md:{}: only sh and python are run", index + 1);
                blocks.push(Block { line: index + 1, language, text: body.join("\n") });
            }
            marked = false;
        } else if !line.trim().is_empty() {
            marked = false;
        }
    }
    blocks
}

#[test]
fn only_marked_blocks_are_run() {
    let page = "```sh\na\n```\n<!-- tested -->\n\n```sh\nb\nc\n```\ntext\n```sh\nd\n```\n";
    let blocks = tested_blocks(page);
    assert_eq!(blocks.len(), 1);
    assert_eq!((blocks[0].line, blocks[0].text.as_str()), (6, "b\nc"));
    assert!(is_serve("entrepot serve\n") && !is_serve("entrepot serve &\nsleep 1"));
    assert!(!is_serve("entrepot status"));
}
