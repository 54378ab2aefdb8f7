//! Tests over all messages.

mod round_trip;
