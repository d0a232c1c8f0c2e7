//! The machine: start-up, clocks, interrupts and their handlers. All that is unsafe about the hardware is here.
//!
//! Numbers are those of the LM3S6965 data sheet and of the ARMv7-M manual.

use core::arch::{asm, global_asm};
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bringup_core::time::{Duration, Instant};

/// Cycles a second: 200 MHz from the PLL, divided by 16.
const CLOCK_HZ: u32 = 12_500_000;
/// SysTick counts one second down; it has 24 bits.
const TICK_CYCLES: u32 = CLOCK_HZ;
/// The longest sleep, so that the count of cycles fits into 32 bits.
const SLEEP_MAX: Duration = Duration::from_secs(60);

global_asm!(
    ".section .vectors, \"a\"",
    ".word stack_top, reset",
    // NMI, the faults, four that are reserved, SVCall, debug, reserved, PendSV, SysTick.
    ".word fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, fault, 0, fault, on_tick",
    // The interrupts: timer 0A is 19, Ethernet 42.
    ".rept 19",
    ".word fault",
    ".endr",
    ".word on_alarm",
    ".rept 22",
    ".word fault",
    ".endr",
    ".word on_ethernet",
    ".text",
    ".thumb_func",
    ".global reset",
    "reset:",
    // What was never on the stack keeps this pattern.
    "ldr r0, =stack_bottom",
    "ldr r1, =stack_top",
    "ldr r2, =0xa5a5a5a5",
    "1: str r2, [r0], #4",
    "cmp r0, r1",
    "blo 1b",
    "ldr r0, =bss_start",
    "ldr r1, =bss_end",
    "movs r2, #0",
    "2: cmp r0, r1",
    "bhs 3f",
    "str r2, [r0], #4",
    "b 2b",
    "3:",
    "ldr r0, =data_start",
    "ldr r1, =data_end",
    "ldr r2, =data_load",
    "4: cmp r0, r1",
    "bhs 5f",
    "ldr r3, [r2], #4",
    "str r3, [r0], #4",
    "b 4b",
    "5: bl start",
    "udf #0",
);

/// A register of the machine, always there and always readable.
struct Register(usize);

const RCC: Register = Register(0x400F_E060);
const RIS: Register = Register(0x400F_E050);
const RCGC1: Register = Register(0x400F_E104);
const RCGC2: Register = Register(0x400F_E108);
const UART_DR: Register = Register(0x4000_C000);
const UART_FR: Register = Register(0x4000_C018);
const TIMER_CFG: Register = Register(0x4003_0000);
const TIMER_MODE: Register = Register(0x4003_0004);
const TIMER_CTL: Register = Register(0x4003_000C);
const TIMER_MASK: Register = Register(0x4003_0018);
const TIMER_CLEAR: Register = Register(0x4003_0024);
const TIMER_LOAD: Register = Register(0x4003_0028);
const SYST_CSR: Register = Register(0xE000_E010);
const SYST_RVR: Register = Register(0xE000_E014);
const SYST_CVR: Register = Register(0xE000_E018);
const NVIC_ENABLE_0: Register = Register(0xE000_E100);
const NVIC_ENABLE_1: Register = Register(0xE000_E104);
const ICSR: Register = Register(0xE000_ED04);
const MAC_RIS: Register = Register(0x4004_8000);
const MAC_IM: Register = Register(0x4004_8004);
const MAC_RCTL: Register = Register(0x4004_8008);
const MAC_TCTL: Register = Register(0x4004_800C);
const MAC_DATA: Register = Register(0x4004_8010);
const MAC_ADDRESS_0: Register = Register(0x4004_8014);
const MAC_ADDRESS_1: Register = Register(0x4004_8018);
const MAC_PACKETS: Register = Register(0x4004_8034);
const MAC_TRANSMIT: Register = Register(0x4004_8038);

/// SysTick has come to its end and was not yet counted.
const PENDSTSET: u32 = 1 << 26;

impl Register {
    fn read(&self) -> u32 {
        // SAFETY: one of the addresses above: a register, aligned, of 32 bits.
        unsafe { (self.0 as *const u32).read_volatile() }
    }

    fn write(&self, value: u32) {
        // SAFETY: as above. None of them moves memory about.
        unsafe { (self.0 as *mut u32).write_volatile(value) }
    }
}

/// Lets no interrupt in any more; whether they were out already.
pub(crate) fn interrupts_off() -> usize {
    let before: usize;
    // SAFETY: reads and sets PRIMASK. The compiler moves no access to memory across it.
    unsafe { asm!("mrs {}, PRIMASK", "cpsid i", out(reg) before) };
    before
}

/// Lets interrupts in again, unless they were out `before`.
pub(crate) fn interrupts_back(before: usize) {
    if before & 1 == 0 {
        // SAFETY: as above.
        unsafe { asm!("cpsie i") };
    }
}

/// The whole seconds since the start, counted by SysTick.
static SECONDS: AtomicU32 = AtomicU32::new(0);
/// A wake that was not cleared.
static AWAKE: AtomicBool = AtomicBool::new(false);

/// Sets the clocks going, and the interrupts.
pub(crate) fn set_up() {
    // PLL from the 8 MHz crystal, divided by 16; bypassed until it has locked.
    const DIVIDED: u32 = 0xF << 23 | 1 << 22 | 0xE << 6;
    const BYPASS: u32 = 1 << 11;
    RCC.write(DIVIDED | BYPASS);
    while RIS.read() & 1 << 6 == 0 {}
    RCC.write(DIVIDED);
    RCGC1.write(1 << 16 | 1); // timer 0, UART 0
    RCGC2.write(1 << 30 | 1 << 28 | 1); // Ethernet and its pins
    TIMER_CFG.write(0);
    TIMER_MODE.write(1); // once
    TIMER_MASK.write(1);
    SYST_CSR.write(0b100); // the processor's clock
    SYST_RVR.write(TICK_CYCLES - 1);
    SYST_CVR.write(0);
    SYST_CSR.write(0b111);
    MAC_RCTL.write(1);
    MAC_TCTL.write(1 << 4 | 1 << 2 | 1 << 1 | 1); // both ways at once, with a checksum, padded
    NVIC_ENABLE_0.write(1 << 19);
    NVIC_ENABLE_1.write(1 << (42 - 32));
}

/// The time since the start. It does not go on while the machine's clock is stopped.
pub(crate) fn now() -> Instant {
    let before = interrupts_off();
    let mut left = SYST_CVR.read();
    let mut seconds = SECONDS.load(Ordering::Relaxed);
    if ICSR.read() & PENDSTSET != 0 {
        left = SYST_CVR.read();
        seconds += 1;
    }
    interrupts_back(before);
    // 12.5 cycles a microsecond.
    let us = (TICK_CYCLES - 1).saturating_sub(left) * 2 / 25;
    Instant::from_micros(u64::from(seconds) * 1_000_000 + u64::from(us))
}

#[unsafe(no_mangle)]
extern "C" fn on_tick() {
    SECONDS.store(SECONDS.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    crate::on_second();
}

#[unsafe(no_mangle)]
extern "C" fn on_alarm() {
    TIMER_CLEAR.write(1);
}

/// The frames stay where they are; the next sleep asks for them again.
#[unsafe(no_mangle)]
extern "C" fn on_ethernet() {
    MAC_IM.write(0);
    MAC_RIS.write(1); // received
}

#[unsafe(no_mangle)]
extern "C" fn fault() -> ! {
    say(format_args!("fault: the stack had {} octets left", stack_left()));
    exit(102)
}

/// Sleeps until a frame, a wake, or so much time has passed; not at all if one is there.
pub(crate) fn sleep(span: Duration) {
    let us = span.min(SLEEP_MAX).as_micros();
    TIMER_CTL.write(0);
    TIMER_LOAD.write(u32::try_from(us).unwrap_or(u32::MAX).saturating_mul(25).div_ceil(2).max(1));
    TIMER_CTL.write(1);
    // Looking and sleeping with interrupts out: one that comes in between stays pending, and ends the sleep.
    let before = interrupts_off();
    MAC_IM.write(1);
    if frames() == 0 && !AWAKE.load(Ordering::Relaxed) {
        // SAFETY: waits; nothing else.
        unsafe { asm!("dsb", "wfi") };
    }
    interrupts_back(before);
}

pub(crate) fn wake() {
    AWAKE.store(true, Ordering::Release);
}

pub(crate) fn clear_wake() {
    AWAKE.store(false, Ordering::Release);
}

pub(crate) fn is_awake() -> bool {
    AWAKE.load(Ordering::Acquire)
}

/// What nobody outside can know exactly: how far the second has gone, in cycles.
pub(crate) fn cycles() -> u32 {
    SYST_CVR.read()
}

/// How many frames wait to be read.
pub(crate) fn frames() -> u32 {
    MAC_PACKETS.read() & 0x3F
}

/// This station's link address.
pub(crate) fn link_address() -> [u8; 6] {
    let [a, b, c, d] = MAC_ADDRESS_0.read().to_le_bytes();
    let [e, f, ..] = MAC_ADDRESS_1.read().to_le_bytes();
    [a, b, c, d, e, f]
}

/// Reads the next frame, without its checksum; its length, which is that of the buffer if it was longer.
pub(crate) fn read_frame(buffer: &mut [u8]) -> usize {
    // Two octets of length, which counts itself and the checksum, stand before the frame.
    let [low, high, first, second] = MAC_DATA.read().to_le_bytes();
    let whole = usize::from(u16::from_le_bytes([low, high]));
    let length = whole.saturating_sub(6).min(buffer.len());
    let mut places = buffer.iter_mut().take(length);
    let mut put = |octets: &[u8]| {
        octets.iter().for_each(|octet| {
            if let Some(place) = places.next() {
                *place = *octet;
            }
        })
    };
    put(&[first, second]);
    for _ in 1..whole.div_ceil(4) {
        put(&MAC_DATA.read().to_le_bytes());
    }
    length
}

/// Sends a frame of at least fourteen octets.
pub(crate) fn send_frame(frame: &[u8]) {
    // Two octets of length, without the header, stand before the frame.
    let [low, high] = u16::try_from(frame.len().saturating_sub(14)).unwrap_or(0).to_le_bytes();
    let mut octets = [low, high].into_iter().chain(frame.iter().copied());
    while let Some(first) = octets.next() {
        let mut next = || octets.next().unwrap_or(0);
        MAC_DATA.write(u32::from_le_bytes([first, next(), next(), next()]));
    }
    MAC_TRANSMIT.write(1);
    while MAC_TRANSMIT.read() & 1 != 0 {}
}

struct Uart;

impl fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for octet in text.bytes() {
            while UART_FR.read() & 1 << 5 != 0 {}
            UART_DR.write(octet.into());
        }
        Ok(())
    }
}

/// Says a line on the serial port.
pub(crate) fn say(line: fmt::Arguments<'_>) {
    // The port refuses nothing.
    let _ = fmt::write(&mut Uart, format_args!("{line}\n"));
}

unsafe extern "C" {
    static stack_bottom: [u32; 0];
    static stack_top: [u32; 0];
}

/// How many octets of the stack were never used, and how many there are.
pub(crate) fn stack_left() -> usize {
    let mut word = (&raw const stack_bottom).cast::<u32>();
    let mut left = 0;
    // SAFETY: below the top, and aligned. The stack is memory.
    while word < (&raw const stack_top).cast() && unsafe { word.read_volatile() } == 0xA5A5_A5A5 {
        word = word.wrapping_add(1);
        left += 4;
    }
    left
}

/// How large the stack is.
pub(crate) fn stack_size() -> usize {
    (&raw const stack_top).addr() - (&raw const stack_bottom).addr()
}

/// Ends the emulator, by semihosting (SYS_EXIT_EXTENDED: ADP_Stopped_ApplicationExit and a code).
pub(crate) fn exit(code: u32) -> ! {
    let block = [0x2_0026, code];
    // SAFETY: the emulator reads two words; without one the breakpoint is a fault.
    unsafe { asm!("bkpt 0xAB", in("r0") 0x20, in("r1") block.as_ptr(), options(readonly)) };
    loop {}
}
