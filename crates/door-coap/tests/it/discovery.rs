//! What there is can be found out.

use coap_lite::{CoapOption, RequestType};

use crate::support::{Client, Fixture, JSON, code, packet, with};

async fn links(client: &mut Client, queries: &[&str]) -> String {
    let mut get = packet(RequestType::Get, ".well-known/core");
    for query in queries {
        get = with(get, CoapOption::UriQuery, query.as_bytes());
    }
    let answer = client.ask(get).await;
    assert_eq!(code(&answer), "2.05");
    String::from_utf8(answer.payload).unwrap()
}

#[tokio::test]
async fn what_there_is_can_be_found_and_filtered() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let collection = "</ps>;rt=\"core.ps core.ps.coll\";ct=\"40 606\"";
    assert_eq!(links(&mut client, &[]).await, collection);
    let json = with(packet(RequestType::Put, "sensors/a b"), CoapOption::ContentFormat, JSON);
    let mut json = json;
    json.payload = b"1".to_vec();
    client.ask(json).await;
    client.put("other", b"2").await;
    let all = format!("{collection},</other>;obs,</sensors/a%20b>;ct=50;obs");
    assert_eq!(links(&mut client, &[]).await, all);
    assert_eq!(links(&mut client, &["href=/sensors*"]).await, "</sensors/a%20b>;ct=50;obs");
    assert_eq!(links(&mut client, &["ct=50"]).await, "</sensors/a%20b>;ct=50;obs");
    assert_eq!(links(&mut client, &["rt=core.ps.coll"]).await, collection);
    assert_eq!(links(&mut client, &["rt=nothing"]).await, "");
}
