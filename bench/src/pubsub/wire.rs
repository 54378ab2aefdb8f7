//! Just enough of two protocols to load a broker: packets that are made once, and found again in what comes back.

mod mqtt;
mod nats;

use super::flow::Tally;
use crate::link::Link;

/// A protocol that both brokers of a run speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Nats,
    Mqtt,
}

impl Protocol {
    /// The broker that we are compared with.
    pub(crate) fn peer(self) -> &'static str {
        match self {
            Self::Nats => "nats-server",
            Self::Mqtt => "mosquitto",
        }
    }
}

/// How messages are sent and acknowledged.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wire {
    Nats,
    /// MQTT 3.1.1 with this QoS.
    Mqtt(u8),
}

/// A packet with a number in it that tells messages apart.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pub(crate) bytes: Vec<u8>,
    /// Where the payload begins; its first eight bytes are the number.
    payload_at: usize,
    /// Where a packet identifier is, if one is needed.
    id_at: Option<usize>,
}

/// Bytes of a message's number.
const NUMBER: usize = 8;

impl Template {
    /// A packet that begins with these bytes; a payload follows them, and `end`.
    fn new(head: Vec<u8>, id_at: Option<usize>, size: usize, end: &[u8]) -> Self {
        assert!(size >= NUMBER, "a payload has room for its number");
        let head_bytes = head.len();
        let (mut bytes, payload_at) = (head, head_bytes);
        bytes.resize(payload_at + size, b'x');
        bytes.extend_from_slice(end);
        Self { bytes, payload_at, id_at }
    }

    /// Appends the packet of the message with this number.
    pub(crate) fn stamp(&self, number: u64, out: &mut Vec<u8>) {
        let from = out.len();
        out.extend_from_slice(&self.bytes);
        let at = from + self.payload_at;
        out[at..at + NUMBER].copy_from_slice(&number.to_be_bytes());
        if let Some(at) = self.id_at {
            // Numbers go round, and leave zero out.
            let id = u16::try_from(number % u64::from(u16::MAX)).unwrap_or(0) + 1;
            out[from + at..from + at + 2].copy_from_slice(&id.to_be_bytes());
        }
    }

    fn number(&self, packet: &[u8]) -> u64 {
        let bytes = packet[self.payload_at..self.payload_at + NUMBER].try_into();
        u64::from_be_bytes(bytes.expect("eight bytes"))
    }
}

impl Wire {
    /// A client that the broker has answered.
    pub(crate) fn connect(self, address: &str, client: usize) -> Link {
        let mut link = Link::dial(address);
        link.say(&self.hello(client));
        link.expect(self.welcome());
        link
    }

    /// Subscribes, and waits for the answer.
    pub(crate) fn listen(self, link: &mut Link, topic: &str) {
        link.say(&self.subscribe(topic));
        link.expect(&self.subscribed());
    }

    /// What a client says first.
    pub(crate) fn hello(self, client: usize) -> Vec<u8> {
        match self {
            Self::Nats => nats::hello(),
            Self::Mqtt(_) => mqtt::hello(client),
        }
    }

    /// The end of the answer to that.
    pub(crate) fn welcome(self) -> &'static [u8] {
        match self {
            Self::Nats => nats::PONG,
            Self::Mqtt(_) => mqtt::CONNACK,
        }
    }

    /// What a client says first whose session outlives its connections, of a protocol that has such.
    pub(crate) fn hello_again(self, client: usize) -> Vec<u8> {
        match self {
            Self::Nats => nats::hello(),
            Self::Mqtt(_) => mqtt::hello_again(client),
        }
    }

    /// The end of the answer to that, where the session is there.
    pub(crate) fn welcome_back(self) -> &'static [u8] {
        match self {
            Self::Nats => nats::PONG,
            Self::Mqtt(_) => mqtt::CONNACK_AGAIN,
        }
    }

    /// What a client says last.
    pub(crate) fn goodbye(self) -> &'static [u8] {
        match self {
            Self::Nats => &[],
            Self::Mqtt(_) => mqtt::DISCONNECT,
        }
    }

    pub(crate) fn subscribe(self, topic: &str) -> Vec<u8> {
        match self {
            Self::Nats => nats::subscribe(topic),
            Self::Mqtt(qos) => mqtt::subscribe(topic, qos),
        }
    }

    /// The answer to that.
    pub(crate) fn subscribed(self) -> Vec<u8> {
        match self {
            Self::Nats => nats::PONG.to_vec(),
            Self::Mqtt(qos) => mqtt::suback(qos),
        }
    }

    /// A packet that is answered when all before it was read.
    pub(crate) fn ping(self) -> &'static [u8] {
        match self {
            Self::Nats => nats::PING,
            Self::Mqtt(_) => mqtt::PINGREQ,
        }
    }

    /// The name of something to publish to, in the protocol's syntax.
    pub(crate) fn topic(self, levels: &[&str]) -> String {
        levels.join(match self {
            Self::Nats => ".",
            Self::Mqtt(_) => "/",
        })
    }

    /// What a publisher sends; where an answer is wanted, if it is to be said.
    pub(crate) fn publish(self, topic: &str, reply: Option<&str>, size: usize) -> Template {
        match self {
            Self::Nats => nats::publish(topic, reply, size),
            Self::Mqtt(qos) => mqtt::publish(topic, qos, size),
        }
    }

    /// What subscribers get of it.
    pub(crate) fn delivery(self, topic: &str, reply: Option<&str>, size: usize) -> Template {
        match self {
            Self::Nats => nats::delivery(topic, reply, size),
            Self::Mqtt(qos) => mqtt::publish(topic, qos, size),
        }
    }

    /// Takes in what came on a connection that gets packets like `expected`; what it is to say in return goes to `out`.
    /// Returns how many bytes were whole packets.
    pub(crate) fn hear(
        self,
        expected: &Template,
        input: &[u8],
        out: &mut Vec<u8>,
        tally: &mut Tally,
    ) -> usize {
        match self {
            Self::Nats => nats::hear(expected, input, out, tally),
            Self::Mqtt(_) => mqtt::hear(expected, input, out, tally),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hears bytes that come in pieces of this size; what was heard and what is said in return.
    fn heard(wire: Wire, expected: &Template, bytes: &[u8], piece: usize) -> (Tally, Vec<u8>) {
        let (mut tally, mut out, mut held) = (Tally::default(), Vec::new(), Vec::new());
        for piece in bytes.chunks(piece) {
            held.extend_from_slice(piece);
            let used = wire.hear(expected, &held, &mut out, &mut tally);
            held.drain(..used);
        }
        assert_eq!(held, b"", "nothing is left");
        (tally, out)
    }

    #[test]
    fn messages_are_found_wherever_the_bytes_are_cut_and_counted_where_they_are_missing_or_late() {
        for wire in [Wire::Nats, Wire::Mqtt(0), Wire::Mqtt(1), Wire::Mqtt(2)] {
            let packet = wire.delivery("bench", None, 16);
            let mut bytes = Vec::new();
            // One is missing, one is late.
            [0, 1, 4, 3, 5].iter().for_each(|number| packet.stamp(*number, &mut bytes));
            for piece in 1..bytes.len() {
                let (tally, out) = heard(wire, &packet, &bytes, piece);
                assert_eq!((tally.messages, tally.next, tally.misordered), (5, 6, 1), "{wire:?}");
                let answers = if matches!(wire, Wire::Mqtt(1 | 2)) { 5 * 4 } else { 0 };
                assert_eq!(out.len(), answers, "each is acknowledged once");
            }
        }
    }

    #[test]
    fn the_steps_of_qos_2_follow_each_other_and_the_last_one_counts() {
        let wire = Wire::Mqtt(2);
        let packet = wire.publish("bench", None, 16);
        let (tally, out) = heard(wire, &packet, &[0x50, 2, 0, 7, 0x70, 2, 0, 6], 3);
        assert_eq!((tally.acknowledged, &out[..]), (1, &[0x62, 2, 0, 7][..]));
        let (_, out) = heard(wire, &packet, &[0x62, 2, 0, 7], 1);
        assert_eq!(out, [0x70, 2, 0, 7]);
    }
}
