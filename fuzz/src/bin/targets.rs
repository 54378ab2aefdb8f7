//! Lists the targets, each with its longest input in bytes, for `cargo xtask fuzz`.

fn main() {
    for target in fuzz::TARGETS {
        println!("{} {}", target.name, target.input_bytes_max);
    }
}
