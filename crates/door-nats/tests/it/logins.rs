//! Who may come in, and what they may do then.

use std::sync::Arc;

use base::{Principal, SystemClock, SystemRandom};
use broker::access::{AccessOptions, Effect, Operation, Pattern, ResourceKind, Rule};
use door::sasl::{LoginContext, LoginOptions, Mechanism, PlainUsers, Users};
use door::testing::bind;
use door::{ConnectionLimit, ListenerHandle, Logins};
use door_nats::{NatsDoorOptions, Token};

use crate::support::{Client, Fixture};

#[derive(Debug)]
struct Nobody;

impl Users for Nobody {
    fn credential(&self, _: &str, _: base::PasswordHash) -> Option<base::Credential> {
        None
    }

    fn some_name(&self, _: u64) -> Option<String> {
        None
    }
}

fn listen(fixture: &Fixture) -> ListenerHandle {
    let users = [("alice".to_owned(), "secret".to_owned())];
    let options = LoginOptions {
        mechanisms: vec![Mechanism::Plain],
        plain_users: PlainUsers(users.into()),
        ..LoginOptions::default()
    };
    let context = LoginContext {
        users: Arc::new(Nobody),
        tokens: None,
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        secret: [7; 32],
    };
    let listener = bind("NATS").with_logins(Arc::new(Logins::new(options, context)));
    listener.run(Arc::clone(&fixture.door) as _, ConnectionLimit::default())
}

#[tokio::test]
async fn a_name_and_password_let_in_and_nothing_else_does() {
    let fixture = Fixture::start().await;
    let listener = listen(&fixture);
    let address = listener.local_address();
    let (mut client, info) = Client::connect(address).await;
    assert_eq!(info["auth_required"], true);
    client.say("CONNECT {\"verbose\":false,\"user\":\"alice\",\"pass\":\"secret\"}\r\n").await;
    client.expect_nothing().await;
    for said in [
        "CONNECT {\"user\":\"alice\",\"pass\":\"wrong\"}\r\n",
        "CONNECT {\"user\":\"bob\",\"pass\":\"secret\"}\r\n",
        "CONNECT {\"auth_token\":\"secret\"}\r\n",
        "CONNECT {}\r\n",
        "PUB a 0\r\n\r\n",
        "PING\r\n",
        "X",
    ] {
        let (mut client, _) = Client::connect(address).await;
        client.say(said).await;
        client.expect_end("-ERR 'Authorization Violation'\r\n").await;
    }
}

#[tokio::test]
async fn a_token_lets_in() {
    let token = Token { secret: "s3cret".into(), user: "machine".into() };
    let options = NatsDoorOptions { token: Some(token), ..NatsDoorOptions::default() };
    let fixture = Fixture::with(options, |_| {}).await;
    let (mut client, info) = fixture.connect().await;
    assert_eq!(info["auth_required"], true);
    client.say("CONNECT {\"verbose\":false,\"auth_token\":\"s3cret\"}\r\n").await;
    client.expect_nothing().await;
    let (mut client, _) = fixture.connect().await;
    client.say("CONNECT {\"auth_token\":\"wrong\"}\r\n").await;
    client.expect_end("-ERR 'Authorization Violation'\r\n").await;
}

async fn with_rules() -> Fixture {
    let fixture = Fixture::with(NatsDoorOptions::default(), |options| {
        options.access = AccessOptions { enforce: true, ..AccessOptions::default() };
    })
    .await;
    let rule = |effect, operation, pattern| Rule {
        effect,
        operation,
        kind: ResourceKind::Topic,
        pattern,
        principal: Principal::user("alice"),
        host: None,
    };
    let rules = [
        rule(Effect::Allow, Operation::Write, Pattern::Literal("news.today".into())),
        rule(Effect::Allow, Operation::Read, Pattern::Prefix("news.".into())),
        rule(Effect::Deny, Operation::Read, Pattern::Literal("news.secret".into())),
        rule(Effect::Allow, Operation::Write, Pattern::Literal("news.secret".into())),
    ];
    for made in fixture.broker.add_rules(rules.into()).await {
        made.unwrap();
    }
    fixture
}

#[tokio::test]
async fn rules_say_who_may_publish_and_subscribe_to_what() {
    let fixture = with_rules().await;
    let listener = listen(&fixture);
    let (mut alice, _) = Client::connect(listener.local_address()).await;
    alice.say("CONNECT {\"verbose\":false,\"user\":\"alice\",\"pass\":\"secret\"}\r\n").await;
    alice.say("PUB other 0\r\n\r\n").await;
    alice.expect("-ERR 'Permissions Violation for Publish to \"other\"'\r\n").await;
    alice.say("SUB other q 1\r\n").await;
    let told = "Permissions Violation for Subscription to \"other\" using queue \"q\"";
    alice.expect(&format!("-ERR '{told}'\r\n")).await;
    for wide in [">", "*.today", "news"] {
        alice.say(&format!("SUB {wide} 1\r\n")).await;
        let told = format!("Permissions Violation for Subscription to \"{wide}\"");
        alice.expect(&format!("-ERR '{told}'\r\n")).await;
    }
    // What is denied within what is allowed does not come through a wildcard.
    alice.say("SUB news.* 1\r\nPUB news.secret 1\r\n!\r\nPUB news.today 1\r\n?\r\n").await;
    alice.expect("MSG news.today 1 1\r\n?\r\n").await;
    alice.expect_nothing().await;
    alice.say("SUB news.secret 2\r\n").await;
    let told = "Permissions Violation for Subscription to \"news.secret\"";
    alice.expect(&format!("-ERR '{told}'\r\n")).await;
}
