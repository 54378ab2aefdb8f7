//! AMQP 0-9-1, as RabbitMQ 4 speaks it. So far only what travels: [`wire`].

pub mod wire;
