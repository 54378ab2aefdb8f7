use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

struct Consumer {
    load: Load,
    /// What it takes for one message, in microseconds.
    takes: u64,
}

impl Candidate for Consumer {
    fn load(&self) -> &Load {
        &self.load
    }
}

fn consumers(of: &[(u32, u64)]) -> Vec<Consumer> {
    of.iter().map(|(weight, takes)| Consumer { load: Load::new(*weight), takes: *takes }).collect()
}

/// Numbers by chance, the same every time.
fn chance() -> impl FnMut() -> u64 {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

/// Sends messages at these intervals to consumers that do one after the other. Returns how many each got, and
/// when the last one was done.
fn simulate(
    policy: Policy,
    consumers: &[Consumer],
    messages: usize,
    every: u64,
) -> (Vec<usize>, u64) {
    let (turn, mut random) = (Turn::default(), chance());
    let mut counts = vec![0; consumers.len()];
    let mut free_at = vec![0; consumers.len()];
    let mut done = BinaryHeap::new();
    let mut last = 0;
    for message in 0..messages as u64 {
        let now = message * every;
        while let Some(Reverse((at, consumer, sent))) =
            done.peek().copied().filter(|d: &Reverse<(u64, usize, u64)>| d.0.0 <= now)
        {
            done.pop();
            consumers[consumer].load.end(Some(at - sent));
        }
        let picked = policy.pick(consumers, &turn, random());
        consumers[picked].load.begin();
        counts[picked] += 1;
        free_at[picked] = now.max(free_at[picked]) + consumers[picked].takes;
        last = last.max(free_at[picked]);
        done.push(Reverse((free_at[picked], picked, now)));
    }
    (counts, last)
}

#[test]
fn in_turn_is_exact_with_weights_too() {
    let (counts, _) = simulate(Policy::RoundRobin, &consumers(&[(1, 1); 3]), 300, 10);
    assert_eq!(counts, [100, 100, 100]);
    let weighted = consumers(&[(5, 1), (1, 1), (1, 1)]);
    let (counts, _) = simulate(Policy::RoundRobin, &weighted, 700, 10);
    assert_eq!(counts, [500, 100, 100]);
    // Evenly spread: the heavy one never comes all at once.
    let turn = Turn::default();
    let picks: Vec<_> = (0..7).map(|_| Policy::RoundRobin.pick(&weighted, &turn, 0)).collect();
    assert_eq!(picks, [0, 0, 1, 0, 2, 0, 0]);
}

#[test]
fn chance_goes_by_weights() {
    let (counts, _) = simulate(Policy::Random, &consumers(&[(1, 1), (3, 1)]), 40_000, 10);
    assert!((9_500..10_500).contains(&counts[0]), "{counts:?}");
    assert_eq!(counts.iter().sum::<usize>(), 40_000);
}

#[test]
fn fewest_in_flight_fills_up_by_weight() {
    // Nobody is ever done.
    let consumers = consumers(&[(1, u64::MAX / 4), (2, 1 << 40), (1, 1 << 40)]);
    let turn = Turn::default();
    for _ in 0..400 {
        let picked = Policy::LeastInFlight.pick(&consumers, &turn, 0);
        consumers[picked].load.begin();
    }
    let in_flight: Vec<_> = consumers.iter().map(|one| one.load.in_flight()).collect();
    assert_eq!(in_flight, [100, 200, 100]);
}

#[test]
fn equals_share_whatever_the_policy() {
    for policy in Policy::ALL {
        let (counts, _) = simulate(policy, &consumers(&[(1, 100); 4]), 4_000, 100);
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{policy:?} {counts:?}");
    }
}

#[test]
fn with_one_slow_consumer_the_measured_policies_beat_turns() {
    // Four consumers, one of them twenty times slower; together they could just do it.
    let of = [(1, 2_000), (1, 100), (1, 100), (1, 100)];
    let ends = |policy| simulate(policy, &consumers(&of), 10_000, 40).1;
    let (turns, fewest, shortest) =
        (ends(Policy::RoundRobin), ends(Policy::LeastInFlight), ends(Policy::ShortestResponse));
    // In turn, the slow one gets a quarter: 2,500 messages of 2 ms. All were sent within 400 ms.
    assert_eq!(turns, 5_000_000);
    assert!(fewest < 450_000, "{fewest}");
    assert!(shortest < 1_000_000, "{shortest}");
}

#[test]
fn shortest_response_goes_by_time_where_nothing_piles_up() {
    let fast_and_slow = || consumers(&[(1, 1_000), (1, 100)]);
    let (counts, _) = simulate(Policy::ShortestResponse, &fast_and_slow(), 3_200, 5_000);
    assert!(counts[0] < 200 && counts[0] >= 40, "the slow one is only tried: {counts:?}");
    // By numbers in flight, which are 0, they are equal.
    let (counts, _) = simulate(Policy::LeastInFlight, &fast_and_slow(), 3_200, 5_000);
    assert_eq!(counts, [1_600, 1_600]);
}

#[test]
fn who_was_slow_and_recovers_is_heard_of() {
    let mut consumers = consumers(&[(1, 10_000), (1, 100)]);
    simulate(Policy::ShortestResponse, &consumers, 1_000, 20_000);
    consumers[0].takes = 10;
    let (counts, _) = simulate(Policy::ShortestResponse, &consumers, 10_000, 20_000);
    assert!(counts[0] > 7_000, "{counts:?}");
}

#[test]
fn names_are_read_back() {
    for policy in Policy::ALL {
        assert_eq!(policy.name().parse(), Ok(policy));
    }
    assert!("fastest".parse::<Policy>().is_err());
    assert_eq!(Policy::RoundRobin.pick(&consumers(&[]), &Turn::default(), 0), 0);
}
