//! Messages from the command line or from standard input, through a short queue so that a slow
//! typist's line is sent at once and a file's lines are sent in batches.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Lines read ahead.
const AHEAD: usize = 1024;

/// Longest line; more than any topic accepts as one message.
const LINE_BYTES_MAX: u64 = 128 * 1024 * 1024;

pub(crate) struct Input;

impl Input {
    /// Begins to read; the queue ends where the input does.
    pub(crate) fn start(values: Vec<String>) -> Receiver<io::Result<Vec<u8>>> {
        let (to, from) = sync_channel(AHEAD);
        std::thread::spawn(move || {
            if values.is_empty() {
                lines(&mut io::stdin().lock(), &to);
            } else {
                for value in values {
                    // Nobody receives any more: the program is ending.
                    if to.send(Ok(value.into_bytes())).is_err() {
                        return;
                    }
                }
            }
        });
        from
    }
}

/// Sends each line without its end (LF or CR LF), the last one also without one.
pub(crate) fn lines(from: &mut impl BufRead, to: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut line = Vec::new();
        let read = from.take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        let item = match read {
            Ok(0) => return,
            Ok(_) => {
                if line.pop_if(|byte| *byte == b'\n').is_some() {
                    line.pop_if(|byte| *byte == b'\r');
                    Ok(line)
                } else if line.len() as u64 == LINE_BYTES_MAX {
                    let what = format!("a line has more than {LINE_BYTES_MAX} bytes");
                    Err(io::Error::new(io::ErrorKind::InvalidData, what))
                } else {
                    Ok(line)
                }
            }
            Err(error) => Err(error),
        };
        let failed = item.is_err();
        if to.send(item).is_err() || failed {
            return;
        }
    }
}
