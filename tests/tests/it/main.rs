//! All black-box tests, in one binary. Each module is one promise to the user.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking, helpers of tests too"
)]

mod access;
mod amqp;
mod amqp_client;
mod article;
mod broker_configs;
mod burrow;
mod chance;
mod cli;
mod client;
mod coap;
mod coap_etsi;
mod compaction;
mod console;
mod demo;
mod docs;
mod everywhere;
mod exactly_once;
mod exchange;
mod figures;
mod flights;
mod groups_new;
mod grpc;
mod grpc_secure;
mod hostile;
mod http;
mod kill9;
mod kill9_amqp;
mod kill9_coap;
mod kill9_grpc;
mod kill9_mqtt;
mod kill9_shares;
mod kill9_stomp;
mod mqtt;
mod mqtt_client;
mod mqtt_secure;
mod mqtt_sessions;
mod nats;
mod notes;
mod old_clients;
mod power;
mod properties;
mod registration;
mod remedies;
mod security;
mod stomp;
mod suites;
mod torture;
mod traces;
mod wires;
mod zookeeper;
