//! Public keys as NATS writes them (nkeys): base32 of a kind, an Ed25519 key, and a CRC.

/// A user's public key begins with `U`.
const PREFIX_USER: u8 = 20 << 3;

/// Kind, key, and CRC.
const BYTES: usize = 1 + 32 + 2;

/// The Ed25519 key of a user. None if the text is none: another kind, a wrong length, a wrong CRC.
pub(crate) fn decode_user(text: &str) -> Option<[u8; 32]> {
    let bytes = base32(text.as_bytes())?;
    let (body, crc) = bytes.split_at_checked(BYTES - 2)?;
    let crc = u16::from_le_bytes(crc.try_into().ok()?);
    if bytes.len() != BYTES || body[0] != PREFIX_USER || crc16(body) != crc {
        return None;
    }
    body[1..].try_into().ok()
}

/// RFC 4648, without padding.
fn base32(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() != (BYTES * 8).div_ceil(5) {
        return None;
    }
    let mut bytes = Vec::with_capacity(BYTES);
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'2'..=b'7' => letter - b'2' + 26,
            _ => return None,
        };
        bits = (bits << 5) | u32::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).unwrap_or(0));
        }
    }
    Some(bytes)
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    let mut crc = 0_u16;
    for byte in bytes {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        }
    }
    crc
}
