//! The conformance suite on a door that keeps its rules, and on doors that break one each: a suite
//! that cannot fail would be worth nothing.

use std::sync::Arc;

use door::conformance::{self, Target};
use door::{BoxFuture, CloseReason, Connection, Door, FrameReader};
use tokio::io::AsyncWriteExt;

/// Memory is a property of the process, so the tests take turns.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What a door of these tests does wrong.
#[derive(Clone, Copy, PartialEq)]
enum Flaw {
    None,
    PanicsOnGarbage,
    AwaitsOversize,
    IgnoresStop,
    HoardsAnswers,
}

/// Answers each frame with itself.
struct FrameEcho(Flaw);

impl Door for FrameEcho {
    fn name(&self) -> &'static str {
        "frame-echo"
    }

    fn serve(self: Arc<Self>, mut connection: Connection) -> BoxFuture<Result<(), CloseReason>> {
        let max = if self.0 == Flaw::AwaitsOversize { usize::MAX } else { 1024 };
        Box::pin(async move {
            let (reader, mut writer) = connection.stream.into_split();
            let mut frames = FrameReader::new(reader, max);
            let mut hoard = Vec::new();
            loop {
                let frame = tokio::select! {
                    _ = connection.stopping.wait_for(|stop| *stop && self.0 != Flaw::IgnoresStop) =>
                        return Ok(()),
                    frame = frames.next() => frame?,
                };
                let Some(frame) = frame else { return Ok(()) };
                assert!(self.0 != Flaw::PanicsOnGarbage || frame.len() == 5, "as asked");
                if self.0 == Flaw::HoardsAnswers && frame != b"hello"[..] {
                    // Enough to be noticed, not enough to hurt the machine.
                    if hoard.len() < 1000 {
                        hoard.push(vec![1; 100 * frame.len()]);
                    }
                    continue;
                }
                writer.write_u32(frame.len() as u32).await?;
                writer.write_all(&frame).await?;
            }
        })
    }
}

fn target(flaw: Flaw) -> Target {
    Target {
        door: Arc::new(FrameEcho(flaw)),
        hello: b"\0\0\0\x05hello".to_vec(),
        is_answer: |bytes| bytes.len() == 9,
        oversize: Some(b"\x7f\0\0\0".to_vec()),
        flood: Some([&b"\0\0\x04\0"[..], &[7; 1024]].concat()),
    }
}

#[tokio::test]
async fn a_good_door_passes() {
    let _turn = TURN.lock().await;
    conformance::run_all(&target(Flaw::None)).await.unwrap();
}

#[tokio::test]
async fn a_panic_is_noticed() {
    let _turn = TURN.lock().await;
    let failure = conformance::garbage(&target(Flaw::PanicsOnGarbage)).await;
    assert!(failure.unwrap_err().contains("panicked"));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_an_oversize_frame_is_noticed() {
    let _turn = TURN.lock().await;
    let failure = conformance::oversize(&target(Flaw::AwaitsOversize)).await;
    assert!(failure.unwrap_err().contains("awaited"));
}

#[tokio::test]
async fn hoarding_answers_is_noticed() {
    let _turn = TURN.lock().await;
    let failure = conformance::never_reads(&target(Flaw::HoardsAnswers)).await;
    assert!(failure.unwrap_err().contains("memory grew"));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_will_not_stop_is_noticed() {
    let _turn = TURN.lock().await;
    let failure = conformance::stop_while_open(&target(Flaw::IgnoresStop)).await;
    assert!(failure.unwrap_err().contains("did not end"));
}
