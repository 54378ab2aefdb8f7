//! Content headers (§4.2.6): what a message has besides its payload.

use super::SyntaxError;
use super::reader::{Reader, Short};
use super::table::Table;
use super::writer::{Put, Writer};

/// The header of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentHeader<'a> {
    /// The class of the method before it.
    pub class: u16,
    /// Of the payload.
    pub body_bytes: u64,
    /// Flags and values as they are, for [`Properties::decode`].
    pub properties: &'a [u8],
}

impl<'a> ContentHeader<'a> {
    /// Reads the payload of a header frame.
    ///
    /// # Errors
    /// It is too short.
    pub fn decode(payload: &'a [u8]) -> Result<Self, SyntaxError> {
        let mut reader = Reader::new(payload);
        let class = reader.field()?;
        // The weight: "unused and must be zero", and looked at by nobody.
        reader.field::<u16>()?;
        let body_bytes = reader.field()?;
        Ok(Self { class, body_bytes, properties: reader.rest() })
    }
}

impl Put for ContentHeader<'_> {
    fn put(&self, writer: &mut Writer<'_>) {
        self.class.put(writer);
        0_u16.put(writer);
        self.body_bytes.put(writer);
        match self.properties.is_empty() {
            true => 0_u16.put(writer),
            false => writer.bytes(self.properties),
        }
    }
}

/// The properties of a message of class `basic`. Absent is not the same as empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Properties<'a> {
    /// What the payload is: a media type.
    pub content_type: Option<Short<'a>>,
    /// How it is packed.
    pub content_encoding: Option<Short<'a>>,
    /// Whatever the application adds.
    pub headers: Option<Table<'a>>,
    /// Two is persistent.
    pub delivery_mode: Option<u8>,
    /// Higher is more urgent.
    pub priority: Option<u8>,
    /// What an answer repeats.
    pub correlation_id: Option<Short<'a>>,
    /// Where an answer is wanted.
    pub reply_to: Option<Short<'a>>,
    /// How long it is wanted, in milliseconds, as digits.
    pub expiration: Option<Short<'a>>,
    /// The application's name of the message.
    pub message_id: Option<Short<'a>>,
    /// When it was made, in seconds since the epoch.
    pub timestamp: Option<u64>,
    /// The application's name of what it is.
    pub kind: Option<Short<'a>>,
    /// Who says that they published it. Must be who did.
    pub user_id: Option<Short<'a>>,
    /// The application's name of itself.
    pub app_id: Option<Short<'a>>,
    /// Of old, and of no meaning.
    pub cluster_id: Option<Short<'a>>,
}

/// The flags of the properties that there are: all but the last two bits, of which one says that more flags follow.
const KNOWN_FLAGS: u16 = !3;

impl<'a> Properties<'a> {
    /// Reads flags and values.
    ///
    /// # Errors
    /// They are not whole, of a property that there is not, or followed by something.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, SyntaxError> {
        let mut reader = Reader::new(bytes);
        // Nothing at all: no header was kept, because none was needed.
        let flags = if bytes.is_empty() { 0 } else { reader.field::<u16>()? };
        if flags & !KNOWN_FLAGS != 0 {
            return Err(SyntaxError::PropertyFlags);
        }
        let mut bit = 1 << 15;
        let mut has = || {
            let has = flags & bit != 0;
            bit >>= 1;
            has
        };
        macro_rules! next {
            () => {
                if has() { Some(reader.field()?) } else { None }
            };
        }
        let properties = Self {
            content_type: next!(),
            content_encoding: next!(),
            headers: next!(),
            delivery_mode: next!(),
            priority: next!(),
            correlation_id: next!(),
            reply_to: next!(),
            expiration: next!(),
            message_id: next!(),
            timestamp: next!(),
            kind: next!(),
            user_id: next!(),
            app_id: next!(),
            cluster_id: next!(),
        };
        reader.end()?;
        Ok(properties)
    }

    /// Appends flags and values.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let at = out.len();
        let mut writer = Writer::new(out);
        0_u16.put(&mut writer);
        let (mut flags, mut bit) = (0_u16, 1_u16 << 15);
        macro_rules! put {
            ($($field:ident)*) => {$(
                if let Some(value) = &self.$field {
                    flags |= bit;
                    value.put(&mut writer);
                }
                bit >>= 1;
            )*};
        }
        put!(content_type content_encoding headers delivery_mode priority correlation_id reply_to);
        put!(expiration message_id timestamp kind user_id app_id cluster_id);
        debug_assert_eq!(bit, 2, "fourteen of them");
        if let Some(place) = out.get_mut(at..at + 2) {
            place.copy_from_slice(&flags.to_be_bytes());
        }
    }
}
