//! Deliveries to one client, read back with the decoder.

use super::*;
use crate::wire::header::Header;
use crate::wire::publish::Publish;

const V5: Allowance =
    Allowance { version: Version::V5, window: 2, packet_bytes_max: 1000, alias_max: 0 };

fn attached(allowance: Allowance) -> Outbound {
    let mut outbound = Outbound::default();
    outbound.attach(allowance);
    outbound
}

/// Sends what has this place in the session's queue.
fn send(outbound: &mut Outbound, (place, again): (Offset, bool), qos: u8) -> Sent {
    let topic = place.to_string();
    outbound.send_kept(view(&topic), &manner(qos), (place, again), 0)
}

fn view(topic: &str) -> View<'_> {
    View { topic: topic.as_bytes(), payload: b"p", kept: &[], expires_at: None }
}

fn manner(qos: u8) -> Manner {
    Manner { qos, ..Manner::default() }
}

fn deliver(outbound: &mut Outbound, view: View<'_>, manner: Manner) -> Outcome {
    outbound.deliver(view, manner, 0, (|| Arc::new(Stored::of(view)), || None))
}

/// What is sent, in words.
fn sent(outbound: &mut Outbound) -> Vec<String> {
    let mut out = Vec::new();
    outbound.take(&mut out, 0);
    let (mut rest, mut words) = (&out[..], Vec::new());
    while let Some(header) = Header::decode(rest, 1 << 20).unwrap() {
        let body = &rest[header.size..header.total()];
        rest = &rest[header.total()..];
        words.push(match header.kind {
            Kind::Publish => {
                let publish = Publish::decode(Version::V5, header.flags, body);
                let Publish { topic, packet_id, dup, alias, .. } = publish.unwrap();
                let alias = alias.map(|alias| format!("@{alias}")).unwrap_or_default();
                format!("{topic}{alias} {packet_id}{}", if dup { " dup" } else { "" })
            }
            kind => format!("{kind:?} {}", Ack::decode(Version::V5, body).unwrap().packet_id),
        });
    }
    words
}

fn ack(packet_id: u16) -> Ack {
    Ack { packet_id, reason: Reason::SUCCESS }
}

#[test]
fn a_client_has_no_more_in_flight_than_it_allows() {
    let mut outbound = attached(V5);
    for topic in ["a", "b", "c", "d"] {
        assert_eq!(deliver(&mut outbound, view(topic), manner(1)), Outcome::Taken);
    }
    deliver(&mut outbound, view("once"), manner(0));
    assert_eq!(sent(&mut outbound), ["a 1", "b 2", "once 0"]);
    outbound.finish(Kind::Puback, 2, 0).unwrap();
    assert_eq!(sent(&mut outbound), ["c 3"]);
    assert_eq!(outbound.finish(Kind::Puback, 2, 0), Ok(None), "it is gone");
    outbound.finish(Kind::Puback, 1, 0).unwrap();
    assert_eq!(sent(&mut outbound), ["d 4"]);
    assert_eq!(outbound.held(), (2, 0));
}

#[test]
fn exactly_once_takes_four_steps() {
    let mut outbound = attached(V5);
    deliver(&mut outbound, view("a"), manner(2));
    assert_eq!(outbound.finish(Kind::Puback, 1, 0), Err(WRONG_STEP), "that is for QoS 1");
    assert_eq!(outbound.finish(Kind::Pubcomp, 1, 0), Err(WRONG_STEP), "it is not released");
    outbound.received(ack(1), 0).unwrap();
    assert_eq!(sent(&mut outbound), ["a 1", "Pubrel 1"]);
    outbound.received(ack(1), 0).unwrap();
    assert_eq!(sent(&mut outbound), ["Pubrel 1"], "who asks again is told again");
    outbound.finish(Kind::Pubcomp, 1, 0).unwrap();
    outbound.received(ack(1), 0).unwrap();
    assert_eq!(sent(&mut outbound), ["Pubrel 1"], "not found");
    assert_eq!(outbound.held(), (0, 0));
}

#[test]
fn a_refused_message_makes_room_for_the_next() {
    let mut outbound = attached(Allowance { window: 1, ..V5 });
    deliver(&mut outbound, view("a"), manner(2));
    deliver(&mut outbound, view("b"), manner(2));
    outbound.received(Ack { packet_id: 1, reason: Reason::NOT_AUTHORIZED }, 0).unwrap();
    assert_eq!(sent(&mut outbound), ["a 1", "b 2"]);
}

#[test]
fn what_was_not_acknowledged_comes_again_with_its_number() {
    let mut outbound = attached(Allowance { window: 3, ..V5 });
    for place in [7, 8, 9] {
        assert_eq!(send(&mut outbound, (place, false), 2), Sent::Yes);
    }
    assert_eq!(send(&mut outbound, (10, false), 2), Sent::Later);
    assert_eq!(outbound.received(ack(9), 0), Ok(Received::Kept));
    assert_eq!(sent(&mut outbound), ["7 8", "8 9", "9 10"], "that is to be written down first");
    assert_eq!(outbound.released().collect::<Vec<_>>(), [8]);
    outbound.detach();
    assert_eq!(send(&mut outbound, (7, true), 2), Sent::Later);
    assert_eq!(deliver(&mut outbound, view("lost"), manner(0)), Outcome::Full);
    // The same after a restart.
    for mut outbound in [Outbound::new([8].into()), outbound] {
        outbound.attach(V5);
        for place in [7, 8] {
            assert_eq!(send(&mut outbound, (place, true), 1), Sent::Yes);
        }
        assert_eq!(sent(&mut outbound), ["7 8 dup", "Pubrel 9"]);
        assert_eq!(outbound.finish(Kind::Pubcomp, 9, 0), Ok(Some(8)));
        assert_eq!(outbound.finish(Kind::Puback, 8, 0), Ok(Some(7)));
        assert_eq!(outbound.released().count(), 0);
    }
}

#[test]
fn places_whose_numbers_are_the_same_wait_for_each_other() {
    let mut outbound = attached(V5);
    assert_eq!(send(&mut outbound, (1, false), 1), Sent::Yes);
    assert_eq!(send(&mut outbound, (65_536, false), 1), Sent::Later);
    assert_eq!(outbound.finish(Kind::Puback, 2, 0), Ok(Some(1)));
    assert_eq!(send(&mut outbound, (65_536, false), 1), Sent::Yes);
    assert_eq!(sent(&mut outbound), ["1 2", "65536 2"]);
}

#[test]
fn what_cannot_be_sent_or_is_refused_is_done_with() {
    let mut outbound = attached(V5);
    let late = View { expires_at: Some(500), ..view("late") };
    assert_eq!(outbound.send_kept(late, &manner(1), (1, false), 500), Sent::Done);
    assert_eq!(send(&mut outbound, (2, false), 0), Sent::Done, "nobody acknowledges it");
    assert_eq!(send(&mut outbound, (3, false), 2), Sent::Yes);
    let refused = Ack { packet_id: 4, reason: Reason::NOT_AUTHORIZED };
    assert_eq!(outbound.received(refused, 0), Ok(Received::Refused(3)));
    assert_eq!(outbound.held(), (0, 0));
}

#[test]
fn nothing_is_kept_here_for_who_goes() {
    let mut outbound = attached(V5);
    deliver(&mut outbound, view("a"), manner(1));
    outbound.detach();
    assert_eq!(deliver(&mut outbound, view("b"), manner(1)), Outcome::Full);
    outbound.attach(V5);
    assert_eq!(sent(&mut outbound), [""; 0]);
}

#[test]
fn numbers_in_flight_are_not_given_twice() {
    let mut outbound = attached(V5);
    deliver(&mut outbound, view("first"), manner(1));
    for round in 0..65_534_u32 {
        deliver(&mut outbound, view("x"), manner(1));
        let id = u16::try_from(round + 2).unwrap();
        outbound.finish(Kind::Puback, id, 0).unwrap();
        outbound.buffer().clear();
    }
    deliver(&mut outbound, view("next"), manner(1));
    assert_eq!(sent(&mut outbound), ["next 2"], "one is still in flight");
}

#[test]
fn an_alias_stands_for_a_topic_that_was_sent_before() {
    let mut outbound = attached(Allowance { alias_max: 1, ..V5 });
    for topic in ["a", "b", "a"] {
        deliver(&mut outbound, view(topic), manner(0));
    }
    assert_eq!(sent(&mut outbound), ["a@1 0", "b 0", "@1 0"]);
    outbound.attach(Allowance { alias_max: 1, ..V5 });
    deliver(&mut outbound, view("a"), manner(0));
    assert_eq!(sent(&mut outbound), ["a@1 0"], "another connection knows nothing of it");
}

#[test]
fn what_expired_or_is_too_large_is_not_sent() {
    let mut outbound = attached(V5);
    let late = View { expires_at: Some(500), ..view("late") };
    let store = || (|| Arc::new(Stored::of(late)), || None);
    assert_eq!(outbound.deliver(late, manner(1), 500, store()), Outcome::Taken);
    assert_eq!(outbound.pending(), 0);
    let large = [0; 1000];
    let large = View { payload: &large, ..view("large") };
    assert_eq!(deliver(&mut outbound, large, manner(1)), Outcome::Taken);
    assert_eq!(outbound.pending(), 0);
    assert_eq!(outbound.held(), (0, 0));
    outbound.deliver(late, manner(0), 400, store());
    assert!(outbound.buffer().ends_with(b"\x05\x02\0\0\0\x01p"), "a begun second is a second");
}

#[test]
fn a_client_that_reads_nothing_costs_no_more_than_it_may() {
    let mut outbound = attached(Allowance { packet_bytes_max: 1 << 20, window: 10, ..V5 });
    let payload = [0; 10_000];
    let view = View { payload: &payload, ..view("t") };
    let count = |outbound: &mut Outbound, qos| {
        (0..1000).filter(|_| deliver(outbound, view, manner(qos)) == Outcome::Taken).count()
    };
    assert!(count(&mut outbound, 0) < OUTGOING_BYTES_MAX / 10_000 + 2);
    assert!(outbound.is_high());
    assert!(count(&mut outbound, 1) < WAITING_BYTES_MAX / 10_000 + 12);
    assert!(outbound.dropped() > 1500);
}
