//! What tests must not use at the same time: the default ports, and a machine that is measured.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

static DEFAULT_PORTS: Mutex<()> = Mutex::new(());
static MACHINE: RwLock<()> = RwLock::new(());

/// The right to use ports 9092 and 2181.
///
/// # Panics
/// When another program uses one of them.
pub fn default_ports() -> MutexGuard<'static, ()> {
    let turn = DEFAULT_PORTS.lock();
    for port in [9092, 2181] {
        assert!(
            TcpListener::bind(("127.0.0.1", port)).is_ok(),
            "port {port} is in use by another program; this test needs the default ports, because \
             the examples that it runs name them. Stop that program and run the test again."
        );
    }
    turn
}

/// The right to be the only test that runs a broker, for tests that measure.
pub fn quiet_machine() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write()
}

/// Held while a broker runs that is not on a quiet machine: by [`crate::Broker`] itself, and by tests
/// whose clients start brokers. Recursive, because a test may start
/// a second broker while another test already waits for quiet.
pub fn shared_machine() -> RwLockReadGuard<'static, ()> {
    MACHINE.read_recursive()
}

/// A port that is free now. Below the range from which the system takes the ports of outgoing
/// connections, so that it is still free when a broker is restarted on it.
///
/// # Panics
/// When no port is free.
pub fn free_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 10_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Runs of different checkouts begin at different ports.
    let begin = u16::try_from(std::process::id() * 131 % u32::from(COUNT)).unwrap_or(0);
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (begin.wrapping_add(step)) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_differ() {
        let (one, two) = (free_port(), free_port());
        assert_ne!(one, two);
        let taken = TcpListener::bind(("127.0.0.1", one)).expect("it is free");
        assert!((0..3).all(|_| free_port() != one));
        drop(taken);
    }
}
