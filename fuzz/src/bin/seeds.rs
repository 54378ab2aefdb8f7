//! Writes first inputs of all targets into a folder: `seeds FOLDER`. The fuzzer finds the rest.

use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    let folder = std::env::args().nth(1).ok_or(io::ErrorKind::InvalidInput)?;
    for (target, inputs) in fuzz::seeds() {
        let folder = Path::new(&folder).join(target);
        std::fs::create_dir_all(&folder)?;
        for (number, input) in inputs.iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number:03}")), input)?;
        }
    }
    Ok(())
}
