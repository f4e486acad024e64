//! The switch in virtual time.

use super::*;

const A: End = End::new(0);
const B: End = End::new(1);
const C: End = End::new(2);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn switch(latency_ms: u32) -> Switch {
    let mut switch = Switch::new(1, 3);
    for from in [A, B, C] {
        for to in [A, B, C] {
            switch.set(ms(0), from, to, Link::with_latency_ms(latency_ms));
        }
    }
    switch
}

fn send(switch: &mut Switch, now: u64, from: End, to: End) -> Vec<Delivery> {
    switch.handle(ms(now), Input::Packet { from, bytes: packet::sample(to.address(), 100) })
}

#[test]
fn packets_arrive_when_they_are_due_and_not_before() {
    let mut switch = switch(40);
    switch.set(ms(0), C, B, Link::with_latency_ms(15));
    assert_eq!(switch.next_due(), None);
    assert_eq!(send(&mut switch, 0, A, B), []);
    assert_eq!(send(&mut switch, 10, C, B), []);
    assert_eq!(switch.next_due(), Some(ms(25)));
    assert_eq!(switch.handle(ms(24), Input::Tick), []);
    let both = switch.handle(ms(100), Input::Tick);
    let seen: Vec<_> = both.iter().map(|delivery| (delivery.from, delivery.to, delivery.due)).collect();
    assert_eq!(seen, [(C, B, ms(25)), (A, B, ms(40))]);
    assert_eq!(switch.next_due(), None);
    let counts = switch.counts(A, B);
    assert_eq!((counts.sent_packets, counts.delivered_packets, counts.delivered_bytes), (1, 1, 100));
    assert_eq!(switch.counts(B, A), Counts::default());
}

#[test]
fn a_perfect_link_delivers_at_once() {
    assert_eq!(send(&mut Switch::new(1, 3), 7, A, B).len(), 1);
}

#[test]
fn a_cut_is_one_way_and_stops_what_is_in_flight() {
    let mut switch = switch(40);
    send(&mut switch, 0, A, B);
    let whole = switch.link(A, B);
    switch.set(ms(10), A, B, Link { cut: true, ..whole });
    send(&mut switch, 10, A, B);
    send(&mut switch, 10, B, A);
    // Healed before the first was due: it is gone all the same, its cable was cut.
    switch.set(ms(20), A, B, whole);
    send(&mut switch, 20, A, B);
    let arrived: Vec<_> = switch.handle(ms(200), Input::Tick).iter().map(|d| (d.from, d.due)).collect();
    assert_eq!(arrived, [(B, ms(50)), (A, ms(60))]);
    assert_eq!(switch.counts(A, B).cut_packets, 2);
    assert_eq!(switch.counts(B, A).cut_packets, 0);
}

#[test]
fn what_is_for_nobody_is_counted_and_dropped() {
    let mut switch = switch(0);
    let stray = [
        packet::sample(End::new(3).address(), 60),
        packet::sample(A.address(), 60),
        packet::sample(std::net::Ipv4Addr::new(192, 0, 2, 1), 60),
        vec![0x60; 60],
        Vec::new(),
    ];
    for bytes in stray {
        assert_eq!(switch.handle(ms(0), Input::Packet { from: A, bytes }), []);
    }
    assert_eq!(switch.stray_packets(), 5);
}

#[test]
fn what_is_in_flight_is_bounded() {
    let mut switch = switch(60_000);
    let bytes = packet::sample(B.address(), 60_000);
    let fit = IN_FLIGHT_BYTES_MAX / bytes.len();
    for _ in 0..fit + 10 {
        switch.handle(ms(0), Input::Packet { from: A, bytes: bytes.clone() });
    }
    assert_eq!(switch.counts(A, B).overflow_packets, 10);
    assert_eq!(switch.handle(ms(60_000), Input::Tick).len(), fit);
    switch.handle(ms(60_000), Input::Packet { from: A, bytes });
    assert_eq!(switch.counts(A, B).overflow_packets, 10, "there is room again");
}

#[test]
fn the_same_seed_and_packets_give_the_same_deliveries() {
    let run = |seed| {
        let mut switch = Switch::new(seed, 3);
        let rough = Link { jitter_us_max: 9_000, loss_ppm: 300_000, ..Link::with_latency_ms(5) };
        switch.set(ms(0), A, B, rough);
        let sent: Vec<_> = (0..200).flat_map(|now| send(&mut switch, now, A, B)).map(|d| d.due).collect();
        (sent, switch.counts(A, B))
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}
