//! Kinds of faults, on one page.

use observe::state::NodeId;

use crate::broker::{World, broker};

/// One kind of fault.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// The rule that is to say it …
    pub(crate) rule: &'static str,
    /// … of this.
    pub(crate) about: fn(&World) -> NodeId,
    /// What else is wrong then, rightly.
    pub(crate) also: &'static [&'static str],
    /// Seconds.
    pub(crate) lasts: u64,
    pub(crate) begin: fn(&mut World),
}

fn store(world: &World) -> NodeId {
    world.machine.node().id
}

fn this(_: &World) -> NodeId {
    broker()
}

fn listener(world: &World) -> NodeId {
    world.listeners.first().map_or_else(broker, |listener| listener.id())
}

fn group(world: &World) -> NodeId {
    world.groups.first().map_or_else(broker, |group| group.id())
}

fn queue(world: &World) -> NodeId {
    world.queues.first().map_or_else(broker, |queue| queue.id())
}

/// Something that happens at the first listener, so often a second.
fn rate(world: &mut World, from: f64, to: f64) -> f64 {
    world.dice.scale(from, to)
}

macro_rules! kinds {
    ($($name:literal $rule:literal $about:ident [$($also:literal),*] $lasts:literal |$world:ident| $begin:expr;)*) => {
        /// All of them.
        pub(crate) static KINDS: &[Kind] = &[$(Kind {
            name: $name,
            rule: $rule,
            about: $about,
            also: &[$($also),*],
            lasts: $lasts,
            begin: |$world| $begin,
        },)*];
    };
}

kinds! {
    "a write fails" "E101" store ["W309"] 300 |world| world.faults.storage_failed = true;
    "the disk is full" "E102" store ["W103", "W309"] 300 |world| world.faults.disk_full = true;
    "something fills the disk, in half an hour to two hours" "W103" store [] 6600 |world| {
        let seconds = world.dice.between(1800.0, 7200.0);
        world.faults.fill = world.machine.free() / seconds;
    };
    "half of the syncs take 100 ms to a second" "W104" store [] 600
        |world| world.faults.sync_times = world.dice.scale(100e6, 1000e6) / world.machine.usual_sync();
    "segments cannot be written" "E105" store [] 300
        |world| world.faults.flush_failures = rate(world, 0.2, 2.0);
    "half of the reads take 100 ms to a second" "W106" store [] 600
        |world| world.faults.read_times = world.dice.scale(100e6, 1000e6) / world.machine.usual_read();
    "memory grows, in two to ten minutes" "W201" this [] 900 |world| {
        let seconds = world.dice.between(120.0, 600.0);
        world.faults.memory = world.machine.unused().0 / seconds;
    };
    "file descriptors leak, in two to ten minutes" "W202" this [] 900 |world| {
        let seconds = world.dice.between(120.0, 600.0);
        world.faults.files = world.machine.unused().1 / seconds;
    };
    "file descriptors leak until there are none" "W202" this ["E308"] 900 |world| {
        let seconds = world.dice.between(120.0, 600.0);
        world.faults.files = world.machine.unused().1 / seconds;
        world.faults.accept_at_limit = true;
    };
    "the clock is set, by two seconds to an hour" "W203" this [] 300 |world| {
        let leap = world.dice.scale(2e9, 3600e9);
        world.machine.leap += if world.dice.chance(0.5) { leap } else { -leap };
    };
    "too many series" "W205" this [] 300 |world| world.faults.left_out = rate(world, 0.5, 100.0);
    "passwords are guessed" "W301" listener ["W304"] 300 |world| world.faults.logins = rate(world, 0.5, 50.0);
    "another protocol is spoken" "W302" listener ["W304"] 300
        |world| world.faults.protocol = rate(world, 0.5, 50.0);
    "too many connections" "W303" listener [] 300 |world| world.faults.refused = rate(world, 0.05, 20.0);
    "a connection for each message" "W304" listener [] 300
        |world| world.faults.churn = (world.first_open() / 4.0).max(rate(world, 10.0, 200.0));
    "a connection's task panics" "E305" listener [] 60 |world| world.faults.panics = rate(world, 0.1, 2.0);
    "a client reads too slowly" "W306" listener [] 300 |world| world.faults.dropped = rate(world, 0.1, 1000.0);
    "a certificate has expired" "W307" listener ["W304"] 300
        |world| world.faults.handshakes = rate(world, 0.5, 50.0);
    "the system has no sockets" "E308" listener [] 300
        |world| world.faults.accept_failures = rate(world, 0.1, 10.0);
    "requests without a right" "W309" listener [] 300 |world| {
        world.faults.error_share = world.dice.between(0.15, 1.0);
        if let Some(first) = world.listeners.first_mut() {
            first.ask_at_least(20.0);
        }
    };
    "a group's members hang" "W401" group [] 600 |world| world.faults.hang = true;
    "a group's members are gone" "W401" group [] 600 |world| world.faults.gone = true;
    "one message cannot be handled" "W401" group [] 600 |world| world.faults.poison = true;
    "a group handles a part of what comes" "W402" group [] 1500
        |world| world.faults.slow = world.dice.between(0.2, 0.7);
    "a group is away for longer than messages are kept" "E403" group ["W401"] 600 |world| {
        world.faults.gone = true;
        world.faults.keeps = world.dice.between(5.0, 30.0);
    };
    "a group's members come and go" "W404" this ["W401", "W402"] 600 |world| world.faults.storm = true;
    "a member does not come to a rebalance" "W407" group ["W401", "W404"] 600
        |world| world.faults.hung = true;
    "a group is away, and messages are kept for three to twenty minutes" "E408" group ["W401"] 1500 |world| {
        world.faults.gone = true;
        world.faults.retention = world.dice.between(180.0, 1200.0);
    };
    "one of four to eight partitions gets most" "W411" group ["W402"] 1500 |world| {
        world.faults.hot = world.dice.between(0.6, 0.95);
        if let Some(first) = world.groups.first_mut() {
            first.spread(&mut world.dice);
        }
    };
    "messages are rejected" "W409" queue [] 600 |world| {
        world.faults.rejected = world.dice.scale(0.1, 1.0);
        if let Some(first) = world.queues.first_mut() {
            first.get_at_least(3.0);
        }
    };
    "messages that cannot be handled are given back" "W410" queue [] 600
        |world| world.faults.given_back = world.dice.between(0.5, 5.0);
    "a queue's consumers are gone" "W405" queue [] 600 |world| world.faults.no_consumers = true;
    "a queue's consumers hang" "W406" queue [] 600 |world| world.faults.stuck = true;
}
