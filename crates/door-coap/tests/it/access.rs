//! Where rules are enforced, nobody does what none allows.

use coap_lite::{CoapOption, RequestType};

use crate::support::{Fixture, code, option, packet, with};

#[tokio::test]
async fn what_no_rule_allows_is_refused() {
    let fixture = Fixture::of(Default::default(), |broker| broker.access.enforce = true).await;
    let mut client = fixture.client().await;
    assert_eq!(code(&client.put("a", b"1").await), "4.03");
    assert_eq!(code(&client.get("a").await), "4.03");
    assert_eq!(code(&client.ask(packet(RequestType::Delete, "a")).await), "4.03");
    let (first, _) = client.observe("a").await;
    assert_eq!((code(&first).as_str(), option(&first, CoapOption::Observe)), ("4.03", None));
    let format = &[0x02, 0x5e];
    let mut post = with(packet(RequestType::Post, "ps"), CoapOption::ContentFormat, format);
    post.payload = b"\xa1\x00\x61t".to_vec();
    assert_eq!(code(&client.ask(post).await), "4.03");
    let mut patch = with(packet(RequestType::IPatch, "a"), CoapOption::ContentFormat, &[52]);
    patch.payload = b"{}".to_vec();
    assert_eq!(code(&client.ask(patch).await), "4.03");
    let links = client.get(".well-known/core").await;
    assert!(!String::from_utf8(links.payload).unwrap().contains("</a>"));
}
