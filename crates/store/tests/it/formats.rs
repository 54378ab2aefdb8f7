//! The pages in `docs/formats` describe the code as it is.

use std::fs;
use std::path::Path;

const PAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats");
const SOURCES: [(&str, &str); 7] = [
    ("frame.rs", include_str!("../../src/frame.rs")),
    ("wal/mod.rs", include_str!("../../src/wal/mod.rs")),
    ("checkpoint.rs", include_str!("../../src/checkpoint.rs")),
    ("segment.rs", include_str!("../../src/segment.rs")),
    ("segment/writer.rs", include_str!("../../src/segment/writer.rs")),
    ("batch/header.rs", include_str!("../../src/batch/header.rs")),
    ("batch/rewrite.rs", include_str!("../../src/batch/rewrite.rs")),
];

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(PAGES).join(name)).unwrap()
}

#[test]
fn whoever_changes_a_format_looks_at_its_page() {
    let mut all = String::new();
    for (name, source) in SOURCES {
        all += name;
        all += source;
    }
    let checksum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, all.as_bytes());
    let line = format!("Source checksum: `{checksum:08x}`");
    assert!(
        page("README.md").contains(&line),
        "The source of a format changed. See whether docs/formats still tells the truth, then put \
         this line at the end of docs/formats/README.md:\n{line}"
    );
}

#[test]
fn the_hex_on_the_pages_is_that_of_the_golden_folders() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for (name, lines) in [("batch.md", 5), ("wal.md", 13), ("segment.md", 2), ("checkpoint.md", 9)]
    {
        let page = page(name);
        // The file is named in backquotes, before the first dump.
        let is_path = |part: &&str| part.starts_with("v1/") || part.starts_with("v2/");
        let path = page.split('`').find(is_path).unwrap();
        let file = fs::read(golden.join(path)).unwrap();
        let mut seen = 0;
        for line in page.lines() {
            let Some((at, rest)) = line.split_once(": ") else { continue };
            let Ok(at) = usize::from_str_radix(at, 16) else { continue };
            let digits: String = rest.chars().take(39).filter(char::is_ascii_hexdigit).collect();
            let shown = &file[at..(at + 16).min(file.len())];
            let expected: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digits, expected, "{name} at {at:08x}");
            seen += 1;
        }
        assert_eq!(seen, lines, "{name}");
    }
}
