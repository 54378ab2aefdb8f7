//! Discovery of services.

use door_grpc::pb;
use door_grpc::pb::discovery_client::DiscoveryClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::Channel;

use crate::support::Fixture;

async fn register(
    client: &mut DiscoveryClient<Channel>,
    id: &str,
    weight: u32,
    lease_ms: u32,
) -> pb::RegisterResponse {
    let instance = pb::Instance {
        service: "web".to_owned(),
        id: id.to_owned(),
        address: "10.0.0.1".to_owned(),
        port: 80,
        weight,
        metadata: [("zone".to_owned(), "a".to_owned())].into(),
        ..pb::Instance::default()
    };
    let request = pb::RegisterRequest { instance: Some(instance), lease_ms, ..Default::default() };
    client.register(request).await.unwrap().into_inner()
}

fn web() -> pb::ResolveRequest {
    pb::ResolveRequest { service: "web".to_owned() }
}

fn ids(response: pb::ResolveResponse) -> Vec<String> {
    response.instances.into_iter().map(|one| one.id).collect()
}

#[tokio::test]
async fn instances_come_and_go_under_the_eyes_of_who_watches() {
    let fixture = Fixture::start().await;
    let mut client = DiscoveryClient::new(fixture.connect().await);
    let mut watch = client.watch(web()).await.unwrap().into_inner();
    assert!(ids(watch.message().await.unwrap().unwrap()).is_empty());
    let made = register(&mut client, "a", 2, 60_000).await;
    let seen = watch.message().await.unwrap().unwrap().instances.remove(0);
    assert_eq!((&seen.id[..], seen.port, seen.weight, seen.is_static), ("a", 80, 2, false));
    assert_eq!(seen.metadata["zone"], "a");
    register(&mut client, "b", 1, 0).await;
    assert_eq!(ids(watch.message().await.unwrap().unwrap()), ["a", "b"]);
    let services = client.list_services(pb::ListServicesRequest {}).await.unwrap().into_inner();
    assert_eq!(services.services, ["web"]);
    let deregister = |id: &str, lease| {
        let (service, id) = ("web".to_owned(), id.to_owned());
        pb::DeregisterRequest { service, id, lease }
    };
    let wrong = client.deregister(deregister("a", Default::default())).await.unwrap_err();
    assert_eq!(wrong.code(), Code::AlreadyExists, "it is somebody's");
    client.deregister(deregister("a", made.lease.clone())).await.unwrap();
    assert_eq!(ids(watch.message().await.unwrap().unwrap()), ["b"]);
    client.deregister(deregister("b", Default::default())).await.unwrap();
    assert!(ids(watch.message().await.unwrap().unwrap()).is_empty());
    let renew = pb::RenewRequest { lease: made.lease, ..Default::default() };
    assert_eq!(client.renew(renew).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_lease_is_kept_alive_on_one_call() {
    let fixture = Fixture::start().await;
    let mut client = DiscoveryClient::new(fixture.connect().await);
    let lease = register(&mut client, "a", 1, 5_000).await.lease;
    let (say, said) = mpsc::channel(1);
    let mut told = client.keep_alive(ReceiverStream::new(said)).await.unwrap().into_inner();
    for in_flight in [0, 7] {
        let in_flight = Some(in_flight);
        let renew = pb::RenewRequest { lease: lease.clone(), in_flight, ..Default::default() };
        say.send(renew).await.unwrap();
        assert_eq!(told.message().await.unwrap().unwrap().lease_ms, 5_000);
    }
    let wrong = pb::RenewRequest { lease: vec![0; 24].into(), ..Default::default() };
    say.send(wrong).await.unwrap();
    assert_eq!(told.message().await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn one_is_chosen_by_weight_by_load_and_by_what_it_takes() {
    let fixture = Fixture::start().await;
    let mut client = DiscoveryClient::new(fixture.connect().await);
    for (id, weight) in [("a", 3), ("b", 1)] {
        register(&mut client, id, weight, 60_000).await;
    }
    let ask = |policy: pb::Policy, reports| pb::ChooseRequest {
        service: "web".to_owned(),
        policy: policy.into(),
        reports,
        ..Default::default()
    };
    let mut counts = [0; 2];
    for _ in 0..8 {
        let chosen = client.choose(ask(pb::Policy::RoundRobin, false)).await.unwrap().into_inner();
        counts[usize::from(chosen.instance.unwrap().id == "b")] += 1;
    }
    assert_eq!(counts, [6, 2]);
    let busy = client.choose(ask(pb::Policy::LeastConnections, true)).await.unwrap().into_inner();
    let report = pb::ReportRequest { ticket: busy.ticket, took_us: Some(10) };
    client.report(report).await.unwrap();
    assert_eq!(client.report(report).await.unwrap_err().code(), Code::NotFound);
    let none = pb::ChooseRequest { service: "none".to_owned(), ..Default::default() };
    assert_eq!(client.choose(none).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn what_no_instance_can_be_is_refused() {
    let fixture = Fixture::start().await;
    let mut client = DiscoveryClient::new(fixture.connect().await);
    let instance = |service: &str, port| pb::Instance {
        service: service.to_owned(),
        port,
        ..pb::Instance::default()
    };
    for (instance, lease_ms) in [
        (instance("a/b", 1), 0),
        (instance("", 1), 0),
        (instance("a", 70_000), 0),
        (instance("a", 1), 10),
    ] {
        let request =
            pb::RegisterRequest { instance: Some(instance), lease_ms, ..Default::default() };
        let refused = client.register(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
}
