//! What every door must survive, as one suite that each door runs in its tests.
//!
//! The checks return what went wrong as text rather than panic, so that a door's test decides how
//! to say it. Memory is judged by the process's resident size, so a door should run [`run_all`]
//! in a test binary of its own.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::testing::HANG;
use crate::{ConnectionLimit, Door, Listener, ListenerHandle, ListenerOptions};

/// Idle connections opened at once.
const IDLE_CONNECTIONS: usize = 500;

/// Rounds of random bytes.
const GARBAGE_ROUNDS: u64 = 64;

/// By how much the process may grow where a bound on memory is checked.
const GROWTH_BYTES_MAX: usize = 48 << 20;

/// What a client that reads nothing sends at most.
const FLOOD_BYTES: usize = 64 << 20;

/// A flooding client that could write nothing for this long is being held back, as it should be.
const HELD_BACK: Duration = Duration::from_secs(1);

/// A door under test, and what the suite must know of its protocol.
#[derive(Clone)]
pub struct Target {
    /// The door.
    pub door: Arc<dyn Door>,
    /// What a well-behaved client sends first.
    pub hello: Vec<u8>,
    /// Whether all of the answer to `hello` is there.
    pub is_answer: fn(&[u8]) -> bool,
    /// The beginning of a frame that announces more bytes than the door takes, if the protocol has
    /// announced lengths.
    pub oversize: Option<Vec<u8>>,
    /// A request that may be repeated after `hello` and has an answer, for a client that never
    /// reads. None where the protocol has no such thing.
    pub flood: Option<Vec<u8>>,
}

/// What went wrong.
pub type Failure = String;

/// Runs every check.
///
/// # Errors
/// Names the first check that failed, and why.
pub async fn run_all(target: &Target) -> Result<(), Failure> {
    check("garbage", garbage(target)).await?;
    check("oversize", oversize(target)).await?;
    check("half a frame", half_frame(target)).await?;
    check("byte by byte", byte_by_byte(target)).await?;
    check("idle crowd", idle_crowd(target)).await?;
    check("never reads", never_reads(target)).await?;
    check("stop", stop_while_open(target)).await
}

async fn check<F>(name: &str, checking: F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let outcome = Box::pin(tokio::time::timeout(2 * HANG, checking)).await;
    outcome.unwrap_or_else(|_| Err("hangs".into())).map_err(|why| format!("{name}: {why}"))
}

/// Random bytes close the connection or are answered; nothing panics and the door still works.
///
/// # Errors
/// Says what went wrong.
pub async fn garbage(target: &Target) -> Result<(), Failure> {
    let listener = start(target)?;
    for round in 0..GARBAGE_ROUNDS {
        let mut stream = connect(&listener).await?;
        let bytes = noise(round);
        // Every other round the noise comes after a proper beginning, to get past it.
        if round % 2 == 1 {
            greet(target, &mut stream).await?;
        }
        let _may_be_cut_off = stream.write_all(&bytes).await;
        let _may_be_cut_off = stream.shutdown().await;
        drain(&mut stream).await?;
    }
    still_works(target, &listener).await
}

/// A frame announced as too large is refused without waiting for it, and costs no memory.
///
/// # Errors
/// Says what went wrong.
pub async fn oversize(target: &Target) -> Result<(), Failure> {
    let Some(oversize) = &target.oversize else { return Ok(()) };
    let listener = start(target)?;
    still_works(target, &listener).await?;
    let before = resident_bytes()?;
    let mut held = Vec::new();
    for _ in 0..50 {
        let mut stream = connect(&listener).await?;
        stream.write_all(oversize).await.map_err(io_text)?;
        drain(&mut stream).await.map_err(|why| format!("an oversize frame is awaited: {why}"))?;
        held.push(stream);
    }
    grew_little(before)?;
    still_works(target, &listener).await
}

/// A client that goes away within a frame takes nothing with it.
///
/// # Errors
/// Says what went wrong.
pub async fn half_frame(target: &Target) -> Result<(), Failure> {
    let listener = start(target)?;
    for cut in 0..target.hello.len() {
        let mut stream = connect(&listener).await?;
        stream.write_all(&target.hello[..cut]).await.map_err(io_text)?;
        stream.shutdown().await.map_err(io_text)?;
        drain(&mut stream).await?;
    }
    still_works(target, &listener).await
}

/// A valid beginning that arrives a byte at a time is understood.
///
/// # Errors
/// Says what went wrong.
pub async fn byte_by_byte(target: &Target) -> Result<(), Failure> {
    let listener = start(target)?;
    let mut stream = connect(&listener).await?;
    stream.set_nodelay(true).map_err(io_text)?;
    for byte in &target.hello {
        stream.write_all(&[*byte]).await.map_err(io_text)?;
        tokio::task::yield_now().await;
    }
    answer(target, &mut stream).await?;
    drop(stream);
    still_works(target, &listener).await
}

/// Many silent connections leave room for one that speaks, and cost little.
///
/// # Errors
/// Says what went wrong.
pub async fn idle_crowd(target: &Target) -> Result<(), Failure> {
    let listener = start(target)?;
    still_works(target, &listener).await?;
    let before = resident_bytes()?;
    let mut crowd = Vec::new();
    for index in 0..IDLE_CONNECTIONS {
        let mut stream = connect(&listener).await?;
        // Half of them have said hello, so that whatever that sets up is counted too.
        if index % 2 == 0 {
            greet(target, &mut stream).await?;
        }
        crowd.push(stream);
    }
    still_works(target, &listener).await?;
    let open = listener.stats().snapshot().open;
    if open < IDLE_CONNECTIONS as u64 {
        return Err(format!("only {open} of {IDLE_CONNECTIONS} silent connections were kept"));
    }
    grew_little(before)
}

/// A client that sends requests and reads no answer is held back or closed.
///
/// # Errors
/// Says what went wrong.
pub async fn never_reads(target: &Target) -> Result<(), Failure> {
    let Some(flood) = &target.flood else { return Ok(()) };
    let listener = start(target)?;
    let mut stream = connect(&listener).await?;
    greet(target, &mut stream).await?;
    let before = resident_bytes()?;
    let burst = flood.repeat((64 * 1024 / flood.len()).max(1));
    let mut sent = 0;
    while sent < FLOOD_BYTES {
        match tokio::time::timeout(HELD_BACK, stream.write_all(&burst)).await {
            Ok(Ok(())) => sent += burst.len(),
            // Closed, or held back.
            Ok(Err(_)) | Err(_) => break,
        }
    }
    grew_little(before).map_err(|why| format!("{why} after {sent} bytes of requests"))?;
    still_works(target, &listener).await
}

/// Connections that are open do not keep the listener from stopping.
///
/// # Errors
/// Says what went wrong.
pub async fn stop_while_open(target: &Target) -> Result<(), Failure> {
    let listener = start(target)?;
    let mut open = Vec::new();
    for index in 0..10 {
        let mut stream = connect(&listener).await?;
        if index % 2 == 0 {
            greet(target, &mut stream).await?;
        }
        open.push(stream);
    }
    still_works(target, &listener).await?;
    let stats = Arc::clone(listener.stats());
    let stopped = listener.stop(HANG / 2).await;
    if stopped.aborted > 0 {
        return Err(format!("{} connections did not end when told to", stopped.aborted));
    }
    for stream in &mut open {
        drain(stream).await?;
    }
    match stats.snapshot().open {
        0 => Ok(()),
        left => Err(format!("{left} connections are counted as open after the end")),
    }
}

fn start(target: &Target) -> Result<ListenerHandle, Failure> {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = Listener::bind(&ListenerOptions::new("CONFORMANCE", loopback));
    let door = Arc::clone(&target.door);
    Ok(listener.map_err(io_text)?.run(door, ConnectionLimit::default()))
}

async fn connect(listener: &ListenerHandle) -> Result<TcpStream, Failure> {
    TcpStream::connect(listener.local_address()).await.map_err(io_text)
}

async fn greet(target: &Target, stream: &mut TcpStream) -> Result<(), Failure> {
    stream.write_all(&target.hello).await.map_err(io_text)?;
    answer(target, stream).await
}

async fn answer(target: &Target, stream: &mut TcpStream) -> Result<(), Failure> {
    let mut seen = Vec::new();
    while !(target.is_answer)(&seen) {
        let read = tokio::time::timeout(HANG, stream.read_buf(&mut seen)).await;
        match read.map_err(|_| format!("no answer to hello, only {seen:?}"))? {
            Ok(0) => return Err(format!("closed instead of an answer to hello, after {seen:?}")),
            Ok(_) => {}
            Err(error) => return Err(io_text(error)),
        }
    }
    Ok(())
}

async fn still_works(target: &Target, listener: &ListenerHandle) -> Result<(), Failure> {
    greet(target, &mut connect(listener).await?).await?;
    match listener.stats().snapshot().panicked {
        0 => Ok(()),
        panicked => Err(format!("{panicked} connection tasks panicked")),
    }
}

/// Reads until the door closes.
async fn drain(stream: &mut TcpStream) -> Result<(), Failure> {
    let mut scratch = vec![0; 16 * 1024];
    loop {
        match tokio::time::timeout(HANG, stream.read(&mut scratch)).await {
            Ok(Ok(0) | Err(_)) => return Ok(()),
            Ok(Ok(_)) => {}
            Err(_) => return Err("the door does not close the connection".into()),
        }
    }
}

/// Some hundred bytes that are a function of `seed`, some of them like frames with small lengths.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        // xorshift64: any generator will do, and this one is three lines.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    let mut bytes = Vec::new();
    if seed % 4 >= 2 {
        let length = next();
        bytes.extend_from_slice(&[0, 0, 0, length]);
    }
    bytes.extend((0..600).map(|_| next()));
    bytes
}

fn resident_bytes() -> Result<usize, Failure> {
    let text = std::fs::read_to_string("/proc/self/statm").map_err(io_text)?;
    let pages = text.split(' ').nth(1).and_then(|field| field.parse::<usize>().ok());
    pages.map(|pages| pages * rustix::param::page_size()).ok_or_else(|| format!("statm: {text}"))
}

fn grew_little(before: usize) -> Result<(), Failure> {
    let growth = resident_bytes()?.saturating_sub(before);
    if growth > GROWTH_BYTES_MAX {
        return Err(format!("memory grew by {growth} bytes, at most {GROWTH_BYTES_MAX} are fine"));
    }
    Ok(())
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn io_text(error: std::io::Error) -> Failure {
    error.to_string()
}
