//! bringup for C. The interface is `include/bringup.h`, which also says how to link; `examples/example.c`
//! shows all of it. The functions here are what that header declares, on top of [`bringup::Network`].
//!
//! # Why the unsafe code is sound
//!
//! What comes from C is believed in four places, each of which the header states as a duty of the caller:
//!
//! 1. **The handle** is a `Box<Network>` that [`bringup_create`] gives out and [`bringup_destroy`] takes
//!    back. In between only `&Network` is made of it, and `Network` is `Sync` (checked below when this
//!    is compiled), so that any number of threads may use it. No call may overlap with
//!    [`bringup_destroy`] or follow it.
//! 2. **Strings** end in NUL and are not changed during the call; they are copied before it returns.
//!    Lists of them end in NULL.
//! 3. **Outputs** point to memory of their type that may be written; `addresses` has room for `*count`.
//!    They may be uninitialised: only `ptr::write` touches them.
//! 4. **Callbacks** may be called on another thread, once, with their `opaque`, which is never looked
//!    at here.
//!
//! Null pointers are no belief: they are checked. No panic gets out: what would be one is
//! `BRINGUP_INTERNAL`; in a callback's way there is nothing that panics after C code ran.

mod error;
mod options;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, SystemTime};

use bringup::{Network, SystemState};

pub use error::{Code, bringup_last_error};
pub use options::Options;

use error::Failure;

/// A handle is used by several threads at once.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Network>();
};

/// An address of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Address {
    /// 4 or 6.
    pub family: u8,
    /// The first four, or all, in network order.
    pub octets: [u8; 16],
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => {
                let mut octets = [0; 16];
                for (octet, value) in octets.iter_mut().zip(v4.octets()) {
                    *octet = value;
                }
                Self { family: 4, octets }
            }
            IpAddr::V6(v6) => Self { family: 6, octets: v6.octets() },
        }
    }
}

/// UTC, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Time {
    /// The best guess, nanoseconds since 1970-01-01.
    pub unix_ns: i64,
    /// How far off that may be, nanoseconds.
    pub error_ns: u64,
    /// What must be added to the machine's clock, nanoseconds.
    pub clock_offset_ns: i64,
    /// Whether a second server agrees.
    pub confirmed: c_int,
}

/// `bringup_callback`: called once, with its `opaque`, perhaps on another thread. Unsafe to call, but for duty 4.
pub type Callback = unsafe extern "C" fn(error: c_int, opaque: *mut c_void);

/// A callback on its way to another thread.
struct Call {
    callback: Callback,
    opaque: *mut c_void,
}

// SAFETY: duty 4: it may be called on another thread.
unsafe impl Send for Call {}

impl Call {
    fn run(self, code: Code) {
        // SAFETY: duty 4, and this is the one call: `self` is gone after it.
        unsafe { (self.callback)(code as c_int, self.opaque) };
    }
}

/// Runs a function of the interface: its failure becomes a number and words, a panic `Internal`.
fn answer(body: impl FnOnce() -> Result<(), Failure>) -> c_int {
    let code = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return Code::Ok as c_int,
        Ok(Err(failure)) => failure.remember(),
        Err(_) => {
            Failure::new(Code::Internal, "a mistake in bringup; report it, please").remember()
        }
    };
    code as c_int
}

/// What a handle stands for.
///
/// # Safety
///
/// Duty 1.
unsafe fn network<'a>(handle: *const Network) -> Result<&'a Network, Failure> {
    // SAFETY: the caller's promise; null is checked.
    unsafe { handle.as_ref() }.ok_or_else(|| Failure::invalid("the handle is NULL"))
}

fn state(number: c_int) -> Result<SystemState, Failure> {
    let index = usize::try_from(number).ok();
    let state = index.and_then(|index| SystemState::ALL.get(index).copied());
    state.ok_or_else(|| Failure::invalid("there is no state of this number"))
}

/// A negative time is without end.
fn timeout(ms: c_int) -> Duration {
    u64::try_from(ms).map_or(Duration::MAX, Duration::from_millis)
}

/// See `bringup.h`.
///
/// # Safety
///
/// Duties 2 and 3 of the crate's preface.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bringup_create(options: *const Options, out: *mut *mut Network) -> c_int {
    answer(|| {
        if out.is_null() {
            return Err(Failure::invalid("there is nowhere to put the handle"));
        }
        // SAFETY: duty 3.
        unsafe { out.write(std::ptr::null_mut()) };
        // SAFETY: duty 2.
        let setup = unsafe { options::read(options) }?;
        let handle = Box::into_raw(Box::new(setup.start()?));
        // SAFETY: duty 3.
        unsafe { out.write(handle) };
        Ok(())
    })
}

/// See `bringup.h`.
///
/// # Safety
///
/// Duties 1 and 4 of the crate's preface.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bringup_attach(
    handle: *const Network,
    number: c_int,
    callback: Option<Callback>,
    opaque: *mut c_void,
) -> c_int {
    answer(|| {
        // SAFETY: duty 1.
        let network = unsafe { network(handle) }?;
        let callback = callback.ok_or_else(|| Failure::invalid("the callback is NULL"))?;
        let gate = Some(state(number)?).filter(|state| *state != SystemState::Unknown);
        let call = Call { callback, opaque };
        network.attach(gate, move |reached| {
            call.run(if reached.is_ok() { Code::Ok } else { Code::Ended });
        });
        Ok(())
    })
}

/// See `bringup.h`.
///
/// # Safety
///
/// Duty 1 of the crate's preface.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bringup_wait(
    handle: *const Network,
    number: c_int,
    timeout_ms: c_int,
) -> c_int {
    answer(|| {
        // SAFETY: duty 1.
        let network = unsafe { network(handle) }?;
        Ok(network.wait(state(number)?, timeout(timeout_ms))?)
    })
}

/// See `bringup.h`.
///
/// # Safety
///
/// Duty 1 of the crate's preface.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bringup_state(handle: *const Network) -> c_int {
    // SAFETY: duty 1.
    let network = unsafe { network(handle) };
    network.map_or(SystemState::Unknown, Network::state) as c_int
}

/// See `bringup.h`.
#[unsafe(no_mangle)]
pub extern "C" fn bringup_state_name(number: c_int) -> *const c_char {
    let index = usize::try_from(number).unwrap_or(usize::MAX);
    error::STATE_NAMES.get(index).map_or(std::ptr::null(), |name| name.as_ptr())
}

/// See `bringup.h`.
///
/// # Safety
///
/// Duties 1, 2 and 3 of the crate's preface.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bringup_resolve(
    handle: *const Network,
    name: *const c_char,
    timeout_ms: c_int,
    addresses: *mut Address,
    count: *mut usize,
) -> c_int {
    answer(|| {
        // SAFETY: duty 1.
        let network = unsafe { network(handle) }?;
        if name.is_null() || count.is_null() {
            return Err(Failure::invalid("the name or the count is NULL"));
        }
        // SAFETY: duty 2.
        let name = unsafe { CStr::from_ptr(name) };
        let name = name.to_str().map_err(|_| Failure::invalid("the name is not UTF-8"))?;
        // SAFETY: duty 3; the room is the one that is read.
        let room = unsafe { count.read() };
        // SAFETY: duty 3.
        unsafe { count.write(0) };
        if addresses.is_null() && room > 0 {
            return Err(Failure::invalid("there is nowhere to put addresses"));
        }
        let found = network.resolve(name, timeout(timeout_ms))?;
        for (at, address) in found.iter().take(room).enumerate() {
            // SAFETY: duty 3: `at` is below the room, so that both stay inside.
            let place = unsafe { addresses.add(at) };
            // SAFETY: as above.
            unsafe { place.write(Address::from(*address)) };
        }
        // SAFETY: duty 3.
        unsafe { count.write(found.len().min(room)) };
        Ok(())
    })
}

/// See `bringup.h`.
///
/// # Safety
///
/// Duties 1 and 3 of the crate's preface.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bringup_time(handle: *const Network, out: *mut Time) -> c_int {
    answer(|| {
        // SAFETY: duty 1.
        let network = unsafe { network(handle) }?;
        if out.is_null() {
            return Err(Failure::invalid("there is nowhere to put the time"));
        }
        let unknown = || Failure::new(Code::NoTime, "the time is not known; wait for TIME_VALID");
        let time = network.time()?.ok_or_else(unknown)?;
        let since = time.utc.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let time = Time {
            unix_ns: i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
            error_ns: u64::try_from(time.error.as_nanos()).unwrap_or(u64::MAX),
            clock_offset_ns: time.clock_offset_ns,
            confirmed: c_int::from(time.confirmed),
        };
        // SAFETY: duty 3.
        unsafe { out.write(time) };
        Ok(())
    })
}

/// See `bringup.h`.
///
/// # Safety
///
/// Duty 1 of the crate's preface.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bringup_destroy(handle: *mut Network) {
    if !handle.is_null() {
        // SAFETY: duty 1: it came from `bringup_create`, and nobody uses it any more.
        let network = unsafe { Box::from_raw(handle) };
        let _ = catch_unwind(AssertUnwindSafe(|| drop(network)));
    }
}
