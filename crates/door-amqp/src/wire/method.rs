//! Every method, on one page: the classes and methods of 0-9-1, and those that RabbitMQ adds (`confirm`,
//! `basic.nack`, `exchange.bind` and `unbind`, `connection.blocked`, `unblocked` and `update-secret`).
//!
//! The names of methods and arguments are the specification's, and so is what they mean.

use super::SyntaxError;
use super::reader::{Long, Reader, Short};
use super::table::Table;
use super::writer::{Put, Writer};

/// The arguments of one method.
pub trait Arguments {
    /// Its class.
    const CLASS: u16;
    /// Its number in its class.
    const METHOD: u16;
    /// Its name, such as `basic.publish`.
    const NAME: &'static str;

    /// Appends them.
    fn put(&self, writer: &mut Writer<'_>);
}

macro_rules! methods {
    ($(($class:literal, $number:literal) $text:literal $name:ident $(<$life:lifetime>)? {
        $($field:ident: $type:ty),* $(,)?
    })*) => {
        $(
            #[doc = concat!("`", $text, "`.")]
            #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
            pub struct $name $(<$life>)? {
                $(
                    #[doc = concat!("The argument `", stringify!($field), "`.")]
                    pub $field: $type,
                )*
            }

            impl $(<$life>)? Arguments for $name $(<$life>)? {
                const CLASS: u16 = $class;
                const METHOD: u16 = $number;
                const NAME: &'static str = $text;

                #[allow(unused_variables, reason = "not all have arguments")]
                fn put(&self, writer: &mut Writer<'_>) {
                    $(self.$field.put(writer);)*
                }
            }
        )*

        /// A method, where it lies.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Method<'a> {
            $(
                #[doc = concat!("`", $text, "`.")]
                $name(methods!(@type 'a $name $($life)?)),
            )*
        }

        impl<'a> Method<'a> {
            /// Reads the payload of a method frame.
            ///
            /// # Errors
            /// There is no such method, or its arguments are not what they should be.
            pub fn decode(payload: &'a [u8]) -> Result<Self, SyntaxError> {
                let mut reader = Reader::new(payload);
                let (class, method) = (reader.field()?, reader.field()?);
                let decoded = match (class, method) {
                    $(($class, $number) => Self::$name($name { $($field: reader.field()?),* }),)*
                    _ => return Err(SyntaxError::Method { class, method }),
                };
                reader.end()?;
                Ok(decoded)
            }

            /// Its name, such as `basic.publish`.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => $text,)*
                }
            }

            /// Its class, and its number in it.
            pub fn id(&self) -> (u16, u16) {
                match self {
                    $(Self::$name(_) => ($class, $number),)*
                }
            }

            /// Of every method: its class, its number, and the kinds of its arguments.
            #[cfg(test)]
            pub(super) fn signatures() -> Vec<(u16, u16, Vec<super::reader::FieldKind>)> {
                use super::reader::Field;
                vec![$(($class, $number, vec![$(<$type as Field<'a>>::KIND),*]),)*]
            }

            /// Appends it as a frame.
            pub fn put_frame(&self, channel: u16, out: &mut Vec<u8>) {
                match self {
                    $(Self::$name(method) => super::frame::put_method(channel, method, out),)*
                }
            }
        }
    };
    (@type $of:lifetime $name:ident $life:lifetime) => { $name<$of> };
    (@type $of:lifetime $name:ident) => { $name };
}

methods! {
    (10, 10) "connection.start" ConnectionStart<'a> {
        version_major: u8,
        version_minor: u8,
        server_properties: Table<'a>,
        mechanisms: Long<'a>,
        locales: Long<'a>,
    }
    (10, 11) "connection.start_ok" ConnectionStartOk<'a> {
        client_properties: Table<'a>,
        mechanism: Short<'a>,
        response: Long<'a>,
        locale: Short<'a>,
    }
    (10, 20) "connection.secure" ConnectionSecure<'a> { challenge: Long<'a> }
    (10, 21) "connection.secure_ok" ConnectionSecureOk<'a> { response: Long<'a> }
    (10, 30) "connection.tune" ConnectionTune { channel_max: u16, frame_max: u32, heartbeat: u16 }
    (10, 31) "connection.tune_ok" ConnectionTuneOk { channel_max: u16, frame_max: u32, heartbeat: u16 }
    (10, 40) "connection.open" ConnectionOpen<'a> {
        virtual_host: Short<'a>,
        capabilities: Short<'a>,
        insist: bool,
    }
    (10, 41) "connection.open_ok" ConnectionOpenOk<'a> { known_hosts: Short<'a> }
    (10, 50) "connection.close" ConnectionClose<'a> {
        reply_code: u16,
        reply_text: Short<'a>,
        class_id: u16,
        method_id: u16,
    }
    (10, 51) "connection.close_ok" ConnectionCloseOk {}
    (10, 60) "connection.blocked" ConnectionBlocked<'a> { reason: Short<'a> }
    (10, 61) "connection.unblocked" ConnectionUnblocked {}
    (10, 70) "connection.update_secret" ConnectionUpdateSecret<'a> {
        new_secret: Long<'a>,
        reason: Short<'a>,
    }
    (10, 71) "connection.update_secret_ok" ConnectionUpdateSecretOk {}

    (20, 10) "channel.open" ChannelOpen<'a> { out_of_band: Short<'a> }
    (20, 11) "channel.open_ok" ChannelOpenOk<'a> { channel_id: Long<'a> }
    (20, 20) "channel.flow" ChannelFlow { active: bool }
    (20, 21) "channel.flow_ok" ChannelFlowOk { active: bool }
    (20, 40) "channel.close" ChannelClose<'a> {
        reply_code: u16,
        reply_text: Short<'a>,
        class_id: u16,
        method_id: u16,
    }
    (20, 41) "channel.close_ok" ChannelCloseOk {}

    (30, 10) "access.request" AccessRequest<'a> {
        realm: Short<'a>,
        exclusive: bool,
        passive: bool,
        active: bool,
        write: bool,
        read: bool,
    }
    (30, 11) "access.request_ok" AccessRequestOk { ticket: u16 }

    (40, 10) "exchange.declare" ExchangeDeclare<'a> {
        ticket: u16,
        exchange: Short<'a>,
        kind: Short<'a>,
        passive: bool,
        durable: bool,
        auto_delete: bool,
        internal: bool,
        nowait: bool,
        arguments: Table<'a>,
    }
    (40, 11) "exchange.declare_ok" ExchangeDeclareOk {}
    (40, 20) "exchange.delete" ExchangeDelete<'a> {
        ticket: u16,
        exchange: Short<'a>,
        if_unused: bool,
        nowait: bool,
    }
    (40, 21) "exchange.delete_ok" ExchangeDeleteOk {}
    (40, 30) "exchange.bind" ExchangeBind<'a> {
        ticket: u16,
        destination: Short<'a>,
        source: Short<'a>,
        routing_key: Short<'a>,
        nowait: bool,
        arguments: Table<'a>,
    }
    (40, 31) "exchange.bind_ok" ExchangeBindOk {}
    (40, 40) "exchange.unbind" ExchangeUnbind<'a> {
        ticket: u16,
        destination: Short<'a>,
        source: Short<'a>,
        routing_key: Short<'a>,
        nowait: bool,
        arguments: Table<'a>,
    }
    (40, 51) "exchange.unbind_ok" ExchangeUnbindOk {}

    (50, 10) "queue.declare" QueueDeclare<'a> {
        ticket: u16,
        queue: Short<'a>,
        passive: bool,
        durable: bool,
        exclusive: bool,
        auto_delete: bool,
        nowait: bool,
        arguments: Table<'a>,
    }
    (50, 11) "queue.declare_ok" QueueDeclareOk<'a> {
        queue: Short<'a>,
        message_count: u32,
        consumer_count: u32,
    }
    (50, 20) "queue.bind" QueueBind<'a> {
        ticket: u16,
        queue: Short<'a>,
        exchange: Short<'a>,
        routing_key: Short<'a>,
        nowait: bool,
        arguments: Table<'a>,
    }
    (50, 21) "queue.bind_ok" QueueBindOk {}
    (50, 30) "queue.purge" QueuePurge<'a> { ticket: u16, queue: Short<'a>, nowait: bool }
    (50, 31) "queue.purge_ok" QueuePurgeOk { message_count: u32 }
    (50, 40) "queue.delete" QueueDelete<'a> {
        ticket: u16,
        queue: Short<'a>,
        if_unused: bool,
        if_empty: bool,
        nowait: bool,
    }
    (50, 41) "queue.delete_ok" QueueDeleteOk { message_count: u32 }
    (50, 50) "queue.unbind" QueueUnbind<'a> {
        ticket: u16,
        queue: Short<'a>,
        exchange: Short<'a>,
        routing_key: Short<'a>,
        arguments: Table<'a>,
    }
    (50, 51) "queue.unbind_ok" QueueUnbindOk {}

    (60, 10) "basic.qos" BasicQos { prefetch_size: u32, prefetch_count: u16, global: bool }
    (60, 11) "basic.qos_ok" BasicQosOk {}
    (60, 20) "basic.consume" BasicConsume<'a> {
        ticket: u16,
        queue: Short<'a>,
        consumer_tag: Short<'a>,
        no_local: bool,
        no_ack: bool,
        exclusive: bool,
        nowait: bool,
        arguments: Table<'a>,
    }
    (60, 21) "basic.consume_ok" BasicConsumeOk<'a> { consumer_tag: Short<'a> }
    (60, 30) "basic.cancel" BasicCancel<'a> { consumer_tag: Short<'a>, nowait: bool }
    (60, 31) "basic.cancel_ok" BasicCancelOk<'a> { consumer_tag: Short<'a> }
    (60, 40) "basic.publish" BasicPublish<'a> {
        ticket: u16,
        exchange: Short<'a>,
        routing_key: Short<'a>,
        mandatory: bool,
        immediate: bool,
    }
    (60, 50) "basic.return" BasicReturn<'a> {
        reply_code: u16,
        reply_text: Short<'a>,
        exchange: Short<'a>,
        routing_key: Short<'a>,
    }
    (60, 60) "basic.deliver" BasicDeliver<'a> {
        consumer_tag: Short<'a>,
        delivery_tag: u64,
        redelivered: bool,
        exchange: Short<'a>,
        routing_key: Short<'a>,
    }
    (60, 70) "basic.get" BasicGet<'a> { ticket: u16, queue: Short<'a>, no_ack: bool }
    (60, 71) "basic.get_ok" BasicGetOk<'a> {
        delivery_tag: u64,
        redelivered: bool,
        exchange: Short<'a>,
        routing_key: Short<'a>,
        message_count: u32,
    }
    (60, 72) "basic.get_empty" BasicGetEmpty<'a> { cluster_id: Short<'a> }
    (60, 80) "basic.ack" BasicAck { delivery_tag: u64, multiple: bool }
    (60, 90) "basic.reject" BasicReject { delivery_tag: u64, requeue: bool }
    (60, 100) "basic.recover_async" BasicRecoverAsync { requeue: bool }
    (60, 110) "basic.recover" BasicRecover { requeue: bool }
    (60, 111) "basic.recover_ok" BasicRecoverOk {}
    (60, 120) "basic.nack" BasicNack { delivery_tag: u64, multiple: bool, requeue: bool }

    (85, 10) "confirm.select" ConfirmSelect { nowait: bool }
    (85, 11) "confirm.select_ok" ConfirmSelectOk {}

    (90, 10) "tx.select" TxSelect {}
    (90, 11) "tx.select_ok" TxSelectOk {}
    (90, 20) "tx.commit" TxCommit {}
    (90, 21) "tx.commit_ok" TxCommitOk {}
    (90, 30) "tx.rollback" TxRollback {}
    (90, 31) "tx.rollback_ok" TxRollbackOk {}
}
