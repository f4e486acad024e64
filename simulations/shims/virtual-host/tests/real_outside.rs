//! Outside virtual time the clock is the kernel's and nobody can guess the keys; inside both follow the seed.
//!
//! Some of these tests start this very test binary again, to compare what two processes draw.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, RandomState},
    process::Command,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use griot_virtual_host::{enter, is_virtual, real_elapsed, set_elapsed};

const EPOCH: Duration = Duration::from_secs(1_800_000_000);

/// Set in the process that only prints what it draws: "real" or "virtual".
const ROLE: &str = "GRIOT_TEST_DRAW";

/// What every source of randomness that this workspace has gives on a fresh thread, in hex.
fn draw_all() -> Vec<String> {
    thread::spawn(|| draw_here(None)).join().unwrap()
}

fn draw_all_virtual(seed: u64) -> Vec<String> {
    thread::spawn(move || draw_here(Some(seed))).join().unwrap()
}

fn draw_here(seed: Option<u64>) -> Vec<String> {
    let _guard = seed.map(|seed| enter(seed, EPOCH).unwrap());
    let mut bytes = [[0; 16]; 2];
    getrandom::fill(&mut bytes[0]).unwrap();
    getrandom_03::fill(&mut bytes[1]).unwrap();
    let mut drawn: Vec<String> = bytes.iter().map(|bytes| format!("{:032x}", u128::from_le_bytes(*bytes))).collect();
    drawn.push(format!("{:016x}", RandomState::new().hash_one(0)));
    drawn
}

fn in_another_process(role: &str) -> Vec<String> {
    let me = std::env::current_exe().unwrap();
    let output = Command::new(me)
        .args(["--exact", "the_other_process", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let drawn: Vec<String> =
        text.lines().filter_map(|line| line.split_once("drawn:")).map(|(_, hex)| hex.to_owned()).collect();
    assert_eq!(drawn.len(), 3, "{text}");
    drawn
}

/// Not a test by itself: what the others run in another process.
#[test]
fn the_other_process() {
    let drawn = match std::env::var(ROLE).as_deref() {
        Ok("real") => draw_all(),
        Ok("virtual") => draw_all_virtual(7),
        _ => return,
    };
    println!();
    for hex in drawn {
        println!("drawn:{hex}");
    }
}

#[test]
fn real_keys_are_new_in_every_thread_and_every_process_and_are_not_the_seeds() {
    let mut all = Vec::new();
    for _ in 0..8 {
        all.extend(draw_all());
    }
    for _ in 0..2 {
        all.extend(in_another_process("real"));
    }
    for seed in 0..64 {
        all.extend(draw_all_virtual(seed));
    }
    let different: BTreeSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len(), "no two draws are the same");
}

#[test]
fn virtual_keys_follow_the_seed_in_every_process() {
    let here = draw_all_virtual(7);
    assert_eq!(here, draw_all_virtual(7));
    assert_eq!(here, in_another_process("virtual"));
    let other = draw_all_virtual(8);
    assert!(here.iter().zip(&other).all(|(a, b)| a != b), "{here:?} {other:?}");
}

#[test]
fn time_is_real_until_the_guard_is_there_and_after_it_is_gone() {
    let real_before = (Instant::now(), SystemTime::now());
    {
        let _guard = enter(1, EPOCH).unwrap();
        assert!(is_virtual());
        assert_eq!(enter(1, EPOCH).err(), Some(griot_virtual_host::AlreadyVirtual));
        let begun = Instant::now();
        assert_eq!(SystemTime::now().duration_since(UNIX_EPOCH).unwrap(), EPOCH);
        let until = real_elapsed() + Duration::from_millis(5);
        while real_elapsed() < until {}
        assert_eq!(begun.elapsed(), Duration::ZERO, "virtual time stands still while real time passes");
        set_elapsed(Duration::from_secs(90));
        assert_eq!(begun.elapsed(), Duration::from_secs(90));
        assert_eq!(SystemTime::now().duration_since(UNIX_EPOCH).unwrap(), EPOCH + Duration::from_secs(90));
        set_elapsed(Duration::from_secs(80));
        assert_eq!(begun.elapsed(), Duration::from_secs(90), "it never goes back");
        let elsewhere = thread::spawn(|| (is_virtual(), SystemTime::now())).join().unwrap();
        assert!(!elsewhere.0 && elsewhere.1 >= real_before.1, "other threads live in real time");
    }
    assert!(!is_virtual());
    assert!(Instant::now() >= real_before.0 && Instant::now() - real_before.0 < Duration::from_secs(3600));
    assert!(SystemTime::now() >= real_before.1);
    set_elapsed(Duration::from_secs(1_000_000_000));
    assert!(SystemTime::now().duration_since(real_before.1).unwrap() < Duration::from_secs(3600));
}

#[test]
fn real_time_passes() {
    let begun = Instant::now();
    let until = real_elapsed() + Duration::from_millis(2);
    while real_elapsed() < until {}
    assert!(begun.elapsed() >= Duration::from_millis(2));
}
