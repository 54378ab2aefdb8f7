//! What the broker sends.

/// Appends a number in decimal digits.
pub(crate) fn decimal(mut number: u64, out: &mut Vec<u8>) {
    // 20 digits hold any number of 64 bits.
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// A message on its way to subscriptions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outbound<'a> {
    pub(crate) subject: &'a [u8],
    pub(crate) reply: Option<&'a [u8]>,
    /// The header block with the empty line that ends it. None makes it a `MSG`.
    pub(crate) headers: Option<&'a [u8]>,
    pub(crate) payload: &'a [u8],
}

impl Outbound<'_> {
    /// Bytes of the payload and the headers.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.headers.map_or(0, <[u8]>::len) + self.payload.len()
    }

    /// No fewer bytes than it takes.
    pub(crate) fn bytes_max(&self, sid: &[u8]) -> usize {
        const REST: usize = "HMSG     \r\n\r\n".len() + 2 * 20;
        let reply = self.reply.map_or(0, <[u8]>::len);
        REST + self.subject.len() + sid.len() + reply + self.payload_bytes()
    }

    /// `MSG subject sid [reply] size`, or `HMSG subject sid [reply] head size`, and the payload.
    pub(crate) fn encode(&self, sid: &[u8], out: &mut Vec<u8>) {
        out.reserve(self.bytes_max(sid));
        out.extend_from_slice(if self.headers.is_some() { b"HMSG " } else { b"MSG " });
        out.extend_from_slice(self.subject);
        out.push(b' ');
        out.extend_from_slice(sid);
        out.push(b' ');
        if let Some(reply) = self.reply {
            out.extend_from_slice(reply);
            out.push(b' ');
        }
        if let Some(headers) = self.headers {
            decimal(headers.len() as u64, out);
            out.push(b' ');
        }
        decimal(self.payload_bytes() as u64, out);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(self.headers.unwrap_or_default());
        out.extend_from_slice(self.payload);
        out.extend_from_slice(b"\r\n");
    }
}

/// `-ERR 'text'`.
pub(crate) fn error(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"-ERR '");
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"'\r\n");
}

/// `+OK`.
pub(crate) const OK: &[u8] = b"+OK\r\n";

/// `PING`.
pub(crate) const PING: &[u8] = b"PING\r\n";

/// `PONG`.
pub(crate) const PONG: &[u8] = b"PONG\r\n";
