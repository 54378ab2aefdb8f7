//! Beside another library's reading of the same bytes: coap-lite's. It is the other opinion, not the judge; where the two
//! differ for a reason, the reason is here.

use coap_lite::{MessageClass, MessageType, Packet};
use proptest::prelude::*;

use super::Token;
use super::code::Code;
use super::datagram::{Datagram, Kind, put_header};
use super::option::Writer;

fn kind(kind: Kind) -> MessageType {
    match kind {
        Kind::Con => MessageType::Confirmable,
        Kind::Non => MessageType::NonConfirmable,
        Kind::Ack => MessageType::Acknowledgement,
        Kind::Rst => MessageType::Reset,
    }
}

fn same(bytes: &[u8]) {
    let (ours, theirs) = (Datagram::decode(bytes), Packet::from_bytes(bytes));
    let Ok(ours) = ours else { return };
    // Both cannot refuse less than they read: what we read is a message for them, too.
    let theirs = theirs.unwrap_or_else(|error| panic!("{}: {error:?}", bytes.escape_ascii()));
    assert_eq!(theirs.header.get_type(), kind(ours.kind));
    assert_eq!(theirs.header.message_id, ours.id);
    assert_eq!(u8::from(theirs.header.code), ours.message.code.0);
    assert_eq!(theirs.get_token(), ours.message.token.as_bytes());
    let options = theirs
        .options()
        .flat_map(|(number, values)| values.iter().map(move |value| (*number, &value[..])));
    assert!(options.eq(ours.message.options.iter()), "{}", bytes.escape_ascii());
    assert_eq!(theirs.payload, ours.message.payload);
}

proptest! {
    #[test]
    fn what_one_writes_the_other_reads_as_the_same(
        id in any::<u16>(),
        token in prop::collection::vec(any::<u8>(), 0..=8),
        mut numbers in prop::collection::vec(0..3000_u16, 0..8),
        value in prop::collection::vec(any::<u8>(), 0..300),
        payload in prop::collection::vec(any::<u8>(), 0..30),
    ) {
        numbers.sort_unstable();
        let mut bytes = Vec::new();
        let token = Token::new(&token).expect("short enough");
        put_header(Kind::Con, Code::GET, id, token, &mut bytes);
        let mut writer = Writer::new(&mut bytes);
        for (length, number) in numbers.iter().enumerate() {
            writer.option(*number, &value[..value.len().min(length * 60)]);
        }
        writer.payload(&payload);
        prop_assert!(Datagram::decode(&bytes).is_ok());
        same(&bytes);
        let mut packet = Packet::from_bytes(&bytes).expect("theirs");
        packet.header.code = MessageClass::Request(coap_lite::RequestType::Get);
        prop_assert_eq!(packet.to_bytes().expect("written"), bytes);
    }

    #[test]
    fn whatever_we_read_they_read_as_the_same(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        // Of our version, so that most are looked at further.
        let bytes: Vec<_> = bytes.iter().enumerate().map(|(at, byte)| {
            if at == 0 { byte & 0x37 | 0x40 } else { *byte }
        }).collect();
        same(&bytes);
    }
}
