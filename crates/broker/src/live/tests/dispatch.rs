//! Which member of a group gets a message, as the group's configuration says.

use std::time::Duration;

use base::Subject;

use super::*;
use crate::message::Properties;

/// What a slow member takes for a message.
const WORK: Duration = Duration::from_millis(5);

/// Takes every message, and keeps what shows that it is in flight.
#[derive(Debug, Default)]
struct Worker {
    got: Mutex<Vec<(Option<Subject>, Option<InFlight>)>>,
    acknowledges: bool,
}

impl Subscriber for Worker {
    fn deliver(&self, _: &[u64], delivery: &Delivery<'_>) -> Accepted {
        let reply_to = delivery.message.properties.reply_to.clone();
        let in_flight = if self.acknowledges { delivery.in_flight() } else { None };
        self.got.lock().push((reply_to, in_flight));
        Accepted::Yes
    }
}

impl Worker {
    fn new(acknowledges: bool) -> Arc<Self> {
        Arc::new(Self { acknowledges, ..Self::default() })
    }

    fn count(&self) -> usize {
        self.got.lock().len()
    }
}

async fn configure(broker: &Broker, group: &str, set: &[(&str, &str)]) {
    let set: Vec<_> = set.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let change = |config: &mut BTreeMap<String, String>| config.extend(set.clone());
    broker.set_group_config(group, change).await.unwrap();
}

fn join(broker: &Broker, name: &'static str, worker: &Arc<Worker>) -> Subscription {
    let group = Group { name: "g".into(), merges: true, member: name.into(), weight: 1 };
    let publisher = broker.new_publisher();
    let options = SubscribeOptions { publisher, group: Some(group), ..SubscribeOptions::default() };
    broker.subscribe(filter("jobs.*"), Arc::clone(worker) as _, 0, options).unwrap()
}

#[tokio::test]
async fn weights_and_policy_are_the_group_s_and_change_while_it_runs() {
    let fixture = Fixture::start().await;
    let broker = &fixture.broker;
    configure(broker, "g", &[("entrepot.dispatch.weights", "big=3")]).await;
    let (big, small) = (Worker::new(false), Worker::new(false));
    let _members = [join(broker, "big", &big), join(broker, "small", &small)];
    let mut client = Client::new(broker);
    (0..400).for_each(|_| assert_eq!(client.publish("jobs.1", "x"), 1));
    assert_eq!((big.count(), small.count()), (300, 100));
    let set = [("entrepot.dispatch.weights", "big=1"), ("entrepot.dispatch.policy", "random")];
    configure(broker, "g", &set).await;
    (0..1000).for_each(|_| assert_eq!(client.publish("jobs.1", "x"), 1));
    let (big, small) = (big.count() - 300, small.count() - 100);
    assert!(big > 400 && small > 400 && big != 500, "by chance, alike: {big} {small}");
}

#[tokio::test]
async fn by_what_is_in_flight_a_consumer_that_does_not_acknowledge_gets_no_more_than_others() {
    let fixture = Fixture::start().await;
    let broker = &fixture.broker;
    let policy = [("entrepot.dispatch.policy", "least-in-flight")];
    configure(broker, "g", &policy).await;
    let (slow, fast) = (Worker::new(true), Worker::new(true));
    let _members = [join(broker, "slow", &slow), join(broker, "fast", &fast)];
    let mut client = Client::new(broker);
    let mut done = 0;
    for _ in 0..200 {
        client.publish("jobs.1", "x");
        for (_, in_flight) in fast.got.lock().iter_mut() {
            if let Some(in_flight) = in_flight.take() {
                in_flight.done();
                done += 1;
            }
        }
    }
    assert_eq!(slow.count(), 1, "it never said that it was done with the first");
    assert_eq!(done, 199);
}

#[tokio::test]
async fn answers_say_how_long_a_member_takes() {
    let fixture = Fixture::start().await;
    let broker = &fixture.broker;
    configure(broker, "g", &[("entrepot.dispatch.policy", "shortest-response")]).await;
    let (slow, fast) = (Worker::new(false), Worker::new(false));
    let _members = [join(broker, "slow", &slow), join(broker, "fast", &fast)];
    let mut client = Client::new(broker);
    let inbox = Inbox::new();
    let _inbox = client.subscribe("inbox.*", &inbox, 1);
    let mut batch = Batch::default();
    for number in 0..320 {
        let reply_to = Some(TEXT.subject(format!("inbox.{number}").as_bytes()).unwrap());
        let properties = Properties { reply_to, ..Properties::default() };
        let request = Message { properties, ..message("request") };
        let route = Arc::clone(client.cache.find(broker, b"jobs.1", |_| true).unwrap());
        broker.route(&route, &request, &mut batch).unwrap();
        for (worker, is_slow) in [(&slow, true), (&fast, false)] {
            let asked: Vec<_> =
                worker.got.lock().iter_mut().filter_map(|(reply_to, _)| reply_to.take()).collect();
            for reply_to in asked {
                if is_slow {
                    tokio::time::sleep(WORK).await; // poll: its work, which is over then
                }
                let answer = broker.find_route(reply_to);
                broker.route(&answer, &message("answer"), &mut batch).unwrap();
            }
        }
    }
    assert_eq!(inbox.values().len(), 320);
    assert!(slow.count() > 2, "tried now and then");
    assert!(slow.count() < fast.count(), "{} and {}", slow.count(), fast.count());
    assert_eq!(slow.count() + fast.count(), 320);
}
