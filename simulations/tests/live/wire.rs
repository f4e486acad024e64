//! The wire between namespaces does to packets what it was told, from socket to socket.
//!
//! Lower bounds are exact; there is no upper bound but patience, because a busy machine may be late at any time. How late
//! it was is printed.

use std::{
    io::ErrorKind,
    net::UdpSocket,
    num::NonZeroU64,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use griot_simulations::live::{
    PATIENCE, namespace, skip, wait_for,
    wire::{self, End, Link, Wire},
};

const A: End = End::new(0);
const B: End = End::new(1);

/// How long a packet that must not arrive is waited for, beyond the latency of its link.
const SILENCE: Duration = Duration::from_millis(300);

/// A wire, or nothing where this machine cannot have one.
fn lay(ends: u16) -> Option<Wire> {
    match Wire::lay(ends, 1) {
        Ok(wire) => Some(wire),
        Err(error) => {
            skip(&format!("network namespaces with TUN devices ({error})")).unwrap();
            None
        }
    }
}

fn socket(wire: &Wire, end: End) -> UdpSocket {
    let address = (wire.address(end), 7000);
    let socket = namespace::inside(wire.namespace(end), "binding", || UdpSocket::bind(address)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Sends one numbered datagram.
fn send(from: &UdpSocket, to: &UdpSocket, number: u32) {
    from.send_to(&number.to_be_bytes(), to.local_addr().unwrap()).unwrap();
}

/// The number of the next datagram; nothing, if none comes in time.
fn receive(socket: &UdpSocket) -> Option<u32> {
    let mut buffer = [0; 2000];
    loop {
        match socket.recv(&mut buffer) {
            Ok(length) => return Some(u32::from_be_bytes(*buffer[..length].first_chunk().unwrap())),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(error) => panic!("{error}"),
        }
    }
}

fn quantile(sorted: &[Duration], of: f64) -> Duration {
    sorted[((sorted.len() - 1) as f64 * of) as usize]
}

#[test]
fn packets_take_as_long_as_their_direction_says() {
    let Some(wire) = lay(2) else { return };
    wire.set(A, B, Link::with_latency_ms(40));
    wire.set(B, A, Link { jitter_us_max: 5_000, ..Link::with_latency_ms(15) });
    let (a, b) = (socket(&wire, A), socket(&wire, B));
    for (from, to, latency_ms) in [(&a, &b, 40), (&b, &a, 15)] {
        let mut over = Vec::new();
        for number in 0..100 {
            let sent = Instant::now();
            send(from, to, number);
            assert_eq!(receive(to), Some(number));
            let took = sent.elapsed();
            assert!(took >= Duration::from_millis(latency_ms), "{took:?}");
            over.push(took - Duration::from_millis(latency_ms));
        }
        over.sort();
        let [median, tail, max] = [0.5, 0.99, 1.0].map(|of| quantile(&over, of));
        println!("socket to socket, beyond {latency_ms} ms: median {median:?}, p99 {tail:?}, max {max:?}");
    }
    println!("the relay itself: {:?}", wire.precision());
    assert_eq!(wire.precision().packets, 200);
    assert_eq!(wire.device_errors().unwrap(), 0);
    // IP and UDP headers, and four bytes.
    assert_eq!(wire.counts(A, B).sent_bytes, 100 * 32);
    assert_eq!(wire.counts(A, B).delivered_packets, 100);
}

#[test]
fn a_cut_is_one_way_and_a_heal_ends_it() {
    let Some(wire) = lay(2) else { return };
    let (a, b) = (socket(&wire, A), socket(&wire, B));
    wire.cut(&[A], &[B]);
    send(&a, &b, 1);
    send(&b, &a, 2);
    assert_eq!(receive(&a), Some(2), "the other way is open");
    b.set_read_timeout(Some(SILENCE)).unwrap();
    assert_eq!(receive(&b), None);
    assert_eq!(wire.counts(A, B).cut_packets, 1);
    wire.heal(&[A], &[B]);
    b.set_read_timeout(Some(PATIENCE)).unwrap();
    send(&a, &b, 3);
    assert_eq!(receive(&b), Some(3));
}

#[test]
fn so_many_packets_are_lost_and_a_seed_loses_the_same_ones() {
    let lost = || {
        let wire = lay(2)?;
        wire.set(A, B, Link { loss_ppm: 200_000, ..Link::default() });
        let (a, b) = (socket(&wire, A), socket(&wire, B));
        let mut arrived = Vec::new();
        // In batches that a socket's buffer holds: a packet from a TUN device takes a page or two of it.
        for batch in 0..100 {
            (batch * 10..(batch + 1) * 10).for_each(|number| send(&a, &b, number));
            let wanted = u64::from(batch + 1) * 10;
            let read = || (wire.counts(A, B).sent_packets == wanted).then_some(());
            wait_for("the relay to read all packets", read).unwrap();
            while (arrived.len() as u64) < wire.counts(A, B).delivered_packets {
                arrived.push(receive(&b).unwrap());
            }
        }
        assert_eq!(wire.counts(A, B).lost_packets as usize, 1000 - arrived.len());
        Some(arrived)
    };
    let (Some(first), Some(second)) = (lost(), lost()) else { return };
    assert!((750..850).contains(&first.len()), "{}", first.len());
    assert_eq!(first, second);
}

#[test]
fn a_narrow_line_takes_its_time_and_drops_what_its_queue_cannot_hold() {
    let Some(wire) = lay(2) else { return };
    let (a, b) = (socket(&wire, A), socket(&wire, B));
    // 1,000 bytes of IP packet each: 20 of them take a second.
    let packet = [7; 1000 - 28];
    let narrow = Link { bytes_per_second: NonZeroU64::new(20_000), queue_bytes_max: 10_000, ..Link::default() };
    wire.set(A, B, narrow);
    let begun = Instant::now();
    for _ in 0..30 {
        a.send_to(&packet, b.local_addr().unwrap()).unwrap();
    }
    wait_for("the relay to read all packets", || (wire.counts(A, B).sent_packets == 30).then_some(())).unwrap();
    let counts = wire.counts(A, B);
    let kept = 30 - counts.overflow_packets;
    // Ten fit the queue; a few more where sending took so long that the line had sent some.
    assert!((10..30).contains(&kept), "{counts:?}");
    for _ in 0..kept {
        assert!(receive(&b).is_some());
    }
    assert!(begun.elapsed() >= Duration::from_millis(50 * kept), "{kept} in {:?}", begun.elapsed());
}

#[test]
fn what_a_killed_run_left_behind_is_swept() {
    if let Err(error) = wire::sweep().and_then(|_| Wire::lay(1, 1)) {
        return skip(&format!("network namespaces with TUN devices ({error})")).unwrap();
    }
    // The maker lives until everything is in place: the other tests here sweep too.
    let mut maker = Command::new("sleep").arg("600").spawn().unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", maker.id())).unwrap();
    let started = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap();
    let name = format!("griot-wire-{}-{started}-0-0", maker.id());
    assert!(Command::new("ip").args(["netns", "add", &name]).status().unwrap().success());
    let mut left = namespace::command(&name, "sleep").arg("600").stdout(Stdio::null()).spawn().unwrap();
    let inside = || {
        let output = Command::new("ip").args(["netns", "pids", &name]).output().unwrap();
        (!output.stdout.is_empty()).then_some(())
    };
    wait_for("the left-over process to be in its namespace", inside).unwrap();
    assert!(!wire::sweep().unwrap().contains(&name), "its maker lives");
    maker.kill().unwrap();
    maker.wait().unwrap();
    let mine = Wire::lay(1, 1).unwrap();
    // Another test may have laid a wire and swept first; swept it is.
    wait_for("the left-over namespace to go", || {
        (!std::path::Path::new("/run/netns").join(&name).exists()).then_some(())
    })
    .unwrap();
    assert!(!left.wait().unwrap().success(), "killed");
    assert!(std::path::Path::new("/run/netns").join(mine.namespace(A)).exists());
    let path = std::path::Path::new("/run/netns").join(mine.namespace(A));
    drop(mine);
    assert!(!path.exists());
}
