//! What a rig can use where there are threads.

use core::sync::atomic::{AtomicBool, Ordering};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::{Duration, Instant};

/// [`SharedRig::beside`](super::SharedRig::beside) with a thread.
pub fn beside(there: &(dyn Fn() + Sync), here: &mut dyn FnMut()) -> bool {
    struct SetOnDrop<'a>(&'a AtomicBool);
    impl Drop for SetOnDrop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                there();
                // The pace that the kit asks for; nothing is waited for.
                thread::sleep(Duration::from_millis(1));
            }
        });
        // When `here` panics, too: otherwise the thread would go on for ever.
        let _done = SetOnDrop(&done);
        here();
    });
    true
}

/// [`SharedRig::catch`](super::SharedRig::catch) where panics unwind.
pub fn catch(f: &mut dyn FnMut()) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

/// [`Rig::stopwatch`](super::Rig::stopwatch) by the standard library's clock.
pub fn stopwatch() -> bringup_core::time::Duration {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    START.get_or_init(Instant::now).elapsed().into()
}

/// [`Rig::tcp_echo`](super::Rig::tcp_echo) on the loopback, by a thread that serves until the program
/// ends.
pub fn tcp_echo() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut bytes = [0; 16];
            // A client that gives up is none of its business.
            let _ = stream.read_exact(&mut bytes).and_then(|()| stream.write_all(&bytes));
        }
    });
    Ok(address)
}
