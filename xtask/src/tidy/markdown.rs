//! Pages have one title, and their links lead somewhere.

use std::path::Path;

use super::{Finding, TextFile};
use crate::source::lines;

/// One `# ` title a page, in its first line of text.
pub(super) fn title(file: &TextFile) -> Option<Finding> {
    if !file.has_extension("md") {
        return None;
    }
    let titles: Vec<usize> = prose(&file.text)
        .filter(|(_, line)| line.starts_with("# "))
        .map(|(number, _)| number)
        .collect();
    match titles.as_slice() {
        [_] => None,
        [] => Some(Finding::new(&file.path, 1, "no `# ` title; begin the page with one")),
        [_, second, ..] => {
            Some(Finding::new(&file.path, *second, "a second `# ` title; make it `## `"))
        }
    }
}

/// Relative links lead to a file, and to a heading of it.
pub(super) fn links(root: &Path, file: &TextFile) -> Vec<Finding> {
    if !file.has_extension("md") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (number, line) in prose(&file.text) {
        for target in targets(line) {
            if let Some(problem) = dead(root, file, target) {
                findings.push(Finding::new(&file.path, number, problem));
            }
        }
    }
    findings
}

fn dead(root: &Path, file: &TextFile, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let page = if path.is_empty() {
        root.join(&file.path)
    } else {
        root.join(file.path.parent().unwrap_or(Path::new(""))).join(path)
    };
    if !page.exists() {
        return Some(format!("dead link `{target}`; correct it or delete it"));
    }
    if anchor.is_empty() || page.extension().is_none_or(|e| e != "md") {
        return None;
    }
    let text = std::fs::read_to_string(&page).unwrap_or_default();
    let leads = prose(&text).any(|(_, line)| line.starts_with('#') && slug(line) == anchor);
    (!leads).then(|| format!("link `{target}` leads to no heading; correct the part after #"))
}

/// The targets of the inline links of a line, code spans left out.
fn targets(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (index, part) in line.split('`').enumerate() {
        // Every second part lies between backquotes.
        if index % 2 == 0 {
            let ends = part.match_indices("](").map(|(at, _)| &part[at + 2..]);
            found.extend(ends.filter_map(|rest| rest.split([')', ' ']).next()));
        }
    }
    // A link whose text is a code span: [`name`](target).
    let spanned = line.match_indices("`](").map(|(at, _)| &line[at + 3..]);
    found.extend(spanned.filter_map(|rest| rest.split([')', ' ']).next()));
    found.sort_unstable();
    found.dedup();
    found
}

/// A heading's anchor, as the usual hosts of Markdown make it.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// The lines outside fenced blocks.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    lines(text).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titled(text: &str) -> bool {
        title(&TextFile::new("a.md", text)).is_none()
    }

    #[test]
    fn a_page_without_one_title_is_found() {
        assert!(titled("# One\n\n## Two\n```sh\n# a comment\n```\n"));
        assert!(!titled("## Two\n"));
        assert!(!titled("# One\n\n# Another\n"));
        assert!(title(&TextFile::new("a.py", "x = 1\n")).is_none());
    }

    #[test]
    fn a_dead_link_is_found() {
        let root = crate::workspace::root().expect("run by cargo");
        let page = |text: &str| TextFile::new("docs/a.md", text);
        let dead = |text: &str| links(&root, &page(text)).len();
        assert_eq!(dead("[a](../Cargo.toml) [b](https://example.org/x)\n"), 0);
        assert_eq!(dead("[a](../no-such-file.md)\n"), 1);
        assert_eq!(dead("[`a`](../no-such-file.md)\n"), 1);
        assert_eq!(dead("`[a](../no-such-file.md)`\n"), 0);
        assert_eq!(dead("```\n[a](../no-such-file.md)\n```\n"), 0);
    }

    #[test]
    fn a_link_to_no_heading_is_found() {
        let dir = std::env::temp_dir().join(format!("xtask-links-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a temporary folder");
        std::fs::write(dir.join("b.md"), "# The `life` of a message!\n").expect("written");
        let dead = |text: &str| links(&dir, &TextFile::new("a.md", text)).len();
        assert_eq!(dead("[b](b.md#the-life-of-a-message)\n"), 0);
        assert_eq!(dead("[b](b.md#death)\n"), 1);
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
