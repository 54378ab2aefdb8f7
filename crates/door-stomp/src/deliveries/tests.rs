use broker::Message;
use broker::queues::Origin;

use super::*;

fn deliveries(version: Version) -> Arc<Deliveries> {
    Deliveries::new(Arc::default(), version, Bytes::from_static(b"session-1"))
}

fn subscribe(to: &Deliveries, number: u64, id: &'static str, mode: AckMode) {
    let (name, tag) = (Bytes::from_static(id.as_bytes()), Bytes::from(format!("T_{id}")));
    let subscription = To { tag, id: Some(name), queue: Bytes::from_static(b"q"), mode };
    to.lock().add(number, subscription);
}

fn deliver(to: &Deliveries, number: u64) -> bool {
    let message = Message { value: Some(Bytes::from_static(b"hi")), ..Message::default() };
    let (id, origin) = (DeliveryId::default(), Origin::Queue);
    to.deliver(
        number,
        Delivered { id, origin, message: Arc::new(message), deliveries: 1, at: 0, offset: None },
    )
}

fn told(to: &Deliveries) -> String {
    let mut bytes = Vec::new();
    to.outgoing.push(|out| bytes = std::mem::take(out));
    String::from_utf8(bytes).unwrap()
}

fn taken(to: &Deliveries, tag: &str, number: u64) -> Option<Vec<u64>> {
    let mut numbers = Vec::new();
    let is_there = to.lock().take(tag.as_bytes(), number, |number, _| numbers.push(number));
    is_there.then_some(numbers)
}

#[test]
fn a_message_says_what_it_is_and_how_to_acknowledge_it() {
    let to = deliveries(Version::V1_2);
    subscribe(&to, 1, "a:b", AckMode::Individual);
    assert!(deliver(&to, 1));
    assert_eq!(
        told(&to),
        "MESSAGE\nsubscription:a\\cb\ndestination:/queue/q\nmessage-id:T_a\\cb@@session-1@@1\n\
         redelivered:true\nack:T_a\\cb@@session-1@@1\ncontent-length:2\n\nhi\0\n"
    );
    let auto = deliveries(Version::V1_1);
    subscribe(&auto, 1, "a", AckMode::Auto);
    assert!(deliver(&auto, 1));
    assert!(!told(&auto).contains("\nack:"));
    assert_eq!(taken(&auto, "T_a", 1), None, "there is nothing to acknowledge");
}

#[test]
fn ids_are_of_their_session() {
    let to = deliveries(Version::V1_2);
    let id = to.id(b"T_a@@b", 12);
    assert_eq!(to.parse_id(&id), Some((&b"T_a@@b"[..], 12)));
    for other in ["", "T_a", "T_a@@session-2@@12", "T_a@@session-1@@x", "session-1@@12"] {
        assert_eq!(to.parse_id(other.as_bytes()), None, "{other}");
    }
}

#[test]
fn a_cumulative_acknowledgement_is_of_its_subscription_alone() {
    let to = deliveries(Version::V1_2);
    subscribe(&to, 1, "a", AckMode::Client);
    subscribe(&to, 2, "b", AckMode::Individual);
    for number in [1, 2, 1, 1, 2] {
        assert!(deliver(&to, number));
    }
    assert_eq!(taken(&to, "T_a", 3), Some(vec![1, 3]));
    assert_eq!(taken(&to, "T_a", 3), None, "once");
    assert_eq!(taken(&to, "T_b", 5), Some(vec![5]));
    assert_eq!(taken(&to, "T_b", 2), Some(vec![2]));
    assert_eq!(taken(&to, "T_a", 4), Some(vec![4]));
}

#[test]
fn what_was_delivered_can_be_acknowledged_after_the_subscription_ended() {
    let to = deliveries(Version::V1_2);
    subscribe(&to, 1, "a", AckMode::Individual);
    assert!(deliver(&to, 1) && deliver(&to, 1));
    to.lock().remove(1);
    assert!(!deliver(&to, 1), "it gets no more");
    assert_eq!(taken(&to, "T_a", 1), Some(vec![1]));
    to.lock().put_back(&Bytes::from_static(b"T_a"), 1, DeliveryId::default());
    assert_eq!(taken(&to, "T_a", 2), Some(vec![2]));
    assert_eq!(taken(&to, "T_a", 1), Some(vec![1]));
    assert!(to.lock().unacked.is_empty(), "nothing of it is remembered");
}

#[tokio::test]
async fn a_client_hears_that_the_queue_of_its_subscription_is_gone() {
    let to = deliveries(Version::V1_2);
    subscribe(&to, 1, "a", AckMode::Auto);
    to.cancelled(1);
    let fault = to.until_cancelled().await;
    assert_eq!(fault.message, "Server cancelled subscription");
}
