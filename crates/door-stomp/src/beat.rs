//! Heart-beats (1.2, "Heart-beating"): each side says how often it can send one, and how often it wants one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use door::{CloseReason, Outgoing};
use tokio::time::interval;

use crate::limits::BEAT_MILLIS_MIN;
use crate::wire::encode::BEAT;

/// How often, in milliseconds; 0: not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Beats {
    /// The client hears something.
    pub(crate) sent: u64,
    /// The client says something.
    pub(crate) received: u64,
}

impl Beats {
    /// As the client wants it, from its header `heart-beat`: `can send,wants`. Nobody gets more than
    /// [`BEAT_MILLIS_MIN`] allows. `None`: the header is not one.
    pub(crate) fn agreed(header: &[u8]) -> Option<Self> {
        /// A day.
        const MILLIS_MAX: u64 = 24 * 60 * 60 * 1000;
        let (can, wants) = std::str::from_utf8(header).ok()?.split_once(',')?;
        let millis = |text: &str| match text.trim().parse::<u64>().ok()? {
            0 => Some(0),
            millis => Some(millis.clamp(BEAT_MILLIS_MIN, MILLIS_MAX)),
        };
        Some(Self { sent: millis(wants)?, received: millis(can)? })
    }

    /// What the broker answers: how often it sends, and how often it wants to hear something.
    pub(crate) fn header(self) -> String {
        format!("{},{}", self.sent, self.received)
    }
}

/// Says something so often, where nothing else was said.
pub(crate) async fn send(outgoing: &Outgoing, every: u64) -> CloseReason {
    if every == 0 {
        return std::future::pending().await;
    }
    let mut ticks = interval(Duration::from_millis(every) / 2);
    ticks.tick().await;
    let mut written = outgoing.written();
    loop {
        ticks.tick().await;
        if std::mem::replace(&mut written, outgoing.written()) == outgoing.written() {
            outgoing.push(|out| out.extend_from_slice(BEAT));
            outgoing.flush();
        }
    }
}

/// Returns when the client has said nothing for twice as long as it may: networks take their time.
pub(crate) async fn watch(received: &AtomicU64, every: u64) -> CloseReason {
    if every == 0 {
        return std::future::pending().await;
    }
    let every = Duration::from_millis(every);
    let mut ticks = interval(every / 2);
    ticks.tick().await;
    let (mut seen, mut silent) = (0, 0);
    loop {
        ticks.tick().await;
        let now = received.load(Ordering::Relaxed);
        silent = if std::mem::replace(&mut seen, now) == now { silent + 1 } else { 0 };
        if silent >= 4 {
            return CloseReason::Idle(every * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[test]
    fn each_side_gets_what_the_other_can() {
        let agreed = |header: &str| Beats::agreed(header.as_bytes());
        assert_eq!(agreed("0,0"), Some(Beats::default()));
        assert_eq!(agreed("5000, 1"), Some(Beats { sent: 100, received: 5000 }));
        assert_eq!(agreed("5000,0").map(Beats::header).as_deref(), Some("0,5000"));
        for bad in ["", "1", "1,x", "-1,1", "1,1,1"] {
            assert_eq!(agreed(bad), None, "{bad}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_noticed_and_who_does_is_not() {
        let received = AtomicU64::new(0);
        let watching = watch(&received, 1000);
        let talking = async {
            let mut ticks = interval(Duration::from_millis(900));
            for _ in 0..20 {
                ticks.tick().await;
                received.fetch_add(1, Ordering::Relaxed);
            }
        };
        tokio::select! {
            end = watching => panic!("{end}"),
            () = talking => {}
        }
        let end = watch(&received, 1000).await;
        assert!(matches!(end, CloseReason::Idle(after) if after == Duration::from_secs(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_hears_something_as_often_as_it_was_promised() {
        let outgoing = Outgoing::default();
        let mut beats = 0;
        let ended = timeout(Duration::from_millis(10_100), send(&outgoing, 1000)).await;
        assert!(ended.is_err(), "it goes on for ever");
        outgoing.push(|out| beats = out.len());
        // Nobody writes them here, so that there is one every half of the time.
        assert!((10..=21).contains(&beats), "{beats} heart-beats in ten seconds");
    }
}
