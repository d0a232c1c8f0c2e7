//! Stories by seed. A failing one prints the line that repeats it.
//!
//! `BRINGUP_SEEDS=10000` runs more of them, `BRINGUP_SEED=17` runs one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use bringup::core::platform::Platform as _;
use bringup::core::state::SystemState;
use bringup::core::time::Duration;
use bringup::platform::sim::Faults;

use crate::memory;
use crate::world::{Plan, World, s, within};

/// How many run when nobody says otherwise.
const SEEDS: u64 = 100;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn faults(&mut self) -> Faults {
        let mut permille = |most| u16::try_from(self.below(most)).expect("small");
        Faults {
            loss_permille: permille(300),
            duplicate_permille: permille(200),
            corrupt_permille: permille(100),
            delay: Duration::from_micros(self.below(50_000)),
            jitter: Duration::from_micros(self.below(100_000)),
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn every_seed_comes_up_survives_and_comes_up_again() {
    let (first, count) = match number("BRINGUP_SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("BRINGUP_SEEDS").unwrap_or(SEEDS)),
    };
    let (next, failed) = (AtomicU64::new(first), AtomicBool::new(false));
    let (next, failed, virtual_s) = (&next, &failed, &AtomicU64::new(0));
    let threads = thread::available_parallelism().map_or(1, |number| number.get());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                // What is made once for a thread is made now, and is nobody's leak.
                within(&Plan::default(), |w| w.stop());
                while !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    match catch_unwind(AssertUnwindSafe(|| leaks_nothing(seed))) {
                        Ok(span) => _ = virtual_s.fetch_add(span.as_secs(), Ordering::Relaxed),
                        Err(_) => {
                            failed.store(true, Ordering::Relaxed);
                            eprintln!(
                                "BRINGUP_SEED={seed} cargo test -p bringup-tests --test simulator every_seed"
                            );
                        }
                    }
                }
            });
        }
    });
    println!("{count} seeds, {} virtual days", virtual_s.load(Ordering::Relaxed) / 86_400);
    assert!(!failed.load(Ordering::Relaxed), "a seed failed; the line that repeats it is above");
}

fn leaks_nothing(seed: u64) -> Duration {
    let before = memory::live();
    let span = story(seed);
    assert_eq!(memory::live() - before, 0, "octets that nobody has freed");
    span
}

/// How long it took, in virtual time: days.
fn story(seed: u64) -> Duration {
    let mut span = Duration::ZERO;
    let mut dice = Dice(seed);
    let plan = Plan {
        seed,
        interfaces: if dice.one_in(2) { 2 } else { 1 },
        carrier: dice.one_in(2),
        option_42: dice.one_in(2),
        wait_for_time: !dice.one_in(8),
        set_clock: dice.one_in(2),
        lease_s: 60 + u32::try_from(dice.below(7_200)).expect("small"),
        mtu: dice.one_in(2).then_some(1_400),
        valid_for: Some(s(3_600 + dice.below(86_400))),
        release: dice.one_in(2),
        ..Plan::default()
    };
    within(&plan, |w| {
        w.forgets = true;
        spoil(w, &mut dice);
        for _ in 0..40 {
            if dice.one_in(8) {
                flurry(w, &mut dice);
            }
            trouble(w, &mut dice);
            let most = if dice.one_in(4) { 40_000 } else { 600 };
            w.pass(s(1 + dice.below(most)));
        }
        heal(w);
        w.until_operational(s(20_000));
        span = w.now().since(start());
        assert!(w.turns < 2_000 + span.as_secs() * 4, "{} turns", w.turns);
        w.stop();
    });
    span
}

fn start() -> bringup::core::time::Instant {
    bringup::core::time::Instant::from_micros(1_000_000)
}

fn spoil(w: &mut World<'_, '_, '_>, dice: &mut Dice) {
    for place in 0..w.far.len() {
        let index = w.index(place);
        let (there, back) = (dice.faults(), dice.faults());
        w.sim(|sim| sim.set_faults(index, there, back));
    }
}

/// A bad contact, servers that come and go: what a client would answer with a packet each time.
fn flurry(w: &mut World<'_, '_, '_>, dice: &mut Dice) {
    let place = pick(dice, w.far.len());
    let index = w.index(place);
    for round in 0..10 + dice.below(40) {
        match dice.below(4) {
            0 => {
                let on = dice.one_in(2);
                w.far[place].borrow_mut().ntp_on = on;
            }
            1 => trouble(w, dice),
            _ => w.sim(|sim| sim.set_carrier(index, round % 2 == 1)),
        }
        w.pass(Duration::from_millis(1 + dice.below(300)));
    }
}

/// What a request may wait for.
const GATES: [Option<SystemState>; 4] =
    [None, Some(SystemState::Dhcp), Some(SystemState::TimeValid), Some(SystemState::Operational)];
/// In the zone, an alias, not there, nowhere.
const NAMES: [&str; 4] =
    ["host.bringup.test", "www.bringup.test", "absent.bringup.test", "elsewhere.test"];

fn pick(dice: &mut Dice, count: usize) -> usize {
    usize::try_from(dice.below(u64::try_from(count).expect("small"))).expect("small")
}

fn trouble(w: &mut World<'_, '_, '_>, dice: &mut Dice) {
    let place = usize::try_from(dice.below(2)).expect("small") % w.far.len();
    let index = w.index(place);
    let (on, now) = (dice.one_in(2), w.now());
    match dice.below(16) {
        14 => w.sim(|sim| sim.flap(index)),
        15 => w.sim(|sim| {
            let route = sim.routes().first().copied();
            let _ = route.map(|(index, route)| sim.route_remove(index, &route));
        }),
        0 | 1 => w.sim(|sim| sim.set_carrier(index, on)),
        2 => w.far[place].borrow_mut().dhcp_on = on,
        3 => w.far[place].borrow_mut().dns_on = on,
        4 => w.far[place].borrow_mut().ntp_on = on,
        5 => {
            let by = i64::try_from(dice.below(2_000_000_000_000)).expect("small");
            w.sim(|sim| sim.step_wall(by - 1_000_000_000_000));
        }
        6 => {
            let span = s(dice.below(10_000));
            w.sim(|sim| sim.suspend(span));
        }
        7 => w.sim(|sim| sim.overrun_watches()),
        8 => spoil(w, dice),
        9 | 10 => w.attach(GATES[pick(dice, GATES.len())]),
        11 | 12 => w.ask(NAMES[pick(dice, NAMES.len())]),
        _ => {
            let last = w.far[place].borrow().address;
            let also = "10.89.7.7".parse().expect("an address");
            let list = if on { vec![last] } else { vec![also, last] };
            w.far[place].borrow_mut().change(now, |network| network.dns_servers = list);
        }
    }
    w.disturb();
}

fn heal(w: &mut World<'_, '_, '_>) {
    w.disturb();
    for place in 0..w.far.len() {
        let index = w.index(place);
        let mut far = w.far[place].borrow_mut();
        (far.dhcp_on, far.dns_on, far.ntp_on) = (true, true, true);
        drop(far);
        w.sim(|sim| {
            sim.set_faults(index, Faults::default(), Faults::default());
            sim.set_carrier(index, true);
        });
    }
}
