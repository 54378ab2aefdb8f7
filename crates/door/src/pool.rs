//! Buffers that busy connections pass on to each other, so that idle ones have none. Each thread has its own few.

use std::cell::RefCell;

/// Buffers that a thread keeps.
const KEPT_MAX: usize = 16;
/// A larger one is given back to the allocator.
const KEPT_BYTES_MAX: usize = 512 << 10;
/// A smaller one is not worth the while.
const KEPT_BYTES_MIN: usize = 256;

thread_local! {
    static KEPT: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer, if possible one that has room.
pub fn take() -> Vec<u8> {
    KEPT.with_borrow_mut(|kept| kept.pop().unwrap_or_default())
}

/// Hands a buffer on.
pub fn give(mut buffer: Vec<u8>) {
    if !(KEPT_BYTES_MIN..=KEPT_BYTES_MAX).contains(&buffer.capacity()) {
        return;
    }
    buffer.clear();
    KEPT.with_borrow_mut(|kept| {
        if kept.len() < KEPT_MAX {
            kept.push(buffer);
        }
    });
}
