use std::io::{BufReader, Cursor};
use std::sync::mpsc::sync_channel;

use super::*;

#[test]
fn a_server_without_a_port_has_kafkas() {
    for (given, wanted) in [
        ("localhost", "localhost:9092"),
        ("localhost:1", "localhost:1"),
        ("[::1]", "[::1]:9092"),
        ("[::1]:1", "[::1]:1"),
    ] {
        assert_eq!(with_port(given), wanted);
    }
}

#[test]
fn lines_lose_their_ends_and_nothing_else() {
    let read = |text: &[u8]| -> Vec<Vec<u8>> {
        let (to, from) = sync_channel(16);
        produce::read_lines(&mut BufReader::new(Cursor::new(text.to_vec())), &to);
        drop(to);
        from.iter().map(Result::unwrap).collect()
    };
    assert_eq!(read(b"a\nb\r\n\n c \nlast"), [&b"a"[..], b"b", b"", b" c ", b"last"]);
    assert_eq!(read(b""), [b""; 0]);
    assert_eq!(read(b"\xff\n"), [b"\xff"], "bytes, not text");
    assert_eq!(read(b"a\rb\n"), [b"a\rb"]);
}
