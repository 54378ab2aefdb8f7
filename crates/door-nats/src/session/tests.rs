use super::*;

/// Of whatever such a function returns.
fn size<A, B, F>(_: impl Fn(A, B) -> F) -> usize {
    size_of::<F>()
}

/// All that a connection may ever need is there from its first byte to its last, so what is needed
/// once is elsewhere.
#[test]
fn a_connections_task_is_small() {
    let bytes = size(serve);
    assert!(bytes <= 4 * 1024, "{bytes} bytes");
}
